"""Child processes of a test: started, watched, and none left behind."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually

_PR_SET_CHILD_SUBREAPER = 36
_ENDS_WITHIN_S = 8.0
"""How long a helper process may take to notice that its hacli was killed."""


@contextmanager
def no_process_left() -> Iterator[None]:
    """Orphans come to this process meanwhile (prctl(2)); at the end there must be none."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before = children_of(os.getpid())
    try:
        yield
        eventually(lambda: not _left(before), within_s=_ENDS_WITHIN_S)
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _left(before: frozenset[int]) -> frozenset[int]:
    """Children that were not there before and run on; those that have ended are taken away."""
    new = children_of(os.getpid()) - before
    return frozenset(pid for pid in new if os.waitpid(pid, os.WNOHANG) == (0, 0))


def children_of(pid: int) -> frozenset[int]:
    """Its living and its dead children, by number."""
    return frozenset(child for child, parent in _parents().items() if parent == pid)


def family_of(pid: int) -> frozenset[int]:
    """The process and all that descend from it."""
    parents = _parents()
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return frozenset(family)


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        found[int(stat.parent.name)] = int(fields[1])
    return found
