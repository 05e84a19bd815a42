"""The switches of one nova-compute record: disable, force-down, force-up, enable.

A write whose answer is uncertain is read back, never believed and never repeated blindly; all
four are idempotent in Nova, so that one more try after a read-back is safe.
"""

from collections.abc import Callable, Mapping

from hacli.domain.events import StepDone, StepStarted
from hacli.domain.evidence import Doubt, FenceEvidence
from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE, disabled_by_recovery
from hacli.domain.servers import Accepted, ComputeService, NotSent, Rejected, RequestOutcome
from hacli.errors import Failed, SourceError
from hacli.ports import Task, World
from hacli.service.asking import ask
from hacli.service.deathwatch import DeathWatch
from hacli.service.run import Run

TRIES = 3
TRY_AGAIN_AFTER_S = 2.0


class EarlyDisable:
    """The disable that runs beside the fence, best effort, and never delays it.

    On a dead host that Nova still calls up the answer takes 60 s, but the database is written
    first (``lab-joined.md`` 3): the answer is not waited for, the record is read back.
    """

    def __init__(self, run: Run, watch: DeathWatch) -> None:
        self._run = run
        self._began = run.world.clock.monotonic()
        self._task: Task[RequestOutcome] | None = None
        self.done = False  # by this run, and read back or acknowledged
        service = watch.service or run.services.of(run.nova_host)
        assert service is not None
        if not service.enabled:
            self._report("skipped", f"already disabled ({service.disabled_reason or 'no reason'})")
            return
        run.record(StepStarted(step="disable"))
        watch.wrote()
        compute, limit, marker = run.world.compute, run.policy.early_disable_limit_s, run.marker
        self._task = run.world.tasks.submit(
            lambda: compute.disable(service, reason=marker, timeout_s=limit)
        )

    def take_in(self) -> None:
        """Report the answer once it has come."""
        if self._task is not None and self._task.done:
            accepted = isinstance(self._task.result(), Accepted)
            self._task = None
            if accepted:
                self._report("ok", f"no new VMs on {self._run.host.name}")
            else:
                self._read_back()

    def finish(self) -> None:
        """The fence is done, so nothing waits any longer: report what Nova's record says."""
        self.take_in()
        if self._task is not None:
            self._task = None
            self._read_back()

    def _read_back(self) -> None:
        try:
            disabled = not read_service(self._run.world, self._run.nova_host).enabled
        except (SourceError, Failed):
            disabled = False
        if disabled:
            self._report("ok", f"no new VMs on {self._run.host.name} (read back)")
        else:
            self._report("late", "no answer yet; it is set again together with force-down")

    def _report(self, status: str, text: str) -> None:
        self.done = status == "ok"
        took = self._run.world.clock.monotonic() - self._began
        self._run.record(StepDone(step="disable", status=status, took_s=round(took, 3), text=text))


def read_service(world: World, nova_host: str) -> ComputeService:
    """The compute service as Nova has it now.

    Raises:
        Failed: Nova does not list it, or its cell is down.
    """
    service = ask(world, world.compute.read_services).of(nova_host)
    if service is None or not service.known:
        raise Failed(
            f"Nova does not show the compute service of {nova_host}.",
            why="the service is not in the list, or its cell is down",
            state="Unknown.",
            code="SERVICE_MISSING",
            host=nova_host,
        )
    return service


def force_down(run: Run, watch: DeathWatch, evidence: FenceEvidence) -> str:
    """Tell Nova that the host is down, on this evidence, and read it back; returns the step's text.

    The node attributes come first: a crash between them and the PUT leaves a force-down that is
    known to be ours, never one whose owner nobody knows.
    """
    service = read_service(run.world, run.nova_host)
    evidence = _prove_again(run, watch, evidence)  # the gate stops nova-compute: on the dead alone
    attributes = _set_gate(run)
    reason = run.marker if service.enabled else None
    if service.forced_down:
        if service.enabled:
            _disable(run, watch, service)
        ours = FORCED_DOWN_ATTRIBUTE in attributes or (
            run.host.node is None and disabled_by_recovery(service)
        )
        return "Nova was told already" + ("" if ours else " (not by hacli; it stays)")
    _write_attribute(run, FORCED_DOWN_ATTRIBUTE)

    def send() -> RequestOutcome:
        fresh = _prove_again(run, watch, evidence)
        watch.wrote()
        return ask(
            run.world,
            lambda: run.world.compute.force_down(
                service, fresh, disable_reason=reason, may_send=lambda: run.is_fresh(fresh)
            ),
        )

    change(run.world, run.nova_host, send, lambda now: now.forced_down, what="force it down")
    return "Nova knows" + ("" if run.host.node is None else ", Pacemaker knows")


def _prove_again(run: Run, watch: DeathWatch, evidence: FenceEvidence) -> FenceEvidence:
    """Evidence that is fresh now (law L3): an answer that never came has cost more than a minute.

    Raises:
        Failed: A sign of life appeared, or the witnesses were silent for too long.
    """
    until = run.world.clock.awake() + run.policy.silence_limit_s
    verdict: FenceEvidence | Doubt = evidence
    while True:
        run.claim.check()
        now = run.world.clock.awake()
        if isinstance(verdict, Doubt):
            if verdict.signs_of_life or now >= until:
                raise _not_dead(run, verdict)
            run.world.clock.wait(TRY_AGAIN_AFTER_S)
        elif run.is_fresh(verdict):
            return verdict
        watch.look()
        verdict = watch.judge()


def _not_dead(run: Run, doubt: Doubt) -> Failed:
    name, alive = run.host.name, bool(doubt.signs_of_life)
    power = "" if alive else f"By the last proof {name} is switched off. "
    return Failed(
        f"{name} is not forced down: "
        + ("it shows signs of life." if alive else "its death can no longer be proven."),
        why="; ".join(doubt.signs_of_life or doubt.missing),
        state=f"{power}No VM was asked for in this run.",
        next_steps=(f"hacli recover {name}    goes on from here",),
        code="SIGN_OF_LIFE" if alive else "EVIDENCE_LOST",
        host=name,
    )


def change(
    world: World,
    nova_host: str,
    send: Callable[[], RequestOutcome],
    is_done: Callable[[ComputeService], bool],
    *,
    what: str,
) -> ComputeService:
    """Send an idempotent change until it is read back as done.

    Raises:
        Failed: Nova refuses, or the change does not show after three tries.
    """
    why = ""
    for attempt in range(TRIES):
        if attempt:
            world.clock.wait(TRY_AGAIN_AFTER_S)
        outcome = send()
        if isinstance(outcome, Rejected):
            why = f"Nova refused ({outcome.status}): {outcome.message}"
            break
        if isinstance(outcome, NotSent):
            why = outcome.why
            continue
        try:
            service = read_service(world, nova_host)
        except SourceError as error:
            why = error.why
            continue
        if is_done(service):
            return service
        why = "Nova does not show the change"
    raise Failed(
        f"Nova could not be told to {what} ({nova_host}).",
        why=why,
        state="Whether Nova has taken the change is not known. No VM was asked for in this step.",
        next_steps=("the same command again goes on from here",),
        code="NOVA_WRITE_FAILED",
        host=nova_host,
    )


def _disable(run: Run, watch: DeathWatch, service: ComputeService) -> None:
    """Somebody else has forced the host down; new servers are kept away by us all the same."""
    limit_s = run.policy.early_disable_limit_s

    def send() -> RequestOutcome:
        watch.wrote()
        compute = run.world.compute
        return ask(
            run.world, lambda: compute.disable(service, reason=run.marker, timeout_s=limit_s)
        )

    change(run.world, run.nova_host, send, lambda now: not now.enabled, what="disable it")


def _set_gate(run: Run) -> Mapping[str, str]:
    """Keep nova-compute off the node until ``enable`` lifts it; returns the node's attributes.

    They are read anew: somebody may have lifted a gate that the run's own facts still show. The
    port reads back what it writes.
    """
    cluster, node = run.world.cluster, run.host.node
    if cluster is None or node is None:
        return {}
    now = ask(run.world, cluster.read_view).node(node.name)
    attributes = now.attributes if now is not None else {}
    if GATE_ATTRIBUTE not in attributes:
        _write_attribute(run, GATE_ATTRIBUTE)
    return attributes


def _write_attribute(run: Run, name: str) -> None:
    cluster, node = run.world.cluster, run.host.node
    if cluster is not None and node is not None:
        ask(run.world, lambda: cluster.write_attribute(node.name, name, run.journal.run))
