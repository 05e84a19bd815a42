"""What an administrator does with a healthy cluster, and how it reads."""

import pytest

from hacli.domain.cluster import Role
from tests.contract.looks import (
    is_connected,
    is_whole,
    node,
    roles,
)
from tests.contract.site import KillCompute, Site, Standing

GATE = "hacli-evacuating"
STARTED = (Role.STARTED,) * 3
NO_COMPUTE = (Role.STARTED, Role.STARTED, Role.STOPPED)
SOON_S = 60.0


def set_option(site: Site, name: str, value: str) -> int:
    """A cluster option."""
    pair = f'<nvpair id="cib-bootstrap-options-{name}" name="{name}" value="{value}"/>'
    options = f'<cluster_property_set id="cib-bootstrap-options">{pair}</cluster_property_set>'
    return site.tool("cibadmin", "--modify", "-o", "crm_config", "-X", options).code


def set_role(site: Site, resource: str, role: str) -> int:
    """What is wanted of a resource."""
    words = ("--meta", "--set-parameter", "target-role", "--parameter-value", role)
    return site.tool("crm_resource", "--resource", resource, *words).code


def set_attribute(site: Site, host: str, name: str, value: str) -> int:
    """As an operator does it."""
    return site.tool(
        "crm_attribute", "--node", host, "--name", name, "--update", value,
        "--lifetime", "forever",
    ).code  # fmt: skip


def drop_attribute(site: Site, host: str, name: str) -> int:
    """Also when there is none."""
    return site.tool(
        "crm_attribute", "--node", host, "--name", name, "--delete", "--lifetime", "forever"
    ).code


@pytest.fixture(scope="class")
def guest(site: Site) -> str:
    """A guest that lives through all of it."""
    (server_id,) = site.boot(site.hosts[1], Standing.ACTIVE)
    return server_id


class TestAdministration:
    """What an administrator may do with a healthy node, and how it reads."""

    def test_standby_stops_the_chain_and_keeps_the_connection(self, site: Site, guest: str) -> None:
        """The guests run on."""
        host = site.hosts[1]
        assert set_attribute(site, host, "standby", "on") == 0

        site.until(lambda: roles(node(site, host)) == (Role.STOPPED,) * 3, within_s=SOON_S)

        found = node(site, host)
        assert (found.standby, found.online, found.unclean) == (True, True, False)
        assert is_connected(site, host)
        assert site.running(guest) == (host,)

    def test_lifting_standby_starts_the_chain(self, site: Site, guest: str) -> None:
        """In its order, to its end."""
        host = site.hosts[1]
        assert drop_attribute(site, host, "standby") == 0

        site.until(lambda: is_whole(site, host), within_s=SOON_S)

        assert site.running(guest) == (host,)

    def test_maintenance_of_a_node_leaves_everything_running_and_unmanaged(
        self, site: Site
    ) -> None:
        """Its chain, not its connection, is unmanaged."""
        host = site.hosts[1]
        assert set_attribute(site, host, "maintenance", "true") == 0

        site.until(lambda: node(site, host).maintenance, within_s=SOON_S)

        found = node(site, host)
        assert roles(found) == STARTED
        assert not any(link.managed for link in found.chain)
        assert (found.online, found.unclean) == (True, False)
        assert drop_attribute(site, host, "maintenance") == 0
        site.until(lambda: not node(site, host).maintenance, within_s=SOON_S)

    def test_maintenance_of_the_cluster_puts_every_node_into_it(self, site: Site) -> None:
        """No opinion of Pacemaker's counts until it is lifted."""
        assert set_option(site, "maintenance-mode", "true") == 0

        site.until(lambda: site.cluster.read_view().maintenance_mode, within_s=SOON_S)

        view = site.cluster.read_view()
        assert all(found.maintenance for found in view.nodes)
        assert not any(link.managed for found in view.nodes for link in found.chain)
        assert set_option(site, "maintenance-mode", "false") == 0
        site.until(lambda: not site.cluster.read_view().maintenance_mode, within_s=SOON_S)

    def test_a_connection_that_is_stopped_on_purpose_looks_like_a_fenced_node(
        self, site: Site, guest: str
    ) -> None:
        """Offline and clean; only the wanted role tells. No fencing, and the guest runs on."""
        host = site.hosts[1]
        before = node(site, host)
        assert set_role(site, host, "Stopped") == 0

        site.until(lambda: not node(site, host).online, within_s=SOON_S)

        found = node(site, host)
        assert found.connection is not None
        assert (found.connection.role, found.connection.target_stopped) == (Role.STOPPED, True)
        assert (found.unclean, roles(found)) == (False, (Role.STOPPED,) * 3)
        assert (found.fence_events, found.in_cluster) == (before.fence_events, False)
        assert site.running(guest) == (host,)

    def test_a_connection_that_is_wanted_again_brings_the_chain_back(
        self, site: Site, guest: str
    ) -> None:
        """Nothing was fenced in between."""
        host = site.hosts[1]
        site.tool("crm_resource", "--resource", host, "--meta", "--delete-parameter", "target-role")

        site.until(lambda: is_whole(site, host), within_s=SOON_S)

        assert not node(site, host).node_fenced
        assert site.running(guest) == (host,)

    def test_an_attribute_is_written_read_and_cleared(self, site: Site) -> None:
        """Permanent, seen in the next view; clearing it twice is fine."""
        host = site.hosts[0]

        site.cluster.write_attribute(host, "hacli-forced-down", "r-1")
        kept = node(site, host).attributes.get("hacli-forced-down")
        site.cluster.clear_attribute(host, "hacli-forced-down")
        site.cluster.clear_attribute(host, "hacli-forced-down")

        assert kept == "r-1"
        assert "hacli-forced-down" not in node(site, host).attributes

    def test_the_gate_stops_nova_compute_alone(self, site: Site, guest: str) -> None:
        """The rest of the chain stays, the guest runs on; lifting it starts nova-compute."""
        host = site.hosts[1]

        site.cluster.write_attribute(host, GATE, "r-1")
        site.until(lambda: roles(node(site, host)) == NO_COMPUTE, within_s=SOON_S)
        running = site.running(guest)
        site.cluster.clear_attribute(host, GATE)
        site.until(lambda: roles(node(site, host)) == STARTED, within_s=SOON_S)

        assert running == (host,)

    def test_nova_compute_is_restarted_through_pacemaker(self, site: Site, guest: str) -> None:
        """Back when the order returns; no guest notices."""
        host = site.hosts[1]

        site.cluster.restart_service(host, "nova-compute", timeout_s=90.0)

        assert roles(node(site, host)) == STARTED
        assert site.running(guest) == (host,)

    def test_nova_compute_killed_alone_is_restarted_and_the_node_stays_clean(
        self, site: Site, guest: str
    ) -> None:
        """A failure stands in the record; nothing is fenced, no guest notices."""
        host = site.hosts[1]
        before = node(site, host).fence_events
        site.do(KillCompute(host))

        site.until(lambda: _failed_lately(site, host), within_s=SOON_S)
        site.until(lambda: is_whole(site, host), within_s=SOON_S)

        assert node(site, host).fence_events == before
        assert site.running(guest) == (host,)


def _failed_lately(site: Site, host: str) -> bool:
    """Pacemaker has noticed that nova-compute is not there."""
    compute = node(site, host).chain[2]
    return compute.role is not Role.STARTED or compute.failed or compute.failure is not None
