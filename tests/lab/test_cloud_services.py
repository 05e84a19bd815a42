"""How the lab's Nova learns that a host is down, and what it does when told so."""

import pytest

from hacli.lab.cloud_records import Service
from hacli.lab.http_shapes import Response
from tests.lab.nova_recordings import normal
from tests.lab.nova_world import NovaWorld, nova_world


@pytest.fixture
def world() -> NovaWorld:
    """A healthy cloud of three hosts."""
    return nova_world()


def _service(world: NovaWorld, host: str) -> Service:
    service = world.cloud.tables.compute_service(host)
    assert service is not None
    return service


def _state(world: NovaWorld, host: str) -> tuple[object, object, object]:
    """State, forced_down and updated_at, as the API says."""
    body = world.ask("GET", f"/os-services?binary=nova-compute&host={host}").body
    assert body is not None
    rows = body["services"]
    assert isinstance(rows, list)
    (row,) = rows
    return row["state"], row["forced_down"], row["updated_at"]


def test_a_crashed_host_reads_up_for_50_to_60_seconds(world: NovaWorld) -> None:
    """The last heartbeat was up to 10 s before the crash; after 60 s of silence it is down."""
    world.machines.crash(world.machines["compute-3"])

    states = []
    for second in range(1, 62):
        world.pass_time(1)
        states.append((second, _state(world, "compute-3")[0]))

    first_down = next(second for second, state in states if state == "down")
    assert 50 <= first_down <= 61
    assert states[0] == (1, "up")


def test_a_forced_down_host_that_lives_keeps_beating(world: NovaWorld) -> None:
    """updated_at advances every 10 s while state stays down: the only sign of life."""
    world.put_service("compute-3", {"forced_down": True})
    first = _state(world, "compute-3")

    world.pass_time(11)

    second = _state(world, "compute-3")
    assert first[:2] == second[:2] == ("down", True)
    assert str(second[2]) > str(first[2])


@pytest.mark.parametrize("loss", ["crash", "hang", "cut", "kill"])
def test_heartbeats_stop_with_every_kind_of_loss(world: NovaWorld, loss: str) -> None:
    """Dead, frozen, cut off or without its daemon: all look alike to Nova."""
    machine = world.machines["compute-3"]
    lose = {
        "crash": lambda: world.machines.crash(machine),
        "hang": lambda: world.machines.hang(machine),
        "cut": lambda: world.machines.cut(machine),
        "kill": lambda: world.machines.stop_process(machine, "nova-compute"),
    }
    lose[loss]()

    world.pass_time(61)

    assert _state(world, "compute-3")[:2] == ("down", False)
    assert _state(world, "compute-2")[:2] == ("up", False)


@pytest.mark.parametrize("loss", ["hang", "cut"])
def test_a_host_that_was_away_beats_again(world: NovaWorld, loss: str) -> None:
    """What was only frozen or cut off goes on by itself."""
    machine = world.machines["compute-3"]
    (world.machines.hang if loss == "hang" else world.machines.cut)(machine)
    world.pass_time(100)

    world.machines.join(machine)
    world.pass_time(11)

    assert _state(world, "compute-3")[:2] == ("up", False)


def test_without_a_conductor_every_host_goes_down(world: NovaWorld) -> None:
    """nova-compute writes its heartbeat through the conductor."""
    world.cloud.set_conductor(alive=False)
    world.pass_time(75)
    down = [_state(world, f"compute-{number}")[0] for number in (1, 2, 3)]

    world.cloud.set_conductor(alive=True)
    world.pass_time(11)

    assert down == ["down", "down", "down"]
    assert _state(world, "compute-1")[0] == "up"


def test_times_have_a_resolution_of_one_second(world: NovaWorld) -> None:
    """MariaDB keeps no fractions."""
    world.pass_time(0.7)
    world.put_service("compute-3", {"forced_down": True})

    assert str(_state(world, "compute-3")[2]).endswith(".000000")


def test_disabling_a_dead_host_that_reads_up_is_written_first_and_answered_late(
    world: NovaWorld,
) -> None:
    """The API calls the dead nova-compute until rpc_response_timeout; the row says disabled."""
    world.machines.crash(world.machines["compute-3"])

    answer = world.put_service("compute-3", {"status": "disabled", "disabled_reason": "why"})

    assert (answer.status, answer.delay_s) == (200, 60.0)
    service = _service(world, "compute-3")
    assert (service.disabled, service.disabled_reason) == (True, "why")


@pytest.mark.parametrize(
    ("seconds", "change"),
    [
        pytest.param(1, {"status": "disabled", "forced_down": True}, id="forced-down-at-once"),
        pytest.param(75, {"status": "disabled"}, id="known-down"),
        pytest.param(1, {"forced_down": True}, id="force-down-alone"),
    ],
)
def test_nobody_waits_for_a_host_that_nova_knows_to_be_down(
    world: NovaWorld, seconds: float, change: dict[str, object]
) -> None:
    """The call to nova-compute is skipped."""
    world.machines.crash(world.machines["compute-3"])
    world.pass_time(seconds)

    answer = world.put_service("compute-3", change)

    assert (answer.status, answer.delay_s) == (200, 0.0)


def test_a_living_host_is_disabled_at_once(world: NovaWorld) -> None:
    """nova-compute answers the call."""
    assert world.put_service("compute-3", {"status": "disabled"}).delay_s == 0.0


def test_the_reason_stays_until_the_host_is_enabled(world: NovaWorld) -> None:
    """Force-down and force-up leave it; enabling clears it."""
    reasons = []
    for change in (
        {"status": "disabled", "disabled_reason": "evacuated: lab"},
        {"forced_down": True},
        {"forced_down": False},
        {"status": "enabled"},
    ):
        world.put_service("compute-3", dict(change))
        reasons.append(_service(world, "compute-3").disabled_reason)

    assert reasons == ["evacuated: lab", "evacuated: lab", "evacuated: lab", None]


def test_an_admin_change_moves_updated_at_and_is_no_heartbeat(world: NovaWorld) -> None:
    """updated_at alone is no sign of life, and a PUT does not bring a host up."""
    world.machines.crash(world.machines["compute-3"])
    world.pass_time(75)
    before = _state(world, "compute-3")

    world.put_service("compute-3", {"status": "disabled"})

    after = _state(world, "compute-3")
    assert (before[0], after[0]) == ("down", "down")
    assert str(after[2]) > str(before[2])


def test_a_change_that_changes_nothing_leaves_updated_at(world: NovaWorld) -> None:
    """The database writes a row only when a value differs."""
    world.machines.crash(world.machines["compute-3"])
    world.pass_time(75)
    before = _state(world, "compute-3")

    world.put_service("compute-3", {"status": "enabled"})

    assert _state(world, "compute-3") == before


def test_force_up_of_a_dead_host_reads_up_at_once(world: NovaWorld) -> None:
    """With a heartbeat younger than 60 s the state is up, with no process behind it."""
    world.machines.crash(world.machines["compute-3"])
    world.put_service("compute-3", {"forced_down": True})
    world.pass_time(3)

    world.put_service("compute-3", {"forced_down": False})

    assert _state(world, "compute-3")[:2] == ("up", False)


@pytest.mark.parametrize(
    ("target", "body", "words"),
    [
        (
            None,
            {},
            "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
        ),
        (
            None,
            {"status": "enabled", "disabled_reason": "x"},
            "Specifying 'disabled_reason' with status 'enabled' is invalid.",
        ),
        ("no-uuid", {"forced_down": True}, "Invalid uuid no-uuid"),
        (
            "nova-conductor",
            {"forced_down": True},
            (
                "Updating a nova-conductor service is not supported. "
                "Only nova-compute services can be updated."
            ),
        ),
    ],
)
def test_a_wrong_change_is_refused(
    world: NovaWorld, target: str | None, body: dict[str, object], words: str
) -> None:
    """400 in Nova's words; nothing is written."""
    ids = {service.binary: service.id for service in world.cloud.tables.services}
    service_id = ids.get(target or "nova-compute", str(target))

    answer = world.ask("PUT", f"/os-services/{service_id}", body=body)

    assert (answer.status, _words(answer)) == (400, words)


def test_an_unknown_service_is_not_found(world: NovaWorld) -> None:
    """404, with the id."""
    path = "/os-services/00000000-0000-0000-0000-000000000000"

    answer = world.ask("PUT", path, body={"forced_down": True})

    assert answer.status == 404
    assert normal(_words(answer)) == "Service <uuid> could not be found."


def test_a_returned_host_stays_down_and_disabled_until_both_are_undone(world: NovaWorld) -> None:
    """Heartbeats come back; force-down and disable are the operator's."""
    world.machines.crash(world.machines["compute-3"])
    world.put_service(
        "compute-3", {"forced_down": True, "status": "disabled", "disabled_reason": "why"}
    )
    world.pass_time(100)

    world.bring_back("compute-3")
    world.pass_time(9)
    early = world.timeline.now - _service(world, "compute-3").last_seen
    world.pass_time(2)

    assert early > 60
    assert _state(world, "compute-3")[:2] == ("down", True)
    world.put_service("compute-3", {"forced_down": False})
    assert _state(world, "compute-3")[:2] == ("up", False)
    assert _service(world, "compute-3").disabled_reason == "why"


def _words(answer: Response) -> object:
    assert answer.body is not None
    (fault,) = answer.body.values()
    assert isinstance(fault, dict)
    return fault["message"]


@pytest.mark.parametrize(
    ("action", "extra", "disabled", "reason"),
    [
        ("disable", {}, True, None),
        ("disable-log-reason", {"disabled_reason": "why"}, True, "why"),
        ("enable", {}, False, None),
    ],
)
def test_below_2_53_services_are_changed_by_name(
    world: NovaWorld, action: str, extra: dict[str, object], *, disabled: bool, reason: str | None
) -> None:
    """One action for each change."""
    body: dict[str, object] = {"host": "compute-3", "binary": "nova-compute", **extra}

    answer = world.ask("PUT", f"/os-services/{action}", version="2.11", body=body)

    status = {"status": "disabled" if disabled else "enabled"}
    assert (answer.status, answer.body) == (200, {"service": {**body, **status}})
    service = _service(world, "compute-3")
    assert (service.disabled, service.disabled_reason) == (disabled, reason)


@pytest.mark.parametrize(
    ("version", "action", "host", "words"),
    [
        ("2.11", "nosuch", "compute-3", "Unknown action"),
        ("2.10", "force-down", "compute-3", "Unknown action"),
        ("2.11", "disable", "nosuch", "Could not find binary nova-compute on host nosuch."),
    ],
)
def test_a_wrong_name_is_not_found(
    world: NovaWorld, version: str, action: str, host: str, words: str
) -> None:
    """404 in Nova's words."""
    body: dict[str, object] = {"host": host, "binary": "nova-compute", "forced_down": True}

    answer = world.ask("PUT", f"/os-services/{action}", version=version, body=body)

    assert (answer.status, _words(answer)) == (404, words)


@pytest.mark.parametrize(
    "body",
    [
        {"nosuch": 1},
        {"status": "gone"},
        {"forced_down": "maybe"},
        {"status": "disabled", "disabled_reason": ""},
        {"status": "disabled", "disabled_reason": "x" * 256},
        {"disabled_reason": "alone"},
    ],
    ids="-".join,
)
def test_a_body_that_breaks_the_schema_is_refused(
    world: NovaWorld, body: dict[str, object]
) -> None:
    """400, and nothing is written."""
    before = _state(world, "compute-3")

    answer = world.put_service("compute-3", body)

    assert (answer.status, _state(world, "compute-3")) == (400, before)
    assert not _service(world, "compute-3").disabled
