"""The parts of the matrix itself: points, the probe that counts them, clocks that are steered."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from hacli.domain.events import Intent, StepDone
from tests.kill.matrix import Recording, Report, judge
from tests.kill.points import Moment, Point, common_points
from tests.kill.probe import Probe, Probed
from tests.kill.trial import Case, HostEnd, Told, Verb, Way

POINT = Point(call="compute.evacuate", subject="vm-1", nth=1, moment="after")
END = HostEnd(
    forced_down=True, disabled=True, marked=True, attributes=frozenset(), powered=False, servers=()
)
CASE = Case(verb=Verb.RECOVER, point=POINT, way=Way.KILL_AND_AGAIN)
CLOCKS = """
import sys, time
from pathlib import Path
from tests.kill.steered_time import SteeredClocks, set_lead
file = Path(sys.argv[1])
set_lead(file, 0.0)
SteeredClocks().follow(file)
from hacli.adapters.clock import StopFlag, SystemClock
clock = SystemClock(StopFlag())
before = clock.monotonic(), clock.awake(), time.monotonic()
set_lead(file, 300.0)
after = clock.monotonic(), clock.awake(), time.monotonic()
print([round(b - a, 0) for a, b in zip(before, after)])
"""


class Door:
    """A port with one call."""

    def read_servers(self, host: str) -> str:
        """Says which host it was asked about."""
        return host


def test_a_point_is_read_as_it_is_written() -> None:
    """It is told to a process on its command line."""
    assert Point.parse(str(POINT)) == POINT


def test_only_points_of_every_recorded_run_count() -> None:
    """What a run came by only because the machine was slow cannot be asked of the next one."""
    late = replace(POINT, nth=2)
    sure = replace(POINT, moment="before")

    assert common_points([[sure, POINT, late], [POINT, sure]]) == (sure, POINT)


def test_the_probe_writes_every_call_down_before_and_after(tmp_path: Path) -> None:
    """With its number, so that each has a name of its own; the call itself is as it was."""
    log = tmp_path / "points"
    probe = Probe(log, at=None, stop_with=signal.SIGKILL)
    door = Probed(Door(), "compute", probe)

    said = [door.read_servers("compute-1"), door.read_servers("compute-1")]

    assert said == ["compute-1", "compute-1"]
    assert log.read_text().split() == [
        f"compute.read_servers||{nth}|{moment}" for nth in (1, 2) for moment in ("before", "after")
    ]


def test_a_process_ends_itself_at_its_point_and_nowhere_else(tmp_path: Path) -> None:
    """The line is on the disk by then: a point that is not there was not come by."""
    log = tmp_path / "points"
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from tests.kill.points import Point; from tests.kill.probe import Probe, Probed\n"
        "from tests.kill.test_points import Door\n"
        "at = Point.parse('compute.read_servers||2|before')\n"
        "probe = Probe(Path(sys.argv[1]), at=at, stop_with=signal.SIGKILL)\n"
        "door = Probed(Door(), 'compute', probe)\n"
        "door.read_servers('a'); door.read_servers('a'); print('not killed')\n"
    )

    ended = _python(script, str(log))

    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")
    assert log.read_text().split()[-1] == "compute.read_servers||2|before"


def test_steered_clocks_age_evidence_and_are_a_second_of_a_limit(tmp_path: Path) -> None:
    """As those of a process that was stopped: adapters and services see five minutes pass."""
    ended = _python(CLOCKS, str(tmp_path / "clock"))

    assert ended.stdout == "[300.0, 1.0, 300.0]\n", ended.stderr


def test_fewer_points_than_requests_and_writes_are_not_enough() -> None:
    """The matrix would have holes that nobody sees."""
    recording = Recording(verb=Verb.RECOVER, points=(POINT,) * 9, end=END, requests=5, writes=5)

    assert not recording.enough
    assert replace(recording, writes=4).enough


def test_a_case_fails_that_ends_otherwise_or_was_not_come_by() -> None:
    """Another exit code, another end, or a process that was not stopped."""
    good = Told(hit=True, code=0, text="", runs=2)
    told = {
        "as it should": (good, END),
        "exit code": (replace(good, code=3), END),
        "other end": (good, replace(END, disabled=False)),
        "not hit": (replace(good, hit=False), END),
    }

    found = {}
    for name, (result, end) in told.items():
        report = Report()
        judge(report, CASE, result, end=end, wanted=END)
        found[name] = report.good

    assert found == {"as it should": True, "exit code": False, "other end": False, "not hit": False}


def test_moments_are_what_points_are_called_by() -> None:
    """Before, while the request leaves, and after."""
    assert [moment.value for moment in Moment] == ["before", "sending", "after"]


def test_servers_of_different_hosts_have_the_same_names_in_points(tmp_path: Path) -> None:
    """Intents are told apart by server, steps by their name and end."""
    log = tmp_path / "points"
    journal = Probed(_Journal(), "journal", Probe(log, at=None, stop_with=signal.SIGKILL))

    journal.record(
        Intent(
            server="1", server_name="compute-7-vm-1", target=None, attempt=1, known_migrations=()
        )
    )
    journal.record(StepDone(step="fence", status="ok", took_s=3.2, text="OFF"))

    assert [line.rsplit("|", 1)[0] for line in log.read_text().splitlines()[::2]] == [
        "journal.record:intent|vm-1|1",
        "journal.record:step_done fence ok||1",
    ]


class _Journal:
    def record(self, event: object) -> None:
        """Keeps nothing."""


def _python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
