"""This machine's processes, by real ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hacli.adapters.machine import LinuxMachine
from hacli.domain.claim import ProcessId
from tests.eventually import eventually

MACHINE = LinuxMachine()
TELL = (
    "from hacli.adapters.machine import LinuxMachine\n"
    "own = LinuxMachine().own_process()\n"
    "print(own.boot, own.namespace, own.pid, own.started, flush=True)\n"
    "input()\n"
)


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], ProcessId]]:
    """Another process, and who it says that it is."""
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        boot, namespace, pid, started = process.stdout.readline().split()
        yield (
            process,
            ProcessId(boot=boot, namespace=namespace, pid=int(pid), started=int(started)),
        )
        process.kill()


def test_a_process_runs_until_it_has_ended(
    other: tuple[subprocess.Popen[str], ProcessId],
) -> None:
    """It knows itself as others know it."""
    process, its = other
    before = MACHINE.runs(its)

    process.kill()
    process.wait()

    assert before
    assert its.pid == process.pid
    assert (its.boot, its.namespace) == (
        MACHINE.own_process().boot,
        MACHINE.own_process().namespace,
    )
    assert not MACHINE.runs(its)


def test_a_number_that_is_used_again_is_another_process() -> None:
    """The time of its start tells; in doubt it is the same."""
    own = MACHINE.own_process()

    assert MACHINE.runs(own)
    assert not MACHINE.runs(replace(own, started=own.started + 1))
    assert MACHINE.runs(replace(own, started=0))


def test_a_process_of_somebody_else_runs() -> None:
    """Whether it may be signalled or not."""
    assert MACHINE.runs(replace(MACHINE.own_process(), pid=1, started=0))


def test_the_boot_id_is_the_kernels() -> None:
    """The same for all processes until the next boot."""
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    assert MACHINE.own_process().boot == kernel
    assert MACHINE.own_process().pid == os.getpid()


def test_a_process_that_is_dead_and_not_asked_for_runs_no_more() -> None:
    """A container whose first process collects no dead keeps them for ever; they send nothing."""
    child = subprocess.Popen(["sleep", "60"])
    own = LinuxMachine().own_process()
    stat = Path(f"/proc/{child.pid}/stat")
    started = int(stat.read_text().rpartition(")")[2].split()[19])
    process = replace(own, pid=child.pid, started=started)
    alive = LinuxMachine().runs(process)
    child.kill()
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", within_s=5)

    dead = not LinuxMachine().runs(process)

    child.wait()
    assert (alive, dead) == (True, True)
