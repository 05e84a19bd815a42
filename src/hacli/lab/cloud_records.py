"""The rows of the lab's cloud: what Nova, Cinder and Glance would hold in their databases."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_NAMESPACE = uuid.UUID("6f1c0a52-58a1-5d0e-9a34-6d0f6b1d4c11")


def stable_uuid(kind: str, name: str) -> str:
    """The uuid of a thing by its kind and name: the same in every run."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def stable_id(kind: str, name: str) -> str:
    """Like ``stable_uuid`` without dashes, as Keystone writes project and user ids."""
    return stable_uuid(kind, name).replace("-", "")


class VmState(StrEnum):
    """Nova's ``vm_state``."""

    ACTIVE = "active"
    BUILDING = "building"
    STOPPED = "stopped"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    RESCUED = "rescued"
    RESIZED = "resized"
    SOFT_DELETED = "soft-delete"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"
    ERROR = "error"


class MigrationStatus(StrEnum):
    """Statuses of a migration record that the lab produces."""

    ACCEPTED = "accepted"
    PRE_MIGRATING = "pre-migrating"
    MIGRATING = "migrating"
    POST_MIGRATING = "post-migrating"
    RUNNING = "running"
    FINISHED = "finished"
    DONE = "done"
    COMPLETED = "completed"
    ERROR = "error"
    FAILED = "failed"


POWER_NOSTATE, POWER_RUNNING, POWER_PAUSED, POWER_SHUTDOWN, POWER_SUSPENDED = 0, 1, 3, 4, 7


@dataclass
class Service:
    """One row of Nova's services. ``last_seen`` is the heartbeat, which no API shows."""

    number: int
    binary: str
    host: str
    zone: str
    id: str
    updated_at: float
    last_seen: float
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """A flavor; memory in MiB, disks in GiB, swap in MiB."""

    id: str
    name: str
    vcpus: int = 1
    ram: int = 64
    disk: int = 1
    ephemeral: int = 0
    swap: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What one hypervisor offers or a server takes; MiB and GiB."""

    vcpus: int
    memory_mb: int
    disk_gb: int

    def plus(self, other: "Capacity") -> "Capacity":
        """Both together."""
        return Capacity(
            vcpus=self.vcpus + other.vcpus,
            memory_mb=self.memory_mb + other.memory_mb,
            disk_gb=self.disk_gb + other.disk_gb,
        )

    def minus(self, other: "Capacity") -> "Capacity":
        """What is left without the other."""
        return Capacity(
            vcpus=self.vcpus - other.vcpus,
            memory_mb=self.memory_mb - other.memory_mb,
            disk_gb=self.disk_gb - other.disk_gb,
        )

    def fits_into(self, offered: "Capacity") -> bool:
        """Whether nothing of it exceeds what is offered."""
        return (
            self.vcpus <= offered.vcpus
            and self.memory_mb <= offered.memory_mb
            and self.disk_gb <= offered.disk_gb
        )


@dataclass
class Image:
    """A Glance image or snapshot."""

    id: str
    name: str
    created_at: float
    status: str = "active"
    visibility: str = "public"
    owner: str = ""
    size: int = 1024
    hidden: bool = False
    properties: dict[str, str] = field(default_factory=dict)


@dataclass
class Volume:
    """A Cinder volume."""

    id: str
    name: str
    project: str
    size: int
    backend: str
    created_at: float
    bootable: bool = True
    status: str = "in-use"
    image_metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Attachment:
    """A Cinder attachment of a volume to a server on a host."""

    id: str
    volume: str
    server: str
    host: str
    attached_at: float
    device: str = "/dev/vda"
    status: str = "attached"


@dataclass
class Fault:
    """The last failure of a server, as Nova shows it."""

    code: int
    message: str
    created: float
    details: str = ""


@dataclass
class ActionEvent:
    """One step of an instance action."""

    name: str
    host: str
    start: float
    finish: float | None = None
    result: str | None = None
    details: str | None = None


@dataclass
class Action:
    """One instance action: what was asked of a server, by which request."""

    name: str
    request_id: str
    start: float
    updated_at: float
    user: str | None  # None: nova-compute itself
    project: str | None
    message: str | None = None
    events: list[ActionEvent] = field(default_factory=list)

    def begin(self, event: str, *, host: str, now: float) -> ActionEvent:
        """A step begins."""
        begun = ActionEvent(name=event, host=host, start=now)
        self.events.append(begun)
        self.updated_at = now
        return begun

    def end(self, event: ActionEvent, *, now: float, error: str | None = None) -> None:
        """A step ends; a failed one marks its action, as Nova's EventReporter does."""
        event.finish = self.updated_at = now
        event.result = "Error" if error else "Success"
        event.details = error
        if error:
            self.message = "Error"


@dataclass
class Migration:
    """One migration record."""

    number: int
    uuid: str
    server: str
    type: str
    source: str
    created_at: float
    updated_at: float
    user: str
    project: str
    status: MigrationStatus = MigrationStatus.ACCEPTED
    dest: str | None = None
    dest_node: str | None = None
    dest_address: str | None = None
    old_flavor: int | None = None
    new_flavor: int | None = None


@dataclass
class Server:
    """One row of Nova's instances, with what hangs on it."""

    number: int
    id: str
    name: str
    project: str
    user: str
    flavor: Flavor
    created: float
    updated: float
    host: str | None
    image: str | None
    vm_state: VmState
    power_state: int
    disk: str  # the truth about the root disk on ``host``, which no API shows
    task_state: str | None = None
    launched_at: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    locked: bool = False
    locked_reason: str | None = None
    pinned_zone: str | None = None
    config_drive: bool = False
    system_metadata: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    actions: list[Action] = field(default_factory=list)

    @property
    def instance_name(self) -> str:
        """The hypervisor's name of the guest (Nova's default template)."""
        return f"instance-{self.number:08x}"

    @property
    def room(self) -> Capacity:
        """What the server takes of a hypervisor; volumes take no local disk."""
        disk = self.flavor.ephemeral + (self.flavor.disk if self.image else 0)
        return Capacity(vcpus=self.flavor.vcpus, memory_mb=self.flavor.ram, disk_gb=disk)


@dataclass
class Aggregate:
    """A host aggregate, perhaps an availability zone."""

    number: int
    uuid: str
    name: str
    zone: str | None
    hosts: list[str]
    created_at: float
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class ServerGroup:
    """A server group; policy is affinity, anti-affinity, soft-affinity or soft-anti-affinity."""

    id: str
    name: str
    policy: str
    project: str
    user: str
    members: list[str] = field(default_factory=list)
