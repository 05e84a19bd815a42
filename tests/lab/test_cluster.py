"""The lab's cluster: what it notices, when, and what it looks like."""

import time

import pytest

from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings, Role
from tests.lab.cluster_world import new_world

_BY_REBOOT = ClusterSettings(reboot_action=RebootAction.REBOOT)


@pytest.mark.parametrize("name", ["compute-1", "compute-2", "compute-3"])
def test_a_silent_host_is_unclean_after_30_to_40_seconds(name: str) -> None:
    """A crash sends nothing: the next monitor (each 10 s) has to time out (30 s)."""
    world = new_world()
    world.pass_time(3.3)
    world.crash(name)

    seconds = world.until(lambda: world.cluster.nodes[name].unclean)

    assert 30 <= seconds <= 40.2


def test_a_closed_connection_is_noticed_at_once() -> None:
    """The host runs on, but its pacemaker-remoted was killed: unclean in 0.2 s."""
    world = new_world()
    world.machines.stop_process(world.machines["compute-2"], "pacemaker-remoted")

    seconds = world.until(lambda: world.cluster.nodes["compute-2"].unclean)

    assert seconds <= 0.3


def test_a_host_powered_on_by_hand_rejoins_by_itself() -> None:
    """Connection and chain are up within 25 s of the power-on."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: bool(node.node_fenced))
    world.pass_time(70)
    world.bmcs["compute-1"].order_on()

    seconds = world.until(lambda: node.services["nova-compute"].role is Role.STARTED)

    assert seconds <= 25
    assert node.node_fenced == 0


def test_a_network_that_comes_back_in_time_is_no_loss() -> None:
    """Cut for 20 s, twice: each time the monitor gets its answer before its 30 s are over."""
    world = new_world()
    machine = world.machines["compute-1"]

    for _ in range(2):
        world.machines.cut(machine)
        world.pass_time(20)
        world.machines.join(machine)
        world.pass_time(1)
    world.pass_time(60)

    assert world.cluster.nodes["compute-1"].connected
    assert world.events() == []


def test_a_second_cut_is_counted_from_its_own_beginning() -> None:
    """What was nearly lost before does not make the second silence shorter."""
    world = new_world()
    machine = world.machines["compute-1"]
    world.machines.cut(machine)
    world.pass_time(25)
    world.machines.join(machine)
    world.machines.cut(machine)

    seconds = world.until(lambda: world.cluster.nodes["compute-1"].unclean)

    assert 30 <= seconds <= 40.2


def test_a_host_that_hangs_is_lost_like_a_dead_one() -> None:
    """Nobody answers, although everything is still there."""
    world = new_world()
    world.machines.hang(world.machines["compute-1"])

    world.until(lambda: world.events() == [("reboot", "success", "controller-1")])

    assert not world.machines["compute-1"].powered


def test_a_host_rebooted_behind_the_clusters_back_is_fenced() -> None:
    """It answers again before the monitor's time-out, with another pacemaker-remoted."""
    world = new_world()
    world.bmcs["compute-1"].order_cycle()

    seconds = world.until(lambda: world.cluster.nodes["compute-1"].unclean)

    assert seconds < 5


def test_a_dead_node_in_maintenance_is_fenced_when_maintenance_ends() -> None:
    """In maintenance nobody looks; after it the loss is noticed within a monitor's interval."""
    world = new_world()
    world.attribute("compute-1", "maintenance", "--update", "true")
    world.crash("compute-1")
    world.pass_time(300)
    in_maintenance = world.cluster.nodes["compute-1"].connected

    world.attribute("compute-1", "maintenance", "--delete")
    world.pass_time(15)

    assert in_maintenance
    assert world.events() == [("reboot", "success", "controller-1")]


def test_a_dead_host_reports_no_dead_services() -> None:
    """Its monitors get no answer at all: what failed is the connection, and nothing else."""
    world = new_world()
    world.crash("compute-1")
    world.attribute("compute-1", "unrelated", "--update", "1")

    world.until(lambda: world.cluster.nodes["compute-1"].unclean)

    failures = [failure.get("op_key") for failure in world.monitor().iter("failure")]
    assert failures == ["compute-1_monitor_10000"]
    assert world.roles("compute-1") == ["Started"] * 3


def test_a_node_that_never_was_there_has_no_state() -> None:
    """Off from the beginning: no ``node_state``; it gets one when it connects."""
    world = new_world(off=("compute-3",))
    world.pass_time(5)
    query = ("cibadmin", "-Q", "--xpath", "//node_state[@uname='compute-3']")
    before = world.run(*query).code

    world.bmcs["compute-3"].order_on()
    world.pass_time(10)

    assert (before, world.run(*query).code) == (105, 0)
    assert world.roles("compute-3") == ["Started"] * 3


def test_a_change_of_the_configuration_costs_little_with_many_nodes() -> None:
    """A thousand nodes: linear in their number, so that a lab of them stays usable."""
    world = new_world(names=tuple(f"compute-{number}" for number in range(1, 1001)))

    began = time.perf_counter()
    world.attribute("compute-1", "unrelated", "--update", "1")
    world.pass_time(0.1)

    assert time.perf_counter() - began < 2
