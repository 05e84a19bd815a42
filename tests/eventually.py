"""Waiting for a real process or thread, bounded."""

import time
from collections.abc import Callable
from threading import Event


def eventually(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Return as soon as ``condition`` holds; fail the test when it does not within ``within_s``."""
    deadline = time.monotonic() + within_s
    pause = Event()
    while not condition():
        assert time.monotonic() < deadline, f"not so within {within_s:g} s"
        pause.wait(0.01)
