"""Fencing by reboot: the old guests are dead, the host lives, and Nova has noticed nothing."""

from collections.abc import Iterator

import pytest

from hacli.domain.power import PowerState
from hacli.domain.servers import Accepted, Guest, Rejected
from tests.contract.looks import (
    RETURNED_WITHIN_S,
    ended,
    evacuate,
    is_whole,
    node,
    server,
    service,
)
from tests.contract.site import Fence, FencesBy, Site, Standing

SYNCED_WITHIN_S = 120.0
"""Nova's first power sync comes up to a minute after the start, and stops one after the other."""


@pytest.fixture(scope="class")
def alive(site: Site) -> str:
    """A server on another host, which nobody fences."""
    return site.boot(site.hosts[1], Standing.ACTIVE)[0]


@pytest.fixture(scope="class")
def guests(site: Site, alive: str) -> Iterator[tuple[str, ...]]:
    """Two servers on a host that Pacemaker fences by reboot."""
    site.do(Fence(FencesBy.REBOOT))
    yield site.boot(site.hosts[0], Standing.ACTIVE, Standing.ACTIVE)
    site.do(Fence(FencesBy.OFF))


class TestFencingByReboot:
    """A host is fenced by reboot and comes straight back."""

    def test_the_order_ends_well_when_the_host_was_off(
        self, site: Site, guests: tuple[str, ...]
    ) -> None:
        """Success means that its guests died."""
        ran = site.tool("stonith_admin", "--reboot", site.hosts[0], "--timeout", "60")

        assert ran.code == 0
        assert [site.running(guest) for guest in guests] == [(), ()]

    def test_it_returns_by_itself(self, site: Site, guests: tuple[str, ...]) -> None:
        """The event names a reboot, a device did it, the BMC reads ON, and it is not fenced."""
        host = site.hosts[0]
        site.until(lambda: is_whole(site, host), within_s=RETURNED_WITHIN_S)

        found = node(site, host)
        newest = ended(found)[0]
        assert (newest.action, newest.executed) == ("reboot", True)
        assert found.node_fenced == 0
        assert site.switch(host).read_state() is PowerState.ON

    def test_nova_still_calls_the_dead_servers_active(
        self, site: Site, guests: tuple[str, ...]
    ) -> None:
        """Up all the time, running, by every word of the API; nothing runs."""
        seen = [server(site, guest) for guest in guests]

        assert service(site, site.hosts[0]).up
        assert {(found.status, found.power_state, found.task_state) for found in seen} == {
            ("ACTIVE", 1, None)
        }
        assert [site.running(guest) for guest in guests] == [(), ()]

    def test_the_hypervisor_knows_better(
        self, site: Site, guests: tuple[str, ...], alive: str
    ) -> None:
        """Asked through nova-compute it says that they do not run; and that another one does."""
        assert [site.compute.read_guest(guest) for guest in guests] == [Guest.NOT_RUNNING] * 2
        assert site.compute.read_guest(alive) is Guest.RUNNING

    def test_nobody_has_written_their_records_since(
        self, site: Site, guests: tuple[str, ...]
    ) -> None:
        """The list's power state is from before the fence, and so is the record's last write."""
        fenced_at = ended(node(site, site.hosts[0]))[0].completed
        assert fenced_at is not None

        found = [server(site, guest).updated_at for guest in guests]
        assert all(at is not None and at < fenced_at for at in found)
        assert {a.action for guest in guests for a in site.compute.read_actions(guest)} == {
            "create"
        }

    def test_an_active_server_cannot_be_started(self, site: Site, guests: tuple[str, ...]) -> None:
        """409."""
        outcome = site.compute.start(guests[0], may_send=lambda: True)

        assert isinstance(outcome, Rejected)
        assert outcome.status == 409

    def test_nor_can_it_be_evacuated(self, site: Site, guests: tuple[str, ...]) -> None:
        """400: its host is up."""
        outcome = evacuate(site, guests[0])

        assert isinstance(outcome, Rejected)
        assert outcome.status == 400

    def test_a_hard_reboot_brings_it_back_in_place(
        self, site: Site, guests: tuple[str, ...]
    ) -> None:
        """Where it was, on its own disk."""
        host = site.hosts[0]
        before = site.disk(guests[0], host)

        outcome = site.compute.hard_reboot(guests[0], may_send=lambda: True)
        site.until(lambda: site.running(guests[0]) == (host,), within_s=60.0)
        site.until(lambda: server(site, guests[0]).task_state is None, within_s=60.0)

        assert isinstance(outcome, Accepted)
        after = server(site, guests[0])
        assert (after.status, after.power_state) == ("ACTIVE", 1)
        assert site.compute.read_guest(guests[0]) is Guest.RUNNING
        assert site.compute.read_actions(guests[0])[0].action == "reboot"
        assert site.disk(guests[0], host) == before
        assert site.running(guests[1]) == ()

    def test_the_power_sync_stops_the_other_one_with_no_user(
        self, site: Site, guests: tuple[str, ...]
    ) -> None:
        """Within a minute of the start, by an action that nobody asked for; then os-start works."""
        site.until(lambda: server(site, guests[1]).status == "SHUTOFF", within_s=SYNCED_WITHIN_S)
        newest = site.compute.read_actions(guests[1])[0]

        outcome = site.compute.start(guests[1], may_send=lambda: True)
        site.until(lambda: server(site, guests[1]).status == "ACTIVE", within_s=60.0)

        assert (newest.action, newest.user) == ("stop", None)
        assert isinstance(outcome, Accepted)
        assert site.running(guests[1]) == (site.hosts[0],)
