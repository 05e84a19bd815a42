"""A stack for as long as somebody needs it."""

from collections.abc import Iterator
from contextlib import contextmanager

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
    try:
        stack = Stack(read_plan(plan.folder))
    except NoStack:
        stack = Stack(plan)
    if stack.complete:
        yield stack
        return
    stack.down()
    ours = Stack(plan)
    try:
        ours.up()
        yield ours
    finally:
        ours.down()
