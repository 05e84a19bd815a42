"""What earlier runs have left in the journal, per server."""

from datetime import UTC, datetime, timedelta

import pytest

from hacli.domain.evacuation import ANY_SERVER, Past
from hacli.domain.events import (
    Asked,
    Event,
    Intent,
    Moment,
    PlanMade,
    RunEnded,
    ServerChanged,
    StepDone,
    StoredEvent,
    TookOver,
)
from hacli.domain.past import fold_past, untraced

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ENABLED = RunEnded(status="ok", exit_code=0, took_s=1.0)


def planned(**was: str) -> PlanMade:
    """A plan that saw these servers so."""
    rows = tuple({"id": server, "name": server, "was": state} for server, state in was.items())
    return PlanMade(servers=rows, known_migrations=())


def intent(*known: int, server: str = "vm1") -> Intent:
    """On disk before a request."""
    return Intent(server=server, server_name=server, target=None, attempt=1, known_migrations=known)


def asked(outcome: str, server: str = "vm1") -> Asked:
    """What came back for it."""
    return Asked(server=server, outcome=outcome)


def verified(server: str = "vm1") -> ServerChanged:
    """It was read back."""
    return ServerChanged(id=server, server_name=server, status="verified")


def changed(status: str, code: str | None = None) -> ServerChanged:
    """What became of it."""
    return ServerChanged(id="vm1", server_name="vm1", status=status, code=code)


def moment(after: timedelta) -> Moment:
    """So long after the first event, on a machine that has run since."""
    return Moment(time=T0 + after, boot="boot-1", uptime_s=900.0 + after.total_seconds())


def stored(*events: Event, op: str = "recover") -> list[StoredEvent]:
    """These events, a minute apart."""
    return [
        StoredEvent(
            run="r",
            op=op if isinstance(event, RunEnded) else "recover",
            host="compute-3",
            seq=number,
            at=moment(timedelta(minutes=number)),
            event=event,
        )
        for number, event in enumerate(events)
    ]


def past(*events: Event, op: str = "recover") -> dict[str, Past]:
    """The fold of these events, a minute after the last."""
    return dict(fold_past(stored(*events, op=op), now=moment(timedelta(minutes=len(events)))))


TAKEN_OVER = TookOver(holder_run="r-1", holder="somebody", why="gone", uncertain=True)
PARTLY = StepDone(step="evacuate", status="partial", took_s=1.0, text="")
WHOLLY = StepDone(step="start", status="ok", took_s=1.0, text="")
OPEN_ENDS: dict[str, tuple[tuple[Event, ...], frozenset[str]]] = {
    "no answer yet": ((intent(),), frozenset({"vm1"})),
    "no answer at all": ((intent(), asked("uncertain")), frozenset({"vm1"})),
    "no trace at the end": (
        (intent(), asked("uncertain"), changed("failed", "VM_UNKNOWN")),
        frozenset({"vm1"}),
    ),
    "unknown once more": ((changed("failed", "VM_UNKNOWN"),), frozenset({"vm1"})),
    "asked again": ((intent(), asked("accepted"), intent()), frozenset({"vm1"})),
    "not asked for by the second run": (
        (intent(), changed("failed", "VM_NOT_ASKED")),
        frozenset({"vm1"}),
    ),
    "accepted": ((intent(), asked("accepted")), frozenset()),
    "refused": ((intent(), asked("rejected")), frozenset()),
    "not sent": ((intent(), asked("not-sent")), frozenset()),
    "a record is there": ((intent(), asked("uncertain"), changed("rebuilding")), frozenset()),
    "the record has ended": (
        (intent(), asked("uncertain"), changed("failed", "VM_FAILED")),
        frozenset(),
    ),
    "gone from Nova after its record": (
        (intent(), changed("rebuilding"), changed("failed", "VM_UNKNOWN")),
        frozenset(),
    ),
    "verified": ((intent(), asked("uncertain"), verified()), frozenset()),
    "taken over": ((TAKEN_OVER,), frozenset({ANY_SERVER})),
    "taken over, and not all are back": (
        (TAKEN_OVER, changed("failed", "VM_UNKNOWN"), PARTLY),
        frozenset({"vm1", ANY_SERVER}),
    ),
    "taken over, and all are back": ((TAKEN_OVER, WHOLLY), frozenset()),
}


@pytest.mark.parametrize(("events", "servers"), OPEN_ENDS.values(), ids=OPEN_ENDS)
def test_only_the_journal_knows_of_a_request_until_nova_shows_it(
    events: tuple[Event, ...], servers: frozenset[str]
) -> None:
    """Such a request is what another controller, with an empty journal, would send again."""
    at, later = (moment(timedelta(minutes=len(events) + more)) for more in (0, 10))
    enabled = stored(*events, ENABLED, op="enable")

    assert untraced(stored(*events), now=at, settle_s=600.0) == servers
    assert untraced(stored(*events), now=later, settle_s=600.0) == frozenset()
    assert untraced(enabled, now=at, settle_s=600.0) == frozenset()


def test_nothing_was_before() -> None:
    """An empty journal remembers nothing."""
    assert past() == {}


def test_the_first_plan_of_an_outage_knows_what_a_server_was() -> None:
    """A later plan may have seen what an evacuation made of it; what is unknown is not made up."""
    assert past(planned(vm1="stopped", vm2="error"), planned(vm1="active", vm2="active")) == {
        "vm1": Past(was="stopped"),
        "vm2": Past(was="active"),
    }
    assert past(planned(vm1="error")) == {}


def test_an_intent_without_an_answer_is_open() -> None:
    """With the records it knew, and its age."""
    assert past(planned(vm1="active"), intent(3, 4)) == {
        "vm1": Past(was="active", known_ids=frozenset({3, 4}), intent_age_s=60.0)
    }


def test_an_intent_of_a_server_in_no_plan_is_open_too() -> None:
    """A journal may have been cut; the request may have been sent all the same."""
    assert past(intent()) == {"vm1": Past(known_ids=frozenset(), intent_age_s=60.0)}


def test_an_answer_of_unknown_fate_leaves_it_open() -> None:
    """Nova may have taken it."""
    assert past(intent(3), asked("uncertain")) == {
        "vm1": Past(known_ids=frozenset({3}), intent_age_s=120.0)
    }


def test_a_yes_leaves_it_open_until_its_record_is_found() -> None:
    """But a record that is found since is its own."""
    assert past(intent(3), asked("accepted")) == {
        "vm1": Past(known_ids=frozenset({3}), intent_age_s=120.0, accepted=True)
    }


def test_a_later_intent_is_not_accepted_by_an_earlier_yes() -> None:
    """Each request has its own answer."""
    assert past(intent(3), asked("accepted"), intent(3, 4)) == {
        "vm1": Past(known_ids=frozenset({3, 4}), intent_age_s=60.0)
    }


def test_a_request_that_was_refused_or_never_sent_is_settled() -> None:
    """Nothing will come of it."""
    for outcome in ("rejected", "not-sent"):
        assert past(planned(vm1="active"), intent(3), asked(outcome)) == {
            "vm1": Past(was="active", intent_age_s=120.0)
        }


def test_a_verified_server_is_settled() -> None:
    """It is not read back again."""
    assert past(planned(vm1="active"), intent(3), asked("accepted"), verified()) == {
        "vm1": Past(was="active", intent_age_s=180.0, accepted=True, verified=True)
    }


def test_another_end_is_no_verification() -> None:
    """Failed, stuck and unknown are looked at again."""
    failed = ServerChanged(id="vm1", server_name="vm1", status="failed", code="VM_STUCK")

    assert past(planned(vm1="active"), failed) == {"vm1": Past(was="active")}


def test_a_verified_server_that_is_on_the_host_again_begins_anew() -> None:
    """Another controller enabled the host; in this outage it was stopped, and must be read back."""
    assert past(planned(vm1="active"), verified(), planned(vm1="stopped"), intent(5)) == {
        "vm1": Past(was="stopped", known_ids=frozenset({5}), intent_age_s=60.0)
    }


def test_servers_are_kept_apart() -> None:
    """An answer belongs to its own server."""
    events = (planned(vm1="active", vm2="stopped"), intent(1), intent(2, server="vm2"))

    assert past(*events, asked("rejected", "vm2")) == {
        "vm1": Past(was="active", known_ids=frozenset({1}), intent_age_s=180.0),
        "vm2": Past(was="stopped", intent_age_s=120.0),
    }


def test_an_enabled_host_has_no_past() -> None:
    """Whatever was open belongs to an outage that is over."""
    assert past(planned(vm1="active"), intent(), ENABLED, op="enable") == {}


def test_a_run_that_did_not_enable_it_forgets_nothing() -> None:
    """An enable that failed, or another command that ended well."""
    refused = RunEnded(status="refused", exit_code=3, took_s=1.0)
    kept = {"vm1": Past(was="active")}

    assert past(planned(vm1="active"), refused, op="enable") == kept
    assert past(planned(vm1="active"), ENABLED, op="recover") == kept


def took_over(*, uncertain: bool = True) -> TookOver:
    """The claim of a run that is gone, which may have asked for servers."""
    return TookOver(holder_run="r-9", holder="run r-9", why="it was fenced", uncertain=uncertain)


def test_after_a_take_over_every_server_may_have_been_asked_for() -> None:
    """Also one that no run here has ever seen; as old as the take-over, not as the claim."""
    doubted = Past(known_ids=frozenset(), intent_age_s=60.0)

    assert past(took_over()) == {ANY_SERVER: doubted}
    assert past(planned(vm1="stopped"), took_over()) == {
        ANY_SERVER: doubted,
        "vm1": Past(was="stopped", known_ids=frozenset(), intent_age_s=60.0),
    }


def test_what_is_seen_after_a_take_over_is_in_doubt_as_well() -> None:
    """The first plan only tells what each server was."""
    found = past(took_over(), planned(vm1="active"))

    assert found["vm1"] == Past(was="active", known_ids=frozenset(), intent_age_s=120.0)


def test_an_older_intent_becomes_as_young_as_the_take_over() -> None:
    """Whoever took over from us in between may have asked again."""
    found = past(intent(3), asked("accepted"), took_over())

    assert found["vm1"] == Past(known_ids=frozenset({3}), intent_age_s=60.0)


def test_an_intent_of_our_own_settles_the_doubt_of_its_server() -> None:
    """It was sent when the doubt was over, and knows the records of that moment."""
    found = past(took_over(), intent(7), asked("rejected"))

    assert found["vm1"] == Past(intent_age_s=120.0)
    assert found[ANY_SERVER].known_ids == frozenset()


def test_a_take_over_from_a_run_that_asked_for_nothing_leaves_no_doubt() -> None:
    """It was dead before the force-down, or its intents are in this journal."""
    assert past(took_over(uncertain=False)) == {}


def test_an_enabled_host_ends_the_doubt() -> None:
    """Another outage begins anew."""
    assert past(took_over(), ENABLED, op="enable") == {}


def on(calendar: timedelta, uptime_s: float, *, boot: str | None = "boot-1") -> Moment:
    """What calendar and machine say, of T0 and 900 s."""
    return Moment(time=T0 + calendar, boot=boot, uptime_s=900.0 + uptime_s)


HOUR = timedelta(hours=1)
AGES = {
    "as both say": (on(HOUR, 0), on(2 * HOUR, 3600), 3600),
    "the calendar leaps ahead": (on(HOUR, 0), on(9 * HOUR, 60), 60),
    "the calendar leaps back": (on(HOUR, 0), on(-9 * HOUR, 700), 700),
    "booted since": (on(HOUR, 0), on(2 * HOUR, 9000, boot="boot-2"), 3600),
    "booted since, and the calendar leaps": (on(HOUR, 0), on(9 * HOUR, 0, boot="boot-2"), 900),
    "recorded without its boot": (on(HOUR, 0, boot=None), on(2 * HOUR, 9000), 3600),
}


@pytest.mark.parametrize(("then", "now", "age_s"), AGES.values(), ids=AGES)
def test_an_event_is_at_least_as_old_as_the_machine_has_counted(
    then: Moment, now: Moment, age_s: float
) -> None:
    """Law L4: a calendar that leaps must not make an untraced request old enough to be repeated."""
    assert then.age_s(now) == age_s
