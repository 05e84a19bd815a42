"""The journal: on the disk before anything else happens, and readable whatever happens."""

import logging
import signal
import sqlite3
import stat
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hacli.adapters.journal import JournalFile, SqliteJournal
from hacli.domain.events import (
    Event,
    Intent,
    RunEnded,
    RunStarted,
    StepStarted,
    StoredEvent,
    Warned,
)
from hacli.domain.runs import RunSummary
from hacli.errors import Failed, Misconfigured
from hacli.ports import Journal
from tests.eventually import eventually
from tests.fakes.still_clock import StillClock

T0 = datetime(2026, 11, 22, 3, 8, tzinfo=UTC)
STARTED = RunStarted(user="alice", controller="c0", version="0.1.0", arguments=("recover", "c3"))
ENDED = RunEnded(status="ok", exit_code=0, took_s=40.1)
FENCE, DISABLE = StepStarted(step="fence"), StepStarted(step="disable")

WRITER = """
import sys
from pathlib import Path
from hacli.adapters.clock import StopFlag, SystemClock
from hacli.adapters.journal import SqliteJournal
from hacli.domain.events import Warned
path, run, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
journal = SqliteJournal(path, run=run, op="recover", host="c3", clock=SystemClock(StopFlag()))
for number in range(count):
    journal.record(Warned(code="X", text=str(number)))
"""

OPENER = """
import sys
from pathlib import Path
from hacli.adapters.journal import JournalFile
print("ready", flush=True)
for line in sys.stdin:
    JournalFile(Path(line.strip())).read_events()
    print("read", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where no journal is yet."""
    return tmp_path / "state/journal.sqlite"


@pytest.fixture
def clock() -> StillClock:
    """The time of the outage."""
    return StillClock(T0)


@pytest.fixture
def journal(path: Path, clock: StillClock) -> Iterator[SqliteJournal]:
    """The journal of run r-1."""
    with closing(SqliteJournal(path, run="r-1", op="recover", host="c3", clock=clock)) as journal:
        yield journal


def stored(seq: int, event: Event, *, time: datetime = T0, run: str = "r-1") -> StoredEvent:
    """An event as it comes back."""
    at = StillClock(time).moment()
    return StoredEvent(run=run, op="recover", host="c3", seq=seq, at=at, event=event)


def read_events(path: Path) -> tuple[StoredEvent, ...]:
    """What the next process finds."""
    with closing(JournalFile(path)) as file:
        return file.read_events()


def start_writer(path: Path, run: str, count: int) -> "subprocess.Popen[bytes]":
    """Another process that records ``count`` events."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), run, str(count)])


def start_opener() -> "subprocess.Popen[str]":
    """Another process that opens each journal it is told of."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", OPENER], stdin=pipe, stdout=pipe, text=True)


def test_another_process_reads_what_was_recorded(
    journal: Journal, path: Path, clock: StillClock
) -> None:
    """Numbered from one, with the time of the recording, while the run still works."""
    journal.record(STARTED)
    clock.time += timedelta(seconds=2)
    journal.record(FENCE)

    assert read_events(path) == (stored(1, STARTED), stored(2, FENCE, time=clock.time))


def test_runs_are_numbered_apart_and_read_apart(path: Path, clock: StillClock) -> None:
    """Each run has its own gapless numbers; a host's events come in the order of their storing."""
    first, second, other = (
        SqliteJournal(path, run=run, op="recover", host=host, clock=clock)
        for run, host in (("r-1", "c3"), ("r-2", "c3"), ("r-3", "c4"))
    )
    for journal in (first, second, other, first):
        journal.record(FENCE)

    assert [(e.run, e.seq) for e in first.read_events(host="c3")] == [
        ("r-1", 1),
        ("r-2", 1),
        ("r-1", 2),
    ]
    assert [e.seq for e in first.read_events(run="r-1")] == [1, 2]
    assert first.read_events(host="c3", run="r-3") == ()
    assert first.read_events(host="c") == ()


def test_listeners_hear_an_event_after_it_is_on_the_disk(path: Path, clock: StillClock) -> None:
    """What is shown has happened; a screen is never ahead of the journal."""
    heard: list[tuple[StoredEvent, ...]] = []
    journal = SqliteJournal(
        path,
        run="r-1",
        op="recover",
        host="c3",
        clock=clock,
        listeners=[lambda event: heard.append((event, *read_events(path)))],
    )

    journal.record(FENCE)

    assert heard == [(stored(1, FENCE), stored(1, FENCE))]


def test_a_listener_that_fails_is_dropped_and_stops_nothing(
    path: Path, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    """`recover | head` must not leave servers half evacuated; the others still hear."""
    calls: list[int] = []
    heard: list[StoredEvent] = []

    def closed_pipe(event: StoredEvent) -> None:
        calls.append(event.seq)
        raise BrokenPipeError

    journal = SqliteJournal(
        path,
        run="r-1",
        op="recover",
        host="c3",
        clock=clock,
        listeners=[closed_pipe, heard.append],
    )

    with caplog.at_level(logging.WARNING):
        journal.record(FENCE)
        journal.record(DISABLE)

    assert calls == [1]
    assert heard == [stored(1, FENCE), stored(2, DISABLE)]
    assert [record.message for record in caplog.records] == [
        "a listener of the journal failed and is dropped"
    ]


def test_a_killed_run_leaves_whole_events_without_a_gap(path: Path, clock: StillClock) -> None:
    """SIGKILL between or amid two writes; the next run goes on with the next number."""
    with start_writer(path, "r-1", 100_000) as writer:
        eventually(lambda: path.exists() and len(read_events(path)) > 20, within_s=20)
        writer.send_signal(signal.SIGKILL)

    events = read_events(path)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.event for event in events] == [
        Warned(code="X", text=str(number)) for number in range(len(events))
    ]

    SqliteJournal(path, run="r-1", op="recover", host="c3", clock=clock).record(FENCE)
    assert read_events(path)[-1] == stored(len(events) + 1, FENCE)


def test_several_processes_write_at_once(path: Path) -> None:
    """Runs on several hosts, and two processes of one run: every event once, no number twice."""
    writers = [start_writer(path, run, 40) for run in ("r-1", "r-2", "r-2")]
    ends = [writer.wait(30) for writer in writers]

    seqs = defaultdict(list)
    for event in read_events(path):
        seqs[event.run].append(event.seq)
    assert ends == [0, 0, 0]
    assert seqs == {"r-1": list(range(1, 41)), "r-2": list(range(1, 81))}


def test_several_processes_make_a_new_journal_at_once(tmp_path: Path) -> None:
    """The first runs on a machine may begin in the same moment; none of them fails of it."""
    with ExitStack() as stack:
        openers = [stack.enter_context(start_opener()) for _ in range(4)]
        said = [opener.stdout.readline() for opener in openers if opener.stdout]
        for number in range(25):
            for opener in openers:
                print(tmp_path / f"{number}.sqlite", file=opener.stdin, flush=True)
            said += [opener.stdout.readline() for opener in openers if opener.stdout]
        for opener in openers:
            opener.terminate()

    assert said == ["ready\n"] * 4 + ["read\n"] * 100


def test_a_second_journal_in_one_process_does_not_unlock_the_first(
    path: Path, clock: StillClock
) -> None:
    """A process has one history and one journal open.

    Who closes any descriptor of a file loses all its locks on it (fcntl(2)): another process
    then believes to be alone, and clears the log away under both.
    """
    other = [sys.executable, "-c", WRITER, str(path), "r-other", "1"]
    with closing(JournalFile(path)) as history:
        history.read_events()
        with closing(SqliteJournal(path, run="r-1", op="recover", host="c3", clock=clock)) as ours:
            ours.record(STARTED)
            subprocess.run(other, check=True)

            assert Path(f"{path}-wal").exists()
            assert len(history.read_events()) == 2


def test_nobody_else_can_read_it(journal: Journal, path: Path) -> None:
    """Names of servers and projects are not for everybody."""
    journal.record(STARTED)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}


def test_nothing_is_made_before_it_is_needed(tmp_path: Path, clock: StillClock) -> None:
    """A constructor does no I/O: `--help` leaves no directory behind."""
    SqliteJournal(tmp_path / "state/j", run="r", op="o", host="h", clock=clock)

    assert list(tmp_path.iterdir()) == []


def test_an_event_of_a_newer_hacli_is_passed_over_and_its_number_stays(
    journal: Journal, path: Path
) -> None:
    """The gap shows that something was there."""
    for event in (STARTED, FENCE, ENDED):
        journal.record(event)
    change(path, "UPDATE events SET name = 'teleported' WHERE seq = 2")

    assert journal.read_events() == (stored(1, STARTED), stored(3, ENDED))


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE events SET body = '{"server": ' WHERE seq = 1""",
        "UPDATE events SET body = '{}' WHERE seq = 1",
        "UPDATE events SET time = 'noon' WHERE seq = 1",
    ],
)
def test_an_intent_that_cannot_be_read_is_not_passed_over(
    journal: Journal, path: Path, damage: str
) -> None:
    """A known event is whole, or the journal is damaged: nothing is half understood."""
    journal.record(
        Intent(server="1", server_name="web", target=None, attempt=1, known_migrations=())
    )
    change(path, damage)

    with pytest.raises(Failed, match="is damaged") as raised:
        journal.read_events()

    assert "event 1 of run r-1" in raised.value.why


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None], ids=["other", "torn"])
def test_a_damaged_file_is_named_with_its_cure(
    journal: Journal, path: Path, content: bytes | None
) -> None:
    """The cure is a line to copy that works, and the text says what is lost with the file."""
    for _ in range(200):
        journal.record(Warned(code="X", text="y" * 100))
    assert isinstance(journal, SqliteJournal)
    journal.close()
    path.write_bytes(content or path.read_bytes()[:5000])

    with pytest.raises(Failed, match=f"The journal {path} is damaged") as raised:
        read_events(path)

    error = raised.value
    assert error.why
    assert error.state.startswith("Only history is lost with it")
    subprocess.run(["sh", "-c", error.next_steps[0]], check=True)
    assert read_events(path) == ()


def test_a_journal_of_a_newer_format_is_refused(journal: Journal, path: Path) -> None:
    """Better no history than a misread one."""
    journal.record(FENCE)
    change(path, "PRAGMA user_version = 2")

    with pytest.raises(Misconfigured, match="was written by a newer hacli"):
        read_events(path)


def test_a_journal_that_another_process_keeps_is_not_waited_for_for_ever(
    journal: Journal, path: Path
) -> None:
    """Every wait has an end, and the text says what stands and what is not sent."""
    journal.record(STARTED)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(JournalFile(path, busy_timeout_s=0.1)) as file,
    ):
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(Failed, match="cannot be used") as raised:
            file.append(FENCE, run="r-1", op="recover", host="c3", at=StillClock(T0).moment())

    assert raised.value.why == "database is locked"
    assert raised.value.state == (
        "Requests that were sent stand; hacli sends none that it cannot record."
    )
    assert journal.read_events() == (stored(1, STARTED),)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The text names the file and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(Misconfigured, match="cannot be opened"):
        read_events(tmp_path / "file/journal.sqlite")


def test_history_tells_what_became_of_each_run(
    journal: Journal, path: Path, clock: StillClock
) -> None:
    """A run without an end stands there without one."""
    journal.record(STARTED)
    for _ in range(5):
        journal.record(FENCE)
    clock.time += timedelta(seconds=40)
    journal.record(ENDED)
    SqliteJournal(path, run="r-2", op="fence", host="c4", clock=clock).record(STARTED)

    assert JournalFile(path).read_runs() == (
        RunSummary(
            run="r-1",
            op="recover",
            host="c3",
            user="alice",
            started=T0,
            ended=clock.time,
            status="ok",
            exit_code=0,
        ),
        RunSummary(run="r-2", op="fence", host="c4", user="alice", started=clock.time),
    )


def change(path: Path, statement: str) -> None:
    """Do to the file what time, a bug or a newer hacli may do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
