"""What the last line of a contract run counts."""

from typing import Literal

import pytest

from tests.contract.score import LAB, PROPERTY, REAL, Score


def report(
    case: str,
    world: str | None,
    *,
    when: Literal["setup", "call", "teardown"] = "call",
    outcome: Literal["passed", "failed", "skipped"] = "passed",
) -> pytest.TestReport:
    """What pytest tells of one phase of a case."""
    return pytest.TestReport(
        nodeid=case,
        location=("", None, case),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        user_properties=[] if world is None else [(PROPERTY, world)],
    )


def score_of(*reports: pytest.TestReport) -> Score:
    """A score that has heard these."""
    score = Score()
    for heard in reports:
        score.pytest_runtest_logreport(heard)
    return score


def test_each_world_is_counted_for_itself() -> None:
    """The real one first; every case once, however many phases it has."""
    score = score_of(
        report("a", REAL, when="setup"),
        report("a", REAL),
        report("a", REAL, when="teardown"),
        report("b", LAB),
        report("c", LAB, outcome="failed"),
    )

    assert score.line == "contract: real 1/1, lab 1/2"
    assert not score.complete


def test_a_skipped_case_is_a_failed_one() -> None:
    """What was not tried is not kept."""
    score = score_of(report("a", REAL), report("b", REAL, when="setup", outcome="skipped"))

    assert (score.line, score.complete) == ("contract: real 1/2", False)


def test_a_story_that_cannot_be_cleaned_up_has_not_held() -> None:
    """Its last case passed and its end failed."""
    score = score_of(report("a", LAB), report("a", LAB, when="teardown", outcome="failed"))

    assert (score.line, score.complete) == ("contract: lab 0/1", False)


def test_other_tests_are_not_counted() -> None:
    """Nor is a line printed when no case was met."""
    score = score_of(report("a", None))

    assert (score.line, score.complete) == ("", True)
