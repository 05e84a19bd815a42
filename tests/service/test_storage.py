"""What survives the loss of a host: every source asked, each silence told, nothing believed."""

from collections import Counter
from collections.abc import Callable
from xml.etree.ElementTree import SubElement

import pytest

from hacli.domain.host_storage import Keeps, Unknown
from hacli.domain.policy import Policy, Storage
from hacli.domain.storage import Back, Fate
from hacli.errors import NotPermitted, Unavailable, Unreachable, UsageError
from hacli.lab.cloud_records import Capacity, Flavor
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.commands import Crash, SetBackend, SetCell, ShareStorage
from hacli.lab.region import RegionSettings
from hacli.service.storage import StorageCheck, verify_storage
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

HOSTS = ("compute-1", "compute-2", "compute-3", "compute-4")
SHARED = Policy(ephemeral=Storage.SHARED)


def check(
    site: Site,
    *only: str,
    policy: Policy = SHARED,
    spoil: Callable[[Operator], None] = lambda _operator: None,
    probed: bool = True,
) -> StorageCheck:
    """Verify once, as a process of its own."""
    operator = site.operator(probed=probed)
    spoil(operator)
    try:
        return verify_storage(operator.world, (), policy=policy, only=only)
    finally:
        operator.process.ended = True


def fates(check: StorageCheck) -> dict[str, Fate]:
    """The fate of each server by its name."""
    return {
        verdict.server.name: verdict.fate
        for host in check.hosts
        if not isinstance(host.verdicts, Unknown)
        for verdict in host.verdicts
    }


def texts(check: StorageCheck) -> set[str]:
    """What is said about servers."""
    return {
        verdict.text
        for host in check.hosts
        if not isinstance(host.verdicts, Unknown)
        for verdict in host.verdicts
    }


def share(site: Site, *hosts: str) -> None:
    """These hosts really share their instances directory."""
    for host in hosts or HOSTS:
        site.region.apply(ShareStorage(host=host, shared=True))


def silence(*names: str) -> Callable[[Operator], None]:
    """These never answer."""

    def spoil(operator: Operator) -> None:
        operator.storage.silent |= set(names)

    return spoil


def test_on_shared_storage_every_server_survives(site: Site) -> None:
    """Volumes and files alike; each node has told that its directory is the same one."""
    share(site)
    site.seed("compute-1", 4, local=2)

    checked = check(site)

    assert set(fates(checked).values()) == {Fate.SURVIVES}
    assert {host.storage.text for host in checked.hosts} == {"nfs4 lab-filer:/instances"}
    assert (checked.findings, checked.silent, checked.unprobed) == ((), {}, ())


def test_one_local_host_is_a_danger_to_the_servers_of_all(site: Site) -> None:
    """Nova may choose it, and would make their disks anew there."""
    share(site, "compute-1", "compute-2", "compute-3")
    site.seed("compute-1", 2, local=1)

    checked = check(site)

    assert fates(checked) == {"vm-0000": Fate.LOSES_ROOT, "vm-0001": Fate.SURVIVES}
    assert "its root disk is not shared by compute-4" in texts(checked)


def test_evidence_outvotes_the_declaration(site: Site) -> None:
    """Declared shared, and every node says that it has a disk of its own."""
    site.seed("compute-1", 1, local=1)

    checked = check(site)

    assert fates(checked) == {"vm-0000": Fate.LOSES_ROOT}
    assert [(f.code, f.hosts) for f in checked.findings] == [("STORAGE_MISMATCH", HOSTS)]


def test_without_a_probe_the_declaration_is_believed_and_named(site: Site) -> None:
    """The screen says that nobody has looked."""
    site.seed("compute-1", 1, local=1)

    checked = check(site, probed=False)

    assert fates(checked) == {"vm-0000": Fate.SURVIVES}
    assert {host.storage.text for host in checked.hosts} == {"declared shared, not verified"}


def test_what_nobody_declares_counts_as_local(site: Site) -> None:
    """Law L6."""
    share(site)
    site.seed("compute-1", 1, local=1)

    assert fates(check(site, policy=Policy(), probed=False)) == {"vm-0000": Fate.LOSES_ROOT}


def test_an_aggregate_may_be_declared(site: Site) -> None:
    """A host's own word still counts before it."""
    site.region.cloud.add_aggregate("ceph", ("compute-1", "compute-2", "compute-3"))
    site.seed("compute-1", 1, local=1)
    policy = Policy(
        aggregate_storage={"ceph": Storage.SHARED}, host_storage={"compute-3": Storage.LOCAL}
    )

    checked = check(site, policy=policy, probed=False)

    assert [host.storage.keeps for host in checked.hosts] == [
        Keeps.SHARED, Keeps.SHARED, Keeps.LOCAL, Keeps.LOCAL,
    ]  # fmt: skip


def mount_by_pacemaker(site: Site) -> None:
    """A service of the chain is the filer's mount, in place of what it was."""
    cib = site.region.cluster.cib
    (service,) = (e for e in cib.root.iter("primitive") if e.get("id") == "ceilometer-compute")
    service.set("provider", "heartbeat")
    service.set("type", "Filesystem")
    (group,) = service.iterfind("instance_attributes")
    words = {"device": "filer:/nova", "directory": "/var/lib/nova/instances", "fstype": "nfs4"}
    for name, value in words.items():
        SubElement(group, "nvpair", {"id": f"fs-{name}", "name": name, "value": value})
    cib.edited()


def test_a_mount_that_pacemaker_keeps_is_evidence(site: Site) -> None:
    """Where it runs; it is undeclared, which `hacli recover` would go by."""
    mount_by_pacemaker(site)
    site.seed("compute-1", 1, local=1)

    checked = check(site, policy=Policy(), probed=False)

    assert fates(checked) == {"vm-0000": Fate.SURVIVES}
    assert {host.storage.text for host in checked.hosts} == {
        "nfs4 filer:/nova, mounted by Pacemaker"
    }
    assert [finding.code for finding in checked.findings] == ["STORAGE_MISMATCH"]


def test_a_silent_pacemaker_leaves_undeclared_hosts_open(site: Site) -> None:
    """It might have mounted something there."""
    site.seed("compute-1", 2, local=1)

    def spoil(operator: Operator) -> None:
        operator.pacemaker.silent = True

    checked = check(site, policy=Policy(), probed=False, spoil=spoil)

    assert fates(checked) == {"vm-0000": Fate.UNKNOWN, "vm-0001": Fate.SURVIVES}
    assert "pacemaker" in checked.silent


def test_silent_aggregates_leave_what_rests_on_them_open(site: Site) -> None:
    """A host of the region's default may be in an aggregate that is declared local."""
    site.seed("compute-1", 1, local=1)
    policy = Policy(ephemeral=Storage.SHARED, aggregate_storage={"nvme": Storage.LOCAL})

    def spoil(operator: Operator) -> None:
        operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "os-aggregates"))

    checked = check(site, policy=policy, probed=False, spoil=spoil)

    assert fates(checked) == {"vm-0000": Fate.UNKNOWN}
    assert "nova" in checked.silent


@pytest.mark.parametrize(
    ("silent", "disk", "volume"),
    [
        ("cinder", Fate.SURVIVES, Fate.UNKNOWN),
        ("glance", Fate.UNKNOWN, Fate.SURVIVES),
        ("compute-1", Fate.UNKNOWN, Fate.SURVIVES),
        ("compute-4", Fate.UNKNOWN, Fate.SURVIVES),
    ],
)
def test_who_rests_on_a_silent_source_is_never_said_to_survive(
    site: Site, silent: str, disk: Fate, volume: Fate
) -> None:
    """Cinder, Glance, the host's own node, or that of a host that Nova may choose."""
    share(site)
    site.seed("compute-1", 2, local=1)

    checked = check(site, spoil=silence(silent))

    assert fates(checked) == {"vm-0000": disk, "vm-0001": volume}
    assert any("no answer within" in text for text in texts(checked))
    assert {*checked.silent, *checked.unprobed} == {silent}


def test_all_silent_at_once_end_within_their_limits(site: Site) -> None:
    """They are waited for together, not one after the other."""
    site.seed("compute-1", 2, local=1)
    began = site.now

    checked = check(site, spoil=silence("cinder", "glance", *HOSTS))

    assert set(fates(checked).values()) == {Fate.UNKNOWN}
    assert site.now - began < 62.0


def test_silent_groups_leave_every_server_open(site: Site) -> None:
    """A hard affinity group would forbid every other host."""
    site.seed("compute-1", 1)

    def spoil(operator: Operator) -> None:
        operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "os-server-groups"))

    assert fates(check(site, spoil=spoil)) == {"vm-0000": Fate.UNKNOWN}


def test_a_silent_list_of_servers_is_told_for_each_host(site: Site) -> None:
    """No host is called empty because nobody listed its servers."""
    site.seed("compute-1", 1)

    def spoil(operator: Operator) -> None:
        operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "servers/detail"))

    checked = check(site, spoil=spoil)

    assert all(isinstance(host.verdicts, Unknown) for host in checked.hosts)
    assert "nova" in checked.silent


@pytest.mark.parametrize("only", [(), ("compute-1",)], ids=["all", "named"])
def test_a_cell_that_is_down_hides_servers_and_is_named(site: Site, only: tuple[str, ...]) -> None:
    """Its hosts are not empty: nobody knows."""
    site.seed("compute-1", 2)
    site.region.apply(SetCell(host="compute-1", down=True))

    checked = check(site, *only)

    found = {host.service.host: host.verdicts for host in checked.hosts}
    assert isinstance(found["compute-1"], Unknown)
    assert "cell is down" in found["compute-1"].why


def test_a_silent_nova_ends_it(site: Site) -> None:
    """Without hosts there is nothing to judge."""

    def spoil(operator: Operator) -> None:
        operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "os-services"))

    with pytest.raises(Unreachable):
        check(site, spoil=spoil)


def test_who_is_no_administrator_is_told_so(site: Site) -> None:
    """A mere member's list is shorter, and says nothing of it."""

    def spoil(operator: Operator) -> None:
        operator.nova.line.token_roles = ("reader",)

    with pytest.raises(NotPermitted):
        check(site, spoil=spoil)


def test_named_hosts_are_judged_by_lists_of_their_own(site: Site) -> None:
    """And every node is asked all the same, for Nova chooses among all."""
    site.seed("compute-1", 2)
    site.seed("compute-2", 2, prefix="other")

    checked = check(site, "compute-2")

    assert set(fates(checked)) == {"other-0000", "other-0001"}
    assert checked.probed == 4


def test_a_wrong_name_asks_for_nothing_more(site: Site) -> None:
    """No host of this name: the guess is never judged."""
    with pytest.raises(UsageError):
        check(site, "compute-9")


def test_a_node_without_a_nova_host_has_no_servers_to_judge(build: NewSite) -> None:
    """Pacemaker knows it, Nova does not."""
    site = build("compute-1", "compute-2")
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    service.host = "elsewhere"

    with pytest.raises(Unavailable) as failure:
        check(site, "compute-1")

    assert failure.value.code == "SERVICE_MISSING"


def test_a_dead_cinder_volume_keeps_its_volumes_from_coming_back(site: Site) -> None:
    """Nova accepts the evacuation, and it fails."""
    site.seed("compute-1", 1)
    site.region.apply(SetBackend(backend="lab@fake", up=False))

    checked = check(site)

    assert fates(checked) == {"vm-0000": Fate.NOT_EVACUABLE}


def test_a_dead_host_has_a_silent_node(site: Site) -> None:
    """Its volume-backed servers can be judged all the same."""
    share(site)
    site.seed("compute-1", 2, local=1)
    site.region.apply(Crash(host="compute-1"))

    checked = check(site)

    assert fates(checked) == {"vm-0000": Fate.UNKNOWN, "vm-0001": Fate.SURVIVES}


def test_a_lost_root_disk_can_go_back_to_its_newest_snapshot(site: Site) -> None:
    """Of this server; else to its image."""
    (one, _) = site.seed("compute-1", 2, local=2)
    cloud = site.region.cloud
    cloud.add_snapshot(cloud.tables.servers[one], age_s=90_000)
    newest = cloud.add_snapshot(cloud.tables.servers[one], age_s=7200)

    checked = check(site)

    (host, *_) = checked.hosts
    assert not isinstance(host.verdicts, Unknown)
    backs = {verdict.server.name: verdict.back for verdict in host.verdicts}
    first, second = backs["vm-0000"], backs["vm-0001"]
    assert first is not None
    assert second is not None
    assert (first.kind, first.image and first.image.id) == (Back.SNAPSHOT, newest.id)
    assert (second.kind, second.image and second.image.name) == (Back.IMAGE, "lab-image")


def test_a_virtual_tpm_is_seen_in_flavor_image_and_volume(site: Site) -> None:
    """Nova refuses each of them with 400."""
    cloud = site.region.cloud
    flavor = cloud.add_flavor(Flavor(id="9", name="tpm", extra_specs={"hw:tpm_version": "2.0"}))
    image = cloud.add_image("secure", properties={"hw_tpm_version": "2.0"})
    cloud.add_server("by-flavor", "compute-1", flavor=flavor)
    cloud.add_server("by-image", "compute-1", volume=False, image=image.id)
    by_volume = cloud.add_server("by-volume", "compute-1")
    cloud.tables.volumes[by_volume.disk].image_metadata["hw_tpm_version"] = "2.0"

    assert set(fates(check(site)).values()) == {Fate.NOT_EVACUABLE}


def test_what_starts_guests_by_itself_is_found_on_the_nodes(site: Site) -> None:
    """The same on two hosts is told once."""
    for host in ("compute-1", "compute-3"):
        site.region.machines[host].traps.units.append("libvirt-guests")
    (stranger,) = site.seed("compute-2", 1)
    site.region.machines["compute-1"].traps.directories.append(stranger)

    checked = check(site, policy=Policy())

    found = {finding.code: finding.hosts for finding in checked.findings}
    assert found == {
        "AUTOSTART": ("compute-1", "compute-3"),
        "STALE_DIRECTORY": ("compute-1",),
    }


def test_a_hundred_hosts_are_probed_a_few_at_a_time(build: NewSite) -> None:
    """Each takes its third of a second; sixteen of them at once."""
    site = build(*(f"compute-{number}" for number in range(1, 101)))
    began = site.now

    checked = check(site)

    assert checked.probed == 100
    assert 2.0 < site.now - began < 6.0


ROOMY = Capacity(vcpus=10_000, memory_mb=10_000_000, disk_gb=10_000)


def test_requests_are_a_function_of_pages_and_nodes(build: NewSite) -> None:
    """Ten times as many servers cost more pages, and nothing else."""

    def requests(servers: int) -> Counter[str]:
        site = build(settings=RegionSettings(cloud=CloudSettings(capacity=ROOMY)))
        for host in HOSTS:
            site.seed(host, servers // 4, local=servers // 8, prefix=host)
        began = len(site.log.calls)
        assert len(fates(check(site))) == servers
        return Counter(call.what.partition("?")[0] for call in site.log.calls[began:])

    few, many = requests(240), requests(2400)

    more = many - few
    assert set(more) == {"GET servers/detail", "GET /v3/volumes/detail"}
    assert more["GET servers/detail"] == 2
    assert more["GET /v3/volumes/detail"] == 1
    assert few.total() < 20
