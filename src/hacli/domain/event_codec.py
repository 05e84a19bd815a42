"""Events as JSON: one line of ``-o jsonl``, one row of the journal, and back.

A later hacli may add events and fields: unknown fields are passed over here, unknown events are
an answer (``None``), so that an older hacli reads the journal of a newer one.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import get_args, get_origin

from hacli.domain.events import Event, JsonValue, StoredEvent

LINE_VERSION = 1

EVENTS: Mapping[str, type[Event]] = {event.name: event for event in get_args(Event)}


def line_of(stored: StoredEvent) -> dict[str, JsonValue]:
    """The event as ``-o jsonl`` prints it: where and when it happened, then what it says."""
    return {
        "v": LINE_VERSION,
        "time": stored.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "run": stored.run,
        "op": stored.op,
        "host": stored.host,
        "seq": stored.seq,
        "event": stored.event.name,
        **body_of(stored.event),
    }


def body_of(event: Event) -> dict[str, JsonValue]:
    """What the event itself says."""
    return {field.name: _plain(getattr(event, field.name)) for field in fields(event)}


def encode(event: Event) -> str:
    """The event as JSON text; ``decode`` with its name gives it back."""
    return json.dumps(body_of(event), ensure_ascii=False, separators=(",", ":"))


def decode(name: str, text: str) -> Event | None:
    """The event of this name, or None when this hacli does not know the name.

    Raises:
        ValueError: The text is not what an event of this name says.
    """
    if name not in EVENTS:
        return None
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError(f"the event {name} is not a JSON object")
    event = EVENTS[name]
    try:
        known = {
            field.name: _typed(body[field.name], field.type)
            for field in fields(event)
            if field.name in body
        }
        return event(**known)  # type: ignore[arg-type]  # checked against the fields' own types
    except (TypeError, ValueError) as error:
        raise ValueError(f"the event {name} cannot be understood: {error}") from error


def _plain(value: object) -> JsonValue:
    match value:
        case str() | int() | float() | None:
            return value
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case _:
            raise TypeError(f"an event cannot hold {type(value).__name__}")


def _typed(value: JsonValue, kind: object) -> object:
    """The value, if it is of this annotation; JSON's lists become the tuples that fields hold."""
    arguments = get_args(kind)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_typed(element, arguments[0]) for element in value)
    if NoneType in arguments:
        return None if value is None else _typed(value, arguments[0])
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind or (get_origin(kind) is Mapping and isinstance(value, dict)):
        return value
    raise ValueError(f"{value!r} where {kind} is expected")
