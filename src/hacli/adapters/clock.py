"""The machine's time, and the flag that ends every wait."""

import signal
import time
from datetime import UTC, datetime

from hacli.errors import Interrupted

LOOK_S = 0.1
"""How often a wait looks at the flag. Ctrl-C gives the prompt back within 1 s."""


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


class SystemClock:
    """The real time of this machine. Fits ``ports.Clock``."""

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def now(self) -> datetime:
        """UTC, as the machine believes it to be."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot, those of suspension included: evidence ages while a laptop sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

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
