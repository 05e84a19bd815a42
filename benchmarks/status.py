"""B2: how long the picture of a whole region takes, beside a loop over the hosts."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import Goal, Program, measure, table
from hacli.lab.bmcs import Bmc
from hacli.lab.running_lab import Lab
from hacli.lab.seed import small

BIN = Path(sys.executable).parent
FEW, MANY = 100, 1000
HACLI, LOOP = f"hacli status, {FEW} hosts", f"serial loop, {FEW} hosts"
GOALS = (Goal(program=HACLI, peer=LOOP, ratio=0.05),)


class UnhurriedBmc(Bmc):
    """A BMC that takes a quarter of a second for a reading, which is some eight packets."""

    @property
    def delay_s(self) -> float:
        """Of each packet."""
        return 0.035  # measured: 250 ms from login to logout


def report(*, quick: bool) -> Iterator[str]:
    """Measure, and say it in Markdown."""
    with _region(FEW) as lab:
        loop = str(Path(__file__).with_name("serial_status.py"))
        programs = [
            _program(HACLI, (str(BIN / "hacli"), "status"), lab.env, answers=f"Hosts {FEW}"),
            _program(LOOP, (sys.executable, loop), lab.env, answers=f"compute-{FEW} true up on"),
        ]
        yield from table("B2 status", measure(programs, runs=1), GOALS)
    yield ""
    if not quick:
        with _region(MANY) as lab:
            name = f"hacli status, {MANY} hosts"
            words = (str(BIN / "hacli"), "status")
            program = _program(name, words, lab.env, answers=f"Hosts {MANY}")
            yield from table("B2 status, large", measure([program], runs=3), ())


def _region(hosts: int) -> Lab:
    """A region whose BMCs answer as slowly as real ones."""
    return _SlowLab(small(hosts, hosts))


class _SlowLab(Lab):
    def start(self) -> None:
        super().start()
        with self.lock:
            for bmc in self.region.bmcs.values():
                bmc.__class__ = UnhurriedBmc


def _program(name: str, argv: tuple[str, ...], env: Mapping[str, str], *, answers: str) -> Program:
    exports = [f"{key}={value}" for key, value in env.items()]
    return Program(name=name, argv=("env", *exports, *argv), answers=answers)
