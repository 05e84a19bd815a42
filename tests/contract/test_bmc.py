"""A host's BMC: what it says, what it does, and that the two need not be the same."""

import pytest

from hacli.domain.power import PowerState
from hacli.errors import NotPermitted, Unreachable
from tests.contract.looks import RETURNED_WITHIN_S, is_whole, node
from tests.contract.site import BmcMode, PressPower, Site, Standing, TurnBmc

POWER_S = 30.0


@pytest.fixture(scope="class")
def guest(site: Site) -> str:
    """A guest on the host whose BMC is tried."""
    (server,) = site.boot(site.hosts[3], Standing.ACTIVE)
    return server


class TestBmc:
    """One host's BMC through all its moods, then a power-off that is real."""

    def test_a_running_host_reads_on(self, site: Site, guest: str) -> None:
        """As does every other."""
        states = {site.switch(host).read_state() for host in site.hosts}

        assert states == {PowerState.ON}
        assert site.running(guest) == (site.hosts[3],)

    def test_a_wrong_password_is_refused(self, site: Site) -> None:
        """Reading as well as ordering; it is not taken for silence."""
        stranger = site.switch(site.hosts[3], password="wrong")

        with pytest.raises(NotPermitted):
            stranger.read_state()
        with pytest.raises(NotPermitted):
            stranger.power_off()

    def test_a_bmc_whose_password_was_changed_refuses_ours(self, site: Site) -> None:
        """Our right password is the wrong one now."""
        site.do(TurnBmc(site.hosts[3], BmcMode.DENIED))

        with pytest.raises(NotPermitted):
            site.switch(site.hosts[3]).read_state()

    def test_a_silent_bmc_is_unreachable_within_the_limit(self, site: Site, guest: str) -> None:
        """4 s, then no more is waited; the host runs on."""
        site.do(TurnBmc(site.hosts[3], BmcMode.SILENT))
        silent = site.switch(site.hosts[3])

        began = site.now
        with pytest.raises(Unreachable):
            silent.read_state()

        assert site.now - began < 8.0
        assert site.running(guest) == (site.hosts[3],)

    def test_a_stuck_bmc_takes_the_order_and_says_on(self, site: Site, guest: str) -> None:
        """No error tells that nothing happened."""
        site.do(TurnBmc(site.hosts[3], BmcMode.STUCK))
        stuck = site.switch(site.hosts[3])

        stuck.power_off()
        site.pass_time(3.0)

        assert stuck.read_state() is PowerState.ON
        assert site.running(guest) == (site.hosts[3],)

    def test_a_lying_bmc_says_off_of_a_host_that_lives(self, site: Site, guest: str) -> None:
        """Nothing that IPMI says can show it."""
        site.do(TurnBmc(site.hosts[3], BmcMode.LIAR))
        liar = site.switch(site.hosts[3])

        liar.power_off()
        site.pass_time(1.0)

        assert liar.read_state() is PowerState.OFF
        assert site.running(guest) == (site.hosts[3],)

    def test_an_honest_bmc_cuts_the_power(self, site: Site, guest: str) -> None:
        """Off within seconds; the guests are gone with it."""
        site.do(TurnBmc(site.hosts[3], BmcMode.NORMAL))
        switch = site.switch(site.hosts[3])
        before = switch.read_state()

        switch.power_off()
        site.until(lambda: switch.read_state() is PowerState.OFF, within_s=POWER_S)

        assert before is PowerState.ON
        assert site.running(guest) == ()

    def test_a_second_off_is_taken_as_well(self, site: Site) -> None:
        """OFF is always ordered, also when it already reads OFF."""
        switch = site.switch(site.hosts[3])

        switch.power_off()

        assert switch.read_state() is PowerState.OFF

    def test_on_boots_the_host(self, site: Site) -> None:
        """It reads ON at once."""
        switch = site.switch(site.hosts[3])

        switch.power_on()

        site.until(lambda: switch.read_state() is PowerState.ON, within_s=POWER_S)

    def test_pacemaker_fences_a_host_that_was_switched_off_behind_its_back(
        self, site: Site
    ) -> None:
        """However well it has booted meanwhile; switched on again it rejoins."""
        host = site.hosts[3]
        site.until(lambda: bool(node(site, host).node_fenced), within_s=90.0)
        fenced = site.switch(host).read_state()
        site.do(PressPower(host))

        site.until(lambda: is_whole(site, host), within_s=RETURNED_WITHIN_S)

        assert fenced is PowerState.OFF
        assert node(site, host).node_fenced == 0
