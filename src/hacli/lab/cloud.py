"""The lab's cloud: what an operator seeds and breaks, and what its API can make it do.

Nova's behaviour is spread over the modules by who acts: ``evacuation`` (API, conductor and
scheduler), ``rebuild`` (the destination), ``computes`` (each nova-compute), ``power_actions``
(start, stop, reboot) and ``moves`` (migrations that an outage interrupts).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hacli.lab.api_faults import ApiFaults
from hacli.lab.cloud_records import (
    POWER_NOSTATE,
    POWER_PAUSED,
    POWER_RUNNING,
    POWER_SHUTDOWN,
    POWER_SUSPENDED,
    Aggregate,
    Flavor,
    Image,
    Server,
    ServerGroup,
    VmState,
    Volume,
    stable_id,
    stable_uuid,
)
from hacli.lab.cloud_tables import CloudSettings, Tables
from hacli.lab.computes import Computes
from hacli.lab.evacuation import Evacuations
from hacli.lab.machines import Guest, Machines
from hacli.lab.moves import Moves

IMAGE_FLAVOR = Flavor(id="1", name="m1.lab")
VOLUME_FLAVOR = Flavor(id="2", name="m1.bfv", disk=0)
BACKEND = "lab@fake"
ADMIN_PROJECT = stable_id("project", "admin")
ADMIN_USER = stable_id("user", "admin")

_POWER_OF = {
    VmState.ACTIVE: POWER_RUNNING,
    VmState.BUILDING: POWER_NOSTATE,
    VmState.STOPPED: POWER_SHUTDOWN,
    VmState.PAUSED: POWER_PAUSED,
    VmState.SUSPENDED: POWER_SUSPENDED,
    VmState.RESCUED: POWER_RUNNING,
    VmState.RESIZED: POWER_RUNNING,
    VmState.SOFT_DELETED: POWER_SHUTDOWN,
    VmState.SHELVED: POWER_SHUTDOWN,
    VmState.SHELVED_OFFLOADED: POWER_SHUTDOWN,
    VmState.ERROR: POWER_RUNNING,
}

_LATER_ACTION = {
    VmState.STOPPED: "stop",
    VmState.PAUSED: "pause",
    VmState.SUSPENDED: "suspend",
    VmState.RESCUED: "rescue",
}
"""What brought a server to a state beside the one it was made in."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a server was seeded: what must still be true of it when all is over."""

    disk: str
    running: bool


class Cloud:
    """Nova, Cinder and Glance of one region."""

    def __init__(self, machines: Machines, *, settings: CloudSettings) -> None:
        self.settings = settings
        self.machines = machines
        self.tables = Tables(settings, machines.timeline)
        self.computes = Computes(self.tables, machines)
        self.evacuations = Evacuations(self.tables, machines, self.computes)
        self.moves = Moves(self.tables, machines, self.computes)
        self.api_faults = ApiFaults()
        self.origins: dict[str, Origin] = {}
        self.add_flavor(IMAGE_FLAVOR)
        self.add_flavor(VOLUME_FLAVOR)
        self.default_image = self.add_image("lab-image")

    def add_flavor(self, flavor: Flavor) -> Flavor:
        """Make a flavor known."""
        self.tables.flavors[flavor.id] = flavor
        return flavor

    def add_image(
        self, name: str, *, properties: Mapping[str, str] | None = None, age_s: float = 0.0
    ) -> Image:
        """Store an image; ``image_type=snapshot`` and ``instance_uuid`` make it a snapshot."""
        image = Image(
            id=stable_uuid("image", name),
            name=name,
            created_at=self.tables.now - age_s,
            owner=ADMIN_PROJECT,
            properties=dict(properties or {}),
        )
        self.tables.images[image.id] = image
        return image

    def add_snapshot(self, server: Server, *, age_s: float) -> Image:
        """A snapshot of a server, taken so many seconds ago (nova/compute/utils.py)."""
        properties = {"image_type": "snapshot", "instance_uuid": server.id}
        return self.add_image(f"{server.name}-{age_s:g}", properties=properties, age_s=age_s)

    def add_aggregate(
        self, name: str, hosts: tuple[str, ...], *, zone: str | None = None
    ) -> Aggregate:
        """Put hosts into an aggregate, which may be an availability zone."""
        aggregate = Aggregate(
            number=len(self.tables.aggregates) + 1,
            uuid=stable_uuid("aggregate", name),
            name=name,
            zone=zone,
            hosts=list(hosts),
            created_at=self.tables.now,
            metadata={"availability_zone": zone} if zone else {},
        )
        self.tables.aggregates.append(aggregate)
        return aggregate

    def add_group(self, name: str, policy: str) -> ServerGroup:
        """Create a server group: affinity, anti-affinity, soft-affinity, soft-anti-affinity."""
        group = ServerGroup(
            id=stable_uuid("group", name),
            name=name,
            policy=policy,
            project=ADMIN_PROJECT,
            user=ADMIN_USER,
        )
        self.tables.groups[group.id] = group
        return group

    def add_server(  # noqa: PLR0913 - a builder of facts has a keyword for each fact
        self,
        name: str,
        host: str | None,
        *,
        volume: bool = True,
        image: str | None = None,
        state: VmState | str = VmState.ACTIVE,
        flavor: Flavor | None = None,
        metadata: Mapping[str, str] | None = None,
        group: ServerGroup | None = None,
        project: str = ADMIN_PROJECT,
        user: str = ADMIN_USER,
        locked: bool = False,
        zone: str | None = None,
        task: str | None = None,
        running: bool | None = None,
    ) -> Server:
        """Seed a server with its guest, as if it had been created just now.

        Args:
            host: Where it lives; None for one that was never scheduled or is shelved offloaded.
            volume: Boots from a volume; otherwise from ``image`` (default: the lab's image).
            zone: Pinned availability zone.
            task: A ``task_state`` to leave it in.
            running: Whether its guest executes; by default what ``state`` implies.
        """
        vm_state = VmState(state)
        image_id = None if volume else (image or self.default_image.id)
        server_id = stable_uuid("server", name)
        now = self.tables.now
        disk = stable_uuid("volume", name) if volume else stable_uuid("disk", name)[:8]
        server = Server(
            number=len(self.tables.servers) + 1,
            id=server_id,
            name=name,
            project=project,
            user=user,
            flavor=flavor or (VOLUME_FLAVOR if volume else IMAGE_FLAVOR),
            created=now,
            updated=now,
            host=host,
            image=image_id,
            vm_state=vm_state,
            power_state=_POWER_OF[vm_state],
            disk=disk,
            task_state=task,
            launched_at=None if vm_state is VmState.BUILDING else now,
            metadata=dict(metadata or {}),
            locked=locked,
            pinned_zone=zone,
        )
        self.tables.add_server(server)
        if group:
            group.members.append(server_id)
        if host:
            runs = (
                server.power_state in (POWER_RUNNING, POWER_PAUSED) if running is None else running
            )
            self._place(server, host, running=runs)
        return server

    def _place(self, server: Server, host: str, *, running: bool) -> None:
        self.tables.allocate(server, host)
        guest = Guest(server=server.id, disk=server.disk, local_disk=server.image is not None)
        machine = self.machines[host]
        if running:
            self.machines.start_guest(machine, guest)
        else:
            self.machines.define_guest(machine, guest)
        self.origins[server.id] = Origin(disk=server.disk, running=running)
        self.tables.record_action(
            server, "create", request_id=f"req-{stable_uuid('create', server.id)}"
        )
        then = _LATER_ACTION.get(server.vm_state)
        if then is not None:
            self.tables.record_action(
                server, then, request_id=f"req-{stable_uuid(then, server.id)}"
            )
        if server.image is None:
            self._attach_root(server, host)

    def _attach_root(self, server: Server, host: str) -> None:
        self.tables.volumes[server.disk] = Volume(
            id=server.disk,
            name="",
            project=server.project,
            size=1,
            backend=BACKEND,
            created_at=self.tables.now,
        )
        self.tables.add_attachment(volume=server.disk, server=server.id, host=host)

    def set_shared_storage(self, host: str, shared: bool) -> None:  # noqa: FBT001 - the one fact
        """Whether the host's instances directory is the region's shared one."""
        if shared:
            self.tables.shared_storage.add(host)
        else:
            self.tables.shared_storage.discard(host)

    def set_conductor(self, *, alive: bool) -> None:
        """Kill or revive nova-conductor: without it nobody writes to Nova's database."""
        self.computes.set_conductor(alive=alive)
        if alive:
            self.evacuations.resume()
