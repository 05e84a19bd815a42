"""What happened in a run: the one stream that the journal stores, ``-o jsonl`` prints and
``history`` reads back. Intents and evidence are events too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A command began to work on a host."""

    name: ClassVar[str] = "run_started"
    user: str
    controller: str
    version: str
    arguments: tuple[str, ...]
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class GateChecked:
    """One safety check was asked; ``code`` is set when it objects."""

    name: ClassVar[str] = "gate"
    gate: str
    passed: bool
    text: str
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step of the recovery began."""

    name: ClassVar[str] = "step_started"
    step: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """A step ended. ``status``: ok, skipped, late, failed, partial."""

    name: ClassVar[str] = "step_done"
    step: str
    status: str
    took_s: float
    text: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TookOver:
    """The claim of a run that is gone is about to be taken over, and why that may be.

    ``uncertain``: that run may have asked Nova for servers, and our journal does not know it.
    """

    name: ClassVar[str] = "take_over"
    holder_run: str
    holder: str
    why: str
    uncertain: bool


@dataclass(frozen=True, kw_only=True)
class EvidenceTaken:
    """Death was proven (or proven again); what it rests on, in words."""

    name: ClassVar[str] = "evidence"
    witness: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PlanMade:
    """What each server was before anything was asked: its former power state, above all.

    ``known_migrations``: ids of all evacuation records of this source before our first request;
    a record not among them is new.
    """

    name: ClassVar[str] = "plan"
    servers: tuple[Mapping[str, JsonValue], ...]  # id, name, was (active|stopped|error), disk
    known_migrations: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Intent:
    """On disk before the request for this server is sent.

    ``order``: ``evacuate``, or where it is started in place ``reboot`` or ``start``.
    """

    name: ClassVar[str] = "intent"
    server: str
    server_name: str
    target: str | None
    attempt: int
    known_migrations: tuple[int, ...]  # of this server, before the request
    order: str = "evacuate"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came back for an intent: accepted, rejected, not-sent or uncertain."""

    name: ClassVar[str] = "asked"
    server: str
    outcome: str
    text: str = ""
    request_id: str | None = None
    order: str = "evacuate"


@dataclass(frozen=True, kw_only=True)
class ServerChanged:
    """One server moved on: rebuilding, starting, verified, started, failed, skipped."""

    name: ClassVar[str] = "server"
    id: str
    server_name: str
    status: str
    to: str | None = None
    text: str = ""
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """Counts of the running step."""

    name: ClassVar[str] = "progress"
    step: str
    done: int
    running: int
    waiting: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something the operator should know that does not stop the run."""

    name: ClassVar[str] = "warning"
    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Errored:
    """The run ends with this error."""

    name: ClassVar[str] = "error"
    code: str
    what: str
    why: str
    state: str
    next: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunEnded:
    """The last event of a run."""

    name: ClassVar[str] = "result"
    status: str  # ok | partial | refused | failed
    exit_code: int
    took_s: float
    data: Mapping[str, JsonValue] = field(default_factory=dict)


Event = (
    RunStarted
    | GateChecked
    | StepStarted
    | StepDone
    | TookOver
    | EvidenceTaken
    | PlanMade
    | Intent
    | Asked
    | ServerChanged
    | Progressed
    | Warned
    | Errored
    | RunEnded
)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When something was recorded: by the calendar, and by the machine's count since its boot."""

    time: datetime
    boot: str | None = None  # the machine's boot id; None: an older hacli has not recorded it
    uptime_s: float = 0.0

    def age_s(self, now: "Moment") -> float:
        """For how long it is past, at least, whatever the calendar was set to in between.

        Of another boot than ``now``: as the calendar has it, and no longer than this machine runs.
        """
        if self.boot is not None and self.boot == now.boot:
            return now.uptime_s - self.uptime_s
        return min((now.time - self.time).total_seconds(), now.uptime_s)


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """An event with its place in the journal."""

    run: str
    op: str
    host: str
    seq: int  # gapless within a run
    at: Moment
    event: Event

    @property
    def time(self) -> datetime:
        """By the calendar, for people."""
        return self.at.time
