"""Which servers of a host that is back are started there: a table of what log and lists say."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hacli.domain.cluster import ClusterNode, Role
from hacli.domain.evacuation import (
    End,
    Ended,
    Reason,
    Records,
    Skip,
    Wishes,
)
from hacli.domain.gates import objections
from hacli.domain.hosts import GATE_ATTRIBUTE
from hacli.domain.policy import Storage
from hacli.domain.servers import (
    ComputeService,
    Guest,
    InstanceAction,
    Migration,
    RequestOutcome,
    Server,
)
from hacli.domain.start_in_place import (
    StartPlan,
    Told,
    Way,
    fenced_and_back,
    gates_to_start,
    may_have_stopped,
    plan_starts,
    way_to_start,
)
from hacli.domain.start_moves import AskTo, LookAtIt, StartMove, StartRun, WaitForIt, next_start
from tests.domain.fleet import FENCED, chain_service, fenced, host, lost, node, service, view
from tests.domain.moves import ACCEPTED, BROKEN, NOT_SENT, POLICY, T0, TIMED_OUT, record, server

FENCED_AT = T0
STOPPED = server(vm_state="stopped", status="SHUTOFF")
NOBODY = None


def act(
    name: str, seconds: float, user: str | None = "u", *, failed: bool = False
) -> InstanceAction:
    """An action so many seconds after the fence."""
    return InstanceAction(
        action=name,
        request_id=f"req-{name}",
        start_time=FENCED_AT + timedelta(seconds=seconds),
        message="Error" if failed else None,
        user=user,
    )


MADE = act("create", -9000)
SYNC = act("stop", 60, NOBODY)

WAYS = [
    pytest.param(server(), (MADE,), Way.REBOOT, id="active-and-untouched"),
    pytest.param(server(), (), Way.REBOOT, id="active-with-a-purged-log"),
    pytest.param(server(), (act("reboot", -900), MADE), Way.REBOOT, id="rebooted-before"),
    pytest.param(server(), (act("lock", 90), MADE), Way.REBOOT, id="a-lock-is-no-start"),
    pytest.param(server(), (act("reboot", 90), MADE), Reason.STARTED_ONCE, id="rebooted-since"),
    pytest.param(
        server(), (act("reboot", 90, failed=True), MADE), Reason.STARTED_ONCE, id="reboot-failed"
    ),
    pytest.param(server(), (act("live-migration", 900),), Reason.STARTED_ONCE, id="moved-since"),
    pytest.param(server(), (act("newfangled", 90),), Reason.STARTED_ONCE, id="unknown-since"),
    pytest.param(server(), (act("start", 3), MADE), Reason.UNSURE, id="too-close-to-the-fence"),
    pytest.param(server(), (act("stop", -3), MADE), Reason.UNSURE, id="too-close-before-it"),
    pytest.param(STOPPED, (SYNC, MADE), Way.START, id="stopped-by-the-sync"),
    pytest.param(STOPPED, (SYNC, act("start", -99), act("stop", -999)), Way.START, id="ran-again"),
    pytest.param(STOPPED, (SYNC, act("resize", -99), MADE), Way.START, id="a-resize-keeps-it"),
    pytest.param(STOPPED, (act("stop", -99), MADE), Guest.NOT_RUNNING, id="stopped-before"),
    pytest.param(STOPPED, (act("stop", -99, NOBODY), MADE), Guest.NOT_RUNNING, id="shut-itself"),
    pytest.param(STOPPED, (SYNC, act("stop", -99)), Guest.NOT_RUNNING, id="was-stopped-anyway"),
    pytest.param(STOPPED, (SYNC, act("pause", -99)), Guest.NOT_RUNNING, id="was-paused"),
    pytest.param(STOPPED, (act("stop", 70), SYNC, MADE), Guest.NOT_RUNNING, id="user-stop-since"),
    pytest.param(
        STOPPED, (act("stop", 900, NOBODY), act("start", 80), SYNC), Guest.NOT_RUNNING,
        id="started-and-shut-itself",
    ),
    pytest.param(
        STOPPED, (act("start", 80, failed=True), SYNC, MADE), Reason.STARTED_ONCE, id="start-failed"
    ),
    pytest.param(STOPPED, (SYNC,), Reason.UNSURE, id="log-does-not-reach-back"),
    pytest.param(STOPPED, (), Guest.NOT_RUNNING, id="stopped-with-a-purged-log"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "log", "wanted"), WAYS)
def test_the_action_log_decides(
    one: Server, log: tuple[InstanceAction, ...], wanted: Way | Guest | Reason
) -> None:
    """Of a server whose guest does not run; the order of the log does not matter."""
    found = [way_to_start(one, order, fenced_at=FENCED_AT) for order in (log, log[::-1])]

    assert [f.reason if isinstance(f, Skip) else f for f in found] == [wanted] * 2


BACK = node(fence_events=(FENCED,), node_fenced=0)


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        pytest.param(BACK, T0, id="fenced-and-connected"),
        pytest.param(node(), None, id="never-fenced"),
        pytest.param(fenced(), None, id="still-away"),
        pytest.param(lost(fence_events=(FENCED,)), None, id="lost-again"),
        pytest.param(replace(BACK, node_fenced=5), None, id="fenced-by-the-CIB"),
        pytest.param(replace(BACK, maintenance=True), None, id="in-maintenance"),
        pytest.param(
            replace(BACK, fence_events=(replace(FENCED, status="failed"), FENCED)), T0,
            id="a-later-attempt-failed",
        ),
        pytest.param(
            replace(BACK, fence_events=(replace(FENCED, status="pending"), FENCED)), None,
            id="being-fenced-again",
        ),
        pytest.param(
            replace(BACK, fence_events=(replace(FENCED, action="on"),)), None, id="only-unfenced"
        ),
    ],
)  # fmt: skip
def test_a_host_is_back_when_it_was_fenced_and_is_connected(
    one: ClusterNode, wanted: datetime | None
) -> None:
    """By Pacemaker alone, when its opinion counts."""
    assert fenced_and_back(host(one, service()), view(one)) == wanted


@pytest.mark.parametrize(
    ("of", "by", "code"),
    [
        pytest.param(BACK, service(), None, id="well"),
        pytest.param(BACK, service(enabled=False, disabled_reason="DIMM"), None, id="by-hand"),
        pytest.param(lost(), service(), "HOST_LOST", id="lost"),
        pytest.param(
            replace(BACK, attributes={GATE_ATTRIBUTE: "r-1"}), service(), "HOST_RETURNED", id="gate"
        ),
        pytest.param(BACK, service(forced_down=True), "HOST_RETURNED", id="forced-down"),
        pytest.param(
            BACK, service(enabled=False, disabled_reason="hacli:r-1 recover"), "HOST_RETURNED",
            id="disabled-by-a-recovery",
        ),
        pytest.param(BACK, service(up=False), "HOST_DEGRADED", id="nova-down"),
        pytest.param(
            replace(BACK, chain=(chain_service(Role.STOPPED),)), service(), "HOST_DEGRADED",
            id="chain-stopped",
        ),
    ],
)  # fmt: skip
def test_nothing_is_started_on_a_host_that_is_not_wholly_back(
    of: ClusterNode, by: ComputeService, code: str | None
) -> None:
    """The first objection is the one that is told; none of them has a flag."""
    gates = objections(gates_to_start(host(of, by), view(of)))

    assert next((gate.code for gate in gates), None) == code
    assert {gate.flag for gate in gates} <= {None}


LISTED = [
    pytest.param(server(task_state="rebooting_hard"), (), (), Way.FOLLOW, id="under-way"),
    pytest.param(server(task_state="powering-off"), (), (), Way.FOLLOW, id="the-sync-is-at-it"),
    pytest.param(server(task_state="image_uploading"), (), (), Reason.STATE, id="busy"),
    pytest.param(server(task_state="deleting"), (), (), Reason.DELETING, id="being-deleted"),
    pytest.param(server(vm_state="error"), (), (), Reason.STATE, id="in-error"),
    pytest.param(server(vm_state="paused"), (), (), Reason.STATE, id="paused"),
    pytest.param(server(vm_state="suspended"), (), (), None, id="suspended"),
    pytest.param(server(launched_at=None), (), (), Reason.STATE, id="never-built"),
    pytest.param(server(), (record(1, "accepted"),), (), Reason.EVACUATED, id="evacuation-open"),
    pytest.param(
        server(), (record(1, "pre-migrating", "compute-1"),), (), Reason.EVACUATED, id="and-claimed"
    ),
    pytest.param(server(), (record(1, "done", "compute-1"),), (), Reason.EVACUATED, id="done"),
    pytest.param(
        server(), (record(1, "failed", "compute-1"),), (), Reason.EVACUATED, id="failed-there"
    ),
    pytest.param(server(), (record(1, "error"),), (), Way.REBOOT, id="found-no-host"),
    pytest.param(server(), (record(1, "completed", "compute-1"),), (), Way.REBOOT, id="long-ago"),
    pytest.param(
        server(), (), (record(1, "running", "compute-1", kind="live-migration"),),
        Reason.MIGRATING, id="live-migration-for-ever",
    ),
]  # fmt: skip


def plan(one: Server, told: Told, **records: tuple[Migration, ...]) -> StartPlan:
    """The plan for one server."""
    known = Records(
        servers=(one,),
        evacuations=records.get("evacuations", ()),
        moves=records.get("moves", ()),
        groups=(),
        storage=Storage.LOCAL,
    )
    return plan_starts(known, Wishes(), told, fenced_at=FENCED_AT)


@pytest.mark.parametrize(("one", "evacuations", "moves", "wanted"), LISTED)
def test_the_lists_decide_first(
    one: Server,
    evacuations: tuple[Migration, ...],
    moves: tuple[Migration, ...],
    wanted: Way | Reason | None,
) -> None:
    """What may run elsewhere, or is in somebody's hands, is not asked about, but named."""
    told = Told(guests={one.id: Guest.NOT_RUNNING}, actions={one.id: (MADE,)})

    found = plan(one, told, evacuations=evacuations, moves=moves)

    assert [start.way for start in found.starts] == ([wanted] if isinstance(wanted, Way) else [])
    assert [skip.reason for skip in found.skips] == ([wanted] if isinstance(wanted, Reason) else [])
    assert found.at_rest == (wanted is None)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (Told(guests={"vm-1": Guest.RUNNING}, actions={}), (1, 0, 0)),
        (Told(guests={"vm-1": "time-out"}, actions={}), (0, 0, 1)),
        (Told(guests={}, actions={"vm-1": (MADE,)}), (0, 0, 1)),
        (Told(guests={"vm-1": Guest.NOT_RUNNING}, actions={"vm-1": "time-out"}), (0, 0, 1)),
        (Told(guests={"vm-1": Guest.NOT_RUNNING}, actions={"vm-1": (MADE,)}), (0, 1, 0)),
    ],
)
def test_only_the_hypervisors_no_is_a_no(told: Told, wanted: tuple[int, int, int]) -> None:
    """Running, to be started, named: silence names (law L1)."""
    found = plan(server(), told)

    assert (found.running, len(found.starts), len(found.skips)) == wanted


@pytest.mark.parametrize(
    ("vm_state", "seconds", "wanted"),
    [("active", -60, True), ("active", 60, False), ("stopped", -60, False), ("stopped", 60, True)],
)
def test_status_asks_only_about_what_nobody_has_touched(
    vm_state: str, seconds: float, wanted: bool
) -> None:
    """By the time of the record's last write."""
    one = replace(server(vm_state=vm_state), updated_at=FENCED_AT + timedelta(seconds=seconds))

    assert may_have_stopped(one, FENCED_AT) is wanted
    assert may_have_stopped(replace(one, updated_at=None), FENCED_AT)


def going(
    one: Server | None = None,
    *,
    found: object = Way.REBOOT,
    looked_at: float = 100.0,
    answer: RequestOutcome | None = None,
    answered_at: float = float("-inf"),
    seen_at: float = 100.0,
    asked: int = 0,
    intent_age_s: float | None = None,
) -> StartRun:
    """A server of which everything was read at 100 s."""
    return StartRun(
        server=one or server(),
        seen_at=seen_at,
        began=90.0,
        found=found,  # type: ignore[arg-type]
        looked_at=looked_at,
        answer=answer,
        answered_at=answered_at,
        asked=asked,
        intent_age_s=intent_age_s,
    )


NEXT = [
    pytest.param(going(), AskTo(way=Way.REBOOT), id="ask"),
    pytest.param(going(seen_at=float("-inf")), WaitForIt(), id="no-list-yet"),
    pytest.param(going(found=None), LookAtIt(), id="not-looked-at"),
    pytest.param(going(looked_at=90.0), LookAtIt(), id="looked-at-too-long-ago"),
    pytest.param(going(found=Guest.RUNNING), End.VERIFIED, id="it-runs"),
    pytest.param(going(found=Guest.NOT_RUNNING), End.VERIFIED, id="its-user-stopped-it"),
    pytest.param(going(found="time-out"), LookAtIt(), id="silent-for-a-moment"),
    pytest.param(going(server(task_state="rebooting_hard")), WaitForIt(), id="Nova-is-at-it"),
    pytest.param(going(intent_age_s=60.0), End.UNKNOWN, id="an-earlier-run-may-have-asked"),
    pytest.param(going(intent_age_s=700.0), AskTo(way=Way.REBOOT), id="and-nothing-came-of-it"),
    pytest.param(going(answer=NOT_SENT, answered_at=99.0), AskTo(way=Way.REBOOT), id="unsent"),
    pytest.param(
        going(answer=ACCEPTED, answered_at=99.0, asked=1), End.VERIFIED, id="accepted-and-running"
    ),
    pytest.param(
        going(answer=ACCEPTED, answered_at=101.0, asked=1), WaitForIt(), id="the-list-is-older"
    ),
    pytest.param(
        going(server(vm_state="error", status="ERROR"), answer=ACCEPTED, answered_at=99, asked=1),
        End.NOT_STARTED, id="accepted-and-failed",
    ),
    pytest.param(
        going(answer=TIMED_OUT, answered_at=99.0, asked=1), LookAtIt(), id="look-for-a-trace"
    ),
    pytest.param(
        going(found=Guest.RUNNING, answer=TIMED_OUT, answered_at=99.0, asked=1), End.VERIFIED,
        id="a-time-out-that-was-done",
    ),
    pytest.param(
        replace(going(answer=TIMED_OUT, answered_at=-99.0, asked=1), began=-99.0), End.UNKNOWN,
        id="a-time-out-without-a-trace",
    ),
    pytest.param(
        replace(going(answer=BROKEN, answered_at=-99.0, asked=1), began=-99.0),
        AskTo(way=Way.REBOOT), id="a-5xx-without-a-trace-once-more",
    ),
    pytest.param(
        replace(going(answer=BROKEN, answered_at=-99.0, asked=2), began=-99.0), End.UNKNOWN,
        id="and-no-third-time",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "wanted"), NEXT)
def test_the_next_move(one: StartRun, wanted: StartMove | End) -> None:
    """Section 4's tables, for a start."""
    move = next_start(one, now=101.0, policy=POLICY)

    assert (move.end if isinstance(move, Ended) else move) == wanted
