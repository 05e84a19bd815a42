"""A BMC of the lab says what it says and does what it does, which need not be the same."""

import pytest

from hacli.lab.bmcs import Bmc, BmcFault, PowerReading
from hacli.lab.machines import Machines, Timeline


def _chassis(fault: BmcFault, *, off_seconds: float = 0.0) -> tuple[Machines, Bmc]:
    machines = Machines(("compute-1",), Timeline(0.0), boot_seconds=20.0)
    bmc = Bmc(machines["compute-1"], machines, off_seconds=off_seconds)
    bmc.set_fault(fault)
    return machines, bmc


@pytest.mark.parametrize(
    ("fault", "reads", "powered"),
    [
        (BmcFault.OK, PowerReading.OFF, False),
        (BmcFault.SLOW, PowerReading.OFF, False),
        (BmcFault.LIAR, PowerReading.OFF, True),
        (BmcFault.STUCK, PowerReading.ON, True),
    ],
)
def test_each_fault_obeys_or_lies_in_its_own_way(
    fault: BmcFault, reads: PowerReading, *, powered: bool
) -> None:
    """All acknowledge the order; a stuck one and a liar do nothing."""
    machines, bmc = _chassis(fault)

    bmc.order_off()

    assert (bmc.power_state(), machines["compute-1"].powered) == (reads, powered)


@pytest.mark.parametrize("fault", [BmcFault.SILENT, BmcFault.DENIED])
def test_a_bmc_that_lets_nobody_in_does_nothing(fault: BmcFault) -> None:
    """Its door drops or refuses; even an order that came through would change nothing."""
    machines, bmc = _chassis(fault)

    bmc.order_off()

    assert machines["compute-1"].powered
    assert (bmc.silent, bmc.denied) == (fault is BmcFault.SILENT, fault is BmcFault.DENIED)


def test_a_liar_reads_on_until_it_was_told_to_switch_off() -> None:
    """And again when it was told to switch on."""
    _, bmc = _chassis(BmcFault.LIAR)
    readings = [bmc.power_state()]

    bmc.order_off()
    readings.append(bmc.power_state())
    bmc.order_on()
    readings.append(bmc.power_state())

    assert readings == [PowerReading.ON, PowerReading.OFF, PowerReading.ON]


def test_off_may_take_its_time() -> None:
    """Until then the machine lives and the BMC reads ON."""
    machines, bmc = _chassis(BmcFault.OK, off_seconds=4.0)

    bmc.order_off()
    machines.timeline.advance(3.9)
    early = bmc.power_state()
    machines.timeline.advance(4.0)

    assert (early, bmc.power_state()) == (PowerReading.ON, PowerReading.OFF)


def test_only_a_slow_bmc_answers_late() -> None:
    """Ten seconds, longer than a reader should wait."""
    assert _chassis(BmcFault.SLOW)[1].delay_s == 10.0
    assert _chassis(BmcFault.OK)[1].delay_s == 0.0


def test_a_power_cycle_ends_what_runs_and_boots_again() -> None:
    """A chassis that is off stays off."""
    machines, bmc = _chassis(BmcFault.OK)
    machine = machines["compute-1"]

    bmc.order_cycle()
    booting = (machine.powered, machine.booted)
    machines.timeline.advance(20.0)
    booted = (machine.powered, machine.booted)
    bmc.order_off()
    bmc.order_cycle()

    assert (booting, booted) == ((True, False), (True, True))
    assert not machine.powered


def test_a_repaired_bmc_tells_the_truth() -> None:
    """It has forgotten its lies."""
    _, bmc = _chassis(BmcFault.LIAR)
    bmc.order_off()

    bmc.set_fault(BmcFault.OK)

    assert bmc.power_state() is PowerReading.ON
