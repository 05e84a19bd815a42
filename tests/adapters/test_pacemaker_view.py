"""Which nodes are compute nodes, when the two answers do not show only remote nodes."""

import pytest

from hacli.domain.cluster import ClusterView, Connection, Role
from hacli.errors import Unreadable
from tests.adapters.pacemaker_recordings import node_of, recording, view_of

HEALTHY = recording("01")
FLAGS = (
    'online="{online}" standby="false" standby_onfail="false" maintenance="false" pending="false"'
    ' unclean="false" resources_running="1"'
)
AGENT = 'resource_agent="ocf:pacemaker:remote" role="Started" managed="true" failed="false"'


def with_node(node: str, *, resource: str = "", online: str = "true") -> ClusterView:
    """The healthy cluster with one more ``<node>`` (and resource) in crm_mon, not in the CIB."""
    crm_mon = HEALTHY.crm_mon.replace(
        "</nodes>", f"<node {node} {FLAGS.format(online=online)}/></nodes>"
    ).replace("</resources>", f"{resource}</resources>")
    return view_of(crm_mon, HEALTHY.cib)


@pytest.mark.parametrize("mark", ['id_as_resource="vm-1"', 'container_id="galera-0"'])
def test_guests_and_bundles_are_no_compute_nodes(mark: str) -> None:
    """They are of type remote, too, and have a connection resource of their name."""
    view = with_node(
        f'name="vm-1" id="vm-1" type="remote" {mark}', resource=f'<resource id="vm-1" {AGENT}/>'
    )

    assert view == HEALTHY.view


def test_a_node_entry_whose_connection_was_deleted_is_unknown() -> None:
    """It stays in the cluster until somebody removes it; nothing manages it."""
    stale = node_of(with_node('name="old" id="old" type="remote"', online="false"), "old")

    assert stale.connection == Connection(
        role=Role.STOPPED, managed=False, maintenance=False, failed=False, target_stopped=False
    )
    assert (stale.fence_events, stale.node_fenced) == ((), None)


def test_a_remote_node_that_only_the_cib_has_is_unreadable() -> None:
    """The two answers were not of one moment, or one of them is cut."""
    more = HEALTHY.cib.replace(
        "<resources>",
        '<resources><primitive id="new" class="ocf" provider="pacemaker" type="remote"/>',
    )

    with pytest.raises(Unreadable, match="no <node new>, which the CIB has"):
        view_of(HEALTHY.crm_mon, more)


@pytest.mark.parametrize("kind", ["ping", "unknown"])
def test_nodes_that_run_nothing_are_left_out(kind: str) -> None:
    """Ping nodes of old, and what Pacemaker itself cannot tell."""
    assert with_node(f'name="x" id="9" type="{kind}"') == HEALTHY.view


def test_a_member_that_may_run_nova_compute_is_a_compute_node() -> None:
    """Pacemaker on the compute host itself: no connection, the same chain."""
    cib = HEALTHY.cib.replace(
        '<node id="1" uname="controller-1"/>',
        '<node id="1" uname="controller-1"><instance_attributes id="nodes-1">'
        '<nvpair id="nodes-1-osprole" name="osprole" value="compute"/>'
        "</instance_attributes></node>",
    )

    node = node_of(view_of(HEALTHY.crm_mon, cib), "controller-1")

    assert (node.type, node.connection) == ("member", None)
    assert [service.role for service in node.chain] == [Role.STOPPED] * 3


def test_a_member_that_is_seen_to_run_nova_compute_is_a_compute_node() -> None:
    """Whatever the constraints say by now."""
    crm_mon = HEALTHY.crm_mon.replace(
        '<node name="compute-3" id="compute-3" cached="true"/>',
        '<node name="controller-1" id="1" cached="true"/>',
    )

    node = node_of(view_of(crm_mon, HEALTHY.cib), "controller-1")

    assert [service.role for service in node.chain] == [Role.STARTED] * 3


def test_a_service_twice_on_one_node_is_as_good_as_its_worse_half() -> None:
    """A clone that is unique, or active where it should not be."""
    second = (
        '<resource id="nova-compute:1" resource_agent="ocf:lab:service" role="Stopping"'
        ' managed="false" failed="true"><node name="compute-1" id="compute-1" cached="true"/>'
        "</resource></clone>"
    )
    head, clone, rest = HEALTHY.crm_mon.partition('<clone id="nova-compute-clone"')
    crm_mon = head + clone + rest.replace("</clone>", second, 1)

    service = node_of(view_of(crm_mon, HEALTHY.cib), "compute-1").chain[-1]

    assert (service.role, service.managed, service.failed) == (Role.STOPPING, False, True)


def test_a_connection_that_is_there_twice_is_unreadable() -> None:
    """Which one counts could only be guessed."""
    twice = HEALTHY.crm_mon.replace(
        "</resources>", f'<resource id="compute-1" {AGENT}/></resources>'
    )

    with pytest.raises(Unreadable, match="is there 2 times"):
        view_of(twice, HEALTHY.cib)
