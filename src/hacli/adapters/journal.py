"""The journal: what every run did, in one sqlite file that survives the death of the run.

Write-ahead log with ``synchronous=FULL``: an event is on the disk when ``record`` returns, and a
process that is killed between two events leaves whole events only. Losing the file loses
history, never safety (law L8).
"""

import logging
import os
import shlex
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp
from typing import NoReturn

from hacli.domain.event_codec import decode, encode
from hacli.domain.events import Errored, Event, Moment, RunEnded, RunStarted, StoredEvent
from hacli.domain.runs import RunSummary, summarize
from hacli.errors import Failed, Misconfigured, NotPermitted
from hacli.ports import Clock

Listener = Callable[[StoredEvent], None]

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised when an older hacli could no longer read the file."""
BUSY_TIMEOUT_S = 5.0
"""How long another process may hold the file; one event takes milliseconds."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    place INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time TEXT NOT NULL,
    boot TEXT,
    uptime_s REAL,
    op TEXT NOT NULL,
    host TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, seq)
);
CREATE INDEX IF NOT EXISTS events_by_host ON events (host);
CREATE INDEX IF NOT EXISTS events_by_name ON events (name);
"""
NEXT_SEQ = "SELECT coalesce(max(seq), 0) + 1 FROM events WHERE run = ?"
INSERT = """
INSERT INTO events (run, seq, time, boot, uptime_s, op, host, name, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT = "SELECT run, seq, time, boot, uptime_s, op, host, name, body FROM events"
Row = tuple[str, int, str, str | None, float | None, str, str, str, str]

NOT_ALLOWED = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class JournalFile:
    """The file itself: any number of runs, any number of processes. Opened on first use."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection | None = None

    def append(self, event: Event, *, run: str, op: str, host: str, at: Moment) -> StoredEvent:
        """Store the event under the next number of its run, and return when it is on the disk.

        Raises:
            Failed: The file is damaged, the disk is full, or another process keeps the file.
            NotPermitted: This user may not write there.
            Misconfigured: A newer hacli has written the file in a way of its own.
        """
        with self._transaction() as connection:
            (seq,) = connection.execute(NEXT_SEQ, (run,)).fetchone()
            when = (at.time.isoformat(), at.boot, at.uptime_s)
            row = (run, seq, *when, op, host, event.name, encode(event))
            connection.execute(INSERT, row)
        return StoredEvent(run=run, op=op, host=host, seq=seq, at=at, event=event)

    def read_events(
        self, *, host: str | None = None, run: str | None = None
    ) -> tuple[StoredEvent, ...]:
        """Events, oldest first, without those that only a newer hacli knows. Raises as append."""
        return self._read(
            f"{SELECT} WHERE (?1 IS NULL OR host = ?1) AND (?2 IS NULL OR run = ?2) ORDER BY place",
            (host, run),
        )

    def read_runs(self) -> tuple[RunSummary, ...]:
        """What became of each run, oldest first. Raises as append."""
        return summarize(
            self._read(
                f"{SELECT} WHERE name IN (?, ?, ?) ORDER BY place",
                (RunStarted.name, Errored.name, RunEnded.name),
            )
        )

    def close(self) -> None:
        """Give the file back; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, query: str, arguments: tuple[str | None, ...]) -> tuple[StoredEvent, ...]:
        with self._errors_translated():
            rows: list[Row] = self._open().execute(query, arguments).fetchall()
        return tuple(self._stored(rows))

    def _stored(self, rows: Iterable[Row]) -> Iterator[StoredEvent]:
        for run, seq, time, boot, uptime_s, op, host, name, body in rows:
            try:
                event = decode(name, body)
                at = Moment(time=datetime.fromisoformat(time), boot=boot, uptime_s=uptime_s or 0.0)
            except ValueError as error:
                self._raise_damaged(f"event {seq} of run {run}: {error}", error)
            if event is not None:
                yield StoredEvent(run=run, op=op, host=host, seq=seq, at=at, event=event)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors_translated():
            connection = self._open()
            # IMMEDIATE: nobody can take the same number between our question and our answer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._make_file()
            connection = sqlite3.connect(
                self._path, timeout=self._busy_timeout_s, isolation_level=None
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _make_file(self) -> None:
        """Make it for its owner's eyes only; one that is there is not opened.

        Closing any descriptor of it would drop every lock that another connection of this process
        has on it (sqlite.org/howtocorrupt.html, 2.2): other processes would then write into it.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._path.exists():
                self._make_new()
        except PermissionError as error:
            raise self._not_permitted(str(self._path.parent)) from error
        except OSError as error:
            raise Misconfigured(
                f"The {self._label} cannot be opened.", why=str(error), code="JOURNAL"
            ) from error
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise self._not_permitted(str(self._path))

    def _not_permitted(self, place: str) -> NotPermitted:
        return NotPermitted(source=self._label, why=f"permission denied: {place}")

    def _make_new(self) -> None:
        """Show it only when it is whole: sqlite lets nobody wait for a change into WAL mode."""
        handle, fresh = mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        os.close(handle)  # sqlite gives its side files the mode of the main file, 0600
        try:
            with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
                self._prepare(connection)
            with suppress(FileExistsError):  # another process was faster
                os.link(fresh, self._path)
        finally:
            Path(fresh).unlink()
        _sync_folder(self._path.parent)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise Misconfigured(
                f"The {self._label} was written by a newer hacli.",
                why=f"its format is {version}; this hacli knows {FORMAT}",
                next_steps=("use the newer hacli here too",),
                code="JOURNAL",
            )
        if version < FORMAT:
            connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;"
            )

    @property
    def _label(self) -> str:
        return f"journal {self._path}"

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._raise_translated(error)

    def _raise_translated(self, error: sqlite3.Error) -> NoReturn:
        # the lower byte is the primary code: sqlite.org/rescode.html
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in NOT_ALLOWED:
            raise NotPermitted(source=self._label, why=str(error)) from error
        if code in DAMAGED:
            self._raise_damaged(str(error), error)
        raise Failed(
            f"The {self._label} cannot be used.",
            why=str(error),
            state="Requests that were sent stand; hacli sends none that it cannot record.",
            code="JOURNAL",
        ) from error

    def _raise_damaged(self, why: str, cause: Exception) -> NoReturn:
        self.close()
        beside = (self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm"))
        files = " ".join(shlex.quote(str(file)) for file in beside if file.exists())
        away = shlex.quote(f"{self._path}.damaged")
        raise Failed(
            f"The {self._label} is damaged.",
            why=why,
            state="Only history is lost with it: what must not be done twice is read from Nova and "
            "the cluster.",
            next_steps=(
                f"mkdir -p {away} && mv --backup=numbered {files} {away}",
                "then run the same command again: it begins a new journal",
            ),
            code="JOURNAL",
        ) from cause


def _sync_folder(folder: Path) -> None:
    """A new file is not lost with the power once its folder is on the disk (fsync(2))."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class SqliteJournal:
    """The journal of one run, and its listeners. Fits ``ports.Journal``.

    Args:
        run: Id of the run whose events are recorded.
        op: Its command.
        host: The host it works on.
        listeners: Called with each event after it is on the disk. One that fails is dropped.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: str,
        op: str,
        host: str,
        clock: Clock,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self._file = JournalFile(path)
        self._run = run
        self._op = op
        self._host = host
        self._clock = clock
        self._listeners = list(listeners)

    @property
    def run(self) -> str:
        """Id of this run."""
        return self._run

    def record(self, event: Event) -> None:
        """Store the event, then tell the listeners. Raises as ``JournalFile.append``."""
        stored = self._file.append(
            event, run=self._run, op=self._op, host=self._host, at=self._clock.moment()
        )
        for listener in tuple(self._listeners):
            self._tell(listener, stored)

    def read_events(
        self, *, host: str | None = None, run: str | None = None
    ) -> tuple[StoredEvent, ...]:
        """As ``JournalFile.read_events``."""
        return self._file.read_events(host=host, run=run)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _tell(self, listener: Listener, stored: StoredEvent) -> None:
        try:
            listener(stored)
        except Exception:  # a screen or a pipe that fails must not stop a recovery
            logger.warning("a listener of the journal failed and is dropped", exc_info=True)
            self._listeners.remove(listener)
