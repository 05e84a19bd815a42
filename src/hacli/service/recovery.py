"""`recover` and its parts `fence` and `evacuate`: from a lost host to verified servers.

``prepare`` reads and asks every safety check, and changes nothing: the dry run is its result.
``carry_out`` asks them again on fresh facts and then does the steps; running it again resumes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypeVar

from hacli.domain.evacuation import End, Past, Plan, ServerRun, Wishes, plan_evacuation
from hacli.domain.events import GateChecked, JsonValue, PlanMade, RunStarted
from hacli.domain.evidence import Attestation, Doubt, FenceEvidence
from hacli.domain.gates import (
    Gate,
    GateFacts,
    destinations,
    gates_to_evacuate,
    gates_to_fence,
    objections,
)
from hacli.domain.hosts import ComputeHost, HostNames, connected, fenced_off
from hacli.domain.past import fold_past, fold_starts
from hacli.domain.policy import Policy
from hacli.domain.power import PowerState
from hacli.domain.servers import Caller, Server, ServerGroup, ServiceList
from hacli.domain.start_in_place import StartPlan, fenced_and_back, gates_to_start
from hacli.errors import (
    HacliError,
    NotFenced,
    NotPermitted,
    Refused,
    SourceError,
    Unavailable,
)
from hacli.ports import History, Journal, World
from hacli.service import fencing, powering
from hacli.service.claim import GATE as CLAIM_GATE
from hacli.service.claim import HostClaim, claim_gate, refusal
from hacli.service.compute_service import EarlyDisable, force_down
from hacli.service.deathwatch import DeathWatch
from hacli.service.evacuation import Evacuated, Evacuation, ServerEnd, tell_of_life
from hacli.service.observe import Sources, find_host, join, read_sources
from hacli.service.records import read_records
from hacli.service.run import Run
from hacli.service.start_in_place import StartInPlace
from hacli.service.starts import read_starts

REFUSALS = {
    "host is down": "Pacemaker does not say that {name} is dead.",
    "quorum": "This part of the cluster may not act on {name}.",
    "blast radius": "Too many hosts look down at once to act on {name}.",
    "taken back": "{name} is back, and still set apart by a recovery.",
    "services run": "{name} is back, and its nova-compute does not work yet.",
    "room": "No other host can take the VMs of {name}.",
}
"""What a gate's no means, in a sentence."""


T = TypeVar("T")

READ_AGAIN_S = 3.0
ALLOW_HEALTHY = "--allow-healthy"
QUORUM_GATE = "quorum"


class Verb(Enum):
    """How far the run goes."""

    FENCE = "fence"
    EVACUATE = "evacuate"
    RECOVER = "recover"


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who runs this, from where, and with which words; for the record."""

    user: str
    controller: str
    version: str
    arguments: tuple[str, ...]
    message: str | None = None
    take_over: bool = False  # a person's word that the run that has the host is gone


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the operator chose."""

    verb: Verb
    context: Context
    wishes: Wishes = field(default_factory=Wishes)
    allowed: frozenset[str] = frozenset()
    attested: str | None = None  # the reason typed with --fence-ack
    power_on: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The facts, the answers of the gates and the plan; nothing has been changed."""

    host: ComputeHost
    sources: Sources
    services: ServiceList
    power: PowerState | None  # None: the BMC is silent, refuses, or is not known
    gates: tuple[Gate, ...]
    plan: Plan
    already: str | None  # set: there is nothing left to do, and why
    starts: StartPlan | None = None  # set: the host is back, and they are started where they are


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """The end of a run that was carried out."""

    host: str
    run: str
    verb: Verb
    evidence: str | None
    evacuated: Evacuated
    took_s: float
    powered_on: bool
    already: str | None = None
    in_place: bool = False

    @property
    def complete(self) -> bool:
        """Every server of the host is verified; none failed, none was left behind."""
        whole = self.evacuated.unsure is None
        return whole and not self.evacuated.failed and not self.evacuated.skips


def prepare(
    world: World,
    configured: Iterable[HostNames],
    name: str,
    *,
    policy: Policy,
    options: Options,
    history: History | None = None,
) -> Prepared:
    """Read everything and ask every gate.

    Raises:
        UsageError, Refused: The name; Unavailable: a source that decides is silent;
        NotPermitted: not an administrator.
    """
    sources = read_sources(world)
    hosts = join(sources, configured)
    services = require_sources(sources)
    host = find_host(hosts, name)
    require_service(host)

    def claim() -> tuple[Gate, ...]:
        take_over = options.context.take_over
        return claim_gate(world, host, sources.cluster, history, take_over=take_over)

    if options.verb is Verb.RECOVER and ALLOW_HEALTHY not in options.allowed:
        fenced_at = fenced_and_back(host, sources.cluster)
        if fenced_at is not None:
            there = _prepare_starts(world, host, sources, fenced_at, policy=policy, options=options)
            return replace(there, gates=there.gates + claim())
    first = fencing.read_bmc_first(world, host)
    facts = GateFacts(
        host=host,
        hosts=hosts,
        view=sources.cluster,
        services=services,
        bmc=first.words,
        bmc_error=first.error,
        storm_share=policy.storm_share,
    )
    plan = Plan(runs=(), skips=())
    gates = gates_to_fence(facts, options.allowed) + claim()
    if options.verb is not Verb.FENCE:
        assert host.service is not None
        events = history.read_events(host=host.service.host) if history is not None else ()
        past = fold_past(events, now=world.clock.moment())
        homes = _homes(services, host.service.host, options.wishes)
        records = read_records(world, host, past, policy, homes=homes)
        now = world.clock.awake()
        plan = plan_evacuation(records, options.wishes, past, now=now, policy=policy)
        gates += gates_to_evacuate(facts, plan, options.allowed)
    return Prepared(
        host=host,
        sources=sources,
        services=services,
        power=first.state,
        gates=gates,
        plan=plan,
        already=_already(host, plan, options),
    )


def _prepare_starts(
    world: World,
    host: ComputeHost,
    sources: Sources,
    fenced_at: datetime,
    *,
    policy: Policy,
    options: Options,
) -> Prepared:
    """The host was fenced and is back: what stopped in the outage is started where it is."""
    gates = gates_to_start(host, sources.cluster)
    starts, already = StartPlan(starts=(), skips=()), None
    if not objections(gates):
        records = read_records(world, host, None, policy)
        starts = read_starts(world, records, options.wishes, fenced_at=fenced_at)
        if not starts.starts and not starts.skips:
            already = f"{host.name} is back, and none of its VMs waits to be started"
    return Prepared(
        host=host,
        sources=sources,
        services=require_sources(sources),
        power=None,
        gates=gates,
        plan=Plan(runs=(), skips=()),
        already=already,
        starts=starts,
    )


def require_sources(sources: Sources) -> ServiceList:
    """The sources that an acting command cannot do without."""
    for source in (sources.view, sources.caller, sources.services):
        if isinstance(source, NotPermitted):
            raise source
        if isinstance(source, SourceError):
            raise Unavailable(
                f"{source.source} did not answer.",
                why=source.why,
                next_steps=("hacli status    shows which sources answer",),
            )
    assert isinstance(sources.caller, Caller)
    assert isinstance(sources.services, ServiceList)
    if not sources.caller.admin:
        why = sources.caller.why_not or f"user {sources.caller.user} is not an administrator"
        raise NotPermitted(source="Nova", why=why)
    return sources.services


def require_service(host: ComputeHost) -> None:
    """Nova has a compute service for the host and shows all of it.

    Raises:
        Refused: No service has a name of this host. Unavailable: its cell is down (law L1).
    """
    if host.service is None:
        raise Refused(
            f"Nova has no compute service for {host.name}.",
            next_steps=(f'name it in hacli.toml: [host."{host.name}"] nova = "NAME"',),
            code="NAME_UNJOINED",
            host=host.name,
        )
    if not host.service.known:
        raise Unavailable(
            f"Nova shows neither the compute service nor the VMs of {host.name}.",
            why="its cell is down",
            next_steps=("the same command again, when the cell is back",),
            code="SERVICE_MISSING",
            host=host.name,
        )


def _already(host: ComputeHost, plan: Plan, options: Options) -> str | None:
    """Why there is nothing to do: the host is away, Nova knows, and no server is left on it."""
    assert host.service is not None
    if options.verb is not Verb.RECOVER or plan.runs or plan.skips:
        return None
    away = host.node is None or not connected(host.node)
    if away and host.service.forced_down and not host.service.enabled:
        return f"{host.name} is recovered already: it is forced down, disabled and empty"
    return None


def require_gates(prepared: Prepared, options: Options) -> None:
    """Raise for the first gate that does not hold; the quorum's comes before all others.

    A part of the cluster without quorum stops what it runs, and so has opinions that mean nothing.

    Raises:
        NotFenced: Nothing can cut the host's power, or `evacuate` would have to (exit 5).
        Refused: any other objection.
    """
    for gate in sorted(objections(prepared.gates), key=lambda gate: gate.name != QUORUM_GATE):
        if gate.name == CLAIM_GATE:
            raise refusal(prepared.host.name, gate)
        if options.verb is Verb.EVACUATE and gate.name == "host is down":
            continue  # its own question is whether the host is off, asked by the proof
        name = prepared.host.name
        code = gate.code or "REFUSED"
        if gate.name == "can fence":
            if options.attested:
                continue
            raise fencing.not_fenced(prepared.host, code, gate.text)
        anyway = f"hacli {options.verb.value} {name} {gate.flag}"
        flags = (f"do it all the same:  {anyway}",) if gate.flag else ()
        raise Refused(
            REFUSALS.get(gate.name, "The check for {name} says no.").format(name=name),
            why=gate.text,
            next_steps=(*_advice(code, prepared), *flags),
            code=code,
            host=name,
        )
    if options.verb is Verb.EVACUATE:
        _require_off_already(prepared, options)


def require_same_way(asked: Prepared, now: Prepared) -> None:
    """What the operator said yes to is what is done, though the world moved on meanwhile.

    Raises:
        Refused: The host came back, or was lost again, while the name was typed.
    """
    if (asked.starts is None) != (now.starts is None):
        name = now.host.name
        how = "has been lost again" if now.starts is None else "has come back"
        raise Refused(
            f"{name} {how} while the question stood, so nothing was done.",
            why="what would be done now is not what was asked about",
            next_steps=(f"hacli recover {name}    asks anew",),
            code="HOST_HEALTHY" if now.starts is not None else "HOST_LOST",
            host=name,
        )


def _advice(code: str, prepared: Prepared) -> tuple[str, ...]:
    name, service = prepared.host.name, prepared.host.service
    if code == "HOST_HEALTHY" and service is not None and service.forced_down:
        return (f"take it back into service:  hacli enable {name}",)
    if code == "HOST_HEALTHY":
        return (f"empty it without downtime:  hacli disable {name}", "  and live-migrate its VMs")
    if code == "HOST_RETURNED":
        return (
            f"take it back into service:  hacli enable {name}",
            f"then start what stopped:    hacli recover {name}",
            f"or fence it once more:      hacli recover {name} --allow-healthy",
        )
    if code == "HOST_DEGRADED":
        return (
            f"look at its services:       hacli status {name}",
            f"when nova-compute is up:    hacli recover {name}",
        )
    if code == "NO_QUORUM":
        return ("run hacli on a controller of the majority",)
    return ("look first:  hacli status",)


def carry_out(
    world: World,
    prepared: Prepared,
    *,
    policy: Policy,
    options: Options,
    journal: Journal,
) -> Recovered:
    """Do the steps, with the host's claim. The caller holds the lock of this machine and has the
    operator's confirmation.

    Raises:
        Busy: Another run has the host, or has taken it over meanwhile.
        Refused, NotFenced, Failed, Unavailable, Interrupted: with the state things are in.
    """
    assert prepared.host.service is not None
    run = Run(
        world=world,
        host=prepared.host,
        policy=policy,
        journal=journal,
        claim=HostClaim(world, journal, prepared.host, options.context, settle_s=policy.settle_s),
        sources_view=prepared.sources.cluster,
        services=prepared.services,
    )
    _record_start(run, prepared, options)
    left = run.sources_view is not None and run.nova_host in run.sources_view.claims
    if prepared.already is not None and not options.power_on and not left:
        return _carry_out(run, prepared, options)  # nothing is changed, so nothing is claimed
    with run.claim.held():
        return _carry_out(run, prepared, options)


def _carry_out(run: Run, prepared: Prepared, options: Options) -> Recovered:
    world = run.world
    began = world.clock.monotonic()
    require_gates(prepared, options)
    if prepared.already is not None:
        empty = Evacuated(ends=(), skips=())
        result = _result(run, options, None, empty, began)
        powered_on = options.power_on and prepared.starts is None and _power_on(run)
        in_place = prepared.starts is not None
        return replace(result, already=prepared.already, powered_on=powered_on, in_place=in_place)
    if prepared.starts is not None:
        started = _start_there(run, prepared, prepared.starts)
        return replace(_result(run, options, None, started, began), in_place=True)
    watch = DeathWatch(world, prepared.host, prepared.sources.cluster, run.claim)
    evidence: FenceEvidence | None = None
    if options.verb is Verb.RECOVER and _has_only_arrivals(prepared):
        run.skip("fence", "every VM has left the host already; they are only read back")
    else:
        evidence = _prove_death(run, watch, prepared, options)
    evacuated = Evacuated(ends=(), skips=())
    if options.verb is not Verb.FENCE:
        if evidence is not None:
            with run.step("force-down") as report:
                proof = evidence
                report.end(_patiently(run, lambda: force_down(run, watch, proof)))
        evacuated = _bring_back(run, watch, evidence, prepared, options)
    powered_on = options.power_on and not evacuated.failed and _power_on(run)
    if options.verb is Verb.RECOVER:
        for step in ("release", "enable"):
            run.skip(step, "the host is away; see hacli enable")
    return _result(run, options, evidence, evacuated, began, powered_on=powered_on)


def _start_there(run: Run, prepared: Prepared, starts: StartPlan) -> Evacuated:
    fenced_at = fenced_and_back(prepared.host, prepared.sources.cluster)
    assert fenced_at is not None
    events = run.journal.read_events(host=run.nova_host)
    intents = fold_starts(events, now=run.world.clock.moment())
    with run.step("start") as report:
        started = StartInPlace(run, starts, fenced_at=fenced_at, intents=intents).run()
        good, total = len(started.verified), len(started.ends) + len(started.skips)
        report.end(f"{good} of {total} VMs", status="ok" if good == total else "partial")
    return started


def _record_start(run: Run, prepared: Prepared, options: Options) -> None:
    who = options.context
    run.record(
        RunStarted(
            user=who.user,
            controller=who.controller,
            version=who.version,
            arguments=who.arguments,
            message=who.message,
        )
    )
    for gate in prepared.gates:
        code = None if gate.passed else gate.code
        run.record(GateChecked(gate=gate.name, passed=gate.holds, text=gate.text, code=code))


def _prove_death(
    run: Run, watch: DeathWatch, prepared: Prepared, options: Options
) -> FenceEvidence:
    watch.look(limit_s=run.policy.first_read_limit_s)
    run.claim.require()
    _require_still_lost(run, watch, options)
    early = EarlyDisable(run, watch) if options.verb is not Verb.FENCE else None
    use = _attestation(run, options) if prepared.power is None else None
    with run.step("fence") as report, _told_what_is_disabled(run, early):
        beside = early.take_in if early else lambda: None
        healthy = ALLOW_HEALTHY in options.allowed
        evidence = fencing.fence(run, watch, attestation=use, allow_healthy=healthy, beside=beside)
        label = run.host.bmc.label if run.host.bmc else None
        report.end(fencing.witness_text(evidence, label), witness=evidence.witness.value)
    if early is not None:
        early.finish()
    return evidence


def _require_still_lost(run: Run, watch: DeathWatch, options: Options) -> None:
    """Law L7, once more on the newest word, just before anything is ordered.

    The gates were asked before the lists were read; a host may be back by now.

    Raises:
        Refused: Pacemaker is connected to it, and nobody said --allow-healthy.
    """
    if watch.connected and ALLOW_HEALTHY not in options.allowed:
        raise Refused(
            f"{run.host.name} is connected, so nothing was ordered.",
            why="Pacemaker: online",
            next_steps=(f"take it back into service:  hacli enable {run.host.name}",),
            code="HOST_HEALTHY",
            host=run.host.name,
        )


@contextmanager
def _told_what_is_disabled(run: Run, early: EarlyDisable | None) -> Iterator[None]:
    """Add to the state of a failed fence what this run has changed all the same."""
    try:
        yield
    except NotFenced as error:
        if early is not None:
            early.finish()
        if early is not None and early.done:
            error.state += f" {run.host.name} is disabled, by this run: hacli enable undoes it."
        raise


def _require_off_already(prepared: Prepared, options: Options) -> None:
    """`evacuate` cuts no running power: the order that proof needs may only repeat what is so.

    Raises:
        NotFenced: The BMC does not read OFF, and neither Pacemaker nor a person says it is off.
    """
    host, silent = prepared.host, prepared.power is None
    by_pacemaker = silent and host.node is not None and fenced_off(host.node)
    if prepared.power is PowerState.OFF or by_pacemaker or (silent and options.attested):
        return
    state = prepared.power.value.upper() if prepared.power else "nothing"
    raise NotFenced(
        f"{host.name} is not known to be off, so none of its VMs was touched.",
        why=f"its BMC reads {state}",
        next_steps=(f"hacli recover {host.name}    fences it first",),
        code="NOT_FENCED",
        host=host.name,
    )


def _attestation(run: Run, options: Options) -> Attestation | None:
    if options.attested is None:
        return None
    return Attestation(
        host=run.host.name,
        reason=options.attested,
        user=options.context.user,
        at=run.world.clock.monotonic(),
    )


def _has_only_arrivals(prepared: Prepared) -> bool:
    """Law L7: with no server left to ask for there is nothing to switch a host off for.

    It may be on its way back already.
    """
    plan, service = prepared.plan, prepared.host.service
    told = service is not None and service.forced_down and not service.enabled
    arrived = all(run.migration is not None and run.migration.arrived for run in plan.runs)
    return told and arrived and bool(plan.runs or plan.skips)


def _bring_back(
    run: Run,
    watch: DeathWatch,
    evidence: FenceEvidence | None,
    prepared: Prepared,
    options: Options,
) -> Evacuated:
    """Bring the servers back by a plan made from fresh records; without evidence none is asked."""
    with run.step("evacuate") as report:
        plan, groups = _patiently(
            run, lambda: _fresh_plan(run, options), fenced=evidence is not None
        )
        homes = destinations(prepared.services, run.nova_host)
        loop = Evacuation(run, watch, evidence, plan, groups=groups, destinations=len(homes))
        evacuated = loop.run()
        good, total = len(evacuated.verified), len(evacuated.ends) + len(evacuated.skips)
        report.end(f"{good} of {total} VMs", status="ok" if good == total else "partial")
    with run.step("verify") as report:
        watch.start_look()  # answered while the lists are read, so that it costs no time
        try:
            left = _patiently(run, lambda: read_records(run.world, run.host, None, run.policy))
        except (Unavailable, SourceError) as error:
            text = f"what is left on {run.host.name} could not be read: {error.why}"
            report.end(text, status="failed")
            return replace(evacuated, unsure=text)
        evacuated = _with_latecomers(evacuated, left.servers)
        report.end(_left_text(evacuated, len(left.servers), run.host.name))
    return evacuated if evidence is None else _with_last_look(run, watch, evacuated)


def _with_last_look(run: Run, watch: DeathWatch, evacuated: Evacuated) -> Evacuated:
    """Law L5 for the host: the last screen calls it off only if nobody has said otherwise."""
    watch.take_in()
    verdict = watch.judge()
    if evacuated.alive is None and isinstance(verdict, Doubt) and verdict.signs_of_life:
        return replace(evacuated, alive=tell_of_life(run, verdict))
    return evacuated


def _with_latecomers(evacuated: Evacuated, left: tuple[Server, ...]) -> Evacuated:
    """Name the servers that are on the host and were not in the plan: the run is not complete."""
    known = {end.server.id for end in evacuated.ends} | {s.server.id for s in evacuated.skips}
    late = tuple(
        ServerEnd(server=server, end=End.NOT_ASKED, text="it was not on the host when it was read")
        for server in left
        if server.id not in known
    )
    return replace(evacuated, ends=evacuated.ends + late)


def _patiently(run: Run, read: Callable[[], T], *, fenced: bool = True) -> T:
    """Try again for a minute while a source fails: servers wait, and giving up helps none of them.

    Only for what may be done twice: lists, and a force-down, which proves death anew each time.

    Raises:
        Unavailable, SourceError: With the state that this run has brought about.
    """
    until = run.world.clock.awake() + run.policy.silence_limit_s
    while True:
        try:
            return read()
        except (Unavailable, SourceError) as error:
            if run.world.clock.awake() >= until:
                error.state = "No VM was asked for by this step."
                if fenced:
                    error.state = f"{run.host.name} is switched off. {error.state}"
                raise
            run.world.clock.wait(READ_AGAIN_S)


def _fresh_plan(run: Run, options: Options) -> tuple[Plan, tuple[ServerGroup, ...]]:
    past = _read_past(run)
    homes = _homes(run.services, run.nova_host, options.wishes)
    records = read_records(run.world, run.host, past, run.policy, homes=homes)
    now = run.world.clock.awake()
    plan = plan_evacuation(records, options.wishes, past, now=now, policy=run.policy)
    run.record(
        PlanMade(
            servers=tuple(_row(server_run) for server_run in plan.runs),
            known_migrations=tuple(sorted(record.id for record in records.evacuations)),
        )
    )
    return plan, records.groups


def _homes(services: ServiceList, source: str, wishes: Wishes) -> tuple[str, ...]:
    """Where the servers may go: the operator's target, or any other host.

    Also one that is disabled or down now: it may be enabled before the last request is placed.
    """
    if wishes.target:
        return (wishes.target,)
    return tuple(service.host for service in services.services if service.host != source)


def _read_past(run: Run) -> Mapping[str, Past]:
    """What this and earlier runs have recorded of each server."""
    return fold_past(run.journal.read_events(host=run.nova_host), now=run.world.clock.moment())


def _row(server_run: ServerRun) -> dict[str, JsonValue]:
    server = server_run.server
    return {
        "id": server.id,
        "name": server.name,
        "was": server_run.was,
        "disk": "volume" if server.volume_backed else "image",
    }


def _left_text(evacuated: Evacuated, left: int, name: str) -> str:
    good = len(evacuated.verified)
    return f"{good} read back, {left} left on {name}"


def _power_on(run: Run) -> bool:
    """Switch the host on again, once no evacuation from it is open."""
    try:
        run.claim.require()
        powering.power_on(run.world, run.host)
    except HacliError as error:
        run.warn("POWER_ON", f"{error.what} {error.why}".rstrip())
        return False
    except SourceError as error:
        run.warn("POWER_ON", f"{error.source}: {error.why}")
        return False
    return True


def _result(
    run: Run,
    options: Options,
    evidence: FenceEvidence | None,
    evacuated: Evacuated,
    began: float,
    *,
    powered_on: bool = False,
) -> Recovered:
    return Recovered(
        host=run.host.name,
        run=run.journal.run,
        verb=options.verb,
        evidence=evidence.text if evidence else None,
        evacuated=evacuated,
        took_s=run.world.clock.monotonic() - began,
        powered_on=powered_on,
    )
