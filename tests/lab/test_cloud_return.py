"""What a nova-compute does in the lab when its host comes back, as a real one did."""

import pytest

from hacli.lab.cloud_records import MigrationStatus, VmState
from hacli.lab.cloud_tables import CloudSettings
from tests.lab.nova_recordings import recording
from tests.lab.nova_world import NovaWorld, nova_world


@pytest.fixture
def world() -> NovaWorld:
    """A healthy cloud of three hosts."""
    return nova_world()


def test_evacuated_guests_are_destroyed_and_their_records_completed(world: NovaWorld) -> None:
    """Within seconds of its start, although the service is still forced down."""
    servers = [world.cloud.add_server(name, "compute-3") for name in "ab"]
    stays = world.cloud.add_server("c", "compute-3")
    world.lose("compute-3")
    for server in servers:
        world.evacuate(server)
    world.pass_time(20)

    world.bring_back("compute-3")
    world.pass_time(6)

    assert [world.migrations(s) for s in servers] == [
        [("completed", "compute-1")],
        [("completed", "compute-2")],
    ]
    assert tuple(world.machines["compute-3"].guests) == (stays.id,)
    assert world.put_service("compute-3", {"forced_down": False}).status == 200


def test_nothing_is_cleaned_up_before_nova_compute_starts(world: NovaWorld) -> None:
    """A machine that merely runs again changes no record."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(20)

    world.machines.reboot(world.machines["compute-3"])
    world.pass_time(3600)

    assert world.migrations(server) == [("done", "compute-1")]


def test_a_server_that_was_not_evacuated_reads_active_and_does_not_run(world: NovaWorld) -> None:
    """Nova starts no guest; start is refused, a hard reboot brings it back, once."""
    server = world.cloud.add_server("a", "compute-3")
    world.machines.crash(world.machines["compute-3"])
    world.bring_back("compute-3")
    world.pass_time(30)
    path = f"/servers/{server.id}/action"
    before = (world.brief(server), world.machines.running_on(server.id))

    refused = world.ask("POST", path, body={"os-start": None})
    taken = world.ask("POST", path, body={"reboot": {"type": "HARD"}})
    world.pass_time(5)

    assert before == (("ACTIVE", "active", None, 1, "compute-3"), ())
    assert (refused.status, refused.body) == (
        409,
        {
            "conflictingRequest": {
                "code": 409,
                "message": f"Cannot 'start' instance {server.id} while it is in vm_state active",
            }
        },
    )
    assert taken.status == 202
    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-3")
    assert world.machines.running_on(server.id) == ("compute-3",)
    started = [e for e in world.machines.ledger if e.what == "guest-started"]
    assert len(started) == 2


def test_within_a_minute_nova_believes_the_hypervisor(world: NovaWorld) -> None:
    """The first power sync stops in the API what does not run, with no user; then start works."""
    server = world.cloud.add_server("a", "compute-3")
    world.machines.crash(world.machines["compute-3"])
    world.bring_back("compute-3")
    world.pass_time(30)
    before = world.brief(server)
    world.pass_time(30)
    after = world.brief(server)
    log = [(action.name, action.user is None) for action in server.actions]

    answer = world.ask("POST", f"/servers/{server.id}/action", body={"os-start": None})
    world.pass_time(5)

    assert log == [("create", False), ("stop", True)]
    assert (before[0], after[0], answer.status) == ("ACTIVE", "SHUTOFF", 202)
    assert world.machines.running_on(server.id) == ("compute-3",)


def test_a_return_in_mid_evacuation_leaves_a_done_record(world: NovaWorld) -> None:
    """The source destroys its guest early, the end is ``done``: force-up needs one more start."""
    slow = nova_world(settings=CloudSettings(spawn_seconds=30))
    server = slow.cloud.add_server("a", "compute-3")
    slow.lose("compute-3")
    slow.bring_back("compute-3")
    slow.machines.stop_process(slow.machines["compute-3"], "nova-compute")
    slow.evacuate(server)
    slow.pass_time(3)
    recorded = recording("return-in-mid-evacuation")

    before = (list(slow.brief(server))[:4], slow.migrations(server))
    slow.machines.start_process(slow.machines["compute-3"], "nova-compute")
    slow.pass_time(6)
    back = (list(slow.brief(server))[:4], slow.migrations(server))
    gone = server.id not in slow.machines["compute-3"].guests
    slow.pass_time(40)
    end = (list(slow.brief(server))[:4], slow.migrations(server))

    assert [before, back, end] == [
        _without_host(recorded[name])
        for name in ("2 mid evacuation", "2 source back in mid evacuation", "2 end")
    ]
    assert gone
    assert slow.put_service("compute-3", {"forced_down": False}).status == 400
    slow.machines.stop_process(slow.machines["compute-3"], "nova-compute")
    slow.machines.start_process(slow.machines["compute-3"], "nova-compute")
    slow.pass_time(6)
    assert slow.migrations(server) == [("completed", "compute-1")]


def _without_host(recorded: object) -> tuple[object, object]:
    assert isinstance(recorded, list)
    state, rows = recorded
    return state[:4], [tuple(row) for row in rows]


def test_a_record_stuck_in_accepted_destroys_the_guest_of_its_source(world: NovaWorld) -> None:
    """After a double request: the record is completed though the API still names the source."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.lose("compute-3")
    world.evacuate(server)
    world.evacuate(server)
    world.pass_time(10)

    world.bring_back("compute-3")
    world.pass_time(6)

    assert world.migrations(server) == [("completed", None), ("failed", "compute-2")]
    assert world.brief(server)[4] == "compute-3"
    assert server.id not in world.machines["compute-3"].guests


def test_with_both_records_failed_source_and_destination_run(world: NovaWorld) -> None:
    """nova-compute alone had died: the source keeps its guest, beside the copy."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    world.machines.stop_process(world.machines["compute-3"], "nova-compute")
    world.put_service("compute-3", {"forced_down": True})
    world.evacuate(server)
    world.pass_time(0.5)
    world.evacuate(server)
    world.pass_time(10)

    world.machines.start_process(world.machines["compute-3"], "nova-compute")
    world.pass_time(10)

    assert world.migrations(server) == [("failed", "compute-2"), ("failed", "compute-1")]
    assert world.machines.running_on(server.id) == ("compute-1", "compute-3")


def test_a_living_host_that_is_evacuated_runs_its_guests_twice(world: NovaWorld) -> None:
    """Nova allows it; only a restart of nova-compute ends the old copy."""
    server = world.cloud.add_server("a", "compute-3")
    world.put_service("compute-3", {"forced_down": True})
    answer = world.evacuate(server)
    world.pass_time(100)
    twice = world.machines.running_on(server.id)

    world.machines.stop_process(world.machines["compute-3"], "nova-compute")
    world.machines.start_process(world.machines["compute-3"], "nova-compute")
    world.pass_time(6)

    assert (answer.status, twice) == (200, ("compute-1", "compute-3"))
    assert world.machines.running_on(server.id) == ("compute-1",)


@pytest.mark.parametrize(
    ("state", "task", "end"),
    [
        (VmState.ACTIVE, "rebuilding", ("error", None)),
        (VmState.BUILDING, "spawning", ("error", None)),
        (VmState.ACTIVE, "migrating", ("active", None)),
        (VmState.ACTIVE, None, ("active", None)),
    ],
)
def test_interrupted_tasks_of_its_own_servers_are_settled(
    world: NovaWorld, state: VmState, task: str | None, end: tuple[str, str | None]
) -> None:
    """A rebuild or build ends in ERROR, a migration is forgotten."""
    server = world.cloud.add_server("a", "compute-3", state=state, task=task)
    world.machines.crash(world.machines["compute-3"])

    world.bring_back("compute-3")
    world.pass_time(6)

    assert (str(server.vm_state), server.task_state) == end


def test_a_live_migration_record_outlives_its_host(world: NovaWorld) -> None:
    """It stays ``running`` for ever; evacuating the server works all the same."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.moves.begin_live(server, dest="compute-1", seconds=5)
    world.lose("compute-3")
    interrupted = world.brief(server)

    answer = world.evacuate(server)
    world.pass_time(10)
    world.bring_back("compute-3")
    world.pass_time(10)

    assert interrupted == ("MIGRATING", "active", "migrating", 1, "compute-3")
    assert answer.status == 200
    assert world.migrations(server) == [("completed", "compute-2"), ("running", "compute-1")]
    assert world.machines.running_on(server.id) == ("compute-2",)


def test_a_live_migration_that_is_let_end_moves_the_guest_once(world: NovaWorld) -> None:
    """Never two copies; the disk goes with it."""
    server = world.cloud.add_server("a", "compute-3", volume=False)
    migration = world.cloud.moves.begin_live(server, dest="compute-1", seconds=5)

    world.pass_time(6)

    assert migration.status is MigrationStatus.COMPLETED
    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-1")
    assert world.machines.running_on(server.id) == ("compute-1",)
    assert world.machines["compute-1"].guests[server.id].disk == server.disk
    allocations = world.cloud.tables.allocations
    assert [host for host, held in allocations.items() if server.id in held] == ["compute-1"]


def test_a_switched_live_migration_is_evacuated_into_a_second_copy(world: NovaWorld) -> None:
    """The guest already ran on its destination while Nova named the source."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.moves.begin_live(server, dest="compute-1", switched=True)
    world.lose("compute-3")

    world.evacuate(server)
    world.pass_time(10)

    assert world.machines.running_on(server.id) == ("compute-1", "compute-2")


def test_a_live_migration_to_a_host_that_died_is_given_up(world: NovaWorld) -> None:
    """The guest stays where it is."""
    server = world.cloud.add_server("a", "compute-3")
    migration = world.cloud.moves.begin_live(server, dest="compute-1", seconds=5)
    world.machines.crash(world.machines["compute-1"])

    world.pass_time(6)

    assert migration.status is MigrationStatus.ERROR
    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-3")
    assert world.machines.running_on(server.id) == ("compute-3",)


def test_the_power_sync_stops_a_guest_that_should_not_run(world: NovaWorld) -> None:
    """A SHUTOFF server whose guest somebody started behind Nova's back."""
    server = world.cloud.add_server("a", "compute-3", state=VmState.STOPPED, running=True)

    world.pass_time(600)

    assert world.machines.running_on(server.id) == ()


def test_a_message_that_came_during_the_start_is_taken_after_it(world: NovaWorld) -> None:
    """A nova-compute listens only when its clean-up is done."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.lose("compute-1")
    world.machines.crash(world.machines["compute-2"])
    world.bring_back("compute-1")
    world.put_service("compute-1", {"forced_down": False})
    world.pass_time(1)

    world.evacuate(server, version="2.29", host="compute-1", force=True)
    world.pass_time(1.5)
    early = world.migrations(server)
    world.pass_time(10)

    assert early == [("accepted", "compute-1")]
    assert world.migrations(server) == [("done", "compute-1")]
