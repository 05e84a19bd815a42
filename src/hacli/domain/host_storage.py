"""Where a host keeps the disks that are not volumes, and how hacli knows: evidence first.

What the configuration declares counts only where nobody was asked. Nova's own test, which an
evacuation ends with, is the measure: ``images_type`` is rbd, or the directory of the server is
there and may be written to (facts B, ``instance_on_disk`` of Nova's libvirt driver).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import PurePosixPath

from hacli.domain.policy import Storage

FILE_TYPES = frozenset({"default", "raw", "flat", "qcow2"})
"""Values of ``images_type`` with which a disk is a file below ``instances_path``."""
OWN_TYPES = frozenset({"lvm", "ploop"})
"""Values with which a disk is on the host itself, wherever ``instances_path`` is."""
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "gfs2", "ocfs2"}
    | {"lustre", "gpfs", "cifs", "smb3"}
)
DISK_FILE_SYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "tmpfs", "overlay"}
)
INSTANCES_PATH = PurePosixPath("/var/lib/nova/instances")
"""Where distributions keep instances; assumed only where nobody was asked for the real place."""
FRESH_S = 24 * 3600.0
"""Age up to which an entry of ``compute_nodes`` counts (Nova writes it every 40 minutes)."""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A fact that nobody told, and why not. Never read as the harmless case (law L1)."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Mount:
    """The mounted file system that holds a directory."""

    point: str
    fs_type: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Autostart:
    """What on a node starts guests or nova-compute by itself, before Pacemaker lets it."""

    units: tuple[str, ...]  # enabled in systemd: libvirt-guests, nova-compute
    domains: int  # libvirt domains marked for autostart
    resume_guests: bool  # resume_guests_state_on_host_boot in nova.conf


@dataclass(frozen=True, kw_only=True)
class NodeStorage:
    """What a node says of its own storage."""

    images_type: str
    rbd_pool: str
    instances_path: str
    mount: Mount | None  # None: there is no such directory
    writable: bool | None  # for Nova's user; None: the probe could not tell
    registered: Mapping[str, float]  # Nova hosts in compute_nodes, and seconds since they wrote
    directories: frozenset[str]  # ids of servers with a directory there, where it is no network's
    autostart: Autostart
    read_at: datetime


@dataclass(frozen=True, kw_only=True)
class Testimony:
    """What each witness says about the storage of one host."""

    host: str
    declared: Storage | None
    node: NodeStorage | Unknown | None = None  # None: no probe is configured
    mounts: tuple[Mount, ...] | Unknown = ()  # Pacemaker's Filesystem resources that run there


class Keeps(Enum):
    """Where the disks of a host are."""

    SHARED = "shared"
    LOCAL = "local"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class HostStorage:
    """The judgement on one host. Two hosts share disks when they have the same ``store``."""

    host: str
    keeps: Keeps
    known_by: str  # declaration | node | Pacemaker | nothing
    text: str  # what was found, for people
    store: str | None = None  # None: only declared, so that it is equal to any


def judge_host(said: Testimony) -> HostStorage:
    """Evidence before declaration; where nothing says anything, local (law L6)."""
    if isinstance(said.node, NodeStorage):
        return _by_node(said.host, said.node)
    if isinstance(said.node, Unknown):
        return _by_silent_node(said, said.node)
    mount = _network_mount(said.mounts)
    if mount is not None and said.declared is not Storage.LOCAL:
        text = f"{mount.fs_type} {mount.source}, mounted by Pacemaker"
        store = _place(mount, INSTANCES_PATH)
        return _judged(said.host, Keeps.SHARED, "Pacemaker", text, store=store)
    if said.declared is not None:
        keeps = Keeps.SHARED if said.declared is Storage.SHARED else Keeps.LOCAL
        return _judged(said.host, keeps, "declaration", f"declared {keeps.value}, not verified")
    if isinstance(said.mounts, Unknown):
        return _judged(said.host, Keeps.UNKNOWN, "nothing", said.mounts.why)
    return _judged(said.host, Keeps.LOCAL, "nothing", "not declared, so it counts as local")


def shares(source: HostStorage, destination: HostStorage) -> bool | None:
    """Whether the destination finds the source's disks; None: that is not known."""
    pair = (source.keeps, destination.keeps)
    if Keeps.LOCAL in pair:
        return False
    if Keeps.UNKNOWN in pair:
        return None
    return None in (source.store, destination.store) or source.store == destination.store


def _judged(
    host: str, keeps: Keeps, known_by: str, text: str, *, store: str | None = None
) -> HostStorage:
    return HostStorage(host=host, keeps=keeps, known_by=known_by, text=text, store=store)


def _by_silent_node(said: Testimony, silence: Unknown) -> HostStorage:
    if said.declared is Storage.LOCAL:
        return _judged(said.host, Keeps.LOCAL, "declaration", "declared local, not verified")
    return _judged(said.host, Keeps.UNKNOWN, "nothing", silence.why)


def _by_node(host: str, node: NodeStorage) -> HostStorage:
    if node.images_type == "rbd":
        pool = f"rbd pool {node.rbd_pool}"
        return _judged(host, Keeps.SHARED, "node", pool, store=pool)
    if node.images_type in OWN_TYPES:
        return _judged(host, Keeps.LOCAL, "node", f"images_type {node.images_type}")
    if node.images_type not in FILE_TYPES:
        text = f"images_type {node.images_type} is not known to hacli"
        return _judged(host, Keeps.UNKNOWN, "node", text)
    if node.mount is None:
        return _judged(host, Keeps.UNKNOWN, "node", f"there is no {node.instances_path}")
    return _by_mount(host, node, node.mount)


def _by_mount(host: str, node: NodeStorage, mount: Mount) -> HostStorage:
    on = f"{mount.fs_type} {mount.source}"
    others = _other_writers(host, node)
    if mount.fs_type in DISK_FILE_SYSTEMS:
        if others:
            text = f"{on} is a local disk, yet its compute_nodes names {others[0]}"
            return _judged(host, Keeps.UNKNOWN, "node", text)
        return _judged(host, Keeps.LOCAL, "node", on)
    if mount.fs_type not in NETWORK_FILE_SYSTEMS and not others:
        return _judged(host, Keeps.UNKNOWN, "node", f"whether others see {on} is not known")
    if node.writable is None:
        return _judged(host, Keeps.UNKNOWN, "node", f"whether Nova may write to {on} is not known")
    if not node.writable:
        text = f"Nova may not write to {on}, so it would make disks anew"
        return _judged(host, Keeps.LOCAL, "node", text)
    store = _place(mount, PurePosixPath(node.instances_path))
    return _judged(host, Keeps.SHARED, "node", on, store=store)


def _other_writers(host: str, node: NodeStorage) -> list[str]:
    fresh = (name for name, age_s in node.registered.items() if age_s < FRESH_S)
    return sorted(name for name in fresh if name != host)


def _network_mount(mounts: tuple[Mount, ...] | Unknown) -> Mount | None:
    if isinstance(mounts, Unknown):
        return None
    holding = [mount for mount in mounts if INSTANCES_PATH.is_relative_to(mount.point)]
    nearest = max(holding, key=lambda mount: len(mount.point), default=None)
    return nearest if nearest and nearest.fs_type in NETWORK_FILE_SYSTEMS else None


def _place(mount: Mount, directory: PurePosixPath) -> str:
    """The directory as its server knows it: the same on two hosts, wherever it is mounted."""
    below = directory.relative_to(mount.point) if directory.is_relative_to(mount.point) else ""
    return str(PurePosixPath(mount.source) / below)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something on hosts that would make an evacuation go wrong, and its cure."""

    code: str
    hosts: tuple[str, ...]
    text: str
    cure: str


def find_on_host(
    said: Testimony, judged: HostStorage, homes: Mapping[str, str]
) -> Iterator[Finding]:
    """What is wrong on one host.

    Args:
        homes: The Nova host of every server that is known, by its id.
    """
    yield from _contradictions(said, judged)
    if isinstance(said.node, NodeStorage):
        yield from _stale_directories(said.host, judged, said.node, homes)
        yield from _autostarts(said.host, said.node.autostart)


def _contradictions(said: Testimony, judged: HostStorage) -> Iterator[Finding]:
    if judged.known_by not in ("node", "Pacemaker"):
        return
    found, declared = judged.keeps, said.declared
    if found is Keeps.LOCAL and declared is Storage.SHARED:
        text = f"declared shared, found local ({judged.text}): hacli recover would believe it"
        cure = f'[host."{said.host}"] storage = "local"'
    elif found is Keeps.SHARED and declared is not Storage.SHARED:
        word = "declared local" if declared else "not declared"
        text = f"{word}, found shared ({judged.text}): hacli recover leaves its VMs alone"
        cure = f'[host."{said.host}"] storage = "shared"'
    else:
        return
    yield Finding(code="STORAGE_MISMATCH", hosts=(said.host,), text=text, cure=cure)


def _stale_directories(
    host: str, judged: HostStorage, node: NodeStorage, homes: Mapping[str, str]
) -> Iterator[Finding]:
    """Nova takes a directory of this name for shared storage, and boots what lies there."""
    if judged.keeps is not Keeps.LOCAL:
        return
    strangers = sorted(id_ for id_ in node.directories if homes.get(id_, host) != host)
    if strangers:
        first = f"{node.instances_path}/{strangers[0]}"
        more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
        yield Finding(
            code="STALE_DIRECTORY",
            hosts=(host,),
            text=f"has {first}{more}, of VMs that live on other hosts",
            cure="move them away: Nova would boot what lies there",
        )


def _autostarts(host: str, traps: Autostart) -> Iterator[Finding]:
    found = [f"{unit} is enabled in systemd" for unit in traps.units]
    if traps.domains:
        found.append(f"{traps.domains} libvirt domains are marked for autostart")
    if traps.resume_guests:
        found.append("resume_guests_state_on_host_boot is on in nova.conf")
    for text in found:
        yield Finding(
            code="AUTOSTART",
            hosts=(host,),
            text=f"{text}: old guests may start before nova-compute has cleaned up",
            cure="systemctl disable the unit, virsh autostart --disable, or mend nova.conf",
        )


def grouped(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """One finding for all hosts with the same: the first host's cure stands for all."""
    together: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        together.setdefault((finding.code, finding.text), []).append(finding)
    return tuple(
        Finding(
            code=code,
            hosts=tuple(host for finding in same for host in finding.hosts),
            text=text,
            cure=same[0].cure,
        )
        for (code, text), same in together.items()
    )
