"""What hacli says of itself, held against what is so at that moment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hacli.domain.events import Errored, PlanMade, ServerChanged, StoredEvent
from hacli.lab.cloud_records import Server, VmState
from hacli.lab.invariants import MachineHistory
from hacli.lab.machines import LedgerEntry
from hacli.lab.region import Region
from hacli.service.recovery import Recovered, Verb

GONE = frozenset({"power-off", "crashed"})
"""What ends the guests of a machine that has just received them."""


@dataclass
class Reports:
    """Listens to every journal of a region."""

    region: Region
    machines: Mapping[str, str] = field(default_factory=dict)  # by their names in Nova
    wrong: list[str] = field(default_factory=list)
    verified: int = 0  # elsewhere
    started: int = 0  # in place
    _was: dict[str, str] = field(default_factory=dict)  # by server, as the first plan knows it
    _read: int = 0  # entries of the ledger
    _last: dict[str, LedgerEntry] = field(default_factory=dict)  # by server

    def hear(self, stored: StoredEvent) -> None:
        """One more event of a journal."""
        event, where = stored.event, f"{stored.run} of {stored.host}"
        secret = self.region.settings.cluster.login.password
        if secret in repr(event):
            self.wrong.append(f"L12: {where} has a password in its journal ({event.name})")
        if isinstance(event, PlanMade):
            self._was.update({str(row["id"]): str(row["was"]) for row in event.servers})
        elif isinstance(event, ServerChanged) and event.status == "verified":
            self.verified += 1
            self.wrong += [
                f"L5: {where}: {text}" for text in self._not_so(event, self._machine(stored.host))
            ]
        elif isinstance(event, ServerChanged) and event.status == "started":
            self.started += 1
            home = self._machine(stored.host)
            self.wrong += [f"L5: {where}: {text}" for text in self._not_there(event, home)]
        elif isinstance(event, Errored) and not (event.what and event.code):
            self.wrong.append(f"L11: {where} ends without a sentence")

    def ended(self, result: Recovered) -> None:
        """The end of a run that was carried out; complete means that nothing is left behind.

        After an outage: on the host. After a start in place: of those that the outage took down.
        """
        if result.verb is Verb.FENCE or not result.complete:
            return
        left: Sequence[Server] = self.region.cloud.tables.servers_on(self._machine(result.host))
        named = {end.server.id for end in result.evacuated.ends}
        if result.in_place:
            left = self._left_down(result, left)
        late = [server.name for server in left if server.id not in named]
        if late:
            text = f"{result.run} calls {result.host} recovered, and {len(late)} are left on it"
            self.wrong.append(f"L1: {text}: {', '.join(late[:5])}")
        for end in result.evacuated.failed:
            self.wrong.append(f"L5: {result.run} is called complete with {end.server.name} failed")

    def _not_so(self, event: ServerChanged, host: str) -> Iterator[str]:
        """Why it is not true that this server is verified."""
        running = self.region.machines.running_on(event.id)
        last = self._last_of(event.id)
        name = event.server_name
        if len(running) > 1:
            yield f"{name} is called verified and runs on {' and '.join(running)}"
        if last is None or last.machine == host:
            yield f"{name} is called verified and has never left {host}"
        elif event.to is not None and last.machine != self._machine(event.to):
            yield f"{name} is called verified on {event.to} and is on {last.machine}"
        elif self._should_run(event.id) and not running and not self._died_since(last):
            yield f"{name} is called verified and runs nowhere"
        elif self._was.get(event.id) == "stopped" and running:
            yield f"{name} was stopped, is called verified and runs"

    def _not_there(self, event: ServerChanged, host: str) -> Iterator[str]:
        """Why it is not true that this server has its end on its own host, which is back."""
        running = self.region.machines.running_on(event.id)
        row = self.region.cloud.tables.servers.get(event.id)
        name = event.server_name
        if row is None or running == (host,):
            return  # deleted, or where it should be
        if running:
            yield f"{name} is called started on {host} and runs on {' and '.join(running)}"
            return
        history = MachineHistory(self.region.machines.ledger)
        if self._waits(row, history) and history.booted_since(host, _end_of(row, history)):
            yield f"{name} is called started on {host} and does not run"

    def _left_down(self, result: Recovered, servers: Iterable[Server]) -> list[Server]:
        """Servers that their host took down before the run began, and that nobody started."""
        history = MachineHistory(self.region.machines.ledger)
        began = self.region.timeline.now - result.took_s
        return [
            server
            for server in servers
            if self._waits(server, history) and _end_of(server, history) < began
        ]

    def _waits(self, server: Server, history: MachineHistory) -> bool:
        """Whether a host took it down, and nobody has wished since that it stays so.

        Of whom Nova calls stopped only the outage counts from which the host has come back: those
        that an earlier one took down look like those that somebody stopped.
        """
        end = history.last_end(server.id, self.region.timeline.now)
        if end is None or not history.fell(end.machine, end.at):
            return False
        asked = [action for action in server.actions if action.user and action.start > end.at]
        if asked and asked[-1].name == "stop":
            return False
        boots = history.booted_since(end.machine, end.at)
        return server.vm_state is VmState.ACTIVE or (
            server.vm_state is VmState.STOPPED and boots <= 1
        )

    def _machine(self, nova_name: str) -> str:
        return self.machines.get(nova_name, nova_name)

    def _should_run(self, server: str) -> bool:
        row = self.region.cloud.tables.servers.get(server)
        return row is not None and row.vm_state is VmState.ACTIVE

    def _last_of(self, server: str) -> LedgerEntry | None:
        ledger = self.region.machines.ledger
        for entry in ledger[self._read :]:
            if entry.server is not None and entry.what in ("guest-started", "guest-defined"):
                self._last[entry.server] = entry
        self._read = len(ledger)
        return self._last.get(server)

    def _died_since(self, arrived: LedgerEntry) -> bool:
        """Its new home has failed in turn: no report could know that yet."""
        return any(
            entry.what in GONE and entry.machine == arrived.machine and entry.at >= arrived.at
            for entry in reversed(self.region.machines.ledger[-2000:])
        )


def _end_of(server: Server, history: MachineHistory) -> float:
    """When its guest came to rest; it has."""
    end = history.last_end(server.id, float("inf"))
    assert end is not None
    return end.at
