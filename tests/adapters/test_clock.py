"""The machine's time, and how a wait is stopped."""

import signal
import time
from datetime import UTC, datetime, timedelta
from threading import Timer

import pytest

from hacli.adapters.clock import StopFlag, SystemClock
from hacli.errors import Interrupted
from hacli.ports import Clock


def test_a_wait_takes_its_time() -> None:
    """Neither less, which would age evidence wrongly, nor much more."""
    clock: Clock = SystemClock(StopFlag())
    before = clock.monotonic()

    clock.wait(0.25)

    assert 0.25 <= clock.monotonic() - before < 1.5


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_nothing_to_wait_for_takes_no_time(seconds: float) -> None:
    """A deadline that has passed is not an error."""
    clock = SystemClock(StopFlag())
    before = clock.monotonic()

    clock.wait(seconds)

    assert clock.monotonic() - before < 1.0


def test_a_stop_ends_a_long_wait_at_once() -> None:
    """Ctrl-C gives the prompt back; the error knows the signal, for the exit code."""
    stop = StopFlag()
    clock = SystemClock(stop)
    before = clock.monotonic()
    timer = Timer(0.2, stop.set, [signal.SIGTERM])
    timer.start()

    with pytest.raises(Interrupted, match="SIGTERM") as raised:
        clock.wait(30)
    timer.join()

    assert raised.value.signal_number == signal.SIGTERM
    assert clock.monotonic() - before < 1.0


def test_a_stop_ends_the_next_wait_too() -> None:
    """A run that was asked to stop between two waits does not begin the second."""
    stop = StopFlag()
    stop.set(signal.SIGINT)

    with pytest.raises(Interrupted):
        SystemClock(stop).wait(0)


def test_the_first_signal_is_the_one_that_counts() -> None:
    """SIGTERM after Ctrl-C does not change how the run ends."""
    stop = StopFlag()
    stop.set(signal.SIGINT)
    stop.set(signal.SIGTERM)

    with pytest.raises(Interrupted) as raised:
        stop.raise_if_set()

    assert raised.value.signal_number == signal.SIGINT


def test_now_is_in_utc() -> None:
    """Records are compared across controllers."""
    now = SystemClock(StopFlag()).now()

    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_monotonic_counts_from_the_boot_of_the_machine() -> None:
    """CLOCK_BOOTTIME: the same for every process, and it goes on while the machine sleeps."""
    assert SystemClock(StopFlag()).monotonic() == pytest.approx(
        time.clock_gettime(time.CLOCK_BOOTTIME), abs=5
    )


def test_a_process_that_stood_still_was_not_awake() -> None:
    """Five minutes in which nobody read the clock age evidence, and are a second of a limit."""
    boot_time = [100.0]
    clock = SystemClock(StopFlag(), boot_time=lambda: boot_time[0])
    monotonic, awake = clock.monotonic(), clock.awake()

    boot_time[0] += 300.0
    clock.monotonic()
    boot_time[0] += 1.0

    assert clock.monotonic() - monotonic == 301.0
    assert clock.awake() - awake == 2.0


def test_a_process_that_waits_is_awake() -> None:
    """A wait reads the clock all the time, however long it is; a busy machine is no stop."""
    boot_time = [100.0]
    clock = SystemClock(StopFlag(), boot_time=lambda: boot_time[0])
    before = clock.awake()

    for _ in range(200):
        boot_time[0] += 1.5
        clock.monotonic()

    assert clock.awake() - before == 300.0


def test_a_limit_ends_also_where_every_pause_is_long() -> None:
    """Law L11: a machine that gives us a moment every minute still comes to an end."""
    boot_time = [100.0]
    clock = SystemClock(StopFlag(), boot_time=lambda: boot_time[0])
    until = clock.awake() + 10.0

    turns = 0
    while clock.awake() < until:
        boot_time[0] += 60.0
        turns += 1

    assert turns == 10
