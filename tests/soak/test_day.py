"""A short day of faults breaks no law; `make soak` has the long one."""

from dataclasses import replace

import pytest

from hacli.service import evacuation as evacuation_loop
from tests.domain.judge_cells import JUDGE_CELLS
from tests.domain.move_cells import MOVE_CELLS
from tests.soak.cells import Reached
from tests.soak.day import Day, Plan

SHORT = Plan(seed=4, hours=0.2, pause_s=60.0)


@pytest.mark.timeout(300)
def test_a_short_day_of_faults_breaks_no_law() -> None:
    """Hosts fail, something goes wrong while they are mended, and all of them come back."""
    day = Day(SHORT)

    day.run()

    assert day.violations() == []
    assert day.recoveries == len(day.outages) >= 5
    assert day.disturbed > 0
    assert day.site.reports.verified > 0


@pytest.mark.timeout(300)
def test_a_short_day_of_hosts_that_come_back_by_themselves_breaks_no_law() -> None:
    """Their servers are started in place, unless the host was lost for longer."""
    day = Day(replace(SHORT, seed=7, reboots=True))

    day.run()

    assert day.violations() == []
    assert day.recoveries == len(day.outages) >= 5
    assert day.site.reports.started > 0


@pytest.mark.timeout(300)
def test_the_same_seed_is_the_same_day() -> None:
    """A day that breaks a law can be replayed."""
    days = [Day(Plan(seed=9, hours=0.05)) for _ in range(2)]

    for day in days:
        day.run()

    assert days[0].site.log.calls == days[1].site.log.calls
    assert days[0].site.region.machines.ledger == days[1].site.region.machines.ledger


def test_the_cells_that_a_day_has_reached_are_told() -> None:
    """A cell that was asked itself is reached; without a run none is."""
    asked, idle = Reached(), Reached()
    cell = next(cell for cell in MOVE_CELLS if cell.id == "Q1")

    with asked.watching():
        cell.ask(evacuation_loop)

    assert cell in asked.cells(MOVE_CELLS)[0]
    assert idle.cells(JUDGE_CELLS)[0] == []
    assert f"of {len(MOVE_CELLS)}" in asked.summary()
