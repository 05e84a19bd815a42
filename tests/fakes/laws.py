"""The laws, held against what really happened: ledger, requests, and every order."""

from collections.abc import Collection, Iterator

from hacli.lab.invariants import Story, check
from hacli.lab.region import Region
from hacli.lab.request_log import RequestLog
from tests.fakes.calls import Call, CallLog

EVIDENCE_MAX_AGE_S = 10.0
_WIRE_S = 0.1
"""Between the look at the evidence's age and the request's effect lies a part of the way."""


def violations(
    region: Region,
    *,
    requests: RequestLog,
    calls: CallLog,
    named: Collection[str],
    rebuilt: Collection[str] | None,
) -> tuple[str, ...]:
    """Every breach of the laws, in words.

    Args:
        named: The machines that the operators named in their commands.
        rebuilt: Servers whose local disk an operator gave up; None for all.
    """
    story = Story(
        ledger=region.machines.ledger,
        requests=requests.records,
        names={truth.id: truth.name for truth in region.truth()},
        hosts=None,  # Pacemaker fences, too; whom hacli ordered anything for is in its own calls
        rebuilt=rebuilt,
    )
    return (
        *(f"{found.law}: {found.text}" for found in check(story)),
        *(breach for call in calls.writes() for breach in _breaches(call, named)),
    )


def _breaches(call: Call, named: Collection[str]) -> Iterator[str]:
    """What only hacli's side of a call shows: whom it was meant for, and on which evidence."""
    text = f"{call.at:.1f}: {call.who}: {call.what} for {call.host}"
    if call.host is not None and call.host not in named:
        yield f"L7: {text}, which nobody named"
    body = call.body or {}
    if "evacuate" not in body and body.get("forced_down") is not True:
        return
    if call.evidence_age_s is None:
        yield f"L2: {text} without evidence"
    elif call.evidence_age_s > EVIDENCE_MAX_AGE_S + _WIRE_S:
        yield f"L3: {text} on evidence {call.evidence_age_s:.1f} s old"
