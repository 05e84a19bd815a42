"""Power: what a BMC reports, and where to reach it."""

from dataclasses import dataclass, field
from enum import Enum

IPMI_PORT = 623


class PowerState(Enum):
    """What a BMC says. Anything between on and off, or not understood, is UNKNOWN."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Bmc:
    """Where one host's BMC is and how to log in. The login never shows in a repr.

    ``origin`` says who told us: "configuration" or the stonith device's id.
    """

    driver: str  # ipmi
    address: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    origin: str

    @property
    def label(self) -> str:
        """How screens and errors name it."""
        return f"BMC {self.address}" + ("" if self.port == IPMI_PORT else f":{self.port}")
