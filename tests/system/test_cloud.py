"""The stack's cloud keeps its promises: guests are processes, disks are remembered, ports move."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.system.stack import cloud, guests, hypervisors, network
from tests.system.stack.api import CloudApi, Refused, ServerState
from tests.system.stack.plan import Plan
from tests.system.stack.stack import Stack
from tests.system.stack.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Cloud:
    """The cloud as an admin on a controller uses it."""

    plan: Plan
    api: CloudApi

    def boot(self, *, images: int = 0, volumes: int = 0) -> str:
        """A server on the first host."""
        host = self.plan.nova_name(self.plan.host_names[0])
        (server,) = self.api.boot_servers(host, images=images, volumes=volumes)
        return server

    def migrate_live(self, server: str) -> None:
        """To the last host."""
        target = self.plan.nova_name(self.plan.host_names[-1])
        move = {"os-migrateLive": {"host": target, "block_migration": "auto"}}
        assert self.api.act(server, move).status == 202

        def moved() -> bool:
            seen = self.api.server(server)
            return (seen["OS-EXT-SRV-ATTR:host"], seen["status"]) == (target, "ACTIVE")

        wait_until(moved, f"{server} has moved to {target}", within_s=60)

    def where_it_runs(self, server: str) -> tuple[str, ...]:
        """By the machine's processes, not by Nova."""
        return guests.running(self.plan).get(server, ())

    def port_host(self, server: str) -> str:
        """Where its one port is bound."""
        (port,) = self.api.ask("GET", "network", f"/v2.0/ports?device_id={server}")["ports"]
        return str(port["binding:host_id"])


@pytest.fixture
def site(stack: Stack) -> Iterator[Cloud]:
    """A cloud without servers, and again without servers afterwards."""
    stack.cluster.wait_until_healthy()
    with network.joined(stack.plan.namespace(stack.plan.controller_names[0])):
        api = CloudApi(stack.plan)
        api.wait_for_hosts(map(stack.plan.nova_name, stack.plan.host_names))
        yield Cloud(stack.plan, api)
        hypervisors.tell(stack.plan)
        api.delete_servers(server["id"] for server in api.servers())


def test_a_paused_guest_is_a_process_that_stands_still(site: Cloud) -> None:
    """It still is on its host; Nova calls that power state 3."""
    server = site.boot(images=1)

    site.api.bring([server], ServerState.PAUSED)

    assert site.where_it_runs(server) == (site.plan.host_names[0],)
    assert site.api.server(server)["OS-EXT-STS:power_state"] == 3


def test_a_stopped_guest_is_no_process(site: Cloud) -> None:
    """Its disk stays, and Nova calls the power state 4."""
    server, host = site.boot(images=1), site.plan.host_names[0]
    disk = hypervisors.disk_of(site.plan, host, server)

    site.api.bring([server], ServerState.SHUTOFF)

    assert site.where_it_runs(server) == ()
    assert site.api.server(server)["OS-EXT-STS:power_state"] == 4
    assert (disk is None, hypervisors.disk_of(site.plan, host, server)) == (False, disk)


def test_disk_and_port_follow_a_server(site: Cloud) -> None:
    """A live migration carries the disk along, and Neutron's port is bound where the guest runs."""
    server, (first, *_, last) = site.boot(images=1), site.plan.host_names
    disk = hypervisors.disk_of(site.plan, first, server)

    site.migrate_live(server)

    assert site.where_it_runs(server) == (last,)
    assert site.port_host(server) == site.plan.nova_name(last)
    assert hypervisors.disk_of(site.plan, last, server) == disk
    assert hypervisors.disk_of(site.plan, first, server) is None


def test_a_server_with_a_volume_has_no_disk_of_its_own(site: Cloud) -> None:
    """Its disk is Cinder's, wherever it runs."""
    server = site.boot(volumes=1)

    (volume,) = site.api.ask("GET", "volume", "/volumes/detail")["volumes"]
    spawned = next(d for d in hypervisors.ledger(site.plan) if d.server == server)

    assert (volume["status"], volume["attachments"][0]["server_id"]) == ("in-use", server)
    assert (spawned.what, spawned.disk, spawned.new_disk) == ("spawn", "volume", False)


def test_a_hypervisor_fails_where_it_was_told_to(site: Cloud) -> None:
    """The server ends in ERROR, and no process is left of it."""
    host = site.plan.nova_name(site.plan.host_names[0])
    hypervisors.tell(site.plan, spawn_s=1, fail_spawn=(hypervisors.EVERY,), fail_on=(host,))

    with pytest.raises(Refused, match="ERROR"):
        site.boot(images=1)

    (failed,) = site.api.servers()
    assert site.where_it_runs(failed["id"]) == ()
    assert "spawn_failed" in {d.what for d in hypervisors.ledger(site.plan)}


@pytest.mark.full
@pytest.mark.parametrize("service", ["nova-api", "nova-conductor", "mariadb", "rabbitmq"])
def test_the_cloud_works_again_after_a_restart_of(service: str, site: Cloud, stack: Stack) -> None:
    """A server boots as before."""
    cloud.stop_service(stack.cloud, service)
    cloud.start_service(stack.cloud, service)
    hosts = map(site.plan.nova_name, site.plan.host_names)
    cloud.wait_until_connected(stack.cloud, hosts)

    server = site.boot(images=1)

    assert site.where_it_runs(server) == (site.plan.host_names[0],)
