"""A clock for what records times and never waits."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hacli.domain.events import Moment


@dataclass
class StillClock:
    """Shows one time, until a test moves it."""

    time: datetime = datetime(2026, 11, 22, 3, 8, tzinfo=UTC)

    def now(self) -> datetime:
        """The time of the outage."""
        return self.time

    def moment(self) -> Moment:
        """The same, of this boot."""
        return Moment(time=self.time, boot="boot-1", uptime_s=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since boot."""
        return self.time.timestamp()

    def awake(self) -> float:
        """It never stands still."""
        return self.monotonic()

    def wait(self, seconds: float) -> None:
        """No time passes."""
