"""Where the processes of the matrix are born: each is a fork of one that has imported hacli.

Two thousand processes would spend ten minutes on their imports alone. A child of the nursery has
imported everything and done nothing: environment, descriptors, arguments and all that hacli makes
of them are its own, and so are its number, its threads and its death.

``python -m tests.kill.nursery SOCKET`` serves until its stdin ends.
"""

from tests.kill.steered_time import SteeredClocks

CLOCKS = SteeredClocks()  # before anything that keeps a clock for itself is imported

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import selectors  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Iterator, Mapping, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

from tests.e2e.site import ROOT  # noqa: E402
from tests.eventually import eventually  # noqa: E402
from tests.kill.program import Orders, main  # noqa: E402

_MOST_BYTES = 1 << 16
_READY_WITHIN_S = 60.0
_LAZY = (
    "hacli.adapters.keystone",
    "hacli.cli.act",
    "hacli.cli.acting",
    "hacli.cli.failures",
    "keystoneauth1.loading",
    "keystoneauth1.loading._plugins.identity.generic",
    "novaclient.client",
    "openstack.config",
    "rich.live",
)
"""What hacli imports only when it is used."""


class Child:
    """A process of the nursery, as ``subprocess.Popen`` shows one."""

    def __init__(self, connection: socket.socket) -> None:
        self._told = connection.makefile("r", encoding="ascii")
        self._connection = connection
        self._lock = threading.Lock()
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self._read(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutExpired: It runs on.
        """
        code = self._read(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("hacli", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """As long as it runs."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float | None) -> int | None:
        with self._lock, selectors.DefaultSelector() as selector:
            if self.returncode is None:
                selector.register(self._connection, selectors.EVENT_READ)
                if selector.select(timeout):
                    self.returncode = int(self._told.readline())
                    self._told.close()
                    self._connection.close()
            return self.returncode


class Nursery:
    """The way to the process that forks."""

    def __init__(self, address: Path) -> None:
        self._address = address

    def start(
        self,
        orders: Orders,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        out: int,
        err: int,
    ) -> Child:
        """A new process that runs these words, and writes to these descriptors."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._address))
        message = json.dumps({"orders": asdict(orders), "words": list(words), "env": dict(env)})
        socket.send_fds(connection, [message.encode()], [out, err])
        connection.shutdown(socket.SHUT_WR)
        return Child(connection)


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """One that is ready; it and its sockets are gone afterwards."""
    address = folder / "nursery"
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(address)], stdin=subprocess.PIPE, cwd=ROOT
    )
    try:
        eventually(address.exists, within_s=_READY_WITHIN_S)
        yield Nursery(address)
    finally:
        process.communicate()


class _Forks:
    """The nursery's own side."""

    def __init__(self, address: Path) -> None:
        for module in _LAZY:
            importlib.import_module(module)
        self._wakened, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._children: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{address}.early")
        self._listener.listen(64)
        Path(f"{address}.early").rename(address)

    def serve(self) -> None:
        """Fork on request, tell how each child ends."""
        with selectors.DefaultSelector() as selector:
            for door in (self._listener.fileno(), self._wakened, 0):
                selector.register(door, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._wakened in ready:
                    os.read(self._wakened, _MOST_BYTES)
                    self._tell_ends()
                if self._listener.fileno() in ready:
                    self._bear()
                if 0 in ready:
                    return

    def _bear(self) -> None:
        connection, _ = self._listener.accept()
        content, descriptors, _, _ = socket.recv_fds(connection, _MOST_BYTES, 2)
        while more := connection.recv(_MOST_BYTES):
            content += more
        pid = os.fork()
        if pid == 0:
            self._live(json.loads(content), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[pid] = connection
        connection.sendall(f"{pid}\n".encode())

    def _tell_ends(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._children.pop(pid) as connection:
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _live(self, letter: dict[str, Any], descriptors: list[int]) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for connection in self._children.values():
                connection.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for theirs, ours in zip((nothing, *descriptors), (0, 1, 2), strict=True):
                os.dup2(theirs, ours)
            os.environ.clear()
            os.environ.update(letter["env"])
            code = main(Orders(**letter["orders"]), list(letter["words"]), CLOCKS)
            sys.stdout.flush()
        finally:
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    _Forks(Path(sys.argv[1])).serve()
