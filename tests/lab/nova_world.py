"""A small cloud without a cluster, and the shortest way to ask its Nova."""

from collections.abc import Mapping
from dataclasses import dataclass

from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER, Cloud
from hacli.lab.cloud_records import Server
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.http_shapes import Caller, Request, Response
from hacli.lab.machines import Machines, Timeline
from hacli.lab.nova_api import NovaApi

START = 1795324000.0
ADMIN = Caller(project=ADMIN_PROJECT, user=ADMIN_USER, roles=("admin", "member"))


@dataclass
class NovaWorld:
    """Machines, their cloud, and its API."""

    timeline: Timeline
    machines: Machines
    cloud: Cloud
    api: NovaApi

    def ask(
        self,
        method: str,
        path: str,
        *,
        version: str = "2.93",
        body: dict[str, object] | None = None,
        caller: Caller = ADMIN,
    ) -> Response:
        """One request; the path may have a query."""
        headers = {"openstack-api-version": f"compute {version}"}
        return self.api.handle(
            self.request(method, path, headers=headers, body=body, caller=caller)
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        body: dict[str, object] | None = None,
        caller: Caller = ADMIN,
    ) -> Request:
        path, _, words = path.partition("?")
        query = dict(word.partition("=")[::2] for word in words.split("&") if word)
        return Request(
            method=method,
            path=f"/v2.1{path}",
            query=query,
            headers=headers,
            body=body,
            caller=caller,
        )

    def pass_time(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.timeline.advance(self.timeline.now + seconds)

    def service_id(self, host: str) -> str:
        service = self.cloud.tables.compute_service(host)
        assert service is not None
        return service.id

    def put_service(self, host: str, body: dict[str, object], *, version: str = "2.93") -> Response:
        return self.ask("PUT", f"/os-services/{self.service_id(host)}", version=version, body=body)

    def lose(self, host: str) -> None:
        """The host crashes, and an operator tells Nova that it is down."""
        self.machines.crash(self.machines[host])
        assert self.put_service(host, {"forced_down": True}).status == 200

    def bring_back(self, host: str) -> None:
        """The host is rebooted, and its nova-compute started when it is up."""
        self.machines.reboot(self.machines[host])
        self.pass_time(self.machines.boot_seconds)
        self.machines.start_process(self.machines[host], "nova-compute")

    def evacuate(self, server: Server, *, version: str = "2.93", **body: object) -> Response:
        """Ask for an evacuation with the body's keywords."""
        return self.ask_to_evacuate(server, body, version=version)

    def ask_to_evacuate(
        self, server: Server, body: Mapping[str, object], *, version: str = "2.93"
    ) -> Response:
        path = f"/servers/{server.id}/action"
        return self.ask("POST", path, version=version, body={"evacuate": dict(body)})

    def show(self, server: Server, *, version: str = "2.93") -> dict[str, object]:
        body = self.ask("GET", f"/servers/{server.id}", version=version).body
        assert body is not None
        shown = body["server"]
        assert isinstance(shown, dict)
        return shown

    def brief(self, server: Server) -> tuple[object, ...]:
        """Status, vm_state, task_state, power_state and host, as the API says."""
        shown = self.show(server)
        return (
            shown["status"],
            shown["OS-EXT-STS:vm_state"],
            shown["OS-EXT-STS:task_state"],
            shown["OS-EXT-STS:power_state"],
            shown["OS-EXT-SRV-ATTR:host"],
        )

    def migrations(self, server: Server) -> list[tuple[str, str | None]]:
        """Status and destination of the server's migrations, newest first."""
        body = self.ask("GET", f"/os-migrations?instance_uuid={server.id}").body
        assert body is not None
        rows = body["migrations"]
        assert isinstance(rows, list)
        return [(row["status"], row["dest_compute"]) for row in rows]


def nova_world(hosts: int = 3, *, settings: CloudSettings | None = None) -> NovaWorld:
    """A healthy cloud of compute-1, compute-2, ... in which every nova-compute has just beaten."""
    timeline = Timeline(START)
    names = tuple(f"compute-{number}" for number in range(1, hosts + 1))
    machines = Machines(names, timeline, boot_seconds=20.0)
    cloud = Cloud(machines, settings=settings or CloudSettings())
    for machine in machines:
        machines.start_process(machine, "nova-compute")
    world = NovaWorld(timeline=timeline, machines=machines, cloud=cloud, api=NovaApi(cloud))
    world.pass_time(10.0)
    return world
