"""A host without a BMC that hacli can read: Pacemaker's records are the only witness."""

from collections.abc import Callable

import pytest

from hacli.domain.events import EvidenceTaken
from hacli.domain.evidence import Witness
from hacli.errors import Failed, NotFenced
from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import RebootAction
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.commands import Crash, Cut, PowerOn
from hacli.lab.computes import NOVA_COMPUTE
from hacli.lab.region import RegionSettings
from tests.fakes.world import Site
from tests.service.conftest import NewSite

LATE_S = 75.0
"""After the first minute the cluster is read in full only when its cheap re-read shows news."""


def _switched_by_a_pdu(build: NewSite, *, reboot: RebootAction = RebootAction.OFF) -> Site:
    """The fence device of each host is one that hacli cannot talk to."""
    settings = RegionSettings(
        cloud=CloudSettings(spawn_seconds=8.0), cluster=ClusterSettings(reboot_action=reboot)
    )
    site = build(settings=settings)
    site.switch_by_pdu(*site.region.names)
    return site


def _while_evacuating(site: Site, deed: Callable[[], object]) -> None:
    site.when(lambda: len(site.log.evacuations()) > 0, lambda: site.after(LATE_S, deed))


def test_pacemakers_completed_off_is_evidence(build: NewSite) -> None:
    """An OFF ordered by this run, executed by a device, and named alike by history and CIB."""
    site = _switched_by_a_pdu(build)
    ids = site.seed("compute-1", 4)
    site.lose("compute-1")
    operator = site.operator()

    result = operator.recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())
    (evidence,) = [event for event in operator.events if isinstance(event, EvidenceTaken)]
    assert evidence.witness == Witness.PACEMAKER.value


def test_a_host_that_is_cut_off_is_fenced_by_it_first(build: NewSite) -> None:
    """Its guests run until Pacemaker's device has cut the power."""
    site = _switched_by_a_pdu(build)
    ids = site.seed("compute-1", 4)
    site.region.apply(Cut(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    assert site.operator().recover("compute-1").complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_a_persons_confirmation_in_the_middle_is_no_witness(build: NewSite) -> None:
    """``stonith_admin --confirm`` makes the newest event a human's: no further request."""
    site = _switched_by_a_pdu(build)
    site.seed("compute-1", 60)
    site.lose("compute-1")
    _while_evacuating(site, lambda: site.region.cluster.confirm_off("compute-1"))
    at = site.now

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code == "EVIDENCE_LOST"
    assert site.log.evacuations()[-1].at <= at + LATE_S + 30


def test_another_off_in_the_middle_is_a_new_witness(build: NewSite) -> None:
    """Somebody fences the host off once more: history and CIB agree again, and the run goes on."""
    site = _switched_by_a_pdu(build)
    site.seed("compute-1", 60)
    site.lose("compute-1")
    _while_evacuating(site, lambda: site.region.cluster.fence("compute-1", "off", timeout_s=60.0))

    assert site.operator().recover("compute-1").complete


def test_a_reboot_in_the_middle_stops_the_run(build: NewSite) -> None:
    """Somebody fences it by reboot: it has power again, before anything is heard of it."""
    site = _switched_by_a_pdu(build, reboot=RebootAction.REBOOT)
    site.seed("compute-1", 60)
    site.lose("compute-1")
    rebooted: list[float] = []

    def reboot() -> None:
        site.region.cluster.fence("compute-1", "reboot", timeout_s=60.0)
        rebooted.append(site.now)

    _while_evacuating(site, reboot)

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code in ("SIGN_OF_LIFE", "EVIDENCE_LOST")
    assert site.log.evacuations()[-1].at <= rebooted[0] + 10


def test_a_fencing_that_somebody_orders_in_the_middle_is_seen_within_ten_seconds(
    build: NewSite,
) -> None:
    """Law L3, where Pacemaker alone can tell: a pending reboot may end in ON."""
    site = _switched_by_a_pdu(build, reboot=RebootAction.REBOOT)
    site.seed("compute-1", 60)
    site.lose("compute-1")
    site.pass_time(5)
    at: list[float] = []

    def reboot() -> None:
        at.append(site.now)
        site.region.bmcs["compute-1"].set_fault(BmcFault.SLOW)
        site.region.cluster.fence("compute-1", "reboot", timeout_s=120)

    _while_evacuating(site, reboot)
    with pytest.raises(Failed):
        site.operator().recover("compute-1")

    assert max(call.at for call in site.log.evacuations()) - at[0] <= 10.1


def test_a_reboot_that_succeeds_after_all_outvotes_who_has_cut_the_power(build: NewSite) -> None:
    """Nobody can switch on what has no power: the person has cut another machine's."""
    site = _switched_by_a_pdu(build, reboot=RebootAction.REBOOT)
    site.seed("compute-1", 3)
    site.region.bmcs["compute-1"].set_fault(BmcFault.SLOW)
    site.region.apply(Crash(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    with pytest.raises(NotFenced):
        site.operator().recover("compute-1", attested="I pulled both cables")

    assert site.log.evacuations() == ()
    assert not any((call.body or {}).get("forced_down") for call in site.log.writes())


def test_a_host_switched_on_in_the_middle_is_seen_when_it_joins(build: NewSite) -> None:
    """No BMC tells of its power: its guests stay dead while it boots, and the gate stands after.

    Pacemaker sees it as soon as its system is up, and nothing is asked for any more.
    """
    site = _switched_by_a_pdu(build)
    ids = site.seed("compute-1", 60)
    site.lose("compute-1")
    _while_evacuating(site, lambda: site.region.apply(PowerOn(host="compute-1")))

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    booted = [e.at for e in site.region.machines.ledger if e.what == "booted"]
    assert failure.value.code == "SIGN_OF_LIFE"
    assert site.log.evacuations()[-1].at <= booted[0] + 10
    site.pass_time(120)
    assert all(len(homes) <= 1 for homes in site.running(*ids).values())
    assert NOVA_COMPUTE not in site.region.machines["compute-1"].processes
