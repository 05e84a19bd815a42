"""A hacli on a terminal of its own: what is typed, and every byte that comes back."""

import errno
import os
import pty
import select
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import ioctl
from termios import TIOCSWINSZ

from tests.cli.children import HACLI

ROWS, COLUMNS = 24, 80


class Terminal:
    """The keyboard and the screen of one process."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.seen = ""

    def type(self, text: str) -> None:
        """Keys are pressed."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str, *, within_s: float = 30.0) -> None:
        """Until the screen has shown it."""
        until = time.monotonic() + within_s
        while text not in self.seen:
            assert time.monotonic() < until, f"no {text!r} in {self.seen!r}"
            assert self._read(until - time.monotonic()), f"ended without {text!r}: {self.seen!r}"

    def wait(self, *, within_s: float = 30.0) -> int:
        """Until the process has ended; its exit code."""
        until = time.monotonic() + within_s
        while self._read(until - time.monotonic()):
            assert time.monotonic() < until, f"still running: {self.seen!r}"
        return self.process.wait(timeout=within_s)

    def _read(self, seconds: float) -> bool:
        """Take in what has been written; False at its end."""
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return True
        try:
            found = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: the other side is closed
                raise
            return False
        self.seen += found.decode()
        return bool(found)


@contextmanager
def terminal(*words: str, env: Mapping[str, str]) -> Iterator[Terminal]:
    """A hacli that controls its own terminal of 80x24, ended at the end whatever it does."""
    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *HACLI, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
