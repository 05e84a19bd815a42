"""Port calls on workers while the main loop stays awake: for Ctrl-C, for limits, for other news."""

from collections import deque
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
    wait_all(world, tasks.values(), limit_s=limit_s)
    return {key: outcome_of(task, limit_s=limit_s) for key, task in tasks.items()}


def wait_all(world: World, tasks: Iterable[Task[object]], *, limit_s: float) -> None:
    """Return when all tasks have ended, or ``limit_s`` have passed."""
    going = list(tasks)
    until = world.clock.awake() + limit_s
    while (left := until - world.clock.awake()) > 0:
        going = [task for task in going if not task.done]
        if not going:
            break
        world.tasks.wait_any(going, timeout_s=min(TICK_S, left))


def ask_in_turn(
    world: World, calls: Mapping[K, Callable[[], T]], *, at_once: int, limit_s: float
) -> dict[K, T | SourceError]:
    """As ``ask_all``, with no more than ``at_once`` calls at a time.

    What has not had its turn within ``limit_s`` counts as unreachable, too.
    """
    until = world.clock.awake() + limit_s
    waiting = deque(calls.items())
    tasks: dict[K, Task[T]] = {}
    while (left := until - world.clock.awake()) > 0:
        going = [task for task in tasks.values() if not task.done]
        while waiting and len(going) < at_once:
            key, call = waiting.popleft()
            tasks[key] = world.tasks.submit(call)
            going.append(tasks[key])
        if not going:
            break
        world.tasks.wait_any(going, timeout_s=min(TICK_S, left))
    found = {key: outcome_of(task, limit_s=limit_s) for key, task in tasks.items()}
    never = Unreachable(source="asked", why=f"had no turn within {limit_s:.0f} s")
    return {key: found.get(key, never) for key in calls}


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
