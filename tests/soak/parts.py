"""The parts of the soak: each can run in a process of its own, and tells what it has found."""

import time
from collections import Counter
from dataclasses import dataclass

from tests.properties.search import search
from tests.soak.cells import Reached
from tests.soak.day import Day, Plan

SHOWN = 40
FULL_DAY_H, LEAST, LEAST_SHARE = 24.0, 500, 30
"""What a full day must have seen: recoveries, and the percentage of them with a second fault."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one part has found: its lines, its counts, and what it came through."""

    lines: tuple[str, ...]
    violations: int
    reached: Reached
    recoveries: int = 0
    examples: int = 0


def live_a_day(seed: int, hours: float, replay: str) -> Part:
    """So many simulated hours, and what was broken in them."""
    began, cpu = time.monotonic(), time.process_time()
    reached, day = Reached(), Day(Plan(seed=seed, hours=hours))
    with reached.watching():
        day.run()
    broken = day.violations()
    share = 100 * day.disturbed // max(1, day.recoveries)
    quiet = hours >= FULL_DAY_H and (day.recoveries < LEAST or share < LEAST_SHARE)
    lines = [
        f"seed {seed}, {hours:g} hours: {len(day.outages)} outages, {day.recoveries} recovered",
        f"  with a second fault: {share} %; reports of success: {day.site.reports.verified}",
        f"  commands: {_listed(day.ends())}",
        f"  meanwhile: {_listed(day.kinds_met())}",
        *(f"VIOLATION {text}" for text in broken[:SHOWN]),
        *([f"{replay} --hours {hours:g} --examples 0"] if broken else []),
        *(["too quiet a day to prove anything"] if quiet else []),
        f"  {time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU",
    ]
    return Part(
        lines=tuple(lines),
        violations=len(broken) + quiet,
        reached=reached,
        recoveries=day.recoveries,
    )


def search_stories(seed: int, examples: int, steps: int, replay: str) -> Part:
    """So many random stories, and the shortest that breaks a law."""
    reached = Reached()
    if not examples:
        return Part(lines=(), violations=0, reached=reached)
    began = time.monotonic()
    with reached.watching():
        found = search(seed_of=seed, examples=examples, steps=steps)
    story = [
        f"VIOLATION {found.story}",
        f"{replay} --hours 0 --examples {examples} --steps {steps}",
    ]
    told = f"seed {seed}: {found.examples} examples, {found.commands} commands"
    return Part(
        lines=(*(story if found.story else ()), f"{told} ({time.monotonic() - began:.0f} s)"),
        violations=1 if found.story else 0,
        reached=reached,
        examples=found.examples,
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common())
