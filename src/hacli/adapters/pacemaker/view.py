"""Join crm_mon's answer and the CIB into one picture. Pure."""

from hacli.adapters.pacemaker.cib import ChainClone, Cib
from hacli.adapters.pacemaker.crm_mon import CrmMon, NodeFlags
from hacli.domain.cluster import (
    ChainService,
    ClusterMember,
    ClusterNode,
    ClusterView,
    Connection,
    Role,
)
from hacli.errors import Unreadable

_NO_CONNECTION = Connection(
    role=Role.STOPPED, managed=False, maintenance=False, failed=False, target_stopped=False
)
"""A node entry whose connection resource was deleted: nothing manages it, so nothing is known."""


def join_view(crm_mon: CrmMon, cib: Cib, *, read_at: float) -> ClusterView:
    """The cluster and its compute nodes: remote nodes, and members that may run nova-compute.

    Raises:
        Unreadable: Something that is decided on is missing or has an unknown value in either, or
            the two do not fit together (also for a moment while a remote node is being added).
    """
    summary = crm_mon.summary
    flags = crm_mon.nodes
    missing = cib.remotes - {node.name for node in flags if node.type == "remote"}
    if missing:
        raise Unreadable(source="crm_mon", why=f"no <node {min(missing)}>, which the CIB has")
    members = [node for node in flags if node.type == "member"]
    chains = {node.name: _chain_clones(node, crm_mon, cib) for node in flags}
    computes = [n for n in flags if n.type == "remote" or _runs_compute(chains[n.name])]
    timeout_s = summary.fencing_timeout_s
    return ClusterView(
        name=cib.cluster_name,
        dc=summary.dc,
        with_quorum=summary.with_quorum,
        members=len(members),
        members_online=sum(node.online for node in members),
        fencing_enabled=summary.fencing_enabled,
        maintenance_mode=summary.maintenance_mode,
        fencing_timeout_s=cib.fencing_timeout_s if timeout_s is None else timeout_s,
        nodes=tuple(_node(node, chains[node.name], crm_mon, cib) for node in computes),
        devices=cib.devices,
        levels=cib.levels([node.name for node in computes]),
        read_at=read_at,
        controllers=tuple(_member(node, crm_mon, cib) for node in members),
        claims=cib.claims,
        file_systems=cib.file_systems,
    )


def _member(flags: NodeFlags, crm_mon: CrmMon, cib: Cib) -> ClusterMember:
    return ClusterMember(
        name=flags.name,
        online=flags.online,
        unclean=flags.unclean,
        pending=flags.pending,
        in_cluster=cib.in_cluster(flags.name),
        left=cib.left(flags.name),
        node_fenced=cib.node_fenced(flags.name),
        fence_events=crm_mon.fence_events(flags.name),
    )


def _chain_clones(node: NodeFlags, crm_mon: CrmMon, cib: Cib) -> tuple[ChainClone, ...]:
    """Those that may run here, and any that is seen here although it may not."""
    allowed = {entry.clone.id: entry for entry in cib.chain(node.name)}
    seen = (
        ChainClone(clone=clone, certain=True)
        for clone in cib.clones
        if any(crm_mon.is_active(service, node.name) for service in clone.services)
    )
    entries = {**allowed, **{entry.clone.id: entry for entry in seen}}
    return tuple(entries[clone.id] for clone in cib.clones if clone.id in entries)


def _runs_compute(chain: tuple[ChainClone, ...]) -> bool:
    return any(entry.certain and entry.clone.runs_nova_compute for entry in chain)


def _node(
    flags: NodeFlags, chain: tuple[ChainClone, ...], crm_mon: CrmMon, cib: Cib
) -> ClusterNode:
    connection = None
    if flags.type == "remote":
        connection = _connection(flags.name, crm_mon, cib)
    losses = [f.at for f in crm_mon.failures(flags.name) if f.task == "monitor"]
    return ClusterNode(
        name=flags.name,
        type=flags.type,
        online=flags.online,
        unclean=flags.unclean,
        standby=flags.standby,
        maintenance=flags.maintenance,
        pending=flags.pending,
        connection=connection,
        chain=tuple(
            _service(service, entry.clone.id, flags, crm_mon)
            for entry in chain
            for service in entry.clone.services
        ),
        fence_events=crm_mon.fence_events(flags.name),
        node_fenced=cib.node_fenced(flags.name),
        in_cluster=cib.in_cluster(flags.name),
        lost_at=losses[0] if connection is not None and losses else None,
        attributes=cib.attributes(flags.name),
    )


def _connection(node: str, crm_mon: CrmMon, cib: Cib) -> Connection:
    connection = crm_mon.connection(node)
    if connection is None and node in cib.remotes:
        raise Unreadable(source="crm_mon", why=f"no <resource {node}>, which the CIB has")
    return connection or _NO_CONNECTION


def _service(service: str, clone: str, node: NodeFlags, crm_mon: CrmMon) -> ChainService:
    """Where it is not active it is Stopped; then a failed operation on this node is the reason."""
    failures = [f for f in crm_mon.failures(service) if f.node == node.name]
    instance = crm_mon.instance(service, node.name)
    if instance is None:
        managed = crm_mon.clone_managed(clone, service) and not node.maintenance
        role, failed = Role.STOPPED, bool(failures)
    else:
        role, managed, failed = instance.role, instance.managed, instance.failed
    return ChainService(
        name=service,
        role=role,
        managed=managed,
        failed=failed,
        failure=failures[0].reason if failed and failures else None,
    )
