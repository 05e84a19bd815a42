"""The lab in the background: a process of its own for each state folder."""

import contextlib
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hacli.errors import Busy, Failed, UsageError
from hacli.lab.control import Control, ControlDoor, ask
from hacli.lab.running_lab import Lab
from hacli.lab.seed import Population, demo, many, small

SEEDS = ("small", "demo", "many")
_READY = b"ready"
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 10.0
_LOG_TAIL = 2000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What kind of lab is wanted. ``hosts`` and ``servers`` mean nothing to the seed demo."""

    folder: str
    hosts: int = 4
    servers: int = 24
    speed: float = 1.0
    seed: str = "small"
    token_life_s: float = 3600.0

    def population(self) -> Population:
        """Who lives in it."""
        if self.seed == "demo":
            return demo()
        if self.seed == "many":
            return many(count=self.servers, hosts=self.hosts)
        return small(self.hosts, self.servers)


@dataclass(frozen=True, kw_only=True)
class _Running:
    """What a lab writes down of itself. ``started`` is its process' start, in clock ticks."""

    pid: int
    started: int
    control: str
    sockets: str


def default_folder(environ: Mapping[str, str]) -> Path:
    """``HACLI_LAB``, or a folder among the user's state."""
    if environ.get("HACLI_LAB"):
        return Path(environ["HACLI_LAB"])
    home = Path(environ.get("HOME") or Path.home())
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return state / "hacli" / "lab" / "default"


def start(options: Options) -> None:
    """Start a lab and return when its doors are open.

    Raises:
        Busy: A lab runs in the folder.
        Failed: It ended before it was ready; the reason is in its log.
    """
    folder = Path(options.folder)
    if _find(folder) is not None:
        raise Busy(
            f"A lab runs in {folder} already.",
            next_steps=("hacli lab status", "hacli lab stop"),
        )
    _clean(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    reader, writer = os.pipe()
    words = [sys.executable, "-P", "-m", "hacli.lab.daemon", str(writer)]
    with (folder / "log").open("wb") as log, os.fdopen(reader, "rb") as ready:
        with os.fdopen(writer, "wb"):
            child = subprocess.Popen(  # noqa: S603 - this interpreter, and words of ours
                [*words, json.dumps(asdict(options))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writer,),
                start_new_session=True,
                cwd=folder,
            )
        child.wait()
        in_time, _, _ = select.select([ready], [], [], _START_LIMIT_S)
        if not in_time or ready.read() != _READY:
            raise Failed("The lab did not start.", why=_tail(folder / "log"))


def stop(folder: Path) -> bool:
    """End the lab of the folder and remove what it leaves behind; False when none ran.

    The logs stay.
    """
    running = _find(folder)
    if running is not None:
        _end(running)
    _clean(folder)
    return running is not None


def order(folder: Path, words: dict[str, object]) -> dict[str, object]:
    """Give an order to the lab of the folder.

    Raises:
        UsageError: No lab runs there, or it does not understand.
        Failed: It does not answer.
    """
    running = _find(folder)
    if running is None:
        raise UsageError(f"No lab runs in {folder}.", next_steps=("hacli lab start",))
    return ask(Path(running.control), words)


def environment(folder: Path) -> str:
    """The exports for a shell; raises UsageError when no lab runs in the folder."""
    if _find(folder) is None:
        raise UsageError(f"No lab runs in {folder}.", next_steps=("hacli lab start",))
    return (folder / "env").read_text(encoding="utf-8")


def main(ready: int, options: Options) -> None:
    """Be the lab: returns in the process that was started, and never in the one that stays."""
    if os.fork():
        return
    folder = Path(options.folder)
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lab = Lab(
            options.population(),
            speed=options.speed,
            folder=folder,
            token_life_s=options.token_life_s,
        )
        with lab:
            door = ControlDoor(Control(lab), socket_path=lab.workspace.control_socket)
            door.start()
            try:
                _write_down(folder, lab)
                with os.fdopen(ready, "wb") as pipe:
                    pipe.write(_READY)  # fails, and ends the lab, when nobody waits for it any more
                signal.sigwait(signals)
            finally:
                door.stop()
                (folder / "daemon.json").unlink(missing_ok=True)


def _write_down(folder: Path, lab: Lab) -> None:
    pid = os.getpid()
    running = _Running(
        pid=pid,
        started=_start_of(pid) or 0,
        control=str(lab.workspace.control_socket),
        sockets=str(lab.workspace.control_socket.parent),
    )
    (folder / "daemon.json").write_text(json.dumps(asdict(running)), encoding="utf-8")


def _find(folder: Path) -> _Running | None:
    """The lab that runs for this folder; None when there is none, or only its remains."""
    running = _read(folder)
    if running is None or _start_of(running.pid) != running.started:
        return None
    return running


def _read(folder: Path) -> _Running | None:
    try:
        return _Running(**json.loads((folder / "daemon.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _start_of(pid: int) -> int | None:
    """When the process of this number began (proc(5), stat, field 22); None: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _end(running: _Running) -> None:
    """Ask the process to end, and end it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(running.pid)
        try:
            if _start_of(running.pid) != running.started:
                return
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], _STOP_LIMIT_S)[0]:
                    return
        finally:
            os.close(handle)


def _clean(folder: Path) -> None:
    """Remove what a lab leaves that was killed."""
    remains = _read(folder)
    if remains is not None:
        sockets = Path(remains.sockets)
        for name in ("control.sock", "pacemaker.sock"):
            (sockets / name).unlink(missing_ok=True)
        if sockets != folder and sockets.name.startswith("hacli-lab-"):
            shutil.rmtree(sockets, ignore_errors=True)
    (folder / "daemon.json").unlink(missing_ok=True)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()


if __name__ == "__main__":
    main(int(sys.argv[1]), Options(**json.loads(sys.argv[2])))
