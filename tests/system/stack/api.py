"""The cloud as tests steer it: its APIs, asked plainly.

A caller is inside a network from which the cloud is reached (``network.join``). Hosts have Nova's
names (``plan.nova_name``). Nothing is retried. Sources: the API references of the services.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from json import loads
from typing import Any

from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from tests.system.stack.cloud_config import Site
from tests.system.stack.plan import OPERATOR, Plan
from tests.system.stack.waiting import wait_until

MICROVERSION = "2.93"
"""The newest of Zed. An evacuation at it leaves servers as they were; at 2.95 they end stopped."""
ANSWER_LIMIT_S = 120
IN_FLIGHT = 8
IMAGE = "guest"
SMALL, DISKLESS, LARGE = "1", "2", "3"
"""Flavors: with a disk; for servers on a volume; as SMALL, with more memory."""
EVACUATION_ENDS = frozenset({"done", "completed", "error", "failed"})

Json = dict[str, Any]


class Refused(Exception):
    """An API answered with an error; the text is its own."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an API said; ``body`` is empty where that was not JSON."""

    status: int
    body: Json
    headers: Mapping[str, str]


class ServerState(Enum):
    """A state to bring an ACTIVE server into; the value is Nova's status."""

    ACTIVE = "ACTIVE"
    ERROR = "ERROR"
    PAUSED = "PAUSED"
    RESCUE = "RESCUE"
    SHELVED_OFFLOADED = "SHELVED_OFFLOADED"
    SHUTOFF = "SHUTOFF"
    SUSPENDED = "SUSPENDED"
    VERIFY_RESIZE = "VERIFY_RESIZE"


ACTIONS: Mapping[ServerState, Json] = {
    ServerState.ACTIVE: {"reboot": {"type": "HARD"}},
    ServerState.ERROR: {"os-resetState": {"state": "error"}},
    ServerState.PAUSED: {"pause": None},
    ServerState.RESCUE: {"rescue": {}},
    ServerState.SHELVED_OFFLOADED: {"shelve": None},
    ServerState.SHUTOFF: {"os-stop": None},
    ServerState.SUSPENDED: {"suspend": None},
    ServerState.VERIFY_RESIZE: {"resize": {"flavorRef": LARGE}},
}


class CloudApi:
    """The operator's session with the cloud of a plan; safe from many threads."""

    def __init__(self, plan: Plan) -> None:
        self._site = Site(plan)
        login = Password(
            auth_url=self._site.auth_url,
            username=OPERATOR.user,
            password=OPERATOR.password,
            project_name="admin",
            user_domain_name="Default",
            project_domain_name="Default",
        )
        self._session = Session(auth=login, timeout=ANSWER_LIMIT_S)
        self._session.session.trust_env = False  # no proxy of the caller's

    def request(
        self,
        method: str,
        service: str,
        path: str,
        *,
        microversion: str | None = None,
        json: Json | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Ask once, whatever the answer.

        Args:
            service: ``identity``, ``compute``, ``volume``, ``image``, ``placement`` or ``network``.
            path: Below the service's versioned root, except for ``image`` and ``network``.
            microversion: Of ``compute``, where None is MICROVERSION, ``volume`` or ``placement``.

        Raises:
            keystoneauth1.exceptions.ClientException: There was no answer.
        """
        version = microversion or (MICROVERSION if service == "compute" else None)
        headers = {"OpenStack-API-Version": f"{service} {version}"} if version else {}
        if raw is not None:
            headers["Content-Type"] = "application/octet-stream"
        response = self._session.request(
            *(self._roots[service] + path, method),
            json=json,
            data=raw,
            headers=headers,
            raise_exc=False,
        )
        return Answer(
            status=response.status_code,
            body=_parse(response.text, response.headers.get("Content-Type", "")),
            headers=response.headers,
        )

    def ask(self, method: str, service: str, path: str, **options: Any) -> Json:  # noqa: ANN401
        """As ``request``; the body of a good answer.

        Raises:
            Refused: It was an error.
        """
        answer = self.request(method, service, path, **options)
        if answer.status >= 400:
            raise Refused(f"{method} {service} {path}: HTTP {answer.status} {answer.body}")
        return answer.body

    @cached_property
    def _roots(self) -> Mapping[str, str]:
        url = self._site.url
        return {
            "identity": self._site.auth_url,
            "compute": f"{url('nova')}/v2.1",
            "volume": f"{url('cinder')}/v3/{self._session.get_project_id()}",
            "image": url("glance"),
            "placement": url("placement"),
            "network": url("neutron"),
        }

    def server(self, server: str) -> Json:
        """One server, with all that an admin sees."""
        found: Json = self.ask("GET", "compute", f"/servers/{server}")["server"]
        return found

    def servers(self, host: str | None = None) -> tuple[Json, ...]:
        """Of a host, or of all; without those that are deleted or soft-deleted."""
        where = f"&host={host}" if host else ""
        path = f"/servers/detail?all_tenants=1&limit=1000{where}"
        return tuple(self.ask("GET", "compute", path)["servers"])

    def services(self) -> Mapping[str, Json]:
        """The nova-compute records by host."""
        found = self.ask("GET", "compute", "/os-services?binary=nova-compute")["services"]
        return {service["host"]: service for service in found}

    def evacuations(self, host: str) -> tuple[Json, ...]:
        """Evacuation records of a source host, newest first."""
        path = f"/os-migrations?migration_type=evacuation&source_compute={host}&limit=1000"
        return tuple(self.ask("GET", "compute", path)["migrations"])

    def actions(self, server: str) -> tuple[Json, ...]:
        """What was asked of a server, newest first."""
        found = self.ask("GET", "compute", f"/servers/{server}/os-instance-actions")
        return tuple(found["instanceActions"])

    def act(self, server: str, action: Json, *, microversion: str = MICROVERSION) -> Answer:
        """Ask for an action; the answer, good or not."""
        path = f"/servers/{server}/action"
        return self.request("POST", "compute", path, microversion=microversion, json=action)

    def evacuate(
        self, server: str, *, to: str | None = None, microversion: str = MICROVERSION
    ) -> Answer:
        """Ask for an evacuation, as a script would."""
        wanted = {"host": to} if to else {}
        return self.act(server, {"evacuate": wanted}, microversion=microversion)

    def evacuate_all(self, servers: Iterable[str], *, threads: int) -> tuple[Answer, ...]:
        """Ask for every server's evacuation, ``threads`` requests at a time; waits for no end."""
        with ThreadPoolExecutor(threads) as pool:
            return tuple(pool.map(self.evacuate, servers))

    def set_service(self, host: str, **fields: object) -> Answer:
        """Change a nova-compute record: ``status``, ``disabled_reason``, ``forced_down``."""
        service = self.services()[host]["id"]
        return self.request("PUT", "compute", f"/os-services/{service}", json=fields)

    def make_group(self, name: str, policy: str) -> str:
        """A server group (``anti-affinity``, ``affinity``, ...); its id."""
        wanted = {"server_group": {"name": name, "policy": policy}}
        made = self.ask("POST", "compute", "/os-server-groups", json=wanted)
        return str(made["server_group"]["id"])

    def boot_servers(
        self,
        host: str,
        *,
        images: int = 0,
        volumes: int = 0,
        ports: bool = True,
        group: str | None = None,
        within_s: float = 300,
    ) -> tuple[str, ...]:
        """Boot servers on a host and wait until they are ACTIVE.

        Args:
            images: How many have a disk made from the image.
            volumes: How many have a volume as their disk.
            ports: Whether each has a port.
            group: The server group that they are in.

        Raises:
            Refused: A request was refused, or a server went to ERROR.
            TimedOut: They are not ACTIVE in time.
        """
        image = self.ask("GET", "image", f"/v2/images?name={IMAGE}")["images"][0]["id"]
        blank = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}
        volume = {**blank, "boot_index": 0, "delete_on_termination": True}
        common = {"host": host, "networks": self._networks() if ports else "none"}
        hints = {"os:scheduler_hints": {"group": group}} if group else {}
        wanted = (
            (images, {"flavorRef": SMALL, "imageRef": image}),
            (volumes, {"flavorRef": DISKLESS, "block_device_mapping_v2": [volume]}),
        )
        started = [
            self._boot_many(count, {**common, **kind}, hints) for count, kind in wanted if count
        ]
        servers = tuple(server for some in started for server in some)
        self.wait_for_servers(servers, ServerState.ACTIVE, within_s=within_s)
        return servers

    def _boot_many(self, count: int, wanted: Json, hints: Json) -> tuple[str, ...]:
        """One request for all; their ids."""
        body = {**wanted, "name": "vm", "min_count": count, "return_reservation_id": True}
        made = self.ask("POST", "compute", "/servers", json={"server": body, **hints})
        path = f"/servers?all_tenants=1&reservation_id={made['reservation_id']}"
        return tuple(server["id"] for server in self.ask("GET", "compute", path)["servers"])

    def _networks(self) -> list[Json]:
        found = self.ask("GET", "network", "/v2.0/networks")["networks"]
        return [{"uuid": found[0]["id"]}]

    def bring(self, servers: Iterable[str], state: ServerState, *, within_s: float = 120) -> None:
        """Put ACTIVE servers into a state, and wait until they are in it.

        To ACTIVE leads a hard reboot, as from SHUTOFF after a host's return.

        Raises:
            Refused: Nova refuses it for one.
            TimedOut: One is not in the state in time.
        """
        wanted = tuple(servers)
        self._on_each(wanted, lambda server: self._must_act(server, ACTIONS[state]))
        self.wait_for_servers(wanted, state, within_s=within_s)

    def reset_state(self, servers: Iterable[str], state: str) -> None:
        """Write ``active`` or ``error`` into Nova's record. Raises as ``bring``."""
        action = {"os-resetState": {"state": state}}
        self._on_each(tuple(servers), lambda server: self._must_act(server, action))

    def lock(self, servers: Iterable[str], reason: str) -> None:
        """Lock servers. Raises as ``bring``."""
        action = {"lock": {"locked_reason": reason}}
        self._on_each(tuple(servers), lambda server: self._must_act(server, action))

    def delete_servers(self, servers: Iterable[str], *, within_s: float = 180) -> None:
        """Delete servers, and wait until none is left.

        Raises:
            TimedOut: One is left.
        """
        wanted = frozenset(servers)
        self._on_each(wanted, lambda s: self.request("DELETE", "compute", f"/servers/{s}"))
        wait_until(
            lambda: wanted.isdisjoint(server["id"] for server in self.servers()),
            "the servers are gone",
            within_s=within_s,
            every_s=0.5,
        )

    def wait_for_servers(
        self, servers: Iterable[str], state: ServerState, *, within_s: float
    ) -> None:
        """Until each has the status and no task.

        Raises:
            Refused: One went to ERROR instead.
            TimedOut: Not in time.
        """
        wanted = frozenset(servers)

        def reached() -> bool:
            found = [server for server in self.servers() if server["id"] in wanted]
            for server in found:
                if server["status"] == "ERROR" and state is not ServerState.ERROR:
                    raise Refused(f"{server['id']} went to ERROR: {server.get('fault')}")
            return len(found) == len(wanted) and all(
                server["status"] == state.value and server["OS-EXT-STS:task_state"] is None
                for server in found
            )

        what = f"{len(wanted)} servers are {state.value}"
        wait_until(reached, what, within_s=within_s, every_s=0.5)

    def wait_for_evacuations(
        self,
        host: str,
        servers: Iterable[str],
        *,
        before: frozenset[int] = frozenset(),
        within_s: float = 300,
        every_s: float = 0.3,
    ) -> Mapping[str, Json]:
        """Until each server has an evacuation record that has ended; the newest by server.

        Args:
            before: Ids of records that do not count.

        Raises:
            TimedOut: Not in time.
        """
        wanted = frozenset(servers)

        def ended() -> dict[str, Json] | None:
            newest: dict[str, Json] = {}
            for record in self.evacuations(host):
                if record["id"] not in before:
                    newest.setdefault(record["instance_uuid"], record)
            done = {s: r for s, r in newest.items() if r["status"] in EVACUATION_ENDS}
            return {s: done[s] for s in wanted} if wanted <= done.keys() else None

        what = f"{len(wanted)} evacuations from {host} end"
        found = wait_until(ended, what, within_s=within_s, every_s=every_s)
        return found or {}

    def wait_for_service(self, host: str, *, state: str, within_s: float = 90) -> Json:
        """Until the nova-compute record is ``up`` or ``down``; the record."""
        wait_until(
            lambda: self.services()[host]["state"] == state,
            f"nova-compute on {host} is {state}",
            within_s=within_s,
            every_s=0.5,
        )
        return self.services()[host]

    def wait_for_heartbeat(self, host: str, *, after: str | None, within_s: float = 60) -> str:
        """Until ``updated_at`` is another one than ``after``, which was read before; the new one.

        Every PUT moves it as well.
        """
        return wait_until(
            lambda: _other(self.services()[host]["updated_at"], than=after),
            f"nova-compute on {host} reports",
            within_s=within_s,
            every_s=0.5,
        )

    def wait_for_hosts(self, hosts: Iterable[str], *, within_s: float = 180) -> None:
        """Until each is up and has been discovered, so that servers can be booted on it.

        Nova lists the hypervisors of discovered hosts only.
        """
        wanted = frozenset(hosts)

        def ready() -> bool:
            up = {host for host, record in self.services().items() if record["state"] == "up"}
            found = self.ask("GET", "compute", "/os-hypervisors")["hypervisors"]
            return wanted <= up & {hypervisor["hypervisor_hostname"] for hypervisor in found}

        what = f"nova-compute is up on {', '.join(sorted(wanted))}"
        wait_until(ready, what, within_s=within_s, every_s=0.5)

    def _must_act(self, server: str, action: Json) -> None:
        self.ask("POST", "compute", f"/servers/{server}/action", json=action)

    def _on_each(self, servers: Iterable[str], deed: Callable[[str], object]) -> None:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            for job in [pool.submit(deed, server) for server in servers]:
                job.result()


def _parse(text: str, content_type: str) -> Json:
    if not text or "json" not in content_type:
        return {}
    body: Json = loads(text)
    return body


def _other(value: str | None, *, than: str | None) -> str:
    return value if value and value != than else ""
