"""``python -m tests.system.stack.chassis FOLDER HOST ORDER...``: what a BMC does with an order.

``inside/chassis`` starts it, with the words of ipmi_sim: ``power 0``, ``power 1``, ``reset 1``. A
slow BMC starts it once more as ``later SECONDS``: off, then.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from tests.system.stack.bmc import Bmc, Order, Refused
from tests.system.stack.machine import Machine
from tests.system.stack.plan_file import read_plan

ORDERS = {("power", "0"): Order.OFF, ("power", "1"): Order.ON, ("reset", "1"): Order.RESET}


def main(words: tuple[str, ...]) -> int:
    """The exit code for ipmi_sim: 0 is an acknowledgement."""
    folder, host, *order = words
    plan = read_plan(Path(folder))
    if order[0] == "later":
        Event().wait(float(order[1]))
        Machine(plan, host).power_off()
        return 0
    bmc = Bmc(plan, host)
    wanted = ORDERS.get((order[0], order[1]))
    with (bmc.folder / "orders.log").open("a") as log:
        log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {bmc.mode[0].value} {' '.join(order)}\n")
    if wanted is None:  # a boot device, an identification light: nothing that this chassis has
        return 0
    try:
        bmc.carry_out(wanted)
    except Refused:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
