"""Waiting for the stack, with an end and a name."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

Seen = TypeVar("Seen")


class TimedOut(Exception):
    """Something did not happen in time; the text says what was waited for."""


def wait_until(
    read: Callable[[], Seen], what: str, *, within_s: float, every_s: float = 0.2
) -> Seen:
    """The first answer of ``read`` that is true.

    Raises:
        TimedOut: There was none within ``within_s``.
    """
    deadline = time.monotonic() + within_s
    pause = Event()
    while not (seen := read()):
        if time.monotonic() >= deadline:
            raise TimedOut(f"{what}: not within {within_s:g} s (last seen: {seen!r})")
        pause.wait(every_s)
    return seen
