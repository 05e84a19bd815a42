"""The fencer of the lab's cluster: fence orders, what they need of a BMC, and the fence history.

Fencing goes to the BMC models that everything else talks to. How long an order takes follows from
the steps of ``fence_ipmilan``: read the state, order, wait, read until it is so.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hacli.lab.bmcs import Bmc, PowerReading
from hacli.lab.cib import RebootAction
from hacli.lab.machines import Timeline

_CALL_S = 0.1  # one ipmitool call that is answered
_REFUSED_S = 1.2  # the agent gives up on a wrong password (recorded: ten attempts in 13 s)
_SILENT_S = 57.0  # two tries of the agent at a BMC that says nothing (recorded)
_POWER_WAIT_S = 2.0  # fence_ipmilan's power_wait
_POLL_S = 1.0
KEPT_EVENTS = 500
HUMAN = "a human"


class FenceStatus(StrEnum):
    """How far a fence order got, in crm_mon's words."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class FenceEvent:
    """One entry of the fence history; a pending one has neither delegate nor end."""

    action: str
    target: str
    client: str
    origin: str
    status: FenceStatus
    delegate: str | None = None
    completed: float | None = None
    exit_reason: str | None = None


@dataclass(eq=False, kw_only=True)
class FenceOrder:
    """An order on its way. ``result`` is its event, once it has ended."""

    action: str
    target: str
    client: str
    origin: str
    timeout_s: float
    power: str  # what the device really does: off, on, or off and on again ("reboot")
    begun_at: float | None = None  # None: waits for another order of the same target
    result: FenceEvent | None = None
    silent: bool = field(default=False)  # it failed because the BMC said nothing

    def event(self, status: FenceStatus, **known: str | float | None) -> FenceEvent:
        """The history entry of this order."""
        return FenceEvent(
            action=self.action,
            target=self.target,
            client=self.client,
            origin=self.origin,
            status=status,
            **known,  # type: ignore[arg-type]
        )


class Fencer:
    """Carries out fence orders, one at a time per target, and remembers how they ended."""

    def __init__(
        self,
        *,
        bmcs: Mapping[str, Bmc],
        timeline: Timeline,
        ended: Callable[[FenceOrder, FenceEvent], None],
    ) -> None:
        self._bmcs = bmcs
        self._timeline = timeline
        self._ended = ended
        self._history: list[FenceEvent] = []  # newest first
        self.orders: list[FenceOrder] = []  # not ended, oldest first
        self._numbers = itertools.count(3578)

    @property
    def events(self) -> tuple[FenceEvent, ...]:
        """The history as crm_mon shows it: pending first, then the newest."""
        pending = [order.event(FenceStatus.PENDING) for order in reversed(self.orders)]
        return (*pending, *self._history)

    def next_client(self, program: str) -> str:
        """The name under which a new client process is known."""
        return f"{program}.{next(self._numbers)}"

    def order(
        self,
        target: str,
        action: str,
        *,
        client: str,
        origin: str,
        timeout_s: float,
        reboot_action: RebootAction = RebootAction.REBOOT,
    ) -> FenceOrder:
        """Take an order; the same action for the same target joins the one that is under way."""
        for order in self.orders:
            if (order.target, order.action) == (target, action):
                return order
        power = reboot_action.value if action == "reboot" else action
        order = FenceOrder(
            action=action,
            target=target,
            client=client,
            origin=origin,
            timeout_s=timeout_s,
            power=power,
        )
        busy = any(other.target == target for other in self.orders)
        self.orders.append(order)
        if not busy:
            self._begin(order)
        return order

    def record(self, event: FenceEvent) -> None:
        """Put an event that no device executed into the history."""
        self._history.insert(0, event)
        del self._history[KEPT_EVENTS:]

    def forget(self) -> None:
        """All fencers restarted: the history, kept in their memory only, is gone."""
        self._history.clear()

    def _begin(self, order: FenceOrder) -> None:
        order.begun_at = self._timeline.now
        late = f"Fence agent did not complete within {order.timeout_s:g}s"
        self._after(order, order.timeout_s, lambda: self._end(order, FenceStatus.FAILED, late))
        self._ask(order, lambda state: self._act(order, state))

    def _after(self, order: FenceOrder, seconds: float, action: Callable[[], None]) -> None:
        """Take the order's next step; none is taken once the order has ended."""
        self._timeline.after(seconds, lambda: action() if order.result is None else None)

    def _ask(self, order: FenceOrder, then: Callable[[PowerReading], None]) -> None:
        """Read the power state, however long the BMC takes, and go on with it."""
        bmc = self._bmcs[order.target]
        begun = self._timeline.now if order.begun_at is None else order.begun_at
        order.silent = bmc.silent
        if bmc.silent and self._timeline.now - begun >= _SILENT_S:
            self._end(order, FenceStatus.FAILED)
        elif bmc.silent:
            self._after(order, _POLL_S, lambda: self._ask(order, then))
        elif bmc.denied:
            self._after(order, _REFUSED_S, lambda: self._end(order, FenceStatus.FAILED))
        else:
            answer = _CALL_S + bmc.delay_s
            self._after(order, answer, lambda: then(bmc.power_state()))

    def _act(self, order: FenceOrder, state: PowerReading) -> None:
        if order.power == "on" or (order.power == "reboot" and state is PowerReading.OFF):
            self._switch_on(order, state)
        elif state is PowerReading.OFF:
            self._end(order, FenceStatus.SUCCESS)  # the agent orders nothing ("Already OFF")
        else:
            self._order(order, Bmc.order_off, lambda: self._wait_for_off(order))

    def _order(
        self, order: FenceOrder, power: Callable[[Bmc], None], then: Callable[[], None]
    ) -> None:
        bmc = self._bmcs[order.target]

        def send() -> None:
            power(bmc)
            self._after(order, _POWER_WAIT_S, then)

        self._after(order, _CALL_S + bmc.delay_s, send)

    def _wait_for_off(self, order: FenceOrder) -> None:
        def read(state: PowerReading) -> None:
            if state is PowerReading.ON:
                self._after(order, _POLL_S, lambda: self._ask(order, read))
            elif order.power == "reboot":
                self._switch_on(order, state)
            else:
                self._end(order, FenceStatus.SUCCESS)

        self._ask(order, read)

    def _switch_on(self, order: FenceOrder, state: PowerReading) -> None:
        """Order on; a failure of this half of a reboot is ignored (facts C.3)."""
        if state is PowerReading.ON:
            self._end(order, FenceStatus.SUCCESS)
        else:
            self._order(order, Bmc.order_on, lambda: self._end(order, FenceStatus.SUCCESS))

    def _end(self, order: FenceOrder, status: FenceStatus, reason: str | None = None) -> None:
        event = order.event(
            status, delegate=order.origin, completed=self._timeline.now, exit_reason=reason
        )
        order.result = event
        self.orders.remove(order)
        self.record(event)
        self._ended(order, event)
        waiting = [other for other in self.orders if other.target == order.target]
        if waiting and waiting[0].begun_at is None:
            self._begin(waiting[0])
