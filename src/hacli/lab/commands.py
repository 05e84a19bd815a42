"""What can be done to a region from outside: its faults, its repairs, its hands on a switch."""

from dataclasses import dataclass

from hacli.lab.api_faults import ApiFault
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud_records import MigrationStatus
from hacli.lab.computes import NOVA_COMPUTE
from hacli.lab.moves import ColdMove
from hacli.lab.region import Region


@dataclass(frozen=True, kw_only=True)
class _OnHost:
    host: str


class Crash(_OnHost):
    """The kernel panics."""

    def apply_to(self, region: Region) -> None:
        """Guests and daemons end; the chassis stays on."""
        region.machines.crash(region.machines[self.host])


class Hang(_OnHost):
    """Every process of the host stops executing."""

    def apply_to(self, region: Region) -> None:
        """Nothing answers, nothing ends; ``Join`` lets it go on."""
        region.machines.hang(region.machines[self.host])


class Cut(_OnHost):
    """The host loses its network."""

    def apply_to(self, region: Region) -> None:
        """Guests run on."""
        region.machines.cut(region.machines[self.host])


class Join(_OnHost):
    """The network is back, or the hang is over."""

    def apply_to(self, region: Region) -> None:
        """The machine goes on with all it holds."""
        region.machines.join(region.machines[self.host])


class PullPlug(_OnHost):
    """Somebody pulls all its power cords."""

    def apply_to(self, region: Region) -> None:
        """Until ``Return`` nothing switches it on, and its BMC is dark."""
        machine = region.machines[self.host]
        region.machines.power_off(machine)
        machine.plugged = False


class PowerOff(_OnHost):
    """Somebody switches it off."""

    def apply_to(self, region: Region) -> None:
        """Behind the back of cluster and BMC."""
        region.machines.power_off(region.machines[self.host])


class PowerOn(_OnHost):
    """Somebody presses the button."""

    def apply_to(self, region: Region) -> None:
        """The machine boots; what is on already stays on."""
        region.machines.power_on(region.machines[self.host])


class Return(_OnHost):
    """The host is repaired."""

    def apply_to(self, region: Region) -> None:
        """Network joined, and booted anew unless it executes well: a reset ends what it held."""
        machine = region.machines[self.host]
        machine.plugged = True
        needs_reset = machine.hung or (machine.powered and not machine.booted)
        if not machine.network:
            machine.network = True
            if machine.alive and not needs_reset:
                region.machines.join(machine)
        if needs_reset:
            region.machines.reboot(machine)
        else:
            region.machines.power_on(machine)


class KillCompute(_OnHost):
    """nova-compute alone dies."""

    def apply_to(self, region: Region) -> None:
        """Its guests run on."""
        region.machines.stop_process(region.machines[self.host], NOVA_COMPUTE)


@dataclass(frozen=True, kw_only=True)
class BreakBmc:
    """A BMC begins to fail; the fault OK repairs it."""

    host: str
    fault: BmcFault

    def apply_to(self, region: Region) -> None:
        """From now on."""
        region.bmcs[self.host].set_fault(self.fault)


@dataclass(frozen=True, kw_only=True)
class FailSpawns:
    """Every rebuild onto the host fails, before or after its guest was started."""

    host: str
    on: bool = True
    after_start: bool = False

    def apply_to(self, region: Region) -> None:
        """From now on."""
        faults = region.cloud.evacuations.faults
        hosts = faults.fails_after_spawn if self.after_start else faults.spawn_fails
        (hosts.add if self.on else hosts.discard)(self.host)


@dataclass(frozen=True, kw_only=True)
class StickEvacuation:
    """The server's next evacuations stay ``accepted`` or ``pre-migrating`` for ever.

    ``at=None`` lets its later ones pass again.
    """

    server: str
    at: MigrationStatus | None = MigrationStatus.PRE_MIGRATING

    def apply_to(self, region: Region) -> None:
        """From now on; one that runs is not touched."""
        stuck = region.cloud.evacuations.faults.stuck
        stuck.pop(self.server, None)
        if self.at is not None:
            stuck[self.server] = self.at


@dataclass(frozen=True, kw_only=True)
class SetConductor:
    """nova-conductor dies or is back."""

    alive: bool

    def apply_to(self, region: Region) -> None:
        """Without it no heartbeat and no step of an evacuation is written."""
        region.cloud.set_conductor(alive=self.alive)


@dataclass(frozen=True, kw_only=True)
class SetCell:
    """The Nova cell of a host stops answering, or answers again."""

    host: str
    down: bool

    def apply_to(self, region: Region) -> None:
        """The host's services and servers are partial records or missing while it is down."""
        cells = region.cloud.tables.down_cell
        (cells.add if self.down else cells.discard)(self.host)


@dataclass(frozen=True, kw_only=True)
class SetBackend:
    """The cinder-volume of a backend dies or is back."""

    backend: str
    up: bool

    def apply_to(self, region: Region) -> None:
        """While it is down no volume of it can be attached."""
        dead = region.cloud.tables.dead_backends
        (dead.discard if self.up else dead.add)(self.backend)


@dataclass(frozen=True, kw_only=True)
class ShareStorage:
    """The instances directory of a host becomes the region's shared one, or its own again."""

    host: str
    shared: bool

    def apply_to(self, region: Region) -> None:
        """Evacuations between two sharing hosts keep local disks."""
        region.cloud.set_shared_storage(self.host, shared=self.shared)


@dataclass(frozen=True, kw_only=True)
class FailNovaApi:
    """Requests to Nova fail as ``fault`` says; None repairs the API."""

    fault: ApiFault | None

    def apply_to(self, region: Region) -> None:
        """From now on."""
        if self.fault is None:
            region.cloud.api_faults.clear()
        else:
            region.cloud.api_faults.add(self.fault)


@dataclass(frozen=True, kw_only=True)
class BeginLiveMigration:
    """A live migration of a server begins; see ``Moves.begin_live``."""

    server: str
    dest: str
    seconds: float | None = None
    switched: bool = False

    def apply_to(self, region: Region) -> None:
        """Now."""
        region.cloud.moves.begin_live(
            region.cloud.tables.servers[self.server],
            dest=self.dest,
            seconds=self.seconds,
            switched=self.switched,
        )


@dataclass(frozen=True, kw_only=True)
class BeginColdMove:
    """A cold migration or resize of a server stands at a stage; see ``Moves.begin_cold``."""

    server: str
    dest: str
    stage: MigrationStatus = MigrationStatus.MIGRATING
    kind: ColdMove = ColdMove.MIGRATION

    def apply_to(self, region: Region) -> None:
        """Now."""
        region.cloud.moves.begin_cold(
            region.cloud.tables.servers[self.server],
            dest=self.dest,
            stage=self.stage,
            kind=self.kind,
        )
