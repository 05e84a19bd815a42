"""The door through which real time comes into the lab."""

import threading
import time

from hacli.lab.machines import Timeline

_LONGEST_PAUSE_S = 0.05
_SHORTEST_PAUSE_S = 0.002


def wall_clock() -> float:
    """The machine's time, in seconds since the epoch."""
    return time.time()


class TimeDoor:
    """Lets a timeline follow the machine's clock, ``speed`` times as fast.

    Args:
        timeline: Advanced under ``lock`` only.
        lock: Held by everybody who touches the region.
    """

    def __init__(self, timeline: Timeline, *, lock: threading.Lock, speed: float = 1.0) -> None:
        self._timeline = timeline
        self._lock = lock
        self._speed = speed
        self._origin = timeline.now
        self._begun = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="lab-time", daemon=True)

    def now(self) -> float:
        """Bring the timeline up to the present, and tell it. The caller holds the lock."""
        present = self._origin + (time.monotonic() - self._begun) * self._speed
        self._timeline.advance(present)
        return self._timeline.now

    def jump(self, seconds: float) -> None:
        """Let so many seconds of the region pass at once. The caller holds the lock."""
        self._origin += seconds
        self.now()

    def start(self) -> None:
        """Begin to follow; what is due is done within 50 ms also when nobody asks."""
        self._thread.start()

    def stop(self) -> None:
        """Let time stand still for good."""
        self._stopping.set()
        self._thread.join()

    def _tick(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            with self._lock:
                now = self.now()
                due = self._timeline.next_due()
            ahead = _LONGEST_PAUSE_S if due is None else (due - now) / self._speed
            pause = min(max(ahead, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
