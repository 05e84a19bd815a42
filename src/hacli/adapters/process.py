"""Run one local command: argv in, exit code and text out. The only user of ``subprocess``.

A command runs through a prefix: ``()`` on a controller, ``("ssh", "controller-0")`` from a
workstation. Several prefixes are tried in order. There is never a shell on this machine; the
words behind an ssh prefix are quoted for the shell at its other end.
"""

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePath

from hacli.errors import Unreachable, Unreadable

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""A CIB of 1,000 nodes is about a third of this."""

NOT_FOUND = (126, 127)
"""Exit codes with which a shell, sudo or env says that it could not start the program."""
SSH_FAILED = 255
"""Exit code with which ssh says that it, and not the command, failed."""

_INHERITED = ("HOME", "SSH_AUTH_SOCK")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHUNK = 1024 * 1024
_REAP_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a command ended. The output may hold secrets (a CIB does), so no repr shows it."""

    argv: tuple[str, ...]
    exit_code: int  # negative: ended by this signal
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)


class TimeLimitPassed(Unreachable):
    """The command was started and killed at its time limit: what it has done is not known."""


class NotStarted(Unreachable):
    """The command certainly did not run: no prefix could start it."""


class CommandRunner:
    """Runs commands through the first prefix that works, and remembers which one did.

    Args:
        prefixes: Words to put before every command, most wanted first; ``((),)`` is this machine.
        environment: Where PATH, HOME and SSH_AUTH_SOCK are taken from. Children get nothing else
            but ``LC_ALL=C`` and ``TZ=UTC``: no secrets, and no ``CIB_file`` that would make
            Pacemaker's tools show a file in place of the cluster.
        wrong_place: Exit codes with which a command says that it did nothing because it was run
            in the wrong place, such as 102 (no cluster here) of Pacemaker's tools: the next prefix
            is tried, and this answer is given when no other prefix has one.
        most_bytes: The most that a command may write.
    """

    def __init__(
        self,
        prefixes: Sequence[Sequence[str]],
        *,
        environment: Mapping[str, str] = os.environ,
        wrong_place: Collection[int] = (),
        most_bytes: int = MAX_OUTPUT_BYTES,
    ) -> None:
        self._most_bytes = most_bytes
        self._wrong_place = frozenset(wrong_place)
        self._prefixes = tuple(tuple(prefix) for prefix in prefixes)
        self._environment = _environment_of_children(environment)
        self._proven: tuple[str, ...] | None = None

    @property
    def here(self) -> bool:
        """Whether the prefix that worked last is none, so that commands run on this machine."""
        return self._proven == ()

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes | None = None
    ) -> Completed:
        """Run a command that may safely run twice; a prefix that cannot be used is passed over.

        Prefixes that have not worked yet share the time, so that a dead controller in the list
        leaves some for the next one.

        Raises:
            Unreachable: No prefix could run it within ``timeout_s``; the children are dead.
            Unreadable: It wrote more than ``most_bytes``.
        """
        deadline = time.monotonic() + timeout_s
        refusals: list[str] = []
        astray: Completed | None = None
        candidates = self._candidates()
        for tried, prefix in enumerate(candidates):
            share = 1 if prefix == self._proven else len(candidates) - tried
            limit = (deadline - time.monotonic()) / share
            try:
                completed = self._start(prefix, argv, timeout_s=limit, stdin=stdin)
            except Unreachable as unusable:
                refusals.append(unusable.why)
            else:
                if completed.exit_code in self._wrong_place:
                    astray = completed
                elif refusal := _refusal(prefix, completed):
                    refusals.append(refusal)
                else:
                    self._proven = prefix
                    return completed
            self._proven = None
        if astray is not None:
            return astray
        raise Unreachable(source=argv[0], why="; ".join(refusals))

    def run_once(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes | None = None
    ) -> Completed:
        """Run an order: once it may have been delivered, no second prefix is tried.

        An ssh that fails (exit 255) may have failed after delivering it, so that is returned to
        the caller; only a prefix that certainly could not start the program is passed over.

        Raises:
            NotStarted: No prefix could start it; nothing was ordered.
            TimeLimitPassed: It was started and did not end in time; killing it takes nothing back.
            Unreadable: It wrote more than ``most_bytes``; the order was given.
        """
        deadline = time.monotonic() + timeout_s
        refusals: list[str] = []
        astray: Completed | None = None
        for prefix in self._candidates():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            try:
                completed = self._start(prefix, argv, timeout_s=remaining, stdin=stdin)
            except NotStarted as unusable:
                refusals.append(unusable.why)
                continue
            if completed.exit_code in self._wrong_place:
                astray = completed
            elif prefix and completed.exit_code in NOT_FOUND:
                refusals.append(_words(prefix, completed))
            else:
                return completed
        if astray is not None:
            return astray
        raise NotStarted(source=argv[0], why="; ".join(refusals))

    def _candidates(self) -> tuple[tuple[str, ...], ...]:
        """The prefix that worked last, then the others in their order."""
        return tuple(sorted(self._prefixes, key=lambda prefix: prefix != self._proven))

    def _start(
        self, prefix: tuple[str, ...], argv: Sequence[str], *, timeout_s: float, stdin: bytes | None
    ) -> Completed:
        words = (*prefix, *(map(shlex.quote, argv) if _is_ssh(prefix) else argv))
        with _child(words, environment=self._environment, stdin=stdin) as child:
            output = _converse(child, timeout_s=timeout_s, most_bytes=self._most_bytes)
            if output is None:
                where = f" ({' '.join(prefix)})" if prefix else ""
                why = f"no answer within {timeout_s:.0f} s{where}"
                raise TimeLimitPassed(source=argv[0], why=why)
            # asked only after its end was seen, so this does not wait
            exit_code = child.wait(_REAP_S)
        stdout, stderr = output
        return Completed(
            argv=tuple(argv),
            exit_code=exit_code,
            stdout=stdout.decode(errors="replace"),
            stderr=stderr.decode(errors="replace"),
        )


def _environment_of_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Only what a tool needs. cron's PATH lacks the folders of the administrator's tools."""
    path = environment.get("PATH")
    inherited = {name: environment[name] for name in _INHERITED if name in environment}
    return {
        **inherited,
        "PATH": f"{path}:{_SYSTEM_PATH}" if path else _SYSTEM_PATH,
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def _is_ssh(prefix: tuple[str, ...]) -> bool:
    return any(PurePath(word).name == "ssh" for word in prefix)


def _refusal(prefix: tuple[str, ...], completed: Completed) -> str | None:
    """Why this was the prefix' failure and not the command's; None when the command did run."""
    lost = _is_ssh(prefix) and completed.exit_code == SSH_FAILED
    missing = bool(prefix) and completed.exit_code in NOT_FOUND
    return _words(prefix, completed) if lost or missing else None


def _words(prefix: tuple[str, ...], completed: Completed) -> str:
    last_line = (completed.stderr.strip().splitlines() or ["no word"])[-1][:200]
    return f"{' '.join(prefix)}: exit {completed.exit_code}, {last_line}"


@contextmanager
def _child(
    words: Sequence[str], *, environment: Mapping[str, str], stdin: bytes | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a session of its own, so that no ssh or sudo can ask on our terminal.

    Its process group is killed on the way out, however that happens.
    """
    try:
        with _stdin_of(stdin) as source:
            process = subprocess.Popen(
                words,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,
            )
    except OSError as error:
        why = f"cannot start {words[0]}: {os.strerror(error.errno or 0)}"
        raise NotStarted(source=words[0], why=why) from error
    try:
        yield process
    finally:
        _end(process)


@contextmanager
def _stdin_of(content: bytes | None) -> Iterator[int]:
    """A descriptor to read ``content`` from, in memory: nothing is written to a disk."""
    if content is None:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as memory:
        memory.write(content)
        memory.seek(0)
        yield memory.fileno()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        # the group outlives its unreaped leader, so this cannot hit a stranger;
        # PermissionError: a setuid program such as sudo
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        # a process stuck in the kernel is left behind rather than waited for
        with suppress(subprocess.TimeoutExpired):
            process.wait(_REAP_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _converse(
    process: subprocess.Popen[bytes], *, timeout_s: float, most_bytes: int
) -> tuple[bytes, bytes] | None:
    """Everything the child writes until it ends; None when it has not ended in time.

    Its own end counts, not that of its pipes: an ssh master left in the background keeps them
    open for hours.
    """
    deadline = time.monotonic() + timeout_s
    buffers = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr) if pipe}
    with selectors.DefaultSelector() as selector, _end_of(process) as end:
        for descriptor in buffers:
            os.set_blocking(descriptor, False)
        for descriptor in (end, *buffers):
            selector.register(descriptor, selectors.EVENT_READ)
        ready: set[int] = set()
        while end not in ready:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            if not ready:
                return None
            for descriptor in buffers.keys() & ready:
                if not _drain(descriptor, buffers[descriptor], most_bytes=most_bytes):
                    selector.unregister(descriptor)
    for descriptor, buffer in buffers.items():
        _drain(descriptor, buffer, most_bytes=most_bytes)
    stdout, stderr = buffers.values()
    return bytes(stdout), bytes(stderr)


@contextmanager
def _end_of(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """A descriptor that is readable once the process has ended."""
    descriptor = os.pidfd_open(process.pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _drain(descriptor: int, buffer: bytearray, *, most_bytes: int) -> bool:
    """Take what is there now; False at the end of the stream."""
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        buffer += chunk
        if len(buffer) > most_bytes:
            raise Unreadable(source="command", why="more output than was to be expected")
        if not chunk:
            return False
