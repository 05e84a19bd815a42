"""Defects that break one law each: the product with one part of it altered for a while.

A checker that has never found anything proves nothing. These are the mistakes of the tools before
us, and those that a tired programmer would make. Altering a module is banned in every other test;
here the altered product is what the test is about.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from hacli.domain import evacuation, evidence, gates
from hacli.domain.evacuation import Ask, End, Ended, Plan, Records, ServerRun, Verify, Wait
from hacli.domain.events import Warned
from hacli.domain.evidence import Doubt, FenceEvidence, Readings, Witness
from hacli.domain.hosts import ComputeHost
from hacli.domain.policy import Policy, Storage
from hacli.domain.servers import Accepted, ServerList
from hacli.service import compute_service, deathwatch, fencing, records, recovery
from hacli.service import evacuation as evacuation_loop
from hacli.service.claim import HostClaim
from hacli.service.run import Run
from tests.fakes.locks import MemoryLocks
from tests.fakes.nova import FakeNova
from tests.soak.day import Plan as DayPlan

OLD_S = 12.0

Alteration = tuple[object, str, object]
"""A module or class, the name in it, and what stands there instead."""


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One planted defect: what the checker must say of it, and where it shows."""

    law: str
    alter: Callable[[], tuple[Alteration, ...]]
    kinds: tuple[str, ...] = ()  # troubles beside the first in which it shows; none: in any outage
    firsts: tuple[str, ...] = ()  # the same for how hosts fail
    storms: bool = False
    window: int = 2

    def plan(self) -> DayPlan:
        """A short day in which it has to show."""
        return DayPlan(
            seed=1,
            hours=0.3,
            hosts=8 if self.storms else 4,
            servers=28,
            pause_s=60.0,
            share=1.0 if self.kinds else 0.0,
            storm_every=1 if self.storms else 10**6,
            firsts=self.firsts,
            kinds=self.kinds,
            windows=(self.window,),
            pdus=0,
        )


@contextmanager
def planted(defect: Defect) -> Iterator[None]:
    """The product has this defect for as long as this lasts."""
    with ExitStack() as stack:
        for owner, name, new in defect.alter():
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, new)
        yield


def _proof(host: str, at: float) -> FenceEvidence:
    seal = evidence._SEAL  # noqa: SLF001 - the forger's work
    return FenceEvidence(host=host, witness=Witness.BMC, text="forged", proven_at=at, seal=seal)


def _believes_one_word() -> tuple[Alteration, ...]:
    """The judge takes one order for a proof, and asks nobody."""

    def judge(readings: Readings) -> FenceEvidence | Doubt:
        return _proof(readings.host, readings.now)

    def orders_nothing(run: Run, watch: object, *, allow_healthy: bool) -> tuple[str, ...]:
        return ()

    return ((deathwatch, "judge", judge), (fencing, "_order_off", orders_nothing))


def _ignores_life() -> tuple[Alteration, ...]:
    """Once dead, always dead: nothing that is read later changes the verdict."""
    true_judge = evidence.judge
    dead: set[str] = set()

    def judge(readings: Readings) -> FenceEvidence | Doubt:
        verdict = true_judge(readings)
        if isinstance(verdict, FenceEvidence):
            dead.add(readings.host)
        elif readings.host in dead and readings.off_orders:
            return _proof(readings.host, readings.now)
        return verdict

    return ((deathwatch, "judge", judge),)


def _keeps_old_evidence() -> tuple[Alteration, ...]:
    """Evidence never ages."""

    def is_fresh(run: Run, proof: FenceEvidence) -> bool:
        return True

    def prove_again(run: Run, watch: object, proof: FenceEvidence) -> FenceEvidence:
        return proof

    return (
        (Run, "is_fresh", is_fresh),
        (compute_service, "_prove_again", prove_again),
        (evacuation_loop, "LOOK_EVERY_S", 1e9),
        (evacuation_loop.Evacuation, "_reprove", _reproves_nothing),
    )


def _reproves_nothing(loop: evacuation_loop.Evacuation) -> None:
    proof = loop._evidence  # noqa: SLF001
    if proof is not None and proof.age_s(loop._now) < OLD_S:  # noqa: SLF001
        for key in loop._moves:  # noqa: SLF001
            loop._moves[key] = Wait()  # noqa: SLF001


def _asks_twice() -> tuple[Alteration, ...]:
    """Nova said yes, and the server is not there yet: ask again."""
    true_move = evacuation.next_move

    def next_move(run: ServerRun, *, now: float, policy: Policy) -> object:
        move = true_move(run, now=now, policy=policy)
        waits = isinstance(run.answer, Accepted) and now - run.answered_at > 1.0
        if waits and run.asked == 1 and not isinstance(move, Verify | Ended):
            return Ask(target=None)
        return move

    return ((evacuation_loop, "next_move", next_move),)


def _calls_it_verified() -> tuple[Alteration, ...]:
    """Nova has accepted it, so it will be there."""
    true_move = evacuation.next_move

    def next_move(run: ServerRun, *, now: float, policy: Policy) -> object:
        if run.migration is not None and run.migration.is_open:
            return Ended(end=End.VERIFIED, text="accepted")
        return true_move(run, now=now, policy=policy)

    return ((evacuation_loop, "next_move", next_move),)


def _believes_an_empty_list() -> tuple[Alteration, ...]:
    """A list of Nova's is the truth: no hypervisor is asked, no cell down matters."""

    def plan_evacuation(*args: object, **kwargs: object) -> Plan:
        return Plan(runs=(), skips=())

    def reads(world: object, host: object, past: object, policy: object, **_: object) -> object:
        return Records(
            servers=(), evacuations=(), moves=(), groups=(), storage=Storage.LOCAL, unshared=()
        )

    return ((recovery, "plan_evacuation", plan_evacuation), (recovery, "read_records", reads))


def _loses_local_disks() -> tuple[Alteration, ...]:
    """Every disk is taken for one that survives."""
    return ((evacuation, "what_is_lost", lambda server, records: None),)


def _takes_another_host() -> tuple[Alteration, ...]:
    """The list of servers is not filtered by host."""
    true_read = FakeNova.read_servers

    def read_servers(nova: FakeNova, host: str) -> ServerList:
        listed = true_read(nova, host)
        tables = nova.line.region.cloud.tables
        other = next(
            (h for h in nova.line.region.names if h != host and tables.servers_on(h)), host
        )
        strangers = true_read(nova, other).servers[:1]
        return replace(listed, servers=listed.servers + strangers)

    def agree(*args: object) -> None:
        return None

    return (
        (FakeNova, "read_servers", read_servers),
        (records, "_require_agreement", agree),
    )


def _fences_the_healthy() -> tuple[Alteration, ...]:
    """A host that Nova calls disabled needs fencing, whatever Pacemaker says."""

    def down(facts: gates.GateFacts) -> gates.Gate:
        return gates.Gate(name="host is down", passed=True, text="surely")

    def still_lost(*args: object) -> None:
        return None

    return ((gates, "_down", down), (recovery, "_require_still_lost", still_lost))


def _takes_it_for_done() -> tuple[Alteration, ...]:
    """A host that is forced down has been recovered, whatever is left on it."""

    def already(host: ComputeHost, plan: Plan, options: object) -> str | None:
        done = host.service is not None and host.service.forced_down
        return "it is forced down" if done else None

    return ((recovery, "_already", already),)


def _takes_no_lock() -> tuple[Alteration, ...]:
    """Two operators at once: neither a lock on the machine nor a claim in the cluster."""

    def acquire(locks: MemoryLocks, host: str, *, run: str) -> None:
        return None

    def no_gate(*args: object, **kwargs: object) -> tuple[gates.Gate, ...]:
        return ()

    return (
        (MemoryLocks, "acquire", acquire),
        (MemoryLocks, "release", lambda *_: None),
        (HostClaim, "_take", lambda claim: None),
        (HostClaim, "is_known", lambda claim, now: True),
        (recovery, "claim_gate", no_gate),
    )


def _acts_without_quorum() -> tuple[Alteration, ...]:
    """The part of the cluster that we see is the cluster."""

    def quorum(facts: gates.GateFacts) -> gates.Gate:
        return gates.Gate(name="quorum", passed=True, text="who asks")

    def missing(readings: Readings) -> Iterator[str]:
        return iter(())

    true_hear = HostClaim.hear

    def hear(claim: HostClaim, text: str | None, *, counts: bool, at: float) -> None:
        true_hear(claim, text, counts=True, at=at)

    def never_pending(readings: Readings, power: object) -> bool:
        return True

    return (
        (gates, "_quorum", quorum),
        (evidence, "_missing_for_all", missing),
        (evidence, "_no_fence_pending_at", never_pending),
        (HostClaim, "hear", hear),
        (HostClaim, "require", HostClaim.check),
    )


def _works_in_a_storm() -> tuple[Alteration, ...]:
    """As many hosts as there are, one after the other."""
    return ((gates, "STORM_LEAST", 10**6),)


def _never_ends() -> tuple[Alteration, ...]:
    """An answer that is in nobody's table ends the run with a traceback."""
    true_answered = evacuation.answered

    def answered(run: ServerRun, outcome: object, *, now: float) -> ServerRun:
        if not isinstance(outcome, Accepted):
            raise KeyError(outcome)
        return true_answered(run, outcome, now=now)

    return ((evacuation_loop, "answered", answered),)


def _tells_a_secret() -> tuple[Alteration, ...]:
    """A warning for the operator with all that was used to log in."""
    true_tell = fencing._tell_pacemaker  # noqa: SLF001

    def tell(run: Run) -> None:
        if run.host.bmc is not None:
            run.record(Warned(code="BMC", text=f"logged in with {run.host.bmc.password}"))
        true_tell(run)

    return ((fencing, "_tell_pacemaker", tell),)


DEFECTS: Mapping[str, Defect] = {
    "believes an empty list": Defect(law="L1", alter=_believes_an_empty_list),
    "takes an order for a proof": Defect(
        law="L2", alter=_believes_one_word, firsts=("panic, BMC stuck",)
    ),
    "goes on after a sign of life": Defect(law="L3", alter=_ignores_life, kinds=("host is back",)),
    "keeps old evidence": Defect(law="L3", alter=_keeps_old_evidence),
    "asks twice": Defect(law="L4", alter=_asks_twice),
    "calls an accepted one verified": Defect(law="L5", alter=_calls_it_verified),
    "loses local disks": Defect(law="L6", alter=_loses_local_disks),
    "asks for another host's server": Defect(law="L7", alter=_takes_another_host),
    "fences a healthy host": Defect(
        law="L7", alter=_fences_the_healthy, kinds=("a wrong host named",)
    ),
    "takes a begun one for done": Defect(law="L8", alter=_takes_it_for_done, kinds=("killed",)),
    "takes no lock": Defect(law="L9", alter=_takes_no_lock, kinds=("two operators",)),
    "acts without quorum": Defect(
        law="L9", alter=_acts_without_quorum, kinds=("no quorum",), firsts=("panic",), window=1
    ),
    "works in a storm": Defect(law="L10", alter=_works_in_a_storm, storms=True),
    "ends with a traceback": Defect(
        law="L11", alter=_never_ends, kinds=("requests refused", "answers lost")
    ),
    "tells a secret": Defect(law="L12", alter=_tells_a_secret),
}
"""By their names: what was done to the product."""
