"""Three controllers, as sites have them: any of them may work, and one that is alone may not."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.cluster_facts import ClusterFacts
from tests.system.hacli_runs import HacliAt
from tests.system.stack import guests, network
from tests.system.stack.api import CloudApi
from tests.system.stack.machine import Machine
from tests.system.stack.plan import Plan
from tests.system.stack.processes import run
from tests.system.stack.session import stack_of
from tests.system.stack.stack import Stack
from tests.system.stack.waiting import wait_until

pytestmark = pytest.mark.timeout(600)

LOST_WITHIN_S = 120.0


@dataclass(frozen=True)
class Region:
    """A stack with three controllers."""

    stack: Stack
    facts: ClusterFacts
    api: CloudApi
    folder: Path

    def hacli(self, number: int) -> HacliAt:
        """The one of a controller, the first is 0."""
        return HacliAt(self.stack.cluster.controllers[number].command, self.folder)

    def lose(self, host: str) -> None:
        """Its kernel panics, and the cluster fences it."""
        Machine(self.stack.plan, host).crash()
        wait_until(
            lambda: self.facts.fenced_at(host),
            f"{host} is fenced",
            within_s=LOST_WITHIN_S,
            every_s=0.5,
        )

    def split_off(self, number: int) -> None:
        """One controller hears no other any more; the cloud and the BMCs are within its reach."""
        plan = self.stack.plan
        alone = plan.namespace(plan.controller_names[number])
        for name in plan.controller_names:
            if name != plan.controller_names[number]:
                lost = f"{plan.management_address(name)}/32"
                run(("ip", "-n", alone, "route", "add", "blackhole", lost))


@pytest.fixture(scope="module")
def region(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Region]:
    """Its own stack, beside the session's; programs come from the session's cache."""
    session = Path(request.config.getoption("--stack")).resolve()
    folder = session / "three"
    folder.mkdir(parents=True, exist_ok=True)
    cache = session / "cache"
    cache.mkdir(exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(cache)
    plan = Plan(folder=folder, name="three", controllers=3, hosts=3)
    with (
        stack_of(plan) as stack,
        network.joined(plan.namespace(plan.controller_names[0])),
    ):
        stack.cluster.wait_until_healthy()
        facts = ClusterFacts(stack.cluster)
        yield Region(stack, facts, CloudApi(plan), tmp_path_factory.mktemp("runs"))
    shutil.rmtree(folder)


def test_each_controller_shows_the_same_region(region: Region) -> None:
    """Whichever an operator has logged in to."""
    seen = [region.hacli(number)("status") for number in range(3)]

    assert [ended.code for ended in seen] == [0, 0, 0], seen
    assert all("OK: all 3 hosts are ready." in ended.out for ended in seen)


def test_a_controller_without_the_others_may_not_act_and_the_others_may(region: Region) -> None:
    """Law L9: the minority refuses and changes nothing; the majority recovers."""
    host = region.stack.plan.host_names[0]
    servers = region.api.boot_servers(host, volumes=3, ports=False)
    region.split_off(2)
    region.lose(host)

    alone = region.hacli(2)("recover", host, "--yes", "-o", "jsonl")
    assert (alone.code, alone.error_code) == (4, "NO_QUORUM"), alone
    assert region.api.evacuations(host) == ()
    ended = region.hacli(1)("recover", host, "--yes", "-o", "jsonl")

    assert ended.code == 0, ended
    truth = guests.running(region.stack.plan)
    assert all(len(truth[s]) == 1 and truth[s] != (host,) for s in servers)
    assert guests.running_twice(region.stack.plan) == {}
