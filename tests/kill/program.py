"""hacli that stops itself at a point: the real command line, wiring and adapters, and a probe."""

from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from hacli.cli.app import App
from hacli.cli.main import run
from hacli.wiring import Connection
from tests.e2e.impatient import as_it_is, impatient
from tests.kill.elsewhere import elsewhere
from tests.kill.points import Point
from tests.kill.probe import Probe, probed
from tests.kill.steered_time import SteeredClocks


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a process is told beside its command line, in words and paths.

    Args:
        log: The file of the points that it comes by.
        at: The point to stop at.
        stop_with: The name of the signal.
        clock: The file that its clocks follow.
        patient: Whether its waits are as long as the product's.
        member: The name of another member of the cluster, on which the process then runs.
    """

    log: str
    at: str | None = None
    stop_with: str = "SIGKILL"
    clock: str | None = None
    patient: bool = False
    member: str | None = None


def main(orders: Orders, words: list[str], clocks: SteeredClocks) -> int:
    """``hacli WORD…`` to its end; the exit code."""
    if orders.clock is not None:
        clocks.follow(Path(orders.clock))
    probe = Probe(
        Path(orders.log),
        at=Point.parse(orders.at) if orders.at else None,
        stop_with=Signals[orders.stop_with],
    )
    waits = as_it_is if orders.patient else impatient

    def connect(app: App) -> Connection:
        here = waits(app)
        return probed(here if orders.member is None else elsewhere(here, orders.member), probe)

    return run(words, App(connect))
