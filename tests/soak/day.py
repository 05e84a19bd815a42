"""A day of a region in which hosts fail all the time: seeded, in virtual time, counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from hacli.lab.cib import RebootAction
from hacli.lab.cloud_records import VmState
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.region import RegionSettings
from tests.fakes.clock import Process
from tests.fakes.journal import JournalStore
from tests.fakes.world import new_site
from tests.soak.night import Desk, Night, Outage
from tests.soak.troubles import FIRST, SECOND

HOUR_S = 3600.0
MOST = 3
AT_ONCE = 3
DRAIN_S = 4 * HOUR_S
"""How long the last outages of a day may take to their end."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a day is laid out. ``pause_s``: between two outages, on average."""

    seed: int
    hours: float = 24.0
    hosts: int = 8
    servers: int = 48
    pdus: int = 2  # so many hosts have no BMC that hacli can read
    pause_s: float = 145.0
    share: float = 0.65  # of the runs in which something else goes wrong, up to three in an outage
    storm_every: int = 60  # one outage in so many: most of the hosts lose their network together
    firsts: tuple[str, ...] = ()  # hosts fail in these ways only
    kinds: tuple[str, ...] = ()  # only these troubles beside the first
    reboots: bool = False  # Pacemaker fences by reboot: hosts are back before their operators
    windows: tuple[int, ...] = (2, 4, 32)  # of requests; a narrow one makes a long recovery


@dataclass
class Day:
    """One region, its outages, and what came of them."""

    plan: Plan
    outages: list[Outage] = field(default_factory=list)
    over: bool = False

    def __post_init__(self) -> None:
        self.dice = Random(self.plan.seed)
        names = tuple(f"compute-{number}" for number in range(1, self.plan.hosts + 1))
        action = RebootAction.REBOOT if self.plan.reboots else RebootAction.OFF
        cluster = ClusterSettings(controllers=3, reboot_action=action)
        self.site = new_site(*names, settings=RegionSettings(cluster=cluster))
        self._busy: set[str] = set()
        journals = {
            "controller-1": self.site.store,
            "controller-2": JournalStore(runs=0x100000),
            "controller-3": JournalStore(runs=0x200000),
        }
        self._desk = Desk(
            site=self.site,
            dice=self.dice,
            journals=journals,
            windows=self.plan.windows,
            lose=lambda host: self._begin(host, "panic"),
            neighbours=lambda: [name for name in names if name not in self._busy],
        )
        self.site.switch_by_pdu(*names[: self.plan.pdus])
        self._seed_servers(names)
        self._left_of_a_kind: list[str] = []

    def _seed_servers(self, names: tuple[str, ...]) -> None:
        cloud = self.site.region.cloud
        apart = cloud.add_group("apart", "anti-affinity")
        for number in range(self.plan.servers):
            stopped, local = number % 9 == 8, number % 10 == 9
            cloud.add_server(
                f"vm-{number:04d}",
                names[number % len(names)],
                volume=not local,
                state=VmState.STOPPED if stopped else VmState.ACTIVE,
                group=apart if number < 2 else None,
            )

    def run(self) -> None:
        """The whole day, and as long as its last outages take."""
        for _ in self.minutes():
            pass

    def minutes(self) -> Iterator[float]:
        """The same, minute by minute, for whoever wants to look in between."""
        self.site.after(1.0, self._fail_one)
        until = self._ends_at
        while self.site.now < until or (self._busy and self.site.now < until + DRAIN_S):
            self.site.pass_time(60.0)
            yield self.site.now
        self.over = True
        self.site.stage.close()

    def _fail_one(self) -> None:
        if self.site.now >= self._ends_at:
            return
        idle = self._desk.neighbours()
        if len(self._busy) < AT_ONCE and idle:
            if self.dice.randrange(self.plan.storm_every) == 0 and len(idle) == self.plan.hosts:
                for host in idle[:-2]:
                    self._begin(host, "network cut")
            else:
                troubles = self._draw_some()
                fullest = sorted(idle, key=self._servers_on)[-4:]
                self._begin(
                    self.dice.choice(fullest),
                    self.dice.choice(self.plan.firsts or tuple(FIRST)),
                    *troubles,
                )
        self.site.after(self.dice.uniform(0.2, 1.8) * self.plan.pause_s, self._fail_one)

    @property
    def _ends_at(self) -> float:
        return self.site.region.machines.ledger[0].at + self.plan.hours * HOUR_S

    def _draw(self) -> str:
        """Every kind of second trouble once, before any of them comes again."""
        if not self._left_of_a_kind:
            self._left_of_a_kind = list(self.plan.kinds or SECOND)
            self.dice.shuffle(self._left_of_a_kind)
        return self._left_of_a_kind.pop()

    def _servers_on(self, host: str) -> int:
        return len(self.site.region.cloud.tables.servers_on(host))

    def _draw_some(self) -> list[str]:
        """What else goes wrong: one thing in most outages, two or three in some."""
        drawn: list[str] = []
        while len(drawn) < MOST and self.dice.random() < self.plan.share:
            drawn.append(self._draw())
        return drawn

    def _begin(self, host: str, first: str, *troubles: str) -> None:
        self._busy.add(host)
        outage = Outage(host=host, first=first, troubles=troubles)
        self.outages.append(outage)
        night = Night(self._desk, outage)

        def play() -> None:
            night.play(FIRST[first])
            self._busy.discard(host)

        name = f"operator of outage {len(self.outages)}"
        actor = self.site.stage.actor(Process(name), play)
        self.site.after(0.0, actor.resume)

    def violations(self) -> list[str]:
        """Every breach of a law in this day, in words."""
        return [*self.site.violations(), *self._of_outages(), *self._astray()]

    def _of_outages(self) -> Iterator[str]:
        for outage in self.outages:
            yield from outage.wrong
        for host in sorted(self._busy if self.over else ()):
            yield f"L11: the outage of {host} has not ended"

    def _astray(self) -> Iterator[str]:
        """When all is over, every server is where it should be, once."""
        if self._busy or not self.over:
            return
        for server in self.site.region.truth():
            row = self.site.region.cloud.tables.servers[server.id]
            if row.vm_state is VmState.ACTIVE and len(server.running_on) != 1:
                yield f"back: {server.name} is ACTIVE and runs on {server.running_on or 'nothing'}"
            elif row.vm_state is VmState.ACTIVE and server.running_on != (row.host,):
                yield f"back: {server.name} is on {row.host} for Nova, runs on {server.running_on}"
            elif server.lost_its_disk:
                yield f"L6: {server.name} is not on its own disk"

    @property
    def recoveries(self) -> int:
        """Outages that a recovery has brought to their end."""
        return sum(outage.recovered for outage in self.outages)

    @property
    def disturbed(self) -> int:
        """Those of them in which something else went wrong while a run was under way."""
        return sum(outage.recovered and bool(outage.struck) for outage in self.outages)

    def ends(self) -> Counter[str]:
        """How often a command ended how."""
        return Counter(end for outage in self.outages for end in outage.ends)

    def kinds_met(self) -> Counter[str]:
        """What went wrong while a run was under way, and how often."""
        return Counter(name for outage in self.outages for name in outage.struck)
