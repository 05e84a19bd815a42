"""A Keystone and a Nova on one loopback port: real HTTP, answers written by the test."""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from hacli.adapters.keystone import Cloud, bound
from hacli.adapters.nova import Nova
from hacli.ports import Compute

RECORDINGS = Path(__file__).parent / "recordings" / "nova"
DATE = "Sun, 22 Nov 2026 05:28:20 GMT"
PASSWORD = "correct horse"


def recorded(name: str) -> dict[str, object]:
    """The body of a recorded answer."""
    body = json.loads((RECORDINGS / f"{name}.json").read_text())["body"]
    assert isinstance(body, dict)
    return body


def records_of(body: dict[str, object], key: str) -> list[dict[str, object]]:
    """The objects under ``key``."""
    records = body[key]
    assert isinstance(records, list)
    return records


@dataclass(frozen=True, kw_only=True)
class Request:
    """What reached Nova, after the token was accepted."""

    method: str
    path: str
    query: dict[str, str]
    version: str | None
    body: object


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of Nova's."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None  # instead of JSON


class Fault(Enum):
    """What a server may do instead of answering a request that it has read."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    HALF = "half an answer"


Answerer = Callable[[Request], Reply | Fault]


def not_found(request: Request) -> Reply:
    """Nothing is there."""
    message = f"no answer written for {request.method} {request.path}"
    return Reply(status=404, body={"itemNotFound": {"code": 404, "message": message}})


@dataclass
class NovaServer:
    """Use as a context manager. What happens is decided by the attributes, at any time."""

    answer: Answerer = not_found
    roles: Sequence[str] = ("admin",)
    versions: tuple[str, str] = ("2.1", "2.104")
    token_life_s: float = 3600.0
    keystone_status: int = 201
    keep_alive: bool = True
    drop_connections: bool = False  # accept, and close at once
    accept_tokens: bool = True
    catalog_url: str = ""  # of another server's Nova
    catalog_path: str = "/compute/v2.1"
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)  # with a token that is no longer good
    connections: int = 0
    logins: int = 0
    tokens: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        self.let_go = threading.Event()
        self._http = _Http(self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go.set()
        self.stop()

    def stop(self) -> None:
        """Close the port: the next connection is refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.hang_up()
            self._http.server_close()

    def close_idle(self) -> None:
        """Close the connections that clients keep open, as proxies do after a while."""
        self._http.hang_up()

    def revoke_tokens(self) -> None:
        """Nova refuses every token issued so far (401)."""
        self.tokens.clear()

    @property
    def url(self) -> str:
        """The address of both services."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def changes(self) -> list[Request]:
        """The requests that would change something, refused ones included, in order."""
        return [r for r in (*self.requests, *self.refused) if r.method in ("PUT", "POST")]

    def cloud(self, *, read_limit_s: float = 5.0, verify: str | bool = True) -> Cloud:
        """A session that has asked nothing yet."""
        auth = Password(
            auth_url=f"{self.url}/identity/v3",
            username="operator",
            password=PASSWORD,
            project_name="ops",
            user_domain_id="default",
            project_domain_id="default",
        )
        session = Session(auth=auth, verify=verify)
        bound(session, read_limit_s=read_limit_s)
        return Cloud(session=session, interface="public", region="RegionOne")

    def nova(self, *, read_limit_s: float = 5.0, write_limit_s: float = 0.5) -> Compute:
        """The adapter under test, as the port that it fits."""
        return Nova(self.cloud, read_limit_s=read_limit_s, write_limit_s=write_limit_s)


def in_pages(
    records: list[dict[str, object]], key: str, *, id_key: str = "id", most: int = 1000
) -> Answerer:
    """Nova's paging: at most ``limit`` records after ``marker``, never more than ``most``.

    A full page has a link to the next one, whether there is one or not.
    """

    def answer(request: Request) -> Reply:
        ids = [record[id_key] for record in records]
        marker = request.query.get("marker")
        start = ids.index(marker) + 1 if marker else 0
        limit = min(int(request.query.get("limit", "1000")), most)
        page = records[start : start + limit]
        links = {f"{key}_links": [{"rel": "next", "href": "…"}]} if len(page) == limit else {}
        return Reply(body={key: page, **links})

    return answer


def by_path(answers: dict[str, Answerer | Reply | Fault]) -> Answerer:
    """The answer whose pattern matches the whole path."""

    def answer(request: Request) -> Reply | Fault:
        for pattern, found in answers.items():
            if re.fullmatch(pattern, request.path):
                return found if isinstance(found, Reply | Fault) else found(request)
        return not_found(request)

    return answer


class _Http(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, owner: NovaServer) -> None:
        self.owner = owner
        self.talking: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def verify_request(self, request: object, client_address: object) -> bool:
        self.owner.connections += 1
        return not self.owner.drop_connections

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection, in its own thread: no handshake holds up the others."""
        assert isinstance(request, socket.socket)
        if self.owner.tls is None:
            self._talk(request, client_address)
            return
        with self.owner.tls.wrap_socket(request, server_side=True) as encrypted:
            self._talk(encrypted, client_address)

    def _talk(self, connection: socket.socket, client_address: object) -> None:
        self.talking.add(connection)
        try:
            _Handler(connection, client_address, self)
        finally:
            self.talking.discard(connection)

    def hang_up(self) -> None:
        """End the connections that clients keep open, and with them their threads."""
        for connection in tuple(self.talking):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_GET  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return DATE

    def _serve(self) -> None:
        owner, parts = self.server.owner, urlsplit(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length)) if length else None
        if not owner.keep_alive:
            self.close_connection = True
        if parts.path.startswith("/identity"):
            self._keystone(parts.path, body)
            return
        path = re.sub(r"^/compute(/v2\.1)?(/0123)?", "", parts.path)
        request = Request(
            method=self.command,
            path=path,
            query={key: words[-1] for key, words in parse_qs(parts.query).items()},
            version=self.headers.get("X-OpenStack-Nova-API-Version"),
            body=body,
        )
        token = self.headers.get("X-Auth-Token")
        if token not in owner.tokens or not owner.accept_tokens:
            owner.refused.append(request)
            self._reply(Reply(status=401, body={"error": {"message": "token expired"}}))
        elif path == "/":
            lowest, highest = owner.versions
            version = {"id": "v2.1", "version": highest, "min_version": lowest}
            self._reply(Reply(body={"version": version}))
        else:
            owner.requests.append(request)
            self._do(owner.answer(request))

    def _keystone(self, path: str, body: object) -> None:
        owner = self.server.owner
        if not path.endswith("/tokens"):
            links = [{"rel": "self", "href": f"{owner.url}/identity/v3/"}]
            self._reply(
                Reply(body={"version": {"id": "v3.14", "status": "stable", "links": links}})
            )
            return
        owner.logins += 1
        if owner.keystone_status != 201 or PASSWORD not in json.dumps(body):
            status = 401 if owner.keystone_status == 201 else owner.keystone_status
            self._reply(Reply(status=status, body={"error": {"message": f"not {PASSWORD}"}}))
            return
        token = f"secret-token-{owner.logins}"
        owner.tokens.add(token)
        reply = Reply(status=201, body=self._token(), headers={"X-Subject-Token": token})
        self._reply(reply)

    def _token(self) -> dict[str, object]:
        owner, now = self.server.owner, datetime.now(UTC)
        endpoint = {
            "interface": "public",
            "region_id": "RegionOne",
            "region": "RegionOne",
            "url": (owner.catalog_url or owner.url) + owner.catalog_path,
        }
        service = {"type": "compute", "name": "nova", "endpoints": [endpoint]}
        return {
            "token": {
                "methods": ["password"],
                "user": {"id": "u1", "name": "operator", "domain": {"id": "default"}},
                "project": {"id": "p1", "name": "ops", "domain": {"id": "default"}},
                "roles": [{"id": role, "name": role} for role in owner.roles],
                "catalog": [service],
                "issued_at": now.isoformat().replace("+00:00", "Z"),
                "expires_at": (now + timedelta(seconds=owner.token_life_s))
                .isoformat()
                .replace("+00:00", "Z"),
            }
        }

    def _do(self, what: Reply | Fault) -> None:
        if isinstance(what, Reply):
            self._reply(what)
            return
        self.close_connection = True
        if what is Fault.HANG:
            self.server.owner.let_go.wait(20)
        elif what is Fault.RESET:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif what is Fault.HALF:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"half')

    def _reply(self, reply: Reply) -> None:
        text = reply.text
        if text is None:
            text = "" if reply.body is None else json.dumps(reply.body)
        with suppress(OSError):
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            if self.close_connection:
                self.send_header("Connection", "close")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())
