"""The laws of hacli, checked against what really happened in a region.

Pure: ledger and request log in, violations out. The checker knows nothing of how hacli works; it
asks what was true at the moment of each request, and what the machines did.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hacli.lab.machines import LedgerEntry
from hacli.lab.region import ServerTruth
from hacli.lab.request_log import Deed, RequestRecord, Target

_LOOK_S = 180.0  # how long a trace of an uncertain request is looked for
_SETTLE_S = 600.0  # how old an untraced one must be before another run asks again


class Law(StrEnum):
    """The laws to which a region can bear witness, by their number in the design."""

    EVIDENCE = "L2"
    ONCE = "L4"
    DISKS = "L6"
    NAMED_ONLY = "L7"
    CUT_OFF = "cut off"  # no guest that runs is restarted
    TWICE = "twice"  # what all others are for: no server runs on two machines
    BACK = "back"  # a server that could come back did, as it was


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One law broken, in one sentence."""

    law: Law
    text: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is known of a run, and what it was allowed.

    Args:
        names: Servers' names by id, for the sentences.
        hosts: The only hosts that may be powered off or whose servers and services may be
            changed; None for all.
        rebuilt: Servers whose local disk the operator gave up; None for all.
        speed: The region's seconds per second of hacli's clock.
        grace_s: How long a machine may have had power again when a request comes: evidence is as
            old as the law allows (0: nobody switches anything on in this story).
        unread: Machines whose power nobody can read. One that somebody switches on is noticed when
            its system comes up; its guests are as dead as before until then.
    """

    ledger: Sequence[LedgerEntry]
    requests: Sequence[RequestRecord]
    names: Mapping[str, str] = field(default_factory=dict)
    hosts: Collection[str] | None = None
    rebuilt: Collection[str] | None = ()
    speed: float = 1.0
    grace_s: float = 0.0
    unread: Collection[str] = ()

    def name(self, server: str | None) -> str:
        """The server's name, or its id."""
        return self.names.get(server or "", server or "?")


def check(story: Story) -> tuple[Violation, ...]:
    """Every law that was broken; empty is what a test wants."""
    machines = MachineHistory(story.ledger)
    return (
        *_ran_twice(story),
        *_without_death(story, machines),
        *_asked_twice(story, machines),
        *_cut_off(story, machines),
        *_lost_disks(story),
        *_others_touched(story, machines),
    )


def check_recovery(
    host: str,
    ledger: Sequence[LedgerEntry],
    truth: Iterable[ServerTruth],
    *,
    left: Collection[str] = (),
) -> tuple[Violation, ...]:
    """Whether every server that lived on ``host`` in the beginning is where it should be.

    It runs exactly once, on another machine and from its own disk; a stopped one is defined there
    and does not run. Those ``left``, by id, are on ``host`` as they were, and nowhere else.
    """
    return tuple(
        Violation(law=Law.BACK, text=f"{server.name}: {wrong}")
        for server in _seeded_on(host, ledger, truth)
        for wrong in (_wrong_left if server.id in left else _wrong_recovered)(host, server)
    )


def sum_up_recovery(
    host: str,
    ledger: Sequence[LedgerEntry],
    truth: Iterable[ServerTruth],
    *,
    left: Collection[str] = (),
) -> str:
    """What ``check_recovery`` has found to be so, in one sentence."""
    seeded = _seeded_on(host, ledger, truth)
    back = [server for server in seeded if server.id not in left]
    stopped = sum(not server.originally_running for server in back)
    alone = ", ".join(server.name for server in seeded if server.id in left) or "none"
    return (
        f"{host}: running once, elsewhere, from their own disks: {len(back) - stopped}; "
        f"stopped as before, elsewhere: {stopped}; left alone: {alone}."
    )


def _seeded_on(
    host: str, ledger: Sequence[LedgerEntry], truth: Iterable[ServerTruth]
) -> tuple[ServerTruth, ...]:
    homes: dict[str, str] = {}
    for entry in ledger:
        if entry.server is not None:
            homes.setdefault(entry.server, entry.machine)
    return tuple(server for server in truth if homes.get(server.id) == host)


def _wrong_left(host: str, server: ServerTruth) -> Iterator[str]:
    if server.defined_on != (host,):
        yield f"is on {_list(server.defined_on)}, and was to be left on {host}"
    if server.lost_its_disk:
        yield "lost its local disk"


def _wrong_recovered(host: str, server: ServerTruth) -> Iterator[str]:
    if server.originally_running and len(server.running_on) != 1:
        yield f"runs on {_list(server.running_on)}"
    if not server.originally_running and server.running_on:
        yield f"was stopped, and runs on {_list(server.running_on)}"
    if host in server.running_on:
        yield f"runs on {host}"
    if not set(server.defined_on) - {host}:
        yield f"is on no machine but {host}"
    if server.lost_its_disk:
        yield f"is not on its own disk {server.original_disk}"


class MachineHistory:
    """What machines and guests were at a given time, told by the ledger."""

    def __init__(self, ledger: Sequence[LedgerEntry]) -> None:
        self._power: dict[str, list[LedgerEntry]] = defaultdict(list)
        self._guests: dict[str, list[LedgerEntry]] = defaultdict(list)
        self._falls: dict[str, set[float]] = defaultdict(set)
        self._boots: dict[str, list[float]] = defaultdict(list)
        for entry in ledger:
            if entry.what in ("power-off", "power-on"):
                self._power[entry.machine].append(entry)
            elif entry.server is not None:
                self._guests[entry.server].append(entry)
            if entry.what in ("power-off", "crashed"):
                self._falls[entry.machine].add(entry.at)
            elif entry.what == "booted":
                self._boots[entry.machine].append(entry.at)

    def alive_since(self, machine: str, at: float, *, unread: Collection[str]) -> float | None:
        """Since when the machine had power then, without a break; None when it had none.

        All machines begin with it. Of one whose power nobody can read: since when its system has
        been up, which is all that shows.
        """
        since: float | None = float("-inf")
        for entry in self._power[machine]:
            if entry.at > at:
                break
            since = entry.at if entry.what == "power-on" else None
        if since is None or since == float("-inf") or machine not in unread:
            return since
        return min((boot for boot in self._boots[machine] if since <= boot <= at), default=None)

    def fell(self, machine: str, at: float) -> bool:
        """Whether the machine's system ended in that instant, and every guest with it."""
        return at in self._falls[machine]

    def booted_since(self, machine: str, at: float) -> int:
        """How often the machine's system has come up after that."""
        return sum(boot > at for boot in self._boots[machine])

    def last_end(self, server: str, at: float) -> LedgerEntry | None:
        """How the server's guest came to rest by then; None while it executes, or has never."""
        told = (e for e in reversed(self._guests[server]) if e.at <= at)
        newest = next((e for e in told if e.what in ("guest-started", "guest-ended")), None)
        return newest if newest is not None and newest.what == "guest-ended" else None

    def homes(self, server: str | None, at: float) -> frozenset[str]:
        """Every machine that has held the server's guest by then."""
        return frozenset(e.machine for e in self._guests[server or ""] if e.at <= at)

    def running_on(self, server: str | None, at: float) -> frozenset[str]:
        """Where the server's guest executed."""
        running: set[str] = set()
        for entry in self._guests[server or ""]:
            if entry.at > at:
                break
            if entry.what == "guest-started":
                running.add(entry.machine)
            elif entry.what == "guest-ended":
                running.discard(entry.machine)
        return frozenset(running)


def _ran_twice(story: Story) -> Iterator[Violation]:
    """No server executes on two machines for any length of time."""
    running: dict[str, dict[str, float]] = defaultdict(dict)
    both: dict[str, tuple[float, str]] = {}
    for entry in story.ledger:
        if entry.server is None:
            continue
        where = running[entry.server]
        if entry.what == "guest-started":
            where[entry.machine] = entry.at
            if len(where) > 1:
                both.setdefault(entry.server, (entry.at, _list(where)))
        elif entry.what == "guest-ended":
            where.pop(entry.machine, None)
            if len(where) < 2 and entry.server in both:  # noqa: PLR2004 - "twice" is two
                since, machines = both.pop(entry.server)
                if entry.at > since:
                    lasted = f"for {entry.at - since:.1f} s"
                    yield _twice(story, entry.server, machines, lasted)
    for server, (_, machines) in both.items():
        yield _twice(story, server, machines, "still")


def _twice(story: Story, server: str, machines: str, lasted: str) -> Violation:
    return Violation(law=Law.TWICE, text=f"{story.name(server)} ran on {machines} {lasted}")


def _without_death(story: Story, machines: MachineHistory) -> Iterator[Violation]:
    """No force-down and no evacuation, refused ones included, of a machine that has power."""
    for record, target in _targets(story.requests):
        if target.deed not in (Deed.EVACUATE, Deed.FORCE_DOWN) or target.host is None:
            continue
        since = machines.alive_since(target.host, record.at, unread=story.unread)
        if since is not None and record.at - since > story.grace_s:
            whose = f" of {story.name(target.server)}" if target.server else ""
            text = f"{target.deed}{whose} was asked while {target.host} had power"
            yield Violation(law=Law.EVIDENCE, text=text)


def _asked_twice(story: Story, machines: MachineHistory) -> Iterator[Violation]:
    """No second request while the first may still come true, or its guest executes.

    One whose executor is the very host that is evacuated has ended with it.
    """
    last: dict[str | None, RequestRecord] = {}
    for record, target in _targets(story.requests):
        if target.deed is not Deed.EVACUATE:
            continue
        earlier = last.get(target.server)
        last[target.server] = record
        running = machines.running_on(target.server, record.at) - {_asked_for(record)}
        why = None
        unfinished = sorted({*target.open_evacuations} - {*target.stranded})
        if unfinished:
            why = f"while evacuation {unfinished[0]} of it was unfinished"
        elif earlier is not None and _uncertain(earlier, record.at, speed=story.speed):
            why = f"{record.at - earlier.at:.1f} s after a request of unknown fate"
        elif running:
            why = f"while it ran on {_list(running)}"
        if why is not None:
            text = f"evacuation of {story.name(target.server)} was asked {why}"
            yield Violation(law=Law.ONCE, text=text)


def _cut_off(story: Story, machines: MachineHistory) -> Iterator[Violation]:
    """No server is rebooted or started that executes: an outage that we would cause."""
    for record, target in _targets(story.requests):
        starts = target.deed is Deed.SERVER and {"reboot", "os-start"} & (record.body or {}).keys()
        running = machines.running_on(target.server, record.at)
        if starts and running:
            text = f"{story.name(target.server)} was restarted while it ran on {_list(running)}"
            yield Violation(law=Law.CUT_OFF, text=text)


def _asked_for(record: RequestRecord) -> str | None:
    """The destination that a request names: a copy that runs there cannot become a second one."""
    wish = (record.body or {}).get("evacuate")
    return wish.get("host") if isinstance(wish, dict) else None


def _uncertain(earlier: RequestRecord, at: float, *, speed: float) -> bool:
    """Whether the earlier request's asker could not know yet that nothing came of it."""
    if earlier.target is not None and earlier.target.migration is not None:
        return False  # its record tells
    if earlier.sent is not None and earlier.sent < 500:  # noqa: PLR2004 - an answer, not a 5xx
        return False
    needed = _SETTLE_S if earlier.sent is None else _LOOK_S
    return at - earlier.at < needed * speed


def _lost_disks(story: Story) -> Iterator[Violation]:
    """No guest gets another disk than its first, unless the operator gave that up."""
    first: dict[str, str | None] = {}
    for entry in story.ledger:
        if entry.server is None:
            continue
        known = first.setdefault(entry.server, entry.disk)
        given_up = story.rebuilt is None or entry.server in story.rebuilt
        if entry.what == "guest-started" and entry.disk != known and not given_up:
            text = f"{story.name(entry.server)} started on {entry.machine} with a new disk"
            yield Violation(law=Law.DISKS, text=text)


def _others_touched(story: Story, machines: MachineHistory) -> Iterator[Violation]:
    """Nothing is done to a host that nobody named, nor to servers that never lived on one."""
    if story.hosts is None:
        return
    named = frozenset(story.hosts)
    for entry in story.ledger:
        if entry.what == "power-off" and entry.machine not in named:
            yield Violation(law=Law.NAMED_ONLY, text=f"{entry.machine} was powered off")
    for record, target in _targets(story.requests):
        ours = {target.host} | machines.homes(target.server, record.at)
        if record.changed and not ours & named:
            what = story.name(target.server) if target.server else target.host
            text = f"{record.method} {target.deed} changed {what} of {target.host}"
            yield Violation(law=Law.NAMED_ONLY, text=text)


def _targets(requests: Iterable[RequestRecord]) -> Iterator[tuple[RequestRecord, Target]]:
    for record in requests:
        if record.target is not None:
            yield record, record.target


def _list(machines: Iterable[str]) -> str:
    return " and ".join(sorted(machines)) or "no machine"
