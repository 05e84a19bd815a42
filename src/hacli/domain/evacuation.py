"""Which servers of a dead host are asked for, in which order, and what each one's next move is.

Section 4 of the design as pure functions: every cell of its two tables is decided here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hacli.domain.policy import LocalDisks, Policy, Storage
from hacli.domain.servers import (
    Accepted,
    InstanceAction,
    Migration,
    MigrationStatus,
    NotSent,
    Rejected,
    RequestOutcome,
    Server,
    ServerGroup,
    Uncertain,
)

EVACUABLE_STATES = frozenset({"active", "stopped", "error"})
MOVING_TASKS = frozenset(
    {
        "migrating",
        "resize_prep",
        "resize_migrating",
        "resize_migrated",
        "resize_finish",
        "resize_reverting",
    }
)
PRIORITY_KEY = "hacli:priority"
MAX_UNSENT = 5
"""How often a request that never left this machine is tried before the server is named."""


class Reason(Enum):
    """Why a server is left alone; the value is the stable code."""

    LOCAL_DISK = "LOCAL_DISK"
    STATE = "VM_STATE"
    MIGRATING = "VM_MIGRATING"
    DELETING = "VM_DELETING"
    AFFINITY = "VM_AFFINITY"
    NOT_CHOSEN = "NOT_CHOSEN"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A server that is not asked for, with the reason in words."""

    server: Server
    reason: Reason
    text: str


@dataclass(frozen=True, kw_only=True)
class Past:
    """What an earlier run left about one server: its former state, and an intent without an end."""

    was: str | None = None  # active | stopped
    known_ids: frozenset[int] | None = None  # set: a request may have been sent
    intent_age_s: float = 0.0
    verified: bool = False  # it was read back on its new host


@dataclass(frozen=True, kw_only=True)
class ServerRun:
    """One server on its way, as far as this run knows. Times are monotonic seconds."""

    server: Server
    was: str  # vm_state before the outage: active, stopped; error or unknown: not known
    known_ids: frozenset[int]  # evacuation records that existed before our request
    target: str | None = None
    asked: int = 0  # requests that may have reached Nova
    unsent: int = 0
    answer: RequestOutcome | None = None
    answered_at: float = 0.0
    in_flight: bool = False
    migration: Migration | None = None
    changed_at: float = 0.0  # when the migration was last seen to change
    arrived_at: float | None = None
    may_ask_at: float | None = None  # an earlier run's untraced intent: not before this time
    looked: bool = False  # Nova's action log was searched for a trace of the request
    seen_action: bool = False  # and it has an evacuate that no record accounts for

    @property
    def busy(self) -> bool:
        """Nova is working on it, as far as is known."""
        if self.migration is not None:
            return self.migration.is_open
        return self.in_flight or isinstance(self.answer, Accepted)

    @property
    def maybe_busy(self) -> bool:
        """Nova may be working on it: a request of unknown fate counts."""
        return self.busy or (self.migration is None and isinstance(self.answer, Uncertain))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All servers of the host: those to bring back, in order, and those left alone, by reason."""

    runs: tuple[ServerRun, ...]
    skips: tuple[Skip, ...]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator asked for on the command line."""

    local_disks: LocalDisks = LocalDisks.SKIP
    only: frozenset[str] = frozenset()  # server ids or names; empty: all
    migration_checked: frozenset[str] = frozenset()
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class Records:
    """What Nova's records say about the servers of one host, before anything is asked."""

    servers: tuple[Server, ...]
    evacuations: tuple[Migration, ...]  # of this source, newest first
    moves: tuple[Migration, ...]  # unfinished, of any other type, from or to the host
    groups: tuple[ServerGroup, ...]
    storage: Storage
    arrived: tuple[Server, ...] = ()  # off the host by a `done` record, not verified yet


def plan_evacuation(
    records: Records, wishes: Wishes, past: Mapping[str, Past], *, now: float, policy: Policy
) -> Plan:
    """Sort the servers into those to bring back and those to leave alone and name."""
    runs: list[ServerRun] = []
    skips: list[Skip] = []
    for server in sorted(records.servers, key=_order):
        before = past.get(server.id, Past())
        run = _start(server, records, before, now=now, policy=policy)
        run = replace(run, target=wishes.target) if run.target is None else run
        under_way = run.migration is not None and (run.migration.is_open or run.migration.arrived)
        skip = None if under_way else _reason_to_skip(server, records, wishes)
        if skip is None:
            runs.append(run)
        else:
            skips.append(skip)
    runs += [_arrived(server, records, past.get(server.id, Past())) for server in records.arrived]
    return Plan(runs=tuple(runs), skips=tuple(skips))


def _order(server: Server) -> tuple[int, str, str]:
    priority = server.metadata.get(PRIORITY_KEY, "0")
    number = int(priority) if priority.lstrip("-").isdigit() else 0
    return (-number, server.name, server.id)


def _start(
    server: Server, records: Records, before: Past, *, now: float, policy: Policy
) -> ServerRun:
    mine = [record for record in records.evacuations if record.server == server.id]
    was = before.was or server.vm_state
    run = ServerRun(server=server, was=was, known_ids=frozenset(r.id for r in mine), changed_at=now)
    newest = max(mine, key=lambda record: record.id, default=None)
    known = before.known_ids
    if newest is not None and _belongs_to_this_outage(newest, server):
        if known is None or newest.id not in known:
            return replace(run, known_ids=run.known_ids - {newest.id}, migration=newest, asked=1)
    elif known is not None and (newest is None or newest.id in known):
        return replace(
            run,
            known_ids=known,
            asked=1,
            answer=Uncertain(status=None, why="an earlier run ended before the answer"),
            answered_at=now,
            may_ask_at=now + max(0.0, policy.settle_s - before.intent_age_s),
        )
    return run


def _belongs_to_this_outage(record: Migration, server: Server) -> bool:
    """Whether the newest record of a server that Nova still shows on the source is news.

    ``completed`` is not: the source has been back since. ``error`` has ended and may be asked
    again. A failure is, unless the server was spawned again after it.
    """
    if record.is_open or record.status is MigrationStatus.DONE:
        return True
    if record.status is not MigrationStatus.FAILED or record.destination is None:
        return False
    ended = record.updated_at or record.created_at
    return server.launched_at is None or server.launched_at <= ended


def _arrived(server: Server, records: Records, before: Past) -> ServerRun:
    """A server that an earlier run brought to its new host, and that nobody has verified yet."""
    mine = [r for r in records.evacuations if r.server == server.id and r.arrived]
    newest = max(mine, key=lambda record: record.id)
    return ServerRun(
        server=server,
        was=before.was or "unknown",
        known_ids=frozenset(r.id for r in mine) - {newest.id},
        asked=1,
        migration=newest,
    )


def _reason_to_skip(server: Server, records: Records, wishes: Wishes) -> Skip | None:
    def skip(reason: Reason, text: str) -> Skip:
        return Skip(server=server, reason=reason, text=text)

    if wishes.only and not wishes.only & {server.id, server.name}:
        return skip(Reason.NOT_CHOSEN, "not among the servers named with --server")
    if server.vm_state not in EVACUABLE_STATES or not server.launched:
        return skip(Reason.STATE, f"Nova does not evacuate a server that is {_state(server)}")
    if server.task_state == "deleting":
        return skip(Reason.DELETING, "it was being deleted; Nova would bring it back")
    moving = _unfinished_move(server, records.moves)
    if moving and not wishes.migration_checked & {server.id, server.name}:
        return skip(Reason.MIGRATING, moving)
    if _held_by_affinity(server, records):
        return skip(Reason.AFFINITY, "its server group (affinity) allows no other host")
    return _local_disk(server, records.storage, wishes.local_disks)


def _state(server: Server) -> str:
    return server.vm_state if server.launched else "not built yet"


def _unfinished_move(server: Server, moves: Iterable[Migration]) -> str | None:
    for move in moves:
        if move.server == server.id and move.destination is not None:
            return f"{move.type} to {move.destination} is unfinished: it may already run there"
    if server.task_state in MOVING_TASKS:
        return f"it was in the middle of a move ({server.task_state})"
    return None


def _held_by_affinity(server: Server, records: Records) -> bool:
    """A hard affinity group whose members all sit on the dead host cannot be placed elsewhere.

    Nova counts the dead host as the group's only host, for the server itself too (facts A.4).
    """
    return any(
        group.policy == "affinity" and server.id in group.members for group in records.groups
    )


def _local_disk(server: Server, storage: Storage, local_disks: LocalDisks) -> Skip | None:
    if storage is Storage.SHARED or local_disks is LocalDisks.IMAGE:
        return None
    if not server.volume_backed:
        text = "its root disk is local: Nova would rebuild it from the image"
    elif server.ephemeral_gb:
        text = "its ephemeral disk is local: Nova would make it anew, empty"
    else:
        return None
    return Skip(server=server, reason=Reason.LOCAL_DISK, text=text)


def loses_data(server: Server, storage: Storage) -> bool:
    """Whether an evacuation makes a local disk of this server anew."""
    return _local_disk(server, storage, LocalDisks.SKIP) is not None


class End(Enum):
    """How a server's recovery ended; the value is the stable code of those that did not succeed."""

    VERIFIED = "OK"
    REFUSED = "VM_REFUSED"
    NO_HOST = "NO_ROOM"
    FAILED = "VM_FAILED"
    WRONG_STATE = "VM_WRONG_STATE"
    STUCK = "VM_STUCK"
    UNKNOWN = "VM_UNKNOWN"
    NOT_ASKED = "VM_NOT_ASKED"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Send one request, once evidence and window allow."""

    target: str | None


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do for this server until something changes."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Search Nova's records for a trace of a request whose fate is uncertain."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """The destination has it, Nova says: read it back."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The last word about this server."""

    end: End
    text: str


Move = Ask | Wait | Look | Verify | Ended


def next_move(run: ServerRun, *, now: float, policy: Policy) -> Move:
    """What to do for this server now. Pure: the tables of design section 4."""
    if run.in_flight:
        return Wait()
    if run.migration is not None:
        return _after_migration(run, run.migration, now=now, policy=policy)
    return _after_answer(run, now=now, policy=policy)


def _after_migration(run: ServerRun, migration: Migration, *, now: float, policy: Policy) -> Move:
    if migration.arrived:
        return Verify()
    if migration.status is MigrationStatus.ERROR and migration.destination is None:
        if run.asked <= policy.retries:
            return Ask(target=run.target)
        fault = run.server.fault or "No valid host was found"
        return Ended(end=End.NO_HOST, text=f"Nova found no host: {fault}")
    if migration.status in (MigrationStatus.FAILED, MigrationStatus.ERROR):
        return _after_failure(run, migration, policy=policy)
    if now - run.changed_at >= policy.stuck_s:
        minutes = int(policy.stuck_s // 60)
        return Ended(
            end=End.STUCK,
            text=f"migration {migration.id} has been {migration.raw_status} for {minutes} minutes",
        )
    return Wait()


def _after_failure(run: ServerRun, migration: Migration, *, policy: Policy) -> Move:
    """The copy may be running at the destination: only that one may be asked again."""
    there = migration.destination
    if there is not None and run.asked <= policy.retries and run.target in (None, there):
        return Ask(target=there)
    return Ended(
        end=End.FAILED, text=f"the evacuation failed on {there or 'an unnamed host'}; look there"
    )


def _after_answer(run: ServerRun, *, now: float, policy: Policy) -> Move:
    answer = run.answer
    if answer is None:
        return Ask(target=run.target)
    if isinstance(answer, NotSent):
        if run.unsent < MAX_UNSENT:
            return Ask(target=run.target)
        return Ended(end=End.NOT_ASKED, text=f"the request could not be sent: {answer.why}")
    if isinstance(answer, Rejected):
        return Ended(end=End.REFUSED, text=f"Nova refused ({answer.status}): {answer.message}")
    traceless = run.looked and not run.seen_action
    if run.may_ask_at is not None and now >= run.may_ask_at and traceless:
        return Ask(target=run.target)
    if now - run.answered_at < policy.look_s:
        return Look()
    server_error = isinstance(answer, Uncertain) and answer.status is not None
    if server_error and run.asked == 1 and traceless:
        return Ask(target=run.target)
    return Ended(end=End.UNKNOWN, text=_unknown(answer))


def _unknown(answer: RequestOutcome) -> str:
    if isinstance(answer, Accepted):
        return "Nova accepted the request and shows no migration for it"
    why = answer.why if isinstance(answer, Uncertain) else ""
    return f"whether Nova took the request is not known ({why}), and it shows no migration"


def observe_records(run: ServerRun, records: Sequence[Migration], *, now: float) -> ServerRun:
    """Take in the newest evacuation record of this server that is not known from before."""
    mine = [r for r in records if r.server == run.server.id and r.id not in run.known_ids]
    newest = max(mine, key=lambda record: record.id, default=None)
    if newest is None or (run.migration is not None and newest.id < run.migration.id):
        return run
    old = run.migration
    if old is not None and (old.id, old.status, old.updated_at) == (
        newest.id,
        newest.status,
        newest.updated_at,
    ):
        return run
    return replace(run, migration=newest, changed_at=now)


def asked(run: ServerRun) -> ServerRun:
    """The run with its request on the way; every record that exists now is not ours."""
    ids = run.known_ids | ({run.migration.id} if run.migration is not None else set())
    return replace(
        run,
        known_ids=ids,
        migration=None,
        in_flight=True,
        answer=None,
        may_ask_at=None,
        looked=False,
        seen_action=False,
        asked=run.asked + 1,
    )


def looked(run: ServerRun, actions: Sequence[InstanceAction]) -> ServerRun:
    """Take in the action log: one ``evacuate`` more than there are records is news."""
    evacuations = sum(action.action == "evacuate" for action in actions)
    return replace(run, looked=True, seen_action=evacuations > len(run.known_ids))


def answered(run: ServerRun, outcome: RequestOutcome, *, now: float) -> ServerRun:
    """The run with Nova's answer; a request that was not sent does not count as asked."""
    unsent = isinstance(outcome, NotSent)
    return replace(
        run,
        in_flight=False,
        answer=outcome,
        answered_at=now,
        changed_at=now,
        asked=run.asked - 1 if unsent else run.asked,
        unsent=run.unsent + 1 if unsent else 0,
    )


def verify_server(run: ServerRun, server: Server | None, source: str) -> Move:
    """Law L5: the host changed, nothing is in progress, and the former power state is back."""
    if server is None:
        return Ended(end=End.UNKNOWN, text="Nova does not know the server any more")
    if server.host in (source, "") or server.task_state is not None:
        return Wait()
    wanted = {"active": "ACTIVE", "stopped": "SHUTOFF"}.get(run.was)
    if wanted is not None and server.status != wanted:
        text = f"it was {run.was} and is {server.status} on {server.host}"
        return Ended(end=End.WRONG_STATE, text=text)
    if server.status == "ERROR":
        return Ended(end=End.FAILED, text=f"it is in ERROR on {server.host}")
    return Ended(end=End.VERIFIED, text=f"{server.status} on {server.host}")


@dataclass(frozen=True, kw_only=True)
class Window:
    """How many evacuations may be open at once: starts at 4 and follows what Nova can bear.

    It grows by one with each arrival while arrivals stay about as quick as the quickest seen, and
    shrinks when they take half as long again: on a busy Nova more at once is slower
    (``lab-openstack.md`` 5), on slow hypervisors it is faster.
    """

    size: int
    limit: int
    quickest_s: float | None = None

    @classmethod
    def start(cls, *, limit: int, destinations: int, per_destination: int) -> "Window":
        """A window for this many destinations."""
        most = max(1, min(limit, destinations * per_destination))
        return cls(size=min(4, most), limit=most)

    def after_arrival(self, took_s: float) -> "Window":
        """The window after one server took this long from request to arrival."""
        quickest = took_s if self.quickest_s is None else min(self.quickest_s, took_s)
        slow = took_s > 1.5 * quickest + 1.0
        size = max(1, self.size - 1) if slow else min(self.limit, self.size + 1)
        return replace(self, size=size, quickest_s=quickest)


def anti_affinity_clash(
    server_id: str, open_ids: Iterable[str], groups: Iterable[ServerGroup]
) -> bool:
    """Another member of one of its hard anti-affinity groups is being rebuilt right now.

    Nova checks such groups late; two at once can both be refused (facts A.4).
    """
    others = set(open_ids)
    return any(
        group.policy == "anti-affinity" and server_id in group.members and others & {*group.members}
        for group in groups
    )
