"""A healthy region: what both systems show of it, and what they refuse."""

import pytest

from hacli.domain.cluster import Role
from hacli.domain.servers import Accepted, Rejected
from hacli.errors import Unreadable
from tests.contract.looks import (
    evacuate,
    force_down,
    is_connected,
    node,
    records,
    server,
    service,
)
from tests.contract.site import Disk, Site, Standing

GATE = "hacli-evacuating"
STARTED = (Role.STARTED,) * 3
NO_COMPUTE = (Role.STARTED, Role.STARTED, Role.STOPPED)
SOON_S = 60.0


class TestHealthyView:
    """What a status shows when nothing is wrong."""

    def test_the_cluster_has_a_dc_quorum_and_fencing(self, site: Site) -> None:
        """Only then does it act, and does its word count."""
        view = site.cluster.read_view()

        assert view.acts
        assert view.fencing_enabled
        assert not view.maintenance_mode
        assert view.members == view.members_online >= 1
        assert view.fencing_timeout_s == 60.0

    def test_every_compute_host_is_a_connected_remote_node(self, site: Site) -> None:
        """Each by its own name, clean, and never fenced since it connected."""
        nodes = site.cluster.read_view().nodes

        assert tuple(found.name for found in nodes) == site.hosts
        assert {found.type for found in nodes} == {"remote"}
        assert all(is_connected(site, found.name) for found in nodes)
        assert not any(found.unclean or found.pending or found.node_fenced for found in nodes)

    def test_the_chain_is_shown_in_the_order_of_its_start(self, site: Site) -> None:
        """The network agent first, nova-compute last."""
        chain = node(site, site.hosts[0]).chain

        assert len(chain) == 3
        assert chain[0].name == "neutron-openvswitch-agent"
        assert chain[2].name == "nova-compute"
        assert {(link.role, link.managed, link.failed) for link in chain} == {
            (Role.STARTED, True, False)
        }

    def test_each_host_has_a_fence_device_with_its_bmc(self, site: Site) -> None:
        """hacli finds its BMCs there."""
        devices = site.cluster.read_view().devices

        assert {host for device in devices for host in device.hosts} == set(site.hosts)
        assert {device.agent for device in devices} == {"fence_ipmilan"}
        assert all({"ip", "username", "password"} <= device.parameters.keys() for device in devices)

    def test_the_cheap_read_says_the_same(self, site: Site) -> None:
        """In the cluster, quorate, with a DC, and not fenced."""
        state = site.cluster.read_node_state(site.hosts[1])

        assert (state.in_cluster, state.with_quorum, state.dc) == (True, True, True)
        assert not state.node_fenced

    def test_an_unknown_node_is_unreadable_rather_than_gone(self, site: Site) -> None:
        """A node_state that is not there tells nothing."""
        with pytest.raises(Unreadable):
            site.cluster.read_node_state("compute-99")

    def test_nova_shows_every_compute_service_up_and_enabled(self, site: Site) -> None:
        """With a conductor and a scheduler beside them."""
        services = site.compute.read_services()

        ours = [services.of(site.nova_host(host)) for host in site.hosts]
        assert all(found and found.known and found.up and found.enabled for found in ours)
        assert not any(found and found.forced_down for found in ours)
        assert services.conductors_up >= 1
        assert services.schedulers_up >= 1

    def test_the_administrator_is_proven(self, site: Site) -> None:
        """By the role in the token and by an admin-only read; writes stay below 2.95."""
        caller = site.compute.read_caller()

        assert (caller.admin, caller.why_not) == (True, None)
        assert (2, 53) <= tuple(map(int, caller.write_version.split("."))) < (2, 95)

    def test_every_host_is_a_hypervisor_with_its_capacity(self, site: Site) -> None:
        """Joined to the service by Nova's name of the host."""
        hypervisors = site.compute.read_hypervisors()

        assert {found.host for found in hypervisors} == {site.nova_host(h) for h in site.hosts}
        assert all(found.vcpus and found.memory_mb for found in hypervisors)


@pytest.fixture(scope="class")
def servers(site: Site) -> dict[str, str]:
    """Servers of several standings on one host, and one on another."""
    host, other = site.hosts[0], site.hosts[1]
    kinds = (Standing.ACTIVE, Standing.SHUTOFF, Standing.SHELVED_OFFLOADED)
    ids = site.boot(host, *kinds, Standing.SOFT_DELETED)
    (elsewhere,) = site.boot(other, Standing.ACTIVE, disk=Disk.IMAGE)
    return dict(
        zip(("active", "shutoff", "offloaded", "deleted"), ids, strict=True),
        elsewhere=elsewhere,
    )


class TestServerLists:
    """Which servers belong to a host: the one list on which a recovery rests."""

    def test_the_list_holds_exactly_the_servers_of_the_host(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """Neither those of another host, nor one that is shelved offloaded or soft-deleted."""
        listed = site.compute.read_servers(site.nova_host(site.hosts[0]))

        assert {found.id for found in listed.servers} == {servers["active"], servers["shutoff"]}
        assert not listed.cells_down

    def test_the_hypervisor_list_also_holds_soft_deleted_ones(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """Two lists of Nova's, and they differ in this."""
        listed = site.compute.read_hypervisor_servers(site.nova_host(site.hosts[0]))

        assert listed == {servers["active"], servers["shutoff"], servers["deleted"]}

    def test_a_server_tells_what_it_boots_from(self, site: Site, servers: dict[str, str]) -> None:
        """No image means a volume, and the volume is named."""
        from_volume, from_image = (
            server(site, servers["active"]),
            server(site, servers["elsewhere"]),
        )

        assert (from_volume.volume_backed, len(from_volume.volumes)) == (True, 1)
        assert (from_image.volume_backed, from_image.volumes) == (False, ())

    def test_its_states_are_novas(self, site: Site, servers: dict[str, str]) -> None:
        """Status, vm_state and power state of the three."""
        seen = {
            name: (found.status, found.vm_state, found.power_state, found.launched)
            for name in ("active", "shutoff", "offloaded")
            for found in (server(site, servers[name]),)
        }

        assert seen["active"] == ("ACTIVE", "active", 1, True)
        assert seen["shutoff"] == ("SHUTOFF", "stopped", 4, True)
        assert seen["offloaded"][:2] == ("SHELVED_OFFLOADED", "shelved_offloaded")

    def test_a_server_that_nova_does_not_know_is_none(self, site: Site) -> None:
        """404 is an answer."""
        assert site.compute.read_server("00000000-0000-4000-8000-000000000000") is None

    def test_a_server_that_was_never_moved_has_no_records(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """No evacuation, no unfinished move, no group; its action log begins with create."""
        host = site.hosts[0]

        assert records(site, host, servers["active"]) == ()
        assert site.compute.read_moves(site.nova_host(host)) == ()
        assert all(servers["active"] not in group.members for group in site.compute.read_groups())
        assert site.compute.read_actions(servers["active"])[-1].action == "create"

    def test_evacuating_from_a_living_host_is_refused(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """400, in Nova's own words, and no record is left."""
        outcome = evacuate(site, servers["active"])

        host = site.hosts[0]
        assert outcome == Rejected(
            status=400, message=f"Compute service of {site.nova_host(host)} is still in use."
        )
        assert records(site, host, servers["active"]) == ()

    def test_evacuating_an_unknown_server_is_refused(self, site: Site) -> None:
        """404."""
        outcome = evacuate(site, "00000000-0000-4000-8000-000000000000")

        assert isinstance(outcome, Rejected)
        assert outcome.status == 404

    def test_evacuating_to_an_unknown_host_is_refused(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """404, although the source is up: the target is looked at first."""
        outcome = evacuate(site, servers["active"], target="compute-99")

        assert outcome == Rejected(status=404, message="Compute host compute-99 not found.")

    def test_evacuating_to_its_own_host_is_refused(
        self, site: Site, servers: dict[str, str]
    ) -> None:
        """400."""
        own = site.nova_host(site.hosts[0])

        outcome = evacuate(site, servers["active"], target=own)

        assert isinstance(outcome, Rejected)
        assert outcome.status == 400


class TestDisablingAndEnabling:
    """The service record of a host that is well."""

    def test_disabling_keeps_the_reason_and_the_heartbeat(self, site: Site) -> None:
        """Disabled, with its reason, and still up; the write itself moves ``updated_at``."""
        before = service(site, site.hosts[2])

        outcome = site.compute.disable(before, reason="contract", timeout_s=10.0)

        after = service(site, site.hosts[2])
        assert isinstance(outcome, Accepted)
        assert (after.enabled, after.disabled_reason, after.up) == (False, "contract", True)

    def test_a_living_host_can_be_forced_down(self, site: Site) -> None:
        """Nova believes it at once, keeps the reason, and ``updated_at`` is the write's time."""
        outcome = force_down(site, site.hosts[2])

        after = service(site, site.hosts[2])
        assert isinstance(outcome, Accepted)
        assert (after.forced_down, after.up, after.disabled_reason) == (True, False, "contract")

    def test_its_heartbeat_advances_while_it_stays_down(self, site: Site) -> None:
        """A sign of life that ``state`` hides."""
        before = service(site, site.hosts[2]).updated_at

        site.until(lambda: service(site, site.hosts[2]).updated_at != before, within_s=SOON_S)

        assert not service(site, site.hosts[2]).up

    def test_without_evacuations_it_is_forced_up_at_once(self, site: Site) -> None:
        """Up with the next look, still disabled."""
        outcome = site.compute.force_up(service(site, site.hosts[2]))

        after = service(site, site.hosts[2])
        assert isinstance(outcome, Accepted)
        assert (after.forced_down, after.up, after.enabled) == (False, True, False)

    def test_enabling_forgets_the_reason(self, site: Site) -> None:
        """The scheduler uses it again."""
        outcome = site.compute.enable(service(site, site.hosts[2]))

        after = service(site, site.hosts[2])
        assert isinstance(outcome, Accepted)
        assert (after.enabled, after.disabled_reason, after.up) == (True, None, True)
