"""Let regions fail for a day and count what came of it; exit 1 when a law was broken.

`python -m tests.soak --seed 4 --hours 24` is the whole of it; the same words replay the same day.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.soak.cells import Reached
from tests.soak.day import Day, Plan

SHOWN = 40


def main() -> int:
    """One day, with its counts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--counts", type=Path, help="add this day's counts to the file")
    options = parser.parse_args()
    began, cpu = time.monotonic(), time.process_time()
    reached, day = Reached(), Day(Plan(seed=options.seed, hours=options.hours))
    with reached.watching():
        day.run()
    broken = day.violations()
    say(f"day of seed {options.seed}: {options.hours:g} h, {len(day.outages)} outages")
    say(f"  {_listed(day.ends())}")
    say(f"  met: {_listed(day.kinds_met())}")
    say(reached.summary())
    for text in broken[:SHOWN]:
        say(f"VIOLATION {text}")
    if broken:
        say(f"replay: {sys.executable} -m tests.soak --seed {day.plan.seed} --hours {day.plan.hours:g}")
    share = 100 * day.disturbed // max(1, day.recoveries)
    took = f"{time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    say(f"recoveries {day.recoveries}, {share} % of them with a second fault ({took})")
    say(f"verified reports {day.site.reports.verified}, violations {len(broken)}")
    if options.counts:
        with options.counts.open("a", encoding="utf-8") as file:
            file.write(f"recoveries {day.recoveries}\nviolations {len(broken)}\n")
    return 1 if broken else 0


def say(text: str) -> None:
    """One line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common())


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the threads of killed processes wait for a turn that never comes
