"""What earlier runs on this host have left in the journal, folded per server."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from hacli.domain.evacuation import Past
from hacli.domain.events import Asked, Intent, PlanMade, RunEnded, ServerChanged, StoredEvent

SETTLED = frozenset({"rejected", "not-sent"})
"""Answers after which the request certainly is not being carried out."""


def fold_past(events: Iterable[StoredEvent], *, now: datetime) -> Mapping[str, Past]:
    """Former states and open intents, since the host was last enabled.

    ``events`` are oldest first. The first plan of an outage saw each server as it was; later ones
    may have seen what an evacuation made of it.
    """
    past: dict[str, Past] = {}
    for stored in events:
        event = stored.event
        if isinstance(event, RunEnded) and stored.op == "enable" and event.status == "ok":
            past.clear()
        elif isinstance(event, PlanMade):
            for row in event.servers:
                key, was = str(row["id"]), row.get("was")
                if key not in past and was in ("active", "stopped"):
                    past[key] = Past(was=str(was))
        elif isinstance(event, Intent):
            age = (now - stored.time).total_seconds()
            before = past.get(event.server, Past())
            past[event.server] = replace(
                before, known_ids=frozenset(event.known_migrations), intent_age_s=age
            )
        elif isinstance(event, Asked) and event.outcome in SETTLED:
            past[event.server] = replace(past.get(event.server, Past()), known_ids=None)
        elif isinstance(event, ServerChanged) and event.status == "verified":
            past[event.id] = replace(past.get(event.id, Past()), known_ids=None, verified=True)
    return past
