"""Events to JSON and back."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacli.domain.event_codec import EVENTS, body_of, decode, encode, line_of
from hacli.domain.events import (
    Asked,
    Errored,
    Event,
    EvidenceTaken,
    GateChecked,
    Intent,
    JsonValue,
    Moment,
    PlanMade,
    Progressed,
    RunEnded,
    RunStarted,
    ServerChanged,
    StepDone,
    StepStarted,
    StoredEvent,
    TookOver,
    Warned,
)

SAMPLES: tuple[Event, ...] = (
    RunStarted(
        user="alice",
        controller="c0",
        version="0.1.0",
        arguments=("recover", "compute-3"),
        message="pläne",
    ),
    GateChecked(gate="quorum", passed=False, text="no quorum", code="NO_QUORUM"),
    StepStarted(step="fence", data={"bmc": "192.0.2.13", "levels": [1, {"a": None}]}),
    StepDone(step="fence", status="ok", took_s=4.0, text="off", data={"reads_off": 2}),
    TookOver(holder_run="r-1", holder="run r-1", why="controller-2 was fenced", uncertain=True),
    EvidenceTaken(witness="bmc", text="OFF twice, 3.1 s apart"),
    PlanMade(servers=({"id": "1", "was": "active"}, {"id": "2"}), known_migrations=(7, 9)),
    Intent(server="1", server_name="web", target=None, attempt=1, known_migrations=()),
    Asked(server="1", outcome="accepted", request_id="req-1"),
    ServerChanged(id="1", server_name="web", status="verified", to="compute-8"),
    Progressed(step="evacuate", done=1, running=2, waiting=3, failed=0),
    Warned(code="VM_STUCK", text="web is stuck"),
    Errored(code="NOT_FENCED", what="a", why="b", state="c", next=("d", "e")),
    RunEnded(status="ok", exit_code=0, took_s=40.1),
)


def test_every_event_has_a_sample() -> None:
    """A new event cannot be forgotten here."""
    assert {type(event) for event in SAMPLES} == set(EVENTS.values())


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.name)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    """What the journal returns equals what was recorded."""
    assert decode(event.name, encode(event)) == event


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text(), JSON), took_s=st.floats(0, 1e9), text=st.text())
def test_whatever_an_event_carries_comes_back(
    data: dict[str, JsonValue], took_s: float, text: str
) -> None:
    """No text of a tool, no number and no nesting is lost on the way."""
    event = StepDone(step="fence", status="ok", took_s=took_s, text=text, data=data)

    assert decode("step_done", encode(event)) == event


def test_a_line_says_where_when_and_what() -> None:
    """The line of `-o jsonl`: RFC 3339 in UTC, the header first, then the event's own fields."""
    stored = StoredEvent(
        run="r-7f3a",
        op="recover",
        host="compute-3",
        seq=4,
        at=Moment(time=datetime(2026, 11, 22, 3, 8, 2, 114000, tzinfo=UTC)),
        event=Errored(code="C", what="w", why="y", state="s", next=("n",)),
    )

    assert json.dumps(line_of(stored)) == (
        '{"v": 1, "time": "2026-11-22T03:08:02.114Z", "run": "r-7f3a", "op": "recover", '
        '"host": "compute-3", "seq": 4, "event": "error", "code": "C", "what": "w", '
        '"why": "y", "state": "s", "next": ["n"]}'
    )


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.name)
def test_no_field_of_an_event_hides_its_place(event: Event) -> None:
    """A field named like a part of the header would make the line say something else."""
    assert not body_of(event).keys() & {"v", "time", "run", "op", "host", "seq", "event"}


def test_an_event_of_the_future_is_not_known() -> None:
    """An older hacli reads a newer one's journal and passes over what it does not know."""
    assert decode("teleported", "{}") is None


def test_a_field_of_the_future_is_passed_over() -> None:
    """Adding a field to an event is a compatible change, both ways."""
    text = '{"code": "X", "text": "y", "severity": 3}'

    assert decode("warning", text) == Warned(code="X", text="y")


def test_a_field_with_a_default_may_be_missing() -> None:
    """A newer hacli reads what an older one wrote."""
    text = '{"status": "ok", "exit_code": 0, "took_s": 1}'

    assert decode("result", text) == RunEnded(status="ok", exit_code=0, took_s=1.0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("warning", '{"code": "X"}'),
        ("warning", '{"code": "X", "text": 7}'),
        ("warning", '["code"]'),
        ("warning", '{"code": "X", "te'),
        ("result", '{"status": "ok", "exit_code": true, "took_s": 1}'),
        ("result", '{"status": "ok", "exit_code": 0, "took_s": "1"}'),
        ("plan", '{"servers": {}, "known_migrations": []}'),
        ("plan", '{"servers": [7], "known_migrations": []}'),
        ("plan", '{"servers": [], "known_migrations": ["7"]}'),
    ],
)
def test_a_damaged_event_is_an_error(name: str, text: str) -> None:
    """A known event is whole or it is an error: never half understood."""
    with pytest.raises(ValueError, match=r"."):
        decode(name, text)
