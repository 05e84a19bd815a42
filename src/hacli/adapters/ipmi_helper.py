"""The helper process of the IPMI driver: imports pyghmi once, forks one child per operation.

Run by path, in isolated mode, by ``hacli.adapters.ipmi``; it needs nothing of hacli. pyghmi has
paths that never return and cannot be interrupted, so that each operation has a child of its own,
killed at its deadline. Nothing here may touch the network: a forked pyghmi works only when its
I/O thread was never started.

One JSON document per line. In: ``id``, ``operation`` (read, off, on), ``address``, ``port``,
``user``, ``password``, ``timeout_s``. Out, in the order of completion: ``id``, ``seconds`` and one
of ``state`` (on, off, unknown), ``failure`` (pyghmi's or the BMC's words), ``expired`` (the child
had to be killed), or nothing more for an order that was accepted. A document without ``id`` says
why the helper itself cannot work.
"""

import ctypes
import gc
import hmac
import json
import os
import random
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

_PR_SET_PDEATHSIG = 1
_CHASSIS, _GET_STATUS, _CONTROL = 0x00, 0x01, 0x02
_ORDERS = {"off": 0x00, "on": 0x01}
_NOT_IN_THIS_STATE = 0xD5


class Session(Protocol):
    """What is used of ``pyghmi.ipmi.private.session.Session``."""

    def logout(self) -> object:
        """Close the session, so that its slot in the BMC is free again."""
        ...


class LoggedIn(Protocol):
    """What is used of ``pyghmi.ipmi.command.Command``, which logs in when it is made."""

    @property
    def ipmi_session(self) -> Session:
        """The open session."""
        ...

    def raw_command(self, netfn: int, command: int, *, data: Sequence[int] = ()) -> dict[str, Any]:
        """``code`` and ``data`` of the answer, and ``error`` when the code is not 0."""
        ...


def main() -> None:
    """Serve until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # pyghmi prints; the answers must stay clean
    try:
        from pyghmi.ipmi.command import Command

        _warm_up()
    except ImportError as error:
        _send(answers, {"failure": f"pyghmi cannot be imported: {error}"})
        return
    Helper(Command, requests=0, answers=answers, limit=int(sys.argv[1])).serve()


def _warm_up() -> None:
    """Let libraries load here, once, what each child would otherwise load for itself.

    OpenSSL looks up its algorithms and libc its resolvers at the first use: more than half of a
    child's CPU time.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    cipher = Cipher(AES(bytes(16)), CBC(bytes(16)))
    cipher.encryptor().update(bytes(16))
    cipher.decryptor().update(bytes(16))
    for digest in ("sha1", "sha256"):
        hmac.new(b"key", b"text", digest).digest()
    socket.getaddrinfo("127.0.0.1", 623, 0, socket.SOCK_DGRAM)
    gc.freeze()


@dataclass(kw_only=True)
class _Child:
    """One operation in flight."""

    pid: int
    number: int
    pipe: int
    started_at: float
    deadline: float
    answered: bool = False


class Helper:
    """Runs operations in children, at most ``limit`` at once, the others in order of arrival."""

    def __init__(
        self, connect: Callable[..., LoggedIn], *, requests: int, answers: int, limit: int
    ) -> None:
        self._connect = connect
        self._requests = requests
        self._answers = answers
        self._limit = limit
        self._unread = b""
        self._queue: deque[dict[str, Any]] = deque()
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        """Work until the requests end or nobody reads the answers; leave no child behind."""
        self._selector.register(self._requests, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        except BrokenPipeError:
            return
        finally:
            for child in tuple(self._children.values()):
                self._bury(child)

    def _turn(self) -> bool:
        while self._queue and len(self._children) < self._limit:
            self._start(self._queue.popleft())
        for key, _ in self._selector.select(self._patience()):
            if key.fd != self._requests:
                self._listen(self._children[key.fd])
            elif not self._read_requests():
                return False
        now = time.monotonic()
        for child in [c for c in self._children.values() if c.deadline <= now]:
            self._finish(child, {"expired": True})
        return True

    def _patience(self) -> float | None:
        if not self._children:
            return None
        return max(0.0, min(c.deadline for c in self._children.values()) - time.monotonic())

    def _read_requests(self) -> bool:
        received = os.read(self._requests, 65536)
        *lines, self._unread = (self._unread + received).split(b"\n")
        self._queue.extend(json.loads(line) for line in lines)
        return bool(received)

    def _start(self, request: dict[str, Any]) -> None:
        ours, theirs = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(request, theirs, parent)
        os.close(theirs)
        now = time.monotonic()
        self._children[ours] = _Child(
            pid=pid,
            number=request["id"],
            pipe=ours,
            started_at=now,
            deadline=now + request["timeout_s"],
        )
        self._selector.register(ours, selectors.EVENT_READ)

    def _become_child(self, request: dict[str, Any], pipe: int, parent: int) -> NoReturn:
        try:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                os.dup2(1, self._requests)
                os.close(self._answers)  # or the end of the helper would not be seen
                random.seed()  # else all children would send their retries at the same moment
                _operate(self._connect, request, pipe)
        finally:
            os._exit(0)

    def _listen(self, child: _Child) -> None:
        received = os.read(child.pipe, 65536)  # one small write: never in parts
        if received:
            self._answer(child, json.loads(received))
        else:
            self._finish(child, {"failure": "the operation ended without a result"})

    def _finish(self, child: _Child, answer: dict[str, Any]) -> None:
        self._bury(child)
        self._answer(child, answer)

    def _answer(self, child: _Child, answer: dict[str, Any]) -> None:
        if not child.answered:
            child.answered = True
            seconds = time.monotonic() - child.started_at
            _send(self._answers, {"id": child.number, "seconds": seconds, **answer})

    def _bury(self, child: _Child) -> None:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        self._selector.unregister(child.pipe)
        os.close(child.pipe)
        del self._children[child.pipe]


def _operate(connect: Callable[..., LoggedIn], request: Mapping[str, Any], pipe: int) -> None:
    """Log in, do the one thing, answer, log out."""
    # Bytes: with str, pyghmi 1.6.19 keeps its registry of logins wrong.
    user, password = request["user"].encode(), request["password"].encode()
    session = None
    try:
        bmc = connect(bmc=request["address"], port=request["port"], userid=user, password=password)
        session = bmc.ipmi_session
        answer = perform(bmc, request["operation"])
    except Exception as error:  # noqa: BLE001  # pyghmi leaks struct.error, TypeError, ...
        # It names the user, as bytes, in what it says of privileges.
        answer = {"failure": str(error).replace(repr(user), "this user")}
    _send(pipe, answer)
    if session is not None:
        session.logout()


def perform(bmc: LoggedIn, operation: str) -> dict[str, Any]:
    """Do one operation by the plain chassis commands of IPMI.

    Not by pyghmi's ``get_power`` and ``set_power``: they ask for the device id first, and
    ``set_power`` sends no order when the BMC already claims the wanted state.
    """
    if operation == "read":
        return _read(bmc)
    response = bmc.raw_command(netfn=_CHASSIS, command=_CONTROL, data=(_ORDERS[operation],))
    if response["code"] == _NOT_IN_THIS_STATE and _read(bmc).get("state") == operation:
        return {}
    if "error" in response:
        return {"failure": response["error"]}
    return {}


def _read(bmc: LoggedIn) -> dict[str, Any]:
    response = bmc.raw_command(netfn=_CHASSIS, command=_GET_STATUS)
    if "error" in response:
        return {"failure": response["error"]}
    if not response["data"]:
        return {"state": "unknown"}
    return {"state": "on" if response["data"][0] & 1 else "off"}


def _send(descriptor: int, document: Mapping[str, Any]) -> None:
    os.write(descriptor, json.dumps(document).encode() + b"\n")


if __name__ == "__main__":
    main()
