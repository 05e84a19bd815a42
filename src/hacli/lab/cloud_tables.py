"""The databases of the lab's cloud: rows, their look-ups, and what follows from rows alone."""

import itertools
from dataclasses import dataclass, field

from hacli.lab.cloud_records import (
    Action,
    Aggregate,
    Attachment,
    Capacity,
    Fault,
    Flavor,
    Image,
    Migration,
    MigrationStatus,
    Server,
    ServerGroup,
    Service,
    Volume,
    stable_id,
    stable_uuid,
)
from hacli.lab.machines import Timeline

OPEN_EVACUATION = frozenset(
    {MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING, MigrationStatus.DONE}
)


RESERVED_MEMORY_MB = 512  # [DEFAULT]reserved_host_memory_mb
_RESERVE = Capacity(vcpus=0, memory_mb=RESERVED_MEMORY_MB, disk_gb=0)


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """How the lab's cloud is configured. Seconds throughout; Nova's defaults where it has one."""

    max_microversion: str = "2.104"
    controller: str = "controller-1"
    domain: str = ""  # what a hypervisor's name has beyond its host's, such as ".lab.example"
    zone: str = "nova"
    service_down_time: float = 60.0
    report_interval: float = 10.0
    rpc_timeout: float = 60.0
    max_limit: int = 1000
    capacity: Capacity = field(
        default_factory=lambda: Capacity(vcpus=64, memory_mb=65536, disk_gb=1000)
    )
    conductor_seconds: float = 0.2
    schedule_seconds: float = 0.3  # serial: one scheduler decides one request after the other
    claim_seconds: float = 0.1
    prepare_seconds: float = 0.5
    attach_seconds: float = 0.5
    spawn_seconds: float = 2.0
    spawn_slots: int = 10
    finish_seconds: float = 0.15
    stop_seconds: float = 0.3
    reboot_seconds: float = 1.0
    init_host_seconds: float = 3.5
    init_guest_seconds: float = 0.125
    power_sync_seconds: float = 600.0  # [DEFAULT]sync_power_state_interval
    first_power_sync_seconds: float = 45.0  # after a start: within [DEFAULT]periodic_fuzzy_delay


class Tables:
    """All rows. Whoever holds it may change rows; it keeps ids, times and look-ups right."""

    def __init__(self, settings: CloudSettings, timeline: Timeline) -> None:
        self.settings = settings
        self.timeline = timeline
        self.services: list[Service] = []
        self.servers: dict[str, Server] = {}
        self.migrations: list[Migration] = []
        self.images: dict[str, Image] = {}
        self.volumes: dict[str, Volume] = {}
        self.attachments: dict[str, dict[str, Attachment]] = {}  # by server, then by id
        self.flavors: dict[str, Flavor] = {}
        self.aggregates: list[Aggregate] = []
        self.groups: dict[str, ServerGroup] = {}
        self.capacities: dict[str, Capacity] = {}
        self.allocations: dict[str, dict[str, Server]] = {}  # by host, then by server
        self.shared_storage: set[str] = set()
        self.down_cell: set[str] = set()
        self.dead_backends: set[str] = set()
        self._computes: dict[str, Service] = {}
        self._by_host: dict[str, dict[str, Server]] = {}
        self._held: dict[str, Capacity] = {}
        self._serial = itertools.count(1)
        for binary in ("nova-scheduler", "nova-conductor"):
            self.add_service(binary, settings.controller, zone="internal")

    @property
    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self.timeline.now

    def add_service(self, binary: str, host: str, *, zone: str) -> Service:
        """Create the row of a service that starts for the first time; it counts as a heartbeat."""
        service = Service(
            number=len(self.services) + 1,
            binary=binary,
            host=host,
            zone=zone,
            id=stable_uuid("service", f"{binary}/{host}"),
            updated_at=self.now,
            last_seen=self.now,
        )
        self.services.append(service)
        if binary == "nova-compute":
            self._computes[host] = service
            self.capacities.setdefault(host, self.settings.capacity)
        return service

    def compute_service(self, host: str | None) -> Service | None:
        """The nova-compute service of a host, None when Nova knows no such host."""
        return self._computes.get(host) if host is not None else None

    def compute_services(self) -> tuple[Service, ...]:
        """All nova-compute services, oldest first."""
        return tuple(self._computes.values())

    def is_up(self, service: Service) -> bool:
        """Nova's ``state``: not forced down and a heartbeat within ``service_down_time``."""
        silent = abs(self.now - service.last_seen)
        return not service.forced_down and silent <= self.settings.service_down_time

    def zone_of(self, host: str | None) -> str:
        """The availability zone of a host, from its aggregates."""
        for aggregate in self.aggregates:
            if aggregate.zone and host in aggregate.hosts:
                return aggregate.zone
        return self.settings.zone

    def node_of(self, host: str) -> str:
        """The hypervisor's name of a host, which need not be the host's."""
        return f"{host}{self.settings.domain}"

    def servers_on(self, host: str) -> tuple[Server, ...]:
        """Servers that Nova counts to a host, in the order of their arrival."""
        return tuple(self._by_host.get(host, {}).values())

    def add_server(self, server: Server) -> None:
        """A new row."""
        self.servers[server.id] = server
        if server.host is not None:
            self._by_host.setdefault(server.host, {})[server.id] = server

    def move(self, server: Server, host: str) -> None:
        """Nova now counts the server to ``host``."""
        self._by_host.get(server.host or "", {}).pop(server.id, None)
        server.host = host
        self._by_host.setdefault(host, {})[server.id] = server
        self.touch(server)

    def group_of(self, server: str) -> ServerGroup | None:
        """The server group of a server."""
        return next((g for g in self.groups.values() if server in g.members), None)

    def attachments_of(self, server: str) -> tuple[Attachment, ...]:
        """Attachments of a server's volumes."""
        return tuple(self.attachments.get(server, {}).values())

    def backend_up(self, backend: str) -> bool:
        """Whether the backend's cinder-volume answers."""
        return backend not in self.dead_backends

    def add_attachment(self, *, volume: str, server: str, host: str) -> Attachment:
        """Attach a volume to a server on a host."""
        attachment = Attachment(
            id=self.new_uuid("attachment"),
            volume=volume,
            server=server,
            host=host,
            attached_at=self.now,
        )
        self.attachments.setdefault(server, {})[attachment.id] = attachment
        return attachment

    def remove_attachment(self, attachment: Attachment) -> None:
        """Cinder forgets an attachment; the volume is not asked whether it is in use."""
        del self.attachments[attachment.server][attachment.id]

    def new_uuid(self, kind: str) -> str:
        """A fresh uuid, the same in every run of the same story."""
        return stable_uuid(kind, str(next(self._serial)))

    def add_migration(self, server: Server, *, kind: str, dest: str | None = None) -> Migration:
        """A new migration record in ``accepted``."""
        number = len(self.migrations) + 1
        migration = Migration(
            number=number,
            uuid=stable_uuid("migration", str(number)),
            server=server.id,
            type=kind,
            source=server.host or "",
            dest=dest,
            created_at=self.now,
            updated_at=self.now,
            user=stable_id("user", "admin"),
            project=stable_id("project", "admin"),
        )
        self.migrations.append(migration)
        return migration

    def set_status(self, migration: Migration, status: MigrationStatus) -> None:
        """Move a migration record on."""
        migration.status = status
        migration.updated_at = self.now

    def open_evacuations_from(self, host: str) -> tuple[Migration, ...]:
        """Evacuation records that a starting nova-compute of ``host`` counts, newest per server.

        Source: nova/compute/manager.py ``_destroy_evacuated_instances``, which keys the records
        by server, so that an older one of the same server is passed over.
        """
        newest = {
            m.server: m
            for m in self.migrations
            if m.source == host and m.type == "evacuation" and m.status in OPEN_EVACUATION
        }
        return tuple(newest.values())

    def allocate(self, server: Server, host: str) -> None:
        """Placement counts the server to the host, beside any host it is counted to already."""
        held = self.allocations.setdefault(host, {})
        if server.id not in held:
            held[server.id] = server
            self._held[host] = self.held_on(host).plus(server.room)

    def deallocate(self, server: str, host: str) -> None:
        """Placement no longer counts the server to the host."""
        gone = self.allocations.get(host, {}).pop(server, None)
        if gone is not None:
            self._held[host] = self.held_on(host).minus(gone.room)

    def free_memory(self, host: str) -> int:
        """MiB that allocations leave on a host."""
        return self.capacities[host].memory_mb - self.held_on(host).memory_mb

    def held_on(self, host: str) -> Capacity:
        """What is taken of a host: its own reserve and every allocation."""
        return self._held.get(host, _RESERVE)

    def has_room(self, host: str, need: Capacity) -> bool:
        """Whether the host's inventory can take ``need`` on top of its allocations."""
        return self.held_on(host).plus(need).fits_into(self.capacities[host])

    def touch(self, server: Server) -> None:
        """A server's row was written."""
        server.updated = self.now

    def set_fault(self, server: Server, message: str) -> None:
        """Record the failure that Nova shows with a server in ERROR."""
        server.fault = Fault(code=500, message=message, created=self.now)

    def record_action(
        self, server: Server, name: str, *, request_id: str, by_nova: bool = False
    ) -> Action:
        """A new instance action by the admin, or by a nova-compute, which has no user."""
        action = Action(
            name=name,
            request_id=request_id,
            start=self.now,
            updated_at=self.now,
            user=None if by_nova else stable_id("user", "admin"),
            project=None if by_nova else stable_id("project", "admin"),
        )
        server.actions.append(action)
        return action
