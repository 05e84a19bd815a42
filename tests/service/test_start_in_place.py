"""A host that was fenced and is back: what stopped in the outage is started there, once."""

import pytest

from hacli.domain.evacuation import End, Reason
from hacli.domain.gates import objections
from hacli.domain.hosts import GATE_ATTRIBUTE
from hacli.errors import Busy, Failed, HacliError, Interrupted, Refused
from hacli.lab.cib import RebootAction
from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER
from hacli.lab.cloud_records import MigrationStatus
from hacli.lab.cluster_facts import ClusterSettings, Departure
from hacli.lab.commands import Crash, PowerOn
from hacli.lab.http_shapes import Caller, Request
from hacli.lab.nova_api import NovaApi
from hacli.lab.region import RegionSettings
from hacli.service.recovery import Recovered
from tests.fakes.clock import Killed
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

HOSTS = ("compute-1", "compute-2", "compute-3")
SYNCED_S = 120.0
"""After so long the power sync has stopped every dead server in Nova's books."""


@pytest.fixture
def site(build: NewSite) -> Site:
    """Three hosts that Pacemaker fences by reboot."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT)
    return build(*HOSTS, settings=RegionSettings(cluster=cluster))


def _outage(site: Site, servers: int = 6, *, stopped: int = 0) -> tuple[str, ...]:
    """Servers on compute-1, which is lost, rebooted by Pacemaker, and up again."""
    ids = site.seed("compute-1", servers, stopped=stopped)
    site.pass_time(10)
    _reboot(site)
    return ids


def _reboot(site: Site) -> None:
    site.lose("compute-1")
    site.until(lambda: _is_back(site))


def _is_back(site: Site) -> bool:
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    started = "nova-compute" in site.region.machines["compute-1"].processes
    up = site.region.cloud.tables.is_up(service)
    return site.region.cluster.nodes["compute-1"].connected and started and up


def _starts(site: Site, server: str | None = None) -> list[str]:
    """Which requests to start or reboot reached Nova."""
    return [
        next(iter(call.body))
        for call in site.log.calls
        if call.body is not None
        and {"reboot", "os-start"} & call.body.keys()
        and server in (None, call.server)
    ]


def _assert_all_back(site: Site, ids: tuple[str, ...], result: Recovered) -> None:
    assert result.complete
    assert result.in_place
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))
    assert [len(_starts(site, key)) for key in ids] == [1] * len(ids)


def test_servers_that_nova_still_calls_active_are_rebooted_once(site: Site) -> None:
    """os-start would be refused: only a hard reboot brings them back."""
    ids = _outage(site)

    result = site.operator().recover("compute-1")

    _assert_all_back(site, ids, result)
    assert set(_starts(site)) == {"reboot"}


def test_servers_that_the_power_sync_has_stopped_are_started_once(site: Site) -> None:
    """Nobody asked for that stop, and the log says so."""
    ids = _outage(site)
    site.pass_time(SYNCED_S)

    result = site.operator().recover("compute-1")

    _assert_all_back(site, ids, result)
    assert set(_starts(site)) == {"os-start"}


@pytest.mark.parametrize("waited_s", [0.0, SYNCED_S])
def test_what_was_stopped_before_stays_stopped(site: Site, waited_s: float) -> None:
    """It is neither started nor named: it is as it was."""
    ids = _outage(site, 5, stopped=2)
    site.pass_time(waited_s)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert {end.server.id for end in result.evacuated.ends} == set(ids[:3])
    assert site.running(*ids[3:]) == dict.fromkeys(ids[3:], ())


def test_the_same_command_again_finds_nothing_to_do(site: Site) -> None:
    """Law L8, from any controller."""
    ids = _outage(site)
    site.operator().recover("compute-1")

    again = site.operator(store=site.other_controller()).recover("compute-1")

    assert again.already == "compute-1 is back, and none of its VMs waits to be started"
    assert [len(_starts(site, key)) for key in ids] == [1] * len(ids)


def test_a_guest_that_runs_is_never_touched(site: Site) -> None:
    """Its user was quicker. A reboot of a running guest is an outage that we cause."""
    ids = _outage(site)
    _order(site, ids[0], {"reboot": {"type": "HARD"}})
    site.until(lambda: bool(site.running(ids[0])[ids[0]]))

    result = site.operator().recover("compute-1")

    assert result.complete
    assert {end.server.id for end in result.evacuated.ends} == set(ids[1:])
    assert _starts(site, ids[0]) == []


def _order(site: Site, server: str, body: dict[str, object]) -> None:
    """A user's own request, which hacli's log does not show."""
    answer = NovaApi(site.region.cloud).handle(
        Request(
            method="POST",
            path=f"/v2.1/servers/{server}/action",
            headers={"openstack-api-version": "compute 2.90"},
            body=body,
            caller=Caller(project=ADMIN_PROJECT, user=ADMIN_USER, roles=("admin",)),
        )
    )
    assert answer.status == 202, answer.body


def test_a_server_that_its_user_stopped_since_is_left_alone(site: Site) -> None:
    """Whoever asked for something after the outage has the last word."""
    ids = _outage(site, 3)
    site.pass_time(SYNCED_S)
    _order(site, ids[0], {"os-start": None})
    site.pass_time(5)
    _order(site, ids[0], {"os-stop": None})
    site.pass_time(5)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert site.running(*ids) == {ids[0]: (), ids[1]: ("compute-1",), ids[2]: ("compute-1",)}


def test_a_server_that_its_user_starts_in_the_middle_is_started_once(site: Site) -> None:
    """Its turn comes later, and its hypervisor is asked right before."""
    ids = _outage(site, 12)
    last = ids[-1]
    user: dict[str, object] = {"reboot": {"type": "HARD"}}
    site.when(lambda: len(_starts(site)) > 0, lambda: _order(site, last, user))

    result = site.operator().recover("compute-1")

    assert result.complete
    assert _starts(site, last) == []
    assert _guest_starts(site, last) == 2  # once when it was made, once by its user


def _guest_starts(site: Site, server: str) -> int:
    """How often its guest has begun to execute."""
    ledger = site.region.machines.ledger
    return sum(entry.server == server and entry.what == "guest-started" for entry in ledger)


def test_the_power_sync_in_the_middle_changes_the_request_and_not_the_end(site: Site) -> None:
    """Nova's books change under the run: some are rebooted, some started, each once."""
    settings = site.region.cloud.tables.settings
    ids = _outage(site, 40)
    assert settings.first_power_sync_seconds > 10
    site.until(lambda: site.now - _booted_at(site) > settings.first_power_sync_seconds - 4)

    result = site.operator().recover("compute-1")

    _assert_all_back(site, ids, result)
    assert set(_starts(site)) == {"reboot", "os-start"}


def _booted_at(site: Site) -> float:
    entries = [e.at for e in site.region.machines.ledger if e.what == "booted"]
    return entries[-1]


def test_a_host_whose_nova_compute_is_not_up_yet_is_waited_for_by_the_operator(site: Site) -> None:
    """Nothing is asked of a daemon that does not answer; the refusal says what is missing."""
    ids = site.seed("compute-1", 3)
    site.lose("compute-1")
    site.until(lambda: site.region.cluster.nodes["compute-1"].connected)

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1")

    assert refusal.value.code == "HOST_DEGRADED"
    assert "nova-compute" in (refusal.value.why or "")
    assert site.log.writes() == ()
    assert site.running(*ids) == dict.fromkeys(ids, ())


def test_a_stopped_run_that_was_taken_over_starts_nothing_more(site: Site) -> None:
    """SIGSTOP in the middle, ``--take-over`` elsewhere, SIGCONT: it reads the CIB, and stops.

    What it may have asked for a moment before is left to be seen for ten minutes.
    """
    ids = _outage(site, 30)
    store = site.other_controller()
    ends: list[Recovered] = []

    def take_over() -> None:  # the first stands still until this returns
        other = site.operator(store=store, at="controller-2")
        ends.append(other.recover("compute-1", take_over=True))

    site.when(lambda: len(_starts(site)) >= 6, take_over)
    with pytest.raises(Busy) as lost:
        site.operator().recover("compute-1")

    assert lost.value.code == "CLAIM_LOST"
    assert [(end.in_place, end.complete) for end in ends] == [(True, False)]
    site.pass_time(600)
    assert site.operator(store=store, at="controller-2").recover("compute-1").complete
    assert all(len(_starts(site, key)) == 1 for key in ids)
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))


def test_a_host_that_is_lost_again_ends_the_run_and_is_recovered_as_an_outage(site: Site) -> None:
    """What was not asked for is not asked for; the same command then fences and evacuates."""
    ids = _outage(site, 30)
    site.when(lambda: len(_starts(site)) >= 6, lambda: site.region.apply(Crash(host="compute-1")))

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    asked = len(_starts(site))
    assert failure.value.code in ("HOST_LOST", "HOST_DEGRADED", "EVIDENCE_LOST")
    assert "were not asked for" in failure.value.state
    assert asked < len(ids)
    site.until(lambda: site.region.machines["compute-1"].boots == 3)
    site.until(lambda: _is_back(site))
    site.pass_time(10)
    result = site.operator().recover("compute-1")
    assert result.complete
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("point", range(24))
def test_a_killed_run_is_finished_by_the_same_command(
    build: NewSite, point: int, elsewhere: bool
) -> None:
    """Law L8: on the same controller, or by what is in the world alone; no server twice."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT)
    site = build(*HOSTS, settings=RegionSettings(cluster=cluster))
    ids = _outage(site, 3)
    with pytest.raises(Killed):
        site.operator(dies_at=1 + 2 * point).recover("compute-1")
    store = site.other_controller() if elsewhere else None

    result = site.operator(store=store).recover("compute-1")
    if not result.complete:  # the fate of a request was not known: ten minutes later it is
        assert {end.end for end in result.evacuated.failed} == {End.UNKNOWN}
        site.pass_time(600)
        result = site.operator(store=store).recover("compute-1")

    assert result.complete
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))
    assert [_guest_starts(site, key) for key in ids] == [2] * len(ids)


@pytest.mark.parametrize("wire", list(Wire))
def test_a_request_whose_answer_is_lost_is_asked_once_more_at_most_when_no_trace_is_left(
    site: Site, wire: Wire
) -> None:
    """Section 4: what was done is followed, what was not sent is sent, what is unknown is named."""
    ids = _outage(site, 3)
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(wire, "POST", "servers/.*/action", times=1))

    result = operator.recover("compute-1")

    if wire is Wire.DROPPED:
        assert [end.end for end in result.evacuated.failed] == [End.UNKNOWN]
        again = site.operator().recover("compute-1")
        assert [end.end for end in again.evacuated.failed] == [End.UNKNOWN]
        site.pass_time(600)
        result = site.operator().recover("compute-1")
    assert result.complete
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))
    assert [_guest_starts(site, key) for key in ids] == [2] * len(ids)


def test_two_operators_on_one_machine_do_not_meet(site: Site) -> None:
    """The second one is told who works there."""
    ids = _outage(site, 6)
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(HacliError) as busy:
            site.operator().recover("compute-1")
        refused.append(busy.value.code)

    first = site.operator(listeners=(lambda _: second() if not refused else None,))

    _assert_all_back(site, ids, first.recover("compute-1"))
    assert refused == ["LOCKED"]


def test_a_second_operator_elsewhere_follows_what_the_first_one_asked_for(site: Site) -> None:
    """Without the first one's journal: by task state and action log, no server is asked twice.

    What has left no trace counts as asked for, for ten minutes.
    """
    ids = _outage(site, 12)
    first = site.operator()
    site.when(lambda: len(_starts(site)) >= 5, lambda: _kill(first))
    with pytest.raises(Killed):
        first.recover("compute-1")

    elsewhere = site.other_controller()
    early = site.operator(store=elsewhere).recover("compute-1")
    site.pass_time(600)
    late = site.operator(store=elsewhere).recover("compute-1")

    assert {end.end for end in early.evacuated.ends} == {End.VERIFIED, End.UNKNOWN}
    assert late.complete
    assert site.running(*ids) == dict.fromkeys(ids, ("compute-1",))
    assert [_guest_starts(site, key) for key in ids] == [2] * len(ids)


def _kill(operator: Operator) -> None:
    operator.process.dead = True


@pytest.mark.parametrize("status", [MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING])
def test_a_server_with_an_open_evacuation_is_never_started_in_place(
    site: Site, status: MigrationStatus
) -> None:
    """It may come to run on its destination at any moment: named, with the reason."""
    ids = _outage(site, 3)
    tables = site.region.cloud.tables
    record = tables.add_migration(tables.servers[ids[0]], kind="evacuation", dest="compute-2")
    tables.set_status(record, status)

    result = site.operator().recover("compute-1")

    assert [skip.reason for skip in result.evacuated.skips] == [Reason.EVACUATED]
    assert _starts(site, ids[0]) == []
    assert site.running(*ids[1:]) == dict.fromkeys(ids[1:], ("compute-1",))


def test_what_was_evacuated_is_not_started_again_on_the_source(build: NewSite) -> None:
    """Half were rebuilt elsewhere; after enable the other half, with local disks, start here."""
    site = build(*HOSTS)
    ids = site.seed("compute-1", 6, local=3)
    site.pass_time(10)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    site.operator().enable("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    homes = site.running(*ids)
    assert {homes[key] for key in ids[:3]} == {("compute-1",)}
    assert all(homes[key] != ("compute-1",) and len(homes[key]) == 1 for key in ids[3:])


@pytest.mark.parametrize("mark", ["gate", "forced down", "disabled"])
def test_a_host_that_a_recovery_has_set_apart_is_to_be_enabled_first(site: Site, mark: str) -> None:
    """Gate, force-down or marker: whoever set them still counts on it."""
    _outage(site, 2)
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    if mark == "gate":
        site.region.cluster.cib.set_attribute("compute-1", GATE_ATTRIBUTE, "r-000000")
    elif mark == "forced down":
        service.forced_down = True
    else:
        service.disabled, service.disabled_reason = True, "hacli:r-000000 recover"

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1")

    assert refusal.value.code == "HOST_RETURNED"
    assert "hacli enable compute-1" in refusal.value.next_steps[0]
    assert _starts(site) == []


def test_a_gate_that_is_set_in_the_middle_stops_the_run(site: Site) -> None:
    """Somebody recovers the host after all: nothing more is started on it."""
    ids = _outage(site, 30)
    cib = site.region.cluster.cib
    site.when(
        lambda: len(_starts(site)) >= 4,
        lambda: cib.set_attribute("compute-1", GATE_ATTRIBUTE, "r-000000"),
    )

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code == "HOST_RETURNED"
    assert len(_starts(site)) < len(ids)


def test_an_objection_stops_new_requests_while_one_is_still_on_its_way(site: Site) -> None:
    """The run ends when that one is heard; nothing is asked for meanwhile."""
    _outage(site, 30)
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.LOST, "POST", "servers/.*/action", times=1))
    gated: list[float] = []

    def gate() -> None:
        gated.append(site.now)
        site.region.cluster.cib.set_attribute("compute-1", GATE_ATTRIBUTE, "r-000000")

    site.when(lambda: len(_starts(site)) >= 4, gate)

    with pytest.raises(Failed) as failure:
        operator.recover("compute-1")

    posts = [call.at for call in site.log.calls if call.what.startswith("POST ")]
    assert failure.value.code == "HOST_RETURNED"
    assert max(posts) - gated[0] < 6


def test_a_silent_hypervisor_leaves_its_servers_named(site: Site) -> None:
    """Law L1: no answer is not "not running"."""
    ids = _outage(site, 2)
    operator = site.operator()
    path = f"servers/{ids[0]}/diagnostics"
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "GET", path))

    result = operator.recover("compute-1")

    assert [skip.reason for skip in result.evacuated.skips] == [Reason.UNSURE]
    assert _starts(site, ids[0]) == []


def test_requests_stay_few(site: Site) -> None:
    """Per started server: hypervisor and action log once more, and one POST; lists beside."""
    ids = _outage(site, 40)
    operator = site.operator()
    prepared = operator.prepare("compute-1")
    asked = len(site.log.calls)

    result = operator.recover("compute-1")

    calls = [c for c in site.log.calls[asked:] if c.port == "nova" and ids[7] in c.what]
    assert prepared.starts is not None
    assert result.complete
    assert len(calls) == 2 + 3  # the plan's two questions, then the run's three requests


def test_ctrl_c_gives_the_prompt_back_and_the_same_command_goes_on(site: Site) -> None:
    """What Nova has accepted goes on."""
    ids = _outage(site, 12)
    operator = site.operator()
    operator.clock.interrupt_at = operator.clock.monotonic() + 2.5

    with pytest.raises(Interrupted) as stopped:
        operator.recover("compute-1")

    assert "were not asked for" in stopped.value.state
    result = site.operator().recover("compute-1")
    assert result.complete
    assert [_guest_starts(site, key) for key in ids] == [2] * len(ids)


def test_a_run_that_stood_still_has_not_waited(site: Site) -> None:
    """Five minutes of SIGSTOP are no silence of the host: it looks again, and goes on."""
    _outage(site, 30)
    operator, stood = site.operator(), [0.0]
    clock = operator.clock
    clock.awake = lambda: clock.monotonic() - stood[0]  # type: ignore[method-assign]

    def stop() -> None:
        site.stage.sleep(300)
        stood[0] += 300

    site.when(lambda: len(_starts(site)) >= 4, stop)

    assert operator.recover("compute-1").complete


@pytest.mark.parametrize("how", ["fenced", "--take-over"])
def test_a_take_over_doubts_starts_too(build: NewSite, how: str) -> None:
    """A reboot that is still on its way would reset a guest that another run has started."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT, controllers=3)
    site = build(*HOSTS, settings=RegionSettings(cluster=cluster))
    _outage(site, 1)
    first = site.operator(store=site.other_controller(), at="controller-2")
    first.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", "servers/.*/action"))
    site.when(
        lambda: any(event.name == "intent" for event in first.events),
        lambda: site.after(1.0, first.process.kill),
    )
    with pytest.raises(Killed):
        first.recover("compute-1")
    if how == "fenced":
        site.region.cluster.depart("controller-2", Departure.FENCED)
        site.pass_time(60)

    elsewhere = site.other_controller()
    site.operator(store=elsewhere).recover("compute-1", take_over=how != "fenced")
    early = _starts(site)
    site.pass_time(600)
    late = site.operator(store=elsewhere).recover("compute-1")

    assert early == []
    assert late.complete


def test_a_dry_run_says_that_another_run_has_the_host(site: Site) -> None:
    """It asks the same checks as the run that it stands for."""
    _outage(site, 12)
    told: list[list[str | None]] = []

    def second() -> None:
        other = site.operator(store=site.other_controller(), at="controller-2")
        told.append([gate.code for gate in objections(other.prepare("compute-1").gates)])

    site.when(lambda: len(_starts(site)) >= 4, second)
    site.operator().recover("compute-1")

    assert told == [["LOCKED"]]
