"""Calls on threads: bounded, lazy, and never in the way of a stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from threading import Event, Timer

import pytest

from hacli.adapters.clock import StopFlag, SystemClock
from hacli.adapters.tasks import ThreadTasks
from hacli.errors import Interrupted, Unreachable
from hacli.ports import Task, Tasks
from tests.eventually import eventually


@pytest.fixture
def stop() -> StopFlag:
    """The flag of the signal handler."""
    return StopFlag()


@pytest.fixture
def tasks(stop: StopFlag) -> Tasks:
    """Two threads."""
    return ThreadTasks(clock=SystemClock(stop), stop=stop, limit=2)


@pytest.fixture
def gate() -> Iterator[Event]:
    """What a slow call waits for; opened at the end, so that no thread outlives its test."""
    event = Event()
    yield event
    event.set()


def waiting_for(gate: Event) -> Callable[[], str]:
    """A call that takes as long as the test wants."""

    def call() -> str:
        gate.wait(30)
        return "late"

    return call


def test_a_call_returns_its_value(tasks: Tasks) -> None:
    """The caller gets exactly what the port returned, None included."""
    number, nothing = tasks.submit(lambda: 42), tasks.submit(lambda: None)

    eventually(lambda: number.done and nothing.done)

    assert number.result() == 42
    assert nothing.result() is None


def test_an_error_is_raised_where_the_result_is_asked_for(tasks: Tasks) -> None:
    """A worker decides nothing: the main loop sees the very error of the adapter."""
    error = Unreachable(source="Nova", why="connection refused")

    def call() -> str:
        raise error

    task = tasks.submit(call)
    eventually(lambda: task.done)

    with pytest.raises(Unreachable) as raised:
        task.result()
    assert raised.value is error


def test_a_result_is_not_there_before_its_time(tasks: Tasks, gate: Event) -> None:
    """To ask too early is a mistake of the caller, not an answer."""
    task = tasks.submit(waiting_for(gate))

    assert not task.done
    with pytest.raises(RuntimeError):
        task.result()


def test_waiting_ends_with_the_first_that_is_done(tasks: Tasks, gate: Event) -> None:
    """One slow answer does not hold up the others."""
    slow = tasks.submit(waiting_for(gate))
    quick = tasks.submit(lambda: "quick")
    clock = SystemClock(StopFlag())
    before = clock.monotonic()

    tasks.wait_any((slow, quick), timeout_s=20)

    assert (slow.done, quick.done) == (False, True)
    assert clock.monotonic() - before < 5


def test_waiting_ends_when_the_time_has_passed(tasks: Tasks, gate: Event) -> None:
    """Every wait has an end."""
    slow = tasks.submit(waiting_for(gate))
    clock = SystemClock(StopFlag())
    before = clock.monotonic()

    tasks.wait_any((slow,), timeout_s=0.3)

    assert not slow.done
    assert 0.3 <= clock.monotonic() - before < 2


def test_a_stop_ends_the_waiting(tasks: Tasks, stop: StopFlag, gate: Event) -> None:
    """Ctrl-C while Nova takes 60 s to answer: the prompt is back within a second."""
    slow = tasks.submit(waiting_for(gate))
    clock = SystemClock(StopFlag())
    before = clock.monotonic()
    timer = Timer(0.1, stop.set, [signal.SIGINT])
    timer.start()

    with pytest.raises(Interrupted):
        tasks.wait_any((slow,), timeout_s=30)
    timer.join()

    assert clock.monotonic() - before < 1


def test_no_more_calls_run_at_once_than_allowed(tasks: Tasks, gate: Event) -> None:
    """The third waits until a thread is free, and runs then."""
    running: list[int] = []

    def call(number: int) -> Callable[[], None]:
        def run() -> None:
            running.append(number)
            gate.wait(30)

        return run

    calls: list[Task[None]] = [tasks.submit(call(number)) for number in range(3)]
    eventually(lambda: len(running) == 2)
    assert running == [0, 1]

    gate.set()
    eventually(lambda: all(task.done for task in calls))
    assert running == [0, 1, 2]


def test_threads_are_started_for_work_only_and_do_not_keep_hacli_alive(stop: StopFlag) -> None:
    """`--help` starts none; a call that never returns dies with the process."""
    others = set(threading.enumerate())
    tasks = ThreadTasks(clock=SystemClock(stop), stop=stop, limit=8)
    assert set(threading.enumerate()) == others

    for _ in range(20):
        task = tasks.submit(lambda: None)
        tasks.wait_any((task,), timeout_s=10)

    started = set(threading.enumerate()) - others
    assert len(started) <= 2  # one that is done may not be idle yet when the next call comes
    assert all(thread.daemon for thread in started)
