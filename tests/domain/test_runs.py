"""What `history` says of each run."""

from datetime import UTC, datetime, timedelta

from hacli.domain.events import Errored, Event, Moment, RunEnded, RunStarted, StoredEvent, Warned
from hacli.domain.runs import RunSummary, summarize

T0 = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
STARTED = RunStarted(user="alice", controller="c0", version="0.1.0", arguments=("fence", "c3"))
ENDED = RunEnded(status="failed", exit_code=5, took_s=2.0)
ERROR = Errored(code="NOT_FENCED", what="", why="", state="", next=())
BEGUN = RunSummary(run="r-1", op="fence", host="c3", user="alice", started=T0)


def stored(*events: Event, run: str = "r-1") -> tuple[StoredEvent, ...]:
    """Events of one run, a second apart."""
    return tuple(
        StoredEvent(
            run=run,
            op="fence",
            host="c3",
            seq=seq,
            at=Moment(time=T0 + timedelta(seconds=seq - 1)),
            event=event,
        )
        for seq, event in enumerate(events, start=1)
    )


def test_a_run_that_ended_says_how() -> None:
    """Status, exit code and the code of its error."""
    assert summarize(stored(STARTED, ERROR, ENDED)) == (
        RunSummary(
            run="r-1",
            op="fence",
            host="c3",
            user="alice",
            started=T0,
            ended=T0 + timedelta(seconds=2),
            status="failed",
            exit_code=5,
            code="NOT_FENCED",
        ),
    )


def test_a_run_without_an_end_is_shown_without_one() -> None:
    """It was killed or still works; nothing is made up."""
    assert summarize(stored(STARTED, Warned(code="X", text="y"))) == (BEGUN,)


def test_runs_are_kept_apart_and_in_order() -> None:
    """Two runs whose events alternate in the journal are two lines."""
    first, second = stored(STARTED, ENDED), stored(STARTED, run="r-2")

    runs = summarize([first[0], *second, first[1]])

    assert [(run.run, run.exit_code) for run in runs] == [("r-1", 5), ("r-2", None)]


def test_events_without_a_beginning_make_no_run() -> None:
    """Whose run it was is not known, so no line claims to know it."""
    assert summarize(stored(ENDED)) == ()
