"""Law L9: one run per host on all controllers, by the claim in the CIB."""

import pytest

from hacli.domain.claim import parse_claim
from hacli.domain.evacuation import End
from hacli.domain.events import TookOver, Warned
from hacli.domain.hosts import HostNames
from hacli.domain.power import Bmc
from hacli.errors import Busy, HacliError, Interrupted, Refused
from hacli.lab.cluster_facts import ClusterSettings, Departure
from hacli.lab.commands import PowerOn
from hacli.lab.region import RegionSettings
from hacli.service.recovery import Verb
from tests.fakes.clock import Killed
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

SETTLED_S = 600.0
SERVERS = 6
THREE_CONTROLLERS = RegionSettings(cluster=ClusterSettings(controllers=3))


def _claims(site: Site) -> dict[str, str]:
    """Who has which host, by run."""
    view = site.operator().world.cluster
    assert view is not None
    return {host: parse_claim(text).run for host, text in view.read_view().claims.items()}


def _lost(site: Site, servers: int = SERVERS) -> tuple[str, ...]:
    ids = site.seed("compute-1", servers)
    site.lose("compute-1")
    return ids


def _other(site: Site, at: str = "controller-2") -> Operator:
    """hacli on another machine, where it has never run."""
    return site.operator(store=site.other_controller(), at=at)


def _tried(operator: Operator, **choices: object) -> HacliError | None:
    try:
        operator.recover("compute-1", **choices)  # type: ignore[arg-type]
    except HacliError as error:
        return error
    return None


def test_a_run_claims_its_host_and_gives_it_back(site: Site) -> None:
    """One create, one delete, nothing else: no renewals."""
    _lost(site)
    seen: list[dict[str, str]] = []
    site.when(lambda: bool(site.log.evacuations()), lambda: seen.append(_claims(site)))

    operator = site.operator()
    operator.recover("compute-1")

    assert [list(claims) for claims in seen] == [["compute-1"]]
    assert _claims(site) == {}
    assert site.log.claims() == ("hacli-1 create_claim", "hacli-1 delete_claim")


def test_a_run_costs_four_cluster_commands_more(site: Site) -> None:
    """The node's own name, the create, the delete and its read-back; nothing for each server."""
    _lost(site, 24)

    site.operator().recover("compute-1")

    calls = [call.what for call in site.log.calls if call.port == "pacemaker"]
    assert [what for what in calls if "claim" in what or what == "read_own_node"] == [
        "read_own_node",
        "create_claim",
        "delete_claim",
    ]


@pytest.mark.parametrize("verb", [Verb.RECOVER, Verb.EVACUATE, Verb.FENCE])
def test_another_controller_is_told_who_has_the_host(site: Site, verb: Verb) -> None:
    """Exit 9 with run, user, machine, pid and since when, before anything is asked or ordered."""
    _lost(site)
    told: list[HacliError] = []

    def second() -> None:
        before = len(site.log.writes())
        with pytest.raises(Busy) as error:
            _other(site).recover("compute-1", verb)
        told.append(error.value)
        assert len(site.log.writes()) == before

    site.when(lambda: bool(site.log.evacuations()), second)

    assert site.operator().recover("compute-1").complete
    (error,) = told
    assert error.code == "LOCKED"
    assert error.why.startswith("run r-000001 of op on controller-1, pid 1, since 2026-11-22 05:")
    assert "--take-over" in error.next_steps[-1]


def test_nobody_may_say_that_a_run_on_the_same_machine_is_gone(site: Site) -> None:
    """Its process is seen: ``--take-over`` is refused, and not offered."""
    _lost(site)
    told: list[HacliError] = []

    def second() -> None:
        with pytest.raises(Busy) as error:
            site.operator(store=site.other_controller()).recover("compute-1", take_over=True)
        told.append(error.value)

    site.when(lambda: bool(site.log.evacuations()), second)
    site.operator().recover("compute-1")

    (error,) = told
    assert error.why.endswith("its process runs on this machine")
    assert "--take-over" not in " ".join(error.next_steps)


@pytest.mark.parametrize("late_s", [number * 0.08 for number in range(13)])
def test_of_two_controllers_at_once_exactly_one_works(site: Site, late_s: float) -> None:
    """Whatever the one does meanwhile, the other ends with 9, and every VM is asked for once."""
    ids = _lost(site)
    ends: list[HacliError | None] = []
    operators = [site.operator(), _other(site)]
    for wait_s, operator in zip((0.0, late_s), operators, strict=True):
        site.beside(wait_s, operator, lambda one: ends.append(_tried(one)))

    site.until(lambda: len(ends) == 2)

    busy = [end for end in ends if end is not None]
    assert [end.code for end in busy] == ["LOCKED"]
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * SERVERS
    orders = {call.who for call in site.log.writes() if call.what == "fence_off"}
    assert len(orders) == 1
    assert _claims(site) == {}


@pytest.mark.parametrize("late_s", [number * 0.08 for number in range(13)])
def test_an_enable_and_a_recovery_at_once_never_mix(site: Site, late_s: float) -> None:
    """The host is back; one controller takes it back, another one says that it must be fenced."""
    _lost(site)
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].connected)
    ends: list[str] = []

    def enable(operator: Operator) -> None:
        try:
            operator.enable("compute-1")
        except HacliError as error:
            ends.append(error.code)
        else:
            ends.append("enabled")

    def fence(operator: Operator) -> None:
        chosen = frozenset({"--allow-healthy"})
        error = _tried(operator, verb=Verb.FENCE, allowed=chosen)
        ends.append(error.code if error else "fenced")

    site.beside(late_s, site.operator(), enable)
    site.beside(0.5, _other(site), fence)
    site.until(lambda: len(ends) == 2, within=1200)

    assert sorted(ends) in (["LOCKED", "enabled"], ["LOCKED", "fenced"])


def test_a_killed_run_is_taken_over_on_its_machine_and_nothing_is_in_doubt(site: Site) -> None:
    """Its process is dead, and its intents are in our journal: no server waits."""
    ids = _lost(site, 12)
    first = site.operator()
    site.when(lambda: len(site.log.evacuations()) >= 4, first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    left = _claims(site)

    again = site.operator()
    result = again.recover("compute-1")

    assert left == {"compute-1": "r-000001"}
    assert result.complete
    assert [e.uncertain for e in again.events if isinstance(e, TookOver)] == [False]
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * 12
    assert _claims(site) == {}


def test_a_number_that_is_used_again_is_another_process(site: Site) -> None:
    """After a reboot the machine has the pid again; the boot id tells."""
    _lost(site)
    first = site.operator()
    site.when(lambda: bool(site.log.evacuations()), first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    site.workplace("controller-1").reboot(site.now)

    again = site.operator()
    site.pass_time(120)
    result = again.recover("compute-1")

    assert result.complete
    assert [e.why for e in again.events if isinstance(e, TookOver)] == [
        "this machine has been booted since"
    ]


def test_a_dead_run_of_another_controller_is_not_taken_over_unasked(site: Site) -> None:
    """Nothing here proves it dead: exit 9, and nothing is done."""
    _lost(site)
    first = site.operator()
    site.when(lambda: bool(site.log.evacuations()), first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    asked = len(site.log.writes())

    with pytest.raises(Busy) as error:
        _other(site).recover("compute-1")

    assert "controller-1 is not known to be out of the cluster" in error.value.why
    assert len(site.log.writes()) == asked


def _killed_on(site: Site, at: str) -> None:
    first = _other(site, at)
    site.when(lambda: len(site.log.evacuations()) >= 4, first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")


@pytest.mark.parametrize("how", [Departure.FENCED, Departure.LEFT])
def test_a_run_is_taken_over_when_the_cluster_proves_its_controller_gone(
    build: NewSite, how: Departure
) -> None:
    """Fenced by a device, or stopped in order: no flag is needed, and what it asked is in doubt."""
    site = build(settings=THREE_CONTROLLERS)
    ids = _lost(site, 12)
    _killed_on(site, "controller-2")
    site.region.cluster.depart("controller-2", how)
    site.pass_time(60)

    again = site.operator()
    early = again.recover("compute-1")
    site.pass_time(SETTLED_S)
    late = site.operator().recover("compute-1")

    assert End.UNKNOWN in {end.end for end in early.evacuated.ends}
    assert [e.uncertain for e in again.events if isinstance(e, TookOver)] == [True, False]
    assert late.complete
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * 12


@pytest.mark.parametrize("how", [Departure.LOST, Departure.CONFIRMED, None])
def test_in_doubt_the_holders_controller_is_alive(build: NewSite, how: Departure | None) -> None:
    """Lost, only said to be down by a person, or there: exit 9."""
    site = build(settings=THREE_CONTROLLERS)
    _lost(site, 12)
    _killed_on(site, "controller-2")
    if how is not None:
        site.region.cluster.depart("controller-2", how)
    asked = len(site.log.writes())

    with pytest.raises(Busy) as error:
        site.operator().recover("compute-1")

    assert "controller-2" in error.value.why
    assert len(site.log.writes()) == asked


def test_a_fenced_controller_proves_nothing_of_a_workstation(build: NewSite) -> None:
    """The run was started there and reached the cluster by ssh: it may go on by another way."""
    site = build(settings=THREE_CONTROLLERS)
    _lost(site, 12)
    _killed_on(site, "workstation")
    for name in ("controller-2", "controller-3"):
        site.region.cluster.depart(name, Departure.FENCED)

    with pytest.raises(Busy) as error:
        site.operator().recover("compute-1")

    assert "whether its process still runs on workstation cannot be seen" in error.value.why


def test_after_a_take_over_every_server_without_a_record_is_in_doubt(site: Site) -> None:
    """The other run may have asked a moment before: looked for, not asked until 10 min old."""
    ids = _lost(site, 12)
    first = site.operator()
    site.when(lambda: len(site.log.evacuations()) >= 4, first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    store = site.other_controller()
    site.pass_time(60)

    early = site.operator(store=store, at="controller-2").recover("compute-1", take_over=True)
    after_early = len(site.log.evacuations())
    site.pass_time(SETTLED_S)
    late = site.operator(store=store, at="controller-2").recover("compute-1")

    ends = sorted(end.end.name for end in early.evacuated.ends)
    assert ends == ["UNKNOWN"] * 8 + ["VERIFIED"] * 4
    assert after_early == 4
    assert late.complete
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * 12


def test_a_doubt_outlives_the_run_that_took_over(site: Site) -> None:
    """It is killed too; the next one on its machine has its journal, and knows of the doubt."""
    _lost(site)
    first = site.operator()
    site.when(lambda: bool(site.log.evacuations()), first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    store = site.other_controller()
    second = site.operator(store=store, at="controller-2")
    site.when(lambda: "hacli-2 replace_claim" in site.log.claims(), second.process.kill)
    with pytest.raises(Killed):
        second.recover("compute-1", take_over=True)
    asked = len(site.log.evacuations())

    third = site.operator(store=store, at="controller-2").recover("compute-1")

    assert End.UNKNOWN in {end.end for end in third.evacuated.ends}
    assert len(site.log.evacuations()) == asked


def test_a_run_that_died_before_the_force_down_leaves_no_doubt(site: Site) -> None:
    """hacli asks Nova only after that, so a dead one has asked for nothing: no wait."""
    _lost(site)
    site.workplace("controller-1")
    first = site.operator(store=site.other_controller())
    site.when(lambda: "hacli-1 create_claim" in site.log.claims(), first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")

    again = site.operator()
    result = again.recover("compute-1")

    assert result.complete
    assert [e.uncertain for e in again.events if isinstance(e, TookOver)] == [False]


def test_a_stopped_run_that_was_taken_over_wakes_up_and_sends_nothing_more(site: Site) -> None:
    """SIGSTOP in the middle, ``--take-over`` elsewhere, SIGCONT: it reads the CIB, and stops."""
    ids = _lost(site, 12)
    first = site.operator()
    store = site.other_controller()

    def take_over() -> None:  # the first stands still until this returns
        site.operator(store=store, at="controller-2").recover("compute-1", take_over=True)

    site.when(lambda: len(site.log.evacuations()) >= 4, take_over)
    with pytest.raises(Busy) as lost:
        first.recover("compute-1")
    woken = [call for call in site.log.writes() if call.who == "hacli-1"]

    assert lost.value.code == "CLAIM_LOST"
    assert lost.value.why.startswith("its claim was taken over by run")
    taken_at = next(c.at for c in site.log.calls if c.what == "replace_claim")
    assert [call for call in woken if call.at > taken_at + 0.3] == []
    assert all(len(site.log.evacuations(key)) <= 1 for key in ids)


def test_a_run_whose_claim_was_deleted_sends_nothing_more(site: Site) -> None:
    """By hand, or by a run that took it over and has ended: nobody says that we may go on."""
    _lost(site, 12)
    operator = site.operator()

    def delete() -> None:
        cluster = site.operator().world.cluster
        assert cluster is not None
        text = cluster.read_view().claims["compute-1"]
        cluster.delete_claim("compute-1", text, timeout_s=10)

    site.when(lambda: len(site.log.evacuations()) >= 4, delete)
    with pytest.raises(Busy) as lost:
        operator.recover("compute-1")

    assert lost.value.code == "CLAIM_LOST"
    assert lost.value.why.startswith("its claim is gone from the CIB")
    assert len(site.log.evacuations()) < 12


def test_the_end_of_a_lost_run_leaves_the_new_holders_claim(site: Site) -> None:
    """Deleted is only what is ours: the other one still works when the old one ends."""
    _lost(site, 12)
    first, second = site.operator(), _other(site)
    ends: list[HacliError | None] = []
    claims: list[dict[str, str]] = []

    def look(operator: Operator) -> None:
        ends.append(_tried(operator))
        claims.append(_claims(site))

    site.beside(0.0, first, look)
    site.when(
        lambda: len(site.log.evacuations()) >= 4,
        lambda: site.beside(0.0, second, lambda one: ends.append(_tried(one, take_over=True))),
    )
    site.until(lambda: len(ends) == 2, within=2000)

    (lost,) = [end for end in ends if end is not None]
    assert lost.code == "CLAIM_LOST"
    assert "of op on controller-2" in lost.why
    assert [list(found) for found in claims] == [["compute-1"]]
    assert claims[0]["compute-1"] == second.store.events[0].run


@pytest.mark.parametrize("at", ["controller-1", "workstation"])
def test_without_quorum_a_claim_is_worth_nothing(site: Site, at: str) -> None:
    """The partition accepts it; quorum goes in that moment: nothing is ordered, it is deleted."""
    _lost(site)
    operator = site.operator(at=at)
    site.when(
        lambda: "hacli-1 create_claim" in site.log.claims(),
        lambda: site.region.cluster.set_quorum(quorum=False),
    )

    with pytest.raises(Refused) as error:
        operator.recover("compute-1")

    assert error.value.code == "NO_QUORUM"
    assert site.log.writes() == ()
    assert _claims(site) == {}


def test_an_enable_without_quorum_is_refused_at_once(site: Site) -> None:
    """It does not wait for a chain that this part of the cluster cannot start."""
    _lost(site)
    site.operator().recover("compute-1")
    site.region.cluster.set_quorum(quorum=False)
    before = site.log.writes()

    with pytest.raises(Refused) as error:
        site.operator().enable("compute-1")

    assert error.value.code == "NO_QUORUM"
    assert site.log.writes() == before
    assert _claims(site) == {}


def test_a_claim_is_never_older_than_the_run_in_the_journal(site: Site) -> None:
    """Killed right after the create: the same machine knows the run, and nothing is in doubt."""
    _lost(site)
    first = site.operator()
    site.when(lambda: "hacli-1 create_claim" in site.log.claims(), first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")

    assert [event.name for event in first.events][:1] == ["run_started"]
    assert site.operator().recover("compute-1").complete


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.5, 0.7, 0.9, 1.1, 2.0, 5.0, 8.0, 12.0])
def test_ctrl_c_gives_the_claim_back(site: Site, after_s: float) -> None:
    """Within the second that the prompt may take."""
    _lost(site)
    operator = site.operator()
    operator.clock.interrupt_at = operator.clock.monotonic() + after_s
    pressed = site.now + after_s

    with pytest.raises(Interrupted):
        operator.recover("compute-1")

    assert site.now - pressed <= 1.0
    assert _claims(site) == {}


def test_a_cluster_that_falls_silent_while_it_fences_leaves_the_bmc_alone(site: Site) -> None:
    """Whose the host is now cannot be read: no second way is tried, and no proof is possible."""
    _lost(site)
    operator = site.operator()

    def fall_silent() -> None:
        operator.pacemaker.silent = True

    site.after(1.0, fall_silent)
    error = _tried(operator)

    assert error is not None
    assert error.code == "NOT_FENCED"
    assert "whether the host is still this run's could not be read" in error.why
    assert [call for call in site.log.writes() if call.port == "bmc"] == []


def test_a_claim_that_cannot_be_deleted_is_told(site: Site) -> None:
    """The run has done its work; the next one here sees that the process is gone."""
    _lost(site)
    operator = site.operator()

    def fall_silent() -> None:
        operator.pacemaker.silent = True

    site.when(lambda: _verified(site, operator) == SERVERS, fall_silent)
    operator.recover("compute-1")
    left = _claims(site)
    again = site.operator().recover("compute-1")

    assert [e.code for e in operator.events if isinstance(e, Warned)] == ["CLAIM_LEFT"]
    assert left == {"compute-1": "r-000001"}
    assert again.already


def _verified(_site: Site, operator: Operator) -> int:
    return sum(getattr(event, "status", "") == "verified" for event in operator.events)


@pytest.mark.parametrize("text", ["", "v2 run=r-9 something=else", "v1 run=r-9", "locked by bob"])
def test_a_claim_that_cannot_be_read_is_nobodys_to_take(site: Site, text: str) -> None:
    """A newer hacli may be at work: refused, also with ``--take-over``."""
    _lost(site)
    cluster = site.operator().world.cluster
    assert cluster is not None
    assert cluster.create_claim("compute-1", text)

    for take_over in (False, True):
        with pytest.raises(Refused) as error:
            _other(site).recover("compute-1", take_over=take_over)
        assert error.value.code == "CLAIM_UNREADABLE"
    assert site.log.writes() == ()


def test_a_disable_by_hand_stays_out_of_another_runs_work(site: Site) -> None:
    """It takes no claim of its own, and needs no quorum; but it respects one."""
    _lost(site)
    told: list[str] = []

    def disable() -> None:
        with pytest.raises(Busy) as error:
            _other(site).disable("compute-1")
        told.append(error.value.code)

    site.when(lambda: bool(site.log.evacuations()), disable)
    site.operator().recover("compute-1")
    site.region.cluster.set_quorum(quorum=False)
    disabled = site.operator().disable("compute-2")

    assert told == ["LOCKED"]
    assert disabled.already is None
    assert len(site.log.claims()) == 2


def test_without_the_cluster_a_foreign_mark_refuses(build: NewSite) -> None:
    """Nova's record is all that tells: a recovery of another machine has disabled the host."""
    bmc = Bmc(
        driver="ipmi",
        address="192.0.2.1",
        port=623,
        user="admin",
        password="labsecret",
        origin="toml",
    )
    site = build(configured=(HostNames(label="compute-1", bmc=bmc),))
    ids = _lost(site, 12)
    site.pass_time(90)
    first = site.operator(clustered=False)
    site.when(lambda: len(site.log.evacuations()) >= 4, first.process.kill)
    with pytest.raises(Killed):
        first.recover("compute-1")
    asked = len(site.log.evacuations())

    with pytest.raises(Refused) as error:
        site.operator(store=site.other_controller(), at="controller-2", clustered=False).recover(
            "compute-1"
        )
    after = len(site.log.evacuations())
    mine = site.operator(clustered=False).recover("compute-1")

    assert error.value.code == "FOREIGN_RUN"
    assert "run r-000001" in error.value.why
    assert after == asked
    assert mine.complete
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * 12
