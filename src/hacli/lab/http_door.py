"""The lab's services over real HTTP/1.1 on loopback, one port each."""

import contextlib
import json
import selectors
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from hacli.lab.cloud_records import stable_uuid
from hacli.lab.http_shapes import Caller, Request, Response
from hacli.lab.request_log import RequestLog, RequestRecord, Target
from hacli.lab.wire_faults import WireEffect, WireFault, WireFaults

NOBODY = Caller(project="", user="")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset instead of an end
_JOIN_S = 5.0
_UNAUTHORIZED = Response(
    status=401,
    headers={"WWW-Authenticate": "Keystone uri=lab"},
    body={"error": {"code": 401, "title": "Unauthorized", "message": "Authentication required"}},
)
_UNAVAILABLE = Response(
    status=503, body={"error": {"code": 503, "message": "The lab was told to be unavailable."}}
)
_MALFORMED = Response(
    status=400, body={"badRequest": {"code": 400, "message": "Malformed request body"}}
)


@dataclass(frozen=True, kw_only=True)
class HttpService:
    """One service behind the door.

    Args:
        handle: Answers a request; called under the region's lock.
        open_paths: Paths, without their slashes at the ends, that need no token.
        witness: Says whom a request means, before it is handled; see ``request_log.Target``.
        made: Completes what the witness said when the request has been handled.
        secret: Bodies are not to be written down.
    """

    handle: Callable[[Request], Response]
    open_paths: frozenset[str] = frozenset()
    witness: Callable[[Request], Target | None] = lambda _request: None
    made: Callable[[Target], Target] = lambda target: target
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What a client gets, and under which failure."""

    response: Response
    fault: WireFault | None = None

    def is_(self, effect: WireEffect) -> bool:
        return self.fault is not None and self.fault.effect is effect

    @property
    def sent(self) -> int | None:
        return None if self.is_(WireEffect.LOST) else self.response.status


class HttpDoor:
    """Lets HTTP clients in. Ports are bound at once, so that services can name their addresses.

    Args:
        names: The services, which ``serve`` brings.
        lock: Held whenever a service is asked.
        now: Brings the region up to the present and tells its time; called under the lock.
        speed: Delays that services ask for are divided by it.
        log: Where requests are written down.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        lock: threading.Lock,
        now: Callable[[], float],
        log: RequestLog,
        speed: float = 1.0,
    ) -> None:
        self.faults = WireFaults()
        self.stopping = threading.Event()
        self._lock = lock
        self._now = now
        self._identify: Callable[[str | None], Caller | None] = lambda _token: None
        self._log = log
        self._speed = speed
        self._requests = 0
        self._services: Mapping[str, HttpService] = {}
        self._listeners = {name: _Listener(self, name) for name in names}
        self._closed_until: dict[str, threading.Timer] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="lab-http", daemon=True)

    @property
    def urls(self) -> dict[str, str]:
        """Where each service is reached, without a path."""
        return {
            name: f"http://127.0.0.1:{listener.port}" for name, listener in self._listeners.items()
        }

    def serve(
        self,
        services: Mapping[str, HttpService],
        *,
        identify: Callable[[str | None], Caller | None],
    ) -> None:
        """Begin to answer. ``identify`` tells the caller of a token that is still good."""
        self._services = services
        self._identify = identify
        self._selector.register(self._wakened, selectors.EVENT_READ)
        for listener in self._listeners.values():
            self._selector.register(listener, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, end every connection and give the ports back."""
        self.stopping.set()
        for timer in tuple(self._closed_until.values()):
            timer.cancel()
            timer.join()
        self._waker.send(b"x")
        self._thread.join()
        left = []
        for listener in self._listeners.values():
            listener.server_close()
            left += listener.hang_up()
        for thread in left:
            thread.join(_JOIN_S)
        self._waker.close()
        self._wakened.close()
        self._selector.close()

    def refuse_connections(self, name: str, seconds: float) -> None:
        """Nobody listens at the service's port for so many real seconds, as while it restarts."""
        listener = self._listeners[name]
        with self._lock:
            if name in self._closed_until:
                return
            self._selector.unregister(listener)
            listener.server_close()
            timer = threading.Timer(seconds, lambda: self._listen_again(name))
            timer.daemon = True
            self._closed_until[name] = timer
        listener.hang_up()
        timer.start()

    def answer(self, name: str, request: Request, *, token: str | None) -> _Outcome:
        """Let a service handle a request, under the failures on order, and write it down."""
        service = self._services[name]
        query = "&".join(f"{key}={value}" for key, value in request.query.items())
        with self._lock:
            at = self._now()
            fault = self.faults.take(name, request.method, f"{request.path}?{query}")
            outcome, record = self._handled(service, request, token=token, fault=fault)
            self._log.add(replace(record, at=at, service=name, query=query))
        return outcome

    def date(self) -> str:
        """The region's time as a Date header."""
        with self._lock:
            return formatdate(self._now(), usegmt=True)

    def pause(self, outcome: _Outcome) -> None:
        """Wait as long as the answer takes; the end of the door ends it."""
        late = outcome.fault.seconds if outcome.fault else 0.0
        seconds = outcome.response.delay_s / self._speed + late
        if seconds:
            self.stopping.wait(seconds)

    def _handled(
        self, service: HttpService, request: Request, *, token: str | None, fault: WireFault | None
    ) -> tuple[_Outcome, RequestRecord]:
        caller = self._identify(token)
        request = replace(request, caller=caller or NOBODY)
        never_reached = fault is not None and fault.effect is WireEffect.UNAVAILABLE
        target = service.witness(request) if request.method != "GET" and caller else None
        if never_reached:
            handled = answered = _UNAVAILABLE
        elif caller is None and request.path.strip("/") not in service.open_paths:
            handled = answered = _UNAUTHORIZED
        else:
            handled = answered = service.handle(request)
            if target is not None:
                target = service.made(target)
        if fault is not None and fault.effect is WireEffect.UNAVAILABLE_AFTER:
            answered = replace(_UNAVAILABLE, delay_s=handled.delay_s)
        outcome = _Outcome(response=self._named(answered), fault=fault)
        succeeded = handled.status < 300  # noqa: PLR2004 - 2xx
        record = RequestRecord(
            at=0.0,
            service="",
            method=request.method,
            path=request.path,
            microversion=request.headers.get("openstack-api-version"),
            user=request.caller.user,
            body=None if service.secret else request.body,
            status=None if never_reached else handled.status,
            sent=outcome.sent,
            fault=fault.effect.value if fault else None,
            changed=target is not None
            and not never_reached
            and (succeeded or target.migration is not None),
            target=target,
        )
        return outcome, record

    def _named(self, response: Response) -> Response:
        """The answer with a request id, which Nova's already has."""
        self._requests += 1
        identity = f"req-{stable_uuid('http', str(self._requests))}"
        return replace(response, headers={"x-openstack-request-id": identity, **response.headers})

    def _listen_again(self, name: str) -> None:
        port = self._listeners[name].port
        with self._lock:
            self._closed_until.pop(name, None)
            if not self.stopping.is_set():
                self._listeners[name] = _Listener(self, name, port=port)
                self._selector.register(self._listeners[name], selectors.EVENT_READ)

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if not isinstance(key.fileobj, _Listener):
                    return
                with contextlib.suppress(OSError):  # the client, or the listener, is gone again
                    connection, address = key.fileobj.get_request()
                    key.fileobj.process_request(connection, address)


class _Listener(ThreadingHTTPServer):
    """The port of one service, and the connections that came through it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, door: HttpDoor, name: str, *, port: int = 0) -> None:
        self.door = door
        self.name = name
        self._connections: dict[object, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self.port = self.server_address[1]
        self.socket.setblocking(False)  # noqa: FBT003 - the socket's own word

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, object]:
        """Take a connection."""
        connection, address = super().get_request()
        connection.setblocking(True)  # noqa: FBT003
        return connection, address

    def process_request(self, request: object, client_address: object) -> None:
        """Serve a connection in a thread of its own, which ``hang_up`` knows."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: object) -> None:
        """Close a connection, without the polite end that would hide a reset."""
        cast("socket.socket", request).close()
        with self._lock:
            self._connections.pop(request, None)

    def hang_up(self) -> list[threading.Thread]:
        """End all connections, also those in the middle of a request; the threads that leave."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the client was faster
                    cast("socket.socket", connection).shutdown(socket.SHUT_RDWR)
            return list(self._connections.values())

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no concern of the lab."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """One connection: requests in, answers out."""

    protocol_version = "HTTP/1.1"
    server_version = "lab"
    wbufsize = -1  # head and body of an answer leave together
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Handle one request of any method."""
        listener = cast("_Listener", self.server)
        door = listener.door
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        address = urlsplit(self.path)
        try:
            body = json.loads(content) if content else None
        except ValueError:
            self._send(_MALFORMED)
            return
        request = Request(
            method=self.command,
            path=address.path,
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body if isinstance(body, dict) else None,
            caller=NOBODY,
        )
        outcome = door.answer(listener.name, request, token=self.headers.get("X-Auth-Token"))
        door.pause(outcome)
        if outcome.is_(WireEffect.LOST):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close_connection = True
        else:
            self._send(outcome.response, half=outcome.is_(WireEffect.HALF))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - its names

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002
        """The region's time, in every Date header."""
        return cast("_Listener", self.server).door.date()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
        """Nothing: there is a log of requests."""

    def _send(self, response: Response, *, half: bool = False) -> None:
        content = b"" if response.body is None else json.dumps(response.body).encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if content:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if half:
            content = content[: len(content) // 2]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(content)
