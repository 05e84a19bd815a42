"""Servers of a dead host, the records that Nova keeps of their evacuations, and runs over them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from hacli.domain.evacuation import ServerRun
from hacli.domain.policy import Policy
from hacli.domain.servers import (
    Accepted,
    InstanceAction,
    Migration,
    MigrationStatus,
    NotSent,
    Rejected,
    RequestOutcome,
    Server,
    Uncertain,
)

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SOURCE = "compute-3"
POLICY = Policy()

ACCEPTED = Accepted(request_id="req-1")
NOT_SENT = NotSent(why="connection refused")
REJECTED = Rejected(status=409, message="Cannot 'evacuate' instance")
BROKEN = Uncertain(status=500, why="500 Internal Server Error")
TIMED_OUT = Uncertain(status=None, why="no answer within 75 s")
EARLIER = Uncertain(status=None, why="an earlier run ended before the answer")


class ServerChanges(TypedDict, total=False):
    """What a server may be otherwise."""

    id: str
    name: str
    host: str
    status: str
    vm_state: str
    task_state: str | None
    image: str | None
    volumes: tuple[str, ...]
    ephemeral_gb: int
    swap_mb: int
    vtpm: bool | None
    pinned_zone: str | None
    launched_at: datetime | None
    fault: str | None
    metadata: dict[str, str]


class RunChanges(TypedDict, total=False):
    """What a run over one server may know otherwise."""

    server: Server
    was: str
    known_ids: frozenset[int]
    target: str | None
    asked: int
    unsent: int
    answer: RequestOutcome | None
    answered_at: float
    in_flight: bool
    migration: Migration | None
    changed_at: float
    may_ask_at: float | None
    looked: bool
    seen_action: bool
    read_at: float
    maybe_at: frozenset[str | None]


def server(**changes: Unpack[ServerChanges]) -> Server:
    """A running server that boots from a volume."""
    running = Server(
        id="vm-1",
        name="web-1",
        host=SOURCE,
        status="ACTIVE",
        vm_state="active",
        task_state=None,
        power_state=1,
        image=None,
        volumes=("vol-1",),
        ephemeral_gb=0,
        swap_mb=0,
        vcpus=1,
        ram_mb=512,
        locked=False,
        launched_at=T0 - timedelta(days=1),
        project="p",
    )
    return replace(running, **changes)


def record(
    number: int,
    status: str,
    to: str | None = None,
    *,
    of: str = "vm-1",
    kind: str = "evacuation",
    seconds: float = 0.0,
) -> Migration:
    """A migration record of Nova's, changed so many seconds after the host died."""
    known = {state.value: state for state in MigrationStatus}
    return Migration(
        id=number,
        uuid=f"uuid-{number}",
        server=of,
        type=kind,
        status=known.get(status, MigrationStatus.OTHER),
        raw_status=status,
        source=SOURCE,
        destination=to,
        created_at=T0,
        updated_at=T0 + timedelta(seconds=seconds),
    )


def run(**changes: Unpack[RunChanges]) -> ServerRun:
    """A server that was running, and that nobody has been asked for."""
    return replace(ServerRun(server=server(), was="active", known_ids=frozenset()), **changes)


def sent(answer: RequestOutcome, /, **changes: Unpack[RunChanges]) -> ServerRun:
    """Asked for once; the answer came at 100."""
    asked = run(asked=1, answer=answer, answered_at=100.0, changed_at=100.0)
    return replace(asked, **changes)


def followed(migration: Migration, /, **changes: Unpack[RunChanges]) -> ServerRun:
    """Accepted at 100, and its record was in the list that was asked for at 110."""
    return replace(sent(ACCEPTED, migration=migration, changed_at=110.0, read_at=110.0), **changes)


def evacuate_action(number: int = 1, action: str = "evacuate") -> InstanceAction:
    """An entry of Nova's action log."""
    return InstanceAction(
        action=action, request_id=f"req-{number}", start_time=T0, message=None, user="op"
    )
