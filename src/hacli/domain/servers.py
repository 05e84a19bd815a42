"""What Nova tells: compute services, servers, migrations, and what it answered to a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, kw_only=True)
class ComputeService:
    """One nova-compute record.

    ``state`` is up or down (heartbeat or force-down), ``status`` enabled or disabled; a service of
    a cell that is down has neither (``known`` False).
    """

    id: str
    host: str
    known: bool
    enabled: bool
    up: bool
    forced_down: bool
    disabled_reason: str | None
    updated_at: datetime | None  # moved by heartbeats and by every admin write alike
    zone: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceList:
    """All compute services, from one request."""

    services: tuple[ComputeService, ...]
    date: datetime | None  # the API's own clock at the answer; a bare uwsgi sends no Date header
    schedulers_up: int
    conductors_up: int

    def of(self, host: str) -> ComputeService | None:
        """The service of exactly this Nova host."""
        return next((s for s in self.services if s.host == host), None)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server as an administrator's list shows it."""

    id: str
    name: str
    host: str
    status: str  # ACTIVE, SHUTOFF, REBUILD, ERROR, …
    vm_state: str
    task_state: str | None
    power_state: int  # 1 running, 4 shut down; stale while the host is dead
    image: str | None  # None: boots from a volume
    volumes: tuple[str, ...]
    ephemeral_gb: int
    swap_mb: int
    vcpus: int
    ram_mb: int
    locked: bool
    launched_at: datetime | None  # None: never spawned; moved by every successful evacuation
    project: str
    fault: str | None = None
    availability_zone: str = ""
    pinned_zone: str | None = None
    updated_at: datetime | None = None  # the row's last write, whoever made it
    vtpm: bool | None = False  # its flavor wants one; None: Nova does not show
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def launched(self) -> bool:
        """It was spawned at least once; Nova evacuates no other."""
        return self.launched_at is not None

    @property
    def volume_backed(self) -> bool:
        """Its root disk is a Cinder volume (facts A.3: ``image`` is empty)."""
        return self.image is None


class Guest(Enum):
    """Whether a server's guest executes, by its hypervisor's own word when it was asked."""

    RUNNING = "running"
    NOT_RUNNING = "not running"


@dataclass(frozen=True, kw_only=True)
class ServerList:
    """The servers of one host; ``cells_down`` means that some may be missing."""

    host: str
    servers: tuple[Server, ...]
    cells_down: bool


class MigrationStatus(Enum):
    """States of an evacuation record in their order, and its ends (facts A.5)."""

    ACCEPTED = "accepted"
    PRE_MIGRATING = "pre-migrating"
    DONE = "done"
    COMPLETED = "completed"
    ERROR = "error"
    FAILED = "failed"
    OTHER = "other"  # a state of another migration type; ``raw_status`` has it


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One migration record of Nova, of any type."""

    id: int
    uuid: str
    server: str
    type: str  # evacuation | live-migration | migration | resize
    status: MigrationStatus
    raw_status: str
    source: str
    destination: str | None
    created_at: datetime
    updated_at: datetime | None

    @property
    def is_open(self) -> bool:
        """The evacuation still runs, as far as Nova knows."""
        return self.status in (MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING)

    @property
    def arrived(self) -> bool:
        """The destination has the server."""
        return self.status in (MigrationStatus.DONE, MigrationStatus.COMPLETED)


@dataclass(frozen=True, kw_only=True)
class InstanceAction:
    """One entry of a server's action log, newest first in lists."""

    action: str
    request_id: str
    start_time: datetime
    message: str | None  # "Error" when it failed
    user: str | None  # None: nobody asked; a nova-compute found its guest stopped or started


@dataclass(frozen=True, kw_only=True)
class ServerGroup:
    """A server group; hard ``affinity`` members of a dead host cannot be placed elsewhere."""

    id: str
    policy: str  # affinity | anti-affinity | soft-affinity | soft-anti-affinity
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A host aggregate."""

    name: str
    hosts: tuple[str, ...]  # as Nova names them


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who we are to Nova. ``admin`` only when roles and an admin-only read prove it."""

    user: str
    project: str | None
    admin: bool
    why_not: str | None = None
    read_version: str = "2.53"
    write_version: str = "2.53"


@dataclass(frozen=True, kw_only=True)
class Hypervisor:
    """Approximate capacity of one host (microversions up to 2.87)."""

    host: str
    hypervisor_hostname: str
    vcpus: int | None
    vcpus_used: int | None
    memory_mb: int | None
    memory_mb_used: int | None
    running_vms: int | None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Nova took the request (2xx)."""

    request_id: str | None


@dataclass(frozen=True, kw_only=True)
class NotSent:
    """Not a byte of the request left this machine: it may be sent again."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Nova refused (4xx), in its own words; never repeated blindly."""

    status: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """Nova may have taken it: 5xx (``status`` set), a time-out or a broken connection (None)."""

    status: int | None
    why: str


RequestOutcome = Accepted | NotSent | Rejected | Uncertain
