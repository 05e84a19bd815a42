"""Where a clone may run and what starts before what, from the constraints of the CIB. Pure.

A small part of Pacemaker's scheduler, for one question: which services make up a node's chain?
It errs towards "may run": a service shown as Stopped is looked at, a missing one is forgotten.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from xml.etree.ElementTree import Element

GATE_PREFIX = "hacli-"
"""Rules on our own node attributes hold a service back for a while; it stays in the chain."""
BAN_PREFIX = "cli-ban-"
"""So does a ban by ``crm_resource --ban`` or ``pcs resource ban``."""

_NEVER = ("-INFINITY", "-infinity")
_PROMOTED = ("Promoted", "Master")


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A cloned service, or a cloned group of them."""

    id: str
    services: tuple[str, ...]  # ids of its primitives, in start order
    names: frozenset[str]  # everything that a constraint may call it
    runs_nova_compute: bool


def in_start_order(clones: Sequence[Clone], constraints: Element) -> tuple[Clone, ...]:
    """The clones, each behind those that start before it; in a circle as they are written."""
    by_name = {name: clone for clone in clones for name in clone.names}
    before: dict[str, set[str]] = {clone.id: set() for clone in clones}
    for first, then in _ordered_pairs(constraints):
        if first in by_name and then in by_name and by_name[first] != by_name[then]:
            before[by_name[then].id].add(by_name[first].id)
    ordered: list[Clone] = []
    waiting = list(clones)
    while waiting:
        placed = {clone.id for clone in ordered}
        ready = (clone for clone in waiting if before[clone.id] <= placed)
        clone = next(ready, waiting[0])
        waiting.remove(clone)
        ordered.append(clone)
    return tuple(ordered)


def locations_of(clone: Clone, constraints: Element) -> tuple[Element, ...]:
    """The location constraints that say where the clone runs, and not only for a while."""
    return tuple(
        location
        for location in constraints.iterfind("rsc_location")
        if _concerns(location, clone) and not _is_set_aside(location)
    )


def may_run(
    locations: Iterable[Element], attributes: Mapping[str, str], *, symmetric: bool
) -> bool | None:
    """Whether a clone's location constraints let it run on a node with these attributes.

    ``attributes`` hold the node's name as ``#uname``. None: a rule asks what we cannot evaluate.
    """
    doubtful = False
    wanted: list[bool | None] = []
    exclusive: list[bool | None] = []
    for location in locations:
        for holds, score in _scores(location, attributes):
            if score in _NEVER:
                if holds:
                    return False
                doubtful |= holds is None
                continue
            wanted.append(holds)
            if location.get("resource-discovery", "always") not in ("always", "never"):
                exclusive.append(holds)
    if exclusive or not symmetric:
        allowed = _any(exclusive or wanted)
        return None if allowed and doubtful else allowed
    return None if doubtful else True


def _ordered_pairs(constraints: Element) -> Iterator[tuple[str, str]]:
    """(first, then) of everything that orders starts."""
    for order in constraints.iterfind("rsc_order"):
        if order.get("kind") == "Serialize":
            continue
        if order.get("first-action", "start") == "start" and "first" in order.attrib:
            yield order.attrib["first"], order.get("then", "")
        sets = [
            (members, [reference.get("id", "") for reference in members.iterfind("resource_ref")])
            for members in order.iterfind("resource_set")
            if members.get("action", "start") == "start"
        ]
        for members, names in sets:
            if members.get("sequential", "true") == "true":
                yield from pairwise(names)
        for (_, firsts), (_, thens) in pairwise(sets):
            yield from product(firsts, thens)


def _is_set_aside(location: Element) -> bool:
    """Bans for a while; and where to be promoted, which does not say where to run."""
    if location.get("id", "").startswith(BAN_PREFIX) or location.get("role") in _PROMOTED:
        return True
    asked = (expression.get("attribute", "") for expression in location.iterfind(".//expression"))
    return any(attribute.startswith(GATE_PREFIX) for attribute in asked)


def _concerns(location: Element, clone: Clone) -> bool:
    if "rsc-pattern" in location.attrib:
        try:
            return any(re.search(location.attrib["rsc-pattern"], name) for name in clone.names)
        except re.error:
            return False
    named = [location.get("rsc")]
    named += [reference.get("id") for reference in location.iterfind("resource_set/resource_ref")]
    return any(name in clone.names for name in named)


def _scores(location: Element, attributes: Mapping[str, str]) -> Iterator[tuple[bool | None, str]]:
    """(whether it holds for the node, score) of a location's node or of each of its rules."""
    if "node" in location.attrib:
        yield location.attrib["node"] == attributes["#uname"], location.get("score", "0")
    for rule in location.iterfind("rule"):
        yield _holds(rule, attributes), rule.get("score", location.get("score", "0"))


def _holds(rule: Element, attributes: Mapping[str, str]) -> bool | None:
    """A rule, three-valued: None when it cannot be told."""
    parts: list[bool | None] = []
    for part in rule:
        if part.tag == "rule":
            parts.append(_holds(part, attributes))
        elif part.tag == "expression" and "attribute" in part.attrib:
            parts.append(_compare(part, attributes.get(part.attrib["attribute"])))
        else:  # dates and whatever later versions bring
            parts.append(None)
    return _any(parts) if rule.get("boolean-op") == "or" else _all(parts)


def _compare(expression: Element, actual: str | None) -> bool | None:
    operation = expression.get("operation")
    if operation == "defined":
        return actual is not None
    if operation == "not_defined":
        return actual is None
    literal = expression.get("value-source", "literal") == "literal"
    if operation not in ("eq", "ne") or not literal or "value" not in expression.attrib:
        return None
    equal = actual is not None and actual.lower() == expression.attrib["value"].lower()
    return equal if operation == "eq" else not equal


def _any(parts: Iterable[bool | None]) -> bool | None:
    parts = tuple(parts)
    return True if True in parts else (None if None in parts else False)


def _all(parts: Iterable[bool | None]) -> bool | None:
    parts = tuple(parts)
    if not parts:
        return None
    return False if False in parts else (None if None in parts else True)
