"""`enable` and `disable`: the careful way back, and what is not ours."""

import pytest

from hacli.domain.evacuation import Wishes
from hacli.domain.events import Event, StepDone, Warned
from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE
from hacli.errors import DeadlinePassed, Refused
from hacli.lab.cloud_records import MigrationStatus, Service
from hacli.lab.commands import Cut, PowerOn, Return, StickEvacuation
from tests.fakes.world import Operator, Site


def _service(site: Site, host: str = "compute-1") -> Service:
    service = site.region.cloud.tables.compute_service(host)
    assert service is not None
    return service


def _state(site: Site) -> tuple[bool, bool]:
    """Disabled, forced down."""
    service = _service(site)
    return service.disabled, service.forced_down


def _recovered_and_back(site: Site, servers: int = 3) -> tuple[str, ...]:
    ids = site.seed("compute-1", servers)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    return ids


def _waits(events: tuple[Event, ...]) -> list[str]:
    return [event.text for event in events if isinstance(event, Warned) and event.code == "WAITING"]


def test_a_returned_host_is_taken_back_step_by_step(site: Site) -> None:
    """Gate, chain, heartbeat, clean-up, release, enable: each only after the one before."""
    ids = _recovered_and_back(site)
    operator = site.operator()

    operator.enable("compute-1")

    steps = [e.step for e in operator.events if isinstance(e, StepDone)]
    assert steps[-7:] == [
        "open evacuations", "gate", "chain", "heartbeat", "clean-up", "release", "enable",
    ]  # fmt: skip
    assert _state(site) == (False, False)
    attributes = site.region.cluster.cib.attributes("compute-1")
    assert not {GATE_ATTRIBUTE, FORCED_DOWN_ATTRIBUTE} & set(attributes)
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_the_old_copies_are_gone_before_the_host_takes_servers(site: Site) -> None:
    """Its nova-compute has ended every record and destroyed the definitions that were left."""
    ids = _recovered_and_back(site, servers=8)

    site.operator().enable("compute-1")

    assert {m.status for m in site.region.cloud.tables.migrations} == {MigrationStatus.COMPLETED}
    assert not set(ids) & set(site.region.machines["compute-1"].guests)


def test_enable_waits_for_a_host_that_is_still_away(site: Site) -> None:
    """It says for what it waits, ends at its deadline, and leaves the host disabled."""
    site.seed("compute-1", 1)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    operator = site.operator()
    began = site.now

    with pytest.raises(DeadlinePassed) as passed:
        operator.enable("compute-1", timeout_s=60.0)

    assert "switched on" in passed.value.why
    assert _waits(operator.events)[0] == passed.value.why
    assert 60 <= site.now - began <= 65
    assert _state(site) == (True, True)


def test_enable_goes_on_when_the_host_comes_back_meanwhile(site: Site) -> None:
    """The wait is for the world, not for another command."""
    site.seed("compute-1", 1)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.after(100.0, lambda: site.region.apply(PowerOn(host="compute-1")))

    site.operator().enable("compute-1", timeout_s=600.0)

    assert _state(site) == (False, False)


@pytest.mark.parametrize("stage", [MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING])
def test_an_open_evacuation_forbids_enable(site: Site, stage: MigrationStatus) -> None:
    """Starting nova-compute now would make it destroy the guest that is being rebuilt."""
    (server,) = site.seed("compute-1", 1)
    site.region.apply(StickEvacuation(server=server, at=stage))
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))

    with pytest.raises(Refused) as refusal:
        site.operator().enable("compute-1")

    assert refusal.value.code == "OPEN_EVACUATIONS"
    assert GATE_ATTRIBUTE in site.region.cluster.cib.attributes("compute-1")
    assert "nova-compute" not in site.region.machines["compute-1"].processes
    assert _state(site) == (True, True)


def test_an_evacuation_without_a_destination_may_still_come_true(site: Site) -> None:
    """Its order may wait for a nova-compute that is down, wherever the server is by now."""
    (server,) = site.seed("compute-1", 1)
    site.region.apply(StickEvacuation(server=server, at=MigrationStatus.ACCEPTED))
    site.lose("compute-1")
    site.operator().recover("compute-1")
    row = site.region.cloud.tables.servers[server]
    row.host, row.task_state = "compute-3", None  # somebody has edited Nova's database
    site.region.apply(PowerOn(host="compute-1"))

    with pytest.raises(Refused) as refusal:
        site.operator().enable("compute-1")

    assert refusal.value.code == "OPEN_EVACUATIONS"


def test_an_evacuation_that_ended_with_its_destination_forbids_nothing(site: Site) -> None:
    """Its record stays open in Nova until nova-compute starts on the first host again.

    The destination was lost in the middle, and the server was evacuated from there.
    """
    (server,) = site.seed("compute-1", 1)
    row = site.region.cloud.tables.servers[server]
    site.lose("compute-1")
    site.when(lambda: row.host == "compute-2", lambda: site.region.apply(Cut(host="compute-2")))
    site.operator().recover("compute-1", wishes=Wishes(target="compute-2"))
    assert site.operator().recover("compute-2").complete
    opened = site.region.cloud.tables.open_evacuations_from("compute-1")
    assert [record.dest for record in opened] == ["compute-2"]
    site.region.apply(Return(host="compute-1"))

    switched = site.operator().enable("compute-1")

    assert switched.already is None
    assert site.region.cloud.tables.open_evacuations_from("compute-1") == ()
    (homes,) = site.running(server).values()
    assert len(homes) == 1


def test_records_that_nova_compute_left_need_one_restart_of_it(site: Site) -> None:
    """A ``done`` written after its start is ended only by the next one, through Pacemaker."""
    site.seed("compute-1", 1)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    tables = site.region.cloud.tables
    site.region.apply(PowerOn(host="compute-1"))
    operator = site.operator()
    site.when(
        lambda: tables.migrations[0].status is MigrationStatus.COMPLETED,
        lambda: tables.set_status(tables.migrations[0], MigrationStatus.DONE),
    )

    operator.enable("compute-1")

    assert _state(site) == (False, False)
    restarts = [call.what for call in site.log.writes() if call.what.startswith("restart_service")]
    assert restarts == ["restart_service nova-compute"]
    assert any(isinstance(e, Warned) and e.code == "NOVA_CLEANUP" for e in operator.events)


def _foreign(site: Site, *, disabled: bool, forced_down: bool) -> None:
    service = _service(site)
    service.disabled, service.forced_down = disabled, forced_down
    service.disabled_reason = "memory replaced by J." if disabled else None


def test_a_foreign_disable_stays(site: Site) -> None:
    """Somebody else's reason is somebody else's decision: reported, kept."""
    _foreign(site, disabled=True, forced_down=False)

    switched = site.operator().enable("compute-1")

    assert _state(site) == (True, False)
    assert "memory replaced by J." in switched.kept[0]


def test_a_foreign_force_down_stays(site: Site) -> None:
    """Not ours by attribute nor by marker."""
    _foreign(site, disabled=False, forced_down=True)

    switched = site.operator().enable("compute-1")

    assert _state(site) == (False, True)
    assert "force-down is not hacli's" in switched.kept[0]


@pytest.mark.parametrize(("disabled", "forced_down"), [(True, False), (False, True), (True, True)])
def test_adopt_takes_over_what_is_not_ours(site: Site, disabled: bool, forced_down: bool) -> None:
    """``--adopt``: the operator takes the responsibility."""
    _foreign(site, disabled=disabled, forced_down=forced_down)

    switched = site.operator().enable("compute-1", adopt=True)

    assert _state(site) == (False, False)
    assert switched.kept == ()


def test_a_foreign_disable_before_the_outage_survives_recovery_and_enable(site: Site) -> None:
    """hacli turned nothing from enabled to disabled, so it enables nothing."""
    site.seed("compute-1", 2)
    _foreign(site, disabled=True, forced_down=False)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))

    switched = site.operator().enable("compute-1")

    assert _service(site).disabled_reason == "memory replaced by J."
    assert _state(site) == (True, False)
    assert "memory replaced by J." in switched.kept[0]


def test_an_enabled_host_is_left_alone(site: Site) -> None:
    """Nothing to do is said, not done."""
    switched = site.operator().enable("compute-1")

    assert switched.already == "compute-1 is already enabled"
    assert site.log.writes() == ()


def test_the_heartbeat_must_advance_before_the_force_down_is_taken_away(site: Site) -> None:
    """The chain runs, and nova-compute writes nothing: enable waits, and says so."""
    _recovered_and_back(site)
    operator = site.operator()
    site.region.cloud.set_conductor(alive=False)

    with pytest.raises(DeadlinePassed) as passed:
        operator.enable("compute-1", timeout_s=120.0)

    assert "not reported" in passed.value.why
    assert _state(site) == (True, True)


def test_nova_may_be_away_for_a_while(site: Site) -> None:
    """A source that is silent for a moment is asked again."""
    _recovered_and_back(site)
    operator = site.operator()

    def break_nova() -> None:
        operator.nova.line.roles = ()

    def mend_nova() -> None:
        operator.nova.line.roles = ("admin",)

    site.after(12.0, break_nova)
    site.after(40.0, mend_nova)
    operator.enable("compute-1")

    assert _state(site) == (False, False)


def _disabled(operator: Operator, message: str | None) -> str | None:
    operator.disable("compute-1", message=message)
    return _service(operator.site).disabled_reason


def test_disable_writes_the_run_and_the_operators_words(site: Site) -> None:
    """Who finds it later knows which run, and why."""
    reason = _disabled(site.operator(), "new memory")

    assert reason == "hacli:r-000001 disable: new memory"
    assert _state(site) == (True, False)


def test_disable_of_a_disabled_host_overwrites_no_reason(site: Site) -> None:
    """A foreign reason is never overwritten."""
    _foreign(site, disabled=True, forced_down=False)

    switched = site.operator().disable("compute-1", message="mine")

    assert switched.already is not None
    assert _service(site).disabled_reason == "memory replaced by J."


def test_a_host_that_was_disabled_by_hand_is_enabled_by_hand(site: Site) -> None:
    """``hacli disable`` is undone by ``hacli enable``."""
    site.operator().disable("compute-1", message="new memory")

    site.operator().enable("compute-1")

    assert _state(site) == (False, False)
