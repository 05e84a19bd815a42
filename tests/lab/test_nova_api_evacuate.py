"""What the lab's Nova refuses to evacuate, and what it wrongly accepts, as a real one did."""

import json

import pytest

from hacli.lab.cloud_records import POWER_SHUTDOWN, MigrationStatus, Server, VmState
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.http_shapes import Response
from tests.lab.nova_recordings import normal, recording
from tests.lab.nova_world import NovaWorld, nova_world

_ERRORS = recording("evacuate-errors")
_MATRIX = recording("evacuate-state-matrix")


def _recorded(table: dict[str, object], name: str) -> dict[str, object]:
    entry = table[name]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize("name", sorted(_ERRORS))
def test_a_refused_evacuation_is_refused_as_recorded(name: str) -> None:
    """Same status, same words, and nothing happens to the server."""
    maximum = "2.93" if name.startswith("zed") else "2.104"
    world = nova_world(settings=CloudSettings(max_microversion=maximum))
    server = world.cloud.add_server("one", "compute-3")
    if "still-up" not in name:
        world.lose("compute-3")
    before = world.brief(server)
    recorded = _recorded(_ERRORS, name)
    request = recorded["request"]
    assert isinstance(request, dict)
    path = f"/servers/{server.id}/action" if "no-such" not in name else request["path"]

    answer = world.ask("POST", path, version=request["microversion"], body=request["body"])

    assert (answer.status, normal(answer.body)) == (recorded["status"], normal(recorded["body"]))
    assert (world.brief(server), world.migrations(server)) == (before, [])


def test_a_host_that_is_dead_but_not_yet_down_is_refused() -> None:
    """For up to 60 s Nova takes a dead host for a living one."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3")
    world.machines.crash(world.machines["compute-3"])
    world.pass_time(40)

    answer = world.evacuate(server)

    assert _words(answer) == (400, "Compute service of compute-3 is still in use.")


@pytest.mark.parametrize(
    "name", [name for name in _MATRIX if not name.startswith(("VERIFY", "NVH", "TAKEN"))]
)
def test_each_state_ends_as_recorded(name: str) -> None:
    """Every server state, with and without an asked destination: answer, end and records."""
    world = nova_world()
    recorded = _recorded(_MATRIX, name)
    server = _seeded(world, name, recorded)
    world.lose("compute-3")
    if name.startswith("DEST"):
        change = {"forced_down": True} if "down" in name else {"status": "disabled"}
        host = "compute-2" if "down" in name else "compute-1"
        assert world.put_service(host, dict(change)).status == 200
    body = recorded["body"]
    assert isinstance(body, dict)

    answer = world.evacuate(server, version=str(recorded["microversion"]), **body)
    world.pass_time(10)

    assert (answer.status, normal(answer.body or "")) == (
        recorded["http"],
        normal(recorded["answer"]),
    )
    assert _end(world, server) == _recorded_end(recorded)


def _seeded(world: NovaWorld, name: str, recorded: dict[str, object]) -> Server:
    before = recorded["before"]
    assert isinstance(before, dict)
    server = world.cloud.add_server(
        name,
        before["host"],
        volume=False,
        state=str(before["vm"]),
        task=before["task"],
        locked=before["locked"],
    )
    server.power_state = before["power"]
    return server


def _end(world: NovaWorld, server: Server) -> tuple[object, ...]:
    status, vm_state, task, power, host = world.brief(server)
    moved = host not in ("compute-3", None)
    records = [(status, dest is not None) for status, dest in world.migrations(server)]
    fault = server.fault.message if server.fault else None
    return status, vm_state, task, power, moved, server.locked, records, fault


def _recorded_end(recorded: dict[str, object]) -> tuple[object, ...]:
    after, migrations = recorded["after"], recorded["migrations"]
    assert isinstance(after, dict)
    assert isinstance(migrations, list)
    return (
        after["status"],
        after["vm"],
        after["task"],
        after["power"],
        after["host"] not in ("compute-3", None),
        after["locked"],
        [(status, dest is not None) for _, status, dest in migrations],
        recorded.get("fault"),
    )


def test_a_resized_server_is_refused_on_its_destination() -> None:
    """A server that waits for its resize to be confirmed counts to the new host: 409."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-1", volume=False)
    world.cloud.moves.begin_cold(server, dest="compute-3", stage=MigrationStatus.FINISHED)
    world.lose("compute-3")

    answer = world.evacuate(server)

    assert world.brief(server) == ("VERIFY_RESIZE", "resized", None, 1, "compute-3")
    assert _words(answer) == (
        409,
        f"Cannot 'evacuate' instance {server.id} while it is in vm_state resized",
    )


@pytest.mark.parametrize("version", ["2.94", "2.95"])
def test_a_second_try_after_no_valid_host_runs_the_server(version: str) -> None:
    """The first try left ERROR, so that also a stopped server comes up running."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3", state=VmState.STOPPED)
    world.lose("compute-3")
    for host in ("compute-1", "compute-2"):
        world.put_service(host, {"status": "disabled"})
    world.evacuate(server, version=version)
    world.pass_time(5)
    for host in ("compute-1", "compute-2"):
        world.put_service(host, {"status": "enabled"})

    world.evacuate(server, version=version)
    world.pass_time(10)

    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-1")
    assert world.migrations(server) == [("done", "compute-1"), ("error", None)]


def test_once_done_a_repeat_is_harmless() -> None:
    """The new host is up, and so the repeat is refused."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)

    answer = world.evacuate(server)

    assert _words(answer) == (400, "Compute service of compute-1 is still in use.")
    assert world.migrations(server) == [("done", "compute-1")]


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("2.1", {"onSharedStorage": False, "host": "compute-2"}),
        ("2.14", {"host": "compute-2"}),
        ("2.29", {"host": "compute-2", "force": True}),
    ],
)
def test_an_old_request_for_a_host_passes_by_the_scheduler(
    version: str, body: dict[str, object]
) -> None:
    """Below 2.29 always, up to 2.67 with force: a disabled host is taken as well."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3", volume=False)
    world.lose("compute-3")
    world.put_service("compute-2", {"status": "disabled"})

    answer = world.evacuate(server, version=version, **body)
    world.pass_time(10)

    assert answer.status == 200
    assert world.brief(server) == ("ACTIVE", "active", None, 1, "compute-2")


def test_a_request_for_a_host_that_does_not_answer_waits_for_ever() -> None:
    """The message lies in the queue of a dead nova-compute: the record stays accepted."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3")
    world.lose("compute-3")
    world.lose("compute-2")

    world.evacuate(server, version="2.29", host="compute-2", force=True)
    world.pass_time(3600)

    assert world.brief(server) == ("REBUILD", "active", "rebuilding", 1, "compute-3")
    assert world.migrations(server) == [("accepted", "compute-2")]


@pytest.mark.parametrize(
    ("timeline", "volume"),
    [
        ("2.14-image", False),
        ("2.94-volume-backed", True),
        ("2.95-image", False),
        ("2.95-volume-backed", True),
    ],
)
def test_an_evacuation_passes_through_the_recorded_states(timeline: str, *, volume: bool) -> None:
    """In the recorded order; every recorded state of server and migration is passed through."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3", volume=volume)
    world.lose("compute-3")
    world.evacuate(server, version=timeline.partition("-")[0])

    seen: list[object] = []
    for _ in range(200):
        world.pass_time(0.05)
        for state in (list(world.brief(server)), world.migrations(server)):
            if state not in seen:
                seen.append(state)

    assert _in_order(_recorded_states(timeline, "server"), seen)
    assert _in_order(_recorded_states(timeline, "migration"), seen)
    assert ["ACTIVE", "active", None, 1, "compute-3"] in seen or "2.95" in timeline


def _recorded_states(timeline: str, kind: str) -> list[object]:
    rows = recording("evacuate-timelines")[timeline]
    assert isinstance(rows, list)
    text = json.dumps([state for _, what, state in rows if what == kind and state])
    states = json.loads(text.replace("compute-2", "compute-1"))
    if kind == "migration":
        return [[(status, dest) for _, status, dest in state] for state in states]
    return list(states[1:])


def _in_order(wanted: list[object], seen: list[object]) -> bool:
    positions = [seen.index(state) for state in wanted]
    return positions == sorted(positions)


def test_a_stopped_server_boots_briefly_on_its_way() -> None:
    """Below 2.95 and from there alike: the guest is started and then stopped again."""
    world = nova_world()
    server = world.cloud.add_server("one", "compute-3", state=VmState.STOPPED)
    world.lose("compute-3")

    world.evacuate(server)
    world.pass_time(10)

    deeds = [e.what for e in world.machines.ledger if e.machine == "compute-1" and e.server]
    assert deeds == ["guest-started", "guest-ended"]
    assert server.power_state == POWER_SHUTDOWN


def _words(answer: Response) -> tuple[int, object]:
    assert answer.body is not None
    (fault,) = answer.body.values()
    assert isinstance(fault, dict)
    return answer.status, fault["message"]
