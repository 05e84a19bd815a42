"""One compute host: Pacemaker's node, Nova's host and the BMC joined, and the verdict on it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hacli.domain.cluster import ClusterNode, ClusterView, Role
from hacli.domain.power import IPMI_PORT, Bmc, PowerState
from hacli.domain.servers import ComputeService, ServiceList

IPMI_AGENTS = frozenset(
    {"fence_ipmilan", "fence_ipmilanplus", "fence_ilo3", "fence_ilo4", "fence_ilo5", "fence_idrac"}
)
MARKER = "hacli:"
RECOVERY_MARK = " recover"
"""A ``disabled_reason`` that begins so was written by hacli: ``hacli:<run> recover``."""
GATE_ATTRIBUTE = "hacli-evacuating"
FORCED_DOWN_ATTRIBUTE = "hacli-forced-down"


@dataclass(frozen=True, kw_only=True)
class HostNames:
    """What the configuration says of one host's names; None where it says nothing."""

    label: str
    pacemaker: str | None = None
    nova: str | None = None
    bmc: Bmc | None = None


@dataclass(frozen=True, kw_only=True)
class ComputeHost:
    """One machine under all its names. ``ambiguous`` tells why the join cannot be trusted."""

    name: str
    node: ClusterNode | None
    service: ComputeService | None
    bmc: Bmc | None
    ambiguous: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """Every name an operator may call it by."""
        found = {self.name}
        if self.node is not None:
            found.add(self.node.name)
        if self.service is not None:
            found.add(self.service.host)
        return frozenset(found)


Pair = tuple[str | None, str | None]  # Pacemaker node, Nova host


def join_hosts(
    view: ClusterView | None, services: ServiceList | None, configured: Iterable[HostNames]
) -> tuple[ComputeHost, ...]:
    """Join nodes and compute services: configuration, then equality, then unique short names.

    What cannot be joined stands alone. Two candidates for one short name join nothing: each of
    them says so in ``ambiguous``, and so do hosts for which one and the same BMC is named.
    """
    nodes = {node.name: node for node in view.nodes} if view else {}
    hosts = {service.host: service for service in services.services} if services else {}
    told = tuple(configured)
    pairs = [pair for names in told if (pair := _configured_pair(names, nodes, hosts))]
    twice = _told_twice(pairs)
    free_nodes = nodes.keys() - {node for node, _ in pairs}
    free_hosts = hosts.keys() - {host for _, host in pairs}
    pairs += [(name, name) for name in free_nodes & free_hosts]
    free_nodes, free_hosts = free_nodes - free_hosts, free_hosts - free_nodes
    short_pairs, ambiguous = _by_short_name(free_nodes, free_hosts)
    pairs += short_pairs
    pairs += [(name, None) for name in free_nodes - {node for node, _ in short_pairs}]
    pairs += [(None, name) for name in free_hosts - {host for _, host in short_pairs}]
    told_bmcs = [names for names in told if names.bmc is not None]
    node_bmcs = {names.pacemaker or names.label: names.bmc for names in told_bmcs}
    host_bmcs = {names.nova or names.label: names.bmc for names in told_bmcs}
    joined = [
        _host(
            nodes.get(node or ""),
            hosts.get(host or ""),
            node_bmcs.get(node or "") or host_bmcs.get(host or "") or _bmc_of(node, view),
            ambiguous | twice,
        )
        for node, host in pairs
    ]
    in_order = sorted(joined, key=lambda host: (natural(host.name), host.name))
    return tuple(_with_shared_bmcs(in_order))


def _with_shared_bmcs(hosts: Sequence[ComputeHost]) -> Iterator[ComputeHost]:
    """A BMC is one machine's, so one that is named for two is the wrong box of at least one."""
    sharers: dict[tuple[str, int], list[str]] = defaultdict(list)
    for host in hosts:
        if host.bmc is not None:
            sharers[host.bmc.address, host.bmc.port].append(host.name)
    for host in hosts:
        of = sharers[host.bmc.address, host.bmc.port] if host.bmc is not None else []
        if len(of) > 1 and host.bmc is not None and host.ambiguous is None:
            text = f"{host.bmc.label} is named as that of {' and '.join(of)}"
            yield replace(host, ambiguous=text)
        else:
            yield host


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts compute-2 before compute-10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def _configured_pair(
    names: HostNames, nodes: Mapping[str, object], hosts: Mapping[str, object]
) -> Pair | None:
    """The pair that the configuration makes, None where it leaves the join to the other rules.

    A name that is configured and does not exist joins nothing, rather than something else.
    """
    node = names.pacemaker or names.label
    host = names.nova or names.label
    found = (node if node in nodes else None, host if host in hosts else None)
    missing = (names.pacemaker and found[0] is None) or (names.nova and found[1] is None)
    return found if found != (None, None) and (None not in found or missing) else None


def _told_twice(pairs: Iterable[Pair]) -> dict[str, str]:
    """Names that the configuration gives to more than one machine."""
    counts = Counter(name for pair in pairs for name in set(pair) if name is not None)
    return {
        name: f"the configuration joins {again} to more than one name"
        for again, count in counts.items()
        if count > 1
        for pair in pairs
        if again in pair
        for name in pair
        if name is not None
    }


def _by_short_name(nodes: Iterable[str], hosts: Iterable[str]) -> tuple[list[Pair], dict[str, str]]:
    sides: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for node in nodes:
        sides[_short(node)][0].append(node)
    for host in hosts:
        sides[_short(host)][1].append(host)
    pairs: list[Pair] = []
    ambiguous: dict[str, str] = {}
    for short, (some_nodes, some_hosts) in sides.items():
        if len(some_nodes) == len(some_hosts) == 1:
            pairs.append((some_nodes[0], some_hosts[0]))
        elif some_nodes and some_hosts:
            all_names = ", ".join(sorted(some_nodes + some_hosts))
            text = f"the short name {short} stands for {all_names}"
            ambiguous.update(dict.fromkeys(some_nodes + some_hosts, text))
    return pairs, ambiguous


def _short(name: str) -> str:
    return name.partition(".")[0]


def _host(
    node: ClusterNode | None,
    service: ComputeService | None,
    bmc: Bmc | None,
    ambiguous: Mapping[str, str],
) -> ComputeHost:
    names = [n for n in (node and node.name, service and service.host) if n]
    return ComputeHost(
        name=names[0],
        node=node,
        service=service,
        bmc=bmc,
        ambiguous=next((ambiguous[name] for name in names if name in ambiguous), None),
    )


def _bmc_of(node: str | None, view: ClusterView | None) -> Bmc | None:
    """The BMC behind the first IPMI stonith device of this node alone, with that device's login.

    A BMC is one machine's: a device that names several nodes cannot tell which.
    """
    for device in view.devices if view is not None else ():
        if device.agent not in IPMI_AGENTS or device.hosts != (node,):
            continue
        told = device.parameters
        address = told.get("ip") or told.get("ipaddr")
        user = told.get("username") or told.get("login")
        password = told.get("password") or told.get("passwd")
        port = told.get("ipport") or str(IPMI_PORT)
        if address and user and password and port.isdecimal():
            return Bmc(
                driver="ipmi",
                address=address,
                port=int(port),
                user=user,
                password=password,
                origin=device.id,
            )
    return None


class Verdict(Enum):
    """What a host is, worst first."""

    FAILED = "failed"  # lost, and not proven dead
    FENCED = "fenced"  # off, and still the home of servers
    UNKNOWN = "unknown"  # a source that decides is silent, in maintenance or ambiguous
    DEGRADED = "degraded"  # alive, but nova-compute or its chain is not well
    RETURNED = "returned"  # alive again, waits for `hacli enable`, or its servers to be started
    OFF = "off"  # off and empty: recovered
    DISABLED = "disabled"  # healthy, an operator keeps new servers away
    READY = "ready"


@dataclass(frozen=True, kw_only=True)
class HostState:
    """A host, its power as read (None: not asked) and how many servers Nova shows on it."""

    host: ComputeHost
    power: PowerState | None
    power_unknown_because: str | None
    servers: int | None
    servers_exact: bool
    to_start: int = 0  # they ran before the host was fenced, and wait to be started on it


def connected(node: ClusterNode) -> bool:
    """Pacemaker has a working connection to the node right now.

    crm_mon alone does not tell: while the cluster tries to reconnect, a dead node reads ``online``
    with its connection Starting (captures 04, 14, 16), or even Started when an old monitor is in
    its history (recording 28). Started and failed is the state of a node about to be fenced. The
    CIB's ``in_ccm`` is false from the loss to the next successful connection, but not after a
    ``stonith_admin --confirm`` whose consequences wait for another host's fencing: such a node
    counts as connected here until it is fenced again, which is the safe mistake.
    """
    if node.connection is None:
        return node.online and not node.unclean and not node.pending
    return (
        node.online
        and node.in_cluster
        and not node.unclean
        and node.connection.role is Role.STARTED
        and not node.connection.failed
    )


def opinion_counts(node: ClusterNode, view: ClusterView) -> bool:
    """Whether what Pacemaker says of this node means anything (law L1)."""
    if not view.acts or view.maintenance_mode or node.maintenance:
        return False
    connection = node.connection
    return connection is None or (connection.managed and not connection.maintenance)


def stopped_on_purpose(node: ClusterNode) -> bool:
    """An administrator stopped the connection: it looks like a fenced node and is not."""
    return node.connection is not None and node.connection.target_stopped


def lost(node: ClusterNode, view: ClusterView) -> bool:
    """Pacemaker, when its opinion counts, has lost the node or does not trust its state."""
    return opinion_counts(node, view) and not stopped_on_purpose(node) and not connected(node)


def fenced_off(node: ClusterNode) -> bool:
    """Pacemaker's records name a completed fence since which the node has not been back.

    This is the cluster's account for screens; evidence is made by ``judge`` alone.
    """
    newest = next((e for e in node.fence_events if e.status != "pending"), None)
    pending = any(e.status == "pending" for e in node.fence_events)
    return bool(
        node.node_fenced
        and newest is not None
        and newest.executed
        and not pending
        and not node.unclean
        and not connected(node)
    )


def chain_started(node: ClusterNode) -> bool:
    """Every service of the chain runs on the node."""
    return all(service.role is Role.STARTED for service in node.chain)


def verdict_of(state: HostState, view: ClusterView | None) -> Verdict:
    """One word for the host, from the facts at hand; in doubt UNKNOWN, never READY."""
    host = state.host
    node, service = host.node, host.service
    if host.ambiguous or node is None or service is None or view is None or not service.known:
        return Verdict.UNKNOWN
    if not opinion_counts(node, view) or stopped_on_purpose(node):
        return Verdict.UNKNOWN
    if not connected(node):
        if not fenced_off(node) and state.power is not PowerState.OFF:
            return Verdict.FAILED
        if state.power is PowerState.ON:
            return Verdict.FAILED if state.servers != 0 else Verdict.OFF
        return Verdict.OFF if state.servers == 0 else Verdict.FENCED
    verdict = _verdict_of_living(node, service)
    waits = state.to_start and verdict in (Verdict.READY, Verdict.DISABLED)
    return Verdict.RETURNED if waits else verdict


def disabled_by_recovery(service: ComputeService) -> bool:
    """``hacli:<run> recover``; a `hacli disable` by hand carries other words."""
    reason = service.disabled_reason or ""
    return reason.startswith(MARKER) and reason.endswith(RECOVERY_MARK)


def recovering_run(service: ComputeService) -> str | None:
    """The run whose recovery has disabled the service; None when nobody's has."""
    if not disabled_by_recovery(service):
        return None
    return (service.disabled_reason or "").removeprefix(MARKER).removesuffix(RECOVERY_MARK)


def _verdict_of_living(node: ClusterNode, service: ComputeService) -> Verdict:
    recovered = not service.enabled and disabled_by_recovery(service)
    if service.forced_down or recovered or GATE_ATTRIBUTE in node.attributes:
        return Verdict.RETURNED
    if not service.up or not chain_started(node) or node.standby:
        return Verdict.DEGRADED
    return Verdict.READY if service.enabled else Verdict.DISABLED
