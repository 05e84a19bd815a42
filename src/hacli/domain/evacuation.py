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
DELETING_TASKS = frozenset({"deleting", "soft-deleting"})
ENDED = frozenset(
    {
        MigrationStatus.DONE,
        MigrationStatus.COMPLETED,
        MigrationStatus.ERROR,
        MigrationStatus.FAILED,
    }
)
"""An evacuation in any other state, also one that we do not know, may still be carried out."""
OVERTAKEN_S = 600.0
"""A record so long without a change is dead once a later evacuation has arrived."""
PRIORITY_KEY = "hacli:priority"
MAX_UNSENT = 6
"""How often a request that never left this machine is tried before the server is named."""


class Reason(Enum):
    """Why a server is left alone; the value is the stable code."""

    LOCAL_DISK = "LOCAL_DISK"
    STATE = "VM_STATE"
    MIGRATING = "VM_MIGRATING"
    DELETING = "VM_DELETING"
    AFFINITY = "VM_AFFINITY"
    NOT_CHOSEN = "NOT_CHOSEN"
    EVACUATED = "VM_EVACUATED"
    STARTED_ONCE = "VM_STARTED_ONCE"
    UNSURE = "VM_UNSURE"


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
    accepted: bool = False  # and Nova said yes to it
    verified: bool = False  # it was read back on its new host


ANY_SERVER = "*"
"""In a ``Mapping[str, Past]``: what holds of every server without an entry of its own."""


def past_of(past: Mapping[str, Past], server_id: str) -> Past:
    """What an earlier run left about this server."""
    return past.get(server_id) or past.get(ANY_SERVER, Past())


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
    loses: str | None = None  # which disk is made anew, by the operator's own flag
    seen_action: bool = False  # and it has an evacuate that no record accounts for
    read_at: float = float("-inf")  # when the newest list of records was asked for
    maybe_at: frozenset[str | None] = frozenset()  # where ended evacuations may have left a copy

    @property
    def busy(self) -> bool:
        """Nova is working on it, as far as is known."""
        if self.in_flight or self.migration is None:
            return self.in_flight or isinstance(self.answer, Accepted)
        return self.migration.status not in ENDED

    @property
    def maybe_busy(self) -> bool:
        """Nova may be working on it: a request of unknown fate counts."""
        arrived = self.migration is not None and self.migration.arrived
        return self.busy or (isinstance(self.answer, Uncertain) and not arrived)


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
    unshared: tuple[str, ...] = ()  # destinations that do not share the source's storage
    arrived: tuple[Server, ...] = ()  # off the host by a `done` record, not verified yet


def plan_evacuation(
    records: Records, wishes: Wishes, past: Mapping[str, Past], *, now: float, policy: Policy
) -> Plan:
    """Sort the servers into those to bring back and those to leave alone and name."""
    runs: list[ServerRun] = []
    skips: list[Skip] = []
    for server in sorted(records.servers, key=_order):
        before = past_of(past, server.id)
        run = _start(server, records, before, now=now, policy=policy)
        run = replace(run, target=wishes.target)
        under_way = run.migration is not None and not _failed(run.migration)
        skip = None if under_way else _reason_to_skip(server, records, wishes)
        if not under_way:
            run = replace(run, loses=what_is_lost(server, records))
        if skip is None:
            runs.append(run)
        else:
            skips.append(skip)
    runs += [_arrived(server, records, past_of(past, server.id)) for server in records.arrived]
    return Plan(runs=tuple(runs), skips=tuple(skips))


def _order(server: Server) -> tuple[int, str, str]:
    priority = server.metadata.get(PRIORITY_KEY, "0")
    number = int(priority) if priority.removeprefix("-").isdecimal() else 0
    return (-number, server.name, server.id)


def _start(
    server: Server, records: Records, before: Past, *, now: float, policy: Policy
) -> ServerRun:
    mine = [record for record in records.evacuations if record.server == server.id]
    news = [record for record in mine if belongs_to_this_outage(record, server)]
    known = before.known_ids
    run = ServerRun(
        server=server,
        was=before.was or server.vm_state,
        known_ids=frozenset(record.id for record in mine if record.status in ENDED),
        changed_at=now,
        maybe_at=_left_at(news),
    )
    if known is not None and not (before.accepted and any(r.id not in known for r in mine)):
        run = replace(
            run,
            asked=1,
            answer=Uncertain(status=None, why="an earlier run ended before the answer"),
            answered_at=now,
            may_ask_at=now + max(0.0, policy.settle_s - before.intent_age_s),
        )
    leading = _leading(news)
    if leading is None or (_failed(leading) and known is not None and leading.id in known):
        return run
    return replace(run, known_ids=run.known_ids - {leading.id}, migration=leading, asked=1)


def belongs_to_this_outage(record: Migration, server: Server) -> bool:
    """Whether a record of a server that Nova still shows on the source is news.

    ``completed`` is not: the source has been back since. ``error`` without a destination has ended
    and left nothing. A failure is news, unless the server was spawned again after it.
    """
    if record.status is MigrationStatus.COMPLETED:
        return False
    if not _failed(record):
        return True
    ended = record.updated_at or record.created_at
    since_spawn = server.launched_at is None or server.launched_at <= ended
    return since_spawn and bool(_left_at([record]))


def _failed(record: Migration) -> bool:
    return record.status in (MigrationStatus.ERROR, MigrationStatus.FAILED)


def _leading(records: Iterable[Migration]) -> Migration | None:
    """The record that decides: the newest that may still be carried out; if none, the newest."""
    found = tuple(records)
    going = tuple(r for r in found if r.status not in ENDED and not _is_overtaken(r, found))
    return max(going or found, key=lambda record: record.id, default=None)


def _is_overtaken(record: Migration, records: Iterable[Migration]) -> bool:
    """It was stuck when a later evacuation was asked for by hand, and that one has arrived."""
    changed_at = record.updated_at or record.created_at
    return any(
        later.arrived and (later.created_at - changed_at).total_seconds() >= OVERTAKEN_S
        for later in records
    )


def _left_at(records: Iterable[Migration]) -> frozenset[str | None]:
    """Where evacuations that have ended may have left a copy; None for a host without a name.

    Nova sets ``error`` before any host was chosen, and ``failed`` on the destination (facts A.5);
    an ``error`` that names a host is not trusted to have left nothing there.
    """
    return frozenset(
        record.destination
        for record in records
        if record.status in ENDED
        and (record.destination is not None or record.status is MigrationStatus.FAILED)
    )


def _arrived(server: Server, records: Records, before: Past) -> ServerRun:
    """A server that an earlier run brought to its new host, and that nobody has verified yet."""
    mine = [record for record in records.evacuations if record.server == server.id]
    newest = max((record for record in mine if record.arrived), key=lambda record: record.id)
    return ServerRun(
        server=server,
        was=before.was or "unknown",
        known_ids=frozenset(r.id for r in mine if r.status in ENDED and r.id < newest.id),
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
    if server.task_state in DELETING_TASKS:
        return skip(Reason.DELETING, "it was being deleted; Nova would bring it back")
    moving = unfinished_move(server, records.moves)
    if moving and not wishes.migration_checked & {server.id, server.name}:
        return skip(Reason.MIGRATING, moving)
    if _held_by_affinity(server, records):
        return skip(Reason.AFFINITY, "its server group (affinity) allows no other host")
    return _local_disk(server, records, wishes.local_disks)


def _state(server: Server) -> str:
    return server.vm_state if server.launched else "not built yet"


def unfinished_move(server: Server, moves: Iterable[Migration]) -> str | None:
    """Why the server may run elsewhere already, or may be on its way; None when it is not."""
    for move in moves:
        if move.server == server.id and move.destination is not None:
            other = move.source if move.destination == server.host else move.destination
            return f"its {move.type} is unfinished: it may run on {other}"
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


def _local_disk(server: Server, records: Records, local_disks: LocalDisks) -> Skip | None:
    text = what_is_lost(server, records)
    if text is None or local_disks is LocalDisks.IMAGE:
        return None
    return Skip(server=server, reason=Reason.LOCAL_DISK, text=text)


def what_is_lost(server: Server, records: Records) -> str | None:
    """Which disk of this server an evacuation would make anew, in words; None when none.

    Nova looks for the disk on the destination (facts B), so a shared disk is kept only by a
    destination that shares it too.
    """
    if server.volume_backed and not server.ephemeral_gb:
        return None
    if records.storage is Storage.SHARED and not records.unshared:
        return None
    disk = "ephemeral disk" if server.volume_backed else "root disk"
    anew = "make it anew, empty" if server.volume_backed else "rebuild it from the image"
    if records.storage is Storage.LOCAL:
        return f"its {disk} is local: Nova would {anew}"
    return f"its {disk} is not shared by {', '.join(records.unshared)}: Nova would {anew} there"


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
    NOT_STARTED = "VM_NOT_STARTED"


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
    unchanged_s = now - run.changed_at
    if not _failed(migration):
        return _stuck(migration, policy) if unchanged_s >= policy.stuck_s else Wait()
    if isinstance(run.answer, Rejected):
        return _refused(run.answer)
    if _is_settled(run, policy):
        return _ask(run) if run.asked <= policy.retries else _gave_up(run)
    return _gave_up(run) if unchanged_s >= policy.stuck_s else Wait()


def _is_settled(run: ServerRun, policy: Policy) -> bool:
    """The record that ended accounts for our request: no other can still come of it.

    The list was asked for after Nova had said yes; after an answer of unknown fate, so long after
    it as the request itself might still be taken, for the record may be somebody else's.
    """
    after = run.answered_at
    if run.may_ask_at is not None:
        after = run.may_ask_at
    elif isinstance(run.answer, Uncertain):
        after += policy.settle_s if run.answer.status is None else policy.look_s
    return run.read_at >= after or not isinstance(run.answer, Accepted | Uncertain)


def _ask(run: ServerRun) -> Ask | Ended:
    """Ask; where an evacuation has failed its copy may be running: only that host may be asked."""
    homes = _homes(run)
    if not homes:
        return Ask(target=run.target)
    there = next(iter(homes))
    if len(homes) == 1 and there is not None and run.target in (None, there):
        return Ask(target=there)
    return _gave_up(run)


def _homes(run: ServerRun) -> frozenset[str | None]:
    return run.maybe_at | _left_at([run.migration] if run.migration is not None else [])


def _gave_up(run: ServerRun) -> Ended:
    homes = _homes(run)
    if homes:
        names = ", ".join(sorted(home or "an unnamed host" for home in homes))
        return Ended(end=End.FAILED, text=f"the evacuation failed on {names}; look there")
    fault = run.server.fault or "No valid host was found"
    return Ended(end=End.NO_HOST, text=f"Nova found no host: {fault}")


def _stuck(migration: Migration, policy: Policy) -> Ended:
    minutes = int(policy.stuck_s // 60)
    text = f"migration {migration.id} has been {migration.raw_status} for {minutes} minutes"
    return Ended(end=End.STUCK, text=text)


def _refused(answer: Rejected) -> Ended:
    return Ended(end=End.REFUSED, text=f"Nova refused ({answer.status}): {answer.message}")


def _after_answer(run: ServerRun, *, now: float, policy: Policy) -> Move:
    answer = run.answer
    if answer is None:
        return _ask(run)
    if isinstance(answer, NotSent):
        if run.unsent < MAX_UNSENT:
            return _ask(run)
        return Ended(end=End.NOT_ASKED, text=f"the request could not be sent: {answer.why}")
    if isinstance(answer, Rejected):
        return _refused(answer)
    traceless = run.looked and not run.seen_action
    if run.may_ask_at is not None and run.read_at >= run.may_ask_at and traceless:
        return _ask(run)
    looked_s = run.read_at - run.answered_at
    if looked_s < policy.look_s and now - run.answered_at < policy.look_s + policy.silence_limit_s:
        return Look()
    server_error = isinstance(answer, Uncertain) and answer.status is not None
    if server_error and run.asked == 1 and traceless and looked_s >= policy.look_s:
        return _ask(run)
    return Ended(end=End.UNKNOWN, text=_unknown(answer))


def _unknown(answer: RequestOutcome) -> str:
    if isinstance(answer, Accepted):
        return "Nova accepted the request and shows no migration for it"
    why = answer.why if isinstance(answer, Uncertain) else ""
    return f"whether Nova took the request is not known ({why}), and it shows no migration"


def observe_records(run: ServerRun, records: Sequence[Migration], *, now: float) -> ServerRun:
    """Take in a list asked for at ``now``: the records of this server not known from before.

    The newest that has not ended decides, so that nothing is asked while any is open. A list that
    lacks the record we follow is older than what we know.
    """
    new = [r for r in records if r.server == run.server.id and r.id not in run.known_ids]
    old = run.migration
    if old is not None and all(record.id != old.id for record in new):
        return run
    leading = _leading(new)
    if leading is None:
        return replace(run, read_at=now)
    passed = frozenset(r.id for r in new if r.status in ENDED and r.id != leading.id)
    changed = old is None or (leading.id, leading.status, leading.updated_at) != (
        old.id,
        old.status,
        old.updated_at,
    )
    return replace(
        run,
        read_at=now,
        known_ids=run.known_ids | passed,
        maybe_at=run.maybe_at | _left_at(new),
        migration=leading if changed else old,
        changed_at=now if changed else run.changed_at,
    )


def asked(run: ServerRun) -> ServerRun:
    """The run with its request on the way; every record that is known now is not ours."""
    ids = run.known_ids | ({run.migration.id} if run.migration is not None else set())
    return replace(
        run,
        known_ids=ids,
        maybe_at=_homes(run),
        migration=None,
        in_flight=True,
        answer=None,
        may_ask_at=None,
        looked=False,
        seen_action=False,
        asked=run.asked + 1,
    )


def looked(run: ServerRun, actions: Sequence[InstanceAction], *, from_elsewhere: int) -> ServerRun:
    """Take in the action log: one ``evacuate`` more than there are records is news.

    Args:
        from_elsewhere: Records of evacuations that brought the server from other hosts, once.
    """
    evacuations = sum(action.action == "evacuate" for action in actions)
    accounted = len(run.known_ids) + from_elsewhere
    return replace(run, looked=True, seen_action=evacuations > accounted)


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
    arrived_at = run.migration.destination if run.migration is not None else None
    elsewhere = sorted(
        home or "an unnamed host" for home in run.maybe_at - {server.host, arrived_at}
    )
    if elsewhere:
        text = f"it is on {server.host}, and an evacuation to {', '.join(elsewhere)} has ended: "
        return Ended(end=End.FAILED, text=text + "look there for a second copy")
    unsure = "" if wanted is not None else "; what it was before is not known"
    return Ended(end=End.VERIFIED, text=f"{server.status} on {server.host}{unsure}")


@dataclass(frozen=True, kw_only=True)
class Window:
    """How many evacuations may be open at once: as many as allowed, or what Nova can bear.

    It shrinks by one with each arrival that takes half as long again as the quickest seen, never
    below 4, and grows again with those that are about as quick: on a busy Nova more at once is
    slower, on slow hypervisors it is faster (docs/performance.md). One slow wave is as many slow
    arrivals as there were requests, so without that floor it would end at one.
    """

    size: int
    limit: int
    least: int
    quickest_s: float | None = None

    @classmethod
    def start(cls, *, limit: int, destinations: int, per_destination: int) -> "Window":
        """A window for this many destinations."""
        most = max(1, min(limit, destinations * per_destination))
        return cls(size=most, limit=most, least=min(4, most))

    def after_arrival(self, took_s: float) -> "Window":
        """The window after one server took this long from request to arrival."""
        quickest = took_s if self.quickest_s is None else min(self.quickest_s, took_s)
        slow = took_s > 1.5 * quickest + 1.0
        size = max(self.least, self.size - 1) if slow else min(self.limit, self.size + 1)
        return replace(self, size=size, quickest_s=quickest)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many requests are on their way to Nova's API at once: more while it answers as quickly.

    It begins with four, grows by one with each quick answer and shrinks by one with each that takes
    more than twice as long as the quickest. An API on few cores answers sixteen at once no sooner
    than sixteen in turn, and the rebuilding, which needs the same cores, comes late
    (docs/performance.md).
    """

    most: int
    size: int = 4
    quickest_s: float | None = None

    def after_answer(self, took_s: float) -> "Pace":
        """The pace after an answer that took so long."""
        quickest = took_s if self.quickest_s is None else min(self.quickest_s, took_s)
        slow = took_s > 2.0 * quickest + 0.05
        size = max(1, self.size - 1) if slow else min(self.most, self.size + 1)
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
