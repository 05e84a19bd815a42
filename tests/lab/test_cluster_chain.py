"""The chain of services on the lab's nodes: order, gate, failures."""

from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings
from tests.lab.cluster_world import new_world

_BY_REBOOT = ClusterSettings(reboot_action=RebootAction.REBOOT)


def test_the_gate_stops_nova_compute_and_nothing_else() -> None:
    """The attribute and its location rule: gone within 3 s, the rest of the chain stays."""
    world = new_world()

    assert world.attribute("compute-1", "hacli-evacuating", "--update", "1").code == 0
    world.pass_time(3)

    assert world.roles("compute-1") == ["Started", "Started", "Stopped"]
    assert "nova-compute" not in world.machines["compute-1"].processes
    assert world.roles("compute-2") == ["Started"] * 3


def test_the_gate_survives_a_fence_and_opens_within_2_seconds() -> None:
    """The node rejoins with its chain but for nova-compute, until the attribute is deleted."""
    world = new_world(settings=_BY_REBOOT)
    world.attribute("compute-1", "hacli-evacuating", "--update", "1")
    world.crash("compute-1")
    node = world.cluster.nodes["compute-1"]
    world.until(lambda: bool(node.node_fenced))
    world.pass_time(20)
    behind_the_gate = world.roles("compute-1")

    world.attribute("compute-1", "hacli-evacuating", "--delete")
    world.pass_time(2)

    assert behind_the_gate == ["Started", "Started", "Stopped"]
    assert world.roles("compute-1") == ["Started"] * 3


def test_without_its_rule_the_attribute_is_no_gate() -> None:
    """The constraint in the CIB does it, not the name of the attribute."""
    world = new_world()
    world.run("cibadmin", "--delete", "--xpath", "//rsc_location[@id='hacli-gate']")

    world.attribute("compute-1", "hacli-evacuating", "--update", "1")
    world.pass_time(5)

    assert world.roles("compute-1") == ["Started"] * 3


def test_a_chain_is_started_in_order_and_stopped_in_reverse() -> None:
    """Standby and back: each service waits for the one before it."""
    world = new_world()
    heard: list[str] = []
    world.machines.on_change.append(lambda machine, what: heard.append(what))

    world.attribute("compute-1", "standby", "--update", "on")
    world.pass_time(6)
    world.attribute("compute-1", "standby", "--delete")
    world.pass_time(6)

    assert heard == [
        "process-stopped:nova-compute",
        "process-stopped:ceilometer-compute",
        "process-stopped:neutron-openvswitch-agent",
        "process-started:neutron-openvswitch-agent",
        "process-started:ceilometer-compute",
        "process-started:nova-compute",
    ]


def test_a_failed_start_is_tried_again_after_a_clean_up() -> None:
    """A failed start bans the service from its node until somebody cleans up."""
    world = new_world()
    world.cluster.chain.break_task("compute-1", "nova-compute", "start")
    world.run("crm_resource", "--restart", "-r", "nova-compute", "--node", "compute-1", "-T", "10")
    world.cluster.chain.mend("compute-1", "nova-compute")
    world.pass_time(120)
    banned = world.roles("compute-1")

    world.run("crm_resource", "--cleanup", "-r", "nova-compute", "--node", "compute-1")
    world.pass_time(3)

    assert banned == ["Started", "Started", "Stopped"]
    assert world.roles("compute-1") == ["Started"] * 3
    assert world.monitor().find("failures") is None


def test_a_crashed_service_takes_those_behind_it_along() -> None:
    """The telemetry agent dies: nova-compute is stopped and started after it."""
    world = new_world()
    heard: list[str] = []
    world.machines.on_change.append(lambda machine, what: heard.append(what))
    world.machines.stop_process(world.machines["compute-1"], "ceilometer-compute")

    world.pass_time(15)

    assert heard == [
        "process-stopped:ceilometer-compute",
        "process-stopped:nova-compute",
        "process-started:ceilometer-compute",
        "process-started:nova-compute",
    ]


def test_a_service_that_died_behind_a_cut_is_found_after_it() -> None:
    """The next monitor after the network is back restarts it."""
    world = new_world()
    machine = world.machines["compute-1"]
    world.machines.cut(machine)
    world.machines.stop_process(machine, "nova-compute")
    world.pass_time(15)
    world.machines.join(machine)

    world.pass_time(15)

    assert "nova-compute" in machine.processes
    assert [failure.get("exitcode") for failure in world.monitor().iter("failure")] == ["7"]
