"""Evacuation in the lab ends as it ended in the real cloud."""

import pytest

from hacli.lab.cloud_records import MigrationStatus, VmState
from hacli.lab.cloud_tables import CloudSettings
from tests.lab.nova_recordings import recordings
from tests.lab.nova_world import NovaWorld, nova_world


@pytest.fixture
def world() -> NovaWorld:
    """A healthy cloud of three hosts."""
    return nova_world()


@pytest.mark.parametrize(
    ("state", "version", "end"),
    [
        pytest.param(VmState.ACTIVE, "2.94", ("ACTIVE", "active", None, 1), id="active"),
        pytest.param(VmState.ACTIVE, "2.95", ("SHUTOFF", "stopped", None, 4), id="active-2.95"),
        pytest.param(VmState.STOPPED, "2.94", ("SHUTOFF", "stopped", None, 4), id="stopped"),
        pytest.param(VmState.STOPPED, "2.95", ("SHUTOFF", "stopped", None, 4), id="stopped-2.95"),
        pytest.param(VmState.ERROR, "2.94", ("ACTIVE", "active", None, 1), id="error"),
        pytest.param(VmState.ERROR, "2.95", ("ACTIVE", "active", None, 1), id="error-2.95"),
    ],
)
def test_a_server_arrives_in_the_state_that_nova_gives_it(
    world: NovaWorld, state: VmState, version: str, end: tuple[object, ...]
) -> None:
    """Running stays running below 2.95; from there it ends stopped, an ERROR server running."""
    server = world.cloud.add_server("a", "compute-3", state=state)
    world.lose("compute-3")

    answer = world.evacuate(server, version=version)
    world.pass_time(10)

    assert (answer.status, answer.body) == (200, None)
    assert world.brief(server) == (*end, "compute-1")
    assert world.migrations(server) == [("done", "compute-1")]
    assert world.machines.running_on(server.id) == (("compute-1",) if end[3] == 1 else ())


@pytest.mark.parametrize(
    ("gap", "end", "actual", "migrations", "running_on"),
    [
        pytest.param(
            0.0,
            ("ERROR", "error", None, 1, "compute-3"),
            "'rebuilding'",
            [("accepted", None), ("failed", "compute-2")],
            ("compute-1",),
            id="at-once",
        ),
        pytest.param(
            0.5,
            ("ERROR", "error", None, 1, "compute-3"),
            "'rebuilding'",
            [("failed", "compute-2"), ("failed", "compute-1")],
            ("compute-1",),
            id="half-a-second",
        ),
        pytest.param(
            1.5,
            ("ERROR", "error", None, 1, "compute-1"),
            "None",
            [("failed", "compute-2"), ("done", "compute-1")],
            ("compute-1", "compute-2"),
            id="while-spawning",
        ),
    ],
)
def test_two_requests_for_one_server_race(
    world: NovaWorld,
    gap: float,
    end: tuple[object, ...],
    actual: str,
    migrations: list[tuple[str, str | None]],
    running_on: tuple[str, ...],
) -> None:
    """Nova accepts both; the end is ERROR each time, and two guests when both spawn."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")

    first = world.evacuate(server)
    world.pass_time(gap)
    second = world.evacuate(server)
    world.pass_time(10)

    assert (first.status, second.status) == (200, 200)
    assert world.brief(server) == end
    assert server.fault is not None
    assert server.fault.message == (
        f"Conflict updating instance {server.id}. "
        "Expected: {'task_state': ['rebuild_spawning']}. "
        f"Actual: {{'task_state': {actual}}}"
    )
    assert world.migrations(server) == migrations
    assert world.machines.running_on(server.id) == running_on


def test_a_lost_race_leaves_the_task_of_the_loser(world: NovaWorld) -> None:
    """In between, the server reads REBUILD with vm_state error, as recorded."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(0.5)
    world.evacuate(server)

    world.pass_time(2)

    assert world.brief(server) == ("REBUILD", "error", "rebuilding", 0, "compute-3")


def _record_of_double(gap: float) -> set[tuple[object, ...]]:
    """Recorded ends of two requests ``gap`` seconds apart: status, statuses of records, guests."""
    ends: set[tuple[object, ...]] = set()
    for trial in recordings("double-evacuations"):
        assert isinstance(trial, dict)
        if trial["gap"] == gap:
            statuses = tuple(status for status, _ in trial["migrations"])
            guests = len(trial["running_on (besides dead compute-3)"])
            ends.add((trial["api"][0], statuses, guests))
    return ends


@pytest.mark.parametrize("gap", [0, 0.5, 1.5])
def test_the_end_of_a_race_is_one_that_was_recorded(world: NovaWorld, gap: float) -> None:
    """Status, records and number of guests together."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(gap)
    world.evacuate(server)
    world.pass_time(10)

    statuses = tuple(status for status, _ in world.migrations(server))
    end = (world.brief(server)[0], statuses, len(world.machines.running_on(server.id)))

    assert end in _record_of_double(gap)


def test_eight_requests_at_once_leave_seven_records_stuck(world: NovaWorld) -> None:
    """All share the first record; the others are never touched again."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")

    answers = {world.evacuate(server).status for _ in range(8)}
    world.pass_time(60)

    assert answers == {200}
    assert world.brief(server)[1] == "error"
    statuses = [status for status, _ in world.migrations(server)]
    assert statuses == ["accepted"] * 7 + ["failed"]


@pytest.mark.parametrize(
    ("volume", "shared", "keeps"),
    [
        pytest.param(True, False, True, id="volume"),
        pytest.param(False, True, True, id="shared-storage"),
        pytest.param(False, False, False, id="local-disk"),
    ],
)
def test_a_local_disk_is_made_anew_without_a_word(
    world: NovaWorld, *, volume: bool, shared: bool, keeps: bool
) -> None:
    """Answer 200, ACTIVE, done, and in the last case the data is gone."""
    for host in ("compute-1", "compute-3"):
        world.cloud.set_shared_storage(host, shared=shared)
    server = world.cloud.add_server("a", "compute-3", volume=volume)
    before = server.disk
    world.lose("compute-3")

    world.evacuate(server, host="compute-1")
    world.pass_time(10)

    guest = world.machines["compute-1"].guests[server.id]
    assert world.migrations(server) == [("done", "compute-1")]
    assert (guest.disk == before, guest.local_disk) == (keeps, not volume)


def test_storage_is_shared_only_between_hosts_that_both_share_it(world: NovaWorld) -> None:
    """A destination with its own disks rebuilds from the image."""
    world.cloud.set_shared_storage("compute-3", shared=True)
    server = world.cloud.add_server("a", "compute-3", volume=False)
    before = server.disk
    world.lose("compute-3")

    world.evacuate(server)
    world.pass_time(10)

    assert world.machines["compute-1"].guests[server.id].disk != before


def test_a_volume_is_attached_anew_and_its_old_attachment_deleted(world: NovaWorld) -> None:
    """Cinder is not asked whether the old host still writes."""
    server = world.cloud.add_server("a", "compute-3")
    (before,) = world.cloud.tables.attachments_of(server.id)
    world.lose("compute-3")

    world.evacuate(server)
    world.pass_time(10)

    (after,) = world.cloud.tables.attachments_of(server.id)
    assert (after.volume, after.host) == (before.volume, "compute-1")
    assert after.id != before.id


@pytest.mark.parametrize("shared", [True, False])
def test_a_wrong_claim_of_shared_storage_ends_in_error(world: NovaWorld, *, shared: bool) -> None:
    """Below 2.14 the caller says what the destination then finds otherwise."""
    for host in ("compute-1", "compute-2", "compute-3"):
        world.cloud.set_shared_storage(host, shared=not shared)
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")

    answer = world.evacuate(server, version="2.1", onSharedStorage=shared)
    world.pass_time(10)

    assert answer.status == 200
    assert answer.body is not None
    assert list(answer.body) == ["adminPass"]
    assert world.brief(server) == ("ERROR", "error", None, 1, "compute-3")
    assert server.fault is not None
    assert server.fault.message == "Invalid state of instance files on shared storage"


def test_a_failed_spawn_ends_in_error_and_may_be_asked_again(world: NovaWorld) -> None:
    """The record is failed with its destination; the server stays with the dead host."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.cloud.evacuations.faults.spawn_fails.add("compute-1")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)
    failed = (world.brief(server), world.migrations(server))

    world.cloud.evacuations.faults.spawn_fails.clear()
    world.evacuate(server)
    world.pass_time(10)

    assert failed == (("ERROR", "error", None, 0, "compute-3"), [("failed", "compute-1")])
    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-1")
    assert world.migrations(server) == [("done", "compute-1"), ("failed", "compute-1")]


def test_a_failure_after_the_spawn_leaves_a_guest_behind(world: NovaWorld) -> None:
    """Asked again, another destination makes a second copy."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.evacuations.faults.fails_after_spawn.add("compute-1")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)
    left_behind = world.machines.running_on(server.id)

    same_host = world.evacuate(server, host="compute-1")
    world.pass_time(10)
    fault = server.fault
    world.evacuate(server, host="compute-2")
    world.pass_time(10)

    assert (left_behind, same_host.status) == (("compute-1",), 200)
    assert fault is not None
    assert fault.message == "Instance instance-00000001 already exists."
    assert world.machines.running_on(server.id) == ("compute-1", "compute-2")


@pytest.mark.parametrize(
    ("at", "end"),
    [
        (MigrationStatus.ACCEPTED, [("accepted", None)]),
        (MigrationStatus.PRE_MIGRATING, [("pre-migrating", "compute-1")]),
    ],
)
def test_a_stuck_evacuation_stays_where_it_is(
    world: NovaWorld, at: MigrationStatus, end: list[tuple[str, str | None]]
) -> None:
    """For ever, with the server in REBUILD."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.evacuations.faults.stuck[server.id] = at
    world.lose("compute-3")
    world.evacuate(server)

    world.pass_time(86400)

    assert world.migrations(server) == end
    assert world.brief(server) == ("REBUILD", "active", "rebuilding", 1, "compute-3")


def test_an_evacuation_waits_for_the_conductor(world: NovaWorld) -> None:
    """It stays accepted while the conductor is dead, and goes on when it is back."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.cloud.set_conductor(alive=False)
    world.pass_time(45)
    waiting = world.migrations(server)

    world.cloud.set_conductor(alive=True)
    world.pass_time(10)

    assert waiting == [("accepted", None)]
    assert world.migrations(server) == [("done", "compute-1")]


def test_reset_state_frees_a_server_and_asks_nobody(world: NovaWorld) -> None:
    """It writes the row: no guest is started or ended."""
    server = world.cloud.add_server("a", "compute-3", task="rebuilding")
    world.lose("compute-3")
    path = f"/servers/{server.id}/action"

    answer = world.ask("POST", path, body={"os-resetState": {"state": "error"}})

    assert answer.status == 202
    assert world.brief(server) == ("ERROR", "error", None, 1, "compute-3")


def test_a_destination_that_dies_on_the_way_leaves_its_record_open(world: NovaWorld) -> None:
    """pre-migrating for ever, unless that very nova-compute returns and fails the rebuild."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(1.5)
    world.machines.crash(world.machines["compute-1"])

    world.pass_time(600)

    assert world.migrations(server) == [("pre-migrating", "compute-1")]
    assert world.machines.running_on(server.id) == ()


def test_a_destination_that_is_cut_off_goes_on_when_it_is_back(world: NovaWorld) -> None:
    """It holds the work it had begun."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(1.5)
    world.machines.cut(world.machines["compute-1"])
    world.pass_time(100)
    waiting = world.migrations(server)

    world.machines.join(world.machines["compute-1"])
    world.pass_time(10)

    assert waiting == [("pre-migrating", "compute-1")]
    assert world.migrations(server) == [("done", "compute-1")]


def test_both_hosts_hold_an_allocation_until_the_source_is_cleaned_up(world: NovaWorld) -> None:
    """Placement counts an evacuated server twice."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)
    both = [host for host, held in world.cloud.tables.allocations.items() if server.id in held]

    world.bring_back("compute-3")
    world.pass_time(6)

    assert both == ["compute-3", "compute-1"]
    left = [host for host, held in world.cloud.tables.allocations.items() if server.id in held]
    assert left == ["compute-1"]


def test_spawns_of_one_destination_wait_for_a_slot() -> None:
    """Two slots and 10 s each: three servers need 20 s."""
    world = nova_world(2, settings=CloudSettings(spawn_seconds=10, spawn_slots=2))
    servers = [world.cloud.add_server(name, "compute-2") for name in "abc"]
    world.lose("compute-2")
    for server in servers:
        world.evacuate(server)

    world.pass_time(15)
    early = [world.migrations(s)[0][0] for s in servers]
    world.pass_time(10)

    assert early == ["done", "done", "pre-migrating"]
    assert [world.migrations(s)[0][0] for s in servers] == ["done", "done", "done"]
