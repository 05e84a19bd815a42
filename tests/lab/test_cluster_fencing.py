"""The lab's fencing: who orders it, what it takes, what it leaves behind."""

import pytest

from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings, Role
from tests.lab.cluster_world import new_world

_BY_REBOOT = ClusterSettings(reboot_action=RebootAction.REBOOT)


def test_without_quorum_nobody_is_fenced() -> None:
    """The controller waits for quorum; with it, it fences at once."""
    world = new_world()
    world.cluster.set_quorum(quorum=False)
    world.crash("compute-1")
    world.pass_time(120)
    before = world.events()

    world.cluster.set_quorum(quorum=True)
    world.pass_time(15)

    assert before == []
    assert world.events() == [("reboot", "success", "controller-1")]


def test_an_order_by_hand_needs_no_quorum() -> None:
    """The fencer does not ask for quorum: only the controller does."""
    world = new_world()
    world.cluster.set_quorum(quorum=False)

    assert world.run("stonith_admin", "--fence", "compute-1").code == 0
    assert not world.machines["compute-1"].powered


def test_with_fencing_disabled_a_lost_node_just_looks_clean() -> None:
    """Offline and not unclean, and nothing was fenced: that proves nothing."""
    world = new_world()
    world.cluster.cib.set_option("stonith-enabled", "false")
    world.cluster.configuration_changed()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]

    world.until(lambda: node.failed)

    assert (node.online, node.unclean, node.node_fenced) == (False, False, 0)
    assert world.events() == []


def test_after_ten_failures_the_cluster_tries_once_a_minute() -> None:
    """Ten attempts at once, then one at each recheck, until the BMC lets it in."""
    world = new_world()
    world.bmcs["compute-1"].set_fault(BmcFault.DENIED)
    world.crash("compute-1")
    world.until(lambda: len(world.cluster.fencer.events) == 10)
    world.bmcs["compute-1"].set_fault(BmcFault.OK)

    seconds = world.until(lambda: bool(world.cluster.nodes["compute-1"].node_fenced))

    assert 60 <= seconds <= 65


@pytest.mark.parametrize(
    ("fault", "code", "least", "most"),
    [
        (BmcFault.OK, 0, 2, 3),
        (BmcFault.SLOW, 0, 30, 35),
        (BmcFault.LIAR, 0, 2, 3),
        (BmcFault.DENIED, 1, 1, 2),
        (BmcFault.SILENT, 1, 56, 59),
        (BmcFault.STUCK, 124, 59, 61),
    ],
)
def test_a_fence_takes_what_the_bmc_needs(
    fault: BmcFault, code: int, least: float, most: float
) -> None:
    """A liar's fence succeeds; a stuck one's ends when the agent is killed."""
    world = new_world()
    world.bmcs["compute-1"].set_fault(fault)
    began = world.timeline.now

    answer = world.run("stonith_admin", "--fence", "compute-1", "--timeout", "90")

    assert answer.code == code
    assert least <= world.timeline.now - began <= most


def test_an_order_that_timed_out_may_still_come_true() -> None:
    """The agent is killed, the BMC has the order: the power goes off after the failure."""
    world = new_world()
    world.bmcs["compute-1"].off_seconds = 6

    answer = world.run("stonith_admin", "--fence", "compute-1", "--timeout", "3")
    at_the_failure = world.machines["compute-1"].powered
    world.pass_time(5)

    assert (answer.code, at_the_failure) == (124, True)
    assert world.events()[-1] == ("off", "failed", "controller-1")
    assert not world.machines["compute-1"].powered


def test_two_orders_for_one_target_follow_each_other() -> None:
    """Off by hand while the cluster's own reboot is under way: two events, one after the other."""
    world = new_world()
    world.bmcs["compute-1"].off_seconds = 4
    world.crash("compute-1")
    world.until(lambda: world.cluster.nodes["compute-1"].unclean)

    answer = world.run("stonith_admin", "--fence", "compute-1")

    assert answer.code == 0
    assert world.events() == [
        ("off", "success", "controller-1"),
        ("reboot", "success", "controller-1"),
    ]


def test_a_host_fenced_by_a_liar_connects_again_as_it_is() -> None:
    """It never was off: its chain still runs, and node_fenced is 0 again."""
    world = new_world()
    world.bmcs["compute-1"].set_fault(BmcFault.LIAR)
    machine = world.machines["compute-1"]
    world.machines.cut(machine)
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: bool(node.node_fenced))

    world.machines.join(machine)
    world.pass_time(15)

    assert node.connected
    assert (machine.boots, node.node_fenced) == (1, 0)
    assert world.roles("compute-1") == ["Started"] * 3


def _seconds_to_fence_five_of_ten(*, concurrent: str) -> float:
    names = tuple(f"compute-{number}" for number in range(1, 11))
    world = new_world(names=names, settings=_BY_REBOOT)
    world.cluster.cib.set_option("concurrent-fencing", concurrent)
    nodes = [world.cluster.nodes[name] for name in names[:5]]
    for node in nodes:
        world.crash(node.name)
    world.until(lambda: all(node.failed for node in nodes))
    return world.until(lambda: not any(node.unclean for node in nodes))


def test_five_dead_hosts_are_fenced_one_after_another() -> None:
    """``concurrent-fencing`` is off by default in this release; on, they go together."""
    one_by_one = _seconds_to_fence_five_of_ten(concurrent="false")
    together = _seconds_to_fence_five_of_ten(concurrent="true")

    assert one_by_one > 10 > together


def test_a_host_fenced_by_off_stays_off_and_its_connection_reads_online() -> None:
    """``pcmk_reboot_action=off``: the event says reboot, and the dead node reads online."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]

    world.until(lambda: bool(node.node_fenced))
    world.pass_time(20)

    assert not world.machines["compute-1"].powered
    assert (node.role, node.online, node.unclean) == (Role.STARTING, True, False)
    assert [event.action for event in world.cluster.fencer.events] == ["reboot"]


def test_a_pending_start_reads_started_after_the_reconnect_interval() -> None:
    """Recorded three times over: 10 s Starting, 48 s Started, 11 s Stopped; the host is dead."""
    world = new_world()
    world.crash("compute-1")
    world.until(lambda: bool(world.cluster.nodes["compute-1"].node_fenced))
    seen: list[tuple[str | None, str | None]] = []

    for _ in range(200):
        world.pass_time(1)
        monitor = world.monitor()
        connection = monitor.find("resources/resource[@id='compute-1']")
        node = monitor.find("nodes/node[@name='compute-1']")
        assert connection is not None
        assert node is not None
        shown = (connection.get("role"), node.get("online"))
        if shown not in seen[-1:]:
            seen.append(shown)

    cycle = [("Stopped", "false"), ("Starting", "true"), ("Started", "true")]
    assert seen[:7] == [*cycle, *cycle, cycle[0]]


def test_a_host_that_is_off_is_fenced_off_again_in_an_instant() -> None:
    """The agent finds it off and orders nothing; event and node_fenced are new all the same."""
    world = new_world()
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: bool(node.node_fenced))
    world.pass_time(20)
    began = world.timeline.now

    answer = world.run("stonith_admin", "--fence", "compute-1", "--timeout", "60")

    assert answer.code == 0
    assert world.timeline.now - began < 0.35
    newest = world.cluster.fencer.events[0]
    assert (newest.action, newest.delegate) == ("off", "controller-1")
    assert newest.completed is not None
    assert node.node_fenced == int(newest.completed)


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
