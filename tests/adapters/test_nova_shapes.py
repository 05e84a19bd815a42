"""Nova's JSON of services and servers, recorded from real clouds, to values."""

from datetime import UTC, datetime

import pytest

from hacli.adapters import nova_shapes as shapes
from hacli.domain.servers import (
    ComputeService,
    Server,
)
from tests.adapters.nova_server import recorded, records_of

READ_AT = datetime(2026, 11, 22, 5, 28, 20, tzinfo=UTC)


def at(hour: int, minute: int, second: int) -> datetime:
    """A time of the day the answers were recorded."""
    return datetime(2026, 11, 22, hour, minute, second, tzinfo=UTC)


def server_named(name: str, recording: str) -> dict[str, object]:
    """One server of a recorded list."""
    servers = records_of(recorded(recording), "servers")
    return next(server for server in servers if server["name"] == name)


def test_a_dead_host_is_down_and_not_forced_down() -> None:
    """``state`` is the heartbeat's verdict; nobody has said that the host is down."""
    body = recorded("os-services-2.69-compute-3-down-natural")

    found = shapes.parse_services(body, date=READ_AT)

    assert found.of("compute-3") == ComputeService(
        id="768a42e9-a847-45b1-9b45-36411dd29bf2",
        host="compute-3",
        known=True,
        enabled=True,
        up=False,
        forced_down=False,
        disabled_reason=None,
        updated_at=at(5, 24, 18),
        zone="nova",
    )
    assert [s.host for s in found.services if s.up] == ["compute-2", "compute-1"]
    assert (found.schedulers_up, found.conductors_up, found.date) == (1, 1, READ_AT)


def test_a_forced_down_and_disabled_host_keeps_its_reason() -> None:
    """status, state and forced_down are three different things."""
    body = recorded("os-services-2.95-compute-3-forced-down-disabled-reason")

    assert shapes.parse_compute_services(body) == (
        ComputeService(
            id="768a42e9-a847-45b1-9b45-36411dd29bf2",
            host="compute-3",
            known=True,
            enabled=False,
            up=False,
            forced_down=True,
            disabled_reason="evacuated: lab",
            updated_at=at(5, 28, 14),
            zone="nova",
        ),
    )


def test_a_living_host_may_be_forced_down() -> None:
    """Its ``updated_at`` goes on; only that says so."""
    body = recorded("os-services-2.95-compute-2-forced-down-but-alive")

    services = shapes.parse_compute_services(body)

    assert [(s.host, s.enabled, s.up, s.forced_down) for s in services] == [
        ("compute-2", True, False, True),
        ("compute-3", True, False, True),
        ("compute-1", True, True, False),
    ]


def test_an_older_nova_says_the_same_of_its_services() -> None:
    """Zed, 2.93."""
    found = shapes.parse_services(recorded("zed-os-services-2.93-all-up"), date=READ_AT)

    assert [(s.host, s.up) for s in found.services] == [
        ("compute-3", True),
        ("compute-1", True),
        ("compute-2", True),
    ]
    assert (found.schedulers_up, found.conductors_up) == (1, 1)


def test_a_service_of_a_cell_that_is_down_is_not_known() -> None:
    """From 2.69 it has binary, host and status UNKNOWN and nothing else (facts A.2)."""
    record = {"binary": "nova-compute", "host": "compute-9", "status": "UNKNOWN"}

    assert shapes.parse_compute_services({"services": [record]}) == (
        ComputeService(
            id="",
            host="compute-9",
            known=False,
            enabled=False,
            up=False,
            forced_down=False,
            disabled_reason=None,
            updated_at=None,
        ),
    )


@pytest.mark.parametrize("key", ["id", "status", "state", "forced_down", "updated_at", "binary"])
def test_a_service_without_a_key_we_decide_on_is_an_error(key: str) -> None:
    """A missing state is not "down", a missing force-down not "no"."""
    body = recorded("os-services-2.95-compute-3-forced-down-disabled-reason")
    (record,) = records_of(body, "services")
    del record[key]

    with pytest.raises(shapes.ShapeError, match=f"{key} is missing"):
        shapes.parse_compute_services(body)


@pytest.mark.parametrize(("key", "word"), [("state", "away"), ("status", "off")])
def test_a_service_with_an_unknown_word_is_an_error(key: str, word: str) -> None:
    """In doubt nothing is concluded."""
    body = recorded("os-services-2.95-compute-3-forced-down-disabled-reason")
    records_of(body, "services")[0][key] = word

    with pytest.raises(shapes.ShapeError, match=f"{key} is neither"):
        shapes.parse_compute_services(body)


@pytest.mark.parametrize(
    "recording",
    [
        "servers-detail-host-compute-3-all_tenants-2.95",
        "servers-detail-host-compute-3-all_tenants-2.100",
    ],
)
def test_a_server_that_boots_from_a_volume_has_no_image(recording: str) -> None:
    """``image`` is the empty text then, and the root disk survives its host."""
    record = server_named("bfv-compute-3-003", recording)

    assert shapes.parse_server(record) == Server(
        id="7eddb86e-4222-4333-808f-06eca4695b1a",
        name="bfv-compute-3-003",
        host="compute-3",
        status="ACTIVE",
        vm_state="active",
        task_state=None,
        power_state=1,
        image=None,
        volumes=("2d9393e8-ea11-423d-9121-5246c34cd577",),
        ephemeral_gb=0,
        swap_mb=0,
        vcpus=1,
        ram_mb=64,
        locked=False,
        launched_at=at(5, 24, 18),
        project="9aba5e0a690c4f35bef72de636cdca9e",
        availability_zone="nova",
        updated_at=at(5, 24, 18),
    )


def test_a_stopped_server_of_an_older_nova() -> None:
    """Zed, 2.93: shut down, root disk from an image."""
    record = server_named("SHUTOFF", "zed-servers-detail-host-compute-3-2.93")

    assert shapes.parse_server(record) == Server(
        id="8c81685e-1caf-4cc8-af30-c30e2562578c",
        name="SHUTOFF",
        host="compute-3",
        status="SHUTOFF",
        vm_state="stopped",
        task_state=None,
        power_state=4,
        image="275a43c8-98a7-40a8-9e19-27420cdb9ddc",
        volumes=(),
        ephemeral_gb=0,
        swap_mb=0,
        vcpus=1,
        ram_mb=64,
        locked=False,
        launched_at=at(6, 19, 11),
        project="9aba5e0a690c4f35bef72de636cdca9e",
        availability_zone="nova",
        updated_at=at(6, 19, 27),
    )


def test_a_server_in_error_says_why() -> None:
    """The fault is there in ERROR only; its traceback is left behind."""
    body = recorded("server-show-after-no-valid-host")

    server = shapes.parse_server(shapes.parse_one(body, "server"))

    assert server.fault == "No valid host was found. There are not enough hosts available."
    assert (server.status, server.vm_state, server.host) == ("ERROR", "error", "compute-3")


def test_disks_zone_lock_and_metadata_are_read() -> None:
    """What a flavor and a user may add to a server."""
    record = server_named("img-compute-3-009", "servers-detail-host-compute-3-all_tenants-2.100")
    record |= {
        "flavor": {"vcpus": 4, "ram": 2048, "disk": 20, "ephemeral": 10, "swap": 512},
        "locked": True,
        "pinned_availability_zone": "az1",
        "metadata": {"hacli:priority": "1"},
        "OS-SRV-USG:launched_at": None,
        "OS-EXT-STS:task_state": "rebuilding",
    }

    server = shapes.parse_server(record)

    assert (server.vcpus, server.ram_mb, server.ephemeral_gb, server.swap_mb) == (4, 2048, 10, 512)
    assert (server.locked, server.pinned_zone, server.launched) == (True, "az1", False)
    assert server.metadata == {"hacli:priority": "1"}
    assert server.task_state == "rebuilding"


@pytest.mark.parametrize(
    "key",
    [
        "id",
        "OS-EXT-SRV-ATTR:host",
        "OS-EXT-STS:vm_state",
        "OS-EXT-STS:task_state",
        "OS-EXT-STS:power_state",
        "OS-SRV-USG:launched_at",
        "os-extended-volumes:volumes_attached",
        "image",
        "flavor",
        "locked",
        "tenant_id",
        "metadata",
    ],
)
def test_a_server_without_a_key_we_decide_on_is_an_error(key: str) -> None:
    """No default: a missing image is not a volume, a missing task state not "idle"."""
    record = server_named("img-compute-3-009", "servers-detail-host-compute-3-all_tenants-2.95")
    del record[key]

    with pytest.raises(shapes.ShapeError, match=f"{key} is missing"):
        shapes.parse_server(record)


def test_a_server_list_below_2_47_is_an_error() -> None:
    """It names the flavor by id only: nothing says which disks a server has."""
    record = server_named("img-compute-3-009", "servers-detail-host-compute-3-all_tenants-2.1")

    with pytest.raises(shapes.ShapeError, match="ephemeral is missing"):
        shapes.parse_server(record)


def test_only_a_record_without_host_and_state_is_partial() -> None:
    """From 2.69 a server of a cell that is down is shown with status UNKNOWN and little else."""
    partial: dict[str, object] = {
        "id": "6c49",
        "status": "UNKNOWN",
        "tenant_id": "9aba",
        "created": "2026-11-22T05:30:29Z",
        "links": [],
    }
    whole = server_named("img-compute-3-009", "servers-detail-host-compute-3-all_tenants-2.95")

    assert shapes.is_partial(partial)
    assert not shapes.is_partial(whole)
    assert not shapes.is_partial(whole | {"status": "UNKNOWN"})
