"""Would each server survive the loss of its host? Dated facts in, a verdict per server out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property

from hacli.domain.evacuation import EVACUABLE_STATES
from hacli.domain.host_storage import HostStorage, Keeps, Unknown, shares
from hacli.domain.servers import ComputeService, Server, ServerGroup

ATTACHED = "in-use"
"""The only status of a volume from which it is certainly attached anew."""
SHORT_ID = 8
MB_PER_GB = 1024


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One Cinder volume."""

    id: str
    status: str
    service: str | None  # host@backend, as its service is called; None: not placed yet
    cluster: str | None = None  # of services, any of which serves it
    vtpm: bool = False  # its image wanted one when it was made


@dataclass(frozen=True, kw_only=True)
class VolumeService:
    """One cinder-volume: it makes the connection of each volume of its backend."""

    host: str  # host@backend
    up: bool  # it reports, and so does its backend where that is told
    cluster: str | None = None

    @property
    def machine(self) -> str:
        """Where it runs, as far as its name tells."""
        return self.host.partition("@")[0]


@dataclass(frozen=True, kw_only=True)
class Image:
    """One Glance image that can be used."""

    id: str
    name: str
    created_at: datetime
    snapshot_of: str | None = None  # the server it was taken of
    vtpm: bool = False


@dataclass(frozen=True, kw_only=True)
class StorageFacts:
    """All that a verdict rests on. What nobody told is ``Unknown``, with the reason."""

    hosts: Mapping[str, HostStorage]
    services: tuple[ComputeService, ...]
    groups: tuple[ServerGroup, ...] | Unknown
    volumes: Mapping[str, Volume] | Unknown
    volume_services: tuple[VolumeService, ...] | Unknown
    images: Mapping[str, Image] | Unknown

    @cached_property
    def newest_snapshots(self) -> Mapping[str, Image]:
        """The newest snapshot of each server."""
        images = {} if isinstance(self.images, Unknown) else self.images
        snapshots = [image for image in images.values() if image.snapshot_of is not None]
        oldest_first = sorted(snapshots, key=lambda image: image.created_at)
        return {image.snapshot_of or "": image for image in oldest_first}

    @cached_property
    def bound_together(self) -> frozenset[str]:
        """Servers of hard affinity groups: Nova accepts no host but the dead one (facts A.4)."""
        groups = () if isinstance(self.groups, Unknown) else self.groups
        hard = (group for group in groups if group.policy == "affinity")
        return frozenset(member for group in hard for member in group.members)


class Fate(Enum):
    """What becomes of a server when its host is lost, worst first."""

    NOT_EVACUABLE = "not_evacuable"
    LOSES_ROOT = "loses_root"
    LOSES_EPHEMERAL = "loses_ephemeral"
    UNKNOWN = "unknown"
    SURVIVES = "survives"


class Back(Enum):
    """What a server without its root disk can go back to; its state since then is lost."""

    SNAPSHOT = "snapshot"
    IMAGE = "image"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """The best that is left of a lost root disk."""

    kind: Back
    image: Image | None = None
    why: str = ""  # it is not known


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The fate of one server, with the reason and a problem code (none: it survives)."""

    server: Server
    fate: Fate
    code: str | None = None
    text: str = ""
    back: WayBack | None = None

    def at_risk(self, *, now: datetime, snapshot_age: timedelta | None) -> bool:
        """Whether the server loses what its owner has not accepted to lose.

        Args:
            snapshot_age: A snapshot no older than this is enough for the operator; None: none is.
        """
        if self.fate in (Fate.SURVIVES, Fate.UNKNOWN):
            return False
        snapshot = self.back.image if self.back and self.back.kind is Back.SNAPSHOT else None
        if self.fate is Fate.LOSES_ROOT and snapshot is not None and snapshot_age is not None:
            return now - snapshot.created_at > snapshot_age
        return True


@dataclass(frozen=True, kw_only=True)
class _Reach:
    """What the hosts that may take a host's servers find of its disks."""

    hosts: int
    without: str | None  # one that certainly does not find them
    unsure: str | None  # why it is not known for one of them


@dataclass(frozen=True)
class _Reason:
    code: str
    text: str


def judge_servers(servers: Iterable[Server], facts: StorageFacts) -> tuple[Verdict, ...]:
    """The verdict on each server.

    What certainly fails comes before what certainly is lost, and both before what is not known;
    a server survives only when nothing speaks against it and every source has spoken.
    """
    reaches: dict[tuple[str, str | None], _Reach] = {}
    verdicts = []
    for server in servers:
        place = (server.host, server.pinned_zone)
        if place not in reaches:
            reaches[place] = _reach(*place, facts)
        verdicts.append(_judge(server, facts, reaches[place]))
    return tuple(verdicts)


def _judge(server: Server, facts: StorageFacts, reach: _Reach) -> Verdict:
    refused = next(_hindrances(server, facts, reach), None)
    if refused is not None:
        fate = Fate.NOT_EVACUABLE
        return Verdict(server=server, fate=fate, code=refused.code, text=refused.text)
    where = _where_lost(server, facts, reach)
    if where is not None and _has_local_disk(server):
        return _losing(server, facts, where)
    unsure = next(_doubts(server, facts, reach), None)
    if unsure is not None:
        code = "STORAGE_UNVERIFIED"
        return Verdict(server=server, fate=Fate.UNKNOWN, code=code, text=unsure)
    return Verdict(server=server, fate=Fate.SURVIVES)


def _reach(host: str, zone: str | None, facts: StorageFacts) -> _Reach:
    """Nova may choose any other host that is enabled and up, in the pinned zone if there is one."""
    source = facts.hosts.get(host)
    others = [
        service.host
        for service in facts.services
        if service.known
        and service.up
        and service.enabled
        and service.host != host
        and zone in (None, service.zone)
    ]
    without = unsure = None
    for other in others:
        found = facts.hosts.get(other)
        finds = shares(source, found) if source is not None and found is not None else None
        if finds is False:
            without = without or other
        elif finds is None:
            unsure = unsure or f"{other}: {found.text if found else 'its storage is not known'}"
    return _Reach(hosts=len(others), without=without, unsure=unsure)


def _hindrances(server: Server, facts: StorageFacts, reach: _Reach) -> Iterator[_Reason]:
    """Why Nova would refuse the evacuation, or it would fail (facts A.4, B.2)."""
    if server.vm_state not in EVACUABLE_STATES or not server.launched:
        state = server.vm_state if server.launched else "not built yet"
        yield _Reason("VM_STATE", f"Nova does not evacuate a VM that is {state}")
    if server.vtpm or any(_vtpm_by_image(server, facts)):
        yield _Reason("VM_VTPM", "Nova does not evacuate a VM with a virtual TPM")
    if server.id in facts.bound_together:
        yield _Reason("VM_AFFINITY", "its server group (affinity) allows no other host")
    if not reach.hosts:
        zone = f" in its zone {server.pinned_zone}" if server.pinned_zone else ""
        yield _Reason("VM_ZONE", f"no other host{zone} is up and enabled")
    yield from _unattachable(server, facts)


def _vtpm_by_image(server: Server, facts: StorageFacts) -> Iterator[bool]:
    if server.image is not None and not isinstance(facts.images, Unknown):
        image = facts.images.get(server.image)
        yield image is not None and image.vtpm
    if not isinstance(facts.volumes, Unknown):
        for id_ in server.volumes:
            volume = facts.volumes.get(id_)
            yield volume is not None and volume.vtpm


def _unattachable(server: Server, facts: StorageFacts) -> Iterator[_Reason]:
    """A volume is attached by the cinder-volume of its backend, which must be up afterwards."""
    if isinstance(facts.volumes, Unknown) or isinstance(facts.volume_services, Unknown):
        return
    for id_ in server.volumes:
        volume = facts.volumes.get(id_)
        serving = _serving(volume, facts.volume_services) if volume is not None else ()
        if not serving:
            continue
        name = f"volume {id_[:SHORT_ID]}"
        if not any(service.up for service in serving):
            yield _Reason("VOLUME_BACKEND", f"{name}: cinder-volume {serving[0].host} is down")
        elif all(_same_machine(s.machine, server.host) for s in serving if s.up):
            text = f"{name}: its cinder-volume {serving[0].host} dies with the host"
            yield _Reason("VOLUME_BACKEND", text)


def _serving(volume: Volume, services: Iterable[VolumeService]) -> tuple[VolumeService, ...]:
    if volume.cluster is not None:
        return tuple(service for service in services if service.cluster == volume.cluster)
    return tuple(service for service in services if service.host == volume.service)


def _same_machine(one: str, other: str) -> bool:
    return one.partition(".")[0] == other.partition(".")[0]


def _has_local_disk(server: Server) -> bool:
    """It has a disk that is no volume."""
    return not server.volume_backed or bool(server.ephemeral_gb or server.swap_mb)


def _where_lost(server: Server, facts: StorageFacts, reach: _Reach) -> str | None:
    """Where disks that are no volumes would certainly be made anew; None: nowhere, as far known."""
    own = facts.hosts.get(server.host)
    if own is not None and own.keeps is Keeps.LOCAL:
        return f"is local ({own.text})"
    return f"is not shared by {reach.without}" if reach.without else None


def _losing(server: Server, facts: StorageFacts, where: str) -> Verdict:
    if server.volume_backed:
        return Verdict(
            server=server,
            fate=Fate.LOSES_EPHEMERAL,
            code="LOCAL_DISK",
            text=f"its {_extra_disks(server)} {where}",
        )
    return Verdict(
        server=server,
        fate=Fate.LOSES_ROOT,
        code="LOCAL_DISK",
        text=f"its root disk {where}",
        back=_way_back(server, facts),
    )


def _extra_disks(server: Server) -> str:
    ephemeral = f"ephemeral disk of {server.ephemeral_gb} GiB" if server.ephemeral_gb else ""
    megabytes = f"{server.swap_mb} MiB"
    gigabytes = f"{server.swap_mb // MB_PER_GB} GiB"
    swap = f"swap disk of {megabytes if server.swap_mb % MB_PER_GB else gigabytes}"
    return " and ".join(disk for disk in (ephemeral, swap if server.swap_mb else "") if disk)


def _way_back(server: Server, facts: StorageFacts) -> WayBack:
    if isinstance(facts.images, Unknown):
        return WayBack(kind=Back.UNKNOWN, why=facts.images.why)
    snapshot = facts.newest_snapshots.get(server.id)
    if snapshot is not None:
        return WayBack(kind=Back.SNAPSHOT, image=snapshot)
    image = facts.images.get(server.image or "")
    return WayBack(kind=Back.IMAGE if image else Back.NOTHING, image=image)


def _doubts(server: Server, facts: StorageFacts, reach: _Reach) -> Iterator[str]:
    """Why it is not certain that the server survives."""
    own = facts.hosts.get(server.host)
    if _has_local_disk(server):
        if own is None or own.keeps is Keeps.UNKNOWN:
            yield f"{server.host}: {own.text if own else 'its storage is not known'}"
        if reach.unsure is not None:
            yield reach.unsure
    if server.vtpm is None:
        yield "Nova does not show whether its flavor wants a virtual TPM"
    if isinstance(facts.groups, Unknown):
        yield facts.groups.why
    if server.image is not None and isinstance(facts.images, Unknown):
        yield facts.images.why
    if server.volume_backed and not server.volumes:
        yield "it boots from a volume, and Nova shows none"
    yield from _doubtful_volumes(server, facts)


def _doubtful_volumes(server: Server, facts: StorageFacts) -> Iterator[str]:
    volumes, services = facts.volumes, facts.volume_services
    if not server.volumes:
        return
    if isinstance(volumes, Unknown) or isinstance(services, Unknown):
        yield next(silent.why for silent in (volumes, services) if isinstance(silent, Unknown))
        return
    for id_ in server.volumes:
        name, volume = f"volume {id_[:SHORT_ID]}", volumes.get(id_)
        if volume is None:
            yield f"{name}: Cinder does not list it"
        elif volume.status != ATTACHED:
            yield f"{name}: Cinder calls it {volume.status}, not {ATTACHED}"
        elif not _serving(volume, services):
            yield f"{name}: Cinder lists no cinder-volume for it"
