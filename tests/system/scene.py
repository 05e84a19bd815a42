"""One scenario on the real stack: what is done to it, what hacli tells, and what is true.

The truth is counted outside: guests are processes in the machine's /proc, disks are what the
hypervisors' driver wrote. Neither Nova nor hacli is asked for it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.system.cluster_facts import ClusterFacts
from tests.system.fleet import Fleet
from tests.system.hacli_runs import Ended, HacliAt
from tests.system.stack import guests, hypervisors
from tests.system.stack.api import CloudApi
from tests.system.stack.bmc import Bmc, Mode
from tests.system.stack.machine import Machine
from tests.system.stack.network import Net, Network
from tests.system.stack.plan import CLOUD_NODE, Plan
from tests.system.stack.waiting import wait_until

LOOK_EVERY_S = 0.2
BOOTED_WITHIN_S = 900.0
"""A hundred at once, on a busy machine."""
LOST_WITHIN_S = 150.0
REQUEST_MARK = '" status: '
"""In each line that Nova writes for a request that it has answered."""


@dataclass
class Watch:
    """Counts guests all the time, so that one which ran twice for a moment is seen, too."""

    plan: Plan
    twice: dict[str, tuple[str, ...]] = field(default_factory=dict)
    looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count in the background."""
        thread = threading.Thread(target=self._look_on, name="guest-watch")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            self.twice.update(guests.running_twice(self.plan))
            self.looks += 1


@dataclass
class Scene:
    """What a scenario has in hand."""

    plan: Plan
    facts: ClusterFacts
    api: CloudApi
    fleet: Fleet
    hacli: HacliAt
    watch: Watch
    began: float = field(default_factory=time.monotonic)
    broken: set[str] = field(default_factory=set)
    times: dict[str, float] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def take(self, wanted: str | None = None) -> str:
        """A well host, which this scenario will break."""
        host = self.fleet.take(wanted=wanted)
        self.broken.add(host)
        return host

    def machine(self, host: str) -> Machine:
        """The host as hardware."""
        return Machine(self.plan, host)

    def bmc(self, host: str, mode: Mode, *, seconds: float = 0.0) -> None:
        """Let its BMC behave so."""
        self.broken.add(host)
        Bmc(self.plan, host).behave(mode, seconds=seconds)

    def cut(self, host: str) -> None:
        """Pull the network cable of a host; what runs on it runs on."""
        Network(plan=self.plan).unplug(host, Net.MANAGEMENT)

    def keep_from_rejoining(self, host: str) -> None:
        """Whatever it does from now on, the cluster does not hear of it."""
        self.cut(host)

    def join(self, host: str) -> None:
        """Put it in again."""
        Network(plan=self.plan).plug(host, Net.MANAGEMENT)

    def boot(self, host: str, *, volumes: int = 0, images: int = 0) -> tuple[str, ...]:
        """Servers that run on a host; their guests are there."""
        service = self.plan.nova_name(host)
        servers = self.api.boot_servers(
            service, volumes=volumes, images=images, ports=False, within_s=BOOTED_WITHIN_S
        )
        assert self.running(servers) == dict.fromkeys(servers, (host,))
        return servers

    def running(self, servers: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """On which hosts each server's guest runs."""
        truth = guests.running(self.plan)
        return {server: truth.get(server, ()) for server in servers}

    def lose(self, host: str) -> None:
        """Its kernel panics; Pacemaker finds out and fences it."""
        self.mark("lost")
        self.machine(host).crash()
        self.wait_until_fenced(host)

    def wait_until_unclean(self, host: str) -> None:
        """Until Pacemaker knows that it is lost."""
        self.wait(lambda: self.facts.is_unclean(host), f"{host} is unclean")
        self.mark("unclean")

    def wait_until_fenced(self, host: str) -> None:
        """Until Pacemaker has fenced it, for this outage."""
        before = self.facts.fenced_at(host)
        self.wait(lambda: self.facts.fenced_at(host) not in (0, before), f"{host} is fenced")
        self.mark("fenced")

    def wait(self, is_so: Callable[[], object], what: str, within_s: float = LOST_WITHIN_S) -> None:
        """Until it is so."""
        wait_until(is_so, what, within_s=within_s, every_s=0.3)

    def mark(self, moment: str) -> None:
        """Note when something was first seen, for the scenario's line of times."""
        self.times.setdefault(moment, time.monotonic() - self.began)

    def recover(self, host: str, *words: str) -> Ended:
        """``hacli recover``, told as events; its steps are noted."""
        self.times["recover"] = time.monotonic() - self.began
        ended = self.hacli("recover", host, "--yes", "-o", "jsonl", *words)
        self.times["recovered"] = time.monotonic() - self.began
        return ended

    def tell(self, ended: Ended) -> None:
        """Have the times from the loss to the last server verified printed, by phase."""
        lost = self.times.get("lost", 0.0)
        moments = [f"{moment} {at - lost:.1f}" for moment, at in self.times.items() if at >= lost]
        steps = [f"{step} {took:.1f}" for step, took in ended.phases.items()]
        self.told.append(f"{', '.join(moments)}; steps: {', '.join(steps)}")

    def came_back(self, servers: tuple[str, ...], ended: Ended, *, source: str) -> None:
        """Each server runs once, elsewhere, where Nova and hacli say, in its former state."""
        truth, told = self.running(servers), ended.ends
        names = {self.plan.nova_name(host): host for host in self.plan.host_names}
        for server in servers:
            record = self.api.server(server)
            host = names[record["OS-EXT-SRV-ATTR:host"]]
            assert host != source, ended
            assert truth[server] == (host,), (server, truth[server], str(ended))
            assert told[server][0] == "verified", (told, str(ended))
            assert told[server][1] == record["OS-EXT-SRV-ATTR:host"]
            assert (record["status"], record["OS-EXT-STS:task_state"]) == ("ACTIVE", None)
        self.asked_once(servers)

    def each_runs_once_elsewhere(self, servers: tuple[str, ...], *, source: str) -> None:
        """The truth alone, whatever any command told: once, not on the source, where Nova says."""
        truth = self.running(servers)
        names = {self.plan.nova_name(host): host for host in self.plan.host_names}
        nova = {s: names[self.api.server(s)["OS-EXT-SRV-ATTR:host"]] for s in servers}
        wrong = {s: (truth.get(s), host) for s, host in nova.items() if truth.get(s) != (host,)}
        assert not wrong, f"where it runs, and where Nova says: {wrong}"
        assert source not in nova.values()

    def nova_requests(self) -> int:
        """How many requests Nova's API has answered so far, whoever asked."""
        log = self.plan.node_folder(CLOUD_NODE) / "log" / "nova-api.log"
        return sum(REQUEST_MARK in line for line in log.read_text(errors="replace").splitlines())

    def asked_once(self, servers: tuple[str, ...]) -> None:
        """The hypervisors have started each guest once for its boot and once for its return."""
        spawned = [d.server for d in hypervisors.ledger(self.plan) if d.what == "spawn"]
        wrong = {s: spawned.count(s) for s in servers if spawned.count(s) != 2}
        assert not wrong, f"not started twice: {wrong}"

    def untouched(self, servers: tuple[str, ...], *, host: str) -> None:
        """Nothing was asked for: no evacuation, no force-down, each guest where it was."""
        service = self.plan.nova_name(host)
        moved = {record["instance_uuid"] for record in self.api.evacuations(service)}
        assert moved.isdisjoint(servers)
        assert self.api.services()[service]["forced_down"] is False
        assert self.running(servers) == dict.fromkeys(servers, (host,))


@contextmanager
def played(fleet: Fleet, hacli: HacliAt) -> Iterator[Scene]:
    """A scenario. No guest may have run twice at any time of it.

    What it broke begins to be mended when it ends.

    Args:
        hacli: The one that most of its commands are typed at.
    """
    plan = fleet.plan
    watch = Watch(plan)
    scene = Scene(
        plan=plan, facts=fleet.facts, api=fleet.api, fleet=fleet, hacli=hacli, watch=watch
    )
    try:
        with watch.watching():
            yield scene
            twice = guests.running_twice(plan)
    finally:
        hypervisors.tell(plan)
        fleet.mend(*scene.broken)
        fleet.clear(but=scene.broken)
    assert watch.looks > 0
    assert (twice, watch.twice) == ({}, {})
