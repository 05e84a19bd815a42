"""Virtual time for whole runs: threads that take turns on the region's timeline.

Every port call runs on a thread of its own and waits by handing its turn back, so that a call that
takes ten seconds costs nothing, and two that overlap do so in the same order each time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Semaphore, Thread

from hacli.domain.events import Moment
from hacli.errors import Interrupted
from hacli.lab.machines import Timeline

SIGINT = 2
_NOW_S = 1e-6  # seconds since the epoch, as floats, are no finer


class Killed(BaseException):
    """SIGKILL: the process that was running is no more."""


class _Abandoned(BaseException):
    """Ends the thread of a process that is no more."""


class Process:
    """One simulated hacli process, and where it is to die.

    A *moment* is a point at which the outside world, or the journal, is just about to change or
    has just changed: there it makes a difference whether the process still lives.
    """

    def __init__(self, name: str, *, dies_at: int | None = None) -> None:
        self.name = name
        self.dead = False
        self.ended = False
        self.moments = 0
        self.dies_at = dies_at
        self.on_death: list[Callable[[], None]] = []

    def moment(self) -> None:
        """Pass a moment, or die in it.

        Raises:
            Killed: Here the process ends, or it has ended already.
        """
        self.moments += 1
        if self.moments == self.dies_at:
            self.kill()
        self.check()

    def kill(self) -> None:
        """It is no more; what the kernel holds for it is free."""
        if not self.dead:
            self.dead = True
            for release in self.on_death:
                release()

    @property
    def lives(self) -> bool:
        """It may still do something."""
        return not (self.dead or self.ended)

    def check(self) -> None:
        """Raise Killed when the process is no more."""
        if self.dead:
            raise Killed(f"{self.name} was killed at moment {self.moments}")


Turn = Callable[[], AbstractContextManager[None]]
"""What is in force while an actor has the turn, and only then."""


class Actor:
    """A thread that runs only while it has the turn, until it waits or ends."""

    def __init__(
        self,
        stage: "Stage",
        process: Process,
        play: Callable[[], None],
        *,
        turn: Turn = nullcontext,
    ) -> None:
        self._turn_of = turn
        self._stage = stage
        self._process = process
        self._play = play
        self._turn = Semaphore(0)
        self._back = Semaphore(0)
        self._thread: Thread | None = None
        self._abandoned = False
        self.ended = False

    def resume(self) -> None:
        """Give it the turn, and go on when it waits or has ended."""
        if self.ended:
            return
        self._abandoned = self._abandoned or self._process.dead
        before, self._stage.current = self._stage.current, self
        with self._turn_of():
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._process.name, daemon=True)
                self._thread.start()
            else:
                self._turn.release()
            self._back.acquire()
        self._stage.current = before

    def pause(self) -> None:
        """Called by itself: hand the turn back until somebody resumes it."""
        if not self._abandoned:
            self._back.release()
            self._turn.acquire()
        if self._abandoned:
            raise _Abandoned

    def abandon(self) -> None:
        """End the thread where it waits."""
        self._abandoned = True
        if self._thread is not None:
            self.resume()
            self._thread.join()

    def _run(self) -> None:
        try:
            self._play()
        except (Killed, _Abandoned):
            pass
        finally:
            self.ended = True
            self._back.release()


@dataclass(frozen=True, eq=False)
class _Wake:
    """An actor that waits for something, which a task that ends may bring about."""

    actor: Actor
    is_so: Callable[[], bool]


class Stage:
    """The one timeline, and whose turn it is. ``current`` is None for the test itself."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.current: Actor | None = None
        self._actors: list[Actor] = []
        self._waiting: list[_Wake] = []

    def actor(
        self, process: Process, play: Callable[[], None], *, turn: Turn = nullcontext
    ) -> Actor:
        """A new thread that has not begun yet."""
        self._actors = [known for known in self._actors if not known.ended]
        actor = Actor(self, process, play, turn=turn)
        self._actors.append(actor)
        return actor

    def sleep(self, seconds: float) -> None:
        """Let time pass for whoever has the turn; the test's own turn moves the time."""
        if self.current is None:
            self.timeline.advance(self.timeline.now + seconds)
        else:
            self.timeline.after(seconds, self.current.resume)
            self.current.pause()

    def sleep_until_so(self, is_so: Callable[[], bool], seconds: float) -> None:
        """From an actor's turn: let time pass until somebody notices that it is so."""
        assert self.current is not None
        wake = _Wake(self.current, is_so)
        self._waiting.append(wake)
        self.timeline.after(seconds, lambda: self._wake(wake))
        self.current.pause()

    def noticed(self) -> None:
        """Something has come about that actors may wait for: they go on when time next passes."""
        for wake in self._waiting:
            if wake.is_so():
                self.timeline.after(0.0, lambda wake=wake: self._wake(wake))  # type: ignore[misc]

    def _wake(self, wake: "_Wake") -> None:
        if wake in self._waiting:
            self._waiting.remove(wake)
            wake.actor.resume()

    def step(self, until: float) -> None:
        """From the test's own turn: move to what happens next, but not beyond ``until``."""
        due = self.timeline.next_due()
        self.timeline.advance(until if due is None else max(self.timeline.now, min(due, until)))

    def close(self) -> None:
        """End every thread."""
        self._waiting.clear()
        for actor in self._actors:
            if not actor.ended:
                actor.abandon()


class FakeClock:
    """The clock of one process. Fits ``ports.Clock``.

    Args:
        boot: Id of the machine's boot.
        booted_at: When that was, by the region's time.
        ahead_s: How far the wall clock of its machine is ahead of the region's time.
        interrupt_at: Monotonic time at which Ctrl-C is pressed.
    """

    def __init__(self, stage: Stage, process: Process, *, boot: str, booted_at: float) -> None:
        self._stage = stage
        self._process = process
        self._boot = boot
        self._booted_at = booted_at
        self.interrupt_at: float | None = None
        self.ahead_s = 0.0  # of the clock on the wall of everybody else
        process.on_death.append(stage.noticed)

    def now(self) -> datetime:
        """The region's time, as this machine has it."""
        return datetime.fromtimestamp(self._stage.timeline.now + self.ahead_s, UTC)

    def moment(self) -> Moment:
        """Now, for the journal."""
        return Moment(time=self.now(), boot=self._boot, uptime_s=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since the machine was booted."""
        return self._stage.timeline.now - self._booted_at

    def awake(self) -> float:
        """A process of the stage runs until it is killed."""
        return self.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass in the region."""
        self.wait_for(lambda: False, seconds)

    def wait_for(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Let time pass until it is so, at most so long.

        Raises:
            Interrupted: Ctrl-C came before or meanwhile. Killed: so did SIGKILL.
        """
        end = self.monotonic() + seconds
        while True:
            self._process.check()
            if self.interrupt_at is not None and self.interrupt_at - self.monotonic() < _NOW_S:
                raise Interrupted("Interrupted.", signal_number=SIGINT)
            limit = end if self.interrupt_at is None else min(end, self.interrupt_at)
            left = limit - self.monotonic()
            if is_so() or end - self.monotonic() < _NOW_S:
                return
            if self._stage.current is None:
                self._stage.step(self._stage.timeline.now + left)
            else:
                self._stage.sleep_until_so(lambda: is_so() or self._process.dead, left)

    def spend(self, seconds: float) -> None:
        """A port call takes so long."""
        self._stage.sleep(seconds)
