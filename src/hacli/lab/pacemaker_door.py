"""The door to the lab's Pacemaker: a unix socket behind which its tools answer."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from hacli.lab.cluster import Cluster
from hacli.lab.pacemaker_tools import run_tool
from hacli.lab.shim import packed, unpacked
from hacli.lab.tool import Answer, Reply

Shell = Callable[[tuple[str, ...]], Answer]
NO_SHELLS: Mapping[str, Shell] = {}
_LOOK_EVERY_S = 0.02
_MOST_BYTES = 1 << 24


def _pause() -> None:
    time.sleep(_LOOK_EVERY_S)


class PacemakerDoor:
    """Lets the shim run Pacemaker's tools on a cluster of the lab.

    Args:
        cluster: The cluster that answers.
        socket_path: Where the door listens; at most some 100 bytes, as for every unix socket.
        lock: Held whenever the cluster is touched; whoever advances its time holds it, too.
        wait: Lets some time pass between two looks at an order that has not ended yet.
        shells: Where a command runs that begins with the name of a host, as through ssh.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        socket_path: Path,
        lock: threading.Lock,
        wait: Callable[[], None] = _pause,
        shells: Mapping[str, Shell] = NO_SHELLS,
    ) -> None:
        self.socket_path = socket_path
        self._cluster = cluster
        self._lock = lock
        self._wait = wait
        self._shells = shells
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; the socket is there when this returns."""
        with contextlib.suppress(FileNotFoundError):
            self.socket_path.unlink()
        self._server = _Server(self, str(self.socket_path))
        self.socket_path.chmod(0o600)  # behind it are orders to cut power, and the BMCs' password
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY_S,), name="pacemaker", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, let no client wait any longer, and take the socket away."""
        self._stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self.socket_path.unlink(missing_ok=True)

    def answer(self, argv: tuple[str, ...], stdin: str) -> Answer | None:
        """Run one tool to its end; None when the door closes first."""
        with self._lock:
            reply = self._run(argv, stdin)
        while not isinstance(reply, Answer):
            if self._stopping.is_set():
                return None
            self._wait()
            with self._lock:
                reply = reply() or reply
        return reply

    def _run(self, argv: tuple[str, ...], stdin: str) -> Reply:
        shell = self._shells.get(argv[0] if argv else "")
        return run_tool(self._cluster, argv, stdin) if shell is None else shell(argv[1:])


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, door: PacemakerDoor, path: str) -> None:
        self.door = door
        super().__init__(path, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        stdin, *words = unpacked(self.rfile.read(_MOST_BYTES))
        door = cast("_Server", self.server).door
        answer = door.answer(tuple(word.decode() for word in words), stdin.decode())
        if answer is not None:
            parts = [str(answer.code), answer.stdout, answer.stderr]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a killed client
                self.wfile.write(packed([part.encode() for part in parts]))
