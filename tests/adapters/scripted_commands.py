"""Pacemaker's tools as a script: a wrong command, a wrong order or a leftover fails the test."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import Completed
from hacli.errors import HacliError


@dataclass(frozen=True, kw_only=True)
class Call:
    """One command that is expected, and how it ends."""

    command: str
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    ends_with: HacliError | None = None
    once: bool = False  # an order: through one prefix only
    timeout_s: float = 20.0


@dataclass
class Script:
    """Expected commands in order; those in one tuple may come in any order, at once.

    A command that is not expected now fails the test, as do leftovers (``finish``).
    """

    steps: list[tuple[Call, ...]]
    here: bool = True
    _lock: Lock = field(default_factory=Lock)

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return self._take(argv, once=False, timeout_s=timeout_s)

    def run_once(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        return self._take(argv, once=True, timeout_s=timeout_s)

    def _take(self, argv: Sequence[str], *, once: bool, timeout_s: float) -> Completed:
        with self._lock:
            assert self.steps, f"not expected any more: {argv}"
            step = self.steps.pop(0)
            call = next((call for call in step if call.command == " ".join(argv)), None)
            assert call is not None, f"{argv} in place of {[call.command for call in step]}"
            if rest := tuple(other for other in step if other is not call):
                self.steps.insert(0, rest)
        assert (call.once, call.timeout_s) == (once, timeout_s)
        if call.ends_with is not None:
            raise call.ends_with
        return Completed(
            argv=tuple(argv), exit_code=call.exit_code, stdout=call.stdout, stderr=call.stderr
        )

    def finish(self) -> None:
        """Everything that was expected has happened."""
        assert not self.steps


def pacemaker(*steps: Call | tuple[Call, ...]) -> tuple[Pacemaker, Script]:
    """The adapter over a script, with a clock that stands at 7.5 s."""
    script = Script([step if isinstance(step, tuple) else (step,) for step in steps])
    return Pacemaker(script, monotonic=lambda: 7.5, timeout_s=20.0), script
