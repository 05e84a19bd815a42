"""One server of a dead host, a Nova that answers as it likes, and a service that asks by the rules.

Chance decides what Nova does with each request, when answers and lists arrive, when somebody else
evacuates the same server, and when our process dies and is started again. What must never happen
is checked at each request.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from types import ModuleType

from hacli.domain.evacuation import Ask, End, Ended, Look, Past, Records, ServerRun, Verify, Wishes
from hacli.domain.events import Asked, Event, Intent, Moment, PlanMade, StoredEvent
from hacli.domain.past import fold_past
from hacli.domain.policy import Policy, Storage
from hacli.domain.servers import (
    Accepted,
    InstanceAction,
    Migration,
    NotSent,
    Rejected,
    RequestOutcome,
    Uncertain,
)
from tests.domain.moves import T0, record, server

HOSTS = ("compute-1", "compute-2")
POLICY = Policy(retries=2)
TAKES_S = {500: POLICY.look_s - 5, None: POLICY.settle_s - 5}
"""How late a request whose answer was lost may still be taken: the bounds of the design."""
LIMIT_S = 3 * 3600.0


class DoubleAskError(AssertionError):
    """A request was sent that could make a second copy of the guest."""


@dataclass
class Request:
    """One of our requests: what becomes of it, and when."""

    target: str | None
    answer: RequestOutcome
    answers_at: float
    taken_at: float | None  # None: Nova never takes it
    number: int | None = None  # of the record it became


@dataclass
class Outage:
    """The true world, and what our process knows of it."""

    module: ModuleType
    chance: Random
    now: float = 0.0
    number: int = 0
    records: dict[int, Migration] = field(default_factory=dict)
    actions: list[InstanceAction] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    list_under_way: tuple[float, float, tuple[Migration, ...]] | None = None
    list_read_at: float = float("-inf")
    sent: int = 0

    def run(self) -> list[End]:
        """Let chance play until the last process has an end for the server."""
        ends = [self._process(dies_at=self._dies_at()) for _ in range(3)]
        return [end for end in ends if end is not None]

    def _dies_at(self) -> float:
        return self.now + self.chance.choice([float("inf"), self.chance.uniform(0, 400)])

    def _process(self, *, dies_at: float) -> End | None:
        """One process: plans, and works until the server has an end or the process dies."""
        run = self._planned()
        self.list_under_way = None
        self.sent = 0
        until = self.now + LIMIT_S
        while self.now < dies_at:
            if self.now > until:
                raise AssertionError("the run has no end")
            run = self._hear(run)
            move = self.module.next_move(run, now=self.now, policy=POLICY)
            if isinstance(move, Ended | Verify):
                self._later(self.chance.uniform(0, 700))
                return move.end if isinstance(move, Ended) else End.VERIFIED
            if isinstance(move, Ask):
                run = self._ask(run, move.target)
            elif isinstance(move, Look) and self.chance.random() < 0.5:
                run = self.module.looked(run, tuple(self.actions), from_elsewhere=0)
            self._later(self.chance.choice([0.5, 2.0, 15.0]))
        self._later(self.chance.choice([1.0, 30.0, 700.0]))
        return None

    def _planned(self) -> ServerRun:
        past = fold_past(self.events, now=self._moment())
        records = Records(
            servers=(server(),),
            evacuations=tuple(self.records.values()),
            moves=(),
            groups=(),
            storage=Storage.LOCAL,
        )
        self.list_read_at = self.now
        plan = self.module.plan_evacuation(records, Wishes(), past, now=self.now, policy=POLICY)
        self._record(PlanMade(servers=({"id": "vm-1", "was": "active"},), known_migrations=()))
        (run,) = plan.runs
        assert isinstance(run, ServerRun)
        assert past.get("vm-1", Past()).was in (None, "active")
        return run

    def _moment(self) -> Moment:
        return Moment(time=T0 + timedelta(seconds=self.now), boot="boot-1", uptime_s=self.now)

    def _record(self, event: Event) -> None:
        number = len(self.events) + 1
        self.events.append(
            StoredEvent(
                run="r", op="recover", host="compute-3", seq=number, at=self._moment(), event=event
            )
        )

    def _ask(self, run: ServerRun, target: str | None) -> ServerRun:
        self._check(target)
        self.sent += 1
        started = self.module.asked(run)
        assert isinstance(started, ServerRun)
        self._record(
            Intent(
                server="vm-1",
                server_name="web-1",
                target=target,
                attempt=started.asked,
                known_migrations=tuple(sorted(started.known_ids)),
            )
        )
        self.requests.append(self._request(target))
        return started

    def _request(self, target: str | None) -> Request:
        answers_at = self.now + self.chance.choice([0.0, 1.0, 20.0])
        kind = self.chance.choice(["yes", "yes", "no", "not sent", 500, 500, None])
        if kind == "yes":
            at: float | None = self.chance.uniform(self.now, answers_at)
            return Request(target, Accepted(request_id=None), answers_at, at)
        if kind == "no":
            return Request(target, Rejected(status=400, message="in use"), answers_at, None)
        if kind == "not sent":
            return Request(target, NotSent(why="refused"), answers_at, None)
        assert not isinstance(kind, str)
        late = self.now if kind is None else answers_at
        at = self.chance.choice([None, self.now, late + self.chance.uniform(0, TAKES_S[kind])])
        return Request(target, Uncertain(status=kind, why="lost"), answers_at, at)

    def _check(self, target: str | None) -> None:
        """No request may leave while another may still be carried out, nor to a second host."""
        for request in self.requests:
            if request.taken_at is None:
                continue
            if request.number is None:
                raise DoubleAskError(f"at {self.now}: {request} is still to be taken")
            if not self._ended(self.records[request.number]):
                raise DoubleAskError(f"at {self.now}: {self.records[request.number]} is open")
        for migration in self.records.values():
            if self._created(migration) > self.list_read_at:
                continue  # somebody asked since we looked: nobody could know
            if not self._ended(migration):
                raise DoubleAskError(f"at {self.now}: {migration} is open")
            left = migration.raw_status in ("failed", "done") and self._seen(migration)
            if left and migration.destination != target:
                raise DoubleAskError(f"at {self.now}: a copy may be on {migration.destination}")

    @staticmethod
    def _ended(migration: Migration) -> bool:
        return migration.raw_status in ("done", "completed", "error", "failed")

    @staticmethod
    def _created(migration: Migration) -> float:
        return (migration.created_at - T0).total_seconds()

    def _seen(self, migration: Migration) -> bool:
        assert migration.updated_at is not None
        return (migration.updated_at - T0).total_seconds() <= self.list_read_at

    def _hear(self, run: ServerRun) -> ServerRun:
        """An answer that is due; a list that has arrived; and perhaps another list is asked for."""
        last = self.requests[-1] if self.requests else None
        if run.in_flight and last is not None and last.answers_at <= self.now:
            outcome = {Accepted: "accepted", Rejected: "rejected", NotSent: "not-sent"}
            kind = outcome.get(type(last.answer), "uncertain")
            self._record(Asked(server="vm-1", outcome=kind))
            run = self.module.answered(run, last.answer, now=self.now)
        if self.list_under_way is not None and self.list_under_way[1] <= self.now:
            began, _, records = self.list_under_way
            self.list_under_way = None
            self.list_read_at = began
            run = self.module.observe_records(run, records, now=began)
        if self.list_under_way is None and self.chance.random() < 0.8:
            comes = self.now + self.chance.choice([0.0, 0.0, 2.0, 25.0])
            self.list_under_way = (self.now, comes, tuple(self.records.values()))
        return run

    def _later(self, seconds: float) -> None:
        """Time passes, and with it what Nova does."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 5.0)
            for request in self.requests:
                due = request.taken_at is not None and request.taken_at <= self.now
                if due and request.number is None:
                    request.number = self._take(request.target)
            if self.chance.random() < 0.01:
                self._take(self.chance.choice([None, *HOSTS]))
            for number, migration in tuple(self.records.items()):
                self.records[number] = self._moved(migration)

    def _take(self, target: str | None) -> int:
        self.number += 1
        at = self._moment().time
        made = record(self.number, "accepted", target)
        self.records[self.number] = replace(made, created_at=at, updated_at=at)
        self.actions.append(
            InstanceAction(action="evacuate", request_id="", start_time=at, message=None, user="op")
        )
        return self.number

    def _moved(self, migration: Migration) -> Migration:
        """Perhaps one state further; some get stuck for ever."""
        if self._ended(migration) or self.chance.random() < 0.8:
            return migration
        to = migration.destination or self.chance.choice(HOSTS)
        state, there = {
            "accepted": self.chance.choice(
                [("pre-migrating", to), ("error", migration.destination)]
            ),
            "pre-migrating": self.chance.choice([("failed", to), ("failed", to), ("done", to)]),
        }[migration.raw_status]
        made = record(migration.id, state, there)
        return replace(made, created_at=migration.created_at, updated_at=self._moment().time)
