"""Random worlds, faults, operators and clocks: whatever they do, and in whatever order, no law
breaks.

hypothesis draws the steps and shrinks those that break one. Everything is in virtual time; truth is
the region's ledger, and what hacli says of itself is held against it (``tests/fakes/laws.py``,
``tests/fakes/reports.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hacli.domain.policy import Policy
from hacli.errors import HacliError
from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import RebootAction
from hacli.lab.cloud_records import VmState
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.commands import BreakBmc, PowerOff, Return
from hacli.lab.region import RegionSettings
from hacli.service.recovery import Verb
from tests.fakes.clock import Killed, Process
from tests.fakes.journal import JournalStore
from tests.fakes.world import Operator, Site, new_site
from tests.soak.troubles import FIRST, SECOND, Mend, Scope

LONGEST_S = 3600.0
CONTROLLERS = 2
LONG_OUTAGE_S = 120.0

hosts = st.integers(min_value=0, max_value=3)
controllers = st.integers(min_value=0, max_value=CONTROLLERS - 1)
seconds = st.sampled_from((0.5, 3.0, 11.0, 35.0, 90.0))


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How somebody works on a host, and what goes wrong meanwhile."""

    verb: Verb
    controller: int
    window: int
    allowed: frozenset[str]
    trouble: str | None  # from ``after_s`` on, for ``lasts_s``
    after_s: float
    lasts_s: float
    take_over: bool  # where nobody is at work
    dies_at: int | None  # the moment at which the process is killed


shifts = st.builds(
    Shift,
    verb=st.sampled_from((Verb.RECOVER, Verb.RECOVER, Verb.FENCE, Verb.EVACUATE)),
    controller=controllers,
    window=st.sampled_from((1, 4, 32)),
    allowed=st.frozensets(st.sampled_from(("--allow-storm", "--allow-no-room"))),
    trouble=st.none() | st.sampled_from(sorted(SECOND)),
    after_s=seconds,
    lasts_s=seconds,
    take_over=st.booleans(),
    dies_at=st.none() | st.integers(min_value=1, max_value=120),
)


class Operators(RuleBasedStateMachine):
    """One small cloud, and people who break and mend it."""

    examples = 0
    commands = 0
    site: Site

    @initialize(
        servers=st.lists(st.tuples(hosts, st.booleans(), st.booleans()), min_size=3, max_size=14),
        reboot_action=st.sampled_from(RebootAction),
        spawn_s=st.sampled_from((0.5, 2.0, 12.0)),
        pdus=st.sampled_from((0, 0, 1, 4)),
    )
    def found_a_cloud(
        self,
        servers: list[tuple[int, bool, bool]],
        reboot_action: RebootAction,
        spawn_s: float,
        pdus: int,
    ) -> None:
        """Four hosts, and some servers: running or stopped, on a volume or a local disk.

        Some hosts have no BMC that hacli can read: Pacemaker switches them by a PDU.
        """
        type(self).examples += 1
        self.site = new_site(
            settings=RegionSettings(
                cloud=CloudSettings(spawn_seconds=spawn_s),
                cluster=ClusterSettings(reboot_action=reboot_action, controllers=CONTROLLERS),
            )
        )
        self.site.switch_by_pdu(*self.site.region.names[:pdus])
        apart = self.site.region.cloud.add_group("apart", "anti-affinity")
        for number, (host, stopped, local) in enumerate(servers):
            self.site.region.cloud.add_server(
                f"vm-{number}",
                self._name(host),
                volume=not local,
                state=VmState.STOPPED if stopped else VmState.ACTIVE,
                group=apart if number < CONTROLLERS else None,
            )
        self.journals = [self.site.store, JournalStore(runs=0x100000)]
        self.mends: list[Mend] = []
        self.wrong: list[str] = []

    def _name(self, number: int) -> str:
        return self.site.region.names[number]

    def _operator(self, controller: int, window: int = 4) -> Operator:
        type(self).commands += 1
        return self.site.operator(
            at=f"controller-{controller + 1}",
            store=self.journals[controller],
            policy=Policy(window=window, poll_s=1.0),
        )

    def _scope(self, operator: Operator, host: str) -> Scope:
        return Scope(
            site=self.site,
            host=host,
            dice=Random(len(self.site.log.calls)),
            operator=operator,
            lose=lambda name: self.break_host(self.site.region.names.index(name), "panic"),
            rival=lambda name: self._beside(name, operator),
            neighbours=lambda: [name for name in self.site.region.names if name != host],
        )

    def _beside(self, host: str, operator: Operator) -> None:
        """A colleague at the other controller, at the same time."""
        rival = self._operator(1 - self.journals.index(operator.store))
        actor = self.site.stage.actor(
            Process("colleague"), lambda: self._try(lambda: rival.recover(host))
        )
        self.site.after(0.0, actor.resume)

    def _try(self, command: Callable[[], object]) -> None:
        """A command may be refused, stopped or killed; it may not fail without a sentence."""
        began = self.site.now
        try:
            command()
        except Killed:
            pass
        except HacliError as error:
            if not (error.what and error.code):
                self.wrong.append("L11: an error without a sentence")
        except Exception as error:  # noqa: BLE001 - law L11: whatever it is, it is no sentence
            self.wrong.append(f"L11: a command died of {error!r}")
        if self.site.now - began > LONGEST_S:
            self.wrong.append(f"L11: a command took {self.site.now - began:.0f} s")

    @rule(host=hosts, first=st.sampled_from(sorted(FIRST)))
    def break_host(self, host: int, first: str) -> None:
        """A host fails in one of the ways in which hosts fail."""
        scope = self._scope(self._operator(0), self._name(host))
        self.mends.append(FIRST[first](scope))

    @rule(time=st.sampled_from((5.0, 30.0, 60.0, LONG_OUTAGE_S)))
    def let_time_pass(self, time: float) -> None:
        """Nobody does anything."""
        self.site.pass_time(time)

    @rule(host=hosts, shift=shifts)
    def work_on(self, host: int, shift: Shift) -> None:
        """Somebody recovers, fences or evacuates; something goes wrong meanwhile; it may die."""
        name = self._name(host)
        operator = self._operator(shift.controller, shift.window)
        operator.process.dies_at = shift.dies_at
        self.site.after(shift.after_s, lambda: self._strike(operator, name, shift))
        over = shift.take_over and not self.site.at_work(name)
        self._try(lambda: operator.recover(name, shift.verb, allowed=shift.allowed, take_over=over))
        operator.process.kill()

    def _strike(self, operator: Operator, host: str, shift: Shift) -> None:
        if operator.process.dead or shift.trouble is None:
            return
        mend = SECOND[shift.trouble](self._scope(operator, host))
        self.mends.append(mend)
        self.site.after(shift.lasts_s, mend)

    @rule(host=hosts, controller=controllers)
    def pull_the_plug_and_say_so(self, host: int, controller: int) -> None:
        """The BMC is gone; a person cuts the power and attests it."""
        name = self._name(host)
        self.site.region.apply(BreakBmc(host=name, fault=BmcFault.SILENT))
        self.site.region.apply(PowerOff(host=name))
        self.site.pass_time(LONG_OUTAGE_S)
        operator = self._operator(controller)
        self._try(lambda: operator.recover(name, attested="both cords are in my hand"))

    @rule(host=hosts, controller=controllers)
    def want_a_healthy_host_off_behind_a_lying_bmc(self, host: int, controller: int) -> None:
        """It acknowledges and reads OFF, and the host lives on: its own signs must save it."""
        name = self._name(host)
        machine = self.site.region.machines[name]
        if not machine.answers or not self.site.region.cluster.nodes[name].connected:
            return
        self.site.region.apply(BreakBmc(host=name, fault=BmcFault.LIAR))
        operator = self._operator(controller)
        self._try(lambda: operator.recover(name, allowed=frozenset({"--allow-healthy"})))
        self.site.region.apply(BreakBmc(host=name, fault=BmcFault.OK))
        self.site.pass_time(LONG_OUTAGE_S)

    @rule(host=hosts, controller=controllers, returns=st.booleans())
    def take_back(self, host: int, controller: int, *, returns: bool) -> None:
        """Somebody enables a host, repaired or not."""
        name = self._name(host)
        if returns:
            self.site.region.apply(Return(host=name))
        operator = self._operator(controller)
        self._try(lambda: operator.enable(name, timeout_s=200.0))

    @rule(host=hosts, controller=controllers)
    def keep_new_servers_away(self, host: int, controller: int) -> None:
        """Somebody disables a host."""
        operator = self._operator(controller)
        self._try(lambda: operator.disable(self._name(host), message="disks are changed"))

    @precondition(lambda self: bool(self.mends))
    @rule()
    def mend(self) -> None:
        """Everything that was broken works again, but the hosts."""
        mends, self.mends = self.mends, []
        for one in mends:
            one()
        for name in self.site.region.names:
            self.site.region.apply(BreakBmc(host=name, fault=BmcFault.OK))

    @invariant()
    def no_law_is_broken(self) -> None:
        """By the ledger, by every order, by every report."""
        if hasattr(self, "site"):
            broken = [*self.site.violations(), *self.wrong]
            assert not broken, "\n".join(broken)

    def teardown(self) -> None:
        """End the threads."""
        if hasattr(self, "site"):
            self.site.stage.close()
