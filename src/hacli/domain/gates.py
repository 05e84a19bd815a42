"""The safety checks before a recovery, as values: a dry run shows what the run obeys."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hacli.domain.cluster import ClusterView, FenceDevice
from hacli.domain.evacuation import Plan
from hacli.domain.hosts import (
    ComputeHost,
    connected,
    disabled_by_recovery,
    lost,
    opinion_counts,
    stopped_on_purpose,
)
from hacli.domain.power import IPMI_PORT, Bmc
from hacli.domain.servers import ServiceList
from hacli.errors import NotPermitted, SourceError

STORM_LEAST = 3
"""Fewer lost hosts than this are never a storm."""
IDLE_AGENTS = frozenset({"fence_hacli", "fence_compute", "fence_evacuate"})
"""Fence agents that keep Nova's books and cut no power."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One question and its answer. ``flag`` overrides this objection and no other."""

    name: str
    passed: bool
    text: str
    code: str | None = None
    flag: str | None = None
    overridden: bool = False

    @property
    def holds(self) -> bool:
        """The run may pass: no objection, or the operator overrode it by its own flag."""
        return self.passed or self.overridden


@dataclass(frozen=True, kw_only=True)
class GateFacts:
    """What the gates are asked about."""

    host: ComputeHost
    hosts: tuple[ComputeHost, ...]
    view: ClusterView | None
    services: ServiceList
    bmc: str  # how the BMC answered, in words
    bmc_error: SourceError | None
    storm_share: float


def gates_to_fence(facts: GateFacts, allowed: frozenset[str]) -> tuple[Gate, ...]:
    """May this host be switched off? In the order in which an operator would ask."""
    return tuple(_overridden(gate, allowed) for gate in _to_fence(facts))


def gates_to_evacuate(facts: GateFacts, plan: Plan, allowed: frozenset[str]) -> tuple[Gate, ...]:
    """May its servers be rebuilt elsewhere?"""
    return tuple(_overridden(gate, allowed) for gate in (_storage(plan), _room(facts, plan)))


def _overridden(gate: Gate, allowed: frozenset[str]) -> Gate:
    if gate.passed or gate.flag not in allowed:
        return gate
    return Gate(
        name=gate.name,
        passed=False,
        text=gate.text,
        code=gate.code,
        flag=gate.flag,
        overridden=True,
    )


def _to_fence(facts: GateFacts) -> Iterator[Gate]:
    yield _down(facts)
    yield _quorum(facts)
    yield _fencing(facts)
    yield _blast_radius(facts)


def _down(facts: GateFacts) -> Gate:
    """Law L7: only a host that Pacemaker has lost may be switched off without a further word."""
    node, service, view = facts.host.node, facts.host.service, facts.view
    state = service.up if service is not None and service.known else None
    nova = "Nova: unknown" if state is None else f"Nova: {'up' if state else 'down'}"

    def no(text: str, code: str) -> Gate:
        return Gate(
            name="host is down",
            passed=False,
            text=f"{text}; {nova}",
            code=code,
            flag="--allow-healthy",
        )

    if view is None:
        if service is not None and service.forced_down and not disabled_by_recovery(service):
            return no("somebody else told Nova that it is down", "HOST_HEALTHY")
        if state is False:
            return Gate(name="host is down", passed=True, text=nova)
        return no("no cluster was asked", "HOST_HEALTHY")
    if node is None:
        return no("Pacemaker does not know this host", "NAME_UNJOINED")
    if not opinion_counts(node, view):
        return no(
            "Pacemaker's opinion does not count (maintenance or unmanaged)", "MAINTENANCE_MODE"
        )
    if stopped_on_purpose(node):
        return no(
            "Pacemaker was told to stop its connection; the host may well run", "HOST_HEALTHY"
        )
    if connected(node):
        return no("Pacemaker: online", "HOST_HEALTHY")
    if not lost(node, view):
        return no("Pacemaker: not clear", "HOST_HEALTHY")
    words = "offline" if not node.online else "not connected"
    unclean = ", unclean" if node.unclean else ""
    return Gate(name="host is down", passed=True, text=f"Pacemaker: {words}{unclean}; {nova}")


def _quorum(facts: GateFacts) -> Gate:
    view = facts.view
    if view is None:
        return Gate(name="quorum", passed=True, text="no cluster is asked (--without-cluster)")
    members = f"{view.members_online} of {view.members} members"
    if view.acts:
        return Gate(name="quorum", passed=True, text=members)
    why = "no quorum" if view.dc else "no DC"
    return Gate(name="quorum", passed=False, text=f"{why}: {members}", code="NO_QUORUM")


def _fencing(facts: GateFacts) -> Gate:
    """A silent BMC is refused before anything is ordered, unless another device is configured."""
    host = facts.host
    others = _ways_without_bmc(host, facts.view)
    if host.bmc is None and not others:
        text = "no fence device in Pacemaker and no BMC in the configuration"
        return Gate(name="can fence", passed=False, text=text, code="FENCE_MISSING")
    also = f"Pacemaker's {', '.join(others)}" if others else ""
    if host.bmc is None:
        return Gate(name="can fence", passed=True, text=also)
    if facts.bmc_error is None:
        return Gate(name="can fence", passed=True, text=f"{host.bmc.label} {facts.bmc}")
    why = facts.bmc_error.why
    if others:
        return Gate(name="can fence", passed=True, text=f"{also}; {host.bmc.label}: {why}")
    refused = isinstance(facts.bmc_error, NotPermitted)
    return Gate(
        name="can fence",
        passed=False,
        text=f"{host.bmc.label}: {why}",
        code="FENCE_LOGIN" if refused else "FENCE_UNREACHABLE",
    )


def devices_for(host: ComputeHost, view: ClusterView | None) -> tuple[str, ...]:
    """Ids of the stonith devices that Pacemaker has for this node."""
    if view is None or host.node is None or not view.fencing_enabled:
        return ()
    name = host.node.name
    by_level = [d for level in view.levels if level.target == name for d in level.devices]
    by_list = [device.id for device in view.devices if name in device.hosts]
    return tuple(dict.fromkeys(by_level + by_list))


def _ways_without_bmc(host: ComputeHost, view: ClusterView | None) -> tuple[str, ...]:
    """Devices that cut the node's power and do not need the BMC that hacli reads.

    All devices of a level must succeed, so one that needs the BMC spoils its level.
    """
    ids = devices_for(host, view)
    if view is None or host.node is None:
        return ()
    spoilt = {device.id for device in view.devices if _needs_bmc(device, host.bmc)}
    levels = [level.devices for level in view.levels if level.target == host.node.name]
    ways = {d for level in levels or [(i,) for i in ids] if not spoilt & {*level} for d in level}
    idle = {device.id for device in view.devices if device.agent in IDLE_AGENTS}
    return tuple(name for name in ids if name in ways - idle)


def _needs_bmc(device: FenceDevice, bmc: Bmc | None) -> bool:
    if bmc is None:
        return False
    told = device.parameters
    address, port = told.get("ip") or told.get("ipaddr"), told.get("ipport") or str(IPMI_PORT)
    return device.id == bmc.origin or (address, port) == (bmc.address, str(bmc.port))


def _blast_radius(facts: GateFacts) -> Gate:
    """Law L10: many lost at once suspect the observer first."""
    view = facts.view
    down = [host.name for host in facts.hosts if _is_lost(host, view)]
    total = len(facts.hosts)
    text = f"{len(down)} of {total} hosts look down"
    storm = len(down) >= STORM_LEAST and len(down) > facts.storm_share * total
    if not storm:
        return Gate(name="blast radius", passed=True, text=text)
    return Gate(
        name="blast radius",
        passed=False,
        text=f"{text} at once: this looks like a network problem of this machine",
        code="TOO_MANY_DOWN",
        flag="--allow-storm",
    )


def _is_lost(host: ComputeHost, view: ClusterView | None) -> bool:
    """Lost and not dealt with: a host that Nova was told of is no news of this storm."""
    if host.service is not None and host.service.forced_down and not host.service.enabled:
        return False
    if view is not None and host.node is not None:
        return lost(host.node, view)
    return host.service is not None and host.service.known and not host.service.up


def _storage(plan: Plan) -> Gate:
    total = len(plan.runs) + len(plan.skips)
    text = f"{len(plan.runs)} of {total} VMs can be rebuilt with their disks"
    return Gate(name="storage", passed=True, text=text)


def _room(facts: GateFacts, plan: Plan) -> Gate:
    source = facts.host.service.host if facts.host.service else None
    homes = destinations(facts.services, source)
    if homes or not plan.runs:
        return Gate(name="room", passed=True, text=f"{len(homes)} hosts are enabled and up")
    return Gate(
        name="room",
        passed=False,
        text="no other host is enabled and up: Nova would put every VM into ERROR",
        code="NO_ROOM",
        flag="--allow-no-room",
    )


def destinations(services: ServiceList, source: str | None) -> tuple[str, ...]:
    """Nova hosts that may receive servers now."""
    return tuple(
        service.host
        for service in services.services
        if service.known and service.up and service.enabled and service.host != source
    )


def objections(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """The gates that do not hold."""
    return tuple(gate for gate in gates if not gate.holds)
