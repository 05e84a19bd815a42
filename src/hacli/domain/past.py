"""What earlier runs on this host have left in the journal, folded per server."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hacli.domain.evacuation import ANY_SERVER, End, Past, past_of
from hacli.domain.events import (
    Asked,
    Intent,
    Moment,
    PlanMade,
    RunEnded,
    ServerChanged,
    StepDone,
    StoredEvent,
    TookOver,
)

SETTLED = frozenset({"rejected", "not-sent"})
"""Answers after which the request certainly is not being carried out."""
ACCEPTED = "accepted"
EVACUATE = "evacuate"
_ASKING = frozenset({"evacuate", "start"})
"""The steps that ask Nova for servers."""
_TRACES = frozenset({"rebuilding", "verified", "started"})
_TRACED_ENDS = frozenset(end.value for end in (End.NO_HOST, End.FAILED, End.STUCK, End.WRONG_STATE))
"""What is said of a server only when Nova has shown what became of the request."""


def fold_past(events: Iterable[StoredEvent], *, now: Moment) -> Mapping[str, Past]:
    """Former states and open intents, since the host was last enabled.

    ``events`` are oldest first. The first plan of an outage saw each server as it was; later ones
    may have seen what an evacuation made of it. A plan that has a verified server on the host
    again belongs to another outage.

    A run that another one was taken over from may have asked for any server a moment before:
    ``ANY_SERVER`` says so of those that have no entry of their own.
    """
    past: dict[str, Past] = {}
    for stored in events:
        event = stored.event
        age_s = stored.at.age_s(now)
        if isinstance(event, RunEnded) and stored.op == "enable" and event.status == "ok":
            past.clear()
        elif isinstance(event, PlanMade):
            _take_plan(past, event)
        elif isinstance(event, TookOver) and event.uncertain:
            _doubt_all(past, age_s)
        elif isinstance(event, Intent | Asked) and event.order == EVACUATE:
            _take_request(past, event, age_s)
        elif isinstance(event, ServerChanged) and event.status == "started":
            past.pop(event.id, None)  # it lives here again: another outage will see it anew
        elif isinstance(event, ServerChanged) and event.status == "verified":
            past[event.id] = replace(past_of(past, event.id), known_ids=None, verified=True)
    return past


def _take_request(past: dict[str, Past], event: Intent | Asked, age_s: float) -> None:
    before = past_of(past, event.server)
    if isinstance(event, Asked):
        past[event.server] = _answered(before, event.outcome)
        return
    past[event.server] = replace(
        before,
        known_ids=frozenset(event.known_migrations),
        intent_age_s=age_s,
        accepted=False,
    )


def fold_starts(events: Iterable[StoredEvent], *, now: Moment) -> Mapping[str, float]:
    """Starts in place whose fate no run has learned: how long ago each was asked for, in seconds.

    ``events`` are oldest first. ``ANY_SERVER`` as in ``fold_past``.
    """
    asked: dict[str, float] = {}
    for stored in events:
        event = stored.event
        if isinstance(event, TookOver) and event.uncertain:
            age_s = stored.at.age_s(now)
            asked = dict.fromkeys((ANY_SERVER, *asked), age_s)
        elif isinstance(event, Intent) and event.order != EVACUATE:
            asked[event.server] = stored.at.age_s(now)
        elif isinstance(event, Asked) and event.order != EVACUATE and event.outcome != "uncertain":
            asked.pop(event.server, None)
        elif isinstance(event, ServerChanged) and event.status == "started":
            asked.pop(event.id, None)
    return asked


def untraced(events: Iterable[StoredEvent], *, now: Moment, settle_s: float) -> frozenset[str]:
    """Servers that Nova may have been asked to move or start, and nothing but this journal says so.

    ``events`` are those of one host, oldest first. Neither an answer nor a trace of the request has
    been seen, and it is younger than ``settle_s``; ``ANY_SERVER``: a run that was taken over may
    have asked for any of them.
    """
    open_: dict[str, Moment] = {}
    traced: set[str] = set()
    for stored in events:
        event = stored.event
        if isinstance(event, RunEnded) and stored.op == "enable" and event.status == "ok":
            open_.clear()
        elif isinstance(event, TookOver) and event.uncertain:
            open_[ANY_SERVER] = stored.at
        elif isinstance(event, StepDone) and event.step in _ASKING and event.status == "ok":
            open_.pop(ANY_SERVER, None)  # every server of the host is verified
        elif isinstance(event, Intent):
            open_[event.server] = stored.at
            traced.discard(event.server)
        elif isinstance(event, Asked) and event.outcome != "uncertain":
            open_.pop(event.server, None)
            traced.add(event.server)
        elif isinstance(event, ServerChanged):
            if event.status in _TRACES or event.code in _TRACED_ENDS:
                open_.pop(event.id, None)
                traced.add(event.id)
            elif event.code == End.UNKNOWN.value and event.id not in traced:
                open_.setdefault(event.id, stored.at)
    return frozenset(server for server, at in open_.items() if at.age_s(now) < settle_s)


def _doubt_all(past: dict[str, Past], age_s: float) -> None:
    """Every server counts as asked for when the claim was taken over, with an unknown end."""
    for key, before in {ANY_SERVER: Past(), **past}.items():
        known = before.known_ids or frozenset()
        past[key] = replace(before, known_ids=known, intent_age_s=age_s, accepted=False)


def _take_plan(past: dict[str, Past], plan: PlanMade) -> None:
    for row in plan.servers:
        key, was = str(row["id"]), row.get("was")
        if key in past and past[key].verified:
            del past[key]
        if key not in past and was in ("active", "stopped"):
            past[key] = replace(past_of(past, key), was=str(was))


def _answered(before: Past, outcome: str) -> Past:
    if outcome in SETTLED:
        return replace(before, known_ids=None)
    return replace(before, accepted=outcome == ACCEPTED)
