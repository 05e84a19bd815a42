"""The facts of the lab's cluster: nodes, connections, services, operations. No behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum

from hacli.lab.cib import CHAIN, FenceLogin, RebootAction

REMOTED = "pacemaker-remoted"


class Role(StrEnum):
    """The role of a resource, as crm_mon prints it."""

    STARTED = "Started"
    STARTING = "Starting"
    STOPPED = "Stopped"
    STOPPING = "Stopping"


class Release(StrEnum):
    """The Pacemaker whose XML the tools print."""

    V2_0_3 = "2.0.3"
    V2_1_5 = "2.1.5"
    V3_0_2 = "3.0.2"


class Departure(StrEnum):
    """How a controller is no longer with the others."""

    LEFT = "left"  # its cluster was stopped in order; the machine may run on
    LOST = "lost"  # it does not answer, and nothing has been done about it
    FENCED = "fenced"  # a device has cut its power
    CONFIRMED = "confirmed"  # a person has said that it is down (stonith_admin --confirm)


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """How the lab's cluster is built. Seconds are those of the recorded cluster."""

    controllers: int = 1
    reboot_action: RebootAction = RebootAction.OFF
    gate: bool = True
    login: FenceLogin = field(default_factory=FenceLogin)
    release: Release = Release.V2_1_5
    monitor_s: float = 10.0
    monitor_timeout_s: float = 30.0
    reconnect_s: float = 10.0
    connect_timeout_s: float = 60.0
    recheck_s: float = 60.0
    fence_timeout_s: float = 60.0
    max_fence_attempts: int = 10
    start_s: float = 0.7
    stop_s: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the history of a resource on a node."""

    task: str
    at: float
    call: int = 0  # given by the history
    interval_s: float = 0.0
    rc: int = 0
    status: str = "complete"  # crm_mon's words: complete, Timed Out, Error
    exec_ms: int = 0
    exit_reason: str = ""


@dataclass(kw_only=True)
class OperationHistory:
    """What the CIB keeps of a resource on a node."""

    last: Operation | None = None
    monitor: Operation | None = None
    failure: Operation | None = None


@dataclass(kw_only=True)
class Service:
    """One service of the chain on one node."""

    name: str
    role: Role = Role.STOPPED
    failed: bool = False  # its last operation failed and is being dealt with
    start_failed: bool = False  # it may not be started here until somebody cleans up
    restart: bool = False  # to be stopped once, by request


@dataclass(kw_only=True)
class RemoteNode:
    """One compute node and its connection resource, as the cluster knows them."""

    name: str
    controller: str
    role: Role = Role.STOPPED
    failed: bool = False
    connected_at: float = 0.0
    silent_since: float | None = None
    lost_at: float = 0.0
    starting_since: float = 0.0
    epoch: int = 0  # goes up whenever what is under way on the node no longer counts
    unclean: bool = False
    fence_failures: int = 0
    retry_fence_at: float = 0.0
    node_fenced: int | None = None  # None: it never was connected; 0: it is, or was lost since
    in_maintenance: bool | None = None  # None: never was
    origin: str = "do_update_resource"
    services: dict[str, Service] = field(
        default_factory=lambda: {name: Service(name=name) for name in CHAIN}
    )

    @property
    def connected(self) -> bool:
        """The connection is up as far as the cluster knows."""
        return self.role is Role.STARTED and not self.failed

    @property
    def online(self) -> bool:
        """crm_mon's ``online``: true also while the connection is only being started."""
        return self.connected or self.role is Role.STARTING

    def shown_role(self, now: float, *, reconnect_s: float) -> Role:
        """The connection's role as crm_mon (2.1.5) works it out from the history of operations.

        A start that has been pending for ``reconnect_interval`` is passed over like an expired
        failure, and the last successful monitor is believed: a dead node's connection then reads
        Started (lib/pengine/unpack.c ``check_operation_expiry``; recorded).
        """
        was_connected = self.node_fenced is not None
        pending_s = now - self.starting_since
        if self.role is Role.STARTING and was_connected and pending_s >= reconnect_s:
            return Role.STARTED
        return self.role

    def service_before(self, name: str) -> Service | None:
        """What must be started before this service."""
        index = CHAIN.index(name)
        return self.services[CHAIN[index - 1]] if index else None
