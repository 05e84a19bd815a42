"""The management controllers of the lab's machines, and the ways in which they fail."""

from collections.abc import Callable
from enum import StrEnum

from hacli.lab.machines import Machine, Machines

SLOW_SECONDS = 10.0


class BmcFault(StrEnum):
    """What is wrong with a BMC."""

    OK = "ok"
    SILENT = "silent"  # never answers
    SLOW = "slow"  # answers late
    LIAR = "liar"  # acknowledges off, does nothing, and reads OFF afterwards
    STUCK = "stuck"  # acknowledges off and does nothing
    DENIED = "denied"  # refuses the password


class PowerReading(StrEnum):
    """What a BMC reports of its chassis."""

    ON = "on"
    OFF = "off"


class Bmc:
    """One BMC: what it says and what it does, which need not be the same."""

    def __init__(self, machine: Machine, machines: Machines, *, off_seconds: float = 0.0) -> None:
        self._machine = machine
        self._machines = machines
        self.off_seconds = off_seconds
        self.fault = BmcFault.OK
        self._claims_off = False

    @property
    def silent(self) -> bool:
        """Nobody gets an answer; the door drops what arrives."""
        return self.fault is BmcFault.SILENT or not self._machine.plugged

    @property
    def denied(self) -> bool:
        """Every login fails, with the right password too."""
        return self.fault is BmcFault.DENIED

    @property
    def delay_s(self) -> float:
        """Seconds before each answer."""
        return SLOW_SECONDS if self.fault is BmcFault.SLOW else 0.0

    def set_fault(self, fault: BmcFault) -> None:
        """Break or repair the BMC; a repaired one has forgotten its lies."""
        self.fault = fault
        self._claims_off = False

    def power_state(self) -> PowerReading:
        """What the BMC reports, true or not."""
        if self.fault is BmcFault.LIAR and self._claims_off:
            return PowerReading.OFF
        return PowerReading.ON if self._machine.powered else PowerReading.OFF

    def order_off(self) -> None:
        """Acknowledge a hard power-off, and mostly do it, ``off_seconds`` later."""
        if self.fault is BmcFault.LIAR:
            self._claims_off = True
        elif self._obeys:
            self._later(self._machines.power_off)

    def order_on(self) -> None:
        """Acknowledge a power-on."""
        self._claims_off = False
        if self._obeys:
            self._machines.power_on(self._machine)

    def order_cycle(self) -> None:
        """Acknowledge a power cycle or hard reset; a chassis that is off stays off."""
        if self._obeys and self._machine.powered:
            self._later(self._machines.reboot)

    @property
    def _obeys(self) -> bool:
        return self.fault in (BmcFault.OK, BmcFault.SLOW)

    def _later(self, act: Callable[[Machine], None]) -> None:
        if self.off_seconds:
            self._machines.timeline.after(self.off_seconds, lambda: act(self._machine))
        else:
            act(self._machine)
