"""The lab's Nova answers in the very shape in which a real one was recorded."""

import json
from collections.abc import Callable

import pytest

from hacli.lab.cloud_records import Capacity
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.http_shapes import Caller, Request
from tests.lab.nova_recordings import normal, recording, recordings
from tests.lab.nova_world import NovaWorld, nova_world

_LIKE_RECORDED = CloudSettings(
    controller="vm", capacity=Capacity(vcpus=1000, memory_mb=800000, disk_gb=600000)
)

Setup = Callable[[NovaWorld], None]


def _nothing(world: NovaWorld) -> None:
    """A healthy cloud with no servers."""


def _two_forced_down(world: NovaWorld) -> None:
    world.put_service("compute-2", {"forced_down": True})
    world.put_service("compute-3", {"forced_down": True})


def _forced_down_and_disabled(world: NovaWorld) -> None:
    change = {"forced_down": True, "status": "disabled", "disabled_reason": "evacuated: lab"}
    world.put_service("compute-3", dict(change))


def _servers(world: NovaWorld) -> None:
    world.cloud.add_server("bfv", "compute-3")
    world.cloud.add_server("img", "compute-3", volume=False)


@pytest.mark.parametrize(
    ("name", "setup"),
    [
        ("os-services-2.1-all-up", _nothing),
        ("os-services-2.11-all-up", _nothing),
        ("os-services-2.53-all-up", _nothing),
        ("os-services-2.95-all-up", _nothing),
        ("os-services-2.95-compute-2-forced-down-but-alive", _two_forced_down),
        ("os-services-2.95-compute-3-forced-down-disabled-reason", _forced_down_and_disabled),
        ("os-availability-zone-detail", _nothing),
    ],
)
def test_services_read_as_recorded(name: str, setup: Setup) -> None:
    """Same keys, same words, at each microversion and in each state of the services."""
    world = nova_world(settings=_LIKE_RECORDED)
    setup(world)
    recorded = recording(name)
    request = recorded["request"]
    assert isinstance(request, dict)

    answer = world.ask(request["method"], request["path"], version=request["microversion"])

    assert (answer.status, normal(answer.body)) == (200, normal(recorded["body"]))


@pytest.mark.parametrize("version", ["2.1", "2.93", "2.95", "2.100"])
def test_servers_read_as_recorded(version: str) -> None:
    """An image-backed and a volume-backed server, field by field, at each microversion."""
    world = nova_world(settings=_LIKE_RECORDED)
    _servers(world)
    recorded = recording(f"servers-detail-{version}")["body"]
    assert isinstance(recorded, dict)
    path = "/servers/detail?all_tenants=1&host=compute-3"

    answer = world.ask("GET", path, version=version).body

    assert answer is not None
    assert _nameless(answer["servers"])[: len(recorded["servers"])] == _nameless(
        recorded["servers"]
    )


def _nameless(servers: object) -> list[object]:
    rows = normal(servers)
    assert isinstance(rows, list)
    for row in rows:
        row["name"] = "<name>"
        if "OS-EXT-SRV-ATTR:hostname" in row:
            row["OS-EXT-SRV-ATTR:hostname"] = "<name>"
    return rows


@pytest.mark.parametrize(
    "name",
    [
        "os-hypervisors-2.95-pattern-with_servers",
        "os-hypervisors-detail-2.87",
        "os-hypervisors-detail-2.88-with_servers",
    ],
)
def test_hypervisors_read_as_recorded(name: str) -> None:
    """Capacity, counts and servers of three hosts with 9, 8 and 15 servers."""
    world = nova_world(settings=_LIKE_RECORDED)
    for host, images, volumes in (("compute-1", 9, 0), ("compute-2", 8, 0), ("compute-3", 10, 5)):
        for number in range(images + volumes):
            world.cloud.add_server(f"{host}-{number}", host, volume=number >= images)
    recorded = recording(name)
    request = recorded["request"]
    assert isinstance(request, dict)

    answer = world.ask("GET", request["path"], version=request["microversion"])

    assert answer.body is not None
    assert normal(_one_server_each(answer.body)) == normal(recorded["body"])


def _one_server_each(body: dict[str, object]) -> dict[str, object]:
    rows = body["hypervisors"]
    assert isinstance(rows, list)
    for row in rows:
        if "servers" in row:
            row["servers"] = row["servers"][:1]
    return body


@pytest.mark.parametrize("version", ["2.11", "2.53"])
def test_force_down_is_answered_as_recorded(version: str) -> None:
    """By name below 2.53, by uuid from there; both at once."""
    world = nova_world(settings=_LIKE_RECORDED)
    recorded = recording(f"os-services-force-down-{version}")
    request = recorded["request"]
    assert isinstance(request, dict)
    path = str(request["path"])
    if version == "2.53":
        path = f"/os-services/{world.service_id('compute-3')}"

    answer = world.ask("PUT", path, version=version, body=request["body"])

    assert (answer.status, answer.delay_s) == (200, 0.0)
    assert normal(answer.body) == normal(recorded["body"])


@pytest.mark.parametrize("position", [0, 1, 2], ids=["2.11", "2.53", "2.95"])
def test_force_up_is_refused_while_done_records_remain(position: int) -> None:
    """Nova wants nova-compute restarted first; its very words, at each microversion."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)
    recorded = recordings("os-services-force-up-refused")[position]
    assert isinstance(recorded, dict)
    request = recorded["request"]
    path = request["path"] if position == 0 else f"/os-services/{world.service_id('compute-3')}"

    answer = world.ask("PUT", path, version=request["microversion"], body=request["body"])

    assert (answer.status, answer.body) == (400, recorded["body"])
    service = world.cloud.tables.compute_service("compute-3")
    assert service is not None
    assert service.forced_down


@pytest.mark.parametrize(
    ("name", "volume", "version"),
    [
        ("server-show-after-evacuate-2.14-image", False, "2.14"),
        ("server-show-after-evacuate-2.95-volume-backed", True, "2.95"),
    ],
)
def test_an_evacuated_server_reads_as_recorded(name: str, version: str, *, volume: bool) -> None:
    """Nothing in it says that the disk is new."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3", volume=volume)
    world.lose("compute-3")
    world.evacuate(server, version=version)
    world.pass_time(10)
    recorded = recording(name)["body"]
    assert isinstance(recorded, dict)

    shown = world.show(server, version="2.95")

    wanted = _nameless([recorded["server"]])[0]
    assert isinstance(wanted, dict)
    host = {key: "compute-1" for key in wanted if key.endswith((":host", ":hypervisor_hostname"))}
    assert _nameless([shown])[0] == wanted | host


def test_a_server_on_a_dead_host_still_reads_active() -> None:
    """Only host_status changes when the heartbeat stops."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3", volume=False)
    world.machines.crash(world.machines["compute-3"])
    world.pass_time(75)
    recorded = recording("server-show-on-down-host-2.95")["body"]
    assert isinstance(recorded, dict)

    shown = world.show(server, version="2.95")

    assert _nameless([shown]) == _nameless([recorded["server"]])


def test_no_valid_host_reads_as_recorded() -> None:
    """ERROR where it was, the scheduler's fault, a record without destination, an action Error."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3", volume=False)
    world.lose("compute-3")
    for host in ("compute-1", "compute-2"):
        world.put_service(host, {"status": "disabled"})

    answer = world.evacuate(server, version="2.95")
    world.pass_time(1)

    assert answer.status == 200
    shown = normal(_nameless([world.show(server, version="2.95")])[0])
    recorded = recording("server-show-after-no-valid-host")["body"]
    assert isinstance(recorded, dict)
    assert shown == _nameless([recorded["server"]])[0]
    for path, name in (
        (f"/os-migrations?instance_uuid={server.id}", "os-migrations-after-no-valid-host"),
        (f"/servers/{server.id}/os-instance-actions", "server-actions-after-no-valid-host"),
    ):
        body = world.ask("GET", path, version="2.95").body
        assert normal(body) == normal(recording(name)["body"])


@pytest.mark.parametrize("version", ["2.1", "2.80"])
def test_migrations_read_as_recorded(version: str) -> None:
    """Each microversion has its own fields."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)
    recorded = recording(f"os-migrations-{version}")["body"]
    assert isinstance(recorded, dict)
    path = "/os-migrations?migration_type=evacuation&source_compute=compute-3"

    body = world.ask("GET", path, version=version).body

    assert body is not None
    rows, wanted = normal(body["migrations"]), normal(recorded["migrations"])
    assert isinstance(rows, list)
    assert isinstance(wanted, list)
    dest = {"dest_compute": "compute-1", "dest_node": "compute-1"}
    assert rows == [wanted[0] | dest]


@pytest.mark.parametrize(
    ("name", "version", "body"),
    [
        ("server-action-show-after-evacuate-2.95-image", "2.95", {}),
        (
            "server-action-show-after-evacuate-2.1-image-claimed-shared",
            "2.1",
            {"onSharedStorage": True},
        ),
    ],
)
def test_the_action_of_an_evacuation_reads_as_recorded(
    name: str, version: str, body: dict[str, object]
) -> None:
    """Conductor and destination each leave an event; a wrong storage claim leaves an Error."""
    world = nova_world(settings=_LIKE_RECORDED)
    server = world.cloud.add_server("one", "compute-3", volume=False)
    world.lose("compute-3")
    answer = world.evacuate(server, version=version, **body)
    world.pass_time(10)
    request = answer.headers["x-openstack-request-id"]
    path = f"/servers/{server.id}/os-instance-actions/{request}"

    shown = normal(world.ask("GET", path, version="2.95").body)

    wanted = normal(recording(name)["body"])
    assert shown == json.loads(json.dumps(wanted).replace("compute-2", "compute-1"))


@pytest.mark.parametrize("maximum", ["2.93", "2.104"])
def test_version_discovery_names_the_maximum(maximum: str) -> None:
    """It needs no token and shows one current version."""
    world = nova_world(settings=CloudSettings(max_microversion=maximum))
    wanted = recording("api-versions")["body"]
    assert isinstance(wanted, dict)
    wanted["versions"][1]["version"] = maximum

    answer = world.api.handle(Request(method="GET", path="/", caller=Caller(project="", user="")))

    assert (answer.status, answer.body) == (200, wanted)
