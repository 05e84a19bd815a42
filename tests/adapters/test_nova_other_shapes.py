"""Nova's JSON of migrations, hypervisors and the rest, recorded from real clouds, to values."""

from datetime import UTC, datetime

import pytest

from hacli.adapters import nova_shapes as shapes
from hacli.domain.servers import (
    Hypervisor,
    InstanceAction,
    Migration,
    MigrationStatus,
    ServerGroup,
)
from tests.adapters.nova_server import DATE, recorded, records_of

READ_AT = datetime(2026, 11, 22, 5, 28, 20, tzinfo=UTC)


def at(hour: int, minute: int, second: int) -> datetime:
    """A time of the day the answers were recorded."""
    return datetime(2026, 11, 22, hour, minute, second, tzinfo=UTC)


def test_a_failed_evacuation_names_its_destination() -> None:
    """``failed`` with a destination: the copy may be running there."""
    records = records_of(recorded("os-migrations-2.80-before-return-stock-driver"), "migrations")

    assert shapes.parse_migration(records[7]) == Migration(
        id=2,
        uuid="f88ea989-cc1e-478b-96fa-95b5653dee7d",
        server="5c01e448-fd97-4e51-bbd5-0badc8819e48",
        type="evacuation",
        status=MigrationStatus.FAILED,
        raw_status="failed",
        source="compute-3",
        destination="compute-2",
        created_at=at(5, 25, 22),
        updated_at=at(5, 25, 23),
    )


def test_an_evacuation_that_found_no_host_has_no_destination() -> None:
    """``error`` from the conductor: the server never left."""
    (record,) = records_of(recorded("os-migrations-after-no-valid-host"), "migrations")

    migration = shapes.parse_migration(record)

    assert (migration.status, migration.destination) == (MigrationStatus.ERROR, None)


@pytest.mark.parametrize(
    ("recording", "statuses"),
    [
        ("os-migrations-2.80-before-return-stock-driver", {"done": 8, "failed": 1}),
        ("os-migrations-2.80-after-return-stock-driver", {"completed": 8, "failed": 1}),
        ("zed-os-migrations-2.93-source-compute-3", {"done": 25, "failed": 2, "error": 1}),
    ],
)
def test_the_returning_host_turns_done_into_completed(
    recording: str, statuses: dict[str, int]
) -> None:
    """And leaves the failed ones alone."""
    records = records_of(recorded(recording), "migrations")
    found = [shapes.parse_migration(record).status.value for record in records]

    assert {word: found.count(word) for word in set(found)} == statuses


def test_a_word_of_another_migration_type_is_kept() -> None:
    """``running`` belongs to live migrations; a word that is new to us is not an end."""
    record = records_of(recorded("os-migrations-after-no-valid-host"), "migrations")[0]
    record |= {"status": "running", "migration_type": "live-migration"}

    migration = shapes.parse_migration(record)

    assert (migration.status, migration.raw_status) == (MigrationStatus.OTHER, "running")


def test_a_migration_list_below_2_23_is_an_error() -> None:
    """Without a type nothing tells an evacuation from a resize."""
    record = records_of(recorded("os-migrations-2.1-source-compute-3"), "migrations")[0]

    with pytest.raises(shapes.ShapeError, match="migration_type is missing"):
        shapes.parse_migration(record)


def test_the_action_log_says_error_and_nothing_more() -> None:
    """The message of a failed action is the one word."""
    records = records_of(recorded("server-actions-after-no-valid-host"), "instanceActions")

    assert [shapes.parse_action(record) for record in records] == [
        InstanceAction(
            action="evacuate",
            request_id="req-529dcb92-899d-415f-99c9-2773a12507c5",
            start_time=at(5, 31, 54),
            message="Error",
            user="3e35589026d4479eb98e383544f64266",
        ),
        InstanceAction(
            action="create",
            request_id="req-f0997975-8c11-4672-a36e-5d0afca31e84",
            start_time=at(5, 30, 28),
            message=None,
            user="3e35589026d4479eb98e383544f64266",
        ),
    ]


def test_a_hypervisor_up_to_2_87_has_figures() -> None:
    """Capacity is approximate, and per Nova host."""
    records = records_of(recorded("os-hypervisors-detail-2.87"), "hypervisors")

    assert shapes.parse_hypervisor(records[2]) == Hypervisor(
        host="compute-3",
        hypervisor_hostname="compute-3",
        vcpus=1000,
        vcpus_used=15,
        memory_mb=800000,
        memory_mb_used=1472,
        running_vms=15,
    )


def test_a_hypervisor_from_2_88_has_none() -> None:
    """None is "not told", not "empty"."""
    records = records_of(recorded("os-hypervisors-detail-2.88-with_servers"), "hypervisors")

    hypervisor = shapes.parse_hypervisor(records[0])

    assert (hypervisor.host, hypervisor.vcpus, hypervisor.running_vms) == ("compute-2", None, None)
    assert [len(shapes.hypervisor_servers(record)) for record in records] == [8, 9, 15]


def test_a_hypervisor_without_servers_may_lack_the_key() -> None:
    """Below 2.75 Nova leaves it out."""
    assert shapes.hypervisor_servers({"id": "h1"}) == ()


def test_a_hypervisor_whose_host_is_not_told_is_an_error() -> None:
    """Its own name may differ from the Nova host's and proves nothing."""
    records = records_of(recorded("os-hypervisors-2.95-pattern-with_servers"), "hypervisors")

    with pytest.raises(shapes.ShapeError, match="service is missing"):
        shapes.hypervisor_host(records[0])


@pytest.mark.parametrize(
    "told", [{"policy": "affinity"}, {"policies": ["affinity"]}], ids=["2.64", "2.53"]
)
def test_a_group_has_one_policy(told: dict[str, object]) -> None:
    """``policy`` from 2.64, before that a list of one."""
    group = shapes.parse_group({"id": "g1", "members": ["a", "b"], **told})

    assert group == ServerGroup(id="g1", policy="affinity", members=("a", "b"))


@pytest.mark.parametrize(
    ("recording", "highest"), [("api-versions", (2, 104)), ("zed-api-versions", (2, 93))]
)
def test_the_roots_version_document_is_understood(recording: str, highest: tuple[int, int]) -> None:
    """v2.0 is listed too and has no microversions."""
    assert shapes.parse_versions(recorded(recording)) == ((2, 1), highest)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"versions": []},
        {"version": {"id": "v2.0", "version": "", "min_version": ""}},
        {"version": {"id": "v2.1", "version": "", "min_version": ""}},
        {"choices": [{"id": "v2.1"}]},
    ],
)
def test_a_version_document_without_microversions_is_an_error(body: object) -> None:
    """An API without microversions cannot do what is needed."""
    with pytest.raises(shapes.ShapeError):
        shapes.parse_versions(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"badRequest": {"code": 400, "message": "still in use."}}, "still in use."),
        ({"computeFault": {"code": 500, "message": ""}}, None),
        ("<html>", None),
        (None, None),
        ({"error": "text"}, None),
    ],
)
def test_novas_own_words_are_found_in_any_fault(body: object, words: str | None) -> None:
    """The outer key changes with the status; a proxy's page has no words of Nova's."""
    assert shapes.parse_fault(body) == words


def test_the_date_header_is_the_apis_clock() -> None:
    """RFC 1123, always UTC."""
    assert shapes.parse_date(DATE) == READ_AT


def test_an_api_without_a_date_tells_no_time() -> None:
    """A bare uwsgi sends no Date header; then time is watched, not read."""
    assert shapes.parse_date(None) is None


@pytest.mark.parametrize("header", ["", "yesterday"])
def test_a_date_that_cannot_be_read_is_an_error(header: str) -> None:
    """Our own clock must not stand in for the API's."""
    with pytest.raises(shapes.ShapeError, match="Date"):
        shapes.parse_date(header)


@pytest.mark.parametrize("body", [None, [], {"servers": None}, {"servers": [1]}, {"other": []}])
def test_a_list_that_is_none_is_an_error(body: object) -> None:
    """Not JSON, or not the list that was asked for: never "empty"."""
    with pytest.raises(shapes.ShapeError):
        shapes.parse_list(body, "servers")
