"""A region: one time, one truth, and everything that can be done to it."""

import pytest

from hacli.lab.api_faults import ApiEffect, ApiFault
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud_records import MigrationStatus, Service
from hacli.lab.commands import (
    BeginColdMove,
    BeginLiveMigration,
    BreakBmc,
    Crash,
    Cut,
    FailNovaApi,
    FailSpawns,
    Hang,
    Join,
    KillCompute,
    PowerOff,
    PowerOn,
    Return,
    SetBackend,
    SetCell,
    SetConductor,
    ShareStorage,
    StickEvacuation,
)
from hacli.lab.http_shapes import Request
from hacli.lab.nova_api import NovaApi
from hacli.lab.region import Command, Region, ServerTruth
from tests.lab.nova_world import ADMIN

_NAMES = ("compute-1", "compute-2", "compute-3")


@pytest.fixture
def region() -> Region:
    """A healthy region of three hosts, ten seconds old."""
    region = Region(_NAMES, start=1795324000.0)
    _wait(region, 10)
    return region


def _wait(region: Region, seconds: float) -> None:
    region.advance(region.timeline.now + seconds)


def _service(region: Region, host: str) -> Service:
    service = region.cloud.tables.compute_service(host)
    assert service is not None
    return service


def test_a_region_begins_healthy(region: Region) -> None:
    """Every nova-compute runs and is up."""
    tables = region.cloud.tables

    assert [s.host for s in tables.compute_services() if tables.is_up(s)] == list(_NAMES)
    assert all("nova-compute" in machine.processes for machine in region.machines)


def test_the_truth_is_of_the_machines_not_of_the_api(region: Region) -> None:
    """Where each guest runs, is defined, on which disk, and how it was at first."""
    runs = region.cloud.add_server("runs", "compute-3", volume=False)
    stopped = region.cloud.add_server("stopped", "compute-2", state="stopped")
    region.apply(Crash(host="compute-3"))

    truth = region.truth()

    assert truth == (
        ServerTruth(
            id=runs.id,
            name="runs",
            running_on=(),
            defined_on=("compute-3",),
            disks=(runs.disk,),
            original_disk=runs.disk,
            originally_running=True,
        ),
        ServerTruth(
            id=stopped.id,
            name="stopped",
            running_on=(),
            defined_on=("compute-2",),
            disks=(stopped.disk,),
            original_disk=stopped.disk,
            originally_running=False,
        ),
    )


def test_the_truth_names_a_double_and_a_lost_disk(region: Region) -> None:
    """What the judge looks for."""
    server = region.cloud.add_server("a", "compute-3", volume=False)
    region.apply(BeginLiveMigration(server=server.id, dest="compute-1", switched=True))
    moved = region.truth()[0]
    guest = region.machines["compute-1"].guests[server.id]
    copy = type(guest)(server=server.id, disk="other", local_disk=True)
    region.machines.start_guest(region.machines["compute-2"], copy)

    doubled = region.truth()[0]

    assert (moved.running_on, moved.runs_twice, moved.lost_its_disk) == (
        ("compute-1",),
        False,
        False,
    )
    assert (doubled.runs_twice, doubled.lost_its_disk) == (True, True)


@pytest.mark.parametrize(
    ("command", "state"),
    [
        # alive, answers, nova-compute runs
        (Crash(host="compute-3"), (False, False, False)),
        (Hang(host="compute-3"), (True, False, True)),
        (Cut(host="compute-3"), (True, False, True)),
        (PowerOff(host="compute-3"), (False, False, False)),
        (KillCompute(host="compute-3"), (True, True, False)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_loss_ends_or_leaves_what_it_does_in_reality(
    region: Region, command: Command, state: tuple[bool, bool, bool]
) -> None:
    """A hang and a cut leave guests and daemons as they are."""
    region.apply(command)

    machine = region.machines["compute-3"]
    assert (machine.alive, machine.answers, "nova-compute" in machine.processes) == state


@pytest.mark.parametrize(
    "losses",
    [
        (Crash(host="compute-3"),),
        (Hang(host="compute-3"),),
        (Cut(host="compute-3"),),
        (PowerOff(host="compute-3"),),
        (Cut(host="compute-3"), Crash(host="compute-3")),
        (Cut(host="compute-3"), Hang(host="compute-3")),
    ],
    ids=lambda losses: "+".join(type(loss).__name__ for loss in losses),
)
def test_return_brings_a_host_back_from_every_loss(
    region: Region, losses: tuple[Command, ...]
) -> None:
    """Whatever had happened: it answers, and its service beats again."""
    for loss in losses:
        region.apply(loss)
    _wait(region, 120)

    region.apply(Return(host="compute-3"))
    _wait(region, 180)

    assert region.machines["compute-3"].answers
    assert region.cloud.tables.is_up(_service(region, "compute-3"))


def test_a_hung_host_that_goes_on_still_has_its_guests(region: Region) -> None:
    """Silence was not death."""
    region.apply(BreakBmc(host="compute-3", fault=BmcFault.SILENT))
    server = region.cloud.add_server("a", "compute-3")
    region.apply(Hang(host="compute-3"))
    _wait(region, 10)

    region.apply(Join(host="compute-3"))

    assert region.machines.running_on(server.id) == ("compute-3",)


def test_power_off_and_on_reboot_a_host(region: Region) -> None:
    """What ran on it does not come back by itself."""
    server = region.cloud.add_server("a", "compute-3")
    region.apply(PowerOff(host="compute-3"))
    region.apply(PowerOn(host="compute-3"))

    machine = region.machines["compute-3"]
    assert (machine.powered, machine.booted, machine.boots) == (True, False, 2)
    assert region.machines.running_on(server.id) == ()


def test_the_cluster_fences_a_crashed_host_through_its_bmc(region: Region) -> None:
    """Cluster and cloud live in one time: fenced after 30 to 45 s, down in Nova after 60 s."""
    region.apply(Crash(host="compute-3"))
    crashed_at = region.timeline.now

    _wait(region, 120)

    (off,) = [e.at for e in region.machines.ledger if e.what == "power-off"]
    assert 30 <= off - crashed_at <= 45
    assert not region.cloud.tables.is_up(_service(region, "compute-3"))


def test_faults_of_the_cloud_are_caused_and_repaired(region: Region) -> None:
    """Each has its place in the cloud's state."""
    server = region.cloud.add_server("a", "compute-3")
    fault = ApiFault(method="GET", path="servers", effect=ApiEffect.UNAVAILABLE)
    for command in (
        FailSpawns(host="compute-1"),
        FailSpawns(host="compute-2", after_start=True),
        StickEvacuation(server=server.id),
        SetConductor(alive=False),
        SetCell(host="compute-1", down=True),
        SetBackend(backend="lab@fake", up=False),
        ShareStorage(host="compute-2", shared=True),
        FailNovaApi(fault=fault),
    ):
        region.apply(command)
    cloud = region.cloud
    faults = cloud.evacuations.faults
    broken = (
        set(faults.spawn_fails),
        set(faults.fails_after_spawn),
        dict(faults.stuck),
        cloud.computes.conductor_alive,
        set(cloud.tables.down_cell),
        set(cloud.tables.dead_backends),
        set(cloud.tables.shared_storage),
    )

    for command in (
        FailSpawns(host="compute-1", on=False),
        FailSpawns(host="compute-2", on=False, after_start=True),
        StickEvacuation(server=server.id, at=None),
        SetConductor(alive=True),
        SetCell(host="compute-1", down=False),
        SetBackend(backend="lab@fake", up=True),
        ShareStorage(host="compute-2", shared=False),
        FailNovaApi(fault=None),
    ):
        region.apply(command)

    assert broken == (
        {"compute-1"},
        {"compute-2"},
        {server.id: MigrationStatus.PRE_MIGRATING},
        False,
        {"compute-1"},
        {"lab@fake"},
        {"compute-2"},
    )
    left = (
        faults.spawn_fails,
        faults.fails_after_spawn,
        set(faults.stuck),
        cloud.tables.down_cell,
        cloud.tables.dead_backends,
        cloud.tables.shared_storage,
    )
    assert left == (set(), set(), set(), set(), set(), set())
    assert cloud.computes.conductor_alive


@pytest.mark.parametrize(
    ("stage", "status", "host", "running_on"),
    [
        (MigrationStatus.MIGRATING, "resize_migrating", "compute-3", ()),
        (MigrationStatus.POST_MIGRATING, "resize_migrated", "compute-1", ()),
        (MigrationStatus.FINISHED, None, "compute-1", ("compute-1",)),
    ],
)
def test_a_cold_move_stands_at_its_stage(
    region: Region,
    stage: MigrationStatus,
    status: str | None,
    host: str,
    running_on: tuple[str, ...],
) -> None:
    """Shut down on the source, named at the destination, running there unconfirmed."""
    server = region.cloud.add_server("a", "compute-3")

    region.apply(BeginColdMove(server=server.id, dest="compute-1", stage=stage))

    assert (server.task_state, server.host) == (status, host)
    assert region.machines.running_on(server.id) == running_on
    assert region.cloud.tables.migrations[-1].status is stage


def test_two_regions_of_one_story_are_equal() -> None:
    """Ids, hosts and ledger: nothing is left to chance."""

    def story() -> Region:
        region = Region(_NAMES, start=1795324000.0)
        region.cloud.add_server("a", "compute-3", volume=False)
        region.apply(Crash(host="compute-3"))
        _wait(region, 300)
        return region

    assert story().machines.ledger == story().machines.ledger
    assert story().truth() == story().truth()


def _ask(region: Region, method: str, path: str, body: dict[str, object]) -> int:
    return (
        NovaApi(region.cloud)
        .handle(
            Request(
                method=method,
                path=f"/v2.1{path}",
                headers={"openstack-api-version": "compute 2.93"},
                body=body,
                caller=ADMIN,
            )
        )
        .status
    )


def _service_path(region: Region, host: str) -> str:
    return f"/os-services/{_service(region, host).id}"


def test_an_outage_told_to_its_end_loses_and_doubles_nothing(region: Region) -> None:
    """Crash, fence by the cluster, force-down, evacuation, return, clean-up, force-up."""
    servers = [region.cloud.add_server(name, "compute-3") for name in "abc"]
    region.apply(Crash(host="compute-3"))
    _wait(region, 60)
    down = {"forced_down": True, "status": "disabled", "disabled_reason": "story"}
    up = {"forced_down": False}

    statuses = [_ask(region, "PUT", _service_path(region, "compute-3"), dict(down))]
    for server in servers:
        path = f"/servers/{server.id}/action"
        statuses.append(_ask(region, "POST", path, {"evacuate": {}}))
    _wait(region, 20)
    statuses.append(_ask(region, "PUT", _service_path(region, "compute-3"), dict(up)))
    evacuated = region.truth()
    region.apply(Return(host="compute-3"))
    _wait(region, 90)
    statuses.append(_ask(region, "PUT", _service_path(region, "compute-3"), dict(up)))

    assert statuses == [200, 200, 200, 200, 400, 200]
    assert [truth.running_on for truth in evacuated] == [
        ("compute-1",),
        ("compute-2",),
        ("compute-1",),
    ]
    after = region.truth()
    assert [truth.defined_on for truth in after] == [truth.running_on for truth in evacuated]
    assert not any(truth.runs_twice or truth.lost_its_disk for truth in after)
    assert region.cloud.tables.is_up(_service(region, "compute-3"))


def test_an_evacuation_without_proof_runs_every_guest_twice(region: Region) -> None:
    """Network and BMC are cut; Nova does as it is told and says ACTIVE once."""
    servers = [region.cloud.add_server(name, "compute-3") for name in "abc"]
    region.apply(BreakBmc(host="compute-3", fault=BmcFault.SILENT))
    region.apply(Cut(host="compute-3"))
    _wait(region, 60)

    _ask(region, "PUT", _service_path(region, "compute-3"), {"forced_down": True})
    for server in servers:
        _ask(region, "POST", f"/servers/{server.id}/action", {"evacuate": {}})
    _wait(region, 20)

    assert [truth.runs_twice for truth in region.truth()] == [True, True, True]
    assert {server.host for server in servers} == {"compute-1", "compute-2"}


def test_a_host_fenced_late_ends_the_double(region: Region) -> None:
    """The BMC answers again, the cluster fences by itself, each guest runs once again."""
    server = region.cloud.add_server("a", "compute-3")
    region.apply(BreakBmc(host="compute-3", fault=BmcFault.SILENT))
    region.apply(Cut(host="compute-3"))
    _wait(region, 60)
    _ask(region, "PUT", _service_path(region, "compute-3"), {"forced_down": True})
    _ask(region, "POST", f"/servers/{server.id}/action", {"evacuate": {}})
    _wait(region, 20)
    doubled = region.truth()[0].running_on

    region.apply(BreakBmc(host="compute-3", fault=BmcFault.OK))
    _wait(region, 300)

    assert doubled == ("compute-1", "compute-3")
    assert region.truth()[0].running_on == ("compute-1",)
