"""A day of faults and a search for a broken law; the last line has the counts of `make soak`.

The same words replay the same day and the same search: `--hours 0` leaves out the day, `--examples
0` the search. Exit 1 when a law was broken, or when the day was too quiet to prove anything.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.soak.cells import Reached
from tests.soak.parts import FULL_DAY_H, Part, live_a_day, search_stories

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def main() -> int:
    """Both parts, side by side, and their sums; returns the exit code."""
    options = _options()
    replay = f"replay: {sys.executable} -m tests.soak --seed {options.seed}"
    parts: list[Part] = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
        searching = beside.submit(
            search_stories, options.seed, options.examples, options.steps, replay
        )
        if options.hours:
            parts.append(live_a_day(options.seed, options.hours, replay))
            _say(parts[-1].lines)
        parts.append(searching.result())
        _say(parts[-1].lines)
    _say((Reached.joined(part.reached for part in parts).summary(),))
    points, killed = _kills(options.kills)
    broken = killed + sum(part.violations for part in parts)
    scenarios = sum(1 for _ in SCENARIOS.glob("*/*.md"))
    examples = sum(part.examples for part in parts)
    recoveries = sum(part.recoveries for part in parts)
    counts = {
        "points": points,
        "scenarios": scenarios,
        "examples": examples,
        "recoveries": recoveries,
        "violations": broken,
    }
    _say((", ".join(f"{name} {number}" for name, number in counts.items()),))
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--hours", type=float, default=FULL_DAY_H, help="of the simulated day")
    parser.add_argument("--examples", type=int, default=300, help="of the search")
    parser.add_argument("--steps", type=int, default=20, help="of an example")
    parser.add_argument("--kills", type=Path, help="what `python -m tests.kill` has said")
    return parser.parse_args()


def _kills(told: Path | None) -> tuple[int, int]:
    """Points and failures from the last line of the kill matrix."""
    if told is None or not told.exists():
        return 0, 0
    line = told.read_text(encoding="utf-8").strip().rpartition("\n")[2]
    counts = {name: int(number) for name, number in re.findall(r"([a-z ]+?) (\d+)", line)}
    counts = {name.strip(): number for name, number in counts.items()}
    return counts["points"], counts["violations"] + counts.get("ended otherwise", 0)


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
