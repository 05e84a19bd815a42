"""How many evacuations are open at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacli.domain import evacuation
from hacli.domain.evacuation import Pace, Window
from tests.domain.cells import Cell, params, rows_in_docs
from tests.domain.plan_cells import PLAN_CELLS

WINDOWS = [cell for cell in PLAN_CELLS if cell.row.startswith("W")]


@pytest.mark.parametrize("cell", params(WINDOWS))
def test_a_cell_of_the_table(cell: Cell) -> None:
    """Each row of "How many at once" in docs/safety.md."""
    assert cell.ask(evacuation) == cell.says


def test_every_row_has_a_cell_and_every_cell_a_row() -> None:
    """An operator can trust the page, because nothing stands there that is not tested."""
    assert set(rows_in_docs("W")) == {cell.row for cell in WINDOWS}


@given(
    limit=st.integers(min_value=0, max_value=20),
    destinations=st.integers(min_value=0, max_value=12),
    took=st.lists(st.floats(min_value=0, max_value=600)),
)
@settings(deadline=None, derandomize=True)
def test_the_window_keeps_its_bounds(limit: int, destinations: int, took: list[float]) -> None:
    """One at least, so that every run ends; never more than asked for or than can be received."""
    window = Window.start(limit=limit, destinations=destinations, per_destination=2)

    for seconds in took:
        window = window.after_arrival(seconds)

        assert 1 <= window.size <= max(1, min(limit, destinations * 2))


@given(most=st.integers(min_value=4, max_value=20), took=st.lists(st.floats(0, 600)))
@settings(deadline=None, derandomize=True)
def test_the_pace_keeps_its_bounds(most: int, took: list[float]) -> None:
    """One at least, so that every run ends."""
    pace = Pace(most=most)

    for seconds in took:
        pace = pace.after_answer(seconds)

        assert 1 <= pace.size <= most
