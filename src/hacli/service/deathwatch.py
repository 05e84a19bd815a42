"""Watch one host's witnesses, keep what they said, and have it judged (laws L1 to L3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hacli.domain.cluster import ClaimState, ClusterView, FenceEvent, NodeState
from hacli.domain.evidence import (
    HEARTBEAT_STILL_S,
    Attestation,
    Doubt,
    FenceEvidence,
    HeartbeatReading,
    NodeReading,
    OffBy,
    OffOrder,
    PowerReading,
    Readings,
    Silence,
    judge,
)
from hacli.domain.hosts import ComputeHost, connected, lost, opinion_counts
from hacli.domain.power import PowerState
from hacli.domain.servers import ComputeService, ServiceList
from hacli.errors import SourceError
from hacli.ports import Task, World
from hacli.service.asking import TICK_S, ask_all, outcome_of
from hacli.service.claim import HostClaim

KEEP = 40
"""Readings kept of each witness; a recovery of an hour makes thousands."""
FULL_VIEW_S = 60.0
"""For so long after a power-off the whole cluster is read, for neighbours that vanish with it."""
FULL_VIEW_EVERY_S = 30.0
FULL_VIEW_ALONE_EVERY_S = 5.0
"""Where no BMC answers: what Pacemaker is about to do to the host stands in the full view only."""
LOOK_LIMIT_S = 20.0


class DeathWatch:
    """All that this run has seen of one host's life signs.

    ``look`` asks every witness and waits; ``start_look`` and ``take_in`` do the same in two halves
    for a loop that has other work. ``judge`` weighs what has come in. Our own writes to the
    compute service must be announced with ``wrote`` before they are sent.
    """

    def __init__(
        self, world: World, host: ComputeHost, view: ClusterView | None, claim: HostClaim
    ) -> None:
        self._world = world
        self._host = host
        self._claim = claim
        self._clustered = world.cluster is not None and host.node is not None
        self._neighbours = _connected_nodes(view) - {host.node.name if host.node else ""}
        self._orders: tuple[OffOrder, ...] = ()
        self._power: tuple[PowerReading | Silence, ...] = ()
        self._node: tuple[NodeReading | Silence, ...] = ()
        self._heartbeat: tuple[HeartbeatReading | Silence, ...] = ()
        self._vanished: frozenset[str] = frozenset()
        self._attestation: Attestation | None = None
        self._attested_after: FenceEvent | None = None
        self._switched_on: FenceEvent | None = None
        self._writes = 0
        self._service: ComputeService | None = None
        self._api_clock = _ApiClock()
        self._full_view_at = float("-inf")
        self._open: dict[str, Task[object]] = {}
        self._open_since = 0.0

    @property
    def power(self) -> PowerReading | Silence | None:
        """The newest word of the BMC."""
        return self._power[-1] if self._power else None

    @property
    def connected(self) -> bool:
        """Whether the newest word of Pacemaker that counts says that it has a connection."""
        counting = [n for n in self._node if isinstance(n, NodeReading) and n.opinion_counts]
        return bool(counting) and counting[-1].connected

    @property
    def objection(self) -> str | None:
        """Why Pacemaker's newest word no longer lets the host be switched off (law L7); or None."""
        newest = self._node[-1] if self._node else None
        if not isinstance(newest, NodeReading):
            return None
        if not newest.opinion_counts:
            return "Pacemaker's opinion does not count any more (maintenance or unmanaged)"
        return "Pacemaker is connected to it again" if newest.connected else None

    @property
    def service(self) -> ComputeService | None:
        """The compute service as Nova showed it last; None before it was read."""
        return self._service

    def attest(self, attestation: Attestation) -> None:
        """A person's word that the host has no power, after all that was heard until now."""
        self._attestation = attestation
        heard = [word for word in self._node if isinstance(word, NodeReading)]
        self._attested_after = heard[-1].newest_fence if heard else None

    def ordered_off(self, by: OffBy) -> None:
        """An OFF was carried out or acknowledged just now."""
        self._orders += (OffOrder(by=by, at=self._world.clock.monotonic()),)

    def wrote(self) -> None:
        """A PUT of ours to the compute service is about to move ``updated_at``."""
        self._writes += 1

    def judge(self) -> FenceEvidence | Doubt:
        """Evidence or doubt from everything seen so far."""
        return judge(
            Readings(
                host=self._host.name,
                now=self._world.clock.monotonic(),
                clustered=self._clustered,
                off_orders=self._orders,
                power=self._power,
                node=self._node,
                heartbeat=self._heartbeat,
                vanished=tuple(sorted(self._vanished)),
                attestation=self._attestation,
                switched_on=self._switched_on,
            )
        )

    def look(self, *, limit_s: float = LOOK_LIMIT_S) -> None:
        """Ask every witness once, at the same time, and take in what they say."""
        began = self._world.clock.monotonic()
        for name, answer in ask_all(self._world, self._calls(), limit_s=limit_s).items():
            self._take(name, answer, began=began)

    def start_look(self) -> None:
        """Ask every witness that is not being asked already, without waiting."""
        self._open_since = self._world.clock.monotonic()
        for name, call in self._calls().items():
            if name not in self._open:
                self._open[name] = self._world.tasks.submit(call)

    def take_in(self) -> None:
        """Take in the answers that have come since ``start_look``."""
        for name, task in tuple(self._open.items()):
            if task.done:
                del self._open[name]
                self._take(name, outcome_of(task, limit_s=TICK_S), began=self._open_since)

    @property
    def looking(self) -> tuple[Task[object], ...]:
        """The questions still open."""
        return tuple(self._open.values())

    def _calls(self) -> dict[str, Callable[[], object]]:
        calls: dict[str, Callable[[], object]] = {"heartbeat": self._read_heartbeat}
        if self._host.bmc is not None:
            calls["power"] = self._read_power
        if self._clustered:
            calls["node"] = self._read_view if self._wants_full_view() else self._read_node
        elif self._world.cluster is not None:
            calls["claim"] = self._read_claim
        return calls

    def _wants_full_view(self) -> bool:
        now = self._world.clock.monotonic()
        recent_order = not self._orders or now - self._orders[-1].at <= FULL_VIEW_S
        alone = not isinstance(self.power, PowerReading)
        every_s = FULL_VIEW_ALONE_EVERY_S if alone else FULL_VIEW_EVERY_S
        return recent_order or now - self._full_view_at >= every_s

    def _read_power(self) -> object:
        assert self._host.bmc is not None
        asked_at = self._world.clock.monotonic()
        state = self._world.switch(self._host.bmc).read_state()
        answered_at = self._world.clock.monotonic()
        return PowerReading(state=state, asked_at=asked_at, answered_at=answered_at)

    def _read_view(self) -> object:
        assert self._world.cluster is not None
        return self._world.cluster.read_view()

    def _read_node(self) -> object:
        assert self._world.cluster is not None
        assert self._host.node is not None
        assert self._host.service is not None
        return self._world.cluster.read_node_state(
            self._host.node.name, claim=self._host.service.host
        )

    def _read_claim(self) -> object:
        """Of a host that is no node of the cluster; else it comes with the node."""
        assert self._world.cluster is not None
        assert self._host.service is not None
        return self._world.cluster.read_claim(self._host.service.host)

    def _read_heartbeat(self) -> object:
        writes, asked_at = self._writes, self._world.clock.monotonic()
        services = self._world.compute.read_services()
        return _ServicesRead(writes, services, asked_at, self._world.clock.monotonic())

    def _take(self, name: str, answer: object, *, began: float) -> None:
        silence = Silence(why=answer.why, at=began) if isinstance(answer, SourceError) else None
        if name == "power":
            power = silence or answer
            assert isinstance(power, PowerReading | Silence)
            self._power = _kept(self._power, power, vital=_reads_on)
        elif name == "claim":
            if isinstance(answer, ClaimState):
                self._claim.hear(answer.text, counts=answer.counts, at=began)
        elif name == "node":
            word = silence or self._node_reading(answer, began)
            self._node = _kept(self._node, word, vital=_counts)
            if isinstance(word, NodeReading) and self._attestation is not None:
                self._heed_fencing(word.newest_fence)
        else:
            beat = silence or self._beat(answer, began)
            self._heartbeat = _kept(self._heartbeat, beat)

    def _heed_fencing(self, newest: FenceEvent | None) -> None:
        """Who has cut the power cannot have it switched on: then it was another machine's."""
        news = newest is not None and newest != self._attested_after
        if newest is not None and news and newest.executed and newest.action != "off":
            self._switched_on = newest

    def _beat(self, answer: object, began: float) -> HeartbeatReading | Silence:
        assert isinstance(answer, _ServicesRead)
        assert self._host.service is not None
        service = answer.services.of(self._host.service.host)
        if service is None or not service.known:
            return Silence(why="Nova shows no such compute service", at=began)
        self._service = service
        if answer.writes != self._writes:
            return Silence(why="read while we were writing", at=began)
        date = self._api_clock.date_of(answer, service)
        if date is None:
            return Silence(why="nova-compute has never reported", at=began)
        return HeartbeatReading(
            at=answer.asked_at, updated_at=service.updated_at, date=date, writes=answer.writes
        )

    def _node_reading(self, answer: object, began: float) -> NodeReading | Silence:
        if isinstance(answer, NodeState):
            return self._from_node_state(answer, began)
        assert isinstance(answer, ClusterView)
        self._full_view_at = began
        return self._from_view(answer, began)

    def _from_view(self, view: ClusterView, began: float) -> NodeReading | Silence:
        assert self._host.node is not None
        assert self._host.service is not None
        self._claim.hear(view.claims.get(self._host.service.host), counts=view.acts, at=began)
        node = view.node(self._host.node.name)
        if node is None:
            return Silence(why="Pacemaker does not list the node any more", at=began)
        if self._orders and began - self._orders[-1].at <= FULL_VIEW_S:
            self._vanished |= self._neighbours & _lost_nodes(view)
        completed = [event for event in node.fence_events if event.status != "pending"]
        return NodeReading(
            at=began,
            quorate=view.acts,
            opinion_counts=opinion_counts(node, view),
            connected=connected(node),
            fence_pending=len(completed) < len(node.fence_events),
            newest_fence=completed[0] if completed else None,
            node_fenced=node.node_fenced,
            claimed=self._claim.ours,
        )

    def _from_node_state(self, state: NodeState, began: float) -> NodeReading | Silence:
        """The cheap re-read, together with the last full one: history is carried over only while
        the CIB still names the same fencing.
        """
        self._claim.hear(state.claim, counts=state.with_quorum and state.dc, at=began)
        before = next((r for r in reversed(self._node) if isinstance(r, NodeReading)), None)
        if before is None or before.node_fenced != state.node_fenced:
            self._full_view_at = float("-inf")
            return Silence(why="the CIB has changed; the cluster must be read in full", at=began)
        return NodeReading(
            at=began,
            quorate=state.with_quorum and state.dc,
            opinion_counts=before.opinion_counts,
            connected=state.in_cluster,
            fence_pending=before.fence_pending,
            newest_fence=before.newest_fence,
            node_fenced=state.node_fenced,
            claimed=self._claim.ours,
        )


@dataclass(frozen=True)
class _ServicesRead:
    """One answer of Nova, the writes of ours that preceded it, and when it was asked and came."""

    writes: int
    services: ServiceList
    asked_at: float
    answered_at: float


class _ApiClock:
    """The API's clock: its Date header, or one of our own where it sends none.

    Our own is never ahead of Nova's, so that nothing seems still that is not. It starts at the
    newest ``updated_at`` of the compute services that are up in the first answer, which was in the
    past then (Nova calls none up whose report is from another time), and runs by our monotonic
    clock; where nobody else reports, what it calls still for 15 s we have watched for 15 s. A
    service that Nova itself calls down, and nobody forced down, was silent for longer than that by
    Nova's clock (``service_down_time``, 60 s) already. The two are never mixed.
    """

    def __init__(self) -> None:
        self._sends_date: bool | None = None
        self._start: tuple[datetime, float] | None = None

    def date_of(self, read: _ServicesRead, service: ComputeService) -> datetime | None:
        """The time of the answer; None when nothing tells it."""
        if self._sends_date is None:
            self._sends_date = read.services.date is not None
        if self._sends_date or service.updated_at is None:
            return read.services.date if self._sends_date else None
        if self._start is None:
            silent = not service.up and not service.forced_down
            lead = timedelta(seconds=HEARTBEAT_STILL_S if silent else 0.0)
            reports = (s.updated_at for s in read.services.services if s.up and s.updated_at)
            newest = max(reports, default=service.updated_at)
            self._start = (max(newest, service.updated_at + lead), read.answered_at)
        began, at = self._start
        return began + timedelta(seconds=max(0.0, read.asked_at - at))


Word = TypeVar("Word")


def _kept(
    words: tuple[Word, ...], word: Word, *, vital: Callable[[Word], bool] = lambda _word: False
) -> tuple[Word, ...]:
    """With one word more, the newest of them, and of the others the newest that is vital.

    Of silences in a row only the last says anything; and it takes no sign of life back, however
    often it is heard.
    """
    if isinstance(word, Silence) and words and isinstance(words[-1], Silence):
        words = words[:-1]
    words = (*words, word)
    forgotten = [old for old in words[:-KEEP] if vital(old)]
    return (*forgotten[-1:], *words[-KEEP:])


def _reads_on(word: PowerReading | Silence) -> bool:
    return isinstance(word, PowerReading) and word.state is PowerState.ON


def _counts(word: NodeReading | Silence) -> bool:
    return isinstance(word, NodeReading) and word.opinion_counts


def _connected_nodes(view: ClusterView | None) -> frozenset[str]:
    if view is None:
        return frozenset()
    return frozenset(n.name for n in view.nodes if connected(n) and opinion_counts(n, view))


def _lost_nodes(view: ClusterView) -> frozenset[str]:
    return frozenset(n.name for n in view.nodes if lost(n, view))
