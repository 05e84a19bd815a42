"""What Nova answers and does not answer, over real HTTP: each server is asked for once."""

import pytest

from hacli.lab.cloud_records import Capacity, MigrationStatus, VmState
from hacli.lab.commands import BeginLiveMigration, FailSpawns, StickEvacuation
from hacli.lab.region import Region
from hacli.lab.request_log import Deed
from hacli.lab.seed import Population, host_names, small
from hacli.lab.wire_faults import WireEffect, WireFault
from tests.e2e.conftest import NewSite
from tests.e2e.impatient import LOOK_S
from tests.e2e.site import CONFIGURATION, IMPATIENT, Site
from tests.eventually import eventually

NO_ROOM = Capacity(vcpus=0, memory_mb=0, disk_gb=0)
ROWS = {
    # server: (its end, requests for it)
    "plain": ("verified", 1),
    "stopped": ("verified", 1),
    "lost-answer": ("verified", 1),
    "503-after": ("verified", 1),
    "503-before": ("verified", 2),
    "late-answer": ("verified", 1),
    "stuck": ("VM_STUCK", 1),
    "moving": ("VM_MIGRATING", 0),
    "local": ("LOCAL_DISK", 0),
}
LISTS = {
    "services": "/os-services",
    "servers": "/servers/detail",
    "hypervisors": "/os-hypervisors",
    "migrations": "/os-migrations",
    "groups": "/os-server-groups",
}


def _fill(region: Region) -> None:
    for name in ROWS:
        region.cloud.add_server(
            name,
            "compute-1",
            state=VmState.STOPPED if name == "stopped" else VmState.ACTIVE,
            volume=name != "local",
        )


def test_each_row_of_the_tables_ends_as_it_must(build: NewSite) -> None:
    """Section 4 of the design, one server for each row, all in one recovery: exit 3."""
    site = build(
        population=Population(hosts=host_names(4), fill=_fill),
        configuration=CONFIGURATION + 'stuck_after = "10s"\n',
    )
    site.do(BeginLiveMigration(server=site.id_of("moving"), dest="compute-2"))
    site.lose("compute-1")
    site.do(StickEvacuation(server=site.id_of("stuck"), at=MigrationStatus.PRE_MIGRATING))
    for name, effect in (
        ("lost-answer", WireEffect.LOST),
        ("503-after", WireEffect.UNAVAILABLE_AFTER),
        ("503-before", WireEffect.UNAVAILABLE),
        ("late-answer", WireEffect.LATE),
    ):
        _spoil(site, effect, "POST", site.id_of(name), seconds=3.0)

    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json", program=IMPATIENT)

    assert ended.code == 3, ended.err
    assert {name: (end, len(site.evacuations(name))) for name, end in ended.servers.items()} == ROWS
    tried, again = (record.at for record in site.evacuations("503-before"))
    assert again - tried >= LOOK_S * site.lab.speed


def test_a_failure_on_the_destination_is_repeated_there_and_nowhere_else(site: Site) -> None:
    """A copy may be running there: the second request names the same host."""
    for host in ("compute-2", "compute-3", "compute-4"):
        site.do(FailSpawns(host=host))
    site.lose("compute-1")

    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert ended.code == 3, ended.err
    assert set(ended.servers.values()) == {"VM_FAILED"}
    for name in ended.servers:
        first, second = site.evacuations(name)
        assert first.body == {"evacuate": {}}
        assert second.body == {"evacuate": {"host": _destination(site, name)}}


def test_no_room_is_named_and_the_same_command_finishes_when_there_is(build: NewSite) -> None:
    """No valid host: exit 3; then only what is left is asked for."""
    site = build()
    site.lose("compute-1")
    with site.lab.lock:
        tables = site.lab.region.cloud.tables
        room = dict(tables.capacities)
        for host in tables.capacities:
            tables.capacities[host] = NO_ROOM

    full = site.hacli("recover", "compute-1", "--yes", "-o", "json")
    with site.lab.lock:
        tables.capacities.update(room)
    asked = len(site.evacuations())
    free = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert (full.code, set(full.servers.values())) == (3, {"NO_ROOM"}), full.err
    assert (free.code, set(free.servers.values())) == (0, {"verified"}), free.err
    assert len(site.evacuations()) - asked == 3
    assert site.violations(recovered=["compute-1"]) == ()


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
def test_one_failing_list_is_no_empty_list(site: Site, path: str) -> None:
    """Before anything is ordered: exit 6, and nothing was."""
    site.lose("compute-1")
    _spoil(site, WireEffect.UNAVAILABLE, "GET", path, times=None)

    ended = site.hacli("recover", "compute-1", "--yes")

    assert ended.code == 6, ended.err
    assert ended.problem in {"SERVERS_UNSURE", "API_UNREACHABLE"}
    assert site.lab.orders == ()


def test_polls_that_fail_in_the_middle_only_delay(site: Site) -> None:
    """Half of an answer, no answer, 503: what is not seen is not concluded from."""
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes", "-o", "json") as running:
        site.wait_for(Deed.EVACUATE, running)
        for effect in (WireEffect.HALF, WireEffect.LOST, WireEffect.UNAVAILABLE):
            _spoil(site, effect, "GET", "/os-migrations", times=2)
        ended = running.end()

    assert ended.code == 0, ended.err
    assert [len(site.evacuations(name)) for name in ended.servers] == [1, 1, 1]
    assert len([record for record in site.requests if record.fault]) == 6


def test_a_token_that_expires_in_the_middle_is_renewed(site: Site) -> None:
    """401 before anything is looked at: one more login, and no server asked for twice."""
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes", "-o", "json") as running:
        site.wait_for(Deed.FORCE_DOWN, running)
        with site.lab.lock:
            site.lab.keystone.revoke_all()
        ended = running.end()

    assert ended.code == 0, ended.err
    accepted = [r for r in site.evacuations() if r.status != 401]
    assert len(accepted) == len(ended.servers)
    assert sum(record.path == "/v3/auth/tokens" for record in site.requests) == 2
    assert {record.status for record in site.requests} >= {401}


def test_nova_may_be_restarted_in_the_middle(build: NewSite) -> None:
    """Nobody listens for 4 s, and what was in flight is cut off: it goes on afterwards.

    One at a time, so that no request is on its way then whose fate would be unknown.
    """
    site = build(population=small(4, 20), configuration="[evacuation]\nwindow = 1\n")
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes", "-o", "jsonl") as running:
        eventually(lambda: '"accepted"' in running.out.read_text(), within_s=20)
        site.lab.http.refuse_connections("nova", 4.0)
        ended = running.end()

    assert ended.code == 0, ended.err + ended.out
    assert len(site.evacuations()) == 5
    assert site.violations(recovered=["compute-1"]) == ()


def _spoil(
    site: Site,
    effect: WireEffect,
    method: str,
    path: str,
    *,
    seconds: float = 0.0,
    times: int | None = 1,
) -> None:
    fault = WireFault(effect=effect, method=method, path=path, seconds=seconds, times=times)
    with site.lab.lock:
        site.lab.http.faults.add(fault)


def _destination(site: Site, name: str) -> str:
    server = site.id_of(name)
    with site.lab.lock:
        records = site.lab.region.cloud.tables.migrations
        return next(record.dest or "" for record in records if record.server == server)
