"""A site whose fence devices reboot: the host comes back at once, its guests do not."""

from collections.abc import Iterator

import pytest

from tests.system.scene import Scene
from tests.system.stack import hypervisors
from tests.system.stack.bmc import Mode
from tests.system.stack.plan import CHAIN, FenceAction

pytestmark = pytest.mark.full

SPAWN_S = 45.0
"""Longer than a host takes from power-on until the cluster has started its services."""


@pytest.fixture(autouse=True)
def reboots(scene: Scene) -> Iterator[None]:
    """Pacemaker reboots what it loses."""
    cluster = scene.facts.cluster
    cluster.set_fence_action(FenceAction.REBOOT)
    try:
        yield
    finally:
        cluster.set_fence_action(FenceAction.OFF)


def test_a_reboot_is_turned_into_off_before_the_node_rejoins(scene: Scene) -> None:
    """A reboot proves that the old guests died, not that none will start again: OFF is ordered
    and read, and the host stays off while evacuations from it are open.
    """
    host = scene.take()
    servers = scene.boot(host, volumes=3)
    scene.keep_from_rejoining(host)
    scene.lose(host)

    ended = scene.recover(host)

    assert ended.code == 0, ended
    assert scene.machine(host).powered is False
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


def test_the_servers_of_a_node_that_has_rejoined_are_started_in_place(scene: Scene) -> None:
    """Its servers are still its own: Nova calls them ACTIVE, and no guest of them runs."""
    host = scene.take()
    service = scene.plan.nova_name(host)
    servers = scene.boot(host, volumes=2)
    scene.lose(host)
    last_beat = scene.api.services()[service]["updated_at"]
    scene.wait(lambda: scene.facts.is_healthy(host), f"{host} has rejoined")
    scene.api.wait_for_heartbeat(service, after=last_beat)

    ended = scene.recover(host)
    again = scene.recover(host)

    assert (ended.code, again.code) == (0, 0), ended
    moved = {r["instance_uuid"] for r in scene.api.evacuations(service)}
    assert moved.isdisjoint(servers)
    assert scene.machine(host).powered, "a repaired host is not fenced again (L7)"
    assert scene.running(servers) == dict.fromkeys(servers, (host,))


def test_a_bmc_that_fails_after_the_reboot_ends_in_a_refusal(scene: Scene) -> None:
    """Pacemaker's fence event alone, of a reboot, is no evidence: the host may run again."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.keep_from_rejoining(host)
    scene.lose(host)
    scene.bmc(host, Mode.UNREACHABLE)

    refused = scene.recover(host)

    assert refused.code == 5, refused
    moved = {r["instance_uuid"] for r in scene.api.evacuations(scene.plan.nova_name(host))}
    assert moved.isdisjoint(servers)


def test_a_host_that_boots_in_the_middle_destroys_no_unfinished_evacuation(scene: Scene) -> None:
    """A nova-compute that starts while a guest of its is on its way destroys the new one.

    The gate, written before the first request, lets the rest of the chain start and not it.
    """
    host = scene.take()
    servers = scene.boot(host, volumes=6)
    hypervisors.tell(scene.plan, spawn_s=SPAWN_S)
    scene.keep_from_rejoining(host)
    scene.lose(host)
    with scene.hacli.begin("recover", host, "--yes", "-o", "jsonl") as running:
        running.when(lambda told: told.count('"accepted"') >= len(servers))
        scene.join(host)
        scene.machine(host).power_on()
        scene.wait(lambda: scene.facts.runs(host, CHAIN[0]), f"{host} has booted")
        unfinished = [r["status"] for r in scene.api.evacuations(scene.plan.nova_name(host))]
        ended = running.end()

    assert "done" not in unfinished, "it came back while all were on their way"
    assert not scene.facts.runs(host, CHAIN[-1])
    assert ended.code in (0, 3), ended
    scene.each_runs_once_elsewhere(servers, source=host)
    scene.asked_once(servers)
