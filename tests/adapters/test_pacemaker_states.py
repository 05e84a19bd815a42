"""Each recorded state, read by a person from the files and from what the lab knew to be true."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from hacli.domain.cluster import (
    ChainService,
    ClusterMember,
    ClusterNode,
    ClusterView,
    Connection,
    FenceDevice,
    FenceEvent,
    FenceLevel,
    Role,
)
from hacli.domain.hosts import connected
from tests.adapters.pacemaker_recordings import node_of, recording, states

UP = (Role.STARTED, Role.STARTED, Role.STARTED)
DOWN = (Role.STOPPED, Role.STOPPED, Role.STOPPED)
CHAIN = ("neutron-openvswitch-agent", "ceilometer-compute", "nova-compute")

STARTED = Connection(
    role=Role.STARTED, managed=True, maintenance=False, failed=False, target_stopped=False
)
STARTING = replace(STARTED, role=Role.STARTING)
STOPPED = replace(STARTED, role=Role.STOPPED)
LOST = replace(STOPPED, failed=True)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The decisive facts of one compute node."""

    online: bool = True
    unclean: bool = False
    standby: bool = False
    maintenance: bool = False
    connection: Connection = STARTED
    chain: tuple[Role, ...] = UP
    chain_managed: bool = True
    failures: Mapping[str, str | None] | None = None
    pending: bool = False  # a fence order is under way
    fence: FenceEvent | None = None  # the newest completed one
    executed: bool = False
    node_fenced: int | None = 0
    in_cluster: bool = True
    lost_at: datetime | None = None


def at(clock: str) -> datetime:
    """A time of the day on which the recordings were made."""
    return datetime.fromisoformat(f"2026-11-22 {clock}+00:00")


def reboot(target: str, clock: str, **changes: object) -> FenceEvent:
    """A fencing that the only controller executed."""
    event = FenceEvent(
        target=target,
        action="reboot",
        status="success",
        delegate="controller-1",
        completed=at(clock),
    )
    return replace(event, **changes)  # type: ignore[arg-type] # fields of FenceEvent


def fenced(target: str, clock: str, **facts: object) -> Facts:
    """A healthy node that was fenced once upon a time."""
    return replace(Facts(fence=reboot(target, clock), executed=True), **facts)  # type: ignore[arg-type] # fields of Facts


def seen(node: ClusterNode) -> Facts:
    """The same facts as they were parsed."""
    assert node.connection is not None
    assert tuple(service.name for service in node.chain) == CHAIN
    completed = [event for event in node.fence_events if event.completed is not None]
    failed = {service.name: service.failure for service in node.chain if service.failed}
    managed = {service.managed for service in node.chain}
    assert len(managed) == 1
    return Facts(
        online=node.online,
        unclean=node.unclean,
        standby=node.standby,
        maintenance=node.maintenance,
        connection=node.connection,
        chain=tuple(service.role for service in node.chain),
        chain_managed=managed.pop(),
        failures=failed or None,
        pending=any(event.status == "pending" for event in node.fence_events),
        fence=completed[0] if completed else None,
        executed=bool(completed) and completed[0].executed,
        node_fenced=node.node_fenced,
        in_cluster=node.in_cluster,
        lost_at=node.lost_at,
    )


CRASHED = {"online": False, "unclean": True, "connection": LOST, "in_cluster": False}
"""Its services still read Started: nobody could look."""
GONE = {"online": False, "connection": LOST, "chain": DOWN, "in_cluster": False}
REJOINING = {"connection": STARTING, "chain": DOWN, "in_cluster": False}
"""Reads online although the host may be dead (16): the connection is what counts."""
BY_HAND = reboot("compute-1", "05:58:05", action="off", delegate="a human")
STUCK = "Fence agent did not complete within 60s"

NEVER_SEEN = Facts(online=False, unclean=True, connection=STOPPED, chain=DOWN, node_fenced=None)

C1 = fenced("compute-1", "05:51:45")
C2 = fenced("compute-2", "05:49:53")
C2_CUT = fenced("compute-2", "05:52:35")
C2_LATER = fenced("compute-2", "05:53:52")
C3 = fenced("compute-3", "05:52:49")
C3_LATER = fenced("compute-3", "05:59:24")
C1_BY_HAND = Facts(fence=BY_HAND)
C1_LATE = fenced("compute-1", "06:05:26")
C2_LATE = fenced("compute-2", "06:05:31")
C2_IN_MAINTENANCE = replace(C2_CUT, maintenance=True, chain_managed=False)
UNMANAGED = {
    "maintenance": True,
    "chain_managed": False,
    "connection": replace(STARTED, managed=False),
}

EXPECTED: dict[str, tuple[Facts, Facts, Facts]] = {
    "00": (NEVER_SEEN, NEVER_SEEN, NEVER_SEEN),
    "01": (Facts(), Facts(), Facts()),
    "02": (
        fenced("compute-1", "05:48:02", pending=True, lost_at=at("05:51:36"), **CRASHED),
        C2,
        Facts(),
    ),
    "03": (
        replace(C1, node_fenced=1795326705, lost_at=at("05:51:36"), **GONE),  # type: ignore[arg-type] # fields of Facts
        C2,
        Facts(),
    ),
    "04": (replace(C1, node_fenced=1795326705, **REJOINING), C2, Facts()),  # type: ignore[arg-type] # fields of Facts
    "05": (C1, C2, Facts()),
    "06": (C1, replace(C2, pending=True, lost_at=at("05:52:26"), **CRASHED), Facts()),  # type: ignore[arg-type] # fields of Facts
    "07": (
        C1,
        replace(C2_CUT, node_fenced=1795326755, lost_at=at("05:52:26"), **GONE),  # type: ignore[arg-type] # fields of Facts
        Facts(),
    ),
    "08": (
        C1,
        C2_CUT,
        Facts(
            unclean=True,
            pending=True,
            failures={"nova-compute": "nova-compute failed to stop (lab switch)"},
        ),
    ),
    "09": (
        C1,
        C2_CUT,
        replace(C3, node_fenced=1795326769, lost_at=at("05:52:49"), **GONE),  # type: ignore[arg-type] # fields of Facts
    ),
    "10": (C1, replace(C2_CUT, standby=True, chain=DOWN), C3),
    "11": (C1, C2_IN_MAINTENANCE, C3),
    "12": (C1, C2_IN_MAINTENANCE, C3),  # its host is dead: nothing here shows it
    "13": (
        Facts(
            fence=reboot("compute-1", "05:56:39", status="failed"),
            pending=True,
            lost_at=at("05:54:27"),
            online=False,
            unclean=True,
            connection=LOST,
            in_cluster=False,
        ),
        C2_LATER,
        C3,
    ),
    "14": (
        fenced("compute-1", "05:57:05", node_fenced=1795327025, **REJOINING),
        C2_LATER,
        C3,
    ),
    "15": (
        Facts(
            fence=reboot("compute-1", "05:58:02", status="failed"),
            lost_at=at("05:57:49"),
            online=False,
            unclean=True,
            connection=LOST,
            in_cluster=False,
        ),
        C2_LATER,
        C3,
    ),
    "16": (
        Facts(fence=BY_HAND, node_fenced=1795327085, **REJOINING),  # type: ignore[arg-type] # fields of Facts
        C2_LATER,
        C3,
    ),
    "17": (
        C1_BY_HAND,
        replace(
            C2_LATER,
            chain=(Role.STARTED, Role.STOPPED, Role.STOPPED),
            failures={
                "ceilometer-compute": "ceilometer-agent-compute failed to start (lab switch)"
            },
        ),
        C3,
    ),
    "18": (
        C1_BY_HAND,
        C2_LATER,
        replace(
            C3_LATER,
            chain=(Role.STARTED, Role.STARTED, Role.STOPPED),
            failures={"nova-compute": "nova-compute failed to start (lab switch)"},
        ),
    ),
    "19": (C1_BY_HAND, C2_LATER, C3_LATER),  # restarted: the old failure is no fault any more
    "20": (
        Facts(
            fence=reboot("compute-1", "06:01:37", status="failed", exit_reason=STUCK),
            lost_at=at("06:00:36"),
            online=False,
            unclean=True,
            connection=LOST,
            in_cluster=False,
        ),
        C2_LATER,
        C3_LATER,
    ),
    "21": (  # the BMC lied and the host lives: Pacemaker alone cannot show that
        fenced("compute-1", "06:04:30", node_fenced=1795327470, lost_at=at("06:04:26"), **GONE),
        C2_LATER,
        C3_LATER,
    ),
    "22": (
        fenced("compute-1", "06:04:30", pending=True, lost_at=at("06:05:18"), **CRASHED),
        replace(
            C2_LATER,
            online=False,
            unclean=True,
            connection=replace(STARTED, failed=True),
            lost_at=at("06:05:19"),
        ),
        C3_LATER,
    ),
    "23": (  # looks fenced, and was only switched off cleanly
        C1_LATE,
        C2_LATE,
        replace(
            C3_LATER,
            online=False,
            chain=DOWN,
            connection=replace(STOPPED, target_stopped=True),
            in_cluster=False,
        ),
    ),
    "24": (
        replace(C1_LATE, **UNMANAGED),  # type: ignore[arg-type] # fields of Facts
        replace(C2_LATE, **UNMANAGED),  # type: ignore[arg-type] # fields of Facts
        replace(C3_LATER, **UNMANAGED),  # type: ignore[arg-type] # fields of Facts
    ),
    "25": (fenced("compute-1", "06:11:45"), Facts(), Facts()),
    "26": (
        C1_LATE,
        replace(C2_LATE, pending=True, lost_at=at("06:12:42"), **CRASHED),  # type: ignore[arg-type] # fields of Facts
        C3_LATER,
    ),
}


@pytest.mark.parametrize("number", EXPECTED)
def test_every_recorded_state_is_read_as_a_person_reads_it(number: str) -> None:
    """Flags, connection, chain, newest fencing and node_fenced of all compute nodes."""
    view = recording(number).view

    assert tuple(node.name for node in view.nodes) == ("compute-1", "compute-2", "compute-3")
    assert tuple(map(seen, view.nodes)) == EXPECTED[number]


def test_no_recorded_state_is_left_out() -> None:
    """A new recording needs its line in the table (27 is about fencing levels, 28 below)."""
    assert [state[:2] for state in states()] == [*EXPECTED, "27", "28"]


def test_a_dead_host_that_crm_mon_calls_started_is_not_connected() -> None:
    """Recorded: off, fenced, its connection's start pending for a minute, and crm_mon prints
    online and Started because an old monitor succeeded. Only the CIB tells (in_ccm).
    """
    node = recording("28").view.node("compute-3")

    assert node is not None
    assert node.online
    assert node.connection == STARTED
    assert not node.in_cluster
    assert not connected(node)


@pytest.mark.parametrize("number", EXPECTED)
def test_a_dead_host_never_reads_connected_but_in_maintenance(number: str) -> None:
    """What the lab knew: only maintenance (12) hides a death, and then no opinion counts."""
    recorded = recording(number)

    alive = {node.name for node in recorded.view.nodes if connected(node) and not node.maintenance}

    assert not alive & recorded.dead


@pytest.mark.parametrize("number", EXPECTED)
def test_node_fenced_is_the_second_of_the_newest_success_or_zero(number: str) -> None:
    """The two witnesses inside Pacemaker agree in every state, also when a person confirmed."""
    for node in recording(number).view.nodes:
        newest = next((event for event in node.fence_events if event.completed), None)
        if node.node_fenced:
            assert newest is not None
            assert newest.completed is not None
            assert datetime.fromtimestamp(node.node_fenced, UTC) == newest.completed


MEMBER = ClusterMember(
    name="controller-1",
    online=True,
    unclean=False,
    pending=False,
    in_cluster=True,
    left=False,
    node_fenced=None,
    fence_events=(),
)
HEALTHY_CLUSTER = ClusterView(
    name="ihalab",
    dc="controller-1",
    with_quorum=True,
    members=1,
    members_online=1,
    fencing_enabled=True,
    maintenance_mode=False,
    fencing_timeout_s=60.0,
    nodes=(),
    devices=(),
    levels=(),
    read_at=0.0,
    controllers=(MEMBER,),
)
CLUSTERS = {
    # nobody has decided anything: no DC, and so no quorum that would count
    "00": replace(
        HEALTHY_CLUSTER, dc=None, with_quorum=False, members=0, members_online=0, controllers=()
    ),
    "24": replace(HEALTHY_CLUSTER, maintenance_mode=True),
    "25": replace(
        HEALTHY_CLUSTER,
        members=3,
        members_online=3,
        controllers=tuple(replace(MEMBER, name=f"controller-{number}") for number in (1, 2, 3)),
    ),
}


@pytest.mark.parametrize("number", EXPECTED)
def test_the_cluster_itself_is_read(number: str) -> None:
    """Name, DC, quorum, members and the options that decide what it does."""
    view = recording(number).view

    cluster = replace(view, nodes=(), devices=(), levels=())
    assert cluster == CLUSTERS.get(number, HEALTHY_CLUSTER)
    assert view.acts == (number != "00")


def test_a_service_of_the_chain_is_a_whole_value() -> None:
    """Name, role, management and the reason of its failure."""
    chain = node_of(recording("17").view, "compute-2").chain

    assert chain == (
        ChainService(
            name="neutron-openvswitch-agent", role=Role.STARTED, managed=True, failed=False
        ),
        ChainService(
            name="ceilometer-compute",
            role=Role.STOPPED,
            managed=True,
            failed=True,
            failure="ceilometer-agent-compute failed to start (lab switch)",
        ),
        ChainService(name="nova-compute", role=Role.STOPPED, managed=True, failed=False),
    )


def test_the_fence_history_of_a_node_is_its_own_newest_first_and_pending_before_all() -> None:
    """13: two failures and two old successes, and one more attempt under way."""
    events = node_of(recording("13").view, "compute-1").fence_events

    assert events == (
        FenceEvent(
            target="compute-1", action="reboot", status="pending", delegate=None, completed=None
        ),
        reboot("compute-1", "05:56:39", status="failed"),
        reboot("compute-1", "05:55:42", status="failed"),
        reboot("compute-1", "05:51:45"),
        reboot("compute-1", "05:48:02"),
    )


def test_permanent_attributes_are_read_and_transient_ones_are_not() -> None:
    """10: standby was set with crm_attribute, osprole at the deployment."""
    nodes = recording("10").view.nodes

    assert [dict(node.attributes) for node in nodes] == [
        {"osprole": "compute"},
        {"osprole": "compute", "standby": "on"},
        {"osprole": "compute"},
    ]


def test_fence_devices_and_levels_are_read() -> None:
    """27: an IPMI device for each host, and a second device of all hosts on the same level."""
    view = recording("27").view

    numbers = ("1", "2", "3")
    assert view.levels == tuple(
        FenceLevel(target=f"compute-{n}", index=1, devices=(f"ipmi-compute-{n}", "fence-nova"))
        for n in numbers
    )
    assert [(device.id, device.agent, device.hosts) for device in view.devices] == [
        *((f"ipmi-compute-{n}", "fence_ipmilan", (f"compute-{n}",)) for n in numbers),
        ("fence-nova", "fence_lablog", ()),
    ]


def test_the_parameters_of_a_device_are_read_and_never_shown() -> None:
    """The BMC's login comes from here; no repr of anything that holds it tells it."""
    view = recording("01").view

    assert view.devices[0] == FenceDevice(
        id="ipmi-compute-1",
        agent="fence_ipmilan",
        hosts=("compute-1",),
        ports={},
        parameters={
            "ip": "10.99.1.101",
            "username": "admin",
            "password": "labsecret",
            "lanplus": "1",
            "cipher": "3",
            "pcmk_host_list": "compute-1",
            "power_timeout": "20",
        },
    )
    assert "labsecret" not in repr(view)
