"""Processes of the stack: known by pid and start time, so that no other one is ever hit."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.system.stack.files import write_whole
from tests.system.stack.waiting import TimedOut, wait_until

DETACH = Path(__file__).parent / "inside" / "detach.py"
PROC = Path("/proc")
PLAIN_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
}
"""What every program of the stack gets; nothing of the caller's own environment."""


class CommandFailed(subprocess.CalledProcessError):
    """A command that ended with another exit code than 0; its text has the end of its words."""

    def __str__(self) -> str:
        words = f"{self.stderr or ''}{self.stdout or ''}".strip()
        return f"{super().__str__()}\n{words[-2000:]}"


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process as the machine sees it.

    Args:
        started: Clock ticks after the machine's boot (``/proc/PID/stat``, field 22): pids are used
            again, pairs of pid and start time are not.
    """

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """It runs or is stopped; a zombie is dead."""
        seen = _read_stat(self.pid)
        return seen is not None and seen[0] == self and seen[1] not in "ZX"

    def signal(self, signum: int) -> None:
        """Send it a signal; nothing when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if (
                self.alive
            ):  # asked while the handle holds the pid: it cannot be used again meanwhile
                signal.pidfd_send_signal(handle, signum)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    def kill(self) -> None:
        """End it at once, and return when it is dead.

        Raises:
            TimedOut: The kernel has not ended it within 10 s.
        """
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.alive, f"end of process {self.pid}", within_s=10, every_s=0.01)

    def end(self, *, within_s: float) -> None:
        """Ask it to end (SIGTERM), and kill it when it has not. Raises as ``kill``."""
        self.signal(signal.SIGTERM)
        try:
            wait_until(lambda: not self.alive, "end", within_s=within_s, every_s=0.02)
        except TimedOut:
            self.kill()

    def write(self, record: Path) -> None:
        """Keep it in a file."""
        write_whole(record, f"{self.pid} {self.started}\n")


def read_record(record: Path) -> Process | None:
    """The process that a file tells of, alive or not; None when there is no file."""
    try:
        pid, started = record.read_text().split()
    except FileNotFoundError:
        return None
    return Process(pid=int(pid), started=int(started))


def kill_recorded(record: Path) -> None:
    """End the process that a file tells of, if it is still that one. Raises as ``kill``."""
    if (process := read_record(record)) is not None:
        process.kill()


def find(pid: int) -> Process | None:
    """The process that has this pid now."""
    seen = _read_stat(pid)
    return seen[0] if seen else None


def everyone() -> Iterator[Process]:
    """All processes of the machine that are alive."""
    for entry in PROC.iterdir():
        seen = _read_stat(int(entry.name)) if entry.name.isdigit() else None
        if seen is not None and seen[1] not in "ZX":
            yield seen[0]


def namespace_of(pid: int, kind: str) -> int | None:
    """The number of a process' ``net`` or ``pid`` namespace.

    None: it has ended, or not even root may ask, so it is none of ours.
    """
    try:
        return (PROC / str(pid) / "ns" / kind).stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def pid_inside(pid: int) -> int | None:
    """What a process is called in its own pid namespace; None when it ended."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.partition("NSpid:")[2].partition("\n")[0].split()[-1])


def run(
    argv: tuple[str, ...],
    *,
    timeout_s: float = 60,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a plain environment and ``env`` on top.

    Raises:
        CommandFailed: Its exit code is not 0 (``check``).
        subprocess.TimeoutExpired: It was ended after ``timeout_s``.
    """
    done = subprocess.run(
        argv,
        env={**PLAIN_ENVIRONMENT, **(env or {})},
        input="" if stdin is None else stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    if check and done.returncode != 0:
        raise CommandFailed(done.returncode, argv, done.stdout, done.stderr)
    return done


def detached(log: Path, *argv: str) -> tuple[str, ...]:
    """A command that starts ``argv`` as a daemon, says its pid, and ends at once."""
    return (str(DETACH), str(log), *argv)


def start(log: Path, *argv: str, record: Path | None = None) -> Process:
    """Start a daemon on the machine, nobody's child, and keep it in ``record``.

    Raises:
        CommandFailed: It could not be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid = int(run(detached(log, *argv)).stdout)
    process = find(pid)
    if process is None:
        raise CommandFailed(127, argv, "", log.read_text(errors="replace"))
    if record is not None:
        process.write(record)
    return process


def _read_stat(pid: int) -> tuple[Process, str] | None:
    """A process and the letter of its state."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
    return Process(pid=pid, started=int(fields[19])), fields[0]
