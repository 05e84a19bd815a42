"""A region and the hacli processes that operators run in it, all in virtual time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hacli.cli.acting import lock_name
from hacli.domain.events import Errored, Event, RunEnded
from hacli.domain.hosts import ComputeHost, HostNames
from hacli.domain.policy import Policy
from hacli.domain.power import Bmc
from hacli.errors import HacliError
from hacli.lab.cloud_records import VmState
from hacli.lab.commands import Crash
from hacli.lab.nova_witness import NovaWitness
from hacli.lab.region import Region, RegionSettings
from hacli.lab.request_log import RequestLog
from hacli.ports import Journal, PowerSwitch, World
from hacli.service.enabling import Enabling, Switched, disable, find, start_run
from hacli.service.recovery import (
    Context,
    Options,
    Prepared,
    Recovered,
    Verb,
    carry_out,
    prepare,
    require_gates,
    require_same_way,
)
from tests.fakes.calls import CallLog
from tests.fakes.clock import FakeClock, Process, Stage
from tests.fakes.journal import JournalStore, Listener, MemoryJournal
from tests.fakes.laws import Errand, violations
from tests.fakes.locks import MachineLocks, MemoryLocks
from tests.fakes.machine import FakeMachine, Workplace
from tests.fakes.nova import FakeNova, Line
from tests.fakes.pacemaker import FakePacemaker
from tests.fakes.power import FakeSwitch
from tests.fakes.reports import Reports
from tests.fakes.scene import Observer
from tests.fakes.storage import FakeProbe, StorageLine, fake_cinder, fake_glance
from tests.fakes.tasks import FakeTasks

T = TypeVar("T")

START = 1_795_326_368.0  # 2026-11-22 05:46:08 UTC
RUNS_FOR_S = 5000.0
"""For so long the machines of the operators had run then."""
FEW_AT_ONCE = Policy(window=4)
"""So that a run lasts for more than one wave, and something can happen in its middle."""
CONTEXT = Context(user="op", controller="controller-1", version="0", arguments=("recover",))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One hacli process: its world, the faults of its ways, and what it wrote.

    The verbs do what the command line does with a service: journal, lock, the last event.
    """

    site: "Site"
    world: World
    clock: FakeClock
    process: Process
    nova: FakeNova
    storage: StorageLine
    pacemaker: FakePacemaker
    store: JournalStore
    policy: Policy
    typing_s: float  # how long the operator takes to type the host's name; 0 is ``--yes``
    context: Context

    @property
    def events(self) -> tuple[Event, ...]:
        """What is in the journal, of all runs, oldest first."""
        return tuple(stored.event for stored in self.store.events)

    def recover(self, name: str, verb: Verb = Verb.RECOVER, **choices: object) -> Recovered:
        """``recover``, or ``fence`` or ``evacuate``, from the first question to the last event."""
        context = replace(self.context, take_over=bool(choices.pop("take_over", False)))
        options = replace(options_of(verb, choices), context=context)
        prepared = self.prepare(name, options)
        require_gates(prepared, options)
        assert prepared.host.service is not None
        host = prepared.host.service.host
        journal = self.world.open_journal(verb.value, host)
        self.world.locks.acquire(host, run=journal.run)
        try:
            if self.typing_s:
                self.clock.wait(self.typing_s)
                asked, prepared = prepared, self.prepare(name, options)
                require_same_way(asked, prepared)
            result = self._recorded(
                journal,
                lambda: carry_out(
                    self.world, prepared, policy=self.policy, options=options, journal=journal
                ),
            )
        finally:
            self.world.locks.release(host)
            self.process.ended = True
        self.site.reports.ended(result)
        status = "ok" if result.complete else "partial"
        journal.record(RunEnded(status=status, exit_code=0, took_s=result.took_s))
        return result

    def prepare(self, name: str, options: Options | None = None) -> Prepared:
        """The questions alone, as a dry run asks them."""
        options = options or options_of(Verb.RECOVER, {})
        prepared = prepare(
            self.world,
            self.site.configured,
            name,
            policy=self.policy,
            options=options,
            history=self.store,
        )
        takes_over = options.context.take_over
        self._told(prepared.host, allowed=options.allowed, takes_over=takes_over)
        return prepared

    def _told(
        self,
        host: ComputeHost,
        *,
        allowed: frozenset[str] = frozenset(),
        takes_over: bool = False,
    ) -> None:
        """The operator has named this host to this process."""
        back = {alias: name for name, alias in self.site.aliases.items()}
        names = frozenset(back.get(name, name) for name in host.names)
        self.site.named |= names
        self.site.errands[self.process.name] = Errand(
            names=names,
            allowed=allowed,
            clustered=self.world.cluster is not None,
            takes_over=takes_over,
        )

    def refuse(self, name: str, choices: Options) -> None:
        """The questions, and the first objection raised; nothing is done."""
        require_gates(self.prepare(name, choices), choices)

    def enable(
        self, name: str, *, timeout_s: float = 600.0, adopt: bool = False, take_over: bool = False
    ) -> Switched:
        """``enable``, from the first question to the last event."""
        host, sources = find(self.world, self.site.configured, name)
        self._told(host, takes_over=take_over)
        with self._locked_journal("enable", host) as journal:
            run = start_run(
                self.world,
                host,
                sources,
                policy=self.policy,
                context=replace(self.context, take_over=take_over),
                journal=journal,
            )
            until = self.clock.monotonic() + timeout_s
            enabling = Enabling(run, until=until, adopt=adopt)
            switched = self._recorded(journal, enabling.enable)
        journal.record(RunEnded(status="ok", exit_code=0, took_s=0.0))
        return switched

    def disable(self, name: str, *, message: str | None = None) -> Switched:
        """``disable``, from the first question to the last event."""
        host, sources = find(self.world, self.site.configured, name)
        self._told(host)
        with self._locked_journal("disable", host) as journal:
            run = start_run(
                self.world, host, sources, policy=self.policy, context=self.context, journal=journal
            )
            switched = self._recorded(journal, lambda: disable(run, message=message))
        journal.record(RunEnded(status="ok", exit_code=0, took_s=0.0))
        return switched

    @contextmanager
    def _locked_journal(self, op: str, host: ComputeHost) -> Iterator[Journal]:
        name = lock_name(host)
        journal = self.world.open_journal(op, name)
        self.world.locks.acquire(name, run=journal.run)
        try:
            yield journal
        finally:
            self.world.locks.release(name)

    def _recorded(self, journal: Journal, work: Callable[[], T]) -> T:
        try:
            return work()
        except HacliError as error:
            journal.record(
                Errored(
                    code=error.code,
                    what=error.what,
                    why=error.why,
                    state=error.state,
                    next=error.next_steps,
                )
            )
            journal.record(RunEnded(status="failed", exit_code=1, took_s=0.0))
            raise
        finally:
            self.process.ended = True


def options_of(verb: Verb, choices: Mapping[str, object]) -> Options:
    """What the operator chose; ``choices`` are fields of ``Options``."""
    return Options(verb=verb, context=CONTEXT, **choices)  # type: ignore[arg-type]


@dataclass
class Site:
    """A region, its time, and what everybody asked of it.

    ``planted`` names breaches that a test causes itself and the law checker must not report.
    """

    region: Region
    stage: Stage
    log: CallLog = field(default_factory=CallLog)
    requests: RequestLog = field(default_factory=RequestLog)
    aliases: Mapping[str, str] = field(default_factory=dict)  # machine -> its name in Nova
    configured: tuple[HostNames, ...] = ()
    workplaces: dict[str, Workplace] = field(default_factory=dict)
    store: JournalStore = field(default_factory=JournalStore)
    planted: tuple[str, ...] = ()
    rebuilt: frozenset[str] | None = frozenset()  # servers whose local disks were given up
    named: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)  # machines without a BMC that hacli can read
    errands: dict[str, Errand] = field(default_factory=dict)  # of each process
    processes: int = 0

    def __post_init__(self) -> None:
        self.log.observer = Observer(self.region)
        back = {alias: name for name, alias in self.aliases.items()}
        self.reports = Reports(self.region, back)

    def operator(
        self,
        *,
        policy: Policy | None = None,
        store: JournalStore | None = None,
        at: str = "controller-1",
        dies_at: int | None = None,
        clustered: bool = True,
        probed: bool = True,
        workers: int = 64,
        typing_s: float = 0.0,
        listeners: tuple[Listener, ...] = (),
    ) -> Operator:
        """Start hacli once more, by default on the controller where it always runs."""
        self.processes += 1
        process = Process(f"hacli-{self.processes}", dies_at=dies_at)
        place = self.workplace(at)
        machine = FakeMachine(place, process)
        clock = FakeClock(self.stage, process, boot=place.boot, booted_at=place.booted_at)
        line = Line(
            region=self.region,
            clock=clock,
            process=process,
            log=self.log,
            requests=self.requests,
            witness=NovaWitness(self.region.cloud),
            aliases=self.aliases,
        )
        nova = FakeNova(line)
        storage = StorageLine(
            region=self.region, clock=clock, process=process, log=self.log, aliases=self.aliases
        )
        pacemaker = FakePacemaker(self.region, clock, process, self.log, machine)
        file = self.store if store is None else store

        heard_by = (self.reports.hear, *listeners)

        def open_journal(op: str, host: str) -> Journal:
            return MemoryJournal(
                file, op=op, host=host, clock=clock, process=process, listeners=heard_by
            )

        def switch(bmc: Bmc) -> PowerSwitch:
            machine = self.region.names[int(bmc.address.rpartition(".")[2]) - 1]
            return FakeSwitch(bmc, machine, self.region, clock=clock, process=process, log=self.log)

        world = World(
            cluster=pacemaker if clustered else None,
            compute=nova,
            volumes=fake_cinder(storage),
            images=fake_glance(storage),
            probe=FakeProbe(storage) if probed else None,
            switch=switch,
            open_journal=open_journal,
            locks=MemoryLocks(place.locks, process),
            machine=machine,
            clock=clock,
            tasks=FakeTasks(self.stage, clock, process, limit=workers),
        )
        return Operator(
            site=self,
            world=world,
            clock=clock,
            process=process,
            nova=nova,
            storage=storage,
            pacemaker=pacemaker,
            store=file,
            policy=policy or FEW_AT_ONCE,
            typing_s=typing_s,
            context=replace(CONTEXT, controller=at),
        )

    @property
    def locks(self) -> MachineLocks:
        """Of the controller where hacli always runs."""
        return self.workplace("controller-1").locks

    def workplace(self, name: str) -> Workplace:
        """A machine on which operators work: a controller, or ``workstation``."""
        is_controller = name.startswith("controller-")
        place = Workplace(name, booted_at=START - RUNS_FOR_S, is_controller=is_controller)
        return self.workplaces.setdefault(name, place)

    def at_work(self, host: str) -> bool:
        """Whether a process that was told of this host lives, wherever it is."""
        return any(
            process.lives and host in self.errands[process.name].names
            for place in self.workplaces.values()
            for process in place.processes
            if process.name in self.errands
        )

    def other_controller(self) -> JournalStore:
        """The empty journal of a controller on which hacli has never run."""
        return JournalStore(runs=1000 * (self.processes + 1))

    @property
    def now(self) -> float:
        """The region's time."""
        return self.region.timeline.now

    def pass_time(self, seconds: float) -> None:
        """Let time go by while nobody does anything."""
        self.stage.sleep(seconds)

    def until(self, is_so: Callable[[], bool], *, within: float = 600.0) -> float:
        """Let time go by until it is so; returns how long that took."""
        began = self.now
        while not is_so():
            assert self.now - began < within, f"not so within {within:g} s"
            self.stage.sleep(0.1)
        return self.now - began

    def after(self, seconds: float, deed: Callable[[], object]) -> None:
        """Somebody does something later, whatever hacli is doing then."""

        def do() -> None:
            deed()

        self.region.timeline.after(seconds, do)

    def beside(
        self, after_s: float, operator: Operator, play: Callable[[Operator], object]
    ) -> None:
        """An operator works at the same time as others, from then on."""
        actor = self.stage.actor(operator.process, lambda: (play(operator), None)[1])
        self.after(after_s, actor.resume)

    def when(self, is_so: Callable[[], bool], deed: Callable[[], object]) -> None:
        """Somebody does something as soon as it is so, whatever hacli is doing then."""

        def look() -> None:
            if is_so():
                deed()
            else:
                self.after(0.1, look)

        look()

    def lose(self, host: str) -> None:
        """The host's kernel panics, and Pacemaker finds out and fences it."""
        self.region.apply(Crash(host=host))
        self.until(lambda: bool(self.region.cluster.nodes[host].node_fenced))

    def switch_by_pdu(self, *hosts: str) -> None:
        """Pacemaker switches these hosts off by a device in which hacli finds no BMC to read."""
        cib = self.region.cluster.cib
        self.unread |= {*hosts}
        devices = {device for host in hosts for device in cib.devices_for(host)}
        for device in cib.root.iter("primitive"):
            if device.get("id") in devices:
                device.set("type", "fence_apc")
        cib.edited()

    def seed(
        self,
        host: str,
        servers: int,
        *,
        stopped: int = 0,
        local: int = 0,
        prefix: str = "vm",
    ) -> tuple[str, ...]:
        """Servers on a host, volume-backed and running but for the last few; returns their ids."""
        ids = []
        for number in range(servers):
            is_local = number < local
            is_stopped = number >= servers - stopped
            server = self.region.cloud.add_server(
                f"{prefix}-{number:04d}",
                host,
                volume=not is_local,
                state=VmState.STOPPED if is_stopped else VmState.ACTIVE,
            )
            ids.append(server.id)
        return tuple(ids)

    def running(self, *servers: str) -> dict[str, tuple[str, ...]]:
        """On which machines each server really runs."""
        return {server: self.region.machines.running_on(server) for server in servers}

    def close(self) -> None:
        """End all threads, then hold the laws against what happened."""
        self.stage.close()
        left = self.violations()
        assert not left, "\n".join(left)

    def violations(self) -> list[str]:
        """Every breach of the laws so far, but for those that the test has planted."""
        found = violations(
            self.region,
            requests=self.requests,
            calls=self.log,
            named=self.named,
            errands=self.errands,
            rebuilt=self.rebuilt,
            unread=self.unread,
        )
        return [
            text
            for text in (*found, *self.reports.wrong)
            if not any(part in text for part in self.planted)
        ]


def new_site(
    *names: str,
    settings: RegionSettings | None = None,
    aliases: Mapping[str, str] | None = None,
    configured: tuple[HostNames, ...] = (),
) -> Site:
    """A healthy region of these hosts (by default four) in which nobody has done anything yet."""
    hosts = names or ("compute-1", "compute-2", "compute-3", "compute-4")
    region = Region(hosts, start=START, settings=settings)
    region.cluster.point_fence_devices(
        {host: (f"192.0.2.{number}", 623) for number, host in enumerate(hosts, start=1)}
    )
    site = Site(
        region=region,
        stage=Stage(region.timeline),
        aliases=aliases or {},
        configured=configured,
    )
    site.pass_time(30.0)
    return site
