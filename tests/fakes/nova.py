"""Nova for services: the real adapter on the lab's API, in virtual time, with an unkind wire."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from threading import local
from urllib.parse import parse_qsl, urlsplit

import requests
from keystoneauth1.session import Session

from hacli.adapters.keystone import Cloud, WireFailure
from hacli.adapters.nova import READ_LIMIT_S, WRITE_LIMIT_S, Nova
from hacli.adapters.nova_api import Endpoint, NovaApi, Reader, Writer
from hacli.domain.evidence import FenceEvidence
from hacli.domain.servers import ComputeService, RequestOutcome
from hacli.lab import nova_api as lab
from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER
from hacli.lab.http_shapes import Caller, Request, Response
from hacli.lab.nova_witness import NovaWitness
from hacli.lab.region import Region
from hacli.lab.request_log import RequestLog, RequestRecord, Target
from tests.fakes.calls import Call, CallLog
from tests.fakes.clock import FakeClock, Process

URL = "http://nova.example.org:8774/v2.1"
UNAVAILABLE, BAD_REQUEST = 503, 400
WIRE_S = 0.03
"""Half of what a request takes when nothing is wrong."""


class Wire(Enum):
    """What becomes of a request between hacli and Nova."""

    NOT_SENT = "connection refused"
    DROPPED = "lost on the way there: no answer, and nothing done"
    LOST = "lost on the way back: no answer, and it was done"
    UNAVAILABLE_AFTER = "503, and it was done"


@dataclass
class WireFault:
    """Which requests suffer what, how often, and until when (monotonic)."""

    wire: Wire
    method: str = ".*"
    path: str = ".*"
    times: int | None = None
    until: float = float("inf")

    def meets(self, method: str, path: str, *, now: float) -> bool:
        """Whether this request suffers it, counted down."""
        hit = (
            self.times != 0
            and now < self.until
            and re.fullmatch(self.method, method) is not None
            and re.fullmatch(self.path, path) is not None
        )
        if hit and self.times is not None:
            self.times -= 1
        return hit


@dataclass
class Line:
    """The way from one process to Nova."""

    region: Region
    clock: FakeClock
    process: Process
    log: CallLog
    requests: RequestLog
    witness: NovaWitness
    aliases: Mapping[str, str]  # machine -> its name in Nova, where they differ
    roles: tuple[str, ...] = ("admin", "member")  # as Nova's policy sees the caller
    token_roles: tuple[str, ...] | None = None  # as the token says, where that differs
    faults: list[WireFault] = field(default_factory=list)
    hides: str | None = None  # a host whose servers no list shows
    sends_date: bool = True  # as any web server before Nova does; a bare uwsgi does not
    carried: local = field(default_factory=local)  # the evidence of the call on this thread

    def fault(self, method: str, path: str) -> Wire | None:
        """What happens to this request."""
        now = self.clock.monotonic()
        return next((f.wire for f in self.faults if f.meets(method, path, now=now)), None)

    @contextmanager
    def carrying(self, evidence: FenceEvidence) -> Iterator[None]:
        """The requests in this block are sent on this evidence."""
        self.carried.evidence = evidence
        try:
            yield
        finally:
            self.carried.evidence = None


class _Client:
    """In the place of novaclient's HTTP client."""

    def __init__(self, line: Line, api: lab.NovaApi, *, version: str, limit_s: float) -> None:
        self._line = line
        self._api = api
        self._version = version
        self._limit_s = limit_s

    def request(self, url: str, method: str, **options: object) -> tuple[requests.Response, object]:
        """One request and its answer. Raises WireFailure as the session's adapter does."""
        line = self._line
        path = urlsplit(url).path.removeprefix("/v2.1/")
        limit_s = self._limit_of(options)
        line.clock.spend(WIRE_S)
        wire = line.fault(method, path)
        if wire is Wire.NOT_SENT:
            raise WireFailure("connection refused", never_sent=True)
        line.process.moment()
        answer = self._answered(method, url, wire, options.get("body"))
        line.process.moment()
        if wire in (Wire.DROPPED, Wire.LOST) or answer.delay_s > limit_s:
            line.clock.spend(limit_s)
            raise WireFailure(f"no answer within {limit_s:g} s")
        line.clock.spend(WIRE_S + answer.delay_s)
        if wire is Wire.UNAVAILABLE_AFTER:
            answer = Response(status=UNAVAILABLE)
        return self._response(answer), _renamed(answer.body, line.aliases)

    def _limit_of(self, options: Mapping[str, object]) -> float:
        limits = options["timeout"]
        assert isinstance(limits, tuple)
        return float(limits[1])

    def _answered(self, method: str, url: str, wire: Wire | None, body: object) -> Response:
        line, path = self._line, urlsplit(url).path.removeprefix("/v2.1/")
        back = {alias: name for name, alias in line.aliases.items()}
        sent = _renamed(body, back)
        assert sent is None or isinstance(sent, dict)
        query = {key: back.get(value, value) for key, value in parse_qsl(urlsplit(url).query)}
        request = Request(
            method=method,
            path=f"/v2.1/{path}",
            query=query,
            headers={"openstack-api-version": f"compute {self._version}"},
            body=sent,
            caller=Caller(project=ADMIN_PROJECT, user=ADMIN_USER, roles=line.roles),
        )
        response = self._handled(request, wire)
        if path == "servers/detail" and query.get("host") == line.hides is not None:
            return replace(response, body={"servers": []})
        return response

    def _handled(self, request: Request, wire: Wire | None) -> Response:
        """Have it answered, unless it was lost on the way; both logs get it at this moment."""
        line = self._line
        target = line.witness.before(request) if request.method != "GET" else None
        response = None
        if wire is not Wire.DROPPED:
            line.log.add(self._call(request, target))
            response = self._api.handle(request)
            target = line.witness.after(target) if target is not None else None
        status = response.status if response is not None else None
        line.requests.add(
            RequestRecord(
                at=line.region.timeline.now,
                service="nova",
                method=request.method,
                path=request.path,
                body=request.body,
                status=status,
                sent=None
                if wire in (Wire.DROPPED, Wire.LOST)
                else UNAVAILABLE
                if wire is Wire.UNAVAILABLE_AFTER
                else status,
                changed=request.method != "GET" and status is not None and status < BAD_REQUEST,
                target=target,
            )
        )
        return response or Response(status=UNAVAILABLE)

    def _call(self, request: Request, target: Target | None) -> Call:
        line = self._line
        evidence = getattr(line.carried, "evidence", None)
        now = line.clock.monotonic()
        return Call(
            at=line.region.timeline.now,
            who=line.process.name,
            port="nova",
            what=f"{request.method} {request.path.removeprefix('/v2.1/')}",
            host=target.host if target is not None else None,
            server=target.server if target is not None else None,
            body=request.body,
            evidence_age_s=evidence.age_s(now) if evidence is not None else None,
        )

    def _response(self, answer: Response) -> requests.Response:
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        if not self._line.sends_date:
            response.headers.pop("Date", None)
        return response


def _renamed(value: object, names: Mapping[str, str]) -> object:
    """The same JSON with host names replaced; a copy, as after a journey over the wire."""
    if not names:
        return None if value is None else json.loads(json.dumps(value))
    if isinstance(value, Mapping):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


class _LabCloud(Cloud):
    """A login that always works."""

    def __init__(self, line: Line) -> None:
        super().__init__(
            session=Session(), interface="internal", region=None, urls={"compute": URL}
        )
        object.__setattr__(self, "_line", line)

    def login(self) -> dict[str, str]:
        """No token is looked at."""
        return {}

    def identity(self) -> tuple[str, str | None, tuple[str, ...]]:
        """User, project and roles."""
        line: Line = object.__getattribute__(self, "_line")
        return "admin", "admin", line.roles if line.token_roles is None else line.token_roles


class FakeNova(Nova):
    """The real adapter, without login and discovery, over the lab's API."""

    def __init__(self, line: Line) -> None:
        cloud = _LabCloud(line)
        super().__init__(lambda: cloud)
        self.line = line
        endpoint = Endpoint(cloud=cloud, url=URL, name=f"Nova {URL}")
        api = lab.NovaApi(line.region.cloud, base_url=URL.removesuffix("/v2.1"))

        def reader(version: str) -> Reader:
            client = _Client(line, api, version=version, limit_s=READ_LIMIT_S)
            return Reader(endpoint=endpoint, client=client, limit_s=READ_LIMIT_S)

        writer = _Client(line, api, version="2.94", limit_s=WRITE_LIMIT_S)
        self._lab_api = NovaApi(
            endpoint=endpoint,
            read_version=(2, 96),
            write_version=(2, 94),
            read=reader("2.96"),
            capacity=reader("2.87"),
            write=Writer(endpoint=endpoint, client=writer, limit_s=WRITE_LIMIT_S),
        )

    def _api(self) -> NovaApi:
        return self._lab_api

    def force_down(
        self,
        service: ComputeService,
        evidence: FenceEvidence,
        *,
        disable_reason: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """As the adapter; the log shows how old the evidence was."""
        with self.line.carrying(evidence):
            return super().force_down(
                service, evidence, disable_reason=disable_reason, may_send=may_send
            )

    def evacuate(
        self,
        server_id: str,
        evidence: FenceEvidence,
        *,
        target: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """As the adapter; the log shows how old the evidence was."""
        with self.line.carrying(evidence):
            return super().evacuate(server_id, evidence, target=target, may_send=may_send)
