"""verify-storage over real wires: a large region by pages, and each source falling silent."""

import logging
import re
from collections import Counter

import pytest

from hacli.lab.cloud_records import Capacity
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.commands import Cut, ShareStorage
from hacli.lab.region import Region, RegionSettings
from hacli.lab.seed import Population, demo, host_names
from hacli.lab.wire_faults import WireEffect, WireFault
from tests.e2e.conftest import NewSite
from tests.e2e.site import Site
from tests.e2e.test_scale import BUSY_S, Memory

logger = logging.getLogger(__name__)

HOSTS, SERVERS = 200, 10_000
CHECK_S = 15.0
PEAK_MIB = 150.0
"""Measured on two cores: 6 s and 124 MiB, with the sixteen children that ask nodes."""


def large() -> Population:
    """Half of the servers run from volumes, half from a filer that the last host does not share."""
    names = host_names(HOSTS)
    room = Capacity(vcpus=1000, memory_mb=1_000_000, disk_gb=10_000)

    def fill(region: Region) -> None:
        for host in names[:-1]:
            ShareStorage(host=host, shared=True).apply_to(region)
        for number in range(SERVERS):
            host = names[number % HOSTS]
            region.cloud.add_server(f"vm-{number:05}", host, volume=number % 2 == 0)

    settings = RegionSettings(cloud=CloudSettings(capacity=room))
    return Population(hosts=names, fill=fill, settings=settings)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("output", ["json", "table"])
def test_ten_thousand_servers_on_two_hundred_hosts(build: NewSite, output: str) -> None:
    """Within 15 s and 150 MiB, children included; requests are pages, and one for each list."""
    site = build(population=large(), speed=1.0)

    with site.begin("verify-storage", "-o", output) as running, Memory(running.pid) as memory:
        ended = running.end()

    logger.info("%.1f s, %.0f MiB, %.1f s of CPU", ended.took_s, memory.peak_mib, ended.cpu_s)
    assert ended.code == 1, ended.err
    if output == "json":
        summary = ended.document["summary"]
        assert (summary["servers"], summary["hosts"]) == (SERVERS, HOSTS)
        assert (summary["survives"], summary["loses_root"]) == (5000, 5000)
        assert ended.document["sources"]["probe"] == {"asked": HOSTS, "silent": []}
    else:
        assert len(ended.out.splitlines()) <= 30
    assert _asked(site) == {
        "nova servers/detail": 11,  # ten pages, and the empty one that ends them
        "nova os-services": 2,
        "nova os-server-groups": 1,
        "cinder volumes/detail": 6,
        "cinder os-services": 1,
        "glance images": 2,
    }
    assert ended.took_s < CHECK_S + BUSY_S
    assert memory.peak_mib < PEAK_MIB


def _asked(site: Site) -> Counter[str]:
    """How often each list was asked for; not the login, nor what versions there are."""
    lists = (re.search(r"/v[\d.]+/(\w.*)", record.path) for record in site.requests)
    return Counter(
        f"{record.service} {found[1]}"
        for record, found in zip(site.requests, lists, strict=True)
        if found and record.service != "keystone"
    )


def test_the_demo_names_each_danger(build: NewSite) -> None:
    """Real processes from end to end, the probe through the lab's command prefix."""
    site = build(population=demo(), speed=1.0)

    ended = site.hacli("verify-storage")

    assert ended.code == 1, ended.err
    assert "  local   compute-3  node      ext4 /dev/vda1" in ended.out
    assert "AT RISK: 7 of 24 VMs would lose data or stay down." in ended.out


@pytest.mark.parametrize("silent", ["cinder", "glance", "compute-1"])
def test_what_rests_on_a_silent_source_is_unknown(build: NewSite, silent: str) -> None:
    """Over real wires: 6, and no server that rests on it is said to survive."""
    site = build(population=_sharing(), speed=1.0)
    if silent == "compute-1":
        site.do(Cut(host=silent))
    else:
        with site.lab.lock:
            fault = WireFault(effect=WireEffect.LOST, service=silent, times=None)
            site.lab.http.faults.add(fault)

    ended = site.hacli("verify-storage", "-o", "json")

    assert (ended.code, ended.document["ok"]) == (6, False), ended.err
    fates = {server["name"]: server["verdict"] for server in ended.document["servers"]}
    volume, image = ("unknown", "survives") if silent == "cinder" else ("survives", "unknown")
    assert fates == {"volume-1": volume, "image-1": image, "volume-2": volume, "image-2": image}


def _sharing() -> Population:
    """Two hosts that share their disks, each with a server of either kind."""
    names = host_names(2)

    def fill(region: Region) -> None:
        for number, host in enumerate(names, start=1):
            ShareStorage(host=host, shared=True).apply_to(region)
            region.cloud.add_server(f"volume-{number}", host)
            region.cloud.add_server(f"image-{number}", host, volume=False)

    return Population(hosts=names, fill=fill)
