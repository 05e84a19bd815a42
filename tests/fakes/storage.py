"""Cinder, Glance and the storage probe for services: the real adapters on the lab's answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import requests
from keystoneauth1.session import Session

from hacli.adapters.cinder import Cinder
from hacli.adapters.glance import Glance
from hacli.adapters.keystone import Cloud, WireFailure
from hacli.adapters.node_probe import parse_node
from hacli.domain.host_storage import NodeStorage
from hacli.errors import Unreachable
from hacli.lab import small_apis
from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER
from hacli.lab.http_shapes import Caller, Request
from hacli.lab.node_shell import run_on_node
from hacli.lab.region import Region
from tests.fakes.calls import Call, CallLog
from tests.fakes.clock import FakeClock, Process

CINDER = "http://cinder.example.org:8776/v3"
GLANCE = "http://glance.example.org:9292"
ADMIN = Caller(project=ADMIN_PROJECT, user=ADMIN_USER, roles=("admin",))
WIRE_S = 0.03
SILENCE_S = 30.0
PROBE_S = 0.3
PROBE_LIMIT_S = 10.0


@dataclass
class StorageLine:
    """The way from one process to all that is asked for storage. What is silent never answers."""

    region: Region
    clock: FakeClock
    process: Process
    log: CallLog
    aliases: Mapping[str, str] = field(default_factory=dict)  # machine -> its name in Nova
    silent: set[str] = field(default_factory=set)  # cinder, glance, or the name of a machine

    def spend(self, port: str, what: str) -> None:
        """One request of ours, at this moment."""
        self.clock.spend(WIRE_S)
        self.log.add(Call(at=self.region.timeline.now, who=self.process.name, port=port, what=what))


class _Session(Session):
    """Requests go to the lab's API in place of a socket."""

    def __init__(self, line: StorageLine, name: str, api: small_apis.SmallApi) -> None:
        super().__init__()
        self._line, self._name, self._api = line, name, api

    def request(self, url: str, method: str, **options: object) -> requests.Response:  # type: ignore[override]
        """As the session's adapter ends it."""
        address = urlsplit(url)
        self._line.spend(self._name, f"{method} {address.path}")
        if self._name in self._line.silent:
            self._line.clock.spend(SILENCE_S)
            raise WireFailure(f"connected, but no answer within {SILENCE_S:g} s")
        request = Request(
            method=method, path=address.path, query=dict(parse_qsl(address.query)), caller=ADMIN
        )
        answer = self._api.handle(request)
        self._line.clock.spend(WIRE_S)
        response = requests.Response()
        response.status_code = answer.status
        response._content = json.dumps(answer.body).encode()  # noqa: SLF001 - as from the wire
        return response


class _LabCloud(Cloud):
    """A login that always works."""

    def login(self) -> dict[str, str]:
        """No token is looked at."""
        return {}


def _cloud(session: Session, kind: str, url: str) -> Cloud:
    return _LabCloud(session=session, interface="internal", region=None, urls={kind: url})


def fake_cinder(line: StorageLine) -> Cinder:
    """Fits ``ports.Volumes``."""
    session = _Session(line, "cinder", small_apis.cinder(line.region.cloud, url=CINDER))
    cloud = _cloud(session, "block-storage", CINDER)
    return Cinder(lambda: cloud)


def fake_glance(line: StorageLine) -> Glance:
    """Fits ``ports.Images``."""
    session = _Session(line, "glance", small_apis.glance(line.region.cloud, url=GLANCE))
    cloud = _cloud(session, "image", GLANCE)
    return Glance(lambda: cloud)


class FakeProbe:
    """Fits ``ports.NodeProbe``."""

    def __init__(self, line: StorageLine) -> None:
        self._line = line

    def read_node(self, host: str) -> NodeStorage:
        """What the node says; a dead or silent one says nothing."""
        line = self._line
        machine = {alias: name for name, alias in line.aliases.items()}.get(host, host)
        line.spend("probe", f"read_node {host}")
        if machine in line.silent:
            line.clock.spend(PROBE_LIMIT_S)
            why = f"no answer within {PROBE_LIMIT_S:g} s"
            raise Unreachable(source=f"probe of {host}", why=why)
        line.clock.spend(PROBE_S)
        answer = run_on_node(line.region.cloud, machine, ("python3", "-I", "-"))
        if answer.code:
            raise Unreachable(source=f"probe of {host}", why=answer.stderr.strip())
        return parse_node(answer.stdout, read_at=line.clock.now())
