"""Port calls on workers while the main loop stays awake: for Ctrl-C, for limits, for other news."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from hacli.errors import SourceError, Unreachable
from hacli.ports import Task, World

T = TypeVar("T")
K = TypeVar("K")

TICK_S = 0.5
"""The longest the main loop sleeps before it looks at its limits again."""


def ask(world: World, call: Callable[[], T]) -> T:
    """Make one port call on a worker and wait for its end.

    Raises:
        Interrupted: A signal asked the run to stop; the call goes on by itself and is forgotten.
    """
    task = world.tasks.submit(call)
    while not task.done:
        world.tasks.wait_any([task], timeout_s=TICK_S)
    return task.result()


def ask_all(
    world: World, calls: Mapping[K, Callable[[], T]], *, limit_s: float
) -> dict[K, T | SourceError]:
    """Make all calls at once, and return each key's value or the error of its source.

    What has not answered within ``limit_s`` counts as unreachable; its call is left to its own end.
    """
    tasks: dict[K, Task[T]] = {key: world.tasks.submit(call) for key, call in calls.items()}
    until = world.clock.awake() + limit_s
    while (left := until - world.clock.awake()) > 0:
        open_tasks = [task for task in tasks.values() if not task.done]
        if not open_tasks:
            break
        world.tasks.wait_any(open_tasks, timeout_s=min(TICK_S, left))
    return {key: outcome_of(task, limit_s=limit_s) for key, task in tasks.items()}


def outcome_of(task: Task[T], *, limit_s: float) -> T | SourceError:
    """The value of a task, or the source's error; not done counts as no answer."""
    if not task.done:
        return Unreachable(source="asked", why=f"no answer within {limit_s:.0f} s")
    try:
        return task.result()
    except SourceError as error:
        return error


def first_error(outcomes: Iterable[object]) -> SourceError | None:
    """The first error among outcomes, if any."""
    return next((outcome for outcome in outcomes if isinstance(outcome, SourceError)), None)
