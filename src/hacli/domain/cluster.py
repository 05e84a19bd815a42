"""What Pacemaker tells: nodes, service chain, fencing. Words and fields are crm_mon's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Role(Enum):
    """Role of a resource, as ``crm_mon`` prints it."""

    STARTED = "Started"
    STOPPED = "Stopped"
    STARTING = "Starting"
    STOPPING = "Stopping"
    PROMOTED = "Promoted"
    UNPROMOTED = "Unpromoted"
    MIGRATING = "Migrating"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The ``ocf:pacemaker:remote`` resource that connects a remote node."""

    role: Role
    managed: bool
    maintenance: bool  # absent before Pacemaker 2.1.8: then False
    failed: bool
    target_stopped: bool  # the administrator wants it stopped


@dataclass(frozen=True, kw_only=True)
class ChainService:
    """One service of a compute node's chain, in start order (neutron agent … nova-compute)."""

    name: str
    role: Role
    managed: bool
    failed: bool
    failure: str | None = None  # Pacemaker's exit reason, when it tells one


@dataclass(frozen=True, kw_only=True)
class FenceEvent:
    """One entry of the fence history.

    ``delegate`` is who executed it; ``"a human"`` for a manual confirmation, None for an assumed
    watchdog self-fencing (facts C.3): neither cut any power that somebody watched.
    """

    target: str
    action: str  # on | off | reboot
    status: str  # success | failed | pending
    delegate: str | None
    completed: datetime | None  # None while pending
    exit_reason: str | None = None

    @property
    def executed(self) -> bool:
        """It succeeded and a device did it."""
        return self.status == "success" and self.delegate not in (None, "", "a human")


@dataclass(frozen=True, kw_only=True)
class ClusterNode:
    """One compute node as the cluster sees it."""

    name: str
    type: str  # remote | member | guest
    online: bool
    unclean: bool
    standby: bool
    maintenance: bool
    pending: bool
    connection: Connection | None  # None for a full member
    chain: tuple[ChainService, ...]
    fence_events: tuple[FenceEvent, ...]  # newest first, a pending one before all
    node_fenced: (
        int | None
    )  # CIB node_state, seconds since the epoch; 0 after a return, None: never
    in_cluster: bool = True  # CIB node_state in_ccm; where nothing says so, in doubt connected
    lost_at: datetime | None  # newest failure of the connection's monitor, where the cluster tells
    attributes: Mapping[str, str] = field(default_factory=dict)  # permanent node attributes


@dataclass(frozen=True, kw_only=True)
class ClusterMember:
    """A full member, such as a controller; not a remote node."""

    name: str
    online: bool
    unclean: bool
    pending: bool
    in_cluster: bool  # CIB node_state in_ccm; where nothing says so, in doubt True
    left: bool  # CIB node_state expected="down": it said good-bye, or was fenced
    node_fenced: int | None  # as ClusterNode's
    fence_events: tuple[FenceEvent, ...]  # newest first, a pending one before all


@dataclass(frozen=True, kw_only=True)
class FenceDevice:
    """One stonith device. Its secret parameters never show in a repr."""

    id: str
    agent: str  # "fence_ipmilan"
    hosts: tuple[
        str, ...
    ]  # nodes named by pcmk_host_list / pcmk_host_map; empty: asked dynamically
    ports: Mapping[str, str]  # node -> plug, from pcmk_host_map
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class FenceLevel:
    """One level of a node's fencing topology; all its devices must succeed."""

    target: str
    index: int
    devices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """An ``ocf:heartbeat:Filesystem`` resource: what it mounts where it runs."""

    device: str
    directory: str
    fs_type: str


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """One frozen picture of the cluster, from one crm_mon and one CIB read."""

    name: str | None
    dc: str | None  # None: no DC, nothing the cluster says is decided
    with_quorum: bool
    members: int
    members_online: int
    fencing_enabled: bool
    maintenance_mode: bool
    fencing_timeout_s: float
    nodes: tuple[ClusterNode, ...]  # compute nodes only: remotes and members that run the chain
    devices: tuple[FenceDevice, ...]
    levels: tuple[FenceLevel, ...]
    read_at: float  # Clock.monotonic() before the first command was started
    controllers: tuple[ClusterMember, ...] = ()  # all full members, also those that run the chain
    claims: Mapping[str, str] = field(default_factory=dict)  # Nova host -> hacli's claim of it
    file_systems: Mapping[str, FileSystem] = field(default_factory=dict)  # by resource

    @property
    def acts(self) -> bool:
        """It has a DC and quorum: what it orders and what it says counts."""
        return self.dc is not None and self.with_quorum

    def node(self, name: str) -> ClusterNode | None:
        """The node of exactly this name."""
        return next((node for node in self.nodes if node.name == name), None)

    def member(self, name: str) -> ClusterMember | None:
        """The full member of exactly this name."""
        return next((member for member in self.controllers if member.name == name), None)


@dataclass(frozen=True, kw_only=True)
class ClaimState:
    """Who has the claim of a host, and whether the CIB that says so counts."""

    text: str | None  # None: nobody
    with_quorum: bool
    dc: bool

    @property
    def counts(self) -> bool:
        """A partition without quorum takes claims, too (tried)."""
        return self.with_quorum and self.dc


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """The cheap re-read of one node: its CIB ``node_state`` and the cluster's quorum."""

    node: str
    node_fenced: int | None
    in_cluster: bool  # in_ccm: connected
    claim: str | None = None  # of the host that was asked for; None: nobody has it
    with_quorum: bool
    dc: bool
