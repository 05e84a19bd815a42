"""The machines from which operators work, and which processes run on each."""

from dataclasses import dataclass, field

from hacli.domain.claim import ProcessId
from tests.fakes.clock import Process
from tests.fakes.locks import MachineLocks


@dataclass
class Workplace:
    """One machine: a controller, or a workstation that reaches the cluster through ssh."""

    name: str
    booted_at: float
    is_controller: bool = True
    boots: int = 1
    locks: MachineLocks = field(default_factory=MachineLocks)
    processes: list[Process] = field(default_factory=list)

    @property
    def boot(self) -> str:
        """Another one after each boot."""
        return f"{self.name}-boot-{self.boots}"

    def reboot(self, at: float) -> None:
        """Every process dies, and their numbers are used again."""
        for process in self.processes:
            process.kill()
        self.boots += 1
        self.booted_at = at
        self.processes.clear()


class FakeMachine:
    """The machine as one process sees it. Fits ``ports.Machine``."""

    def __init__(self, place: Workplace, process: Process) -> None:
        place.processes.append(process)
        self._place = place
        self._own = ProcessId(
            boot=place.boot, namespace="4026531836", pid=len(place.processes), started=100
        )

    @property
    def name(self) -> str:
        """Pacemaker's, where it is a controller."""
        return self._place.name

    @property
    def is_controller(self) -> bool:
        """Whether the cluster's tools run on it without a prefix."""
        return self._place.is_controller

    def own_process(self) -> ProcessId:
        """Numbered in the order of their starts."""
        return self._own

    def runs(self, process: ProcessId) -> bool:
        """Until it is killed or has ended."""
        known = self._place.processes
        return process.pid <= len(known) and known[process.pid - 1].lives
