"""One run per host on one machine, held by the kernel."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hacli.adapters.locks import FileLocks
from hacli.errors import Busy, Misconfigured
from hacli.ports import Locks
from tests.fakes.still_clock import StillClock

HOLDER = """
import sys
from pathlib import Path
from hacli.adapters.clock import StopFlag, SystemClock
from hacli.adapters.locks import FileLocks
locks = FileLocks(Path(sys.argv[1]), user="alice", clock=SystemClock(StopFlag()))
locks.acquire(sys.argv[2], run="r-7f3a")
print("held", flush=True)
sys.stdin.readline()
locks.release(sys.argv[2])
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    """This process' locks."""
    return FileLocks(tmp_path / "run", user="bob", clock=StillClock())


@contextmanager
def holder(directory: Path, host: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has the lock of ``host``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory), host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert line_from(process) == "held"
            yield process
        finally:
            process.kill()


def line_from(process: "subprocess.Popen[str]") -> str:
    """The next thing that the other process says."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_a_held_host_is_busy_and_the_error_says_who(locks: Locks, tmp_path: Path) -> None:
    """The second operator learns whom to ask."""
    with holder(tmp_path / "run", "compute-3") as process:
        with pytest.raises(Busy, match="Another run works on compute-3") as raised:
            locks.acquire("compute-3", run="r-2")

        assert raised.value.why.startswith(f"run r-7f3a of alice, pid {process.pid}, has its lock")
        assert raised.value.host == "compute-3"


def test_another_host_is_free(locks: Locks, tmp_path: Path) -> None:
    """Names are compared whole: compute-1 does not lock compute-10."""
    with holder(tmp_path / "run", "compute-1"):
        locks.acquire("compute-10", run="r-2")
        locks.acquire("compute-1.example", run="r-2")


def test_a_killed_holder_holds_nothing(locks: Locks, tmp_path: Path) -> None:
    """The kernel gives the lock back; the file that is left says nothing any more."""
    with holder(tmp_path / "run", "compute-3") as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)

        locks.acquire("compute-3", run="r-2")

    with pytest.raises(Busy) as raised:
        FileLocks(tmp_path / "run", user="eve", clock=StillClock()).acquire("compute-3", run="r-3")
    assert raised.value.why == (
        f"run r-2 of bob, pid {os.getpid()}, has its lock since 2026-11-22T03:08:00+00:00"
    )


def test_a_released_host_can_be_taken(locks: Locks, tmp_path: Path) -> None:
    """While the process that had it lives on."""
    with holder(tmp_path / "run", "compute-3") as process:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_from(process) == "released"

        locks.acquire("compute-3", run="r-2")


def test_the_same_process_does_not_get_it_twice(locks: Locks) -> None:
    """Two runs in one process are two runs."""
    locks.acquire("compute-3", run="r-1")

    with pytest.raises(Busy):
        locks.acquire("compute-3", run="r-2")


def test_a_lock_that_was_given_back_can_be_taken_again(locks: Locks) -> None:
    """Also when it is given back twice."""
    locks.acquire("compute-3", run="r-1")
    locks.release("compute-3")
    locks.release("compute-3")

    locks.acquire("compute-3", run="r-2")


def test_a_holder_that_has_not_written_yet_is_still_the_holder(
    locks: Locks, tmp_path: Path
) -> None:
    """Between its lock and its words lies an instant; the lock decides."""
    with holder(tmp_path / "run", "compute-3"):
        (tmp_path / "run/compute-3.lock").write_text('{"run": ')

        with pytest.raises(Busy, match="Another run") as raised:
            locks.acquire("compute-3", run="r-2")

    assert raised.value.why == "its lock is held; by whom is not written yet"


def test_a_name_cannot_leave_the_directory(locks: Locks, tmp_path: Path) -> None:
    """A host's name comes from outside."""
    locks.acquire("../../etc/x", run="r-1")

    assert [file.name for file in (tmp_path / "run").iterdir()] == ["..%2F..%2Fetc%2Fx.lock"]


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Without its lock a run does not begin."""
    (tmp_path / "file").touch()
    locks = FileLocks(tmp_path / "file/run", user="bob", clock=StillClock())

    with pytest.raises(Misconfigured, match=r"compute-3\.lock cannot be opened"):
        locks.acquire("compute-3", run="r-1")
