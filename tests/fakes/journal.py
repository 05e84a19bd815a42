"""A journal in memory, with what a file and a process' death would do to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hacli.domain.events import Event, StoredEvent
from tests.fakes.clock import FakeClock, Process

Listener = Callable[[StoredEvent], None]


@dataclass
class JournalStore:
    """The file: it outlives the processes that write to it."""

    events: list[StoredEvent] = field(default_factory=list)
    runs: int = 0
    _of_host: dict[str, list[StoredEvent]] = field(default_factory=dict)

    def add(self, stored: StoredEvent) -> None:
        """One more event is on disk."""
        self.events.append(stored)
        self._of_host.setdefault(stored.host, []).append(stored)

    def next_run(self) -> str:
        """An id that no run has had."""
        self.runs += 1
        return f"r-{self.runs:06x}"

    def read_events(
        self, *, host: str | None = None, run: str | None = None
    ) -> tuple[StoredEvent, ...]:
        """Stored events of one host or run, oldest first. Fits ``ports.History``."""
        events = self.events if host is None else self._of_host.get(host, [])
        return tuple(stored for stored in events if run in (None, stored.run))


class MemoryJournal:
    """The record of one run. Fits ``ports.Journal``."""

    def __init__(
        self,
        store: JournalStore,
        *,
        op: str,
        host: str,
        clock: FakeClock,
        process: Process,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        self._store = store
        self._run = store.next_run()
        self._op = op
        self._host = host
        self._clock = clock
        self._process = process
        self._listeners = listeners
        self._seq = 0

    @property
    def run(self) -> str:
        """Id of this run."""
        return self._run

    def record(self, event: Event) -> None:
        """On disk, or the process died before; then the listeners hear it."""
        self._process.moment()
        self._seq += 1
        stored = StoredEvent(
            run=self._run,
            op=self._op,
            host=self._host,
            seq=self._seq,
            at=self._clock.moment(),
            event=event,
        )
        self._store.add(stored)
        self._process.moment()
        for listener in self._listeners:
            listener(stored)

    def read_events(
        self, *, host: str | None = None, run: str | None = None
    ) -> tuple[StoredEvent, ...]:
        """Stored events of one host or run, oldest first."""
        return self._store.read_events(host=host, run=run)
