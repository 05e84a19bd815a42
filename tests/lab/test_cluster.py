"""The lab's cluster: what it notices, when, and what it does about it."""

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


def test_a_host_fenced_by_reboot_comes_back_by_itself() -> None:
    """Power is cut and given again, the connection is made, the chain starts in order."""
    world = new_world(settings=_BY_REBOOT)
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]

    world.until(lambda: node.unclean)
    world.until(lambda: node.services["nova-compute"].role is Role.STARTED and node.connected)

    assert world.machines["compute-1"].processes == {
        "pacemaker-remoted",
        "neutron-openvswitch-agent",
        "ceilometer-compute",
        "nova-compute",
    }
    assert [entry.what for entry in world.machines.ledger if entry.machine == "compute-1"] == [
        "crashed",
        "power-off",
        "power-on",
        "booted",
    ]


def test_a_host_fenced_by_off_stays_off_and_its_connection_reads_online() -> None:
    """``pcmk_reboot_action=off``: the event says reboot, and the dead node reads online."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]

    world.until(lambda: node.node_fenced > 0)
    world.pass_time(20)

    assert not world.machines["compute-1"].powered
    assert (node.role, node.online, node.unclean) == (Role.STARTING, True, False)
    assert [event.action for event in world.cluster.fencer.events] == ["reboot"]


def test_a_host_that_is_off_is_fenced_off_again_in_an_instant() -> None:
    """The agent finds it off and orders nothing; event and node_fenced are new all the same."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: node.node_fenced > 0)
    world.pass_time(20)
    began = world.timeline.now

    answer = world.run("stonith_admin", "--fence", "compute-1", "--timeout", "60")

    assert answer.code == 0
    assert world.timeline.now - began < 0.35
    newest = world.cluster.fencer.events[0]
    assert (newest.action, newest.delegate) == ("off", "controller-1")
    assert newest.completed is not None
    assert node.node_fenced == int(newest.completed)


def test_a_host_powered_on_by_hand_rejoins_by_itself() -> None:
    """Connection and chain are up within 25 s of the power-on."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: node.node_fenced > 0)
    world.pass_time(70)
    world.bmcs["compute-1"].order_on()

    seconds = world.until(lambda: node.services["nova-compute"].role is Role.STARTED)

    assert seconds <= 25
    assert node.node_fenced == 0
