"""The gates: which hosts may be switched off at all, and which flag overrides which objection."""

from collections.abc import Callable

import pytest

from hacli.domain.policy import Policy
from hacli.errors import HacliError, NotFenced, Refused
from hacli.lab.commands import Crash, Cut, KillCompute, PowerOff, PowerOn
from hacli.service.recovery import Verb
from tests.fakes.world import Operator, Site, options_of
from tests.service.conftest import NewSite

FLAGS = ("--allow-healthy", "--allow-storm", "--allow-no-room")


def _refusal(operator: Operator, name: str = "compute-1", **choices: object) -> HacliError:
    """Recover, and expect to be refused before anything was changed."""
    with pytest.raises((Refused, NotFenced)) as refusal:
        operator.recover(name, Verb.RECOVER, **choices)
    assert operator.site.log.writes() == ()
    return refusal.value


def _lost(site: Site, host: str = "compute-1") -> None:
    site.seed(host, 2)
    site.lose(host)


def test_a_healthy_host_is_refused(site: Site) -> None:
    """Law L7: exit 3, and the advice is to disable it and migrate its servers."""
    site.seed("compute-1", 2)

    refusal = _refusal(site.operator())

    assert refusal.code == "HOST_HEALTHY"
    assert "hacli disable compute-1" in refusal.next_steps[0]


def test_a_host_whose_nova_compute_died_alone_is_refused(site: Site) -> None:
    """Nova calls it down, Pacemaker does not: its guests run, and nothing is fenced.

    The cluster is told not to restart it, so that it stays down.
    """
    ids = site.seed("compute-1", 2)
    site.region.cluster.cib.set_option("maintenance-mode", "true")
    site.region.cluster.configuration_changed()
    site.region.apply(KillCompute(host="compute-1"))
    site.pass_time(90)
    site.region.cluster.cib.set_option("maintenance-mode", "false")

    refusal = _refusal(site.operator())

    assert refusal.code == "HOST_HEALTHY"
    assert all(homes == ("compute-1",) for homes in site.running(*ids).values())


def test_a_repaired_and_enabled_host_is_not_fenced_by_a_re_run(site: Site) -> None:
    """Law L7, by the same command that recovered it."""
    _lost(site)
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    site.operator().enable("compute-1")
    written = site.log.writes()

    again = site.operator().recover("compute-1")

    assert again.already == "compute-1 is back, and none of its VMs waits to be started"
    assert site.log.writes() == written


def test_a_host_that_is_back_and_not_enabled_yet_is_to_be_enabled(site: Site) -> None:
    """It answers, it is forced down by us: the advice is ``enable``, not another fence."""
    _lost(site)
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].connected)
    site.pass_time(5)

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1")

    assert refusal.value.code == "HOST_RETURNED"
    assert "hacli enable compute-1" in refusal.value.next_steps[0]


def test_maintenance_mode_makes_pacemakers_opinion_void(site: Site) -> None:
    """Law L1: what an unmanaged cluster says of a node is unknown, not lost."""
    _lost(site)
    site.region.cluster.cib.set_option("maintenance-mode", "true")
    site.region.cluster.configuration_changed()

    assert _refusal(site.operator()).code == "MAINTENANCE_MODE"


def test_a_node_in_maintenance_is_refused(site: Site) -> None:
    """The same for the one node."""
    _lost(site)
    site.region.cluster.cib.set_attribute("compute-1", "maintenance", "true")
    site.region.cluster.configuration_changed()

    assert _refusal(site.operator()).code == "MAINTENANCE_MODE"


def test_a_connection_that_was_stopped_on_purpose_is_no_lost_host(site: Site) -> None:
    """Pacemaker was told to let go: its node looks like a fenced one, and the guests run."""
    ids = site.seed("compute-1", 2)
    site.region.cluster.cib.set_target_role("compute-1", "Stopped")
    site.region.cluster.configuration_changed()
    site.pass_time(60)

    refusal = _refusal(site.operator())

    assert refusal.code == "HOST_HEALTHY"
    assert all(homes == ("compute-1",) for homes in site.running(*ids).values())


def test_without_quorum_nothing_is_begun(site: Site) -> None:
    """Law L9."""
    _lost(site)
    site.region.cluster.set_quorum(quorum=False)

    refusal = _refusal(site.operator(), allowed=frozenset(FLAGS))

    assert refusal.code == "NO_QUORUM"


def test_quorum_lost_in_the_middle_stops_new_requests(site: Site) -> None:
    """Law L9: no new request from then on, and the same command goes on when it is back."""
    ids = site.seed("compute-1", 30)
    site.lose("compute-1")
    gone: list[float] = []

    def lose_quorum() -> None:
        site.region.cluster.set_quorum(quorum=False)
        gone.append(site.now)

    site.after(12.0, lose_quorum)

    with pytest.raises(HacliError) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code == "EVIDENCE_LOST"
    assert site.log.evacuations()[-1].at <= gone[0] + 6
    site.region.cluster.set_quorum(quorum=True)
    assert site.operator().recover("compute-1").complete
    assert [len(site.log.evacuations(server)) for server in ids] == [1] * 30


def test_a_host_without_any_way_to_fence_is_refused(build: NewSite) -> None:
    """No BMC, no device: exit 5."""
    site = build("compute-1", "compute-2")
    _lost(site)
    operator = site.operator(clustered=False)

    refusal = _refusal(operator, allowed=frozenset({"--allow-healthy"}))

    assert isinstance(refusal, NotFenced)
    assert refusal.code == "FENCE_MISSING"


def _storm(site: Site) -> None:
    """Three of four hosts are lost within a minute."""
    for host in ("compute-1", "compute-2", "compute-3"):
        site.region.apply(Cut(host=host))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)
    site.pass_time(30)


def test_many_lost_hosts_suspect_the_observer(site: Site) -> None:
    """Law L10: it looks like a network problem of this machine."""
    site.seed("compute-1", 2)
    _storm(site)

    assert _refusal(site.operator()).code == "TOO_MANY_DOWN"


def test_hosts_that_nova_was_told_of_are_no_storm(site: Site) -> None:
    """Two hosts were recovered yesterday and are still off; the third one to die is one host."""
    site.seed("compute-1", 2)
    for host in ("compute-2", "compute-3"):
        site.lose(host)
        site.operator().recover(host)
    site.lose("compute-1")

    assert site.operator().recover("compute-1").complete


def _no_room(site: Site) -> None:
    """One host is lost, and no other one may receive servers."""
    site.lose("compute-1")
    for host in ("compute-2", "compute-3", "compute-4"):
        service = site.region.cloud.tables.compute_service(host)
        assert service is not None
        service.disabled = True


def test_no_other_host_to_go_to_is_known_before_anything_is_done(site: Site) -> None:
    """Nova would put every server into ERROR."""
    site.seed("compute-1", 2)
    _no_room(site)

    assert _refusal(site.operator()).code == "NO_ROOM"


def _healthy(site: Site) -> None:
    """Nothing is wrong."""


@pytest.mark.parametrize(
    ("make", "flag"),
    [(_healthy, "--allow-healthy"), (_storm, "--allow-storm"), (_no_room, "--allow-no-room")],
)
def test_each_flag_overrides_its_own_gate_and_no_other(
    site: Site, make: Callable[[Site], None], flag: str
) -> None:
    """There is no general --force."""
    site.seed("compute-1", 2)
    make(site)
    others = frozenset(FLAGS) - {flag}

    _refusal(site.operator(), allowed=others)
    site.operator().refuse("compute-1", options_of(Verb.RECOVER, {"allowed": frozenset({flag})}))


def test_a_person_may_switch_off_a_healthy_host(site: Site) -> None:
    """``--allow-healthy``: it is fenced first, and its servers come back elsewhere, once."""
    ids = site.seed("compute-1", 4)

    result = site.operator().recover("compute-1", allowed=frozenset({"--allow-healthy"}))

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_evacuate_alone_cuts_no_power(site: Site) -> None:
    """``hacli evacuate`` of a host that is on is refused; nothing is ordered."""
    site.seed("compute-1", 2)
    site.region.cluster.cib.set_option("stonith-enabled", "false")
    site.region.cluster.configuration_changed()
    site.region.apply(Crash(host="compute-1"))
    site.pass_time(60)

    with pytest.raises(NotFenced):
        site.operator().recover("compute-1", Verb.EVACUATE)

    assert site.log.writes() == ()


def test_evacuate_alone_works_on_a_host_that_is_off(site: Site) -> None:
    """Its servers come back on the evidence of OFF."""
    ids = site.seed("compute-1", 3)
    site.region.apply(PowerOff(host="compute-1"))
    site.until(lambda: bool(site.region.cluster.nodes["compute-1"].node_fenced))

    result = site.operator().recover("compute-1", Verb.EVACUATE)

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_a_second_run_on_this_machine_is_busy(site: Site) -> None:
    """Law L9: one at a time per host."""
    _lost(site)
    site.locks.holders["compute-1"] = "r-other"

    with pytest.raises(HacliError) as refusal:
        site.operator(policy=Policy()).recover("compute-1")

    assert refusal.value.code == "LOCKED"
    assert site.log.writes() == ()


def test_a_host_that_returns_while_its_name_is_typed_is_left_alone(site: Site) -> None:
    """The gates are asked once more, of the world as it is then."""
    _lost(site)
    site.after(60.0, lambda: site.region.apply(PowerOn(host="compute-1")))

    with pytest.raises(Refused) as refusal:
        site.operator(typing_s=300.0).recover("compute-1")

    assert refusal.value.code == "HOST_HEALTHY"
    assert site.log.writes() == ()
