"""A Nova that sends no Date, as behind a bare uwsgi: records tell the time, or watching does."""

import pytest

from hacli.errors import NotFenced
from hacli.lab.bmcs import BmcFault
from hacli.lab.commands import BreakBmc, Cut
from hacli.service.recovery import Verb
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

STILL_S = 15.0
ONLY_HOST = frozenset({"--allow-storm", "--allow-no-room"})


def _operator(site: Site) -> Operator:
    operator = site.operator()
    operator.nova.line.sends_date = False
    return operator


def test_what_others_report_shows_how_long_a_heartbeat_has_been_still(site: Site) -> None:
    """A host that was lost for longer than 15 s is proven dead without watching for 15 s more."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = _operator(site)
    began = site.now

    fenced = operator.prepare("compute-1")
    result = operator.recover("compute-1")

    assert fenced.host.service is not None
    assert fenced.host.service.up, "Nova itself has not missed it yet"
    assert result.complete
    assert site.now - began < STILL_S


def test_a_record_from_the_future_tells_no_time(build: NewSite) -> None:
    """Left by a host that died when some clock was wrong: beside it every heartbeat looks still."""
    site = build("compute-1", "compute-2")
    site.lose("compute-1")
    operator = _operator(site)
    other = site.region.cloud.tables.compute_service("compute-2")
    assert other is not None
    site.region.apply(Cut(host="compute-2"))
    other.last_seen, other.updated_at = 0.0, site.now + 86_400.0
    began = site.now

    operator.recover("compute-1", Verb.FENCE, allowed=ONLY_HOST)

    assert site.now - began >= STILL_S


def test_where_nobody_else_reports_the_heartbeat_is_watched(build: NewSite) -> None:
    """The only host there is: nothing tells how old its heartbeat is."""
    site = build("compute-1")
    site.lose("compute-1")
    operator = _operator(site)
    began = site.now

    result = operator.recover("compute-1", Verb.FENCE, allowed=ONLY_HOST)

    assert result.evidence is not None
    assert site.now - began >= STILL_S


def test_a_lying_bmc_is_given_away_by_the_heartbeat_all_the_same(site: Site) -> None:
    """The host reports as often as the others, so it never looks still."""
    ids = site.seed("compute-1", 3)
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.LIAR))
    site.region.machines.stop_process(site.region.machines["compute-1"], "pacemaker-remoted")
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    with pytest.raises(NotFenced) as failure:
        _operator(site).recover("compute-1")

    assert failure.value.code == "SIGN_OF_LIFE"
    assert all(homes == ("compute-1",) for homes in site.running(*ids).values())
