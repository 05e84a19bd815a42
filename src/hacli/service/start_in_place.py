"""Start the servers of a host that was fenced and is back, where they are: each exactly once.

Needs no evidence of death, for the host lives and its servers are its own; what it needs instead is
read again all the time: the host is back and taken back, and the hypervisor says that the guest
does not run. What each server needs next is decided by ``domain.start_moves.next_start``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from hacli.domain.cluster import ClusterView
from hacli.domain.evacuation import ANY_SERVER, End, Ended, Reason, Skip
from hacli.domain.events import Asked, Intent, Progressed, ServerChanged
from hacli.domain.gates import objections
from hacli.domain.servers import (
    Accepted,
    Guest,
    InstanceAction,
    RequestOutcome,
    Server,
    ServerList,
    ServiceList,
    Uncertain,
)
from hacli.domain.start_in_place import (
    StartPlan,
    Way,
    fenced_and_back,
    gates_to_start,
    way_to_start,
)
from hacli.domain.start_moves import (
    NEVER,
    AskTo,
    Found,
    LookAtIt,
    StartMove,
    StartRun,
    next_start,
    replied,
    sent,
)
from hacli.errors import Failed, Interrupted, SourceError
from hacli.ports import Task
from hacli.service.asking import TICK_S
from hacli.service.evacuation import (
    ASKS_AT_ONCE,
    PROGRESS_EVERY_S,
    PROGRESS_LEAST_S,
    TRACE_EVERY_S,
    UNSENT_AGAIN_S,
    Evacuated,
    ServerEnd,
    describe,
    names_of,
)
from hacli.service.run import Run
from hacli.service.starts import actions_of, guest_of

LIST_EVERY_S = 2.0
HOST_EVERY_S = 4.0
"""How often the host itself is looked at while servers are being started on it."""
LOOK_AGAIN_S = 2.0
STILL_S = 0.5
"""Two clocks are read one after the other; more than that between them is no running process."""


@dataclass(frozen=True)
class _Look:
    """Both questions about one server, on their way."""

    began: float
    guest: Task[Guest]
    actions: Task[tuple[InstanceAction, ...]]


@dataclass(frozen=True)
class _Check:
    """Both questions about the host, on their way."""

    view: Task[ClusterView]
    services: Task[ServiceList]


class StartInPlace:
    """The loop over the servers to be started. One instance per run; ``run`` is called once.

    Args:
        fenced_at: The outage that the plan was made for; another one ends the run.
        intents: Requests of earlier runs whose fate nobody knows: their age in seconds.
    """

    def __init__(
        self, run: Run, plan: StartPlan, *, fenced_at: datetime, intents: Mapping[str, float]
    ) -> None:
        self._run = run
        self._world = run.world
        self._plan = plan
        self._host = run.host
        self._fenced_at = fenced_at
        self._servers = {start.server.id: start.server for start in plan.starts}
        self._stood_s = self._stood_still_s()
        began = self._now
        self._runs = {
            key: StartRun(
                server=server,
                seen_at=NEVER,
                began=began,
                intent_age_s=intents.get(key, intents.get(ANY_SERVER)),
            )
            for key, server in self._servers.items()
        }
        self._window = min(run.policy.window, run.policy.per_destination)
        self._begun: set[str] = set()
        self._ends: dict[str, ServerEnd] = {}
        self._asking: dict[str, tuple[Way, Task[RequestOutcome]]] = {}
        self._looks: dict[str, _Look] = {}
        self._listing: Task[ServerList] | None = None
        self._list_began = NEVER
        self._check: _Check | None = None
        self._check_began = NEVER
        self._asked_cluster_at = NEVER
        self._back_at = NEVER
        self._heard_at = began
        self._silent_why = "nobody answers"
        self._objection: tuple[str, str] | None = None  # code and why; it ends the run
        self._told_at = NEVER
        self._counts: Progressed | None = None

    def run(self) -> Evacuated:
        """Work until every server has its end.

        Raises:
            Failed: The host was lost again or set apart, or could not be looked at for too long.
            Busy: Another run has taken the claim over.
            Interrupted: Ctrl-C; what Nova has accepted goes on.
        """
        for skip in self._plan.skips:
            self._tell(skip.server, "skipped", text=skip.text, code=skip.reason.value)
        try:
            while len(self._ends) < len(self._runs):
                self._forget_after_standstill()
                self._take_in()
                self._check_host()
                self._advance()
                self._list()
                self._report()
                self._sleep()
        except Interrupted as stop:
            raise Interrupted(
                stop.what, signal_number=stop.signal_number, state=self._state_words()
            ) from stop
        self._report(last=True)
        return Evacuated(ends=tuple(self._ends.values()), skips=self._plan.skips)

    @property
    def _now(self) -> float:
        return self._world.clock.awake()

    def _stood_still_s(self) -> float:
        """How long this process has not run: what it read before that is older than it seems."""
        return self._world.clock.monotonic() - self._world.clock.awake()

    def _forget_after_standstill(self) -> None:
        """Who stood still has seen nothing meanwhile: all is read again before anything is asked.

        Answers to requests are heard all the same, and no limit has run on.
        """
        stood_s = self._stood_still_s()
        if stood_s - self._stood_s < STILL_S:
            return
        self._stood_s = stood_s
        self._back_at = NEVER
        self._check, self._listing = None, None
        self._check_began = self._list_began = NEVER
        self._looks.clear()
        for key, run in self._runs.items():
            self._runs[key] = replace(run, seen_at=NEVER, found=None, looked_at=NEVER)

    def _take_in(self) -> None:
        for key, (way, task) in tuple(self._asking.items()):
            if task.done:
                del self._asking[key]
                self._take_answer(key, way, task.result())
        for key, look in tuple(self._looks.items()):
            if look.guest.done and look.actions.done:
                del self._looks[key]
                self._take_look(key, look)
        if self._listing is not None and self._listing.done:
            listing, self._listing = self._listing, None
            self._take_list(listing)
        check = self._check
        if check is not None and check.view.done and check.services.done:
            self._check = None
            self._take_check(check)

    def _take_answer(self, key: str, way: Way, outcome: RequestOutcome) -> None:
        kind, text = describe(outcome)
        request_id = outcome.request_id if isinstance(outcome, Accepted) else None
        self._run.record(
            Asked(server=key, outcome=kind, text=text, request_id=request_id, order=way.value)
        )
        self._runs[key] = replied(self._runs[key], outcome, now=self._now)

    def _take_look(self, key: str, look: _Look) -> None:
        run = self._runs[key]
        try:
            found: Found = self._judged(run.server, look.guest.result(), look.actions.result())
        except SourceError as error:
            found = error.why
        self._runs[key] = replace(run, found=found, looked_at=look.began)

    def _judged(
        self, server: Server | None, guest: Guest, actions: tuple[InstanceAction, ...]
    ) -> Found:
        if server is None:
            return guest
        if guest is Guest.RUNNING and server.vm_state == "stopped":
            text = "Nova calls it SHUTOFF, and its hypervisor says that it runs"
            return Skip(server=server, reason=Reason.UNSURE, text=text)
        if guest is Guest.RUNNING:
            return guest
        return way_to_start(server, actions, fenced_at=self._fenced_at)

    def _take_list(self, task: Task[ServerList]) -> None:
        try:
            listed = task.result()
        except SourceError:
            return  # asked again; a server that nobody sees changing ends as stuck
        if listed.cells_down:
            return
        seen = {server.id: server for server in listed.servers}
        for key, run in self._runs.items():
            if key not in self._ends:
                self._runs[key] = replace(run, server=seen.get(key), seen_at=self._list_began)

    def _check_host(self) -> None:
        """The host is back, taken back and up: read again before and while anything is asked."""
        due = self._now - self._check_began >= HOST_EVERY_S
        if self._check is None and due:
            self._check_began, self._asked_cluster_at = self._now, self._world.clock.monotonic()
            cluster, compute, tasks = self._world.cluster, self._world.compute, self._world.tasks
            assert cluster is not None
            self._check = _Check(
                view=tasks.submit(cluster.read_view), services=tasks.submit(compute.read_services)
            )
        if self._objection is not None and not self._asking:
            raise self._stopped(*self._objection)
        if self._now - self._heard_at >= self._run.policy.silence_limit_s and not self._asking:
            raise self._stopped("EVIDENCE_LOST", self._silent_why)

    def _take_check(self, check: _Check) -> None:
        try:
            view, services = check.view.result(), check.services.result()
        except SourceError as error:
            self._silent_why = f"{error.source}: {error.why}"
            return
        node, service = self._host.node, self._host.service
        assert node is not None
        assert service is not None
        claim = self._run.claim
        claim.hear(view.claims.get(service.host), counts=view.acts, at=self._asked_cluster_at)
        if not self._asking:
            claim.check()
        host = replace(self._host, node=view.node(node.name), service=services.of(service.host))
        wrong = objections(gates_to_start(host, view))
        if wrong:
            self._objection = (wrong[0].code or "HOST_LOST", wrong[0].text)
        elif fenced_and_back(host, view) != self._fenced_at:
            self._objection = ("HOST_LOST", "it was fenced once more meanwhile")
        if self._objection is not None:
            self._back_at = NEVER  # nothing more is asked; what is on its way is heard first
        else:
            self._back_at = self._heard_at = self._check_began

    def _advance(self) -> None:
        free = self._window - sum(key not in self._ends for key in self._begun)
        for key, run in tuple(self._runs.items()):
            if key in self._ends:
                continue
            if key not in self._begun:
                if free <= 0:
                    continue
                free -= 1
                self._begun.add(key)
                self._runs[key] = replace(run, began=self._now)
            now = self._runs[key]
            self._move(key, now, next_start(now, now=self._now, policy=self._run.policy))

    def _move(self, key: str, run: StartRun, move: StartMove) -> None:
        if isinstance(move, Ended):
            self._end(key, move)
        elif isinstance(move, LookAtIt):
            self._look(key, run)
        elif isinstance(move, AskTo) and self._may_ask(run):
            self._ask(key, run, move.way)

    def _look(self, key: str, run: StartRun) -> None:
        every = TRACE_EVERY_S if isinstance(run.answer, Uncertain) else LOOK_AGAIN_S
        if key in self._looks or self._now - run.looked_at < every:
            return
        submit = self._world.tasks.submit
        self._looks[key] = _Look(
            began=self._now,
            guest=submit(guest_of(self._world, key)),
            actions=submit(actions_of(self._world, key)),
        )

    def _may_ask(self, run: StartRun) -> bool:
        if len(self._asking) >= ASKS_AT_ONCE or not self._is_fresh(run):
            return False
        return not run.unsent or self._now - run.answered_at >= UNSENT_AGAIN_S * 2 ** (
            run.unsent - 1
        )

    def _is_fresh(self, run: StartRun) -> bool:
        oldest = min(run.looked_at, run.seen_at, self._back_at)
        recent = self._now - oldest <= self._run.policy.evidence_max_age_s
        return recent and self._run.claim.is_known(self._world.clock.monotonic())

    def _ask(self, key: str, run: StartRun, way: Way) -> None:
        """Intent on disk, then the request; its outcome is recorded when it comes back."""
        assert run.server is not None
        self._runs[key] = started = sent(run)
        self._run.record(
            Intent(
                server=key,
                server_name=run.server.name,
                target=None,
                attempt=started.asked,
                known_migrations=(),
                order=way.value,
            )
        )
        compute = self._world.compute
        post = compute.start if way is Way.START else compute.hard_reboot
        stood_s = self._stood_s

        def may_send() -> bool:
            return self._stood_still_s() - stood_s < STILL_S and self._is_fresh(run)

        task = self._world.tasks.submit(lambda: post(key, may_send=may_send))
        self._asking[key] = (way, task)
        self._tell(run.server, "starting", text=way.value)

    def _list(self) -> None:
        if self._listing is None and self._now - self._list_began >= LIST_EVERY_S:
            self._list_began = self._now
            host, compute = self._run.nova_host, self._world.compute
            self._listing = self._world.tasks.submit(lambda: compute.read_servers(host))

    def _sleep(self) -> None:
        tasks: list[Task[object]] = [task for _, task in self._asking.values()]
        tasks += [task for look in self._looks.values() for task in (look.guest, look.actions)]
        tasks += [self._listing] if self._listing is not None else []
        tasks += [self._check.view, self._check.services] if self._check is not None else []
        pending = [task for task in tasks if not task.done]
        if len(self._ends) == len(self._runs):
            return
        if pending:
            self._world.tasks.wait_any(pending, timeout_s=TICK_S)
        else:
            self._world.clock.wait(TICK_S)

    def _end(self, key: str, ended: Ended) -> None:
        server = self._runs[key].server or self._servers[key]
        good = ended.end is End.VERIFIED
        self._ends[key] = ServerEnd(server=server, end=ended.end, text=ended.text)
        self._tell(
            server,
            "started" if good else "failed",
            text=ended.text,
            code=None if good else ended.end.value,
        )

    def _tell(
        self, server: Server, status: str, *, text: str = "", code: str | None = None
    ) -> None:
        self._run.record(
            ServerChanged(
                id=server.id,
                server_name=server.name,
                status=status,
                to=server.host if status in ("starting", "started") else None,
                text=text,
                code=code,
            )
        )

    def _report(self, *, last: bool = False) -> None:
        good = sum(end.end is End.VERIFIED for end in self._ends.values())
        waiting = len(self._runs) - len(self._begun)
        counts = Progressed(
            step="start",
            done=good,
            running=len(self._begun) - len(self._ends),
            waiting=waiting,
            failed=len(self._ends) - good,
        )
        every = PROGRESS_EVERY_S if counts == self._counts else PROGRESS_LEAST_S
        if last or self._now - self._told_at >= every:
            self._told_at, self._counts = self._now, counts
            self._run.record(counts)

    def _state_words(self) -> str:
        """How far every server is, for whoever has to go on from here."""
        left = [key for key in self._runs if key not in self._ends]
        asked = [self._servers[key].name for key in left if self._runs[key].asked]
        unasked = [self._servers[key].name for key in left if not self._runs[key].asked]
        return (
            f"{len(self._ends)} VMs have ended, {len(asked)} are being started by Nova"
            f"{names_of(asked)}, {len(unasked)} were not asked for{names_of(unasked)}."
        )

    def _stopped(self, code: str, why: str) -> Failed:
        name = self._host.name
        enable = (f"hacli enable {name}    and then",) if code == "HOST_RETURNED" else ()
        return Failed(
            f"No further VM of {name} is started there.",
            why=why,
            state=self._state_words(),
            next_steps=(*enable, f"hacli recover {name}    goes on from what is so by then"),
            code=code,
            host=name,
        )
