"""Failures between a client and a service of the lab, on order."""

from dataclasses import dataclass, replace
from enum import StrEnum


class WireEffect(StrEnum):
    """What happens to a request on its way. Only the first leaves the world as it was."""

    UNAVAILABLE = "503"  # refused before anything is done
    UNAVAILABLE_AFTER = "503-after"  # done, and then 503
    LOST = "lost"  # done, and the connection is reset instead of an answer
    LATE = "late"  # done, and answered after ``seconds``
    HALF = "half"  # done, and the answer breaks off in the middle


@dataclass(frozen=True, kw_only=True)
class WireFault:
    """One failure: which requests it meets, and how many of them.

    Args:
        path: A part of the request's path and query; empty for all.
        method: None for every method.
        seconds: Real seconds that a late answer takes.
        times: None until it is cleared.
    """

    effect: WireEffect
    service: str = "nova"
    method: str | None = None
    path: str = ""
    seconds: float = 0.0
    times: int | None = 1

    def meets(self, service: str, method: str, target: str) -> bool:
        """Whether a request suffers it."""
        return service == self.service and self.method in (None, method) and self.path in target


class WireFaults:
    """The failures that are on order, oldest first."""

    def __init__(self) -> None:
        self._faults: list[WireFault] = []

    def add(self, fault: WireFault) -> None:
        """From now on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """No more failures."""
        self._faults.clear()

    def take(self, service: str, method: str, target: str) -> WireFault | None:
        """The failure that this request meets, counted down."""
        for position, fault in enumerate(self._faults):
            if fault.meets(service, method, target):
                if fault.times == 1:
                    del self._faults[position]
                elif fault.times is not None:
                    self._faults[position] = replace(fault, times=fault.times - 1)
                return fault
        return None
