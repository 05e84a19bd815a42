"""The locks of one machine, given back when their holder dies."""

from hacli.errors import Busy
from tests.fakes.clock import Process


class MachineLocks:
    """The kernel's side: who holds what."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}


class MemoryLocks:
    """One process' side. Fits ``ports.Locks``."""

    def __init__(self, machine: MachineLocks, process: Process) -> None:
        self._machine = machine
        self._mine: set[str] = set()
        process.on_death.append(self._release_all)

    def acquire(self, host: str, *, run: str) -> None:
        """Take the lock, or raise Busy."""
        holder = self._machine.holders.get(host)
        if holder is not None:
            raise Busy(f"Another run works on {host}.", why=f"run {holder} has its lock", host=host)
        self._machine.holders[host] = run
        self._mine.add(host)

    def release(self, host: str) -> None:
        """Give it back."""
        if host in self._mine:
            self._mine.discard(host)
            del self._machine.holders[host]

    def _release_all(self) -> None:
        for host in tuple(self._mine):
            self.release(host)
