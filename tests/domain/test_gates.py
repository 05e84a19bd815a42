"""The safety checks before a recovery, each with its own flag."""

from dataclasses import replace

import pytest

from hacli.domain.cluster import ClusterNode, ClusterView, FenceDevice, FenceLevel, Role
from hacli.domain.evacuation import Plan, Reason, Skip
from hacli.domain.gates import (
    Gate,
    GateFacts,
    destinations,
    devices_for,
    gates_to_evacuate,
    gates_to_fence,
    objections,
)
from hacli.domain.hosts import ComputeHost
from hacli.domain.power import Bmc
from hacli.domain.servers import ComputeService
from hacli.errors import NotPermitted, SourceError, Unreachable
from tests.domain.fleet import (
    STARTED,
    bmc,
    device,
    fenced,
    host,
    lost,
    node,
    service,
    services,
    view,
)
from tests.domain.moves import run, server

NONE: frozenset[str] = frozenset()
SILENT = Unreachable(source="BMC 192.0.2.13", why="no answer within 6 s")
LOGIN = NotPermitted(source="BMC 192.0.2.13", why="wrong password")


def facts(
    of: ClusterNode | None,
    by: ComputeService | None = None,
    over: Bmc | None = None,
    *,
    among: ClusterView | None = None,
    others: tuple[ComputeHost, ...] = (),
    bmc_error: SourceError | None = None,
    storm_share: float = 0.5,
) -> GateFacts:
    """A host of these, in a cluster of nodes like it."""
    about = host(of, by or service(up=False), over)
    return GateFacts(
        host=about,
        hosts=(about, *others),
        view=among,
        services=services(service("compute-1"), service("compute-3")),
        bmc="reads ON",
        bmc_error=bmc_error,
        storm_share=storm_share,
    )


def asked(name: str, about: GateFacts, *allowed: str) -> Gate:
    """What this gate says."""
    return {gate.name: gate for gate in gates_to_fence(about, frozenset(allowed))}[name]


def down(of: ClusterNode, by: ComputeService | None = None, **changes: object) -> Gate:
    """What "host is down" says of a node."""
    return asked("host is down", facts(of, by, among=replace(view(of), **changes)))  # type: ignore[arg-type]


def yes(text: str) -> Gate:
    """The host is down."""
    return Gate(name="host is down", passed=True, text=text)


def no(text: str, code: str = "HOST_HEALTHY") -> Gate:
    """It may well run."""
    return Gate(name="host is down", passed=False, text=text, code=code, flag="--allow-healthy")


ON_PURPOSE = lost(connection=replace(STARTED, role=Role.STOPPED, target_stopped=True))
STARTING = node(unclean=False, connection=replace(STARTED, role=Role.STARTING))


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        pytest.param(down(lost()), yes("Pacemaker: offline, unclean; Nova: down"), id="lost"),
        pytest.param(
            down(lost(), service()), yes("Pacemaker: offline, unclean; Nova: up"), id="nova-up"
        ),
        pytest.param(
            down(lost(), service(known=False)),
            yes("Pacemaker: offline, unclean; Nova: unknown"),
            id="nova-unknown",
        ),
        pytest.param(down(fenced()), yes("Pacemaker: offline; Nova: down"), id="fenced"),
        pytest.param(down(STARTING), yes("Pacemaker: not connected; Nova: down"), id="starting"),
        pytest.param(down(node()), no("Pacemaker: online; Nova: down"), id="healthy"),
        pytest.param(
            down(ON_PURPOSE),
            no("Pacemaker was told to stop its connection; the host may well run; Nova: down"),
            id="stopped-on-purpose",
        ),
        *(
            pytest.param(
                said,
                no(
                    "Pacemaker's opinion does not count (maintenance or unmanaged); Nova: down",
                    "MAINTENANCE_MODE",
                ),
                id=name,
            )
            for name, said in {
                "node-maintenance": down(lost(maintenance=True)),
                "cluster-maintenance": down(lost(), maintenance_mode=True),
                "no-quorum": down(lost(), with_quorum=False),
            }.items()
        ),
        pytest.param(
            asked("host is down", facts(None, among=view())),
            no("Pacemaker does not know this host; Nova: down", "NAME_UNJOINED"),
            id="no-node",
        ),
        pytest.param(asked("host is down", facts(None)), yes("Nova: down"), id="no-cluster-down"),
        pytest.param(
            asked("host is down", facts(None, service())),
            no("no cluster was asked; Nova: up"),
            id="no-cluster-up",
        ),
        pytest.param(
            asked("host is down", facts(None, service(known=False))),
            no("no cluster was asked; Nova: unknown"),
            id="no-cluster-unknown",
        ),
    ],
)
def test_only_a_lost_host_is_down(says: Gate, expected: Gate) -> None:
    """Law L7: a healthy one is fenced only with its own flag."""
    assert says == expected


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        pytest.param(
            view(lost(), members_online=2),
            Gate(name="quorum", passed=True, text="2 of 3 members"),
            id="quorum",
        ),
        pytest.param(
            view(lost(), with_quorum=False, members_online=1),
            Gate(name="quorum", passed=False, text="no quorum: 1 of 3 members", code="NO_QUORUM"),
            id="no-quorum",
        ),
        pytest.param(
            view(lost(), dc=None),
            Gate(name="quorum", passed=False, text="no DC: 3 of 3 members", code="NO_QUORUM"),
            id="no-dc",
        ),
        pytest.param(
            None,
            Gate(name="quorum", passed=True, text="no cluster is asked (--without-cluster)"),
            id="no-cluster",
        ),
    ],
)
def test_nothing_is_done_without_quorum(among: ClusterView | None, expected: Gate) -> None:
    """Law L9; there is no flag against it."""
    assert asked("quorum", facts(lost(), among=among), "--allow-healthy", "--force") == expected


IPMI = device()
PDU = device("pdu", agent="fence_apc_snmp", ip="192.0.2.200")
BOOKS = device("hacli", agent="fence_hacli", hosts=("compute-3", "compute-4"), ip="")
OTHERS = device("ipmi-compute-4", hosts=("compute-4",), ip="192.0.2.14")
BEHIND = "BMC 192.0.2.13"


def level(index: int, *devices: FenceDevice) -> FenceLevel:
    """One level of compute-3."""
    return FenceLevel(target="compute-3", index=index, devices=tuple(d.id for d in devices))


def fencing(
    over: Bmc | None,
    error: SourceError | None,
    *devices: FenceDevice,
    levels: tuple[FenceLevel, ...] = (),
    fencing_enabled: bool = True,
) -> Gate:
    """What "can fence" says of compute-3 with these devices."""
    among = view(lost(), devices=devices, levels=levels, fencing_enabled=fencing_enabled)
    return asked("can fence", facts(lost(), over=over, among=among, bmc_error=error))


def can(text: str) -> Gate:
    """There is a way."""
    return Gate(name="can fence", passed=True, text=text)


def cannot(text: str, code: str) -> Gate:
    """There is none; no flag helps."""
    return Gate(name="can fence", passed=False, text=text, code=code)


MISSING = cannot("no fence device in Pacemaker and no BMC in the configuration", "FENCE_MISSING")
SILENCE = cannot("BMC 192.0.2.13: no answer within 6 s", "FENCE_UNREACHABLE")
BY_PDU = can("Pacemaker's pdu; BMC 192.0.2.13: no answer within 6 s")
FOUND = bmc(origin="ipmi-compute-3")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        pytest.param(fencing(None, None), MISSING, id="nothing"),
        pytest.param(fencing(None, None, OTHERS), MISSING, id="another-hosts-device"),
        pytest.param(fencing(None, None, BOOKS), MISSING, id="an-agent-that-cuts-nothing"),
        pytest.param(fencing(None, None, PDU), can("Pacemaker's pdu"), id="a-device"),
        pytest.param(
            fencing(None, None, PDU, fencing_enabled=False), MISSING, id="fencing-is-switched-off"
        ),
        pytest.param(fencing(bmc(), None), can(f"{BEHIND} reads ON"), id="a-bmc"),
        pytest.param(fencing(bmc(), SILENT), SILENCE, id="a-silent-bmc"),
        pytest.param(
            fencing(bmc(), LOGIN), cannot(f"{BEHIND}: wrong password", "FENCE_LOGIN"), id="login"
        ),
        pytest.param(fencing(FOUND, SILENT, IPMI), SILENCE, id="its-own-device"),
        pytest.param(fencing(bmc(), SILENT, IPMI), SILENCE, id="the-same-bmc-by-address"),
        pytest.param(
            fencing(bmc(), SILENT, device(ipport="7623")),
            can("Pacemaker's ipmi-compute-3; BMC 192.0.2.13: no answer within 6 s"),
            id="another-bmc-at-that-address",
        ),
        pytest.param(fencing(FOUND, SILENT, IPMI, BOOKS), SILENCE, id="and-one-that-cuts-nothing"),
        pytest.param(fencing(FOUND, SILENT, IPMI, PDU), BY_PDU, id="another-device"),
        pytest.param(
            fencing(FOUND, SILENT, IPMI, PDU, levels=(level(1, IPMI), level(2, PDU))),
            BY_PDU,
            id="another-level",
        ),
        pytest.param(
            fencing(FOUND, SILENT, IPMI, PDU, levels=(level(1, IPMI, PDU),)),
            SILENCE,
            id="the-same-level",
        ),
        pytest.param(
            fencing(
                FOUND,
                SILENT,
                IPMI,
                PDU,
                BOOKS,
                levels=(level(1, IPMI, BOOKS), level(2, PDU, BOOKS)),
            ),
            BY_PDU,
            id="another-level-with-the-books",
        ),
        pytest.param(
            fencing(
                FOUND,
                SILENT,
                IPMI,
                PDU,
                levels=(level(1, IPMI), replace(level(1, PDU), target="compute-4")),
            ),
            SILENCE,
            id="another-hosts-level",
        ),
    ],
)
def test_a_silent_bmc_is_refused_unless_another_way_is_configured(
    says: Gate, expected: Gate
) -> None:
    """Before anything is ordered; a device that needs the same BMC is no other way."""
    assert says == expected


def test_the_devices_of_a_node_are_those_of_its_levels_and_lists() -> None:
    """Each once, in the order in which Pacemaker tries them."""
    about = host(lost(), service())
    among = view(lost(), devices=(PDU, IPMI, OTHERS), levels=(level(1, IPMI),))

    assert devices_for(about, among) == ("ipmi-compute-3", "pdu")
    assert devices_for(about, replace(among, fencing_enabled=False)) == ()
    assert devices_for(about, None) == ()
    assert devices_for(host(None, service()), among) == ()


def storm(gone: int, total: int, share: float = 0.5, *allowed: str) -> Gate:
    """What "blast radius" says when so many of so many are lost."""
    nodes = [
        lost(f"compute-{i}") if i <= gone else node(f"compute-{i}") for i in range(1, total + 1)
    ]
    hosts = tuple(host(of, service(of.name)) for of in nodes)
    about = facts(nodes[0], among=view(*nodes), others=hosts[1:], storm_share=share)
    return asked("blast radius", about, *allowed)


def calm(text: str) -> Gate:
    """No storm."""
    return Gate(name="blast radius", passed=True, text=text)


STORM = Gate(
    name="blast radius",
    passed=False,
    text="3 of 5 hosts look down at once: this looks like a network problem of this machine",
    code="TOO_MANY_DOWN",
    flag="--allow-storm",
)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        pytest.param(storm(1, 2), calm("1 of 2 hosts look down"), id="one"),
        pytest.param(storm(2, 2), calm("2 of 2 hosts look down"), id="all-of-few"),
        pytest.param(storm(3, 6), calm("3 of 6 hosts look down"), id="just-the-share"),
        pytest.param(storm(3, 5), STORM, id="three-and-more-than-the-share"),
        pytest.param(storm(3, 5, 0.6), calm("3 of 5 hosts look down"), id="another-share"),
        pytest.param(
            storm(3, 5, 0.5, "--allow-storm"), replace(STORM, overridden=True), id="allowed"
        ),
        pytest.param(storm(3, 5, 0.5, "--allow-healthy"), STORM, id="another-flag"),
    ],
)
def test_many_lost_at_once_suspect_the_observer(says: Gate, expected: Gate) -> None:
    """Law L10: at least three, and more than the share."""
    assert says == expected


def test_hosts_outside_the_cluster_count_by_nova() -> None:
    """Down by heartbeat is lost, as far as anybody knows; a cell that is down says nothing."""
    others = (
        host(None, service("a", up=False)),
        host(None, service("b", up=False)),
        host(None, service("c", known=False, up=False)),
        host(None, service("d")),
        host(None, service("e", up=False)),
    )

    gate = asked("blast radius", facts(None, service(), others=others))

    assert gate == calm("3 of 6 hosts look down")


def test_a_flag_overrides_its_own_objection_and_no_other() -> None:
    """What is overridden is still shown as an objection."""
    about = facts(node(), among=view(node()), bmc_error=None, over=bmc())

    before = gates_to_fence(about, NONE)
    after = gates_to_fence(about, frozenset({"--allow-healthy"}))

    assert [gate.name for gate in before] == ["host is down", "quorum", "can fence", "blast radius"]
    assert [gate.name for gate in objections(before)] == ["host is down"]
    assert after == (replace(before[0], overridden=True), *before[1:])
    assert objections(after) == ()


SKIP = Skip(server=server(), reason=Reason.STATE, text="paused")
ROOM = Gate(name="room", passed=True, text="1 hosts are enabled and up")
NO_ROOM = Gate(
    name="room",
    passed=False,
    text="no other host is enabled and up: Nova would put every VM into ERROR",
    code="NO_ROOM",
    flag="--allow-no-room",
)
PLAN = Plan(runs=(run(), run()), skips=(SKIP,))


def test_the_plan_is_shown_and_room_is_needed() -> None:
    """Nova accepts an evacuation to nowhere, and puts the server into ERROR (lab-openstack 4.4)."""
    about = facts(lost(), among=view(lost()))
    nowhere = replace(about, services=services(service("compute-3"), service("a", enabled=False)))
    empty = Plan(runs=(), skips=(SKIP,))
    storage = Gate(name="storage", passed=True, text="2 of 3 VMs can be rebuilt with their disks")

    assert gates_to_evacuate(about, PLAN, NONE) == (storage, ROOM)
    assert gates_to_evacuate(nowhere, PLAN, NONE) == (storage, NO_ROOM)
    assert gates_to_evacuate(nowhere, PLAN, frozenset({"--allow-no-room"})) == (
        storage,
        replace(NO_ROOM, overridden=True),
    )
    assert gates_to_evacuate(nowhere, empty, NONE)[1].passed


def test_only_a_host_that_is_known_enabled_and_up_can_receive() -> None:
    """And not the source itself."""
    found = services(
        service("a"),
        service("b", up=False),
        service("c", enabled=False),
        service("d", known=False),
        service("compute-3"),
    )

    assert destinations(found, "compute-3") == ("a",)
    assert destinations(found, None) == ("a", "compute-3")
