"""The BMCs of a region for services, in virtual time."""

from collections.abc import Callable
from typing import TypeVar

from hacli.domain.power import Bmc, PowerState
from hacli.errors import NotPermitted, Unreachable
from hacli.lab.bmcs import PowerReading
from hacli.lab.region import Region
from tests.fakes.calls import Call, CallLog
from tests.fakes.clock import FakeClock, Process

T = TypeVar("T")

LIMIT_S = 4.0
"""Longest wait for one BMC, as the wiring sets it."""
ANSWER_S = 0.05


class FakeSwitch:
    """One BMC through the network. Fits ``ports.PowerSwitch``."""

    def __init__(
        self,
        bmc: Bmc,
        machine: str,
        region: Region,
        *,
        clock: FakeClock,
        process: Process,
        log: CallLog,
    ) -> None:
        self._bmc = bmc
        self._machine = machine
        self._region = region
        self._clock = clock
        self._process = process
        self._log = log

    def read_state(self) -> PowerState:
        """What it reports."""
        state = self._asked("read_state", self._region.bmcs[self._machine].power_state)
        return PowerState(state.value)

    def power_off(self) -> None:
        """Order off."""
        self._asked("power_off", self._region.bmcs[self._machine].order_off)

    def power_on(self) -> None:
        """Order on."""
        self._asked("power_on", self._region.bmcs[self._machine].order_on)

    def _asked(self, what: str, call: Callable[[], T]) -> T:
        model = self._region.bmcs[self._machine]
        self._clock.spend(ANSWER_S / 2)
        if model.silent or model.delay_s > LIMIT_S:
            self._clock.spend(LIMIT_S)
            raise Unreachable(source=self._bmc.label, why=f"no answer within {LIMIT_S:g} s")
        if model.denied or self._bmc.password != self._region.settings.cluster.login.password:
            raise NotPermitted(source=self._bmc.label, why="refuses the login")
        self._process.moment()
        if what != "read_state":
            self._note(what)
        result = call()
        if isinstance(result, PowerReading):
            self._note(what, said=result.value)
        self._process.moment()
        self._clock.spend(ANSWER_S / 2 + model.delay_s)
        return result

    def _note(self, what: str, said: str | None = None) -> None:
        self._log.add(
            Call(
                at=self._region.timeline.now,
                who=self._process.name,
                port="bmc",
                what=what,
                host=self._machine,
                said=said,
            )
        )
