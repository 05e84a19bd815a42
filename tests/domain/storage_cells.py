"""The tables of docs/storage.md, cell by cell."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

from hacli.domain.host_storage import (
    Autostart,
    HostStorage,
    Keeps,
    Mount,
    NodeStorage,
    Testimony,
    Unknown,
)
from hacli.domain.policy import Storage
from hacli.domain.servers import ComputeService, Server, ServerGroup
from hacli.domain.storage import (
    Back,
    Fate,
    Image,
    StorageFacts,
    Volume,
    VolumeService,
    WayBack,
)
from tests.domain.cells import Cell
from tests.domain.moves import server

NOW = datetime(2026, 11, 23, 3, 20, tzinfo=UTC)
HOST = "compute-3"
QUIET = Autostart(units=(), domains=0, resume_guests=False)
DISK = Mount(point="/", fs_type="ext4", source="/dev/sda1")
NFS = Mount(point="/var/lib/nova/instances", fs_type="nfs4", source="filer:/instances")
ABOVE = Mount(point="/var/lib/nova", fs_type="nfs4", source="filer:/nova")
ODD = replace(NFS, fs_type="fuse.moose", source="moose:9421")
NODE = NodeStorage(
    images_type="default",
    rbd_pool="rbd",
    instances_path="/var/lib/nova/instances",
    mount=NFS,
    writable=True,
    registered={HOST: 60.0},
    directories=frozenset(),
    autostart=QUIET,
    read_at=NOW,
)
SILENT = Unknown(why="compute-3: no answer within 10 s")
OTHERS = {HOST: 60.0, "compute-1": 90.0}
LONG_AGO = {HOST: 60.0, "compute-1": 86_400.0}


def host(
    name: str,
    keeps: Keeps,
    known_by: str,
    text: str,
    store: str | None = None,
    *,
    node: NodeStorage | Unknown | None = None,
    declared: Storage | None = None,
    mounts: tuple[Mount, ...] | Unknown = (),
) -> Cell:
    """What is judged of a host of which this is told."""
    said = Testimony(host=HOST, declared=declared, node=node, mounts=mounts)
    judged = HostStorage(host=HOST, keeps=keeps, known_by=known_by, text=text, store=store)
    return Cell(name, lambda module: module.judge_host(said), judged)


SHARED, LOCAL, NOT_KNOWN = Keeps.SHARED, Keeps.LOCAL, Keeps.UNKNOWN
ON_NFS = "nfs4 filer:/instances"
NO_WRITING = f"Nova may not write to {ON_NFS}, so it would make disks anew"
BY_PACEMAKER = f"{ON_NFS}, mounted by Pacemaker"

HOSTS = [
    host("B1", SHARED, "node", "rbd pool vms", "rbd pool vms",
         node=replace(NODE, images_type="rbd", rbd_pool="vms", mount=DISK)),
    host("B1-declared-local", SHARED, "node", "rbd pool rbd", "rbd pool rbd",
         node=replace(NODE, images_type="rbd"), declared=Storage.LOCAL),
    host("B2-lvm", LOCAL, "node", "images_type lvm", node=replace(NODE, images_type="lvm")),
    host("B2-ploop", LOCAL, "node", "images_type ploop", declared=Storage.SHARED,
         node=replace(NODE, images_type="ploop")),
    host("B3", NOT_KNOWN, "node", "images_type moose is not known to hacli",
         node=replace(NODE, images_type="moose")),
    host("B4", NOT_KNOWN, "node", "there is no /var/lib/nova/instances",
         node=replace(NODE, mount=None), declared=Storage.SHARED),
    *(host(f"B5-{word}", SHARED, "node", ON_NFS, "filer:/instances",
           node=replace(NODE, images_type=word))
      for word in ("default", "raw", "flat", "qcow2")),
    host("B5-mounted-above", SHARED, "node", "nfs4 filer:/nova", "filer:/nova/instances",
         node=replace(NODE, mount=ABOVE)),
    host("B6", LOCAL, "node", NO_WRITING, node=replace(NODE, writable=False)),
    host("B7", NOT_KNOWN, "node", f"whether Nova may write to {ON_NFS} is not known",
         node=replace(NODE, writable=None), declared=Storage.SHARED),
    host("B8", LOCAL, "node", "ext4 /dev/sda1", node=replace(NODE, mount=DISK)),
    host("B8-declared-shared", LOCAL, "node", "ext4 /dev/sda1",
         node=replace(NODE, mount=DISK), declared=Storage.SHARED),
    host("B8-long-ago", LOCAL, "node", "ext4 /dev/sda1",
         node=replace(NODE, mount=DISK, registered=LONG_AGO)),
    host("B9", NOT_KNOWN, "node",
         "ext4 /dev/sda1 is a local disk, yet its compute_nodes names compute-1",
         node=replace(NODE, mount=DISK, registered=OTHERS)),
    host("B10", SHARED, "node", "fuse.moose moose:9421", "moose:9421",
         node=replace(NODE, mount=ODD, registered=OTHERS)),
    host("B11", NOT_KNOWN, "node", "whether others see fuse.moose moose:9421 is not known",
         node=replace(NODE, mount=ODD)),
    host("B11-long-ago", NOT_KNOWN, "node",
         "whether others see fuse.moose moose:9421 is not known",
         node=replace(NODE, mount=ODD, registered=LONG_AGO)),
    host("B12", NOT_KNOWN, "nothing", SILENT.why, node=SILENT),
    host("B12-declared-shared", NOT_KNOWN, "nothing", SILENT.why, node=SILENT,
         declared=Storage.SHARED, mounts=(NFS,)),
    host("B12-declared-local", LOCAL, "declaration", "declared local, not verified",
         node=SILENT, declared=Storage.LOCAL),
    host("B13", SHARED, "Pacemaker", BY_PACEMAKER, "filer:/instances", mounts=(NFS,)),
    host("B13-nearest", SHARED, "Pacemaker", BY_PACEMAKER, "filer:/instances",
         mounts=(ABOVE, NFS), declared=Storage.SHARED),
    host("B13-a-disk-below", LOCAL, "nothing", "not declared, so it counts as local",
         mounts=(ABOVE, replace(DISK, point="/var/lib/nova/instances"))),
    host("B13-elsewhere", LOCAL, "nothing", "not declared, so it counts as local",
         mounts=(replace(NFS, point="/var/lib/glance"),)),
    host("B13-declared-local", LOCAL, "declaration", "declared local, not verified",
         mounts=(NFS,), declared=Storage.LOCAL),
    host("B14-shared", SHARED, "declaration", "declared shared, not verified",
         declared=Storage.SHARED, mounts=Unknown(why="crm_mon: no answer")),
    host("B14-local", LOCAL, "declaration", "declared local, not verified",
         declared=Storage.LOCAL),
    host("B15", NOT_KNOWN, "nothing", "crm_mon: no answer",
         mounts=Unknown(why="crm_mon: no answer")),
    host("B16", LOCAL, "nothing", "not declared, so it counts as local"),
]  # fmt: skip


def finding(
    name: str,
    *said: tuple[str, str],
    node: NodeStorage | Unknown | None = NODE,
    declared: Storage | None = Storage.SHARED,
    homes: Mapping[str, str] | None = None,
) -> Cell:
    """The codes and texts of what is found on a host of which this is told."""
    testimony = Testimony(host=HOST, declared=declared, node=node)

    def ask(module: ModuleType) -> tuple[tuple[str, str], ...]:
        judged = module.judge_host(testimony)
        found = module.find_on_host(testimony, judged, homes or {})
        return tuple((each.code, each.text) for each in found)

    return Cell(name, ask, said)


LOCAL_NODE = replace(NODE, mount=DISK, directories=frozenset({"vm-1", "vm-2"}))
BELIEVED = "declared shared, found local (ext4 /dev/sda1): hacli recover would believe it"
LEFT_ALONE = f"found shared ({ON_NFS}): hacli recover leaves its VMs alone"
OLD_GUESTS = "old guests may start before nova-compute has cleaned up"


def trap(name: str, text: str, found: Autostart) -> Cell:
    """What this makes of a node."""
    return finding(name, ("AUTOSTART", f"{text}: {OLD_GUESTS}"),
                   node=replace(NODE, autostart=found))  # fmt: skip


FINDINGS = [
    finding("F1", ("STORAGE_MISMATCH", BELIEVED), node=replace(NODE, mount=DISK)),
    finding("F1-unknown", node=SILENT),
    finding("F1-not-verified", node=None),
    finding("F2-undeclared", ("STORAGE_MISMATCH", f"not declared, {LEFT_ALONE}"), declared=None),
    finding("F2-declared-local", ("STORAGE_MISMATCH", f"declared local, {LEFT_ALONE}"),
            declared=Storage.LOCAL),
    finding("F2-local-is-local", node=replace(NODE, mount=DISK), declared=Storage.LOCAL),
    finding("F3",
            ("STALE_DIRECTORY",
             "has /var/lib/nova/instances/vm-2, of VMs that live on other hosts"),
            node=LOCAL_NODE, declared=Storage.LOCAL, homes={"vm-1": HOST, "vm-2": "compute-1"}),
    finding("F3-several",
            ("STALE_DIRECTORY",
             "has /var/lib/nova/instances/vm-1 and 1 more, of VMs that live on other hosts"),
            node=LOCAL_NODE, declared=None, homes={"vm-1": "compute-2", "vm-2": "compute-1"}),
    finding("F3-of-nobody-known", node=LOCAL_NODE, declared=None),
    finding("F3-shared", node=replace(NODE, directories=frozenset({"vm-2"})),
            homes={"vm-2": "compute-1"}),
    trap("F4-guests", "libvirt-guests is enabled in systemd",
         replace(QUIET, units=("libvirt-guests",))),
    trap("F5", "3 libvirt domains are marked for autostart", replace(QUIET, domains=3)),
    trap("F6", "resume_guests_state_on_host_boot is on in nova.conf",
         replace(QUIET, resume_guests=True)),
]  # fmt: skip

CINDER = VolumeService(host="storage-1@ceph", up=True)
VOLUME = Volume(id="vol-1", status="in-use", service="storage-1@ceph")
IMAGE = Image(id="image-1", name="debian", created_at=NOW - timedelta(days=400))
OLD = Image(id="s-1", name="s", created_at=NOW - timedelta(days=2), snapshot_of="vm-1")
NEW = replace(OLD, id="s-2", created_at=NOW - timedelta(hours=3))
OF_ANOTHER = replace(OLD, id="s-3", created_at=NOW, snapshot_of="vm-2")


def keeping(name: str, keeps: Keeps, store: str | None = None, text: str = "told") -> HostStorage:
    """A host that was judged so."""
    return HostStorage(host=name, keeps=keeps, known_by="node", text=text, store=store)


def compute(name: str, *, zone: str = "nova", up: bool = True, enabled: bool = True,
            known: bool = True) -> ComputeService:  # fmt: skip
    """A nova-compute service."""
    return ComputeService(id=name, host=name, known=known, enabled=enabled, up=up,
                          forced_down=False, disabled_reason=None, updated_at=None,
                          zone=zone)  # fmt: skip


THREE = tuple(compute(name) for name in ("compute-1", "compute-2", HOST))
ALL_SHARED = {name: keeping(name, SHARED, "pool") for name in ("compute-1", "compute-2", HOST)}
FACTS = StorageFacts(
    hosts=ALL_SHARED,
    services=THREE,
    groups=(),
    volumes={"vol-1": VOLUME},
    volume_services=(CINDER,),
    images={"image-1": IMAGE},
)
OWN_LOCAL = {**ALL_SHARED, HOST: keeping(HOST, LOCAL, text="ext4 /dev/sda1")}
OTHER_LOCAL = {**ALL_SHARED, "compute-2": keeping("compute-2", LOCAL)}
OTHER_POOL = {**ALL_SHARED, "compute-2": keeping("compute-2", SHARED, "pool 2")}
OWN_UNKNOWN = {**ALL_SHARED, HOST: keeping(HOST, NOT_KNOWN, text="no answer")}
OTHER_UNKNOWN = {**ALL_SHARED, "compute-2": keeping("compute-2", NOT_KNOWN, text="no answer")}
NO_CINDER = Unknown(why="Cinder: no answer within 30 s")
NO_GLANCE = Unknown(why="Glance: no answer within 30 s")
NO_GROUPS = Unknown(why="Nova: no answer within 30 s")

VM = server()
DISK_VM = server(image="image-1", volumes=())
EXTRA = server(ephemeral_gb=80)
SWAP = server(swap_mb=8192)
BOTH = server(ephemeral_gb=80, swap_mb=512)

Says = tuple[Fate, str | None, str]


def vm(name: str, fate: Fate, code: str | None = None, text: str = "", *, of: Server = VM,
       facts: StorageFacts = FACTS) -> Cell:  # fmt: skip
    """The verdict on a server under these facts."""

    def ask(module: ModuleType) -> Says:
        (verdict,) = module.judge_servers((of,), facts)
        return (verdict.fate, verdict.code, verdict.text)

    return Cell(name, ask, (fate, code, text))


def refused(name: str, code: str, text: str, *, of: Server = VM,
            facts: StorageFacts = FACTS) -> Cell:  # fmt: skip
    """It cannot be evacuated."""
    return vm(name, Fate.NOT_EVACUABLE, code, text, of=of, facts=facts)


def root(name: str, text: str, *, facts: StorageFacts, of: Server = DISK_VM) -> Cell:
    """It loses its root disk."""
    return vm(name, Fate.LOSES_ROOT, "LOCAL_DISK", text, of=of, facts=facts)


def extra(name: str, text: str, *, of: Server, facts: StorageFacts) -> Cell:
    """It loses what is not its root disk."""
    return vm(name, Fate.LOSES_EPHEMERAL, "LOCAL_DISK", text, of=of, facts=facts)


def unsure(name: str, text: str, *, of: Server = VM, facts: StorageFacts = FACTS) -> Cell:
    """Its fate is not known."""
    return vm(name, Fate.UNKNOWN, "STORAGE_UNVERIFIED", text, of=of, facts=facts)


def lives(name: str, *, of: Server = VM, facts: StorageFacts = FACTS) -> Cell:
    """It survives."""
    return vm(name, Fate.SURVIVES, of=of, facts=facts)


STATES = ("paused", "suspended", "rescued", "resized", "building")
TPM = "Nova does not evacuate a VM with a virtual TPM"
HELD = "its server group (affinity) allows no other host"
AFFINITY = ServerGroup(id="g", policy="affinity", members=("vm-1",))
PINNED = server(pinned_zone="north")
NORTH = (*THREE[:2], compute(HOST, zone="north"))
DEAD = replace(CINDER, up=False)
HERE = VolumeService(host="compute-3.example.org@lvm", up=True)
CLUSTERED = replace(VOLUME, cluster="ceph")
MEMBERS = (VolumeService(host="a@ceph", up=False, cluster="ceph"),
           VolumeService(host="b@ceph", up=True, cluster="ceph"))  # fmt: skip
HYPERCONVERGED = (VolumeService(host=f"{HOST}@ceph", up=True, cluster="ceph"), MEMBERS[1])

SERVERS = [
    *(refused(f"V1-{state}", "VM_STATE", f"Nova does not evacuate a VM that is {state}",
              of=server(vm_state=state)) for state in STATES),
    refused("V1-never-launched", "VM_STATE", "Nova does not evacuate a VM that is not built yet",
            of=server(launched_at=None)),
    refused("V1-although-local", "VM_STATE", "Nova does not evacuate a VM that is paused",
            of=replace(DISK_VM, vm_state="paused"), facts=replace(FACTS, hosts=OWN_LOCAL)),
    refused("V2-flavor", "VM_VTPM", TPM, of=server(vtpm=True)),
    refused("V2-image", "VM_VTPM", TPM, of=DISK_VM,
            facts=replace(FACTS, images={"image-1": replace(IMAGE, vtpm=True)})),
    refused("V2-volume", "VM_VTPM", TPM,
            facts=replace(FACTS, volumes={"vol-1": replace(VOLUME, vtpm=True)})),
    refused("V3", "VM_AFFINITY", HELD, facts=replace(FACTS, groups=(AFFINITY,))),
    lives("V3-soft", facts=replace(FACTS, groups=(replace(AFFINITY, policy="soft-affinity"),))),
    lives("V3-of-others", facts=replace(FACTS, groups=(replace(AFFINITY, members=("vm-2",)),))),
    refused("V4-zone", "VM_ZONE", "no other host in its zone north is up and enabled",
            of=PINNED, facts=replace(FACTS, services=NORTH)),
    lives("V4-not-pinned", facts=replace(FACTS, services=NORTH)),
    refused("V4-alone", "VM_ZONE", "no other host is up and enabled",
            facts=replace(FACTS, services=(THREE[2], compute("compute-1", up=False),
                                           compute("compute-2", enabled=False),
                                           compute("compute-4", known=False)))),
    refused("V5", "VOLUME_BACKEND", "volume vol-1: cinder-volume storage-1@ceph is down",
            facts=replace(FACTS, volume_services=(DEAD,))),
    lives("V5-another-of-its-cluster",
          facts=replace(FACTS, volumes={"vol-1": CLUSTERED}, volume_services=MEMBERS)),
    refused("V6", "VOLUME_BACKEND",
            "volume vol-1: its cinder-volume compute-3.example.org@lvm dies with the host",
            facts=replace(FACTS, volumes={"vol-1": replace(VOLUME, service=HERE.host)},
                          volume_services=(HERE,))),
    lives("V6-another-of-its-cluster",
          facts=replace(FACTS, volumes={"vol-1": CLUSTERED}, volume_services=HYPERCONVERGED)),
    refused("V6-the-other-is-down", "VOLUME_BACKEND",
            "volume vol-1: its cinder-volume compute-3@ceph dies with the host",
            facts=replace(FACTS, volumes={"vol-1": CLUSTERED},
                          volume_services=(HYPERCONVERGED[0], replace(MEMBERS[1], up=False)))),
    root("V7", "its root disk is local (ext4 /dev/sda1)", facts=replace(FACTS, hosts=OWN_LOCAL)),
    root("V7-and-ephemeral", "its root disk is local (ext4 /dev/sda1)",
         of=replace(DISK_VM, ephemeral_gb=1), facts=replace(FACTS, hosts=OWN_LOCAL)),
    root("V7-although-glance-is-silent", "its root disk is local (ext4 /dev/sda1)",
         facts=replace(FACTS, hosts=OWN_LOCAL, images=NO_GLANCE)),
    lives("V7-volume", facts=replace(FACTS, hosts=OWN_LOCAL)),
    root("V8-local", "its root disk is not shared by compute-2",
         facts=replace(FACTS, hosts=OTHER_LOCAL)),
    root("V8-another-pool", "its root disk is not shared by compute-2",
         facts=replace(FACTS, hosts=OTHER_POOL)),
    lives("V8-disabled", of=DISK_VM,
          facts=replace(FACTS, hosts=OTHER_LOCAL,
                        services=(THREE[0], compute("compute-2", enabled=False), THREE[2]))),
    lives("V8-another-zone", of=replace(DISK_VM, pinned_zone="nova"),
          facts=replace(FACTS, hosts=OTHER_LOCAL,
                        services=(THREE[0], compute("compute-2", zone="south"), THREE[2]))),
    extra("V9-ephemeral", "its ephemeral disk of 80 GiB is local (ext4 /dev/sda1)",
          of=EXTRA, facts=replace(FACTS, hosts=OWN_LOCAL)),
    extra("V9-swap", "its swap disk of 8 GiB is not shared by compute-2",
          of=SWAP, facts=replace(FACTS, hosts=OTHER_LOCAL)),
    extra("V9-both", "its ephemeral disk of 80 GiB and swap disk of 512 MiB is local"
          " (ext4 /dev/sda1)", of=BOTH, facts=replace(FACTS, hosts=OWN_LOCAL)),
    lives("V9-shared", of=BOTH),
    unsure("V10-own", "compute-3: no answer", of=DISK_VM,
           facts=replace(FACTS, hosts=OWN_UNKNOWN)),
    unsure("V10-swap", "compute-3: no answer", of=SWAP, facts=replace(FACTS, hosts=OWN_UNKNOWN)),
    unsure("V10-another", "compute-2: no answer", of=DISK_VM,
           facts=replace(FACTS, hosts=OTHER_UNKNOWN)),
    unsure("V10-not-judged", "compute-3: its storage is not known", of=DISK_VM,
           facts=replace(FACTS, hosts={})),
    lives("V10-volume", facts=replace(FACTS, hosts={})),
    unsure("V11-silent", NO_CINDER.why, facts=replace(FACTS, volumes=NO_CINDER)),
    unsure("V11-services-silent", NO_CINDER.why, facts=replace(FACTS, volume_services=NO_CINDER)),
    lives("V11-no-volumes", of=DISK_VM,
          facts=replace(FACTS, volumes=NO_CINDER, volume_services=NO_CINDER)),
    unsure("V11-not-listed", "volume vol-1: Cinder does not list it",
           facts=replace(FACTS, volumes={})),
    unsure("V11-status", "volume vol-1: Cinder calls it error, not in-use",
           facts=replace(FACTS, volumes={"vol-1": replace(VOLUME, status="error")})),
    unsure("V11-no-service", "volume vol-1: Cinder lists no cinder-volume for it",
           facts=replace(FACTS, volume_services=())),
    unsure("V11-not-placed", "volume vol-1: Cinder lists no cinder-volume for it",
           facts=replace(FACTS, volumes={"vol-1": replace(VOLUME, service=None)})),
    unsure("V11-the-second", "volume vol-2: Cinder does not list it",
           of=server(volumes=("vol-1", "vol-2"))),
    unsure("V12", NO_GLANCE.why, of=DISK_VM, facts=replace(FACTS, images=NO_GLANCE)),
    lives("V12-volume", facts=replace(FACTS, images=NO_GLANCE)),
    unsure("V13-groups", NO_GROUPS.why, facts=replace(FACTS, groups=NO_GROUPS)),
    unsure("V13-extra-specs", "Nova does not show whether its flavor wants a virtual TPM",
           of=server(vtpm=None)),
    unsure("V13-no-volume", "it boots from a volume, and Nova shows none",
           of=server(volumes=())),
    lives("V14-volume"),
    lives("V14-shared-disk", of=DISK_VM),
    lives("V14-declared", of=DISK_VM,
          facts=replace(FACTS, hosts={**ALL_SHARED, HOST: keeping(HOST, SHARED)})),
]  # fmt: skip


def back(name: str, says: WayBack, images: Mapping[str, Image] | Unknown) -> Cell:
    """What a server without its root disk can go back to."""
    facts = replace(FACTS, hosts=OWN_LOCAL, images=images)

    def ask(module: ModuleType) -> object:
        (verdict,) = module.judge_servers((DISK_VM,), facts)
        return verdict.back

    return Cell(name, ask, says)


SNAPSHOTS = {image.id: image for image in (NEW, OLD, OF_ANOTHER)}
WAYS_BACK = [
    back("W1", WayBack(kind=Back.SNAPSHOT, image=NEW), {**SNAPSHOTS, "image-1": IMAGE}),
    back("W1-image-is-gone", WayBack(kind=Back.SNAPSHOT, image=NEW), SNAPSHOTS),
    back("W2", WayBack(kind=Back.IMAGE, image=IMAGE), {"image-1": IMAGE, "s-3": OF_ANOTHER}),
    back("W3", WayBack(kind=Back.NOTHING), {"s-3": OF_ANOTHER}),
    back("W4", WayBack(kind=Back.UNKNOWN, why=NO_GLANCE.why), NO_GLANCE),
]
