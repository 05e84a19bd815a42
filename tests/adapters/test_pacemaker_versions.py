"""Pacemaker 2.0.3 to 3.0 write the same facts in other shapes."""

from dataclasses import replace

import pytest

from hacli.domain.cluster import ClusterView, Role
from tests.adapters.pacemaker_recordings import node_of, recording, text_of, tree, view_of


def as_2_0_3(text: str) -> str:
    """The shape before everything that later versions brought."""
    root = tree(text)
    root.set("api-version", "2.0")
    for element in root.iter():
        for later in (
            *("health", "feature_set", "mixed_version", "exit-reason", "disabled"),
            *("stonith-timeout-ms", "priority-fencing-delay-ms", "stop-all-resources", "locked_to"),
        ):
            element.attrib.pop(later, None)
        agent = element.get("resource_agent", "")
        if agent.startswith("ocf:"):
            element.set("resource_agent", agent.replace("ocf:", "ocf::", 1))
    daemon = root.find("pacemakerd")
    if daemon is not None:
        root.remove(daemon)
    return text_of(root)


def as_3_0_2(text: str) -> str:
    """New names beside the old ones, and new attributes."""
    root = tree(text)
    root.set("api-version", "2.42")
    for element in root.iter():
        for old, new in (
            ("orphaned", "removed"),
            ("orphan", "removed"),
            ("stonith-enabled", "fencing-enabled"),
            ("stonith-timeout-ms", "fencing-timeout-ms"),
        ):
            if old in element.attrib:
                element.set(new, element.attrib[old])
        if element.tag in ("resource", "clone"):
            element.set("maintenance", "false")
            element.set("description", "")
        if element.tag == "last_update":
            element.set("origin", "controller-1")
    return text_of(root)


def as_legacy(text: str) -> str:
    """``crm_mon --as-xml``: another root, and no status."""
    root = tree(text)
    status = root.find("status")
    assert status is not None
    root.remove(status)
    root.tag = "crm_mon"
    root.attrib = {"version": "2.0.3"}
    return text_of(root)


def without_exit_reasons(view: ClusterView) -> ClusterView:
    """Told since Pacemaker 2.1.3, and for people only."""
    nodes = (
        replace(
            node,
            fence_events=tuple(replace(event, exit_reason=None) for event in node.fence_events),
        )
        for node in view.nodes
    )
    return replace(view, nodes=tuple(nodes))


@pytest.mark.parametrize("number", ["00", "01", "03", "08", "13", "16", "20", "23", "24", "27"])
def test_the_shapes_of_other_versions_tell_the_same(number: str) -> None:
    """Pacemaker 2.0.3, 3.0.2 and the legacy format."""
    recorded = recording(number)

    assert view_of(as_3_0_2(recorded.crm_mon), recorded.cib) == recorded.view
    assert view_of(as_legacy(recorded.crm_mon), recorded.cib) == recorded.view
    old = view_of(as_2_0_3(recorded.crm_mon), recorded.cib)
    assert without_exit_reasons(old) == without_exit_reasons(recorded.view)


def test_fencing_is_enabled_only_when_both_names_say_so() -> None:
    """3.0.2 shows both; should they ever differ, fencing is not to be relied on."""
    both = recording("01").crm_mon.replace(
        'stonith-enabled="true"', 'stonith-enabled="true" fencing-enabled="false"'
    )

    assert not view_of(both, recording("01").cib).fencing_enabled


def test_maintenance_of_the_connection_alone_is_seen() -> None:
    """Since Pacemaker 2.1.8 a resource tells its own maintenance."""
    answer = recording("01").crm_mon.replace(
        '<resource id="compute-1" ', '<resource id="compute-1" maintenance="true" '
    )

    connection = node_of(view_of(answer, recording("01").cib), "compute-1").connection

    assert connection is not None
    assert connection.maintenance


def test_the_old_names_of_promoted_roles_are_understood() -> None:
    """Master and Slave before 2.1; on the way between roles is neither."""
    roles = {"Master": Role.PROMOTED, "Slave": Role.UNPROMOTED, "Promoting": Role.STARTING}
    for text, role in roles.items():
        answer = recording("01").crm_mon.replace(
            '<resource id="nova-compute" resource_agent="ocf:lab:service" role="Started"',
            f'<resource id="nova-compute" resource_agent="ocf:lab:service" role="{text}"',
        )

        node = node_of(view_of(answer, recording("01").cib), "compute-1")

        assert node.chain[-1].role is role
