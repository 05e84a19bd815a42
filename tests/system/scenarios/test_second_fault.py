"""Something else breaks while a recovery runs."""

import signal

import pytest

from tests.system.hacli_runs import Ended
from tests.system.scene import Scene
from tests.system.stack import cloud, hypervisors
from tests.system.stack.node import Node
from tests.system.stack.plan import CLOUD_NODE

pytestmark = pytest.mark.full

SERVERS = 8
SPAWN_S = 3.0


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("service", ["nova-api", "rabbitmq", "mariadb"])
def test_a_service_of_the_cloud_that_restarts_in_the_middle_is_outlasted(
    scene: Scene, service: str
) -> None:
    """Requests on the way are of uncertain fate: each is looked for, none is asked twice.

    A server whose request left no trace is named; it may be asked for again 10 minutes later. So
    is one whose evacuation stands still, because RabbitMQ has lost Nova's word on it.
    """
    host, servers = _dead_host(scene)
    with scene.hacli.begin("recover", host, "--yes", "-o", "jsonl") as running:
        running.when(_some_accepted)
        _restart(scene, service, but=host)
        first = running.end()
    ended = scene.recover(host) if first.code == 6 else first

    _all_back_but_the_unknown(scene, ended, servers, source=host)


def test_the_second_of_two_recoveries_refuses(scene: Scene) -> None:
    """Law L9: one at a time, and the second one names the first (exit 9)."""
    host, servers = _dead_host(scene)
    with scene.hacli.begin("recover", host, "--yes", "-o", "jsonl") as first:
        first.when(lambda told: '"run_started"' in told)
        second = scene.recover(host)
        ended = first.end()

    assert second.code == 9, second
    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)


def test_a_host_that_is_switched_on_in_the_middle_stops_further_requests(scene: Scene) -> None:
    """Law L3: a sign of life stops new requests; those that Nova has accepted go on.

    It is back in the cluster by then, so that only an operator's word has it fenced again (L7);
    that run brings back the rest.
    """
    host, servers = _dead_host(scene)
    with scene.hacli.begin("recover", host, "--yes", "-o", "jsonl") as running:
        running.when(_some_accepted)
        scene.machine(host).power_on()
        first = running.end()
    ended = first if first.code == 0 else scene.recover(host, "--allow-healthy")

    assert first.code == 0 or first.error_code == "SIGN_OF_LIFE", first
    assert ended.code == 0, (first, ended)
    scene.each_runs_once_elsewhere(servers, source=host)
    scene.asked_once(servers)


def test_a_host_that_returns_afterwards_runs_none_of_its_old_guests(scene: Scene) -> None:
    """Switched on by hand after the recovery: the gate keeps nova-compute off until ``enable``."""
    host, servers = _dead_host(scene)
    ended = scene.recover(host)
    assert ended.code == 0, ended

    scene.machine(host).power_on()
    enabled = scene.hacli("enable", host, "-o", "jsonl")

    assert enabled.code == 0, enabled
    scene.came_back(servers, ended, source=host)
    again = scene.recover(host)
    assert (again.code, again.ends) == (0, {}), "it is back, and nothing waits to be started"
    assert scene.machine(host).powered


@pytest.mark.parametrize(
    "moment",
    [
        '"run_started"',
        '"step": "fence"',
        '"evidence"',
        '"step": "force-down"',
        '"intent"',
        '"verified"',
    ],
)
def test_a_recovery_killed_at_a_moment_is_finished_by_the_same_command(
    scene: Scene, moment: str
) -> None:
    """Law L8: SIGKILL, and the same command again; each server is asked for once.

    A server whose intent was written and whose request left no trace is named, as above.
    """
    host, servers = _dead_host(scene)
    with scene.hacli.begin("recover", host, "--yes", "-o", "jsonl") as running:
        running.when(lambda told: moment in told)
        running.kill()

    ended = scene.recover(host)

    _all_back_but_the_unknown(scene, ended, servers, source=host)


def _all_back_but_the_unknown(
    scene: Scene, ended: Ended, servers: tuple[str, ...], *, source: str
) -> None:
    """Complete (exit 0); or exit 3, and what is missing was asked for without a trace, or stands
    still: such a guest runs nowhere, or where its evacuation has brought it.
    """
    unknown = ended.failures
    assert ended.code == (3 if unknown else 0), ended
    assert set(unknown.values()) <= {"VM_UNKNOWN", "VM_STUCK"}, ended
    back = tuple(server for server in servers if server not in unknown)
    scene.each_runs_once_elsewhere(back, source=source)
    scene.asked_once(back)
    left = scene.running(tuple(unknown)).values()
    assert all(len(hosts) <= 1 and source not in hosts for hosts in left), left


def _dead_host(scene: Scene) -> tuple[str, tuple[str, ...]]:
    """A fenced host with servers whose guests take some seconds to start elsewhere."""
    host = scene.take()
    servers = scene.boot(host, volumes=SERVERS)
    hypervisors.tell(scene.plan, spawn_s=SPAWN_S)
    scene.lose(host)
    return host, servers


def _some_accepted(told: str) -> bool:
    return told.count('"accepted"') >= 2


def _restart(scene: Scene, service: str, *, but: str) -> None:
    """All but the dead host are Nova's again when it returns."""
    node = Node(plan=scene.plan, name=CLOUD_NODE)
    node.signal(service, signal.SIGKILL)
    scene.wait(lambda: not node.is_alive(service), f"{service} is gone")
    cloud.start_service(node, service)
    living = (host for host in scene.plan.host_names if host != but)
    cloud.wait_until_connected(node, map(scene.plan.nova_name, living))
