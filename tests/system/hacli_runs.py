"""hacli as operators run it: on a controller of the stack, watched from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.eventually import eventually

HACLI = str(Path(sys.executable).with_name("hacli"))
LIMIT_S = 900.0
"""Longer than hacli watches an evacuation that stands still."""

Event = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one hacli process ended, and what it wrote."""

    code: int
    out: str
    err: str
    took_s: float

    @property
    def events(self) -> tuple[Event, ...]:
        """What it told with ``-o jsonl``."""
        return tuple(json.loads(line) for line in self.out.splitlines() if line.endswith("}"))

    @property
    def error_code(self) -> str | None:
        """The stable code of its problem, when it ended with one."""
        codes = [event["code"] for event in self.events if event["event"] == "error"]
        return str(codes[-1]) if codes else None

    @property
    def ends(self) -> dict[str, tuple[str, str | None]]:
        """Last status of each server it told of, and the host it then was on, by id."""
        told: dict[str, tuple[str, str | None]] = {}
        for event in self.events:
            if event["event"] == "server":
                destination = event["to"]
                told[str(event["id"])] = (
                    str(event["status"]),
                    str(destination) if destination else None,
                )
        return told

    @property
    def failures(self) -> dict[str, str]:
        """The code of each server that did not come back, by id."""
        told = (event for event in self.events if event["event"] == "server")
        return {str(e["id"]): str(e["code"]) for e in told if e["status"] == "failed"}

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of each step that did something."""
        return {
            str(event["step"]): float(str(event["took_s"]))
            for event in self.events
            if event["event"] == "step_done" and event["status"] != "skipped"
        }

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"


@dataclass
class Running:
    """A hacli process. What it writes goes to files, so that it never waits for a reader."""

    argv: tuple[str, ...]
    folder: Path
    _ended: Ended | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        stem = f"{time.monotonic_ns():x}"
        self.out, self.err = self.folder / f"{stem}.out", self.folder / f"{stem}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def told(self) -> str:
        """What it has written so far."""
        return self.out.read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        """Send it to hacli itself, which is the child of the process that entered the node.

        That one stops itself when its child is stopped (nsenter of util-linux), and is continued,
        too.
        """
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for child in children.split():
            os.kill(int(child), number)
        if number in (signal.SIGCONT, signal.SIGKILL):
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def when(self, has_come: Callable[[str], bool], *, within_s: float = LIMIT_S) -> None:
        """Wait until what it tells shows that a moment has come, or it has ended."""
        eventually(lambda: has_come(self.told) or not self.running, within_s=within_s)

    def end(self) -> Ended:
        """Wait until it has ended by itself."""
        if self._ended is None:
            self.process.wait(timeout=LIMIT_S)
            self._ended = Ended(
                code=self.process.returncode,
                out=self.told,
                err=self.err.read_text(encoding="utf-8"),
                took_s=time.monotonic() - self.began,
            )
        return self._ended


@dataclass(frozen=True)
class HacliAt:
    """The hacli of one controller.

    Args:
        enter: argv that runs the words behind it inside the controller.
    """

    enter: Callable[..., tuple[str, ...]]
    folder: Path

    def __call__(self, *words: str) -> Ended:
        """Run one command to its end."""
        with self.begin(*words) as running:
            return running.end()

    @contextmanager
    def begin(self, *words: str) -> Iterator[Running]:
        """A command that runs, killed at the end if it still does."""
        running = Running(self.enter(HACLI, *words), self.folder)
        try:
            yield running
        finally:
            running.kill()
