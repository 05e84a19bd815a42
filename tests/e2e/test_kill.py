"""Law L8: killed anywhere, the same command again comes to the same end."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import pytest

from hacli.lab.cloud_records import VmState
from hacli.lab.commands import Crash
from hacli.lab.region import Region
from hacli.lab.seed import Population
from tests.e2e.conftest import NewSite
from tests.e2e.impatient import SETTLE_S
from tests.e2e.site import IMPATIENT, LOST_AFTER_S, Ended, Running, Site
from tests.eventually import eventually

KILLS = 30
AT_ONCE = 8
VICTIMS = tuple(f"compute-{number}" for number in range(1, KILLS + 1))
HOMES = ("spare-1", "spare-2", "spare-3", "spare-4")
RUNNING, STOPPED = 2, 1
EVENTS = 36
"""What an undisturbed recovery of three servers writes into its journal."""
TOOK_S = 5.5
"""And how long it takes."""
LATE = 3
"""So many recoveries may be faster than their kill."""
SEED = 20150401


@dataclass(frozen=True)
class Moment:
    """When to kill: after so many lines of the event stream, requests that change something, or
    seconds, and then this little later.
    """

    come: Callable[[Site, Running, str], bool]
    later_s: float


@pytest.mark.timeout(180)
def test_recoveries_killed_at_random_moments_are_finished_by_the_same_command(
    build: NewSite,
) -> None:
    """Thirty hosts are dead; each one's recovery is killed (SIGKILL) at a moment of its own.

    A second run ends it, or a third one when the request of the first is of unknown fate and has
    settled. Every server is then where an undisturbed recovery brings it, asked for once.
    """
    site = build(population=Population(hosts=VICTIMS + HOMES, fill=_fill))
    site.touched.update(VICTIMS)
    for host in VICTIMS:
        site.do(Crash(host=host))
    site.lab.advance(LOST_AFTER_S)

    pairs = zip(VICTIMS, _moments(), strict=True)
    with ThreadPoolExecutor(AT_ONCE) as operators:
        stories = tuple(operators.map(lambda pair: _killed_and_resumed(site, *pair), pairs))

    assert sum(killed.code == -signal.SIGKILL for killed, _ in stories) >= KILLS - LATE
    failed = [last.err + last.out for _, last in stories if last.code]
    assert failed == []
    assert site.violations(recovered=VICTIMS) == ()
    with site.lab.lock:
        tables = site.lab.region.cloud.tables
        services = [tables.compute_service(host) for host in VICTIMS]
        states = [str(s.vm_state) for s in tables.servers.values()]
    assert all(service and service.forced_down and service.disabled for service in services)
    assert states == (["active"] * RUNNING + ["stopped"] * STOPPED) * KILLS
    assert len(site.evacuations()) == KILLS * (RUNNING + STOPPED)
    assert site.claims == ()


def _killed_and_resumed(site: Site, host: str, moment: Moment) -> tuple[Ended, Ended]:
    """How the first and how the last run ended."""
    words = ("recover", host, "--yes", "--allow-storm", "-o", "jsonl")
    with site.begin(*words, program=IMPATIENT) as running:
        eventually(lambda: moment.come(site, running, host) or not running.running, within_s=40)
        time_left = time.monotonic() + moment.later_s
        eventually(lambda: time.monotonic() >= time_left)
        running.send(signal.SIGKILL)
        killed = running.end()
    settled_at = time.monotonic() + SETTLE_S
    ended = site.hacli(*words, program=IMPATIENT)
    if "VM_UNKNOWN" in ended.out:
        eventually(lambda: time.monotonic() >= settled_at, within_s=2 * SETTLE_S)
        ended = site.hacli(*words, program=IMPATIENT)
    return killed, ended


def _moments() -> list[Moment]:
    """A third of the moments of each kind, spread over the whole recovery."""
    random = Random(SEED)
    third = KILLS // 3
    moments = []
    for number in range(third):
        part = (number + random.random()) / third
        little = random.uniform(0.0, 0.02)
        moments += [
            _after_lines(1 + int(part * EVENTS), little),
            _after_changes(1 + int(part * (RUNNING + STOPPED + 2)), little),
            _after_seconds(part * TOOK_S),
        ]
    return moments


def _after_lines(lines: int, later_s: float) -> Moment:
    def come(_site: Site, running: Running, _host: str) -> bool:
        return running.out.read_bytes().count(b"\n") >= lines

    return Moment(come, later_s)


def _after_changes(requests: int, later_s: float) -> Moment:
    def come(site: Site, _running: Running, host: str) -> bool:
        targets = [record.target for record in site.requests if record.target is not None]
        return sum(target.host == host for target in targets) >= requests

    return Moment(come, later_s)


def _after_seconds(seconds: float) -> Moment:
    def come(_site: Site, running: Running, _host: str) -> bool:
        return time.monotonic() - running.began >= seconds

    return Moment(come, 0.0)


def _fill(region: Region) -> None:
    for host in VICTIMS:
        for number in range(RUNNING + STOPPED):
            state = VmState.ACTIVE if number < RUNNING else VmState.STOPPED
            region.cloud.add_server(f"{host}-vm-{number}", host, state=state)
