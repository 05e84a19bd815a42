"""One run per host on this machine: flock, which the kernel gives back when the process dies."""

import fcntl
import json
import os
from pathlib import Path
from urllib.parse import quote

from hacli.errors import Busy, Misconfigured, NotPermitted
from hacli.ports import Clock


class FileLocks:
    """A lock file per host in the runtime directory. Fits ``ports.Locks``.

    The file says who has the lock, for the error of whoever comes second; only the kernel's lock
    decides, so a file that a dead process left behind means nothing. Files stay: to remove one
    that another process has just opened would let two of them in.
    """

    def __init__(self, directory: Path, *, user: str, clock: Clock) -> None:
        self._directory = directory
        self._user = user
        self._clock = clock
        self._held: dict[str, int] = {}

    def acquire(self, host: str, *, run: str) -> None:
        """Take the lock of ``host``.

        Raises:
            Busy: Another run has it, also one of this process.
            NotPermitted: This user may not write there.
            Misconfigured: The directory cannot be made.
        """
        descriptor = self._open(host)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise Busy(
                f"Another run works on {host}.",
                why=holder,
                next_steps=("wait for its end and give the command again", "hacli history"),
                host=host,
            ) from None
        self._held[host] = descriptor
        self._write_holder(descriptor, run)

    def release(self, host: str) -> None:
        """Give it back; fine when it is not held."""
        descriptor = self._held.pop(host, None)
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _open(self, host: str) -> int:
        file = self._directory / f"{quote(host, safe='')}.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            why = f"permission denied: {error.filename}"
            raise NotPermitted(source=f"lock {file}", why=why) from error
        except OSError as error:
            raise Misconfigured(f"The lock {file} cannot be opened.", why=str(error)) from error

    def _write_holder(self, descriptor: int, run: str) -> None:
        holder = {
            "run": run,
            "pid": os.getpid(),
            "user": self._user,
            "since": self._clock.now().isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _read_holder(descriptor: int) -> str:
    """Who has the lock, in words. It may have been taken just now, and not be written yet."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return (
            f"run {holder['run']} of {holder['user']}, pid {holder['pid']}, "
            f"has its lock since {holder['since']}"
        )
    except (ValueError, KeyError, TypeError):
        return "its lock is held; by whom is not written yet"
