"""Programs run in turn, measured by the kernel, and compared pair by pair.

Two programs that alternate meet the same machine: what else runs on it slows both, and the ratio
of a pair stays true where neither time does. A wrong answer voids the measurement.
"""

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryFile


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and the words without which its answer is wrong."""

    name: str
    argv: tuple[str, ...]
    answers: str = ""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run. ``peak_mib`` is an upper bound: it includes what the runner was before exec."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True, kw_only=True)
class Goal:
    """``program`` shall take at most ``ratio`` times what ``peer`` takes."""

    program: str
    peer: str
    ratio: float


class WrongAnswerError(Exception):
    """A program failed or said something else: its time means nothing."""


def measure(programs: Sequence[Program], *, runs: int) -> dict[str, tuple[Sample, ...]]:
    """Run the programs in turn, ``runs`` times each, after one run that does not count."""
    for program in programs:
        run(program)
    rounds = [[run(program) for program in programs] for _ in range(runs)]
    return {
        program.name: samples
        for program, samples in zip(programs, zip(*rounds, strict=True), strict=True)
    }


def run(program: Program) -> Sample:
    """One run.

    Raises:
        WrongAnswerError: It did not exit with 0, or did not say what it should.
    """
    with TemporaryFile() as said:
        start = time.perf_counter()
        with subprocess.Popen(
            program.argv, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read().decode(errors="replace")
    if process.returncode != 0 or program.answers not in output:
        raise WrongAnswerError(f"{program.name}: exit {process.returncode}: {output[-500:]}")
    return Sample(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
    )


def ratio(samples: Mapping[str, Sequence[Sample]], program: str, peer: str) -> float:
    """Median of the wall times' ratios, taken pair by pair."""
    pairs = zip(samples[program], samples[peer], strict=True)
    return median(one.wall_s / other.wall_s for one, other in pairs)


def table(
    title: str, samples: Mapping[str, Sequence[Sample]], goals: Iterable[Goal]
) -> Iterable[str]:
    """Lines of Markdown: the times, then the ratios beside what is to be reached."""
    runs = len(next(iter(samples.values())))
    yield f"## {title} ({runs} runs each, in turn)"
    yield ""
    yield "| program | wall ms: median (min-max) | CPU ms | peak MiB, at most |"
    yield "|---|---:|---:|---:|"
    for name, taken in samples.items():
        wall = [sample.wall_s * 1000 for sample in taken]
        cpu = median(sample.cpu_s * 1000 for sample in taken)
        peak = max(sample.peak_mib for sample in taken)
        times = f"{median(wall):.0f} ({min(wall):.0f}-{max(wall):.0f})"
        yield f"| {name} | {times} | {cpu:.0f} | {peak:.1f} |"
    yield ""
    yield "| ratio of wall times | median of pairs | reach | |"
    yield "|---|---:|---:|---|"
    for goal in goals:
        if goal.peer in samples:
            found = ratio(samples, goal.program, goal.peer)
            verdict = "reached" if found <= goal.ratio else "**missed**"
            yield (
                f"| {goal.program} / {goal.peer} | {found:.2f} | <= {goal.ratio:g} | {verdict} |"
            )
        else:
            yield f"| {goal.program} / {goal.peer} | - | <= {goal.ratio:g} | not installed here |"
