"""Evacuation in the lab ends as it ended in the real cloud."""

import pytest

from hacli.lab.cloud_records import VmState
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
    ("gap", "end", "migrations", "running_on"),
    [
        pytest.param(
            0.0,
            ("ERROR", "error", None, 1, "compute-3"),
            [("accepted", None), ("failed", "compute-2")],
            ("compute-1",),
            id="at-once",
        ),
        pytest.param(
            0.5,
            ("ERROR", "error", None, 1, "compute-3"),
            [("failed", "compute-2"), ("failed", "compute-1")],
            ("compute-1",),
            id="half-a-second",
        ),
        pytest.param(
            1.5,
            ("ERROR", "error", None, 1, "compute-1"),
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
    assert world.migrations(server) == migrations
    assert world.machines.running_on(server.id) == running_on
