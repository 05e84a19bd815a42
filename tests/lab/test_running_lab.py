"""A lab inside a test: how fast it is there, how its time goes, and who lives in it."""

import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from hacli.lab.commands import Crash
from hacli.lab.running_lab import Lab
from hacli.lab.seed import demo, many, small
from tests.eventually import eventually


def now_of(lab: Lab) -> float:
    """The region's time."""
    with lab.lock:
        return lab.time.now()


def test_a_lab_is_there_within_half_a_second() -> None:
    """Most tests start one."""
    began = time.monotonic()

    with Lab():
        took = time.monotonic() - began

    assert took < 0.5


def test_a_region_begins_now_and_its_time_goes_at_its_speed() -> None:
    """A client's clock and the region's agree at the start."""
    with Lab(small(1, 0), speed=100) as lab:
        assert abs(now_of(lab) - time.time()) < 60
        began, real = now_of(lab), time.monotonic()
        eventually(lambda: now_of(lab) - began > 10)
        passed, took = now_of(lab) - began, time.monotonic() - real

    assert 0.5 < passed / (took * 100) < 2


def test_what_is_due_happens_without_anybody_asking() -> None:
    """Heartbeats, boots and fencing go on by themselves."""
    with Lab(small(1, 0)) as lab:
        with lab.lock:
            happened: list[float] = []
            lab.region.timeline.after(0.1, lambda: happened.append(lab.region.timeline.now))

        eventually(lambda: bool(happened))


def test_a_crashed_host_is_fenced_by_the_cluster() -> None:
    """The doors share one world: the cluster switches the chassis off."""
    with Lab(demo()) as lab:
        lab.apply(Crash(host="compute-3"))
        lab.advance(30)

        assert not lab.region.machines["compute-3"].powered
        assert lab.check(hosts=["compute-3"]) == ()


def test_the_demo_has_each_kind_of_server() -> None:
    """24 on four hosts; on compute-3 six that run, one stopped, one on its local disk."""
    with Lab(demo()) as lab:
        truth = lab.region.truth()
        homes = Counter(host for server in truth for host in server.defined_on)
        third = [server for server in truth if server.defined_on == ("compute-3",)]
        stopped = [server.name for server in third if not server.originally_running]
        local = [server.name for server in truth if server.id in lab.local_servers]

    assert homes == {"compute-1": 5, "compute-2": 6, "compute-3": 8, "compute-4": 5}
    assert (stopped, local) == (["queue-03"], ["build-03"])


def test_1200_servers_on_one_host_find_room_on_the_others() -> None:
    """Each of the others could take them all."""
    with Lab(many()) as lab:
        tables = lab.region.cloud.tables
        on = Counter(server.host for server in tables.servers.values())
        room = {host: capacity.vcpus for host, capacity in tables.capacities.items()}

    assert on == {"compute-1": 1200}
    assert min(room.values()) >= 1200


def test_a_lab_that_fails_to_start_leaves_nothing_open() -> None:
    """A population that cannot be seeded: the error comes through, and no thread stays."""

    def fail(_region: object) -> None:
        raise LookupError("no such flavor")

    before = threading.active_count()
    with pytest.raises(LookupError, match="no such flavor"):
        Lab(replace(small(), fill=fail)).start()

    assert threading.active_count() == before
