"""The kill matrix: every point of a recorded run, in every way, and what became of it."""

import os
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Event, Semaphore

from hacli.lab.cloud_records import VmState
from hacli.lab.commands import Crash, Return
from hacli.lab.region import Region
from hacli.lab.seed import Population, host_names
from tests.e2e.impatient import HASTE
from tests.e2e.site import LOST_AFTER_S, SPEED, Site
from tests.kill.nursery import nursery
from tests.kill.points import Point, common_points
from tests.kill.steered_time import set_lead
from tests.kill.trial import Case, HostEnd, Operators, Told, Verb, Way, read_end, steer

RUNNING, STOPPED = 1, 1
HOMES = ("spare-1", "spare-2", "spare-3", "spare-4")
RECORDINGS = 3
ROUND = 40
"""Hosts of one region: each command reads the whole of it."""
AT_ONCE, AT_ONCE_BESIDE_OTHERS = 8, 4
"""Processes that run; on a busy machine more would not read their BMCs' answers within 4 s."""
TRIES = 3
"""A point that a run did not come by, on a busy machine, is tried again on another host."""
FIVE_MINUTES_S = 300.0
BACK_AFTER_S = 120.0
"""By then a host that was switched on has booted and is connected."""
CHAINS = {
    Verb.RECOVER: (),
    Verb.FENCE: (),
    Verb.EVACUATE: (Verb.FENCE,),
    Verb.ENABLE: (Verb.RECOVER,),
}
"""What has been done to a host before the command is given."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An undisturbed run, and what others than the probe have counted of it."""

    verb: Verb
    points: tuple[Point, ...]
    end: HostEnd
    requests: int  # over HTTP, through Pacemaker's tools, and orders to the BMC
    writes: int  # rows of the journal

    @property
    def enough(self) -> bool:
        """Whether there are as many points as requests and writes."""
        return len(self.points) >= self.requests + self.writes


@dataclass
class Report:
    """What the matrix came to."""

    points: int = 0
    kills: int = 0
    stops: int = 0
    not_hit: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Every point was hit, and everything ended as it does undisturbed."""
        return not (self.not_hit or self.failures or self.violations)

    @property
    def told(self) -> str:
        """Everything that is wrong, for people."""
        return "\n".join((*self.not_hit, *self.failures, *self.violations))

    @property
    def line(self) -> str:
        """For the last line of ``make soak``."""
        wrong = len(self.failures) + len(self.not_hit)
        return (
            f"points {self.points}, kills {self.kills}, stops {self.stops}, "
            f"ended otherwise {wrong}, violations {len(self.violations)}"
        )


def region_of(hosts: int) -> Population:
    """So many hosts that will die, with a running and a stopped server each, and some to spare."""
    victims = host_names(hosts)

    def fill(region: Region) -> None:
        for host in victims:
            for number in range(RUNNING + STOPPED):
                state = VmState.ACTIVE if number < RUNNING else VmState.STOPPED
                region.cloud.add_server(f"{host}-vm-{number}", host, state=state)

    return Population(hosts=victims + HOMES, fill=fill)


@contextmanager
def dead_hosts(count: int, *, speed: float = SPEED, patient: bool = False) -> Iterator[Operators]:
    """A region in which so many hosts have died at once, before anybody does anything.

    One that died while another is switched off would be a sign of life of that one.
    """
    with tempfile.TemporaryDirectory(prefix="hacli-kill-") as folder:
        life_s = 3600.0 * SPEED
        site = Site(Path(folder), population=region_of(count), speed=speed, token_life_s=life_s)
        site.start()
        try:
            site.haste = 1.0 if patient else HASTE
            site.touched.update(host_names(count))
            for host in host_names(count):
                site.do(Crash(host=host))
            site.lab.advance(LOST_AFTER_S)
            with nursery(site.folder) as born:
                places = Semaphore(_at_once())
                yield Operators(site=site, nursery=born, patient=patient, at_once=places)
        finally:
            site.lab.stop()


def _at_once() -> int:
    busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    return AT_ONCE_BESIDE_OTHERS if busy else AT_ONCE


def record(verb: Verb) -> Recording:
    """Record undisturbed runs: one that is alone in its region, then others beside each other."""
    with dead_hosts(RECORDINGS) as operators:
        site = operators.site
        hosts = host_names(RECORDINGS)
        for host in hosts:
            _prepare(operators, verb, host)
        before, rows = _requests(site), _rows(operators, hosts[0])
        first, ended = operators.undisturbed(verb, hosts[0])
        assert ended.code == 0, ended.out + ended.err
        requests = _requests(site) - before
        writes = _rows(operators, hosts[0]) - rows
        with ThreadPoolExecutor(RECORDINGS) as pool:
            others = tuple(pool.map(lambda host: operators.undisturbed(verb, host), hosts[1:]))
        assert all(end.code == 0 for _, end in others), others
        return Recording(
            verb=verb,
            points=common_points([first, *(points for points, _ in others)]),
            end=read_end(site, hosts[0]),
            requests=requests,
            writes=writes,
        )


def _requests(site: Site) -> int:
    return len(site.requests) + len(site.lab.tools) + len(site.lab.bmc_orders)


def _rows(operators: Operators, host: str) -> int:
    journal = operators.here.folder / "state" / "journal.sqlite"
    return operators.here.journal_rows(host) if journal.exists() else 0


def _prepare(operators: Operators, verb: Verb, host: str) -> None:
    """Bring a dead host to where the command is given."""
    for earlier in CHAINS[verb]:
        ends = (operators.undisturbed(earlier, host)[1] for _ in range(TRIES))
        assert any(ended.code == 0 for ended in ends), f"{earlier.value} {host}"
    if verb is Verb.ENABLE:
        operators.site.do(Return(host=host))
        operators.site.lab.advance(BACK_AFTER_S)


def cases_of(recording: Recording, points: Iterable[Point], ways: Iterable[Way]) -> list[Case]:
    """Every point in every way."""
    chosen = tuple(points)
    return [Case(verb=recording.verb, point=p, way=way) for way in ways for p in chosen]


def run(
    recordings: Sequence[Recording],
    cases: Iterable[Case],
    *,
    tell: Callable[[str], None] = lambda _text: None,
) -> Report:
    """Carry out all cases, in as many regions as they need."""
    ends = {recording.verb: recording.end for recording in recordings}
    report = Report(points=sum(len(recording.points) for recording in recordings))
    queues: dict[tuple[Verb, bool], deque[tuple[Case, int]]] = defaultdict(deque)
    for case in cases:
        queues[case.verb, case.way is Way.STOP_AND_GO_ON].append((case, 1))
    for (verb, stops), queue in queues.items():
        while queue:
            batch = [queue.popleft() for _ in range(min(ROUND, len(queue)))]
            told = _round(verb, [case for case, _ in batch], report, stops=stops)
            for (case, tries), (result, end) in zip(batch, told, strict=True):
                if not result.hit and not result.code and tries < TRIES:
                    queue.append((case, tries + 1))
                    tell(f"again: {case}, was not come by")
                else:
                    wrong = judge(report, case, result, end=end, wanted=ends[verb])
                    if wrong:
                        tell(wrong)
            tell(f"{verb.value}: {len(queue)} cases to go; {report.line}")
    return report


def judge(report: Report, case: Case, told: Told, *, end: HostEnd, wanted: HostEnd) -> str:
    """Count the case, and say what is not as after the undisturbed run; "" when all is."""
    if not told.hit:
        report.not_hit.append(f"not come by: {case}\n{told.text}")
        return report.not_hit[-1]
    if case.way is Way.STOP_AND_GO_ON:
        report.stops += 1
    else:
        report.kills += 1
    if told.code or end != wanted:
        text = f"{case}: exit {told.code} after {told.runs} runs; {end}\n{told.text}"
        report.failures.append(text)
        return text
    return ""


def _round(
    verb: Verb, cases: Sequence[Case], report: Report, *, stops: bool
) -> list[tuple[Told, HostEnd]]:
    """One region, one host for each case."""
    hosts = host_names(len(cases))
    with dead_hosts(len(cases)) as operators, ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(lambda host: _prepare(operators, verb, host), hosts))
        if stops:
            told = _stopped_together(operators, pool, cases)
        else:
            told = list(pool.map(operators.kill, cases, hosts))
        site = operators.site
        recovered = hosts if verb in (Verb.RECOVER, Verb.EVACUATE) else ()
        report.violations += site.violations(recovered=recovered)
        return [(one, read_end(site, host)) for one, host in zip(told, hosts, strict=True)]


def _stopped_together(
    operators: Operators, pool: ThreadPoolExecutor, cases: Sequence[Case]
) -> list[Told]:
    """All are stopped at their points before five minutes pass, once, for all of them."""
    site = operators.site
    clock = site.folder / "clock"
    set_lead(clock, 0.0)
    passed = Barrier(
        len(cases), action=lambda: steer(site, clock, FIVE_MINUTES_S, lead_s=FIVE_MINUTES_S)
    )

    def stop(case: Case, host: str) -> Told:
        try:
            return operators.stop(case, host, lambda: _wait_at(passed), clock)
        except BaseException:
            passed.abort()  # the others wait for this one
            raise

    return list(pool.map(stop, cases, host_names(len(cases))))


def stop_for_real(recording: Recording, points: Sequence[Point]) -> Report:
    """Five real minutes at some points, with a region whose time is the machine's."""
    report = Report()
    cases = [Case(verb=recording.verb, point=point, way=Way.STOP_AND_GO_ON) for point in points]
    hosts = host_names(len(cases))
    with (
        dead_hosts(len(cases), speed=1.0, patient=True) as operators,
        ThreadPoolExecutor(len(cases)) as pool,
    ):
        passed = Barrier(len(cases), action=_five_real_minutes)

        def stop(case: Case, host: str) -> Told:
            return operators.stop(case, host, lambda: _wait_at(passed), None)

        told = list(pool.map(stop, cases, hosts))
        report.violations += operators.site.violations(recovered=hosts)
        for case, one, host in zip(cases, told, hosts, strict=True):
            end = read_end(operators.site, host)
            judge(report, case, one, end=end, wanted=recording.end)
    return report


def _wait_at(barrier: Barrier) -> None:
    barrier.wait()


def _five_real_minutes() -> None:
    Event().wait(FIVE_MINUTES_S)
