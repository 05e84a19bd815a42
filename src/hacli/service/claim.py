"""One run per host on all controllers: take the host's claim, keep an eye on it, give it back.

There are no renewals: every change of the configuration interrupts Pacemaker's transition. That the
claim is still ours is read together with what proves death, and before what is changed without.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hacli.domain.claim import TAKE_OVER, Claim, Gone, Held, Here, judge_holder, parse_claim
from hacli.domain.cluster import ClusterView
from hacli.domain.evacuation import ANY_SERVER
from hacli.domain.events import TookOver, Warned
from hacli.domain.gates import Gate, objections
from hacli.domain.hosts import ComputeHost, connected, recovering_run
from hacli.domain.past import untraced
from hacli.domain.servers import ComputeService
from hacli.errors import Busy, HacliError, Interrupted, Refused, SourceError
from hacli.ports import Cluster, History, Journal, World
from hacli.service.asking import ask

if TYPE_CHECKING:
    from hacli.service.recovery import Context

KNOWN_FOR_S = 10.0
"""So old may the last look at the claim be when something is changed, as for evidence."""
TRIES = 3
RELEASE_S = 10.0
RELEASE_AFTER_SIGNAL_S = 0.4
"""Each of two commands; the prompt is to be back within a second."""
GATE = "claim"
"""Name of the check."""


class HostClaim:
    """This run's claim of one host. Without a cluster there is none, and nothing to lose.

    Args:
        host: It is claimed by Nova's name of it, which every way to call the host leads to.
        context: Who we are; with ``take_over`` a person says that the holder is gone.
        settle_s: So old is a request without a trace when it counts as lost.
    """

    def __init__(
        self,
        world: World,
        journal: Journal,
        host: ComputeHost,
        context: "Context",
        *,
        settle_s: float,
    ) -> None:
        assert host.service is not None
        self._world = world
        self._journal = journal
        self._host = host.service.host
        self._node = host.node.name if host.node is not None else None
        self._context = context
        self._settle_s = settle_s
        self._text: str | None = None
        self._settled = False
        self._taken_at = float("inf")
        self._known_at = float("-inf")
        self._other: str | None = None  # set: the claim is not ours any more, and what is there

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the claim within; deleted at the end, also after an error or Ctrl-C.

        But as long as this machine's journal alone knows of a request for a server, of this run or
        an earlier one, it stays: another controller could not know, and would ask again.

        Raises:
            Busy: Another run has it. Refused: its claim cannot be read by this hacli.
        """
        limit_s = RELEASE_S
        try:
            self._take()
            yield
        except Interrupted:
            limit_s = RELEASE_AFTER_SIGNAL_S
            raise
        finally:
            if not self._leave():
                self._release(limit_s)

    def settle(self) -> None:
        """The host serves again: no request for its servers is open that could still matter."""
        self._settled = True

    @property
    def ours(self) -> bool:
        """Nobody is known to have taken it."""
        return self._other is None

    def hear(self, text: str | None, *, counts: bool, at: float) -> None:
        """Take in what the CIB said when it was asked at ``at``; ``counts``: with quorum and DC."""
        if self._text is None or at < self._taken_at:
            return
        if text != self._text and self._other is None:
            self._other = text or ""
        elif counts:
            self._known_at = max(self._known_at, at)

    def is_known(self, now: float) -> bool:
        """It was read as ours, with quorum, not more than 10 s ago; or there is none to have."""
        recently = now - self._known_at <= KNOWN_FOR_S
        return self.ours and (self._world.cluster is None or recently)

    def check(self) -> None:
        """Stop a run that has lost its claim.

        Raises:
            Busy: Another run has taken it over, or somebody deleted it.
        """
        if self._other is None:
            return
        why = "its claim is gone from the CIB: a run that took it over has ended, or it was deleted"
        if self._other:
            why = f"its claim was taken over by {_words(self._other)}"
        raise Busy(
            f"{self._host} is not this run's any more, so it sends nothing more.",
            why=why,
            state="What this run had asked for before goes on.",
            next_steps=(f"hacli status {self._host}", "hacli history"),
            code="CLAIM_LOST",
            host=self._host,
        )

    def require(self) -> None:
        """Before something is changed: the claim is ours, in the part of the cluster that counts.

        Asks only when the last look is older than 10 s.

        Raises:
            Busy: It is lost. Refused: no quorum. SourceError: the cluster does not answer.
        """
        self.check()
        now = self._world.clock.monotonic()
        cluster = self._world.cluster
        if cluster is None or self.is_known(now):
            return
        state = ask(self._world, lambda: cluster.read_claim(self._host))
        self.hear(state.text, counts=state.counts, at=now)
        self.check()
        if not state.counts:
            raise no_quorum(self._host)

    def _take(self) -> None:
        cluster = self._world.cluster
        if cluster is None:
            return
        mine = self._ours(ask(self._world, cluster.read_own_node))
        for _ in range(TRIES):
            if self._put(lambda: cluster.create_claim(self._host, mine.text), mine.text):
                return
            if self._take_over(cluster, mine):
                return
        raise busy(self._host, "its claim changes hands just now")

    def _put(self, put: Callable[[], bool], text: str) -> bool:
        """Write ours; an error in between leaves it to ``_release`` to look whether it is there."""
        self._text = text
        if not ask(self._world, put):
            self._text = None
            return False
        self._taken_at = self._world.clock.monotonic()
        return True

    def _take_over(self, cluster: Cluster, mine: Claim) -> bool:
        """Put ours in the place of one whose holder is gone; False: it has changed meanwhile."""
        view = ask(self._world, cluster.read_view)
        old = view.claims.get(self._host)
        if old is None:
            return False
        holder = _parsed(self._host, old)
        found = judge_holder(holder, _here(self._world, holder, mine.controller), view)
        if isinstance(found, Held) and (found.seen or not self._context.take_over):
            raise busy(self._host, f"{holder.words}; {found.why}", seen=found.seen)
        if not view.acts:
            raise no_quorum(self._host)
        why = found.why if isinstance(found, Gone) else f"{self._context.user} says {TAKE_OVER}"
        self._journal.record(
            TookOver(
                holder_run=holder.run,
                holder=holder.words,
                why=why,
                uncertain=self._may_have_asked(holder, found, view),
            )
        )
        return self._put(lambda: cluster.replace_claim(self._host, old, mine.text), mine.text)

    def _may_have_asked(self, holder: Claim, found: Gone | Held, view: ClusterView) -> bool:
        """Whether the holder may have asked Nova for something that our journal does not know.

        A dead one has not if its journal is ours, because intents are on the disk before requests;
        nor if the host is away and not forced down, because that comes before the first request.
        On a host that is back servers are started in place without.
        """
        if isinstance(found, Held) or not found.dead:
            return True
        if self._journal.read_events(run=holder.run):
            return False
        node = view.node(self._node) if self._node is not None else None
        if node is not None and connected(node):
            return True
        service = ask(self._world, self._world.compute.read_services).of(self._host)
        return service is None or not service.known or service.forced_down

    def _ours(self, node: str | None) -> Claim:
        return Claim(
            run=self._journal.run,
            hacli=self._context.version,
            controller=node,
            machine=self._context.controller,
            user=self._context.user,
            process=self._world.machine.own_process(),
            since=self._world.clock.now(),
        )

    def _leave(self) -> bool:
        """Whether the claim stays behind, for a request whose fate nobody else could learn."""
        if self._text is None or not self.ours or self._settled:
            return False
        try:
            events = self._journal.read_events(host=self._host)
        except HacliError:
            return True  # in doubt; the run has ended with the journal's own error already
        servers = untraced(events, now=self._world.clock.moment(), settle_s=self._settle_s)
        if not servers:
            return False
        count = "any" if ANY_SERVER in servers else str(len(servers))
        why = f"the claim of {self._host} stays: VMs that Nova may be asked for already: {count}"
        self._journal.record(Warned(code="CLAIM_LEFT", text=why))
        return True

    def _release(self, limit_s: float) -> None:
        """Not on a worker: a signal has ended every wait for one. Nothing is asked twice."""
        cluster, text = self._world.cluster, self._text
        if cluster is None or text is None or self._other is not None:
            return
        self._text = None
        try:
            cluster.delete_claim(self._host, text, timeout_s=limit_s)
        except SourceError as error:
            why = f"the claim of {self._host} could not be deleted: {error.why}"
            self._journal.record(Warned(code="CLAIM_LEFT", text=why))


def claim_gate(
    world: World,
    host: ComputeHost,
    view: ClusterView | None,
    past: History | None,
    *,
    take_over: bool,
) -> tuple[Gate, ...]:
    """The check that speaks of another run on this host; none when nothing speaks of one."""
    assert host.service is not None
    if world.cluster is None or view is None:
        return _marker_gate(host.service, past, take_over=take_over)
    text = view.claims.get(host.service.host)
    if text is None:
        return ()
    try:
        holder = parse_claim(text)
    except ValueError as error:
        return (Gate(name=GATE, passed=False, text=f"{error}: {text}", code="CLAIM_UNREADABLE"),)
    own_node = ask(world, world.cluster.read_own_node)
    found = judge_holder(holder, _here(world, holder, own_node), view)
    gone, seen = isinstance(found, Gone), isinstance(found, Held) and found.seen
    return (
        Gate(
            name=GATE,
            passed=gone,
            text=f"{holder.words}; {found.why}",
            code=None if gone else "LOCKED",
            flag=None if gone or seen else TAKE_OVER,
            overridden=take_over and not (gone or seen),
        ),
    )


def _marker_gate(
    service: ComputeService, past: History | None, *, take_over: bool
) -> tuple[Gate, ...]:
    """Without a cluster only Nova's record tells of a run on another machine (design 5)."""
    run = recovering_run(service)
    if run is None or (past is not None and past.read_events(run=run)):
        return ()
    return (
        Gate(
            name=GATE,
            passed=False,
            text=f"Nova's record says that run {run} recovers it, and this machine has no such run",
            code="FOREIGN_RUN",
            flag=TAKE_OVER,
            overridden=take_over,
        ),
    )


def require_unclaimed(world: World, host: ComputeHost, view: ClusterView | None) -> None:
    """For what takes no claim itself: no other run works on the host.

    Raises:
        Busy: One does. Refused: its claim cannot be read by this hacli.
    """
    for gate in objections(claim_gate(world, host, view, None, take_over=False)):
        if gate.code != "FOREIGN_RUN":
            raise refusal(host.name, gate)


def refusal(host: str, gate: Gate) -> HacliError:
    """The error for a claim that keeps this run out."""
    if gate.code == "LOCKED":
        return busy(host, gate.text, seen=gate.flag is None)
    if gate.code == "CLAIM_UNREADABLE":
        return _unreadable(host, gate.text)
    return Refused(
        f"Another controller may be working on {host}.",
        why=gate.text,
        next_steps=(
            "hacli history    on the machine of that run",
            "no run works on it any more:  the same command with --take-over",
        ),
        code=gate.code,
        host=host,
    )


def busy(host: str, holder: str, *, seen: bool = False) -> Busy:
    """Another run has the host; ``holder`` says which, and why it counts as alive.

    ``seen``: its process was seen, so that nobody may say that it is gone.
    """
    gone = (
        "it hangs:  end its process first, then the same command again"
        if seen
        else "it is gone for certain:  the same command with --take-over"
    )
    return Busy(
        f"Another run works on {host}.",
        why=holder,
        next_steps=(
            "wait for its end and give the command again",
            "hacli history    on its machine shows what it does",
            gone,
        ),
        host=host,
    )


def no_quorum(host: str) -> Refused:
    """A claim in a part of the cluster without quorum is worth nothing: both parts take one."""
    return Refused(
        f"This part of the cluster may not act on {host}.",
        why="it has no quorum or no DC, so a claim in it does not count",
        state="What this run had asked for before goes on.",
        next_steps=("run hacli on a controller of the majority",),
        code="NO_QUORUM",
        host=host,
    )


def _unreadable(host: str, why: str) -> Refused:
    return Refused(
        f"The claim of {host} cannot be read.",
        why=why,
        next_steps=("use the hacli that wrote it: a newer one may be at work",),
        code="CLAIM_UNREADABLE",
        host=host,
    )


def _parsed(host: str, text: str) -> Claim:
    try:
        return parse_claim(text)
    except ValueError as error:
        raise _unreadable(host, f"{error}: {text}") from None


def _words(text: str) -> str:
    try:
        return parse_claim(text).words
    except ValueError:
        return text


def _here(world: World, holder: Claim, node: str | None) -> Here:
    return Here(
        process=world.machine.own_process(),
        node=node,
        holder_runs=world.machine.runs(holder.process),
    )
