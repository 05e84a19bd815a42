"""The last line of a run: how many contract cases hold in the real world, and how many in the lab.

A skipped case counts as failed: a contract that was not tried is not kept.
"""

import pytest

PROPERTY = "contract"
REAL, LAB = "real", "lab"


class Score:
    """A pytest plugin; with xdist it counts where the reports come together."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {REAL: set(), LAB: set()}
        self._held: dict[str, set[str]] = {REAL: set(), LAB: set()}
        self._broken: set[str] = set()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one report."""
        world = dict(report.user_properties).get(PROPERTY)
        if not isinstance(world, str):
            return
        self._seen[world].add(report.nodeid)
        if report.when == "call" and report.passed:
            self._held[world].add(report.nodeid)
        elif not report.passed:
            self._broken.add(report.nodeid)

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A case that was skipped fails the run."""
        if exitstatus == pytest.ExitCode.OK and not self.complete:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the line, when any case was run."""
        if self.line:
            terminalreporter.write_line(self.line)

    @property
    def complete(self) -> bool:
        """Every case that was met has held."""
        return all(self._seen[world] <= self._held[world] - self._broken for world in self._seen)

    @property
    def line(self) -> str:
        """``contract: real 61/61, lab 122/122``; a world that was not asked is not named."""
        parts = [
            f"{world} {len(self._held[world] - self._broken)}/{len(self._seen[world])}"
            for world in (REAL, LAB)
            if self._seen[world]
        ]
        return f"contract: {', '.join(parts)}" if parts else ""
