"""Nodes, services and BMCs of a small region, each healthy until told otherwise."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from hacli.domain.cluster import (
    ChainService,
    ClusterNode,
    ClusterView,
    Connection,
    FenceDevice,
    FenceEvent,
    FenceLevel,
    Role,
)
from hacli.domain.hosts import ComputeHost
from hacli.domain.power import Bmc
from hacli.domain.servers import ComputeService, ServiceList

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)

STARTED = Connection(
    role=Role.STARTED, managed=True, maintenance=False, failed=False, target_stopped=False
)
STOPPED = replace(STARTED, role=Role.STOPPED)


class NodeChanges(TypedDict, total=False):
    """What a node may be otherwise."""

    online: bool
    unclean: bool
    standby: bool
    maintenance: bool
    pending: bool
    in_cluster: bool
    connection: Connection | None
    chain: tuple[ChainService, ...]
    fence_events: tuple[FenceEvent, ...]
    node_fenced: int | None
    attributes: dict[str, str]


class ServiceChanges(TypedDict, total=False):
    """What a compute service may be otherwise."""

    known: bool
    enabled: bool
    up: bool
    forced_down: bool
    disabled_reason: str | None


class ViewChanges(TypedDict, total=False):
    """What the cluster may be otherwise."""

    dc: str | None
    with_quorum: bool
    members_online: int
    fencing_enabled: bool
    maintenance_mode: bool
    devices: tuple[FenceDevice, ...]
    levels: tuple[FenceLevel, ...]


def chain_service(role: Role = Role.STARTED) -> ChainService:
    """nova-compute in its chain."""
    return ChainService(name="nova-compute", role=role, managed=True, failed=False)


def node(name: str = "compute-3", **changes: Unpack[NodeChanges]) -> ClusterNode:
    """A remote node with its chain started."""
    healthy = ClusterNode(
        name=name,
        type="remote",
        online=True,
        unclean=False,
        standby=False,
        maintenance=False,
        pending=False,
        in_cluster=True,
        connection=STARTED,
        chain=(chain_service(),),
        fence_events=(),
        node_fenced=None,
        lost_at=None,
    )
    return replace(healthy, **changes)


def lost(name: str = "compute-3", **changes: Unpack[NodeChanges]) -> ClusterNode:
    """A node that Pacemaker has lost and not fenced yet."""
    gone = node(name, online=False, unclean=True, in_cluster=False, connection=STOPPED)
    return replace(gone, **changes)


FENCED = FenceEvent(
    target="compute-3", action="off", status="success", delegate="controller-1", completed=T0
)


def fenced(name: str = "compute-3", **changes: Unpack[NodeChanges]) -> ClusterNode:
    """A node that Pacemaker has fenced and not seen since."""
    off = lost(name, unclean=False, fence_events=(FENCED,), node_fenced=int(T0.timestamp()))
    return replace(off, **changes)


def service(host: str = "compute-3", **changes: Unpack[ServiceChanges]) -> ComputeService:
    """A compute service that is enabled and up."""
    healthy = ComputeService(
        id=f"id-{host}",
        host=host,
        known=True,
        enabled=True,
        up=True,
        forced_down=False,
        disabled_reason=None,
        updated_at=T0,
    )
    return replace(healthy, **changes)


def services(*found: ComputeService) -> ServiceList:
    """All that Nova lists."""
    return ServiceList(services=found, date=T0, schedulers_up=1, conductors_up=1)


def view(*nodes: ClusterNode, **changes: Unpack[ViewChanges]) -> ClusterView:
    """A cluster of three controllers that acts."""
    acting = ClusterView(
        name="prod",
        dc="controller-1",
        with_quorum=True,
        members=3,
        members_online=3,
        fencing_enabled=True,
        maintenance_mode=False,
        fencing_timeout_s=60.0,
        nodes=nodes,
        devices=(),
        levels=(),
        read_at=0.0,
    )
    return replace(acting, **changes)


def bmc(address: str = "192.0.2.13", origin: str = "configuration") -> Bmc:
    """A BMC with a login."""
    return Bmc(
        driver="ipmi", address=address, port=623, user="op", password="hunter2", origin=origin
    )


def device(
    name: str = "ipmi-compute-3",
    hosts: tuple[str, ...] = ("compute-3",),
    agent: str = "fence_ipmilan",
    **parameters: str,
) -> FenceDevice:
    """A stonith device with the login of ``bmc()``."""
    told = {"ip": "192.0.2.13", "username": "op", "password": "hunter2", **parameters}
    return FenceDevice(
        id=name,
        agent=agent,
        hosts=hosts,
        ports={},
        parameters={key: value for key, value in told.items() if value},
    )


def host(of: ClusterNode | None, by: ComputeService | None, over: Bmc | None = None) -> ComputeHost:
    """One machine."""
    name = of.name if of is not None else by.host if by is not None else ""
    return ComputeHost(name=name, node=of, service=by, bmc=over)
