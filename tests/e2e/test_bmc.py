"""A BMC that cannot be trusted, over real UDP: no server is touched without evidence."""

import pytest

from hacli.lab.bmcs import BmcFault
from hacli.lab.commands import BreakBmc
from hacli.lab.control import KillRemoted
from tests.e2e.conftest import NewSite
from tests.e2e.site import LOST_AFTER_S, Site

REFUSAL_S = 10.0
"""A refusal because a BMC is silent (``ux.md`` 7.4)."""
SHORT_DEADLINE = '\n[fencing]\ndeadline = "5s"\n'


@pytest.mark.parametrize(
    ("verb", "fault", "problem"),
    [
        ("recover", BmcFault.SILENT, "FENCE_UNREACHABLE"),
        ("recover", BmcFault.SLOW, "FENCE_UNREACHABLE"),
        ("recover", BmcFault.DENIED, "FENCE_LOGIN"),
        ("fence", BmcFault.DENIED, "FENCE_LOGIN"),
    ],
)
def test_a_bmc_that_gives_no_answer_is_refused_before_anything_is_ordered(
    build: NewSite, verb: str, fault: BmcFault, problem: str
) -> None:
    """Silent, ten seconds late, or the password refused: exit 5 within 10 s, nothing ordered."""
    site = build(speed=1.0)
    site.do(BreakBmc(host="compute-1", fault=fault))
    site.lose("compute-1")

    ended = site.hacli(verb, "compute-1", "--yes")

    assert (ended.code, ended.problem) == (5, problem), ended.err
    assert site.lab.orders == ()
    assert ended.took_s < REFUSAL_S


def test_a_bmc_that_acknowledges_and_stays_on_is_no_fence(build: NewSite) -> None:
    """It reads ON to the end: exit 5, and no server was asked for."""
    site = build(configuration=SHORT_DEADLINE)
    site.do(BreakBmc(host="compute-1", fault=BmcFault.STUCK))
    site.lose("compute-1")

    ended = site.hacli("recover", "compute-1", "--yes")

    assert (ended.code, ended.problem) == (5, "FENCE_FAILED"), ended.err
    assert ("compute-1", "order_off") in site.lab.bmc_orders
    assert (site.evacuations(), site.forced_down("compute-1")) == ((), False)


def test_a_bmc_that_reads_off_while_the_machine_lives_is_caught(build: NewSite) -> None:
    """The heartbeat goes on behind the OFF: exit 5, and every server runs where it ran."""
    site = build(configuration=SHORT_DEADLINE)
    _hide(site, "compute-1")

    ended = site.hacli("recover", "compute-1", "--yes")

    assert (ended.code, ended.problem) == (5, "SIGN_OF_LIFE"), ended.err
    assert (site.evacuations(), site.forced_down("compute-1")) == ((), False)
    with site.lab.lock:
        running = [s.running_on for s in site.lab.region.truth() if "compute-1" in s.defined_on]
    assert running == [("compute-1",)] * 3


def _hide(site: Site, host: str) -> None:
    """The cluster loses sight of a host that lives, and its BMC only claims to switch it off."""
    site.touched.add(host)
    site.do(BreakBmc(host=host, fault=BmcFault.LIAR))
    site.do(KillRemoted(host=host))
    site.lab.advance(LOST_AFTER_S)
