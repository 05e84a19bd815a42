"""The tables "Asking Nova" of docs/safety.md, cell by cell."""

from dataclasses import replace
from datetime import timedelta
from types import ModuleType

from hacli.domain.evacuation import Ask, End, Ended, Look, Move, ServerRun, Verify, Wait
from hacli.domain.servers import Migration, Server
from tests.domain.cells import Cell
from tests.domain.moves import (
    ACCEPTED,
    BROKEN,
    EARLIER,
    NOT_SENT,
    POLICY,
    REJECTED,
    SOURCE,
    T0,
    TIMED_OUT,
    evacuate_action,
    followed,
    record,
    run,
    sent,
    server,
)

ASK = Ask(target=None)
WAIT, LOOK, VERIFY = Wait(), Look(), Verify()

NOT_ASKED = Ended(end=End.NOT_ASKED, text="the request could not be sent: connection refused")
REFUSED = Ended(end=End.REFUSED, text="Nova refused (409): Cannot 'evacuate' instance")
NO_TRACE = Ended(end=End.UNKNOWN, text="Nova accepted the request and shows no migration for it")
NO_ROOM = Ended(end=End.NO_HOST, text="Nova found no host: No valid host was found")


def unknown(why: str) -> Ended:
    """The fate of a request that nobody knows."""
    text = f"whether Nova took the request is not known ({why}), and it shows no migration"
    return Ended(end=End.UNKNOWN, text=text)


def failed(where: str) -> Ended:
    """A copy may have been left there."""
    return Ended(end=End.FAILED, text=f"the evacuation failed on {where}; look there")


def stuck(state: str) -> Ended:
    """Ten minutes without a change."""
    return Ended(end=End.STUCK, text=f"migration 7 has been {state} for 10 minutes")


def at(name: str, now: float, of: ServerRun, move: Move, *, retries: int = 1) -> Cell:
    """The next move for this server at this time."""
    policy = replace(POLICY, retries=retries)
    return Cell(name, lambda module: module.next_move(of, now=now, policy=policy), move)


LOOKED = sent(BROKEN, looked=True, read_at=280.0)
"""A 500 at 100; since then no trace, in lists up to 280 and in the action log."""
TIMED = replace(LOOKED, answer=TIMED_OUT)
CRASHED = sent(EARLIER, may_ask_at=150.0, looked=True, read_at=150.0)
"""An earlier run's intent, found at 100, that will be ten minutes old at 150."""

ANSWERS = [
    at("Q1", 0.0, run(), ASK),
    at("Q1-with-target", 0.0, run(target="compute-1"), Ask(target="compute-1")),
    at("Q2", 101.0, run(in_flight=True, asked=1), WAIT),
    at("Q2-record-seen", 101.0, run(in_flight=True, asked=1, migration=record(7, "error")), WAIT),
    at("Q3-looks", 279.0, sent(ACCEPTED, read_at=278.0), LOOK),
    at("Q3-no-record", 281.0, sent(ACCEPTED, read_at=280.0), NO_TRACE),
    at("Q3-never-again", 281.0, sent(ACCEPTED, read_at=280.0, looked=True), NO_TRACE),
    at("Q4", 101.0, sent(NOT_SENT, asked=0, unsent=1), ASK),
    at("Q4-with-target", 101.0, sent(NOT_SENT, target="compute-1"), Ask(target="compute-1")),
    at("Q4-5-times", 101.0, sent(NOT_SENT, unsent=5), ASK),
    at("Q4-6-times", 101.0, sent(NOT_SENT, unsent=6), NOT_ASKED),
    at("Q5", 101.0, sent(REJECTED), REFUSED),
    at("Q5-later", 9999.0, sent(REJECTED, looked=True, read_at=9998.0), REFUSED),
    at("Q6-looks", 279.0, replace(LOOKED, read_at=279.0), LOOK),
    at("Q6-last-list-too-old", 281.0, replace(LOOKED, read_at=279.75), LOOK),
    at("Q6-once-more", 281.0, LOOKED, ASK),
    at("Q6-with-target", 281.0, replace(LOOKED, target="compute-1"), Ask(target="compute-1")),
    at("Q6-twice", 281.0, replace(LOOKED, asked=2), unknown(BROKEN.why)),
    at("Q7-looks", 279.0, replace(TIMED, read_at=279.0), LOOK),
    at("Q7-unknown", 281.0, TIMED, unknown(TIMED_OUT.why)),
    at("Q8-in-the-log", 281.0, replace(LOOKED, seen_action=True), unknown(BROKEN.why)),
    at("Q8-log-not-read", 281.0, replace(LOOKED, looked=False), unknown(BROKEN.why)),
    at("Q8-earlier-run", 151.0, replace(CRASHED, seen_action=True), LOOK),
    at("Q9-a-minute-more", 339.0, replace(LOOKED, read_at=279.0), LOOK),
    at("Q9-no-longer", 340.0, replace(LOOKED, read_at=279.0), unknown(BROKEN.why)),
    at("Q9-never-read", 340.0, sent(BROKEN, looked=True), unknown(BROKEN.why)),
    at("Q10", 151.0, CRASHED, ASK),
    at("Q10-too-young", 151.0, replace(CRASHED, read_at=149.75), LOOK),
    at("Q10-log-not-read", 151.0, replace(CRASHED, looked=False), LOOK),
    at("Q10-much-too-young", 281.0, replace(CRASHED, may_ask_at=600.0, read_at=280.0),
       unknown(EARLIER.why)),
]  # fmt: skip

OPEN = record(7, "accepted")
LOST = record(7, "error")
DIED_AT_1 = record(7, "failed", "compute-1")
TO_1 = Ask(target="compute-1")
AT_1 = frozenset({"compute-1"})

MIGRATIONS = [
    at("M1-accepted", 709.0, followed(OPEN), WAIT),
    at("M1-pre-migrating", 709.0, followed(record(7, "pre-migrating", "compute-1")), WAIT),
    at("M1-somebody-elses", 9.0, run(asked=1, migration=OPEN), WAIT),
    at("M2-accepted", 710.0, followed(OPEN), stuck("accepted")),
    at("M2-pre-migrating", 711.0, followed(record(7, "pre-migrating", "compute-1")),
       stuck("pre-migrating")),
    at("M3", 111.0, followed(record(7, "queued")), WAIT),
    at("M3-stuck", 710.0, followed(record(7, "queued")), stuck("queued")),
    at("M4-done", 9999.0, followed(record(7, "done", "compute-1")), VERIFY),
    at("M4-completed", 111.0, followed(record(7, "completed", "compute-1")), VERIFY),
    at("M5", 111.0, followed(LOST), ASK),
    at("M5-with-target", 111.0, followed(LOST, target="compute-1"), TO_1),
    at("M5-bounded", 111.0, followed(LOST, asked=2), NO_ROOM),
    at("M5-two-retries", 111.0, followed(LOST, asked=2), ASK, retries=2),
    at("M5-no-retries", 111.0, followed(LOST), NO_ROOM, retries=0),
    at("M5-somebody-elses", 9.0, run(asked=1, migration=LOST), ASK),
    at("M5-in-novas-words", 111.0,
       followed(LOST, asked=2, server=server(fault="There are not enough hosts")),
       Ended(end=End.NO_HOST, text="Nova found no host: There are not enough hosts")),
    at("M6", 111.0, followed(DIED_AT_1), TO_1),
    at("M6-same-target", 111.0, followed(DIED_AT_1, target="compute-1"), TO_1),
    at("M6-bounded", 111.0, followed(DIED_AT_1, asked=2), failed("compute-1")),
    at("M6-error-names-a-host", 111.0, followed(record(7, "error", "compute-1")), TO_1),
    at("M6-error-after-it", 111.0, followed(LOST, maybe_at=AT_1), TO_1),
    at("M6-not-sent-after-it", 111.0, sent(NOT_SENT, maybe_at=AT_1), TO_1),
    at("M6-lost-answer-after-it", 281.0, replace(LOOKED, maybe_at=AT_1), TO_1),
    at("M6-crash-after-it", 151.0, replace(CRASHED, maybe_at=AT_1), TO_1),
    at("M6-before-this-run", 0.0, run(maybe_at=AT_1), TO_1),
    at("M7-other-target", 111.0, followed(DIED_AT_1, target="compute-2"), failed("compute-1")),
    at("M7-two-hosts", 111.0, followed(DIED_AT_1, maybe_at=frozenset({"compute-2"})),
       failed("compute-1, compute-2")),
    at("M7-two-hosts-one-asked", 0.0,
       run(target="compute-1", maybe_at=frozenset({"compute-1", "compute-2"})),
       failed("compute-1, compute-2")),
    at("M7-unnamed", 111.0, followed(record(7, "failed")), failed("an unnamed host")),
    at("M7-after-error", 111.0, followed(LOST, asked=2, maybe_at=AT_1), failed("compute-1")),
    at("M8-list-too-old", 111.0, followed(LOST, read_at=99.75), WAIT),
    at("M8-list-as-it-came", 111.0, followed(LOST, read_at=100.0), ASK),
    at("M8-then-nothing-more", 710.0, followed(LOST, read_at=99.75), NO_ROOM),
    at("M8-failed", 111.0, followed(DIED_AT_1, read_at=99.75), WAIT),
    at("M9-lost-answer", 281.0, followed(LOST, answer=BROKEN, read_at=279.75), WAIT),
    at("M9-settled", 281.0, followed(LOST, answer=BROKEN, read_at=280.0), ASK),
    at("M9-timed-out", 701.0, followed(LOST, answer=TIMED_OUT, read_at=699.75), WAIT),
    at("M9-timed-out-settled", 701.0, followed(LOST, answer=TIMED_OUT, read_at=700.0), ASK),
    at("M9-earlier-run", 281.0, followed(LOST, answer=EARLIER, may_ask_at=300.0, read_at=280.0),
       WAIT),
    at("M9-earlier-run-settled", 301.0,
       followed(LOST, answer=EARLIER, may_ask_at=300.0, read_at=300.0), ASK),
    at("M9-not-sent", 111.0, followed(LOST, answer=NOT_SENT, read_at=90.0), ASK),
    at("M10", 111.0, followed(LOST, answer=REJECTED), REFUSED),
]  # fmt: skip


def back(name: str, of: ServerRun, found: Server | None, move: Move) -> Cell:
    """What is read back of a server that Nova calls done."""
    return Cell(name, lambda module: module.verify_server(of, found, SOURCE), move)


DONE = followed(record(7, "done", "compute-1"))
HOME = server(host="compute-1")


def good(text: str) -> Ended:
    """Back as it was."""
    return Ended(end=End.VERIFIED, text=text)


def wrong(text: str) -> Ended:
    """Back, and not as it was."""
    return Ended(end=End.WRONG_STATE, text=text)


ALSO_AT_2 = Ended(
    end=End.FAILED,
    text="it is on compute-1, and an evacuation to compute-2 has ended: "
    "look there for a second copy",
)

VERIFIES = [
    back("V1-running", DONE, HOME, good("ACTIVE on compute-1")),
    back("V1-stopped", replace(DONE, was="stopped"), replace(HOME, status="SHUTOFF"),
         good("SHUTOFF on compute-1")),
    back("V2-still-there", DONE, server(), WAIT),
    back("V2-nowhere", DONE, server(host=""), WAIT),
    back("V2-in-progress", DONE, replace(HOME, task_state="powering-off"), WAIT),
    back("V3-stopped", DONE, replace(HOME, status="SHUTOFF"),
         wrong("it was active and is SHUTOFF on compute-1")),
    back("V3-started", replace(DONE, was="stopped"), HOME,
         wrong("it was stopped and is ACTIVE on compute-1")),
    back("V3-error", DONE, replace(HOME, status="ERROR"),
         wrong("it was active and is ERROR on compute-1")),
    back("V4", replace(DONE, was="error"), HOME,
         good("ACTIVE on compute-1; what it was before is not known")),
    back("V5", replace(DONE, was="error"), replace(HOME, status="ERROR"),
         Ended(end=End.FAILED, text="it is in ERROR on compute-1")),
    back("V6", DONE, None,
         Ended(end=End.UNKNOWN, text="Nova does not know the server any more")),
    back("V7", replace(DONE, maybe_at=frozenset({"compute-1", "compute-2"})), HOME, ALSO_AT_2),
    back("V7-unnamed", replace(DONE, maybe_at=frozenset({None})), HOME,
         replace(ALSO_AT_2, text=ALSO_AT_2.text.replace("compute-2", "an unnamed host"))),
    back("V7-moved-on", replace(DONE, maybe_at=frozenset({"compute-1"})),
         server(host="compute-4"), good("ACTIVE on compute-4")),
    back("V7-no-record", run(maybe_at=frozenset({"compute-1"})), HOME,
         good("ACTIVE on compute-1")),
]  # fmt: skip


def taken(name: str, of: ServerRun, seen: tuple[Migration, ...], into: ServerRun) -> Cell:
    """What a list of records, asked for at 200, makes of a run."""
    return Cell(name, lambda module: module.observe_records(of, seen, now=200.0), into)


FLYING = sent(ACCEPTED, known_ids=frozenset({4}), read_at=90.0)
NEWER = record(9, "accepted")
LOST_9 = record(9, "error")
STILL = record(7, "accepted", seconds=-600)
UNTIMED = replace(STILL, updated_at=None, created_at=T0 - timedelta(seconds=600))
ARRIVED = record(9, "done", "compute-1")
GOING = record(7, "pre-migrating", "compute-1", seconds=1)


def seen(migration: Migration, **more: object) -> ServerRun:
    """``FLYING``, with this record found at 200."""
    found = replace(FLYING, migration=migration, changed_at=200.0, read_at=200.0)
    return replace(found, **more)  # type: ignore[arg-type]


RECORDS = [
    taken("R1", FLYING, (OPEN, record(4, "failed", "compute-2")), seen(OPEN)),
    taken("R1-other-server", FLYING, (record(8, "accepted", of="vm-2"),),
          replace(FLYING, read_at=200.0)),
    taken("R1-known", FLYING, (record(4, "accepted"),), replace(FLYING, read_at=200.0)),
    taken("R2-status", seen(OPEN), (GOING,), seen(GOING)),
    taken("R2-time", replace(seen(OPEN), changed_at=150.0), (record(7, "accepted", seconds=1),),
          seen(record(7, "accepted", seconds=1))),
    taken("R2-unchanged", replace(seen(OPEN), changed_at=150.0), (OPEN,),
          replace(seen(OPEN), changed_at=150.0)),
    taken("R3", replace(seen(OPEN), read_at=190.0), (), replace(seen(OPEN), read_at=190.0)),
    taken("R3-other-record", replace(seen(NEWER), read_at=190.0), (OPEN,),
          replace(seen(NEWER), read_at=190.0)),
    taken("R4-older-is-open", seen(OPEN), (LOST_9, OPEN),
          seen(OPEN, known_ids=frozenset({4, 9}))),
    taken("R4-newest-open", seen(OPEN), (NEWER, OPEN), seen(NEWER)),
    taken("R4-unknown-state", seen(OPEN), (LOST_9, record(7, "queued")),
          seen(record(7, "queued"), known_ids=frozenset({4, 9}))),
    taken("R4-overtaken", seen(STILL), (ARRIVED, STILL), seen(ARRIVED, maybe_at=AT_1)),
    taken("R4-overtaken-no-time", seen(STILL), (ARRIVED, UNTIMED),
          seen(ARRIVED, maybe_at=AT_1)),
    taken("R4-overtaken-too-soon", seen(STILL), (ARRIVED, record(7, "accepted", seconds=-599)),
          seen(record(7, "accepted", seconds=-599), known_ids=frozenset({4, 9}), maybe_at=AT_1)),
    taken("R4-overtaken-by-an-error", seen(STILL), (LOST_9, STILL),
          seen(STILL, known_ids=frozenset({4, 9}))),
    taken("R5-newest-ended", seen(OPEN), (LOST_9, LOST),
          seen(LOST_9, known_ids=frozenset({4, 7}))),
    taken("R6-failed", seen(OPEN), (DIED_AT_1,), seen(DIED_AT_1, maybe_at=AT_1)),
    taken("R6-passed", seen(OPEN), (record(9, "failed", "compute-2"), OPEN),
          seen(OPEN, known_ids=frozenset({4, 9}), maybe_at=frozenset({"compute-2"}))),
    taken("R6-two", replace(seen(OPEN), maybe_at=frozenset({"compute-2"})), (DIED_AT_1,),
          seen(DIED_AT_1, maybe_at=frozenset({"compute-1", "compute-2"}))),
    taken("R6-open-is-not-left", seen(OPEN), (GOING,), seen(GOING)),
]  # fmt: skip


def _same_object(module: ModuleType) -> bool:
    """The service notes a change when it sees another object."""
    before = seen(OPEN)
    after = module.observe_records(before, (replace(OPEN),), now=200.0)
    return after.migration is before.migration


RECORDS.append(Cell("R2-same-object", _same_object, says=True))


def asked(name: str, of: ServerRun, into: ServerRun) -> Cell:
    """The run with its request on the way."""
    return Cell(name, lambda module: module.asked(of), into)


def answered(name: str, of: ServerRun, outcome: object, into: ServerRun) -> Cell:
    """The run with an answer that came at 200."""
    return Cell(name, lambda module: module.answered(of, outcome, now=200.0), into)


def looked(
    name: str, of: ServerRun, log: tuple[str, ...], into: ServerRun, *, elsewhere: int = 0
) -> Cell:
    """The run after a look at the action log."""
    actions = tuple(evacuate_action(number, name) for number, name in enumerate(log))
    return Cell(name, lambda module: module.looked(of, actions, from_elsewhere=elsewhere), into)


SENT = run(asked=1, in_flight=True)
TRACKED = replace(FLYING, known_ids=frozenset({4, 5}))

STEPS = [
    asked("S1", run(), SENT),
    asked("S1-again", replace(CRASHED, seen_action=True), replace(
        CRASHED, in_flight=True, answer=None, may_ask_at=None, looked=False, asked=2)),
    asked("S1-after-a-record", seen(DIED_AT_1), replace(
        seen(DIED_AT_1), known_ids=frozenset({4, 7}), maybe_at=AT_1, migration=None,
        in_flight=True, answer=None, asked=2)),
    asked("S1-keeps-the-host", run(maybe_at=AT_1), replace(SENT, maybe_at=AT_1)),
    answered("S2-accepted", SENT, ACCEPTED,
             run(asked=1, answer=ACCEPTED, answered_at=200.0, changed_at=200.0)),
    answered("S2-lost", replace(SENT, unsent=3), TIMED_OUT,
             run(asked=1, answer=TIMED_OUT, answered_at=200.0, changed_at=200.0)),
    answered("S3", replace(SENT, unsent=3), NOT_SENT,
             run(asked=0, unsent=4, answer=NOT_SENT, answered_at=200.0, changed_at=200.0)),
    looked("S4-nothing", TRACKED, (), replace(TRACKED, looked=True)),
    looked("S4-as-many-as-records", TRACKED, ("evacuate", "stop", "evacuate"),
           replace(TRACKED, looked=True)),
    looked("S4-one-more", TRACKED, ("evacuate",) * 3,
           replace(TRACKED, looked=True, seen_action=True)),
    looked("S4-one-from-elsewhere", TRACKED, ("evacuate",) * 3,
           replace(TRACKED, looked=True), elsewhere=1),
    looked("S4-one-more-than-those", TRACKED, ("evacuate",) * 4,
           replace(TRACKED, looked=True, seen_action=True), elsewhere=1),
]  # fmt: skip


def busy(name: str, of: ServerRun, *, known: bool, maybe: bool) -> Cell:
    """Whether Nova works on it, and whether it may."""

    def ask(module: ModuleType) -> tuple[bool, bool]:
        same = module.ServerRun(**{key: getattr(of, key) for key in of.__dataclass_fields__})
        return (same.busy, same.maybe_busy)

    return Cell(name, ask, (known, maybe))


BUSY = [
    busy("S5-not-asked", run(), known=False, maybe=False),
    busy("S5-in-flight", SENT, known=True, maybe=True),
    busy("S5-in-flight-beside-a-record", replace(SENT, migration=LOST), known=True, maybe=True),
    busy("S5-accepted", sent(ACCEPTED), known=True, maybe=True),
    busy("S5-lost-answer", sent(TIMED_OUT), known=False, maybe=True),
    busy("S5-refused", sent(REJECTED), known=False, maybe=False),
    busy("S5-open", followed(OPEN), known=True, maybe=True),
    busy("S5-unknown-state", followed(record(7, "queued")), known=True, maybe=True),
    busy("S5-ended", followed(LOST), known=False, maybe=False),
    busy("S5-arrived", followed(record(7, "done", "compute-1")), known=False, maybe=False),
    busy("S5-lost-answer-ended", followed(LOST, answer=TIMED_OUT), known=False, maybe=True),
    busy("S5-lost-answer-arrived", followed(record(7, "done"), answer=TIMED_OUT),
         known=False, maybe=False),
]  # fmt: skip

MOVE_CELLS = [*ANSWERS, *MIGRATIONS, *VERIFIES, *RECORDS, *STEPS, *BUSY]
