"""`fence`, and every way in which a host cannot be proven dead: then no server is touched."""

from collections.abc import Callable

import pytest

from hacli.domain.events import EvidenceTaken
from hacli.domain.evidence import Witness
from hacli.domain.policy import Policy
from hacli.errors import Failed, NotFenced, Refused
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.commands import BreakBmc, Crash, Cut, Hang, PowerOff, Return
from hacli.lab.region import Region, RegionSettings
from hacli.service.recovery import Verb
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite


def _unfenced(operator: Operator, name: str = "compute-1", **choices: object) -> NotFenced:
    """Recover, expect no evidence, and see that no server and no force-down was touched."""
    with pytest.raises(NotFenced) as failure:
        operator.recover(name, Verb.RECOVER, **choices)
    log = operator.site.log
    assert log.evacuations() == ()
    assert not any((call.body or {}).get("forced_down") for call in log.writes())
    return failure.value


def _crashed(site: Site, fault: BmcFault) -> None:
    """The host is lost, and its BMC fails in this way from before the outage."""
    site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=fault))
    site.region.apply(Crash(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)


def test_a_silent_bmc_is_told_within_ten_seconds_and_nothing_is_ordered(site: Site) -> None:
    """No other way is configured: exit 5, and neither a fence nor a write was sent."""
    _crashed(site, BmcFault.SILENT)
    operator = site.operator()
    began = site.now

    failure = _unfenced(operator)

    assert failure.code == "FENCE_UNREACHABLE"
    assert site.now - began <= 10
    assert site.log.writes() == ()


def test_a_bmc_that_refuses_the_password_fences_nothing(site: Site) -> None:
    """A login that fails is no answer: FENCE_LOGIN, nothing ordered."""
    _crashed(site, BmcFault.DENIED)

    failure = _unfenced(site.operator())

    assert failure.code == "FENCE_LOGIN"
    assert site.log.writes() == ()


def test_a_bmc_that_needs_ten_seconds_counts_as_silent(site: Site) -> None:
    """Its answer comes after every limit."""
    _crashed(site, BmcFault.SLOW)

    failure = _unfenced(site.operator())

    assert failure.code == "FENCE_UNREACHABLE"
    assert site.log.writes() == ()


def test_a_power_off_that_takes_ten_seconds_is_waited_for(site: Site) -> None:
    """The chassis goes off late; evidence begins when it reads OFF."""
    ids = site.seed("compute-1", 3)
    site.region.bmcs["compute-1"].off_seconds = 10.0
    site.region.apply(Crash(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_a_bmc_that_acknowledges_and_does_nothing_is_not_believed(site: Site) -> None:
    """Ordered off, it goes on reading ON: FENCE_FAILED, whatever it acknowledged."""
    _crashed(site, BmcFault.STUCK)

    failure = _unfenced(site.operator())

    assert failure.code == "FENCE_FAILED"
    assert "the BMC reads ON" in failure.why


def test_a_lying_bmc_is_given_away_by_the_heartbeat(site: Site) -> None:
    """It reads OFF while the machine lives: nova-compute's heartbeat goes on, so nothing happens.

    Only Pacemaker's own way to the host is lost here.
    """
    ids = site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.LIAR))
    site.region.machines.stop_process(site.region.machines["compute-1"], "pacemaker-remoted")
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    failure = _unfenced(site.operator())

    assert failure.code == "SIGN_OF_LIFE"
    assert "heartbeat advances" in failure.why
    assert all(homes == ("compute-1",) for homes in site.running(*ids).values())


def test_a_lying_bmc_is_given_away_by_the_connection(site: Site) -> None:
    """A person overrides the first gate; the remote connection stays Started: nothing happens."""
    ids = site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.LIAR))
    operator = site.operator(policy=Policy(fence_order=("ipmi",)))

    failure = _unfenced(operator, allowed=frozenset({"--allow-healthy"}))

    assert failure.code == "SIGN_OF_LIFE"
    assert "connection to it is Started" in failure.why
    assert all(homes == ("compute-1",) for homes in site.running(*ids).values())


@pytest.mark.parametrize("break_host", [Cut, Hang])
def test_a_host_that_cannot_be_heard_is_fenced_before_anything_else(
    site: Site, break_host: type[Cut] | type[Hang]
) -> None:
    """Cut off or hung, its guests still exist: they end by the power-off, then come back."""
    ids = site.seed("compute-1", 3)
    site.region.apply(break_host(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_off_is_ordered_also_when_it_already_reads_off(site: Site) -> None:
    """An OFF reading proves nothing without an order of ours before it."""
    site.seed("compute-1", 1)
    site.lose("compute-1")
    assert not site.region.machines["compute-1"].powered

    site.operator().recover("compute-1")

    orders = [call.what for call in site.log.writes() if call.port == "pacemaker"]
    assert orders[0] == "fence_off"


def test_a_host_that_pacemaker_does_not_fence_is_fenced_by_its_bmc(site: Site) -> None:
    """Fencing is switched off in the cluster: the BMC is ordered directly, and proves it."""
    site.seed("compute-1", 2)
    site.region.cluster.cib.set_option("stonith-enabled", "false")
    site.region.cluster.configuration_changed()
    site.region.apply(Crash(host="compute-1"))
    site.pass_time(45)
    operator = site.operator()

    result = operator.recover("compute-1")

    assert result.complete
    orders = [call.what for call in site.log.writes() if call.host and call.body is None]
    assert orders[:2] == ["power_off", "confirm_off"]
    (evidence,) = [event for event in operator.events if isinstance(event, EvidenceTaken)]
    assert evidence.witness == Witness.BMC.value


def _put_into_maintenance(region: Region) -> None:
    region.cluster.cib.set_attribute("compute-1", "maintenance", "true")
    region.cluster.configuration_changed()


def _mend_by_hand(region: Region) -> None:
    region.cluster.confirm_off("compute-1")
    region.apply(Return(host="compute-1"))


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (_put_into_maintenance, "Pacemaker's opinion does not count any more"),
        (_mend_by_hand, "Pacemaker is connected to it again"),
    ],
)
def test_a_second_order_is_given_only_while_the_host_may_still_be_switched_off(
    site: Site, meanwhile: Callable[[Region], None], why: str
) -> None:
    """Law L7: Pacemaker tries for a minute in vain, and in that minute things have changed."""
    _crashed(site, BmcFault.STUCK)
    site.after(20.0, lambda: meanwhile(site.region))

    failure = _unfenced(site.operator())

    orders = [call.what for call in site.log.writes() if call.host and call.body is None]
    assert f"not ordered by ipmi: {why}" in failure.why
    assert orders == ["fence_off"]


def test_fence_alone_writes_nothing_to_nova(site: Site) -> None:
    """``hacli fence`` proves the host off; its servers and its service are left as they are."""
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")

    result = site.operator().recover("compute-1", Verb.FENCE)

    assert result.evidence is not None
    assert all(call.port != "nova" for call in site.log.writes())
    assert site.running(*ids) == dict.fromkeys(ids, ())


def test_a_healthy_host_is_not_fenced(site: Site) -> None:
    """Law L7."""
    site.seed("compute-1", 2)

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1", Verb.FENCE)

    assert refusal.value.code == "HOST_HEALTHY"
    assert site.log.writes() == ()


def test_an_attested_host_is_recovered_without_its_bmc(site: Site) -> None:
    """A person says that it has no power; the BMC is silent and Pacemaker lost it."""
    ids = site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))
    site.region.apply(PowerOff(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)
    site.pass_time(700)  # Pacemaker has given up for now

    operator = site.operator()
    result = operator.recover("compute-1", attested="I pulled both cables")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())
    (evidence,) = [event for event in operator.events if isinstance(event, EvidenceTaken)]
    assert evidence.witness == Witness.ATTESTATION.value


def test_pacemaker_hears_of_an_attestation_before_its_end_is_waited_for(site: Site) -> None:
    """Its own attempts at the silent BMC begin anew for ever, and none may be pending."""
    ids = site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))
    site.region.apply(PowerOff(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)
    site.pass_time(20)

    result = site.operator().recover("compute-1", attested="I pulled both cables")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_an_attestation_does_not_outvote_a_heartbeat(site: Site) -> None:
    """The host lives, whatever the person says: no server is touched."""
    site.seed("compute-1", 2)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))
    site.region.machines.stop_process(site.region.machines["compute-1"], "pacemaker-remoted")
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    failure = _unfenced(site.operator(), attested="I pulled both cables")

    assert failure.code in ("SIGN_OF_LIFE", "FENCE_UNREACHABLE", "NOT_FENCED")


def test_a_neighbour_that_vanishes_with_the_power_off_stops_the_run(site: Site) -> None:
    """The BMC belongs to another machine. It cannot be seen until that one is missed; from then on
    no request is sent. (What was asked for by then is the documented rest of the risk.)
    """
    site.seed("compute-1", 60)
    site.region.apply(Cut(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)
    bmcs = site.region.bmcs
    bmcs["compute-1"], bmcs["compute-2"] = bmcs["compute-2"], bmcs["compute-1"]
    site.planted = (
        "ran on compute-1 and",
        "while compute-1 had power",
        "while it ran on compute-1",
        "from a time while compute-1 had power",
        "and runs on compute-1 and",
    )

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code == "SIGN_OF_LIFE"
    assert "compute-2 vanished" in failure.value.why
    missed = site.region.cluster.nodes["compute-2"].lost_at
    assert site.log.evacuations()[-1].at <= missed + 6


def test_another_host_that_dies_minutes_later_has_nothing_to_do_with_the_power_off(
    build: NewSite,
) -> None:
    """The wrong-box check looks at the minute after the power-off, not at a whole recovery."""
    slow = RegionSettings(cloud=CloudSettings(spawn_seconds=30.0))
    site = build("compute-1", "compute-2", "compute-3", settings=slow)
    ids = site.seed("compute-1", 20)
    service = site.region.cloud.tables.compute_service("compute-3")
    assert service is not None
    service.disabled = True  # so that no server is on its way there
    site.lose("compute-1")
    site.after(90.0, lambda: site.region.apply(Crash(host="compute-3")))

    result = site.operator().recover("compute-1")

    assert site.region.cluster.nodes["compute-3"].node_fenced
    assert {end.server.id for end in result.evacuated.verified} == set(ids)
