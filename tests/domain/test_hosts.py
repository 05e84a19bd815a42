"""One machine under its names, its BMC, and the one word for it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacli.domain.cluster import ClusterNode, FenceDevice, Role
from hacli.domain.hosts import (
    FORCED_DOWN_ATTRIBUTE,
    GATE_ATTRIBUTE,
    ComputeHost,
    HostNames,
    HostState,
    Verdict,
    chain_started,
    connected,
    fenced_off,
    join_hosts,
    lost,
    natural,
    opinion_counts,
    stopped_on_purpose,
    verdict_of,
)
from hacli.domain.power import Bmc, PowerState
from hacli.domain.servers import ComputeService
from tests.domain.fleet import (
    FENCED,
    STARTED,
    bmc,
    chain_service,
    device,
    fenced,
    host,
    node,
    service,
    services,
    view,
)
from tests.domain.fleet import lost as lost_node

Joined = tuple[str, str | None, str | None]  # name, node, Nova host


def join(nodes: str, hosts: str, *configured: HostNames) -> tuple[ComputeHost, ...]:
    """Join the nodes and the Nova hosts of these names."""
    known = view(*(node(name) for name in nodes.split()))
    return join_hosts(known, services(*(service(name) for name in hosts.split())), configured)


def sides(found: tuple[ComputeHost, ...]) -> list[Joined]:
    """What was joined with what."""
    return [
        (one.name, one.node.name if one.node else None, one.service.host if one.service else None)
        for one in found
    ]


def ambiguous(found: tuple[ComputeHost, ...]) -> dict[str, str]:
    """Why which host cannot be told apart."""
    return {one.name: one.ambiguous for one in found if one.ambiguous is not None}


@pytest.mark.parametrize(
    ("nodes", "hosts", "pairs"),
    [
        pytest.param(
            "compute-10 compute-1 compute-2",
            "compute-1 compute-2 compute-10",
            [(name, name, name) for name in ("compute-1", "compute-2", "compute-10")],
            id="equal-names-in-the-order-people-count",
        ),
        pytest.param(
            "compute-1 compute-10",
            "compute-1.example.org compute-10.example.org",
            [
                ("compute-1", "compute-1", "compute-1.example.org"),
                ("compute-10", "compute-10", "compute-10.example.org"),
            ],
            id="short-node-and-full-host",
        ),
        pytest.param(
            "compute-1.example.org",
            "compute-1",
            [("compute-1.example.org", "compute-1.example.org", "compute-1")],
            id="full-node-and-short-host",
        ),
        pytest.param(
            "compute-1.a",
            "compute-1.b",
            [("compute-1.a", "compute-1.a", "compute-1.b")],
            id="two-domains-of-one-machine",
        ),
        pytest.param(
            "compute-1",
            "compute-10",
            [("compute-1", "compute-1", None), ("compute-10", None, "compute-10")],
            id="a-beginning-is-not-a-name",
        ),
        pytest.param(
            "compute-1",
            "compute-1 compute-1.example.org",
            [
                ("compute-1", "compute-1", "compute-1"),
                ("compute-1.example.org", None, "compute-1.example.org"),
            ],
            id="equality-before-short-names",
        ),
    ],
)
def test_names_are_joined(nodes: str, hosts: str, pairs: list[Joined]) -> None:
    """Equality, then short names that stand for one machine on each side; never a guess."""
    found = join(nodes, hosts)

    assert sides(found) == pairs
    assert ambiguous(found) == {}


def test_an_ambiguous_short_name_joins_nothing_and_says_so() -> None:
    """Two candidates: all of them stand alone and name each other."""
    found = join("compute-1", "compute-1.a compute-1.b")

    why = "the short name compute-1 stands for compute-1, compute-1.a, compute-1.b"
    assert sides(found) == [
        ("compute-1", "compute-1", None),
        ("compute-1.a", None, "compute-1.a"),
        ("compute-1.b", None, "compute-1.b"),
    ]
    assert ambiguous(found) == dict.fromkeys(("compute-1", "compute-1.a", "compute-1.b"), why)


def test_two_nodes_of_one_short_name_are_ambiguous_too() -> None:
    """The other way round; a short name that is on one side only is no trouble."""
    found = join("compute-1.a compute-1.b compute-2.a compute-2.b", "compute-1")

    assert set(ambiguous(found)) == {"compute-1", "compute-1.a", "compute-1.b"}


def test_the_configuration_comes_first() -> None:
    """What it joins is joined, also against equal names."""
    told = HostNames(label="rack-7", pacemaker="compute-1", nova="compute-2")

    found = join("compute-1 compute-2", "compute-1 compute-2", told)

    assert sides(found) == [
        ("compute-1", "compute-1", "compute-2"),
        ("compute-1", None, "compute-1"),
        ("compute-2", "compute-2", None),
    ]


@pytest.mark.parametrize(
    ("told", "pairs"),
    [
        pytest.param(
            HostNames(label="compute-1", nova="nova-1"),
            [("compute-1", "compute-1", "nova-1")],
            id="the-label-is-the-other-name",
        ),
        pytest.param(
            HostNames(label="compute-1", pacemaker="gone", nova="nova-1"),
            [("compute-1", "compute-1", None), ("nova-1", None, "nova-1")],
            id="a-node-that-does-not-exist",
        ),
        pytest.param(
            HostNames(label="compute-1", nova="gone"),
            [("compute-1", "compute-1", None), ("nova-1", None, "nova-1")],
            id="a-host-that-does-not-exist",
        ),
        pytest.param(
            HostNames(label="gone"),
            [("compute-1", "compute-1", None), ("nova-1", None, "nova-1")],
            id="a-label-that-does-not-exist",
        ),
        pytest.param(
            HostNames(label="gone", pacemaker="lost", nova="away"),
            [("compute-1", "compute-1", None), ("nova-1", None, "nova-1")],
            id="nothing-of-it-exists",
        ),
    ],
)
def test_a_configured_name_that_does_not_exist_joins_nothing(
    told: HostNames, pairs: list[Joined]
) -> None:
    """Rather than something else that happens to be called alike."""
    assert sides(join("compute-1", "nova-1", told)) == pairs


def test_a_configured_name_keeps_a_host_from_the_other_rules() -> None:
    """Its node is configured and missing: an equal or short name is not used instead."""
    told = HostNames(label="compute-1", pacemaker="gone")

    found = join("compute-1", "compute-1", told)

    assert sides(found) == [("compute-1", None, "compute-1"), ("compute-1", "compute-1", None)]


def test_a_name_that_is_configured_for_two_machines_is_ambiguous() -> None:
    """Switching off the one node for two Nova hosts is a guess that nobody makes."""
    found = join(
        "compute-1",
        "nova-1 nova-2",
        HostNames(label="a", pacemaker="compute-1", nova="nova-1"),
        HostNames(label="b", pacemaker="compute-1", nova="nova-2"),
    )

    why = "the configuration joins compute-1 to more than one name"
    assert sides(found) == [
        ("compute-1", "compute-1", "nova-1"),
        ("compute-1", "compute-1", "nova-2"),
    ]
    assert [one.ambiguous for one in found] == [why, why]


def test_without_a_cluster_or_without_nova_each_side_stands_alone() -> None:
    """A source that is silent joins nothing."""
    assert sides(join_hosts(None, services(service("compute-1")), ())) == [
        ("compute-1", None, "compute-1")
    ]
    assert sides(join_hosts(view(node("compute-1")), None, ())) == [
        ("compute-1", "compute-1", None)
    ]


def test_an_operator_may_use_any_of_its_names() -> None:
    """The host is found by node, by Nova host, and by its own name."""
    (found,) = join("compute-1", "compute-1.example.org")

    assert found.names == {"compute-1", "compute-1.example.org"}


@given(names=st.lists(st.integers(min_value=0, max_value=999), unique=True))
@settings(deadline=None, derandomize=True)
def test_numbers_in_names_are_numbers(names: list[int]) -> None:
    """compute-2 stands before compute-10."""
    shuffled = sorted(f"compute-{number}" for number in names)

    assert sorted(shuffled, key=natural) == [f"compute-{number}" for number in sorted(names)]


def test_names_of_different_shapes_can_be_sorted() -> None:
    """Digits first, a number beside a word, and an empty name."""
    names = ["b", "a10", "a2", "10", "9", "a", "a-b"]

    assert sorted(names, key=natural) == ["9", "10", "a", "a2", "a10", "a-b", "b"]


def found_bmc(*devices: FenceDevice, told: HostNames | None = None) -> Bmc | None:
    """The BMC of compute-3 in a cluster with these devices."""
    configured = () if told is None else (told,)
    (found,) = join_hosts(view(node(), devices=devices), services(service()), configured)
    return found.bmc


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(device(), id="new-names"),
        pytest.param(device(ip="", ipaddr="192.0.2.13", username="", login="op"), id="old-names"),
        pytest.param(device(password="", passwd="hunter2"), id="old-password"),
        pytest.param(device(agent="fence_idrac"), id="another-ipmi-agent"),
        pytest.param(device(ipport="623"), id="with-port"),
    ],
)
def test_a_bmc_is_found_behind_its_stonith_device(of: FenceDevice) -> None:
    """With the login and the name of that device."""
    assert found_bmc(of) == bmc(origin="ipmi-compute-3")


def test_another_port_is_taken_over() -> None:
    """The lab has all its BMCs at one address."""
    assert found_bmc(device(ipport="7623")) == replace(bmc(origin="ipmi-compute-3"), port=7623)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(device(hosts=("compute-4",)), id="of-another-node"),
        pytest.param(device(hosts=("compute-3", "compute-4")), id="of-two-nodes"),
        pytest.param(device(hosts=()), id="of-whoever-it-says"),
        pytest.param(device(agent="fence_apc_snmp"), id="a-pdu"),
        pytest.param(device(ip=""), id="no-address"),
        pytest.param(device(username=""), id="no-user"),
        pytest.param(device(password=""), id="no-password"),
        pytest.param(device(ipport="ipmi"), id="no-port"),
    ],
)
def test_a_device_that_does_not_tell_this_machines_bmc_gives_none(of: FenceDevice) -> None:
    """Above all one that names two nodes: a BMC is one machine's, and this may be the other's."""
    assert found_bmc(of) is None
    assert found_bmc(of, device("second")) == bmc(origin="second")


def test_the_configured_bmc_comes_before_the_discovered_one() -> None:
    """By the node's name, by Nova's, and by the label where it is one of them."""
    over = bmc("198.51.100.1")
    for told in (
        HostNames(label="compute-3", bmc=over),
        HostNames(label="rack-7", pacemaker="compute-3", bmc=over),
        HostNames(label="rack-7", nova="compute-3", bmc=over),
    ):
        assert found_bmc(device(), told=told) == over


def test_a_label_that_is_no_name_gives_its_bmc_to_nobody() -> None:
    """The section's machine has other names; a node that is called like the label is another."""
    told = HostNames(
        label="compute-3", pacemaker="compute-7", nova="compute-7", bmc=bmc("198.51.100.1")
    )

    assert found_bmc(told=told) is None


NO_CONNECTION = replace(STARTED, failed=True)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        pytest.param(node(), True, id="started"),
        pytest.param(node(online=False), False, id="offline"),
        pytest.param(node(unclean=True), False, id="unclean"),
        pytest.param(node(connection=replace(STARTED, role=Role.STARTING)), False, id="starting"),
        pytest.param(node(connection=NO_CONNECTION), False, id="started-and-failed"),
        pytest.param(node(in_cluster=False), False, id="not-in-the-cib"),
        pytest.param(node(connection=None), True, id="member"),
        pytest.param(node(connection=None, pending=True), False, id="member-pending"),
        pytest.param(node(connection=None, unclean=True), False, id="member-unclean"),
        pytest.param(node(connection=None, online=False), False, id="member-offline"),
    ],
)
def test_connected_means_a_working_connection_now(of: ClusterNode, *, says: bool) -> None:
    """Online alone is also true for a dead host that Pacemaker tries to reach."""
    assert connected(of) is says


@pytest.mark.parametrize(
    ("of", "changes", "says"),
    [
        pytest.param(node(), {}, True, id="counts"),
        pytest.param(node(), {"dc": None}, False, id="no-dc"),
        pytest.param(node(), {"with_quorum": False}, False, id="no-quorum"),
        pytest.param(node(), {"maintenance_mode": True}, False, id="cluster-maintenance"),
        pytest.param(node(maintenance=True), {}, False, id="node-maintenance"),
        pytest.param(node(connection=replace(STARTED, managed=False)), {}, False, id="unmanaged"),
        pytest.param(
            node(connection=replace(STARTED, maintenance=True)), {}, False, id="rsc-maintenance"
        ),
        pytest.param(node(connection=None), {}, True, id="member"),
    ],
)
def test_an_opinion_counts_only_of_what_pacemaker_manages(
    of: ClusterNode, changes: dict[str, object], *, says: bool
) -> None:
    """Law L1: in maintenance, unmanaged, without quorum or DC it is unknown."""
    assert opinion_counts(of, replace(view(of), **changes)) is says  # type: ignore[arg-type]


def test_lost_needs_an_opinion_that_counts_and_no_order_to_stop() -> None:
    """A connection that an administrator stopped looks like a fenced node, and is not."""
    gone = lost_node()
    on_purpose = replace(gone, connection=replace(STARTED, role=Role.STOPPED, target_stopped=True))

    assert lost(gone, view(gone))
    assert not lost(gone, view(gone, maintenance_mode=True))
    assert not lost(node(), view(node()))
    assert stopped_on_purpose(on_purpose)
    assert not stopped_on_purpose(node(connection=None))
    assert not lost(on_purpose, view(on_purpose))


PENDING = replace(FENCED, status="pending", completed=None)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        pytest.param(fenced(), True, id="fenced"),
        pytest.param(fenced(node_fenced=0), False, id="returned"),
        pytest.param(fenced(node_fenced=None), False, id="never"),
        pytest.param(fenced(fence_events=()), False, id="no-history"),
        pytest.param(fenced(fence_events=(PENDING, FENCED)), False, id="pending"),
        pytest.param(
            fenced(fence_events=(replace(FENCED, status="failed"), FENCED)), False, id="failed"
        ),
        pytest.param(
            fenced(fence_events=(replace(FENCED, delegate="a human"),)), False, id="a-human"
        ),
        pytest.param(fenced(unclean=True), False, id="unclean"),
        pytest.param(
            fenced(online=True, in_cluster=True, connection=STARTED), False, id="connected"
        ),
    ],
)
def test_fenced_off_is_the_clusters_whole_account(of: ClusterNode, *, says: bool) -> None:
    """A fence by a device, none pending, in the CIB, and not seen since."""
    assert fenced_off(of) is says


def test_a_chain_is_started_when_all_of_it_is() -> None:
    """One service that is not makes the host degraded."""
    assert chain_started(node(chain=(chain_service(), chain_service())))
    assert not chain_started(node(chain=(chain_service(), chain_service(Role.STOPPED))))


def verdict(
    of: ClusterNode | None,
    by: ComputeService | None,
    power: PowerState | None = None,
    count: int | None = 2,
) -> Verdict:
    """The verdict on a host of these two, whose BMC says ``power``."""
    state = HostState(
        host=host(of, by),
        power=power,
        power_unknown_because=None,
        servers=count,
        servers_exact=count is not None,
    )
    return verdict_of(state, view(*([of] if of is not None else [])))


DOWN = service(up=False)
DISABLED = service(enabled=False, disabled_reason="new memory")
OURS = service(enabled=False, disabled_reason="hacli:r-1 recover")
ON, OFF = PowerState.ON, PowerState.OFF


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        pytest.param(verdict(node(), service()), Verdict.READY, id="healthy"),
        pytest.param(verdict(node(), DISABLED), Verdict.DISABLED, id="disabled-by-an-operator"),
        pytest.param(verdict(node(), DOWN), Verdict.DEGRADED, id="nova-down"),
        pytest.param(verdict(node(standby=True), service()), Verdict.DEGRADED, id="standby"),
        pytest.param(
            verdict(node(chain=(chain_service(Role.STOPPED),)), service()),
            Verdict.DEGRADED,
            id="chain",
        ),
        pytest.param(verdict(node(), OURS), Verdict.RETURNED, id="disabled-by-us"),
        pytest.param(
            verdict(node(), service(enabled=False, disabled_reason="hacli:r-1 disable: DIMM")),
            Verdict.DISABLED,
            id="disabled-with-hacli-by-hand",
        ),
        pytest.param(
            verdict(node(), service(disabled_reason="hacli:r-1 recover")),
            Verdict.READY,
            id="an-old-reason-of-ours",
        ),
        pytest.param(
            verdict(node(), service(up=False, forced_down=True)), Verdict.RETURNED, id="forced-down"
        ),
        pytest.param(
            verdict(node(attributes={GATE_ATTRIBUTE: "r-1"}), service()),
            Verdict.RETURNED,
            id="gate",
        ),
        pytest.param(
            verdict(node(attributes={FORCED_DOWN_ATTRIBUTE: "r-1"}), service()),
            Verdict.READY,
            id="a-note-alone",
        ),
        pytest.param(verdict(lost_node(), service()), Verdict.FAILED, id="lost"),
        pytest.param(verdict(lost_node(), DOWN, ON), Verdict.FAILED, id="lost-and-on"),
        pytest.param(
            verdict(lost_node(), DOWN, PowerState.UNKNOWN), Verdict.FAILED, id="lost-and-unclear"
        ),
        pytest.param(verdict(lost_node(), DOWN, OFF), Verdict.FENCED, id="lost-and-off"),
        pytest.param(verdict(lost_node(), DOWN, OFF, 0), Verdict.OFF, id="lost-off-and-empty"),
        pytest.param(verdict(fenced(), DOWN), Verdict.FENCED, id="fenced"),
        pytest.param(verdict(fenced(), DOWN, count=None), Verdict.FENCED, id="fenced-uncounted"),
        pytest.param(verdict(fenced(), DOWN, count=0), Verdict.OFF, id="fenced-and-empty"),
        pytest.param(verdict(fenced(), DOWN, ON), Verdict.FAILED, id="fenced-and-on"),
        pytest.param(
            verdict(fenced(), DOWN, ON, None), Verdict.FAILED, id="fenced-on-and-uncounted"
        ),
        pytest.param(verdict(fenced(), DOWN, ON, 0), Verdict.OFF, id="fenced-on-and-empty"),
        pytest.param(verdict(None, service()), Verdict.UNKNOWN, id="no-node"),
        pytest.param(verdict(node(), None), Verdict.UNKNOWN, id="no-service"),
        pytest.param(verdict(node(), service(known=False)), Verdict.UNKNOWN, id="cell-down"),
        pytest.param(verdict(node(maintenance=True), service()), Verdict.UNKNOWN, id="maintenance"),
        pytest.param(
            verdict(
                lost_node(connection=replace(STARTED, role=Role.STOPPED, target_stopped=True)), DOWN
            ),
            Verdict.UNKNOWN,
            id="stopped-on-purpose",
        ),
    ],
)
def test_one_word_for_the_host(says: Verdict, expected: Verdict) -> None:
    """In doubt unknown or failed, never ready."""
    assert says is expected


def test_an_ambiguous_host_and_a_silent_cluster_have_no_verdict() -> None:
    """Nothing is known of them, however healthy they look."""
    healthy = HostState(
        host=host(node(), service()),
        power=None,
        power_unknown_because=None,
        servers=0,
        servers_exact=True,
    )
    twin = replace(healthy, host=replace(healthy.host, ambiguous="two of them"))

    assert verdict_of(healthy, None) is Verdict.UNKNOWN
    assert verdict_of(twin, view(node())) is Verdict.UNKNOWN
