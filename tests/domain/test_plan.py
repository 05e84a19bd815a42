"""Which servers of a dead host are asked for, and how far each one is: docs/safety.md."""

import pytest

from hacli.domain import evacuation
from tests.domain.cells import Cell, params, rows_in_docs
from tests.domain.plan_cells import PLAN_CELLS

PLANS = [cell for cell in PLAN_CELLS if not cell.row.startswith("W")]


@pytest.mark.parametrize("cell", params(PLANS))
def test_a_cell_of_the_tables(cell: Cell) -> None:
    """Each row of "Which servers" and "What is found" in docs/safety.md is what the plan does."""
    assert cell.ask(evacuation) == cell.says


def test_every_row_has_a_cell_and_every_cell_a_row() -> None:
    """An operator can trust the page, because nothing stands there that is not tested."""
    rows = rows_in_docs("CH")

    assert len(rows) == len(set(rows))
    assert set(rows) == {cell.row for cell in PLANS}
