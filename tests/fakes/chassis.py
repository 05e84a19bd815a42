"""Machines for the lab's BMCs to stand in front of."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from hacli.lab.ipmi_door import Chassis, IpmiDoor

USER, PASSWORD = "op-of-the-lab", "s3cret-of-the-lab"


@dataclass
class FakeChassis:
    """A machine that obeys its BMC, unless one of its ills says otherwise.

    ``silent_after`` packets the BMC says nothing more; 0 is silent from the start. With
    ``drops_every=3`` it drops each third packet: of a login, always the one with the user's name.
    """

    on: bool = True
    silent_after: int | None = None
    drops_every: int | None = None
    delay_s: float = 0.0
    denied: bool = False
    stuck: bool = False
    orders: list[str] = field(default_factory=list)
    packets: int = 0

    @property
    def silent(self) -> bool:
        """Asked by the door once per packet."""
        self.packets += 1
        if self.drops_every is not None and self.packets % self.drops_every == 0:
            return True
        return self.silent_after is not None and self.packets > self.silent_after

    def power_state(self) -> bool:
        return self.on

    def order_off(self) -> None:
        self._obey("off", on=False)

    def order_on(self) -> None:
        self._obey("on", on=True)

    def order_reset(self) -> None:
        self._obey("reset", on=True)

    def _obey(self, order: str, *, on: bool) -> None:
        self.orders.append(order)
        if not self.stuck:
            self.on = on


@contextmanager
def bmcs(
    chassis: Mapping[str, Chassis], *, suites: tuple[int, ...] = (3, 17), speed: float = 1.0
) -> Iterator[dict[str, int]]:
    """Serve a BMC per machine for a while; yields the ports."""
    door = IpmiDoor(
        chassis,
        user=USER,
        password=PASSWORD,
        lock=threading.Lock(),
        speed=speed,
        suites=suites,
    )
    ports = door.start()
    try:
        yield ports
    finally:
        door.stop()
