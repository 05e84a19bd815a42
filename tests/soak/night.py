"""One outage and the operator who mends it: commands again and again, by the rules of the docs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random

from hacli.domain.evacuation import Reason
from hacli.domain.events import Moment
from hacli.domain.past import fold_past
from hacli.domain.policy import Policy
from hacli.errors import HacliError, Interrupted
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud_records import Migration, MigrationStatus, Server, VmState
from hacli.lab.cloud_tables import Tables
from hacli.lab.commands import BreakBmc, PowerOff, PullPlug, Return
from hacli.lab.power_actions import PowerActions
from hacli.lab.rebuild import EvacuationOrder
from hacli.lab.region import Command
from hacli.service.recovery import Recovered, Verb
from tests.fakes.clock import Killed, Process
from tests.fakes.journal import JournalStore
from tests.fakes.world import Operator, Site
from tests.soak.troubles import SECOND, Mend, Scope, Trouble

LOST_WITHIN_S = 240.0
LASTS_S = (4.0, 30.0, 90.0)
AGAIN_S = 20.0
TRIES = 14
"""So often the command is run again before somebody says that it never ends."""
ENABLE_TRIES = 8
SETTLED_S = 600.0
"""After so long a request that has left no trace is asked for once more."""
CARRIED_OUT, KILLED = "carried out", "killed"
LONGEST_RUN_S = 3600.0
UNFENCEABLE = (
    "FENCE_UNREACHABLE",
    "FENCE_LOGIN",
    "FENCE_FAILED",
    "FENCE_MISSING",  # Pacemaker's fencing is off, and hacli knows no BMC
    "NOT_FENCED",
)
BY_STEPS, BY_HAND, ONCE_MORE = 0.1, 0.5, 0.3
"""How often somebody takes `fence` and `evacuate` for `recover`, cuts the power by hand, or types
the same command once more when the host is already coming back."""
LEFT_FOR_GOOD = frozenset({Reason.LOCAL_DISK, Reason.AFFINITY, Reason.STATE})


@dataclass(kw_only=True)
class Outage:
    """What happened in one outage, for the counts."""

    host: str
    first: str
    troubles: tuple[str, ...] = ()  # one for each run, as long as there are any
    struck: list[str] = field(default_factory=list)  # those that began while a run was under way
    runs: int = 0  # of the operator who mends it
    ends: list[str] = field(default_factory=list)  # how each run ended
    recovered: bool = False
    wrong: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Desk:
    """What the operators of one region share: its journals, and who works where."""

    site: Site
    dice: Random
    journals: Mapping[str, JournalStore]  # by controller
    windows: tuple[int, ...]
    lose: Callable[[str], None]
    neighbours: Callable[[], list[str]]


class Night:
    """One outage, from the failure to the host's return."""

    def __init__(self, desk: Desk, outage: Outage) -> None:
        self._desk = desk
        self._site = desk.site
        self._dice = desk.dice
        self._outage = outage
        self._host = outage.host
        self._troubles = list(outage.troubles)
        self._mends: list[Mend] = []
        self._at = desk.dice.choice(list(desk.journals))
        self._take_it_over = False
        self._allowed: frozenset[str] = frozenset()
        self._attested: str | None = None

    def play(self, first: Trouble | None) -> None:
        """All of it, on an actor of the region's stage."""
        if first is not None:
            self._mends.append(first(self._scope(self._operator())))
        self._wait_until_lost()
        self._outage.recovered = self._recover()
        if not self._outage.recovered:
            last = ", ".join(self._outage.ends[-3:])
            self._wrong(f"L8: {self._host} is never recovered: {last}")
        self._mend()
        if not self._take_back():
            self._wrong(f"L8: {self._host} is never taken back: {self._outage.ends[-1]}")

    def _wrong(self, text: str) -> None:
        self._outage.wrong.append(
            f"{text} ({', '.join((self._outage.first, *self._outage.troubles))})"
        )

    def _scope(self, operator: Operator) -> Scope:
        return Scope(
            site=self._site,
            host=self._host,
            dice=self._dice,
            operator=operator,
            lose=self._desk.lose,
            rival=self._rival,
            neighbours=self._desk.neighbours,
        )

    def _rival(self, host: str) -> None:
        """A colleague on some controller recovers a host, once, at the same time."""
        at = self._dice.choice(list(self._desk.journals))
        operator = self._site.operator(at=at, store=self._desk.journals[at])

        def play() -> None:
            self._outcome("colleague", lambda: operator.recover(host))

        actor = self._site.stage.actor(Process(f"colleague at {host}"), play)
        self._site.after(0.0, actor.resume)

    def _operator(self) -> Operator:
        policy = Policy(window=self._dice.choice(self._desk.windows), poll_s=2.0)
        operator = self._site.operator(
            at=self._at, store=self._desk.journals[self._at], policy=policy
        )
        operator.clock.ahead_s = self._dice.choice((0.0, 0.0, -2.0, 2.0))
        operator.nova.line.sends_date = self._dice.random() < 0.8
        return operator

    def _wait_until_lost(self) -> None:
        node, until = self._site.region.cluster.nodes[self._host], self._site.now + LOST_WITHIN_S
        while node.connected and not node.unclean and self._site.now < until:
            self._site.pass_time(1.0)
        self._site.pass_time(self._dice.uniform(0.0, 30.0))

    def _recover(self) -> bool:
        for attempt in range(TRIES):
            operator = self._operator()
            if self._troubles:
                self._strike_later(operator, self._troubles.pop(0))
            result = self._run("recover", partial(self._recover_once, operator))
            if isinstance(result, Recovered) and self._is_done(result):
                return True
            self._do_as_told(attempt)
        return False

    def _recover_once(self, operator: Operator) -> Recovered:
        def go(verb: Verb) -> Recovered:
            allowed, attested = self._allowed, self._attested
            return operator.recover(
                self._host,
                verb,
                allowed=allowed,
                attested=attested,
                take_over=self._take_it_over,
            )

        if self._dice.random() >= BY_STEPS:
            return go(Verb.RECOVER)
        go(Verb.FENCE)
        operator = self._operator()
        return go(Verb.EVACUATE)

    def _strike_later(self, operator: Operator, trouble: str) -> None:
        after_s, lasts_s = self._dice.triangular(0.0, 16.0, 3.0), self._dice.choice(LASTS_S)
        run = self._outage.runs + 1

        def strike() -> None:
            if self._outage.runs != run or len(self._outage.ends) == run:
                return  # that run is over
            if trouble == "host is back" and self._attested:
                return  # whoever has the cords in the hand does not plug them in
            self._outage.struck.append(trouble)
            mend = SECOND[trouble](self._scope(operator))
            self._mends.append(mend)
            self._site.after(lasts_s, mend)

        self._site.after(after_s, strike)

    def _run(self, verb: str, command: Callable[[], object]) -> object:
        """One command of this outage, and how it ended."""
        self._outage.runs += 1
        end, result = self._outcome(verb, command)
        self._outage.ends.append(f"{verb}: {end}")
        return result

    def _outcome(self, verb: str, command: Callable[[], object]) -> tuple[str, object]:
        """Whatever becomes of a command: a word for it, and its result if it has one."""
        began = self._site.now
        try:
            return CARRIED_OUT, command()
        except Killed:
            return KILLED, None
        except Interrupted:
            return "interrupted", None
        except HacliError as error:
            if not (error.what and error.code):
                self._wrong(f"L11: {verb} ended without a sentence")
            return error.code, None
        except Exception as error:  # noqa: BLE001 - law L11: whatever it is, it is no sentence
            self._wrong(f"L11: {verb} of {self._host} died of {error!r}")
            return type(error).__name__, None
        finally:
            if self._site.now - began > LONGEST_RUN_S:
                self._wrong(f"L11: {verb} of {self._host} took {self._site.now - began:.0f} s")

    def _is_done(self, result: Recovered) -> bool:
        """Nothing is left on the host but what stays there for good, or the host is back itself."""
        if result.in_place:
            return not result.evacuated.failed
        stays = {s.server.id for s in result.evacuated.skips if s.reason in LEFT_FOR_GOOD}
        left = {server.id for server in self._tables.servers_on(self._host)}
        return result.evacuated.unsure is None and left <= stays

    @property
    def _tables(self) -> Tables:
        return self._site.region.cloud.tables

    def _do_as_told(self, attempt: int) -> None:
        """What the State and next lines tell the operator to do before the next run."""
        end = self._outage.ends[-1].partition(": ")[2]
        if end == "TOO_MANY_DOWN":
            self._allowed |= {"--allow-storm"}
        elif end == "LOCKED":
            self._take_it_over = not self._site.at_work(self._host)
        elif end in ("HOST_HEALTHY", "SIGN_OF_LIFE"):
            self._switch_off(PowerOff(host=self._host))
        elif end in UNFENCEABLE and self._dice.random() < BY_HAND:
            self._switch_off(PullPlug(host=self._host))
            self._attested = "both cords are in my hand"
        elif end == "HOST_RETURNED":
            self._run("enable", partial(self._operator().enable, self._host))
        if attempt >= 3 and self._has_open_questions():
            self._site.pass_time(SETTLED_S)
        if attempt >= 1 and end == CARRIED_OUT:
            self._cure_by_hand(stuck=attempt >= 3)
        if attempt >= 2:
            self._mend()
        if self._dice.random() < 0.3 and (end == KILLED or not self._has_open_questions()):
            self._take_over()
        self._site.pass_time(self._dice.uniform(1.0, AGAIN_S))

    def _has_open_questions(self) -> bool:
        """A run that has ended leaves no claim: what became of its requests only its journal asks.

        Then docs/safety.md tells to run it again there. A killed one has left its claim.
        """
        events = self._desk.journals[self._at].read_events(host=self._host)
        place, now = self._site.workplace(self._at), self._site.now
        moment = Moment(
            time=datetime.fromtimestamp(now, UTC), boot=place.boot, uptime_s=now - place.booted_at
        )
        past = fold_past(events, now=moment).values()
        return any(one.known_ids is not None and not one.accepted for one in past)

    def _switch_off(self, command: Command) -> None:
        self._site.region.apply(command)
        self._wait_until_lost()

    def _take_over(self) -> None:
        """Go on from another controller, at once."""
        self._at = self._dice.choice(list(self._desk.journals))

    def _cure_by_hand(self, *, stuck: bool) -> None:
        """docs/safety.md, "When a server is stuck": look, end what was left, evacuate it once."""
        for server in self._tables.servers_on(self._host):
            opened = [m for m in self._records_of(server) if m.status in _OPEN]
            if server.image is not None or (opened and not stuck):
                continue
            if not opened and server.vm_state is not VmState.ERROR:
                continue
            self._evacuate_by_hand(server)

    def _evacuate_by_hand(self, server: Server) -> None:
        region = self._site.region
        for machine in region.machines:
            if machine.name != self._host and server.id in machine.guests:
                region.machines.destroy_guest(machine, server.id)
        for record in self._records_of(server):
            if record.status in _OPEN:
                self._tables.set_status(record, MigrationStatus.ERROR)
        region.cloud.evacuations.faults.stuck.pop(server.id, None)
        service = self._tables.compute_service(self._host)
        if service is not None and service.forced_down:
            action = self._tables.record_action(server, "evacuate", request_id=f"req-{server.id}")
            region.cloud.evacuations.accept(
                EvacuationOrder(server=server, action=action, former=server.vm_state)
            )

    def _records_of(self, server: Server) -> list[Migration]:
        return [m for m in self._tables.migrations if m.server == server.id]

    def _mend(self) -> None:
        """Everything that was broken for this outage works again, but the host."""
        mends, self._mends = self._mends, []
        for mend in mends:
            mend()
        self._site.region.apply(BreakBmc(host=self._host, fault=BmcFault.OK))

    def _take_back(self) -> bool:
        self._site.region.apply(Return(host=self._host))
        self._site.pass_time(self._dice.uniform(0.0, 60.0))
        if self._dice.random() < ONCE_MORE:
            self._run("once more", partial(self._recover_once, self._operator()))
            self._site.region.apply(Return(host=self._host))
        for _ in range(ENABLE_TRIES):
            operator, over = self._operator(), not self._site.at_work(self._host)
            enable = partial(operator.enable, self._host, take_over=over)
            if self._run("enable", enable) is not None:
                self._start_what_stayed()
                return True
            self._site.pass_time(AGAIN_S)
            self._site.region.apply(Return(host=self._host))
        return False

    def _start_what_stayed(self) -> None:
        """The servers that were left alone ran before; their operator starts them."""
        region = self._site.region
        powers, machine = PowerActions(region.cloud), region.machines[self._host]
        for server in self._tables.servers_on(self._host):
            guest = machine.guests.get(server.id)
            ran = region.cloud.origins[server.id].running
            if guest is not None and not guest.running and ran:
                action = self._tables.record_action(server, "reboot", request_id="req-reboot")
                powers.hard_reboot(server, action)


_OPEN = frozenset({MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING})
