"""Each recorded state of a real cluster is reached by its deeds, and looks the same."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import RebootAction
from hacli.lab.cib_status import whole_cib
from hacli.lab.cluster_facts import ClusterSettings, Role
from tests.lab.cluster_facts_read import read_facts
from tests.lab.cluster_world import World, new_world

_RECORDINGS = Path(__file__).parent / "recordings" / "pacemaker"
_BY_REBOOT = ClusterSettings(reboot_action=RebootAction.REBOOT)


def _recorded(name: str) -> ET.Element:
    return ET.parse(_RECORDINGS / name).getroot()  # noqa: S314 - a recording of this project


def _statuses(world: World, target: str) -> list[str]:
    return [e.status.value for e in world.cluster.fencer.events if e.target == target]


def _until_fence(world: World, target: str, *statuses: str) -> None:
    """Wait until the newest entries of the target's fence history are these."""
    wanted = list(statuses)
    world.until(lambda: _statuses(world, target)[: len(wanted)] == wanted, within=400)


def _settle(world: World) -> None:
    world.pass_time(8)


def _crash_with_slow_power(world: World) -> None:
    world.bmcs["compute-1"].off_seconds = 6
    world.crash("compute-1")


def _cut_with_slow_power(world: World) -> None:
    world.bmcs["compute-2"].off_seconds = 6
    world.machines.cut(world.machines["compute-2"])


def healthy(world: World) -> None:
    """Nothing has happened."""
    _settle(world)


def being_fenced(world: World) -> None:
    """Lost, and its fencing is under way: its services still read Started."""
    _crash_with_slow_power(world)
    _until_fence(world, "compute-1", "pending")


def just_fenced(world: World) -> None:
    """Fenced, within reconnect_interval: the connection is Stopped."""
    being_fenced(world)
    _until_fence(world, "compute-1", "success")


def returning(world: World) -> None:
    """The connection is being started: online, and not yet in the cluster."""
    just_fenced(world)
    world.until(lambda: world.cluster.nodes["compute-1"].role is Role.STARTING)


def returned(world: World) -> None:
    """Back, with its chain."""
    returning(world)
    _settle(world)


def cut_off(world: World) -> None:
    """The network is cut: to the cluster that is no different from a crash."""
    _cut_with_slow_power(world)
    _until_fence(world, "compute-2", "pending")


def cut_off_and_fenced(world: World) -> None:
    """A cut host is fenced like a dead one."""
    cut_off(world)
    _until_fence(world, "compute-2", "success")


def stop_failed(world: World) -> None:
    """A stop that fails makes the node unclean while it is online."""
    world.bmcs["compute-3"].off_seconds = 6
    world.cluster.chain.break_task("compute-3", "nova-compute", "stop")
    world.run("crm_resource", "--ban", "-r", "nova-compute-clone", "--node", "compute-3")
    _until_fence(world, "compute-3", "pending")


def stop_failed_and_fenced(world: World) -> None:
    """After the fence the failed stop is forgotten; the connection's loss is what is left."""
    stop_failed(world)
    _until_fence(world, "compute-3", "success")


def _set(world: World, node: str, name: str, value: str) -> None:
    set_it = ("crm_attribute", "--node", node, "--name", name, "--update", value)
    assert world.run(*set_it, "--lifetime", "forever").code == 0


def standby(world: World) -> None:
    """Standby stops the chain and leaves the connection."""
    _set(world, "compute-2", "standby", "on")
    _settle(world)


def maintenance(world: World) -> None:
    """In maintenance the services there are unmanaged, and the connection is not."""
    _set(world, "compute-2", "maintenance", "true")
    _settle(world)


def maintenance_and_crashed(world: World) -> None:
    """A dead host in maintenance looks like a living one."""
    maintenance(world)
    world.crash("compute-2")
    world.pass_time(25)


def bmc_silent(world: World) -> None:
    """Each attempt fails after 57 s, and the next one is under way at once."""
    world.bmcs["compute-1"].set_fault(BmcFault.SILENT)
    world.crash("compute-1")
    _until_fence(world, "compute-1", "pending", "failed", "failed")


def bmc_came_back(world: World) -> None:
    """The attempt under way succeeds; the connection is tried at once, its failure is old."""
    bmc_silent(world)
    world.pass_time(18)
    world.bmcs["compute-1"].set_fault(BmcFault.OK)
    _until_fence(world, "compute-1", "success", "failed", "failed")
    world.pass_time(0.1)


def bmc_denies(world: World) -> None:
    """Ten attempts fail in some 13 s; then the cluster gives up for a minute."""
    world.bmcs["compute-1"].set_fault(BmcFault.DENIED)
    world.crash("compute-1")
    _until_fence(world, "compute-1", *["failed"] * 10)
    world.pass_time(0.3)


def confirmed_by_hand(world: World) -> None:
    """A human's word counts like a fence: the dead node reads online while it is being tried."""
    bmc_denies(world)
    assert world.run("stonith_admin", "--confirm", "compute-1").code == 0
    world.pass_time(3)


def start_failed(world: World) -> None:
    """What depends on a service that does not start is not started either."""
    world.cluster.chain.break_task("compute-2", "ceilometer-compute", "start")
    world.machines.stop_process(world.machines["compute-2"], "ceilometer-compute")
    world.pass_time(15)


def returned_without_nova_compute(world: World) -> None:
    """The host is back with all of its chain but the last service."""
    world.cluster.chain.break_task("compute-3", "nova-compute", "start")
    world.crash("compute-3")
    _until_fence(world, "compute-3", "success")
    world.pass_time(20)


def service_died(world: World) -> None:
    """It is restarted, and the failure stays."""
    world.machines.stop_process(world.machines["compute-1"], "nova-compute")
    world.pass_time(15)


def bmc_stuck(world: World) -> None:
    """Acknowledged and not done: the agent is killed after stonith-timeout."""
    world.bmcs["compute-1"].set_fault(BmcFault.STUCK)
    world.crash("compute-1")
    _until_fence(world, "compute-1", "failed")


def bmc_lied(world: World) -> None:
    """A fence that succeeded, of a host that is alive."""
    world.bmcs["compute-1"].set_fault(BmcFault.LIAR)
    world.machines.cut(world.machines["compute-1"])
    _until_fence(world, "compute-1", "success")
    assert world.machines["compute-1"].alive


def two_crashed(world: World) -> None:
    """One after the other: the second one's connection still reads Started."""
    for name in ("compute-1", "compute-2"):
        world.bmcs[name].off_seconds = 5
    world.pass_time(7)
    world.crash("compute-1")
    world.crash("compute-2")
    world.until(lambda: world.cluster.nodes["compute-2"].unclean)


def connection_stopped(world: World) -> None:
    """Stopped by its administrator: like a fenced one, but for target_role and the fence event."""
    world.run("crm_resource", "-r", "compute-3", "--meta", "-p", "target-role", "-v", "Stopped")
    _settle(world)


def cluster_in_maintenance(world: World) -> None:
    """Nothing is managed."""
    world.cluster.cib.set_option("maintenance-mode", "true")
    world.cluster.configuration_changed()
    _settle(world)


def three_controllers(world: World) -> None:
    """Connections and fence devices are spread over the controllers."""
    world.crash("compute-1")
    _until_fence(world, "compute-1", "success")
    world.pass_time(20)


def remoted_died(world: World) -> None:
    """The host runs on, and is fenced for it."""
    world.bmcs["compute-2"].off_seconds = 3
    world.machines.stop_process(world.machines["compute-2"], "pacemaker-remoted")
    _until_fence(world, "compute-2", "pending")


@dataclass(frozen=True)
class Case:
    """A recording, the deeds that lead to it, and how much of its fence history is theirs."""

    recording: str
    deeds: Callable[[World], None]
    events: int
    settings: ClusterSettings = _BY_REBOOT


_CASES = [
    Case("01-healthy", healthy, 0),
    Case("02-host-crashed-being-fenced", being_fenced, 1),
    Case("03-host-just-fenced-before-return", just_fenced, 1),
    Case("04-host-returned-services-starting", returning, 1),
    Case("05-host-returned-healthy", returned, 1),
    Case("06-netcut-remote-lost-host-still-running", cut_off, 1),
    Case("07-netcut-fenced", cut_off_and_fenced, 1),
    Case("08-service-stop-failed-being-fenced", stop_failed, 1),
    Case("09-service-stop-failed-fenced", stop_failed_and_fenced, 1),
    Case("10-node-standby", standby, 0),
    Case("11-node-maintenance", maintenance, 0),
    Case("12-node-maintenance-and-crashed", maintenance_and_crashed, 0),
    Case("13-unclean-fencing-failed-bmc-unreachable", bmc_silent, 3),
    Case("14-fencing-succeeded-after-bmc-came-back", bmc_came_back, 3),
    Case("15-unclean-fencing-failed-bad-credentials", bmc_denies, 10),
    Case("16-manually-confirmed-off", confirmed_by_hand, 11),
    Case("17-service-start-failed-partial-chain", start_failed, 0),
    Case("18-host-returned-nova-compute-start-failed", returned_without_nova_compute, 1),
    Case("19-service-died-and-was-restarted", service_died, 0),
    Case("20-fencing-failed-bmc-acks-but-stays-on", bmc_stuck, 1),
    Case("21-bmc-lied-fenced-but-host-alive", bmc_lied, 1),
    Case("22-two-hosts-crashed", two_crashed, 1),
    Case("23-remote-connection-disabled-cleanly", connection_stopped, 0),
    Case("24-cluster-maintenance-mode", cluster_in_maintenance, 0),
    Case(
        "25-three-controllers-healthy",
        three_controllers,
        1,
        ClusterSettings(controllers=3, reboot_action=RebootAction.REBOOT),
    ),
    Case("26-remoted-died-host-still-running", remoted_died, 1),
]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.recording)
def test_the_lab_shows_what_the_real_cluster_showed(case: Case) -> None:
    """Flags, connections, devices, chain, failures, bans, fence events and node states agree."""
    world = new_world(settings=case.settings)
    recorded = read_facts(
        _recorded(f"{case.recording}.crm_mon.xml"),
        _recorded(f"{case.recording}.node_state.xml"),
        events=case.events,
    )

    case.deeds(world)

    status = whole_cib(world.cluster).find("status")
    assert status is not None
    shown = read_facts(world.monitor(), status, events=99)
    assert shown == recorded
