"""The laws hold whatever anybody does: a small search here, a large one in `make soak`."""

import pytest

from tests.properties.search import search


@pytest.mark.timeout(300)
def test_no_law_breaks_whatever_operators_and_faults_do() -> None:
    """Random worlds, faults, operators and clocks; the same ones each time this test runs."""
    found = search(seed_of=None, examples=12, steps=10)

    assert found.story is None, found.story
    assert found.examples >= 12
    assert found.commands > found.examples
