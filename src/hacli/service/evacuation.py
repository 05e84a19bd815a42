"""Bring the servers of a dead host back elsewhere: ask once each, follow every one, read it back.

Laws L2 to L5 meet here. The loop holds the evidence and lets a request go only while it is fresh;
what each server needs next is decided by ``domain.evacuation.next_move``.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from hacli.domain.evacuation import (
    Ask,
    End,
    Ended,
    Look,
    Move,
    Pace,
    Plan,
    ServerRun,
    Skip,
    Verify,
    Window,
    answered,
    anti_affinity_clash,
    asked,
    looked,
    next_move,
    observe_records,
    verify_server,
)
from hacli.domain.events import Asked, Intent, Progressed, ServerChanged
from hacli.domain.evidence import Doubt, FenceEvidence
from hacli.domain.servers import (
    Accepted,
    InstanceAction,
    Migration,
    NotSent,
    Rejected,
    RequestOutcome,
    Server,
    ServerGroup,
    Uncertain,
)
from hacli.errors import Busy, Failed, Interrupted, SourceError
from hacli.ports import Task
from hacli.service.asking import TICK_S
from hacli.service.deathwatch import DeathWatch
from hacli.service.run import Run

LOOK_EVERY_S = 4.0
"""How often the witnesses are asked again while requests may be sent."""
LOOK_IDLE_EVERY_S = 15.0
"""And when all have been sent: a host that returns now is told to the operator."""
VERIFY_EVERY_S = 1.0
VERIFY_BESIDE_S = 3.0
"""How often what has arrived is read back: when all has, and while Nova is still at work."""
LIST_FROM = 4
"""So many servers are read back by one list of what Nova has changed since they were asked for."""
CLOCKS_APART_S = 60.0
"""By so much the clocks of Nova's own machines may differ; one that is left out is read alone."""
TRACE_EVERY_S = 15.0
ASKS_AT_ONCE = 16
"""The most requests on the way to Nova's API (docs/performance.md)."""
HOLDS_UP_S = 2.0
"""For so long a request on its way counts for the pace."""
NAMES_SHOWN = 10
UNSENT_AGAIN_S = 2.0
"""A request that was not sent is tried again after 2, 4, 8 … s: an API restarts in a minute."""
PROGRESS_EVERY_S = 5.0
PROGRESS_LEAST_S = 1.0
"""Counts are told every 5 s, and when they have changed once a second."""
VERIFY_LIMIT_S = 60.0
"""How long a server that has arrived may take to settle into its former state."""


@dataclass(frozen=True, kw_only=True)
class ServerEnd:
    """How one server ended, for the screen and the exit code."""

    server: Server
    end: End
    text: str


@dataclass(frozen=True, kw_only=True)
class Evacuated:
    """The result of one evacuation: every server of the plan is in exactly one of the two."""

    ends: tuple[ServerEnd, ...]
    skips: tuple[Skip, ...]
    unsure: str | None = None  # why it is not known that no other server is left behind
    alive: str | None = None  # the host's signs of life since the last request, as told

    @property
    def verified(self) -> tuple[ServerEnd, ...]:
        """Servers that run (or stay stopped) on another host as before."""
        return tuple(end for end in self.ends if end.end is End.VERIFIED)

    @property
    def failed(self) -> tuple[ServerEnd, ...]:
        """Servers that did not come back as they were."""
        return tuple(end for end in self.ends if end.end is not End.VERIFIED)


class Evacuation:
    """The loop over all servers of one host. One instance per run; ``run`` is called once."""

    def __init__(
        self,
        run: Run,
        watch: DeathWatch,
        evidence: FenceEvidence | None,
        plan: Plan,
        *,
        groups: tuple[ServerGroup, ...],
        destinations: int,
    ) -> None:
        self._run = run
        self._world = run.world
        self._watch = watch
        self._evidence: FenceEvidence | None = evidence
        self._alive: str | None = None
        self._silent_since: float | None = None
        self._plan = plan
        self._groups = groups
        self._window = Window.start(
            limit=run.policy.window,
            destinations=max(1, destinations),
            per_destination=run.policy.per_destination,
        )
        self._runs = {server_run.server.id: server_run for server_run in plan.runs}
        self._ends: dict[str, ServerEnd] = {}
        self._pace = Pace(most=ASKS_AT_ONCE)
        self._asking: dict[str, Task[RequestOutcome]] = {}
        self._asked_at: dict[str, float] = {}
        self._reading: dict[str, Task[Server | None]] = {}
        self._listing: Task[tuple[Server, ...]] | None = None
        self._listing_of: tuple[str, ...] = ()
        self._read_back_at = float("-inf")
        self._looking: dict[str, Task[tuple[tuple[InstanceAction, ...], int]]] = {}
        self._moves: dict[str, Move] = {}
        self._read_at: dict[str, float] = {}
        self._polling: Task[tuple[Migration, ...]] | None = None
        self._poll_began = 0.0
        self._polled_at = float("-inf")
        self._looked_at = float("-inf")
        self._progress_at = float("-inf")
        self._counts: Progressed | None = None

    def run(self) -> Evacuated:
        """Work until every server has its end.

        Raises:
            Failed: A sign of life appeared, or the witnesses were silent for too long; what is in
                flight is named.
            Busy: Another run has taken the host over.
            Interrupted: Ctrl-C; what Nova has accepted goes on.
        """
        for skip in self._plan.skips:
            self._tell(skip.server, "skipped", text=skip.text, code=skip.reason.value)
        try:
            self._work()
        except Interrupted as stop:
            raise Interrupted(
                stop.what, signal_number=stop.signal_number, state=self._state_words()
            ) from stop
        return Evacuated(ends=tuple(self._ends.values()), skips=self._plan.skips, alive=self._alive)

    def _work(self) -> None:
        while len(self._ends) < len(self._runs):
            self._take_in()
            self._decide()
            self._reprove()
            self._advance()
            self._read_back()
            self._poll()
            self._report_progress()
            self._sleep()
        self._report_progress(last=True)

    @property
    def _now(self) -> float:
        return self._world.clock.awake()

    def _open_runs(self) -> Iterable[ServerRun]:
        return (run for key, run in self._runs.items() if key not in self._ends)

    def _take_in(self) -> None:
        """Collect what workers brought, and nothing else."""
        self._watch.take_in()
        for key, task in tuple(self._asking.items()):
            if task.done:
                del self._asking[key]
                self._take_answer(key, task)
        if self._polling is not None and self._polling.done:
            self._take_records(self._polling)
            self._polling = None
        for key, reading in tuple(self._reading.items()):
            if reading.done:
                del self._reading[key]
                self._take_reading(self._runs[key], reading)
        if self._listing is not None and self._listing.done:
            listing, self._listing = self._listing, None
            self._take_listing(listing)
        for key, looking in tuple(self._looking.items()):
            if looking.done:
                del self._looking[key]
                self._take_trace(key, looking)

    def _take_answer(self, key: str, task: Task[RequestOutcome]) -> None:
        outcome = task.result()
        run = self._runs[key]
        if not isinstance(outcome, NotSent):
            self._pace = self._pace.after_answer(self._now - self._asked_at[key])
        request_id = outcome.request_id if isinstance(outcome, Accepted) else None
        kind, text = describe(outcome)
        self._run.record(Asked(server=key, outcome=kind, text=text, request_id=request_id))
        self._runs[key] = answered(run, outcome, now=self._now)
        if isinstance(outcome, Accepted):
            self._tell(run.server, "rebuilding")

    def _take_records(self, task: Task[tuple[Migration, ...]]) -> None:
        try:
            records = task.result()
        except SourceError:
            return  # the next poll asks again; a server that nobody sees changing ends as stuck
        of_server: dict[str, list[Migration]] = defaultdict(list)
        for record in records:
            of_server[record.server].append(record)
        for run in tuple(self._open_runs()):
            seen = observe_records(run, of_server[run.server.id], now=self._poll_began)
            if seen.migration is not run.migration and seen.migration is not None:
                seen = self._noted(seen, seen.migration)
            self._runs[run.server.id] = seen

    def _noted(self, run: ServerRun, migration: Migration) -> ServerRun:
        if migration.is_open:
            self._tell(run.server, "rebuilding", to=migration.destination)
            return run
        if migration.arrived and run.arrived_at is None:
            began = self._asked_at.get(run.server.id)
            if began is not None:
                self._window = self._window.after_arrival(self._now - began)
            return replace(run, arrived_at=self._now)
        return run

    def _take_listing(self, task: Task[tuple[Server, ...]]) -> None:
        """What the list leaves out, or all if it fails, is read alone: one must not hide others."""
        try:
            found = {server.id: server for server in task.result()}
        except SourceError:
            found = {}
        for key in self._listing_of:
            if key in found:
                self._take_server(self._runs[key], found[key])
            else:
                self._read_alone(key)

    def _take_reading(self, run: ServerRun, task: Task[Server | None]) -> None:
        try:
            server = task.result()
        except SourceError as error:
            self._bear_silence(run, error)
            return
        self._take_server(run, server)

    def _take_server(self, run: ServerRun, server: Server | None) -> None:
        move = verify_server(run, server, self._run.nova_host)
        if isinstance(move, Ended):
            self._end(run, move, to=server.host if server else None)
        elif self._now - (run.arrived_at or self._now) >= VERIFY_LIMIT_S:
            text = f"Nova calls it done, and it still reads {_state_of(server)}"
            self._end(run, Ended(end=End.STUCK, text=text))

    def _bear_silence(self, run: ServerRun, error: SourceError) -> None:
        """Read it again at the next turn, but not for ever (law L11)."""
        waited_s = self._now - (run.arrived_at or self._now)
        if waited_s >= VERIFY_LIMIT_S + self._run.policy.silence_limit_s:
            text = f"Nova calls it done and could not be read back: {error.why}"
            self._end(run, Ended(end=End.UNKNOWN, text=text))

    def _take_trace(self, key: str, task: Task[tuple[tuple[InstanceAction, ...], int]]) -> None:
        try:
            actions, elsewhere = task.result()
        except SourceError:
            return  # looked at again in a while
        self._runs[key] = looked(self._runs[key], actions, from_elsewhere=elsewhere)

    def _decide(self) -> None:
        """The next move of every open server, once per turn."""
        now, policy = self._now, self._run.policy
        self._moves = {
            run.server.id: next_move(run, now=now, policy=policy) for run in self._open_runs()
        }

    @property
    def _waiting(self) -> list[ServerRun]:
        """Servers that a request is to be sent for."""
        return [self._runs[key] for key, move in self._moves.items() if isinstance(move, Ask)]

    def _reprove(self) -> None:
        """Law L3: ask the witnesses again, and stop when they speak of life or say nothing."""
        wanted = bool(self._waiting)
        every = LOOK_EVERY_S if wanted else LOOK_IDLE_EVERY_S
        if not self._watch.looking and self._now - self._looked_at >= every:
            self._looked_at = self._now
            self._watch.start_look()
        verdict = self._watch.judge()
        self._evidence = verdict if isinstance(verdict, FenceEvidence) else None
        if self._fresh(self._evidence) is not None or not wanted:
            self._silent_since = None
        if not self._run.claim.ours:
            self._heed_loss()
        elif isinstance(verdict, Doubt) and verdict.signs_of_life:
            self._heed_life(verdict, wanted=wanted)
        elif wanted and self._fresh(self._evidence) is None:
            self._count_silence(verdict)

    def _fresh(self, evidence: FenceEvidence | None) -> FenceEvidence | None:
        return evidence if evidence is not None and self._run.is_fresh(evidence) else None

    def _heed_loss(self) -> None:
        """Law L9: another run has the host now. Requests on the way are heard to their end."""
        if self._asking:
            return
        try:
            self._run.claim.check()
        except Busy as lost:
            lost.state = self._state_words()
            raise

    def _heed_life(self, doubt: Doubt, *, wanted: bool) -> None:
        """No request is sent from here on; those on the way are heard to their end first."""
        if wanted and not self._asking:
            raise self._stopped("SIGN_OF_LIFE", "; ".join(doubt.signs_of_life))
        if not wanted and self._alive is None:
            self._alive = tell_of_life(self._run, doubt)

    def _count_silence(self, verdict: FenceEvidence | Doubt) -> None:
        if self._silent_since is None:
            self._silent_since = self._now
        silent_s = self._now - self._silent_since
        if silent_s >= self._run.policy.silence_limit_s and not self._asking:
            told = verdict.missing if isinstance(verdict, Doubt) else ()
            raise self._stopped("EVIDENCE_LOST", "; ".join(told) or "the witnesses are silent")

    def _advance(self) -> None:
        busy = sum(run.busy for run in self._open_runs())
        for key, move in self._moves.items():
            run = self._runs[key]
            if isinstance(move, Ended):
                self._end(run, move)
            elif isinstance(move, Verify) and run.arrived_at is None:
                self._runs[key] = replace(run, arrived_at=self._now)
            elif isinstance(move, Look):
                self._look(key)
            elif (
                isinstance(move, Ask)
                and busy < self._window.size
                and self._has_way_for_one_more
                and self._may_ask(run)
            ):
                busy += 1
                self._ask(run, move.target)

    @property
    def _has_way_for_one_more(self) -> bool:
        """An answer that is long in coming holds up no other request."""
        fresh = [key for key in self._asking if self._now - self._asked_at[key] < HOLDS_UP_S]
        return len(fresh) < self._pace.size and len(self._asking) < ASKS_AT_ONCE

    def _read_back(self) -> None:
        """Law L5, of all that have arrived at once: while Nova rebuilds, each question costs it."""
        arrived = [
            run
            for run in self._open_runs()
            if isinstance(self._moves.get(run.server.id), Verify)
            and run.arrived_at is not None
            and run.server.id not in self._reading
        ]
        if not arrived or self._listing is not None:
            return
        all_have = len(arrived) + len(self._reading) + len(self._ends) == len(self._runs)
        if self._now - self._read_back_at < (VERIFY_EVERY_S if all_have else VERIFY_BESIDE_S):
            return
        self._read_back_at = self._now
        ids = tuple(run.server.id for run in arrived)
        if len(ids) < LIST_FROM:
            for key in ids:
                self._read_alone(key)
            return
        asked_at = [run.migration.created_at for run in arrived if run.migration is not None]
        since = min(asked_at) - timedelta(seconds=CLOCKS_APART_S)
        compute, self._listing_of = self._world.compute, ids
        self._listing = self._world.tasks.submit(lambda: compute.read_changed(ids, since=since))

    def _read_alone(self, key: str) -> None:
        self._reading[key] = self._world.tasks.submit(_ReadServer(self._run, key))

    def _look(self, key: str) -> None:
        """Search the action log; not after a 2xx, whose migration the next poll will show."""
        if isinstance(self._runs[key].answer, Accepted):
            return
        if key not in self._looking and self._due(key, TRACE_EVERY_S):
            self._looking[key] = self._world.tasks.submit(_ReadTrace(self._run, key))

    def _due(self, key: str, every_s: float) -> bool:
        if self._now - self._read_at.get(key, float("-inf")) < every_s:
            return False
        self._read_at[key] = self._now
        return True

    def _may_ask(self, run: ServerRun) -> bool:
        if self._fresh(self._evidence) is None:
            return False
        if run.unsent and self._now - run.answered_at < UNSENT_AGAIN_S * 2 ** (run.unsent - 1):
            return False
        maybe = [other.server.id for other in self._open_runs() if self._may_be_at_work(other)]
        return not anti_affinity_clash(run.server.id, maybe, self._groups)

    def _may_be_at_work(self, run: ServerRun) -> bool:
        """Not one that may be asked again: nothing can come of its earlier request any more."""
        may_be_asked = isinstance(self._moves.get(run.server.id), Ask) and not run.in_flight
        return run.maybe_busy and not may_be_asked

    def _ask(self, run: ServerRun, target: str | None) -> None:
        """Intent on disk, then the request; its outcome is recorded when it comes back."""
        key = run.server.id
        evidence = self._evidence
        assert evidence is not None
        started = asked(run)
        self._run.record(
            Intent(
                server=key,
                server_name=run.server.name,
                target=target,
                attempt=started.asked,
                known_migrations=tuple(sorted(started.known_ids)),
            )
        )
        self._runs[key] = started
        self._asked_at[key] = self._now
        self._asking[key] = self._world.tasks.submit(_Request(self._run, key, evidence, target))

    def _poll(self) -> None:
        following = any(
            run.answer is not None or run.migration is not None for run in self._open_runs()
        )
        due = self._now - self._polled_at >= self._run.policy.poll_s
        if following and due and self._polling is None:
            self._polled_at = self._poll_began = self._now
            source = self._run.nova_host
            compute = self._world.compute
            self._polling = self._world.tasks.submit(lambda: compute.read_evacuations(source))

    def _sleep(self) -> None:
        tasks: list[Task[object]] = [
            *self._asking.values(),
            *self._reading.values(),
            *self._looking.values(),
            *self._watch.looking,
        ]
        if self._polling is not None:
            tasks.append(self._polling)
        if self._listing is not None:
            tasks.append(self._listing)
        if any(task.done for task in tasks) or len(self._ends) == len(self._runs):
            return
        if tasks:
            self._world.tasks.wait_any(tasks, timeout_s=TICK_S)
        else:
            self._world.clock.wait(TICK_S)

    def _end(self, run: ServerRun, ended: Ended, *, to: str | None = None) -> None:
        self._ends[run.server.id] = ServerEnd(server=run.server, end=ended.end, text=ended.text)
        good = ended.end is End.VERIFIED
        self._tell(
            run.server,
            "verified" if good else "failed",
            to=to,
            text=ended.text,
            code=None if good else ended.end.value,
        )

    def _tell(
        self,
        server: Server,
        status: str,
        *,
        to: str | None = None,
        text: str = "",
        code: str | None = None,
    ) -> None:
        self._run.record(
            ServerChanged(
                id=server.id, server_name=server.name, status=status, to=to, text=text, code=code
            )
        )

    def _report_progress(self, *, last: bool = False) -> None:
        good = sum(end.end is End.VERIFIED for end in self._ends.values())
        waiting = len(self._waiting)
        counts = Progressed(
            step="evacuate",
            done=good,
            running=len(self._runs) - len(self._ends) - waiting,
            waiting=waiting,
            failed=len(self._ends) - good,
        )
        every = PROGRESS_EVERY_S if counts == self._counts else PROGRESS_LEAST_S
        if last or self._now - self._progress_at >= every:
            self._progress_at = self._now
            self._counts = counts
            self._run.record(counts)

    def _state_words(self) -> str:
        """Where every server is, for whoever has to go on from here."""
        waiting = {run.server.id: run.server.name for run in self._waiting}
        flying = [r.server.name for r in self._open_runs() if r.server.id not in waiting]
        unasked = list(waiting.values())
        return (
            f"{len(self._ends)} VMs have ended, {len(flying)} are in flight in Nova"
            f"{names_of(flying)}, {len(unasked)} were not asked for{names_of(unasked)}."
        )

    def _stopped(self, code: str, why: str) -> Failed:
        name = self._run.host.name
        alive = code == "SIGN_OF_LIFE"
        next_steps = (
            (f"switch {name} off or cut its network, then   hacli recover {name}",)
            if alive
            else (f"hacli recover {name}    goes on from here",)
        )
        return Failed(
            f"No further VM of {name} is asked for: "
            + ("it shows signs of life." if alive else "its death can no longer be proven."),
            why=why,
            state=self._state_words(),
            next_steps=next_steps,
            code=code,
            host=name,
        )


def tell_of_life(run: Run, doubt: Doubt) -> str:
    """Warn of a host that was off and may not be any more; returns its signs of life."""
    signs = "; ".join(doubt.signs_of_life)
    run.warn("SIGN_OF_LIFE", f"{run.host.name} shows signs of life: {signs}")
    return signs


@dataclass(frozen=True)
class _Request:
    """One POST, made on a worker; the evidence's age is looked at once more as it leaves."""

    run: Run
    server_id: str
    evidence: FenceEvidence
    target: str | None

    def __call__(self) -> RequestOutcome:
        return self.run.world.compute.evacuate(
            self.server_id,
            self.evidence,
            target=self.target,
            may_send=lambda: self.run.is_fresh(self.evidence),
        )


@dataclass(frozen=True)
class _ReadServer:
    run: Run
    server_id: str

    def __call__(self) -> Server | None:
        return self.run.world.compute.read_server(self.server_id)


@dataclass(frozen=True)
class _ReadTrace:
    """The action log, and how many of its evacuations began on other hosts."""

    run: Run
    server_id: str

    def __call__(self) -> tuple[tuple[InstanceAction, ...], int]:
        compute, source = self.run.world.compute, self.run.nova_host
        # the records first: an action that comes in between is one too many, not one too few
        moves = compute.read_evacuations_of(self.server_id)
        elsewhere = sum(move.source != source for move in moves)
        return compute.read_actions(self.server_id), elsewhere


def describe(outcome: RequestOutcome) -> tuple[str, str]:
    """What came back, in the journal's word, and the other side's own."""
    match outcome:
        case Accepted():
            return "accepted", ""
        case NotSent(why=why):
            return "not-sent", why
        case Rejected(status=status, message=message):
            return "rejected", f"{status}: {message}"
        case Uncertain(why=why):
            return "uncertain", why


def _state_of(server: Server | None) -> str:
    if server is None:
        return "unknown"
    task = f", {server.task_state}" if server.task_state else ""
    return f"{server.status}{task} on {server.host}"


def names_of(names: list[str]) -> str:
    """`` (a, b and 3 more)``; empty without any."""
    if not names:
        return ""
    shown = ", ".join(names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f" ({shown}{more})"
