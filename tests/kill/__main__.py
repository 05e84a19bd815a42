"""``python -m tests.kill``: the whole matrix; its last line has the counts. For ``make soak``."""

import argparse
import sys
from collections.abc import Sequence
from random import Random

from tests.e2e.children import no_process_left
from tests.kill.matrix import Recording, cases_of, record, run, stop_for_real
from tests.kill.trial import Case, Verb, Way

SEED = 20150401
KILLS = (Way.KILL_AND_AGAIN, Way.KILL_AND_ELSEWHERE)
REALLY_STOPPED = 32


def every_case(recordings: Sequence[Recording]) -> list[Case]:
    """All points of `recover` in all ways; of its relatives those at which the world changes."""
    cases = []
    for recording in recordings:
        if recording.verb is Verb.RECOVER:
            cases += cases_of(recording, recording.points, Way)
        else:
            hurting = [point for point in recording.points if point.hurts]
            cases += cases_of(recording, hurting, KILLS)
    return cases


def main() -> int:
    """Record, run, tell."""
    options = argparse.ArgumentParser(prog="python -m tests.kill")
    options.add_argument("--verb", action="append", choices=[verb.value for verb in Verb])
    options.add_argument("--sample", type=int, help="only so many cases, by the seed")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--real", action="store_true", help="only stops, of five real minutes")
    given = options.parse_args()
    verbs = [verb for verb in Verb if not given.verb or verb.value in given.verb]
    random = Random(given.seed)
    with no_process_left():
        if given.real:
            recording = record(Verb.RECOVER)
            points = random.sample(recording.points, given.sample or REALLY_STOPPED)
            report = stop_for_real(recording, points)
        else:
            recordings = [record(verb) for verb in verbs]
            cases = every_case(recordings)
            if given.sample:
                cases = random.sample(cases, given.sample)
            report = run(recordings, cases, tell=_tell)
            holes = [recording for recording in recordings if not recording.enough]
            report.failures += [f"fewer points than requests and writes: {r}" for r in holes]
    if not report.good:
        _tell(report.told)
    sys.stdout.write(f"{report.line}\n")
    return 0 if report.good else 1


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
