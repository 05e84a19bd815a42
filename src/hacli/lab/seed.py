"""Standard populations of a region: how many hosts, and what lives on them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hacli.lab.cloud_records import Capacity, VmState
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.commands import ShareStorage
from hacli.lab.region import Region, RegionSettings

_EVERY_SIXTH = 6
_SERVER_MB = 64
_ROOM = Capacity(vcpus=64, memory_mb=65536, disk_gb=1000)


@dataclass(frozen=True, kw_only=True)
class Population:
    """Who lives in a region, and the settings that give them room."""

    hosts: tuple[str, ...]
    fill: Callable[[Region], None]
    settings: RegionSettings = field(default_factory=RegionSettings)


def host_names(count: int) -> tuple[str, ...]:
    """compute-1, compute-2, and so on."""
    return tuple(f"compute-{number}" for number in range(1, count + 1))


def small(hosts: int = 4, servers: int = 24) -> Population:
    """Volume-backed servers spread evenly; every sixth of a host is stopped."""
    names = host_names(hosts)

    def fill(region: Region) -> None:
        for number in range(servers):
            host, position = names[number % hosts], number // hosts
            stopped = position % _EVERY_SIXTH == _EVERY_SIXTH - 1
            _add(region, f"server-{number + 1:0{len(str(servers))}}", host, stopped=stopped)

    return Population(hosts=names, fill=fill, settings=_room_for(servers))


def many(host: str = "compute-1", count: int = 1200, *, hosts: int = 4) -> Population:
    """All servers on one host; the others have room for them."""
    names = host_names(hosts)

    def fill(region: Region) -> None:
        for number in range(count):
            stopped = number % _EVERY_SIXTH == _EVERY_SIXTH - 1
            _add(region, f"server-{number + 1:04}", host, stopped=stopped)

    return Population(hosts=names, fill=fill, settings=_room_for(count))


def demo() -> Population:
    """Four hosts, 24 servers, each kind of disk; the cluster notices a dead host within 10 s.

    compute-3 has six servers that run from volumes, a stopped one, and one on its local disk. The
    other hosts share their storage, and the servers of compute-2 boot from images on it.
    """
    settings = RegionSettings(
        boot_seconds=6.0,
        cluster=ClusterSettings(monitor_s=3.0, monitor_timeout_s=6.0, reconnect_s=3.0),
    )
    return Population(hosts=host_names(4), fill=_fill_demo, settings=settings)


def _fill_demo(region: Region) -> None:
    for host in ("compute-1", "compute-2", "compute-4"):
        ShareStorage(host=host, shared=True).apply_to(region)
    names = [f"web-{n:02}" for n in range(1, 13)] + [f"db-{n:02}" for n in range(1, 7)]
    names += [f"queue-{n:02}" for n in range(1, 4)] + [f"build-{n:02}" for n in range(1, 4)]
    stopped, local = "queue-03", "build-03"  # both on compute-3
    hosts = host_names(4)
    for position, name in enumerate(names):
        host = "compute-3" if name in (stopped, local) else hosts[position % 4]
        volume = host != "compute-2" and name != local
        _add(region, name, host, stopped=name == stopped, volume=volume)


def _add(region: Region, name: str, host: str, *, stopped: bool, volume: bool = True) -> None:
    state = VmState.STOPPED if stopped else VmState.ACTIVE
    region.cloud.add_server(name, host, state=state, volume=volume)


def _room_for(servers: int) -> RegionSettings:
    """Every host can take all servers: room is a matter of its own tests."""
    capacity = Capacity(
        vcpus=max(_ROOM.vcpus, 2 * servers),
        memory_mb=max(_ROOM.memory_mb, 2 * servers * _SERVER_MB),
        disk_gb=_ROOM.disk_gb,
    )
    return RegionSettings(cloud=CloudSettings(capacity=capacity))
