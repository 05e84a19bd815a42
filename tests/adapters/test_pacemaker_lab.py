"""The adapter through the lab's command prefix: real processes, a cluster that behaves."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hacli.lab.shim
from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import CommandRunner
from hacli.domain.cluster import ClusterNode, Role
from hacli.errors import Unreachable
from hacli.lab.cluster_facts import ClusterSettings, Departure
from hacli.ports import FenceAnswer
from tests.adapters.pacemaker_recordings import node_of
from tests.lab.cluster_world import World, new_world
from tests.lab.test_pacemaker_door import open_door

SHIM = hacli.lab.shim.__file__


@pytest.fixture
def world() -> World:
    """A healthy cluster of three compute nodes."""
    return new_world()


@pytest.fixture
def pacemaker(world: World, tmp_path: Path) -> Iterator[Pacemaker]:
    """The adapter behind the lab's prefix, while its door is open."""
    with open_door(world, tmp_path) as door:
        yield at_door(door.path)


def at_door(path: Path) -> Pacemaker:
    """The adapter as it is wired for a lab."""
    prefix = (sys.executable, "-I", "-S", SHIM, str(path))
    commands = CommandRunner((prefix,), environment=os.environ)
    return Pacemaker(commands, monotonic=time.monotonic, timeout_s=20.0)


def seen(pacemaker: Pacemaker) -> Callable[[str], ClusterNode]:
    """The nodes of one fresh view."""
    view = pacemaker.read_view()
    return lambda name: node_of(view, name)


def test_a_healthy_lab_reads_as_healthy(pacemaker: Pacemaker) -> None:
    """DC, quorum, and every service of every chain Started."""
    view = pacemaker.read_view()

    assert view.acts
    assert [node.name for node in view.nodes] == ["compute-1", "compute-2", "compute-3"]
    assert all(s.role is Role.STARTED for node in view.nodes for s in node.chain)
    assert [device.hosts for device in view.devices] == [(node.name,) for node in view.nodes]


def test_a_crash_a_fencing_and_what_it_leaves(world: World, pacemaker: Pacemaker) -> None:
    """Lost; ordered off and confirmed; both witnesses of Pacemaker agree to the second."""
    world.crash("compute-1")
    world.until(lambda: world.monitor().find("nodes/node[@unclean='true']") is not None)
    lost = seen(pacemaker)("compute-1")

    result = pacemaker.fence_off("compute-1", timeout_s=30.0)

    fenced = seen(pacemaker)("compute-1")
    newest = fenced.fence_events[0]
    assert (lost.unclean, lost.lost_at is not None) == (True, True)
    assert result.answer is FenceAnswer.CONFIRMED
    assert newest.completed is not None
    assert newest.executed
    assert newest.action == "off"
    assert fenced.node_fenced == int(newest.completed.timestamp())
    assert pacemaker.read_node_state("compute-1").node_fenced == fenced.node_fenced
    assert pacemaker.read_node_state("compute-2").in_cluster


@pytest.mark.parametrize("how", Departure)
def test_a_controller_that_is_gone_is_told_from_one_that_may_live(
    tmp_path: Path, how: Departure
) -> None:
    """The facts that say whether the run of another controller may be taken over."""
    world = new_world(settings=ClusterSettings(controllers=3))
    world.cluster.depart("controller-2", how)

    with open_door(world, tmp_path) as door:
        view = at_door(door.path).read_view()

    member = view.member("controller-2")
    assert member is not None
    assert (member.online, member.in_cluster, member.pending) == (False, False, False)
    assert (member.unclean, member.left) == {
        Departure.LOST: (True, False),
        Departure.LEFT: (False, True),
        Departure.FENCED: (False, True),
        Departure.CONFIRMED: (False, True),
    }[how]
    assert [event.executed for event in member.fence_events] == {
        Departure.FENCED: [True],
        Departure.CONFIRMED: [False],
    }.get(how, [])
    assert bool(member.node_fenced) == bool(member.fence_events)
    assert view.acts


def test_an_attribute_is_kept_and_cleared(pacemaker: Pacemaker) -> None:
    """Written, read back by the tool, seen in the next view, and gone again."""
    pacemaker.write_attribute("compute-2", "hacli-evacuating", "run-1")
    kept = seen(pacemaker)("compute-2").attributes

    pacemaker.clear_attribute("compute-2", "hacli-evacuating")
    pacemaker.clear_attribute("compute-2", "hacli-evacuating")

    assert kept["hacli-evacuating"] == "run-1"
    assert "hacli-evacuating" not in seen(pacemaker)("compute-2").attributes


def test_a_confirmation_by_hand_is_no_execution(world: World, pacemaker: Pacemaker) -> None:
    """node_fenced is set by it, too; the delegate tells the difference."""
    world.crash("compute-1")

    pacemaker.confirm_off("compute-1")

    node = seen(pacemaker)("compute-1")
    assert node.fence_events[0].delegate == "a human"
    assert not node.fence_events[0].executed
    assert node.node_fenced


def test_a_service_is_restarted_through_pacemaker(pacemaker: Pacemaker) -> None:
    """Started before, Started after."""
    pacemaker.restart_service("compute-2", "nova-compute", timeout_s=60.0)

    assert seen(pacemaker)("compute-2").chain[-1].role is Role.STARTED


def test_a_closed_door_is_unreachable(tmp_path: Path) -> None:
    """Not an empty cluster, and nothing was ordered."""
    nowhere = at_door(tmp_path / "pacemaker.sock")

    with pytest.raises(Unreachable):
        nowhere.read_view()
    with pytest.raises(Unreachable):
        nowhere.fence_off("compute-1", timeout_s=5.0)
