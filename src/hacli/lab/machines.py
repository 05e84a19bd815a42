"""The machines of the lab: chassis, operating systems, guests, and the ledger that is the truth.

A machine knows nothing of Nova or Pacemaker. Guests are started and ended here and nowhere else,
so that the ledger tells what really ran, whatever any API says.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class Timeline:
    """Simulated time in seconds since the epoch, and what is due in it.

    Only ``advance`` moves it, so that a test can let an hour pass in a millisecond and a lab
    process can let it follow the real clock.
    """

    def __init__(self, start: float) -> None:
        self.now = start
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do ``action`` when ``seconds`` have passed (at the next ``advance`` when 0)."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), action))

    def next_due(self) -> float | None:
        """The time of the next action, None when nothing is due."""
        return self._due[0][0] if self._due else None

    def advance(self, to: float) -> None:
        """Move to the time ``to`` and do what falls due until then, in order."""
        while self._due and self._due[0][0] <= to:
            when, _, action = heapq.heappop(self._due)
            self.now = max(self.now, when)
            action()
        self.now = max(self.now, to)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One thing that really happened: who did what to which guest or machine, and when."""

    at: float
    machine: str
    what: str  # guest-started, guest-ended, guest-destroyed, power-off, booted, crashed, cut, ...
    server: str | None = None
    disk: str | None = None


@dataclass
class Guest:
    """A guest defined on one machine. Its definition and local disk survive a power cut."""

    server: str
    disk: str  # identity of the root disk: a local disk's own id, or the volume's
    local_disk: bool
    running: bool = False


@dataclass
class NodeTraps:
    """What somebody left on a host: stale directories, and what starts guests by itself."""

    directories: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    domains: int = 0
    resume_guests: bool = False


@dataclass
class Machine:
    """One compute machine. ``processes`` are the daemons that run now, by name."""

    name: str
    plugged: bool = True  # it can be switched on, and its BMC has power
    powered: bool = True
    booted: bool = True  # the operating system runs (a crash leaves powered True, booted False)
    hung: bool = False
    network: bool = True
    boots: int = 1
    processes: set[str] = field(default_factory=set)
    guests: dict[str, Guest] = field(default_factory=dict)
    traps: NodeTraps = field(default_factory=NodeTraps)

    @property
    def alive(self) -> bool:
        """Guests and daemons execute (hung: they exist, frozen, and may go on)."""
        return self.powered and self.booted

    @property
    def answers(self) -> bool:
        """Somebody on the network can talk to its daemons."""
        return self.alive and self.network and not self.hung


class Machines:
    """All machines of a region, the ledger, and the only hands that touch guests."""

    def __init__(self, names: tuple[str, ...], timeline: Timeline, *, boot_seconds: float) -> None:
        self.timeline = timeline
        self.boot_seconds = boot_seconds
        self.by_name = {name: Machine(name=name) for name in names}
        self.ledger: list[LedgerEntry] = []
        self.on_change: list[Callable[[Machine, str], None]] = []

    def __getitem__(self, name: str) -> Machine:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Machine]:
        return iter(self.by_name.values())

    def running_on(self, server: str) -> tuple[str, ...]:
        """Names of the machines on which this guest executes right now."""
        return tuple(
            m.name for m in self if m.alive and server in m.guests and m.guests[server].running
        )

    def start_guest(self, machine: Machine, guest: Guest) -> None:
        """Execute a guest on the machine; nothing asks whether it already runs elsewhere."""
        machine.guests[guest.server] = guest
        guest.running = True
        self._note(machine, "guest-started", guest)

    def end_guest(self, machine: Machine, server: str) -> None:
        """End a guest; it stays defined, with its disk."""
        guest = machine.guests[server]
        if guest.running:
            guest.running = False
            self._note(machine, "guest-ended", guest)

    def define_guest(self, machine: Machine, guest: Guest) -> None:
        """Put a guest on the machine without starting it."""
        machine.guests[guest.server] = guest
        self._note(machine, "guest-defined", guest)

    def destroy_guest(self, machine: Machine, server: str) -> None:
        """End a guest and forget it, with its local disk."""
        self.end_guest(machine, server)
        self._note(machine, "guest-destroyed", machine.guests.pop(server))

    def start_process(self, machine: Machine, name: str) -> None:
        """Let a daemon run on the machine; listeners hear ``process-started:<name>``.

        A machine whose operating system does not run starts nothing.
        """
        if machine.alive and name not in machine.processes:
            machine.processes.add(name)
            self._changed(machine, f"process-started:{name}")

    def stop_process(self, machine: Machine, name: str) -> None:
        """End a daemon of the machine; listeners hear ``process-stopped:<name>``."""
        if name in machine.processes:
            machine.processes.discard(name)
            self._changed(machine, f"process-stopped:{name}")

    def crash(self, machine: Machine) -> None:
        """The kernel panics: guests and daemons end, the chassis stays on."""
        self._stop(machine, "crashed")
        machine.booted = False
        self._changed(machine, "crashed")

    def power_off(self, machine: Machine) -> None:
        """Cut the chassis' power: guests and daemons end."""
        if not machine.powered:
            return
        self._stop(machine, "power-off")
        machine.powered = machine.booted = False
        self._changed(machine, "power-off")

    def power_on(self, machine: Machine) -> None:
        """Switch the chassis on; the operating system is up ``boot_seconds`` later."""
        if machine.powered or not machine.plugged:
            return
        machine.powered = True
        machine.hung = False
        self._note(machine, "power-on")
        self._changed(machine, "power-on")
        boot = machine.boots = machine.boots + 1
        self.timeline.after(self.boot_seconds, lambda: self._booted(machine, boot))

    def reboot(self, machine: Machine) -> None:
        """Cut the power and switch it on again."""
        self.power_off(machine)
        self.power_on(machine)

    def hang(self, machine: Machine) -> None:
        """Every process stops executing and keeps what it holds."""
        machine.hung = True
        self._note(machine, "hung")
        self._changed(machine, "hung")

    def cut(self, machine: Machine) -> None:
        """The network is lost; guests run on."""
        machine.network = False
        self._note(machine, "cut")
        self._changed(machine, "cut")

    def join(self, machine: Machine) -> None:
        """The network is back, and a hung machine goes on where it stopped."""
        machine.network = True
        machine.hung = False
        self._note(machine, "joined")
        self._changed(machine, "joined")

    def _booted(self, machine: Machine, boot: int) -> None:
        if machine.powered and not machine.booted and machine.boots == boot:
            machine.booted = True
            self._note(machine, "booted")
            self._changed(machine, "booted")

    def _stop(self, machine: Machine, what: str) -> None:
        self._note(machine, what)
        machine.processes.clear()
        for server in tuple(machine.guests):
            self.end_guest(machine, server)

    def _note(self, machine: Machine, what: str, guest: Guest | None = None) -> None:
        self.ledger.append(
            LedgerEntry(
                at=self.timeline.now,
                machine=machine.name,
                what=what,
                server=guest.server if guest else None,
                disk=guest.disk if guest else None,
            )
        )

    def _changed(self, machine: Machine, what: str) -> None:
        for listener in self.on_change:
            listener(machine, what)
