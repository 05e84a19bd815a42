"""`disable` and `enable`: the switch of scheduling, and the careful way back (design section 6)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hacli.domain.cluster import ClusterNode, Role
from hacli.domain.events import RunStarted
from hacli.domain.hosts import (
    FORCED_DOWN_ATTRIBUTE,
    GATE_ATTRIBUTE,
    MARKER,
    ComputeHost,
    HostNames,
    connected,
    disabled_by_recovery,
)
from hacli.domain.policy import Policy
from hacli.domain.servers import ComputeService, MigrationStatus, RequestOutcome
from hacli.errors import DeadlinePassed, Refused, SourceError
from hacli.ports import Journal, World
from hacli.service.asking import ask
from hacli.service.claim import HostClaim, require_unclaimed
from hacli.service.compute_service import change, read_service
from hacli.service.observe import Sources, find_host, join, read_sources
from hacli.service.records import read_open_evacuations
from hacli.service.recovery import Context, require_service, require_sources
from hacli.service.run import Run

POLL_S = 2.0
RESTART_AFTER_S = 60.0
"""``done`` records that stay so long need one more start of nova-compute (lab-openstack 4.8)."""
RESTART_LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Switched:
    """The end of `disable` or `enable`. ``already`` says that there was nothing to do."""

    host: str
    run: str
    verb: str
    already: str | None = None
    kept: tuple[str, ...] = ()  # what is not ours and stays


def find(world: World, configured: Iterable[HostNames], name: str) -> tuple[ComputeHost, Sources]:
    """The host of this name, in Nova, with the sources it was found in."""
    sources = read_sources(world)
    hosts = join(sources, configured)
    require_sources(sources)
    host = find_host(hosts, name)
    require_service(host)
    return host, sources


def start_run(
    world: World,
    host: ComputeHost,
    sources: Sources,
    *,
    policy: Policy,
    context: Context,
    journal: Journal,
) -> Run:
    """A run of `disable`, `enable` or `fence --power-on` on this host, recorded as begun."""
    assert host.service is not None
    run = Run(
        world=world,
        host=host,
        policy=policy,
        journal=journal,
        claim=HostClaim(world, journal, host, context, settle_s=policy.settle_s),
        sources_view=sources.cluster,
        services=require_sources(sources),
    )
    run.record(
        RunStarted(
            user=context.user,
            controller=context.controller,
            version=context.version,
            arguments=context.arguments,
            message=context.message,
        )
    )
    return run


def preview(world: World, host: ComputeHost, verb: str) -> list[str]:
    """What `disable` or `enable` would do now; reads only."""
    assert host.service is not None
    service = read_service(world, host.service.host)
    lines = ["DRY RUN: nothing is changed.", ""]
    if verb == "disable":
        would = f"{host.name} would get no new VMs." if service.enabled else "Nothing to do."
        return [*lines, would]
    opened = len(read_open_evacuations(world, host.service.host))
    gated = host.node is not None and GATE_ATTRIBUTE in host.node.attributes
    facts = (
        (not opened, f"open evacuations: {opened}"),
        (True, "gate: " + ("is lifted first" if gated else "none")),
        (host.node is None or connected(host.node), "Pacemaker has a connection to it"),
        (True, "force-down: " + ("is taken away" if service.forced_down else "none")),
        (True, "scheduling: " + ("is enabled" if not service.enabled else "enabled already")),
    )
    return lines + [f"  {'ok  ' if good else 'wait'}  {text}" for good, text in facts]


def disable(run: Run, *, message: str | None) -> Switched:
    """Keep new servers away from the host; the reason names the run and the operator's words.

    It takes no claim: one idempotent PUT, on the safe side, which must also be possible while the
    cluster has no quorum. But it does not write into another run's work.

    Raises:
        Busy: Another run has the host.
    """
    require_unclaimed(run.world, run.host, run.sources_view)
    service = read_service(run.world, run.nova_host)
    name = run.host.name
    if not service.enabled:
        text = f"{name} is already disabled ({service.disabled_reason or 'no reason given'})"
        return Switched(host=name, run=run.journal.run, verb="disable", already=text)
    reason = f"{MARKER}{run.journal.run} disable" + (f": {message}" if message else "")
    with run.step("disable") as report:
        change(
            run.world,
            run.nova_host,
            lambda: ask(
                run.world,
                lambda: run.world.compute.disable(
                    service, reason=reason[:255], timeout_s=run.policy.early_disable_limit_s
                ),
            ),
            lambda now: not now.enabled,
            what="disable it",
        )
        report.end(f"no new VMs on {name}")
    return Switched(host=name, run=run.journal.run, verb="disable")


class Enabling:
    """The way back of one host, in the order in which each step is safe.

    No open evacuation → gate lifted → chain started → heartbeat advances → no ``done`` record
    left → force-up → up → enabled. What is not ours stays, unless the operator adopts it.
    """

    def __init__(self, run: Run, *, until: float, adopt: bool) -> None:
        self._run = run
        self._world = run.world
        self._until = until
        self._adopt = adopt
        self._kept: list[str] = []

    def enable(self) -> Switched:
        """Bring the host back into service.

        Raises:
            Busy: Another run has the host, or has taken it over meanwhile.
            Refused: An evacuation from it is open. DeadlinePassed: what it still waited for.
        """
        service = read_service(self._world, self._run.nova_host)
        name, run_id = self._run.host.name, self._run.journal.run
        if service.enabled and not service.forced_down and not self._has_traces():
            text = f"{name} is already enabled"
            return Switched(host=name, run=run_id, verb="enable", already=text)
        with self._run.claim.held():
            self._run.claim.require()
            self._enable(service)
            self._run.claim.settle()
        return Switched(host=name, run=run_id, verb="enable", kept=tuple(self._kept))

    def _enable(self, service: ComputeService) -> None:
        self._refuse_open_evacuations()
        self._lift_gate()
        beat = service.updated_at
        self._wait_for_chain()
        if service.forced_down and self._may_release(service):
            self._wait_for_heartbeat(beat)
            self._wait_for_cleanup()
            self._force_up()
        elif not service.forced_down:
            self._clear_force_down_note()
        self._enable_scheduling()

    def _has_gate(self) -> bool:
        node = self._run.host.node
        return node is not None and GATE_ATTRIBUTE in node.attributes

    def _has_traces(self) -> bool:
        """A recovery has left something on the node or in the CIB."""
        node, view = self._run.host.node, self._run.sources_view
        noted = node is not None and FORCED_DOWN_ATTRIBUTE in node.attributes
        claimed = view is not None and self._run.nova_host in view.claims
        return noted or claimed or self._has_gate()

    def _refuse_open_evacuations(self) -> None:
        """Starting nova-compute now would make it destroy the guests of these (facts A.6)."""
        opened = read_open_evacuations(self._world, self._run.nova_host)
        if not opened:
            self._run.skip("open evacuations", "none")
            return
        name = self._run.host.name
        raise Refused(
            f"{name} is not taken back: {len(opened)} evacuations from it are still open.",
            why="starting nova-compute there now would destroy the guests they rebuild: "
            + ", ".join(f"{record.server[:8]} ({record.raw_status})" for record in opened[:5]),
            next_steps=(
                f"let them end:                  hacli recover {name}",
                "one that is stuck for ever:    hacli explain VM_STUCK",
            ),
            code="OPEN_EVACUATIONS",
            host=name,
        )

    def _lift_gate(self) -> None:
        cluster, node = self._world.cluster, self._run.host.node
        if cluster is None or node is None or not self._has_gate():
            return
        self._run.claim.require()
        with self._run.step("gate") as report:
            ask(self._world, lambda: cluster.clear_attribute(node.name, GATE_ATTRIBUTE))
            report.end(f"nova-compute may start on {self._run.host.name}")

    def _wait_for_chain(self) -> None:
        if self._world.cluster is None or self._run.host.node is None:
            return
        with self._run.step("chain") as report:
            self._wait(self._missing_in_chain, "NOVA_CLEANUP")
            report.end("every service of the host runs")

    def _missing_in_chain(self) -> str | None:
        """What the chain still waits for; None when all of it runs."""
        node = self._read_node()
        if node is None:
            return "Pacemaker does not list the node"
        if not connected(node):
            return "Pacemaker has no connection to it: is it switched on?"
        for service in node.chain:
            if service.role is not Role.STARTED:
                why = f": {service.failure}" if service.failure else ""
                return f"{service.name} is {service.role.value}{why}"
        return None

    def _read_node(self) -> ClusterNode | None:
        cluster, node = self._world.cluster, self._run.host.node
        assert cluster is not None
        assert node is not None
        asked_at = self._world.clock.monotonic()
        view = ask(self._world, cluster.read_view)
        self._run.claim.hear(view.claims.get(self._run.nova_host), counts=view.acts, at=asked_at)
        self._run.claim.check()
        return view.node(node.name)

    def _may_release(self, service: ComputeService) -> bool:
        """Only a force-down of ours is taken away.

        The node attribute, written before we force down, tells; the marker alone says who disabled
        the host, and is believed only where no cluster could keep the attribute.
        """
        if self._adopt:
            return True
        if self._run.host.node is None or self._world.cluster is None:
            ours = disabled_by_recovery(service)
        else:
            ours = FORCED_DOWN_ATTRIBUTE in self._run.host.node.attributes
        if ours:
            return True
        self._keep("the force-down is not hacli's and stays (--adopt takes it over)")
        return False

    def _clear_force_down_note(self) -> None:
        """A run that died before its force-down left a note that claims the next one, too."""
        cluster, node = self._world.cluster, self._run.host.node
        if cluster is not None and node is not None and FORCED_DOWN_ATTRIBUTE in node.attributes:
            self._run.claim.require()
            ask(self._world, lambda: cluster.clear_attribute(node.name, FORCED_DOWN_ATTRIBUTE))

    def _wait_for_heartbeat(self, before: object) -> None:
        with self._run.step("heartbeat") as report:
            self._wait(lambda: self._missing_heartbeat(before), "NOVA_CLEANUP")
            report.end("nova-compute reports again")

    def _missing_heartbeat(self, before: object) -> str | None:
        service = read_service(self._world, self._run.nova_host)
        return None if service.updated_at != before else "nova-compute has not reported yet"

    def _wait_for_cleanup(self) -> None:
        """Nova refuses a force-up while ``done`` records remain; nova-compute ends them itself."""
        with self._run.step("clean-up") as report:
            restart_at = self._world.clock.awake() + RESTART_AFTER_S
            restarted = False

            def missing() -> str | None:
                nonlocal restarted
                left = self._done_records()
                if left and not restarted and self._world.clock.awake() >= restart_at:
                    restarted = True
                    self._restart_nova_compute()
                return f"{left} finished evacuations wait for nova-compute" if left else None

            self._wait(missing, "NOVA_CLEANUP")
            report.end("no old copy is left on it")

    def _done_records(self) -> int:
        found = ask(self._world, lambda: self._world.compute.read_evacuations(self._run.nova_host))
        return sum(record.status is MigrationStatus.DONE for record in found)

    def _restart_nova_compute(self) -> None:
        cluster, node = self._world.cluster, self._run.host.node
        if cluster is None or node is None or not node.chain:
            return
        self._run.claim.require()
        last = node.chain[-1].name
        self._run.warn("NOVA_CLEANUP", f"{last} is restarted once, so that it cleans up")
        ask(
            self._world,
            lambda: cluster.restart_service(node.name, last, timeout_s=RESTART_LIMIT_S),
        )

    def _force_up(self) -> None:
        with self._run.step("release") as report:
            self._change(
                self._world.compute.force_up,
                lambda now: not now.forced_down,
                what="take the force-down away",
            )
            cluster, node = self._world.cluster, self._run.host.node
            if cluster is not None and node is not None:
                ask(self._world, lambda: cluster.clear_attribute(node.name, FORCED_DOWN_ATTRIBUTE))
            self._wait(self._missing_up, "NOVA_CLEANUP")
            report.end("force-down cleared")

    def _missing_up(self) -> str | None:
        up = read_service(self._world, self._run.nova_host).up
        return None if up else "Nova does not call it up yet"

    def _enable_scheduling(self) -> None:
        service = read_service(self._world, self._run.nova_host)
        if service.enabled:
            return
        reason = service.disabled_reason or ""
        if not reason.startswith(MARKER) and not self._adopt:
            self._keep(f"it was disabled by somebody else ({reason or 'no reason given'}): stays")
            return
        if service.forced_down:
            return
        with self._run.step("enable") as report:
            self._change(
                self._world.compute.enable,
                lambda now: now.enabled,
                what="enable it",
            )
            report.end("may take new VMs")

    def _change(
        self,
        send: Callable[[ComputeService], RequestOutcome],
        is_done: Callable[[ComputeService], bool],
        *,
        what: str,
    ) -> None:
        def once() -> RequestOutcome:
            service = read_service(self._world, self._run.nova_host)
            self._run.claim.require()
            return ask(self._world, lambda: send(service))

        change(self._world, self._run.nova_host, once, is_done, what=what)

    def _keep(self, text: str) -> None:
        self._kept.append(text)
        self._run.warn("NOT_OURS", text)

    def _wait(self, missing: Callable[[], str | None], code: str) -> None:
        """Ask until nothing is missing; a source that is silent for a moment is asked again."""
        waiting_for = ""
        while True:
            try:
                found = missing()
            except SourceError as error:
                found = error.why
            if found is None:
                return
            if found != waiting_for:
                waiting_for = found
                self._run.warn("WAITING", found)
            if self._world.clock.awake() >= self._until:
                raise self._not_yet(waiting_for, code)
            self._world.clock.wait(POLL_S)

    def _not_yet(self, waiting_for: str, code: str) -> DeadlinePassed:
        name = self._run.host.name
        return DeadlinePassed(
            f"{name} is not enabled yet.",
            why=waiting_for,
            state=f"{name} stays disabled and gets no VMs.",
            next_steps=(f"hacli enable {name}    goes on from here",),
            code=code,
            host=name,
        )
