"""Fencing that fails: two hosts lose their network, their guests run on, their BMCs do not help.

The second is lost when Pacemaker has done with the first: without ``concurrent-fencing`` it begins
no fencing while another one is under way, and at once again with the one that has failed; a host
with a silent BMC then keeps it from ever fencing another.
"""

from dataclasses import dataclass

import pytest

from hacli.domain.hosts import connected
from hacli.domain.power import PowerState
from hacli.ports import FenceAnswer
from tests.contract.looks import LOST_WITHIN_S, RETURNED_WITHIN_S, ended, is_whole, node, server
from tests.contract.site import (
    BmcMode,
    Cut,
    Join,
    PressPower,
    Site,
    Standing,
    TurnBmc,
)

ATTEMPT_S = 120.0
"""fence_ipmilan asks a silent BMC for almost a minute."""


@dataclass(frozen=True)
class Story:
    """One host whose BMC has another password, one whose BMC is silent, and their guests."""

    denied: str
    silent: str
    guests: dict[str, str]


@pytest.fixture(scope="class")
def story(site: Site) -> Story:
    """A guest on each."""
    denied, silent = site.hosts[3], site.hosts[0]
    guests = {host: site.boot(host, Standing.ACTIVE)[0] for host in (denied, silent)}
    return Story(denied, silent, guests)


class TestFailingFencing:
    """The stages of one outage of two hosts."""

    def test_a_cut_host_is_unclean_while_its_guests_run(self, site: Site, story: Story) -> None:
        """To the cluster no different from a crash; the truth is."""
        site.do(TurnBmc(story.denied, BmcMode.DENIED))
        site.do(Cut(story.denied))

        site.until(lambda: node(site, story.denied).unclean, within_s=LOST_WITHIN_S)

        guest = story.guests[story.denied]
        assert site.running(guest) == (story.denied,)
        assert server(site, guest).status == "ACTIVE"

    def test_a_refused_login_fails_and_the_node_stays_unclean(
        self, site: Site, story: Story
    ) -> None:
        """Failed events, never one that was executed."""
        site.until(lambda: _newest(site, story.denied) == "failed", within_s=ATTEMPT_S)

        found = node(site, story.denied)
        assert not ended(found)[0].executed
        assert found.unclean
        assert not found.node_fenced
        assert not connected(found)

    def test_a_confirmation_by_hand_is_believed_and_is_no_execution(
        self, site: Site, story: Story
    ) -> None:
        """Clean, ``node_fenced``, a success by "a human"; and the guest still runs."""
        site.cluster.confirm_off(story.denied)

        site.until(lambda: not node(site, story.denied).unclean, within_s=30.0)
        found = node(site, story.denied)
        confirmed = next(event for event in ended(found) if event.delegate == "a human")
        assert (confirmed.status, confirmed.executed) == ("success", False)
        assert found.node_fenced
        assert not connected(found)
        assert site.running(story.guests[story.denied]) == (story.denied,)

    def test_a_silent_bmc_fails_late_with_the_next_attempt_beside(
        self, site: Site, story: Story
    ) -> None:
        """A pending event stands before the failed one: nothing about this host is decided."""
        site.do(TurnBmc(story.silent, BmcMode.SILENT))
        site.do(Cut(story.silent))

        def failed_and_trying() -> bool:
            statuses = [event.status for event in node(site, story.silent).fence_events]
            return statuses[:2] == ["pending", "failed"]

        site.until(failed_and_trying, within_s=LOST_WITHIN_S + ATTEMPT_S)

        found = node(site, story.silent)
        assert found.unclean
        assert not found.node_fenced
        assert site.running(story.guests[story.silent]) == (story.silent,)

    def test_when_its_bmc_is_back_the_host_is_fenced_by_itself(
        self, site: Site, story: Story
    ) -> None:
        """The guests die then, and not before."""
        site.do(TurnBmc(story.silent, BmcMode.NORMAL))

        site.until(lambda: bool(node(site, story.silent).node_fenced), within_s=ATTEMPT_S)

        found = node(site, story.silent)
        assert ended(found)[0].executed
        assert not found.unclean
        assert site.running(story.guests[story.silent]) == ()
        assert site.switch(story.silent).read_state() is PowerState.OFF

    def test_an_ordered_off_makes_the_confirmation_true(self, site: Site, story: Story) -> None:
        """Executed by a device now: the newest success counts."""
        site.do(TurnBmc(story.denied, BmcMode.NORMAL))

        result = site.cluster.fence_off(story.denied, timeout_s=60.0)

        newest = ended(node(site, story.denied))[0]
        assert result.answer is FenceAnswer.CONFIRMED
        assert (newest.action, newest.executed) == ("off", True)
        assert site.running(story.guests[story.denied]) == ()

    def test_both_return_when_network_and_power_do(self, site: Site, story: Story) -> None:
        """Whole again; their history stays."""
        for host in story.guests:
            site.do(Join(host))
            site.do(PressPower(host))

        site.until(
            lambda: all(is_whole(site, host) for host in story.guests), within_s=RETURNED_WITHIN_S
        )

        assert all(ended(node(site, host)) for host in story.guests)


def _newest(site: Site, host: str) -> str | None:
    """How the newest fencing of a host ended."""
    return next((event.status for event in ended(node(site, host))), None)
