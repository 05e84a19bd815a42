"""Law L1 at the border: what is missing or not understood is never read as fine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

import pytest

from hacli.adapters.pacemaker.strict import parse_moment
from hacli.domain.cluster import ClusterNode, ClusterView, FenceEvent, Role
from hacli.errors import SourceError, Unreachable, Unreadable
from tests.adapters.pacemaker_recordings import (
    Recording,
    node_of,
    recording,
    text_of,
    tree,
    view_of,
)

STRICT = {
    ("crm_mon", "current_dc", "present"),
    ("crm_mon", "current_dc", "with_quorum"),
    ("crm_mon", "cluster_options", "maintenance-mode"),
    ("crm_mon", "cluster_options", "stonith-enabled"),
    ("crm_mon", "node", "online"),
    ("crm_mon", "node", "unclean"),
    ("crm_mon", "node", "standby"),
    ("crm_mon", "node", "standby_onfail"),
    ("crm_mon", "node", "maintenance"),
    ("crm_mon", "node", "pending"),
    ("crm_mon", "node", "type"),
    ("crm_mon", "resource", "role"),
    ("crm_mon", "resource", "managed"),
    ("crm_mon", "resource", "failed"),
    ("crm_mon", "resource", "resource_agent"),
    ("crm_mon", "clone", "managed"),
    ("crm_mon", "failure", "op_key"),
    ("crm_mon", "fence_event", "action"),
    ("crm_mon", "fence_event", "status"),
    ("crm_mon", "fence_event", "completed"),
    ("crm_mon", "status", "code"),
    ("cib", "fencing-level", "index"),
    ("cib", "node_state", "in_ccm"),
}
"""Absent, empty or odd: Unreadable."""

NAMES = {
    ("crm_mon", "current_dc", "name"),
    ("crm_mon", "node", "name"),
    ("crm_mon", "resource", "id"),
    ("crm_mon", "clone", "id"),
    ("crm_mon", "fence_event", "target"),
    ("crm_mon", "failure", "node"),
    ("cib", "node", "uname"),
    ("cib", "node_state", "uname"),
    ("cib", "primitive", "id"),
    ("cib", "primitive", "class"),
    ("cib", "primitive", "type"),
    ("cib", "clone", "id"),
    ("cib", "nvpair", "name"),
    ("cib", "fencing-level", "devices"),
}
"""Absent or empty: Unreadable. Another name belongs to something else."""

TOLERANT = {
    ("crm_mon", "cluster_options", "stonith-timeout-ms"),  # since 2.1.1; else the CIB's
    ("crm_mon", "resource", "target_role"),  # absent: nobody has set one
    ("crm_mon", "fence_event", "delegate"),  # absent or a stranger: not seen executed
    ("crm_mon", "fence_event", "exit-reason"),  # for people
    ("crm_mon", "failure", "exitreason"),  # for people
    ("crm_mon", "failure", "last-rc-change"),  # without a time and zone: unknown
    ("cib", "node_state", "node_fenced"),  # absent: never; odd: Unreadable
    ("cib", "nvpair", "value"),  # free text
    ("cib", "fencing-level", "target"),  # or a pattern, or an attribute
    ("cib", "rsc_location", "rsc"),
    ("cib", "rsc_location", "resource-discovery"),
    ("cib", "expression", "attribute"),
    ("cib", "expression", "operation"),
    ("cib", "expression", "value"),
    ("cib", "rsc_order", "first"),
    ("cib", "rsc_order", "then"),
    ("cib", "rsc_order", "first-action"),
    ("cib", "rsc_order", "kind"),
}
"""Absent or odd is a fact of its own, as said here; constraints only shape the chain."""

MUTATED = ("13", "17", "22", "23", "27")


def connected(view: ClusterView) -> set[str]:
    """Nodes that count as alive by Pacemaker's opinion."""
    return {
        node.name
        for node in view.nodes
        if node.connection is not None
        and node.connection.role is Role.STARTED
        and node.connection.managed
        and not node.connection.failed
        and not (node.unclean or node.maintenance or view.maintenance_mode)
        and view.acts
    }


def fenced(view: ClusterView) -> set[str]:
    """Nodes whose death Pacemaker could witness (design: evidence, rule 3)."""
    return {node.name for node in view.nodes if view.acts and _is_fenced(node)}


def _is_fenced(node: ClusterNode) -> bool:
    started = node.connection is not None and node.connection.role is Role.STARTED
    if started or not node.fence_events:
        return False
    newest = node.fence_events[0]
    seconds = int(newest.completed.timestamp()) if newest.completed else None
    return newest.executed and node.node_fenced == seconds


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one attribute that was gone or odd; ``view`` is None when it was refused."""

    key: tuple[str, str, str]  # (answer, tag, attribute)
    changed: bool
    view: ClusterView | None


@pytest.fixture(scope="module")
def outcomes() -> Mapping[str, tuple[Outcome, ...]]:
    """All outcomes by recording."""
    return {number: tuple(outcomes_of(recording(number))) for number in MUTATED}


def outcomes_of(recorded: Recording) -> Iterator[Outcome]:
    """Every attribute of every kind of element, the first and the last: gone and odd."""
    before = recorded.view
    for which in ("crm_mon", "cib"):
        root = without_operations(recorded.crm_mon if which == "crm_mon" else recorded.cib)
        assert view_or_none(recorded, which, text_of(root)) == before
        for element, attribute in first_and_last(root):
            value = element.attrib.pop(attribute)
            for odd in (None, "~odd~"):
                if odd is not None:
                    element.set(attribute, odd)
                after = view_or_none(recorded, which, text_of(root))
                yield Outcome(
                    key=(which, element.tag, attribute), changed=after != before, view=after
                )
            element.set(attribute, value)


def without_operations(answer: str) -> Element:
    """Without the history of operations, most of both answers, of which nothing is read."""
    root = tree(answer)
    for parent in root.iter():
        for child in [*parent.findall("node_history"), *parent.findall("lrm")]:
            parent.remove(child)
    return root


def first_and_last(root: Element) -> tuple[tuple[Element, str], ...]:
    """Two places for each attribute of each kind of element at each kind of parent."""
    places: dict[tuple[str, str, str], list[Element]] = {}
    for parent in root.iter():
        for element in parent:
            for attribute in element.attrib:
                places.setdefault((parent.tag, element.tag, attribute), []).append(element)
    return tuple(
        (element, attribute)
        for (_, _, attribute), found in places.items()
        for element in {id(element): element for element in (found[0], found[-1])}.values()
    )


def view_or_none(recorded: Recording, which: str, text: str) -> ClusterView | None:
    """The picture with one answer replaced, or None when it is refused."""
    try:
        if which == "crm_mon":
            return view_of(text, recorded.cib)
        return view_of(recorded.crm_mon, text)
    except SourceError:
        return None


@pytest.mark.parametrize("number", MUTATED)
def test_no_attribute_that_is_gone_or_odd_makes_a_node_healthier_or_deader(
    number: str, outcomes: Mapping[str, tuple[Outcome, ...]]
) -> None:
    """Whatever happens to one attribute, no node gains life or death by it."""
    before = recording(number).view
    known = {node.name for node in before.nodes}

    gained = {
        outcome.key: names
        for outcome in outcomes[number]
        if outcome.view is not None
        and (
            names := known
            & (
                (connected(outcome.view) - connected(before))
                | (fenced(outcome.view) - fenced(before))
            )
        )
    }

    assert gained == {}


def test_the_tables_of_what_is_read_are_complete(
    outcomes: Mapping[str, tuple[Outcome, ...]],
) -> None:
    """An attribute is refused when odd, or without effect, or in a table that says why not."""
    everything = [outcome for group in outcomes.values() for outcome in group]

    refused = {outcome.key for outcome in everything if outcome.view is None}
    effective = {o.key for o in everything if o.changed and o.view is not None}

    assert refused - NAMES - TOLERANT == STRICT
    assert effective <= NAMES | TOLERANT


@pytest.mark.parametrize(
    ("which", "path"),
    [
        ("crm_mon", "summary"),
        ("crm_mon", "summary/current_dc"),
        ("crm_mon", "summary/cluster_options"),
        ("crm_mon", "nodes"),
        ("crm_mon", "nodes/node[@name='compute-1']"),
        ("crm_mon", "resources"),
        ("crm_mon", "resources/resource[@id='compute-1']"),
        ("cib", "configuration"),
        ("cib", "configuration/crm_config"),
        ("cib", "configuration/nodes"),
        ("cib", "configuration/resources"),
        ("cib", "configuration/constraints"),
    ],
)
def test_a_part_that_is_missing_is_unreadable(which: str, path: str) -> None:
    """Both answers know the remote nodes, so none can vanish from one of them."""
    recorded = recording("03")
    root = tree(recorded.crm_mon if which == "crm_mon" else recorded.cib)
    folder, _, name = path.rpartition("/")
    parent = root.find(folder) if folder else root
    assert parent is not None
    found = parent.find(name)
    assert found is not None
    parent.remove(found)

    with pytest.raises(Unreadable):
        _ = (
            view_of(text_of(root), recorded.cib)
            if which == "crm_mon"
            else view_of(recorded.crm_mon, text_of(root))
        )


def test_a_chain_that_crm_mon_does_not_know_is_unreadable() -> None:
    """A service missing from one answer is not a service that is stopped."""
    recorded = recording("03")
    renamed = recorded.crm_mon.replace('<resource id="nova-compute"', '<resource id="other"')

    with pytest.raises(Unreadable, match="nova-compute"):
        view_of(renamed, recorded.cib)


@pytest.mark.parametrize("text", ["", "Cluster Summary:", "<pacemaker-result><nodes>", "<html/>"])
def test_an_answer_of_another_kind_is_unreadable(text: str) -> None:
    """Empty, human words, cut off, or something else altogether."""
    with pytest.raises(Unreadable):
        view_of(text, recording("01").cib)
    with pytest.raises(Unreadable):
        view_of(recording("01").crm_mon, text)


def test_a_status_of_not_connected_is_unreachable_whatever_the_exit_code() -> None:
    """crm_mon says it in its XML, too (facts C.1)."""
    with pytest.raises(Unreachable):
        view_of('<pacemaker-result><status code="102"/></pacemaker-result>', recording("01").cib)


def test_a_fence_history_that_could_not_be_asked_is_not_an_empty_one() -> None:
    """The fencer did not answer crm_mon: a fencing may be pending."""
    silent = recording("01").crm_mon.replace("<status ", '<fence_history status="19"/><status ')

    with pytest.raises(Unreadable, match="fence_history"):
        view_of(silent, recording("01").cib)


def test_an_odd_resource_of_a_controller_does_not_hide_the_compute_nodes() -> None:
    """Only what concerns compute nodes is judged."""
    galera = '<resources><resource id="galera" resource_agent="x" role="Unheard" managed="?"/>'
    odd = recording("03").crm_mon.replace("<resources>", galera)

    assert view_of(odd, recording("03").cib) == recording("03").view


def test_fence_events_are_ordered_by_their_end_and_not_as_they_are_written() -> None:
    """Oldest first in the document gives the same history."""
    recorded = recording("13")
    root = tree(recorded.crm_mon)
    history = root.find("fence_history")
    assert history is not None
    history[:] = list(reversed(history))

    assert view_of(text_of(root), recorded.cib) == recorded.view


def test_of_two_fencings_in_one_second_the_failed_one_counts_as_newer() -> None:
    """In doubt it is alive."""
    failed = (
        '<fence_event action="off" target="compute-1" status="failed" delegate="controller-1"'
        ' completed="2026-11-22 05:51:45Z"/>'
    )
    for place in ("<fence_history>", "</fence_history>"):
        beside = f"{place}{failed}" if place == "<fence_history>" else f"{failed}{place}"
        answer = recording("03").crm_mon.replace(place, beside)

        newest = node_of(view_of(answer, recording("03").cib), "compute-1").fence_events[0]

        assert newest.status == "failed"


@pytest.mark.parametrize(
    ("delegate", "kept"),
    [("controller-1", "controller-1"), ("a human", "a human"), ("stranger", None), ("", None)],
)
def test_only_a_node_of_the_cluster_or_a_person_can_have_executed_a_fencing(
    delegate: str, kept: str | None
) -> None:
    """Anybody else is nobody, so the event is no proof."""
    answer = recording("03").crm_mon.replace(
        'delegate="controller-1" completed="2026-11-22 05:51:45Z"',
        f'delegate="{delegate}" completed="2026-11-22 05:51:45Z"',
    )

    newest = node_of(view_of(answer, recording("03").cib), "compute-1").fence_events[0]

    assert newest == FenceEvent(
        target="compute-1",
        action="reboot",
        status="success",
        delegate=kept,
        completed=datetime.fromisoformat("2026-11-22T05:51:45+00:00"),
    )
    assert newest.executed == (kept == "controller-1")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-22 05:51:45Z", "2026-11-22T05:51:45+00:00"),
        ("2026-11-22 05:51:45.123456Z", "2026-11-22T05:51:45.123456+00:00"),
        ("2026-11-22 05:51:45.123456789Z", "2026-11-22T05:51:45.123456+00:00"),
        ("2026-11-22 06:51:45 +01:00", "2026-11-22T06:51:45+01:00"),
        ("2026-11-22 06:51:45.5 +01:00", "2026-11-22T06:51:45.500000+01:00"),
        ("2026-11-21 21:51:45 -08:00", "2026-11-21T21:51:45-08:00"),
    ],
)
def test_times_are_read_with_their_zone(text: str, iso: str) -> None:
    """As the versions write them (facts C.1)."""
    assert parse_moment(text) == datetime.fromisoformat(iso)


@pytest.mark.parametrize(
    "text", [None, "", "Sun Nov 22 05:51:45 2026", "2026-11-22 05:51:45", "45", "2026-11-22"]
)
def test_a_time_without_a_zone_is_no_time(text: str | None) -> None:
    """It could not be compared with node_fenced, which counts from the epoch."""
    assert parse_moment(text) is None
