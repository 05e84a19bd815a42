"""Port calls on a few threads, so that one slow answer does not hold up the others."""

from collections import deque
from collections.abc import Callable, Collection
from threading import Condition, Lock, Thread
from typing import Generic, TypeVar

from hacli.adapters.clock import LOOK_S, StopFlag
from hacli.ports import Clock, Task

T = TypeVar("T")


class ThreadTask(Generic[T]):
    """One call in flight. Fits ``ports.Task``."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._returned: tuple[T] | None = None
        self._raised: BaseException | None = None

    @property
    def done(self) -> bool:
        """The call has returned or raised."""
        return self._returned is not None or self._raised is not None

    def result(self) -> T:
        """What the call returned, or raise what it raised. Ask only when it is done."""
        if self._raised is not None:
            raise self._raised
        if self._returned is None:
            raise RuntimeError("the result of a task was asked for before it was done")
        return self._returned[0]

    def run(self) -> None:
        """Make the call and keep its end."""
        try:
            self._returned = (self._call(),)
        except BaseException as error:  # noqa: BLE001 - result() raises it where the caller waits
            self._raised = error


class ThreadTasks:
    """At most ``limit`` calls at once, in the order of their submission. Fits ``ports.Tasks``.

    The threads are daemons: a call that never returns does not keep a stopped hacli alive. They
    are started when there is work for them.
    """

    def __init__(self, *, clock: Clock, stop: StopFlag, limit: int = 32) -> None:
        self._clock = clock
        self._stop = stop
        self._limit = limit
        lock = Lock()
        self._work = Condition(lock)
        self._end = Condition(lock)
        self._queue: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0

    def submit(self, call: Callable[[], T]) -> Task[T]:
        """Start the call, or queue it when all threads are busy."""
        task = ThreadTask(call)
        with self._work:
            self._queue.append(task.run)
            if len(self._queue) > self._idle and self._threads < self._limit:
                self._threads += 1
                Thread(target=self._serve, name=f"task-{self._threads}", daemon=True).start()
            self._work.notify()
        return task

    def wait_any(self, tasks: Collection[Task[object]], *, timeout_s: float) -> None:
        """Return when one of the tasks is done or the time has passed.

        Raises:
            Interrupted: A signal asked the run to stop; noticed within ``LOOK_S``.
        """
        end = self._clock.monotonic() + timeout_s
        with self._end:
            while True:
                self._stop.raise_if_set()
                left = end - self._clock.monotonic()
                if left <= 0 or any(task.done for task in tasks):
                    return
                self._end.wait(min(left, LOOK_S))

    def _serve(self) -> None:
        while True:
            with self._work:
                self._idle += 1
                while not self._queue:
                    self._work.wait()
                self._idle -= 1
                run = self._queue.popleft()
            run()
            with self._end:
                self._end.notify_all()
