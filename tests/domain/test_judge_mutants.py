"""The cells of the tables are sharp: break any line of a decision, and one of them objects."""

from collections.abc import Sequence
from types import ModuleType

import pytest

from hacli.domain import evacuation, evidence
from tests.domain.cells import Cell
from tests.domain.judge_cells import JUDGE_CELLS
from tests.domain.move_cells import MOVE_CELLS
from tests.domain.mutants import mutants_of, named, survivors
from tests.domain.plan_cells import PLAN_CELLS

EQUIVALENT = {
    (
        "_offs_after_all_else",
        "return [w for w in power if w.state is PowerState.OFF and w.asked_at > last_other]",
        "drop operand 1",
    ): "a reading that is not OFF was never asked for after the last of its kind was answered",
    (
        "_off_known_since",
        'if node is None or fence is None or fence.action == "on":',
        "drop operand 1",
    ): "without a node there is no fence; the first question is for the type checker",
    (
        "_not_younger_than_cluster",
        "return min(at, node.at) if readings.clustered and node is not None else at",
        "drop operand 2",
    ): "in a cluster, nothing is proven without the node's word",
    ("unfinished_move", "return None", "drop the statement"): "a function that ends says None",
    (
        "_unknown",
        'why = answer.why if isinstance(answer, Uncertain) else ""',
        "if True",
    ): "nothing but an uncertain answer comes here; the question is for the type checker",
}
"""Changes that change nothing that can be seen: (function, line, change) and why."""


@pytest.mark.parametrize(
    ("module", "cells", "at_least"),
    [
        pytest.param(evidence, JUDGE_CELLS, 300, id="evidence"),
        pytest.param(evacuation, [*MOVE_CELLS, *PLAN_CELLS], 500, id="evacuation"),
    ],
)
def test_every_mutant_is_seen_by_a_cell(
    module: ModuleType, cells: Sequence[Cell], at_least: int
) -> None:
    """Comparisons, and/or, not, numbers, branches, yields, filters and arguments all matter."""
    mutants = mutants_of(module)

    alive = survivors(module, mutants, cells)

    unseen = [mutant for mutant in alive if mutant.key not in EQUIVALENT]
    assert not unseen, named(unseen)
    assert len(mutants) >= at_least


def test_the_list_of_equivalents_is_true() -> None:
    """A line that is gone, or that a cell tells apart by now, is taken off the list."""
    alive = {
        mutant.key
        for module, cells in (
            (evidence, JUDGE_CELLS),
            (evacuation, [*MOVE_CELLS, *PLAN_CELLS]),
        )
        for mutant in survivors(module, mutants_of(module), cells)
    }

    assert set(EQUIVALENT) - alive == set()


def test_the_tool_sees_what_no_cell_looks_at() -> None:
    """With one cell left, most mutants survive: a tool that kills everything proves nothing."""
    mutants = mutants_of(evidence)

    alive = survivors(evidence, mutants, JUDGE_CELLS[:1])

    assert len(alive) > len(mutants) / 2


def test_a_table_that_is_wrong_for_the_module_itself_kills_nothing() -> None:
    """The unbroken module passes all cells; otherwise every mutant would seem to be killed."""
    assert all(cell.ask(evidence) == cell.says for cell in JUDGE_CELLS)
    assert all(cell.ask(evacuation) == cell.says for cell in [*MOVE_CELLS, *PLAN_CELLS])
