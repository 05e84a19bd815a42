"""One region: machines, their BMCs, the cloud and the cluster, in one time."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from hacli.lab.bmcs import Bmc
from hacli.lab.cloud import Cloud
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.machines import Machine, Machines, Timeline


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """How a region is built. Seconds throughout."""

    boot_seconds: float = 20.0
    off_seconds: float = 0.0
    cloud: CloudSettings = field(default_factory=CloudSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)


@dataclass(frozen=True, kw_only=True)
class ServerTruth:
    """What is really so with one server, whatever any API says."""

    id: str
    name: str
    running_on: tuple[str, ...]
    defined_on: tuple[str, ...]
    disks: tuple[str, ...]  # of the running guests, or of the defined ones when none runs
    original_disk: str
    originally_running: bool

    @property
    def runs_twice(self) -> bool:
        """The one thing that must never be."""
        return len(self.running_on) > 1

    @property
    def lost_its_disk(self) -> bool:
        """What executes is not on the disk that the server was seeded with."""
        return any(disk != self.original_disk for disk in self.disks)


class Command(Protocol):
    """A deed or a fault that somebody does to the region (``lab.commands`` has them)."""

    def apply_to(self, region: "Region") -> None:
        """Do it now."""
        ...


class Region:
    """One cloud with its machines and its cluster: the single model of the world.

    Args:
        names: The compute hosts; Nova host, Pacemaker node and machine have the same name.
        start: The time at which it begins, healthy, in seconds since the epoch.
    """

    def __init__(
        self, names: tuple[str, ...], *, start: float, settings: RegionSettings | None = None
    ) -> None:
        self.settings = settings or RegionSettings()
        self.names = names
        self.timeline = Timeline(start)
        self.machines = Machines(names, self.timeline, boot_seconds=self.settings.boot_seconds)
        self.bmcs = {
            machine.name: Bmc(machine, self.machines, off_seconds=self.settings.off_seconds)
            for machine in self.machines
        }
        # The cloud is there first: it hears the cluster start nova-compute on every host.
        self.cloud = Cloud(self.machines, settings=self.settings.cloud)
        self.cluster = Cluster(
            machines=self.machines,
            bmcs=self.bmcs,
            timeline=self.timeline,
            names=names,
            settings=self.settings.cluster,
        )

    def advance(self, now: float) -> None:
        """Let time pass until ``now``."""
        self.timeline.advance(now)

    def apply(self, command: Command) -> None:
        """Do a deed or cause a fault, now."""
        command.apply_to(self)

    def truth(self) -> tuple[ServerTruth, ...]:
        """Where each server's guest really is and runs, in the order of seeding."""
        holders: dict[str, list[Machine]] = defaultdict(list)
        for machine in self.machines:
            for server in machine.guests:
                holders[server].append(machine)
        return tuple(self._truth_of(server, holders[server]) for server in self.cloud.origins)

    def _truth_of(self, server: str, holders: list[Machine]) -> ServerTruth:
        running = [m for m in holders if m.guests[server].running]
        origin = self.cloud.origins[server]
        return ServerTruth(
            id=server,
            name=self.cloud.tables.servers[server].name,
            running_on=tuple(m.name for m in running),
            defined_on=tuple(m.name for m in holders),
            disks=tuple(m.guests[server].disk for m in running or holders),
            original_disk=origin.disk,
            originally_running=origin.running,
        )
