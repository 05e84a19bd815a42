"""Where the lab's scheduler lets a server go, and where it finds no host."""

import pytest

from hacli.lab.cloud_records import Capacity, Flavor, Server
from hacli.lab.cloud_tables import CloudSettings
from tests.lab.nova_world import NovaWorld, nova_world

_BIG = Flavor(id="9", name="m1.big", vcpus=1, ram=6144, disk=1)


@pytest.fixture
def world() -> NovaWorld:
    """A healthy cloud of three hosts."""
    return nova_world()


def _evacuated(world: NovaWorld, *servers: Server, host: str | None = None) -> list[object]:
    """Hosts of the servers after their evacuation from compute-3; ERROR where it failed."""
    world.lose("compute-3")
    for server in servers:
        world.ask_to_evacuate(server, {"host": host} if host else {})
    world.pass_time(20)
    ends = [world.brief(server) for server in servers]
    return ["ERROR" if end[0] == "ERROR" else end[4] for end in ends]


def test_the_host_with_most_room_is_chosen_then_the_first_by_name(world: NovaWorld) -> None:
    """Deterministic, so that a story is the same each time."""
    servers = [world.cloud.add_server(name, "compute-3") for name in "abcd"]

    hosts = _evacuated(world, *servers)

    assert hosts == ["compute-1", "compute-2", "compute-1", "compute-2"]


def test_without_room_there_is_no_valid_host() -> None:
    """Two big servers fit, the third does not."""
    capacity = Capacity(vcpus=8, memory_mb=8192, disk_gb=100)
    world = nova_world(settings=CloudSettings(capacity=capacity))
    world.cloud.tables.capacities["compute-3"] = Capacity(vcpus=64, memory_mb=65536, disk_gb=1000)
    servers = [world.cloud.add_server(name, "compute-3", flavor=_BIG) for name in "abc"]

    assert _evacuated(world, *servers) == ["compute-1", "compute-2", "ERROR"]


def test_an_affinity_group_cannot_leave_its_dead_host(world: NovaWorld) -> None:
    """Only hosts of members are allowed, and the only one is dead."""
    group = world.cloud.add_group("together", "affinity")
    servers = [world.cloud.add_server(name, "compute-3", group=group) for name in "ab"]

    assert _evacuated(world, *servers) == ["ERROR", "ERROR"]


@pytest.mark.parametrize("policy", ["soft-affinity", "soft-anti-affinity"])
def test_a_soft_group_goes_anywhere(world: NovaWorld, policy: str) -> None:
    """A soft policy only weighs."""
    group = world.cloud.add_group("softly", policy)
    servers = [world.cloud.add_server(name, "compute-3", group=group) for name in "ab"]

    assert _evacuated(world, *servers) == ["compute-1", "compute-2"]


def test_a_host_with_another_member_is_forbidden_to_an_anti_affine_server(
    world: NovaWorld,
) -> None:
    """The fullest host is taken rather than the one with the other member."""
    group = world.cloud.add_group("apart", "anti-affinity")
    world.cloud.add_server("other", "compute-1", group=group)
    world.cloud.add_server("ballast", "compute-2", flavor=_BIG)
    server = world.cloud.add_server("a", "compute-3", group=group)

    assert _evacuated(world, server) == ["compute-2"]


def test_anti_affine_servers_evacuated_together_trip_the_late_check() -> None:
    """The scheduler sends both to the one host that is left, which takes only one of them."""
    world = nova_world(2)
    group = world.cloud.add_group("apart", "anti-affinity")
    servers = [world.cloud.add_server(name, "compute-2", group=group) for name in "ab"]
    world.lose("compute-2")

    for server in servers:
        world.evacuate(server)
    world.pass_time(20)

    assert sorted(str(world.brief(s)[0]) for s in servers) == ["ACTIVE", "ERROR"]
    assert {s.fault.message for s in servers if s.fault} == {
        "Anti-affinity server group policy was violated"
    }


def test_a_pinned_zone_is_never_left(world: NovaWorld) -> None:
    """No host of the zone is left: no valid host; unpinned servers go elsewhere."""
    world.cloud.add_aggregate("rack-1", ("compute-3",), zone="zone-1")
    pinned = world.cloud.add_server("pinned", "compute-3", zone="zone-1")
    free = world.cloud.add_server("free", "compute-3")

    assert _evacuated(world, pinned, free) == ["ERROR", "compute-1"]


def test_a_host_asked_for_is_taken_although_another_has_more_room(world: NovaWorld) -> None:
    """As long as it is valid."""
    world.cloud.add_server("ballast", "compute-2", flavor=_BIG)
    server = world.cloud.add_server("a", "compute-3")

    assert _evacuated(world, server, host="compute-2") == ["compute-2"]


def test_an_image_that_is_gone_cannot_be_rebuilt_from(world: NovaWorld) -> None:
    """The destination fails, and the server ends in ERROR where it was."""
    image = world.cloud.add_image("old")
    server = world.cloud.add_server("a", "compute-3", volume=False, image=image.id)
    del world.cloud.tables.images[image.id]

    assert _evacuated(world, server) == ["ERROR"]
    assert world.migrations(server) == [("failed", "compute-1")]


def test_a_dead_cinder_backend_fails_the_rebuild(world: NovaWorld) -> None:
    """The volume cannot be attached; its old attachment is left."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.tables.dead_backends.add("lab@fake")

    assert _evacuated(world, server) == ["ERROR"]
    assert [a.host for a in world.cloud.tables.attachments_of(server.id)] == ["compute-3"]


def test_the_source_is_never_chosen_although_it_is_called_up_again() -> None:
    """Force-up right after the request: Nova still leaves the source out."""
    world = nova_world(2)
    server = world.cloud.add_server("a", "compute-2")
    world.cloud.add_server("ballast", "compute-1", flavor=_BIG)
    world.lose("compute-2")
    world.evacuate(server)
    world.put_service("compute-2", {"forced_down": False})

    world.pass_time(10)

    assert world.brief(server)[4] == "compute-1"
