"""Switch a host off and prove it (design section 3)."""

from collections.abc import Callable
from dataclasses import dataclass

from hacli.domain.events import EvidenceTaken
from hacli.domain.evidence import (
    Attestation,
    Doubt,
    FenceEvidence,
    OffBy,
    PowerReading,
    Silence,
    Witness,
)
from hacli.domain.gates import devices_for
from hacli.domain.hosts import ComputeHost, fenced_off
from hacli.domain.power import PowerState
from hacli.errors import NotFenced, SourceError
from hacli.ports import FenceAnswer, FenceResult, World
from hacli.service.asking import ask
from hacli.service.deathwatch import DeathWatch
from hacli.service.run import Run

LOOK_EVERY_S = 1.5
"""Between two rounds of questions while the host is going off; OFF readings must lie 3 s apart."""
PROOF_LOOK_LIMIT_S = 12.0


@dataclass(frozen=True, kw_only=True)
class FirstRead:
    """What the BMC said before anything was ordered; both None: no BMC is known."""

    state: PowerState | None
    error: SourceError | None
    took_s: float

    @property
    def words(self) -> str:
        """For the screen of checks."""
        state = self.state.value.upper() if self.state else "?"
        return f"answers in {self.took_s:.1f} s, power is {state}"


def read_bmc_first(world: World, host: ComputeHost) -> FirstRead:
    """Ask the BMC once, before ordering anything; a refused password is no answer either."""
    if host.bmc is None:
        return FirstRead(state=None, error=None, took_s=0.0)
    began = world.clock.monotonic()
    try:
        state = ask(world, world.switch(host.bmc).read_state)
    except SourceError as error:
        return FirstRead(state=None, error=error, took_s=world.clock.monotonic() - began)
    return FirstRead(state=state, error=None, took_s=world.clock.monotonic() - began)


def fence(
    run: Run,
    watch: DeathWatch,
    *,
    attestation: Attestation | None,
    allow_healthy: bool = False,
    beside: Callable[[], None] = lambda: None,
) -> FenceEvidence:
    """Order the power off and return the evidence of death.

    OFF is always ordered, also when the BMC already reads OFF, because only an OFF that follows an
    order of ours proves anything. Pacemaker is told the truth in the end, so that it stops trying.
    A second order, a minute after the first, is given only while the host still may be switched off
    (``allow_healthy``: whatever Pacemaker says of it). ``beside`` is called while waiting, for work
    that must not delay the fence.

    Raises:
        NotFenced: No evidence within the deadline; the state says whether an order is pending.
    """
    if attestation is None:
        ordered = _order_off(run, watch, allow_healthy=allow_healthy)
    else:
        ordered = _declare(run, watch, attestation)
    until = run.world.clock.awake() + _deadline_s(run, attestation)
    while True:
        watch.look(limit_s=PROOF_LOOK_LIMIT_S)
        run.claim.check()
        beside()
        verdict = watch.judge()
        if isinstance(verdict, FenceEvidence):
            break
        if run.world.clock.awake() >= until:
            raise _unproven(run, watch, verdict, ordered)
        run.world.clock.wait(LOOK_EVERY_S)
    run.record(EvidenceTaken(witness=verdict.witness.value, text=verdict.text))
    _tell_pacemaker(run)
    return verdict


def _declare(run: Run, watch: DeathWatch, attestation: Attestation) -> tuple[str, ...]:
    """Take a person's word, and pass it on to Pacemaker so that it begins no further attempt.

    Not with a sign of life against it. The attempt that is under way goes on (tried: a confirmation
    does not cancel it), and death counts as proven only when it has ended, because a reboot that
    succeeds late switches the host on.
    """
    watch.attest(attestation)
    watch.look(limit_s=PROOF_LOOK_LIMIT_S)
    doubt = watch.judge()
    if isinstance(doubt, FenceEvidence) or not doubt.signs_of_life:
        _tell_pacemaker(run)
    return ()


def _deadline_s(run: Run, attestation: Attestation | None) -> float:
    """How long to look for proof; after an attestation, until Pacemaker's own attempt has ended."""
    if attestation is None or run.sources_view is None:
        return run.policy.fence_deadline_s
    return run.policy.fence_deadline_s + run.sources_view.fencing_timeout_s


def _order_off(run: Run, watch: DeathWatch, *, allow_healthy: bool) -> tuple[str, ...]:
    """Order OFF by the configured ways until one carries it out; returns what each answered."""
    said: list[str] = []
    for number, way in enumerate(run.policy.fence_order):
        if number and not allow_healthy:
            watch.look(limit_s=PROOF_LOOK_LIMIT_S)
            if watch.objection is not None:
                said.append(f"not ordered by {way}: {watch.objection}")
                break
        try:
            run.claim.require()
        except SourceError as error:
            said.append(f"whether the host is still this run's could not be read: {error.why}")
            break
        done, text = (
            _order_by_pacemaker(run, watch) if way == "pacemaker" else _order_by_bmc(run, watch)
        )
        said.append(text)
        if done:
            break
    return tuple(said)


def _order_by_pacemaker(run: Run, watch: DeathWatch) -> tuple[bool, str]:
    view, node, cluster = run.sources_view, run.host.node, run.world.cluster
    if cluster is None or view is None or node is None:
        return False, "no cluster"
    if not view.acts or not devices_for(run.host, view):
        return False, "Pacemaker does not fence this host now"
    limit = _fence_limit(run)
    try:
        result: FenceResult = ask(run.world, lambda: cluster.fence_off(node.name, timeout_s=limit))
    except SourceError as error:
        return False, f"Pacemaker: {error.why}"
    if result.answer is FenceAnswer.CONFIRMED:
        watch.ordered_off(OffBy.PACEMAKER)
        return True, "Pacemaker switched it off"
    pending = "; its order may still be pending" if result.answer is FenceAnswer.PENDING else ""
    return False, f"Pacemaker could not fence it: {result.message or result.answer.value}{pending}"


def _fence_limit(run: Run) -> float:
    """The sum of what the node's levels may take, but never beyond the deadline."""
    view, node = run.sources_view, run.host.node
    assert view is not None
    assert node is not None
    levels = {level.index for level in view.levels if level.target == node.name}
    return min(view.fencing_timeout_s * max(1, len(levels)), run.policy.fence_deadline_s)


def _order_by_bmc(run: Run, watch: DeathWatch) -> tuple[bool, str]:
    if run.host.bmc is None:
        return False, "no BMC is known"
    try:
        ask(run.world, run.world.switch(run.host.bmc).power_off)
    except SourceError as error:
        return False, f"{run.host.bmc.label}: {error.why}"
    watch.ordered_off(OffBy.BMC)
    return True, f"{run.host.bmc.label} acknowledged OFF"


def _tell_pacemaker(run: Run) -> None:
    """With proof in hand, confirm to a Pacemaker that still tries (``stonith_admin --confirm``)."""
    cluster, node = run.world.cluster, run.host.node
    if cluster is None or node is None:
        return
    try:
        view = ask(run.world, cluster.read_view)
        now = view.node(node.name)
        if view.acts and now is not None and not fenced_off(now):
            ask(run.world, lambda: cluster.confirm_off(node.name))
    except SourceError as error:
        run.warn("PACEMAKER_NOT_TOLD", f"Pacemaker could not be told that it is off: {error.why}")


def _unproven(run: Run, watch: DeathWatch, doubt: Doubt, ordered: tuple[str, ...]) -> NotFenced:
    power = watch.power
    reads_on = isinstance(power, PowerReading) and power.state is PowerState.ON
    if reads_on and len(doubt.signs_of_life) <= 1:  # the BMC's own word; more than that is life
        code = "FENCE_FAILED"
    elif doubt.signs_of_life:
        code = "SIGN_OF_LIFE"
    elif isinstance(power, Silence):
        code = "FENCE_UNREACHABLE"
    else:
        code = "NOT_FENCED"
    seen = [f"sign of life: {text}" for text in doubt.signs_of_life] + list(doubt.missing)
    return not_fenced(run.host, code, "; ".join([*ordered, *seen]))


def not_fenced(host: ComputeHost, code: str, why: str) -> NotFenced:
    """The error that says that death is not proven and that no server was touched."""
    name = host.name
    label = host.bmc.label if host.bmc else "its power"
    pending = "its order may still be pending" in why
    state = f"Its VMs are still assigned to {name}. No data is at risk while nobody evacuates."
    if pending:
        state += " Pacemaker may still carry out the power-off."
    return NotFenced(
        f"{name} could not be proven off, so none of its VMs was touched.",
        why=why,
        state=state,
        next_steps=_next_steps(name, label, code),
        code=code,
        host=name,
    )


def _next_steps(name: str, label: str, code: str) -> tuple[str, ...]:
    if code == "SIGN_OF_LIFE":
        return (
            f"see which machine {label} really switches;",
            f"cut the power at the rack, then:  hacli recover {name}",
            f"it lives and is well after all:   hacli enable {name}",
        )
    return (
        f"when {label} works again:       hacli recover {name}",
        f"you cut its power and are sure: hacli recover {name} --fence-ack {name}",
    )


def witness_text(evidence: FenceEvidence, host_bmc: str | None) -> str:
    """The evidence in the few words of a step line."""
    if evidence.witness is Witness.BMC and host_bmc:
        return evidence.text.replace("the BMC", host_bmc)
    return evidence.text
