"""The machine's time, and the flag that ends every wait."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from hacli.domain.events import Moment
from hacli.errors import Interrupted

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LOOK_S = 0.1
"""How often a wait looks at the flag. Ctrl-C gives the prompt back within 1 s."""
STOOD_STILL_S = 5.0
"""A wait reads the clock each ``LOOK_S``: a process that has not for so long was not running."""
COUNTS_AS_S = 1.0
"""What such a pause takes of a limit: not nothing, so that every limit ends (law L11)."""


class StopFlag:
    """Raised by a signal handler, read by every wait.

    A plain attribute: a lock, which an Event or a Condition has inside, could be held by the very
    thread that the handler interrupts.
    """

    def __init__(self) -> None:
        self._signal_number: int | None = None

    def set(self, signal_number: int) -> None:
        """Ask the run to stop. The first signal counts."""
        if self._signal_number is None:
            self._signal_number = signal_number

    def raise_if_set(self) -> None:
        """Stop here, if somebody asked.

        Raises:
            Interrupted: With the number of the signal.
        """
        if self._signal_number is not None:
            name = signal.Signals(self._signal_number).name
            raise Interrupted(f"Stopped by {name}.", signal_number=self._signal_number)


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """The real time of this machine. Fits ``ports.Clock``.

    Args:
        stop: Ends every wait.
        boot_time: Seconds since boot, those of suspension included.
    """

    def __init__(self, stop: StopFlag, *, boot_time: Callable[[], float] = _boot_time) -> None:
        self._stop = stop
        self._boot_time = boot_time
        self._reading = Lock()
        self._read_at = boot_time()
        self._stood_still_s = 0.0

    def now(self) -> datetime:
        """UTC, as the machine believes it to be."""
        return datetime.now(UTC)

    def moment(self) -> Moment:
        """Now, with the id of the machine's boot."""
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return Moment(time=self.now(), boot=boot, uptime_s=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since boot, those of suspension included: evidence ages while a laptop sleeps."""
        return self._read()[0]

    def awake(self) -> float:
        """The same, less the time for which no thread of this process has read the clock.

        It was stopped (SIGSTOP), or its machine was suspended or paused; no clock of the kernel
        tells all of these.
        """
        now, stood_still_s = self._read()
        return now - stood_still_s

    def _read(self) -> tuple[float, float]:
        with self._reading:
            now = self._boot_time()
            gap = now - self._read_at
            if gap >= STOOD_STILL_S:
                self._stood_still_s += gap - COUNTS_AS_S
            self._read_at = now
            return now, self._stood_still_s

    def wait(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            Interrupted: A signal asked the run to stop; noticed within ``LOOK_S``.
        """
        end = self.monotonic() + seconds
        self._stop.raise_if_set()
        while (left := end - self.monotonic()) > 0:
            time.sleep(min(left, LOOK_S))
            self._stop.raise_if_set()
