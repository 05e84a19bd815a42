"""Asking Nova: the tables of docs/safety.md, and a hunt for the request that must not be sent."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hacli.domain import evacuation
from hacli.domain.evacuation import End
from tests.domain.cells import Cell, params, rows_in_docs
from tests.domain.move_cells import MOVE_CELLS
from tests.domain.mutants import functions_of, twin_of
from tests.domain.outage import DoubleAskError, Outage


@pytest.mark.parametrize("cell", params(MOVE_CELLS))
def test_a_cell_of_the_tables(cell: Cell) -> None:
    """Each row of "Asking Nova" in docs/safety.md is what the next move is."""
    assert cell.ask(evacuation) == cell.says


def test_every_row_has_a_cell_and_every_cell_a_row() -> None:
    """An operator can trust the page, because nothing stands there that is not tested."""
    rows = rows_in_docs("QMVRS")

    assert len(rows) == len(set(rows))
    assert set(rows) == {cell.row for cell in MOVE_CELLS}


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_no_story_has_a_second_request_while_the_first_may_live(seed: int) -> None:
    """Laws L4 and L11, with lost answers, late lists, other people's requests and our own death.

    While a request of ours may still be taken, or a migration is open, nothing is sent; a failed
    evacuation is asked for again at its own destination only; and every run has an end.
    """
    outage = Outage(evacuation, Random(seed))

    ends = outage.run()

    assert End.VERIFIED not in ends or outage.records


@pytest.mark.parametrize("seed", [13603])
def test_a_story_that_once_had_a_second_request_has_none(seed: int) -> None:
    """Two evacuations of somebody else's were open when the run began; one was forgotten."""
    assert Outage(evacuation, Random(seed)).run()


def test_the_stories_are_not_all_the_same() -> None:
    """Chance reaches every end, more than one request, and a Nova that takes a lost request."""
    stories = [Outage(evacuation, Random(seed)) for seed in range(300)]
    ends = {end for story in stories for end in story.run()}
    requests = [request for story in stories for request in story.requests]

    assert ends >= {End.VERIFIED, End.REFUSED, End.NO_HOST, End.FAILED, End.UNKNOWN}
    assert max(len(story.requests) for story in stories) > 3
    assert any(
        request.taken_at is not None and request.taken_at > request.answers_at
        for request in requests
    )


@pytest.mark.parametrize(
    ("question", "says"),
    [
        pytest.param("_is_settled", True, id="a-record-accounts-for-every-request"),
        pytest.param("belongs_to_this_outage", False, id="nothing-was-before-this-run"),
        pytest.param("_left_at", frozenset(), id="a-failure-leaves-nothing"),
    ],
)
def test_the_hunt_finds_a_planted_double_request(question: str, says: object) -> None:
    """A module that skips one question is caught, so the hunt can fail."""
    broken = twin_of(evacuation, functions_of(evacuation))
    broken.__dict__[question] = lambda *_facts: says

    def caught(seed: int) -> bool:
        try:
            Outage(broken, Random(seed)).run()
        except DoubleAskError:
            return True
        return False

    assert any(caught(seed) for seed in range(300))
