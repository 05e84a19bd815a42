"""A stack for as long as somebody needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.stack.plan import Plan
from tests.system.stack.plan_file import NoStack, read_plan
from tests.system.stack.stack import Stack


@contextmanager
def stack_of(plan: Plan) -> Iterator[Stack]:
    """The stack that runs in the plan's folder, as it is: it runs on after the block.

    Where none does, one is brought up and taken down again, whatever happens in between; what a
    killed process has left there goes first.

    Raises:
        Occupied: Somebody is bringing one up or down there.
        TimedOut: Something of it did not come up; the text says what.
    """
    running = _running_in(plan.folder)
    if running is not None:
        yield running
        return
    ours = Stack(plan)
    ours.down()
    try:
        ours.up()
        yield ours
    finally:
        ours.down()


def _running_in(folder: Path) -> Stack | None:
    try:
        stack = Stack(read_plan(folder))
    except NoStack:
        return None
    return stack if stack.complete else None
