"""Law L8: killed or stopped anywhere, the same command again comes to the same end.

A seeded part of the matrix; ``make soak`` runs all of it.
"""

from collections.abc import Sequence
from random import Random

import pytest

from tests.e2e.children import no_process_left
from tests.kill.matrix import Recording, Report, cases_of, record, run
from tests.kill.points import Point
from tests.kill.trial import Case, Verb, Way

SEED = 20150401
KILLS, STOPS = 14, 9
"""Beside those points at which the world has changed and no journal says so."""
LIMITS = (
    "compute.read_services||1|before",
    "compute.read_moves||2|after",
    "journal.record:step_done disable ok||1|before",
)
"""Where a run that had stood still once gave up, because its limits had passed meanwhile."""


@pytest.fixture(scope="module")
def recording() -> Recording:
    """An undisturbed recovery of a host with a running and a stopped server."""
    return record(Verb.RECOVER)


def test_there_are_at_least_as_many_points_as_requests_and_writes(recording: Recording) -> None:
    """Counted by the lab's doors and by the rows of the journal, not by the probe itself."""
    assert recording.requests > 0
    assert recording.writes > 0
    assert len(recording.points) >= recording.requests + recording.writes


@pytest.mark.timeout(300)
def test_a_killed_recovery_is_finished_by_the_same_command_here_and_elsewhere(
    recording: Recording,
) -> None:
    """SIGKILL at each point that hurts, and at some others; as the undisturbed run in the end."""
    random = Random(SEED)
    hurting = [point for point in recording.points if point.hurts]
    ways = (Way.KILL_AND_AGAIN, Way.KILL_AND_ELSEWHERE)
    cases = [
        Case(verb=Verb.RECOVER, point=point, way=ways[number % 2])
        for number, point in enumerate(hurting)
    ]
    cases += random.sample(cases_of(recording, _others(recording, hurting), ways), KILLS)

    report = _run(recording, cases)

    assert report.good, report.told
    assert report.kills == len(cases)


@pytest.mark.timeout(300)
def test_a_recovery_that_stood_still_for_five_minutes_goes_on(recording: Recording) -> None:
    """SIGSTOP, five minutes for the region and for its own clocks, SIGCONT."""
    random = Random(SEED)
    chosen = [p for p in recording.points if p.moment == "sending" or str(p) in LIMITS]
    chosen += random.sample(_others(recording, chosen), STOPS)
    cases = cases_of(recording, chosen, [Way.STOP_AND_GO_ON])

    report = _run(recording, cases)

    assert report.good, report.told
    assert report.stops == len(cases)


def _others(recording: Recording, points: Sequence[Point]) -> list[Point]:
    return [point for point in recording.points if point not in points]


def _run(recording: Recording, cases: Sequence[Case]) -> Report:
    with no_process_left():
        return run([recording], cases)
