"""Port calls on threads that take turns in virtual time."""

from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from hacli.ports import Task
from tests.fakes.clock import Actor, FakeClock, Killed, Process, Stage

T = TypeVar("T")


class FakeTask(Generic[T]):
    """One call in flight. Fits ``ports.Task``."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._returned: tuple[T] | None = None
        self._raised: Exception | None = None

    @property
    def done(self) -> bool:
        """The call has returned or raised."""
        return self._returned is not None or self._raised is not None

    def result(self) -> T:
        """What it returned, or raise what it raised."""
        if self._raised is not None:
            raise self._raised
        assert self._returned is not None, "asked for the result of a task that is not done"
        return self._returned[0]

    def run(self) -> None:
        """Make the call and keep its end."""
        try:
            self._returned = (self._call(),)
        except Exception as error:  # noqa: BLE001 - result() raises it where the caller waits
            self._raised = error


class FakeTasks:
    """At most ``limit`` calls at once, begun in the order of their submission."""

    def __init__(
        self, stage: Stage, clock: FakeClock, process: Process, *, limit: int = 64
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._process = process
        self._limit = limit
        self._queue: deque[Callable[[], None]] = deque()
        self._idle: list[Actor] = []
        self._workers = 0

    def submit(self, call: Callable[[], T]) -> Task[T]:
        """The call begins when time next passes and a worker is free."""
        self._process.check()
        task = FakeTask(call)
        self._queue.append(task.run)
        self._stage.timeline.after(0.0, self._serve)
        return task

    def wait_any(self, tasks: Collection[Task[object]], *, timeout_s: float) -> None:
        """Let time pass until one of the tasks is done, or for so long. Raises as the clock."""
        self._clock.wait_for(lambda: any(task.done for task in tasks), timeout_s)

    def _serve(self) -> None:
        if self._process.dead or not self._queue:
            return
        if self._idle:
            self._idle.pop().resume()
        elif self._workers < self._limit:
            self._workers += 1
            self._stage.actor(self._process, self._work).resume()

    def _work(self) -> None:
        actor = self._stage.current
        assert actor is not None
        while True:
            while self._queue:
                self._queue.popleft()()
                self._stage.noticed()
                if self._process.dead:
                    raise Killed
            self._idle.append(actor)
            actor.pause()
