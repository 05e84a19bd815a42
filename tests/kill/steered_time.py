"""The clocks of a hacli process, which show 300 s more when somebody has let them pass.

A test cannot wait five minutes at each of a hundred points. So the region's time is advanced while
the process is stopped, and what the process reads of its own clocks afterwards is later by as much:
everything in it that asks Python for the time sees it, adapters and libraries included, because
their functions are exchanged before anything else is imported. A wait within the kernel (a socket's
time-out, a timed lock) does not; ``python -m tests.kill --real`` therefore stops some processes for
five real minutes.
"""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path

_FORMAT = "d"
_SIZE = struct.calcsize(_FORMAT)


def set_lead(file: Path, seconds: float) -> None:
    """Let the clocks that follow ``file`` be so far ahead, from now on."""
    content = struct.pack(_FORMAT, seconds)
    if file.exists():
        with file.open("r+b") as opened:  # the same pages that are mapped elsewhere
            opened.write(content)
    else:
        file.write_bytes(content)


class SteeredClocks:
    """Stands before the clocks of this process, from its making on; first it changes nothing."""

    def __init__(self) -> None:
        self._page: mmap.mmap | None = None
        time.time = self._later(time.time)
        time.monotonic = self._later(time.monotonic)
        time.clock_gettime = self._later(time.clock_gettime)

    def follow(self, file: Path) -> None:
        """Be as far ahead as ``set_lead`` says."""
        with file.open("rb") as opened:
            self._page = mmap.mmap(opened.fileno(), _SIZE, prot=mmap.PROT_READ)

    def _later(self, clock: Callable[..., float]) -> Callable[..., float]:
        return lambda *which: clock(*which) + self._lead()

    def _lead(self) -> float:
        if self._page is None:
            return 0.0
        (seconds,) = struct.unpack_from(_FORMAT, self._page)
        return float(seconds)
