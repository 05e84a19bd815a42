"""The laws, held against what really happened: the ledger, and every call that took effect."""

from collections import defaultdict
from collections.abc import Iterator

from hacli.lab.region import Region
from tests.fakes.calls import Call, CallLog

EVIDENCE_MAX_AGE_S = 10.0
_WIRE_S = 0.1
"""Between the look at the evidence's age and the request's effect lies a part of the way."""


def violations(region: Region, log: CallLog, *, concerned: frozenset[str]) -> tuple[str, ...]:
    """Every breach of the laws, in words.

    Args:
        concerned: The machines that the operators named in their commands.
    """
    return (
        *_ran_twice(region),
        *(breach for call in log.writes() for breach in _breaches(call, concerned)),
    )


def _ran_twice(region: Region) -> Iterator[str]:
    """No guest executes on two machines at any instant (law L4)."""
    running: dict[str, set[str]] = defaultdict(set)
    for entry in region.machines.ledger:
        if entry.server is None:
            continue
        if entry.what == "guest-started":
            running[entry.server].add(entry.machine)
        elif entry.what == "guest-ended":
            running[entry.server].discard(entry.machine)
        if len(running[entry.server]) > 1:
            where = " and ".join(sorted(running[entry.server]))
            yield f"{entry.at:.1f}: guest {entry.server[:8]} runs on {where}"


def _breaches(call: Call, concerned: frozenset[str]) -> Iterator[str]:
    text = f"{call.at:.1f}: {call.who}: {call.what} for {call.host}"
    if call.host is not None and call.host not in concerned:
        yield f"{text}, which nobody named"
    if call.body is None:
        return
    if "evacuate" in call.body:
        yield from _breaches_of_evacuation(call, text)
    elif call.body.get("forced_down") is True:
        if call.host_alive:
            yield f"{text}: forced down while it lived (law L2)"
        yield from _breaches_of_age(call, text)


def _breaches_of_evacuation(call: Call, text: str) -> Iterator[str]:
    if call.status is not None and call.status < 300 and call.host_alive:
        yield f"{text}: taken while the source lived (law L2)"
    if call.open_before:
        yield f"{text}: asked again while {call.open_before} evacuations are open (law L4)"
    yield from _breaches_of_age(call, text)


def _breaches_of_age(call: Call, text: str) -> Iterator[str]:
    if call.evidence_age_s is None:
        yield f"{text}: sent without evidence (law L2)"
    elif call.evidence_age_s > EVIDENCE_MAX_AGE_S + _WIRE_S:
        yield f"{text}: sent on evidence {call.evidence_age_s:.1f} s old (law L3)"
