"""What became of each run: the lines of ``hacli history``, from the runs' events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from hacli.domain.events import Errored, RunEnded, RunStarted, StoredEvent


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run. Without an end it still works, or died: the journal alone cannot tell which."""

    run: str
    op: str
    host: str
    user: str
    started: datetime
    message: str | None = None
    ended: datetime | None = None
    status: str | None = None
    exit_code: int | None = None
    code: str | None = None  # of the error that it ended with


def summarize(events: Iterable[StoredEvent]) -> tuple[RunSummary, ...]:
    """One summary for each run that has its beginning among the events, oldest first."""
    runs: dict[str, RunSummary] = {}
    for stored in events:
        if isinstance(stored.event, RunStarted):
            runs[stored.run] = _begun(stored, stored.event)
        elif stored.run in runs:
            runs[stored.run] = _continued(runs[stored.run], stored)
    return tuple(runs.values())


def _begun(stored: StoredEvent, event: RunStarted) -> RunSummary:
    return RunSummary(
        run=stored.run,
        op=stored.op,
        host=stored.host,
        user=event.user,
        started=stored.time,
        message=event.message,
    )


def _continued(run: RunSummary, stored: StoredEvent) -> RunSummary:
    match stored.event:
        case Errored(code=code):
            return replace(run, code=code)
        case RunEnded(status=status, exit_code=exit_code):
            return replace(run, ended=stored.time, status=status, exit_code=exit_code)
        case _:
            return run
