"""Three controllers, as sites have them: any of them may work, one at a time, and one that is cut
off may not.
"""

import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from tests.system.cluster_facts import ClusterFacts
from tests.system.fleet import Fleet
from tests.system.hacli_runs import Ended, HacliAt
from tests.system.scene import Scene, played
from tests.system.stack import hypervisors, network
from tests.system.stack.api import CloudApi
from tests.system.stack.operator_files import HACLI
from tests.system.stack.plan import Plan
from tests.system.stack.processes import run
from tests.system.stack.session import stack_of
from tests.system.stack.stack import Stack
from tests.system.stack.waiting import wait_until

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

HOSTS = 8
SERVERS = 6
SPAWN_S = 3.0
SETTLED_S = 600.0
"""So old must a request without a trace be before another one is sent (design 4)."""
HEALED_WITHIN_S = 120.0
FEW_AT_ONCE = "/etc/hacli/few-at-once.toml"
MOMENTS = (
    '"run_started"',
    '"step": "fence"',
    '"evidence"',
    '"step": "force-down"',
    '"intent"',
    '"verified"',
)
"""What the first run has told of when it is killed."""


@dataclass(frozen=True)
class Region:
    """A stack with three controllers."""

    stack: Stack
    fleet: Fleet
    folder: Path

    def hacli(self, number: int) -> HacliAt:
        """The one of a controller, the first is 0."""
        return HacliAt(self.stack.cluster.controllers[number].command, self.folder)

    @contextmanager
    def split_off(self, number: int) -> Iterator[None]:
        """One controller hears no other any more; the cloud and the BMCs are within its reach.

        It goes on with what it holds (``freeze``), and nobody can fence it: no host loses its
        nova-compute by the split. Pacemaker is one again after the block.
        """
        plan = self.stack.plan
        alone = plan.namespace(plan.controller_names[number])
        others = [name for name in plan.controller_names if name != plan.controller_names[number]]
        lost = [f"{plan.management_address(name)}/32" for name in others]
        self._set_option("no-quorum-policy", "--update", "freeze")
        for address in lost:
            run(("ip", "-n", alone, "route", "add", "blackhole", address))
        try:
            self._wait_for_quorum(number, there=False)
            yield
        finally:
            for address in lost:
                run(("ip", "-n", alone, "route", "delete", "blackhole", address))
            self._wait_for_quorum(number, there=True)
            self._set_option("no-quorum-policy", "--delete")

    def _set_option(self, name: str, *words: str) -> None:
        self.stack.cluster.controllers[0].run("crm_attribute", "--name", name, *words)

    def _wait_for_quorum(self, number: int, *, there: bool) -> None:
        wait_until(
            lambda: self._has_quorum(number) is there,
            f"controller {number} is {'back' if there else 'alone'}",
            within_s=HEALED_WITHIN_S,
        )

    def _has_quorum(self, number: int) -> bool:
        told = self.stack.cluster.controllers[number].run("corosync-quorumtool", "-s", check=False)
        return "Quorate:          Yes" in told.stdout


@pytest.fixture(scope="module")
def region(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Region]:
    """Its own stack, beside the session's; programs come from the session's cache."""
    session = Path(request.config.getoption("--stack")).resolve()
    folder = session / "three"
    folder.mkdir(parents=True, exist_ok=True)
    (session / "cache").mkdir(exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(session / "cache")
    plan = Plan(folder=folder, name="three", controllers=3, hosts=HOSTS)
    with stack_of(plan) as stack, network.joined(plan.namespace(plan.controller_names[0])):
        stack.cluster.wait_until_healthy()
        fleet = Fleet(plan, ClusterFacts(stack.cluster), CloudApi(plan))
        try:
            yield Region(stack, fleet, tmp_path_factory.mktemp("runs"))
        finally:
            fleet.close()
    shutil.rmtree(folder)


@pytest.fixture
def scene(region: Region) -> Iterator[Scene]:
    """A scenario whose commands are typed at the first controller."""
    with played(region.fleet, region.hacli(0)) as scene:
        yield scene


def test_each_controller_shows_the_same_region(region: Region) -> None:
    """Whichever an operator has logged in to."""
    seen = [region.hacli(number)("status") for number in range(3)]

    assert [ended.code for ended in seen] == [0, 0, 0], seen
    assert all(f"OK: all {HOSTS} hosts are ready." in ended.out for ended in seen)


def test_of_three_controllers_at_once_one_recovers(region: Region, scene: Scene) -> None:
    """Law L9: Pacemaker gives the claim to one; the others say who has it, and end with 9."""
    host, servers = _dead_host(scene)

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda n: region.hacli(n)(*_recover(host)), range(3)))

    assert sorted(ended.code for ended in ends) == [0, 9, 9], ends
    refused = [ended for ended in ends if ended.code == 9]
    assert [ended.error_code for ended in refused] == ["LOCKED", "LOCKED"], ends
    (done,) = (ended for ended in ends if ended.code == 0)
    scene.came_back(servers, done, source=host)


def test_a_stopped_holder_that_was_taken_over_sends_nothing_more(
    region: Region, scene: Scene
) -> None:
    """Law L9: its process may live on, so that nobody takes its claim unasked; when it wakes up
    after a person has, it reads that in the CIB.
    """
    host, servers = _dead_host(scene)
    with region.hacli(0).begin(*_recover(host)) as first:
        first.when(lambda told: '"step": "force-down"' in told)
        first.signal(signal.SIGSTOP)
        refused = region.hacli(1)(*_recover(host))
        taken = region.hacli(1)(*_recover(host), "--take-over")
        first.signal(signal.SIGCONT)
        woken = first.end()

    assert (refused.code, refused.error_code) == (9, "LOCKED"), refused
    assert set(taken.failures.values()) <= {"VM_UNKNOWN"}, taken
    assert (woken.code, woken.error_code) == (9, "CLAIM_LOST"), woken
    back = tuple(server for server in servers if server not in taken.failures)
    scene.asked_once(back)
    _wait_until_settled(taken)
    _finish(region.hacli(1), scene, host, servers)


def test_a_controller_that_is_cut_off_may_not_begin_and_the_others_may(
    region: Region, scene: Scene
) -> None:
    """Law L9: the minority refuses and changes nothing; the majority recovers."""
    host, servers = _dead_host(scene)
    with region.split_off(2):
        alone = region.hacli(2)(*_recover(host))
        asked = scene.api.evacuations(scene.plan.nova_name(host))
        ended = region.hacli(1)(*_recover(host))

    assert (alone.code, alone.error_code) == (4, "NO_QUORUM"), alone
    assert asked == ()
    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)


def test_a_controller_that_is_cut_off_in_the_middle_sends_nothing_more(
    region: Region, scene: Scene
) -> None:
    """The claim is still its own in its part of the cluster, which does not count any more."""
    host, servers = _dead_host(scene, spawn_s=20.0, servers=2 * SERVERS)
    few = f"{HACLI}\n[evacuation]\nwindow = 2\n"
    region.stack.cluster.controllers[2].run("tee", FEW_AT_ONCE, stdin=few)
    with region.hacli(2).begin("--config", FEW_AT_ONCE, *_recover(host)) as first:
        first.when(lambda told: '"step": "force-down"' in told)
        with region.split_off(2):
            alone = first.end()
            asked = len(scene.api.evacuations(scene.plan.nova_name(host)))
            refused = region.hacli(0)(*_recover(host))
            taken = region.hacli(0)(*_recover(host), "--take-over")

    assert alone.code == 3, alone
    assert asked < len(servers), alone
    assert (refused.code, refused.error_code) == (9, "LOCKED"), refused
    assert taken.code in (0, 3), taken
    if taken.code:
        _wait_until_settled(taken)
    _finish(region.hacli(0), scene, host, servers)


@pytest.mark.timeout(2400)
def test_six_killed_runs_are_finished_from_another_controller(region: Region, scene: Scene) -> None:
    """Law L8: SIGKILL at six moments; another controller knows nothing but what is in the world.

    What has no migration there counts as asked for, for ten minutes. Each server is asked once.
    """
    dead = {moment: _boot(scene) for moment in MOMENTS}
    hypervisors.tell(scene.plan, spawn_s=SPAWN_S)
    for host, _ in dead.values():
        scene.machine(host).crash()
    for host, _ in dead.values():
        scene.wait(partial(scene.facts.fenced_at, host), f"{host} is fenced")
    for moment, (host, _) in dead.items():
        _kill(region.hacli(0), host, moment)

    hosts = [host for host, _ in dead.values()]
    first = _all(region.hacli(1), hosts, "--take-over")
    assert {ended.code for ended in first} <= {0, 3}, [str(ended) for ended in first]
    assert {code for ended in first for code in ended.failures.values()} <= {"VM_UNKNOWN"}
    _wait_until_settled(*first)
    again = _all(region.hacli(1), hosts)

    assert [ended.code for ended in again] == [0] * len(MOMENTS), [str(ended) for ended in again]
    for host, servers in dead.values():
        scene.each_runs_once_elsewhere(servers, source=host)
        scene.asked_once(servers)


def _recover(host: str) -> tuple[str, ...]:
    return ("recover", host, "--yes", "--allow-storm", "-o", "jsonl")


def _boot(scene: Scene, servers: int = SERVERS) -> tuple[str, tuple[str, ...]]:
    host = scene.fleet.take(others=1, but=scene.broken)
    scene.broken.add(host)
    return host, scene.boot(host, volumes=servers)


def _dead_host(
    scene: Scene, *, spawn_s: float = SPAWN_S, servers: int = SERVERS
) -> tuple[str, tuple[str, ...]]:
    """A fenced host with servers whose guests take some seconds to start elsewhere."""
    host, booted = _boot(scene, servers)
    hypervisors.tell(scene.plan, spawn_s=spawn_s)
    scene.lose(host)
    return host, booted


def _kill(hacli: HacliAt, host: str, moment: str) -> None:
    with hacli.begin(*_recover(host)) as running:
        running.when(lambda told: moment in told)
        assert running.running, running.end()
        running.kill()


def _all(hacli: HacliAt, hosts: list[str], *words: str) -> list[Ended]:
    """A run for each host, all at once."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(lambda host: hacli(*_recover(host), *words), hosts))


def _wait_until_settled(*ends: Ended) -> None:
    """Ten minutes; nothing when all is known."""
    if any(ended.failures for ended in ends):
        Event().wait(SETTLED_S)


def _finish(hacli: HacliAt, scene: Scene, host: str, servers: tuple[str, ...]) -> None:
    """The same command once more; nothing is left to do after it, and nothing was done twice."""
    ended = hacli(*_recover(host))
    assert ended.code == 0, ended
    scene.each_runs_once_elsewhere(servers, source=host)
    scene.asked_once(servers)
