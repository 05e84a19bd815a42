"""A BMC: OpenIPMI's simulated one, in a network namespace of its own, and how it may misbehave."""

import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.system.stack import install_cluster, processes
from tests.system.stack.files import write_whole
from tests.system.stack.machine import Machine
from tests.system.stack.network import NAMESPACES, Net, Network
from tests.system.stack.node import CHECKOUT, INSIDE
from tests.system.stack.plan import BMC_LOGIN, Login, Plan

WRONG_LOGIN = Login(user=BMC_LOGIN.user, password="somethingelse")
MANAGEMENT_CONTROLLER = "0x20"  # the IPMB address of every BMC

COMMANDS = f"""\
mc_setbmc {MANAGEMENT_CONTROLLER}
mc_add {MANAGEMENT_CONTROLLER} 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable {MANAGEMENT_CONTROLLER}
"""


class Mode(Enum):
    """What a BMC does with an order, or how it cannot be asked."""

    NORMAL = "normal"
    SLOW = "slow"
    """Acknowledges a power-off at once and carries it out some seconds later."""
    STUCK = "stuck"
    """Acknowledges a power-off, does nothing, and reads ON."""
    LIAR = "liar"
    """Acknowledges every order, does nothing, and reads what was ordered."""
    ERROR = "error"
    """Refuses every order."""
    UNREACHABLE = "unreachable"
    """Its network cable is out."""
    DEAD = "dead"
    """It does not run."""
    WRONG_PASSWORD = "wrong-password"
    """It wants another password than the cluster has."""


class Order(Enum):
    """What a BMC is told to do with the chassis."""

    OFF = "off"
    ON = "on"
    RESET = "reset"


class Refused(Exception):
    """The BMC does not carry out orders."""


@dataclass(frozen=True)
class Bmc:
    """The BMC of one host; its log is ``orders.log`` in its folder."""

    plan: Plan
    host: str

    @property
    def folder(self) -> Path:
        """Of its configuration, its mode and its log."""
        return self.plan.bmc_folder(self.host)

    @property
    def running(self) -> bool:
        """Its program lives."""
        process = processes.read_record(self._record)
        return process is not None and process.alive

    @property
    def mode(self) -> tuple[Mode, float]:
        """What it does now, and the seconds that ``SLOW`` takes."""
        name, seconds = (self.folder / "mode").read_text().split()
        return Mode(name), float(seconds)

    def start(self) -> None:
        """Make it, and let it answer."""
        self.folder.mkdir(parents=True)
        self.behave(Mode.NORMAL)

    def behave(self, mode: Mode, *, seconds: float = 0.0) -> None:
        """Do so from now on; a power-off that ``SLOW`` has begun is carried out all the same."""
        write_whole(self.folder / "mode", f"{mode.value} {seconds}\n")
        (self.folder / "pretended").unlink(missing_ok=True)
        network = Network(plan=self.plan)
        if mode is Mode.UNREACHABLE:
            network.unplug(self.host, Net.BMC)
        else:
            network.plug(self.host, Net.BMC)
        if mode is Mode.DEAD:
            processes.kill_recorded(self._record)
        else:
            self._serve(WRONG_LOGIN if mode is Mode.WRONG_PASSWORD else BMC_LOGIN)

    def carry_out(self, order: Order) -> None:
        """Do with an order what the mode says.

        Raises:
            Refused: ``ERROR``.
        """
        mode, seconds = self.mode
        machine = Machine(self.plan, self.host)
        if mode is Mode.ERROR:
            raise Refused(f"the BMC of {self.host} refuses to switch {order.value}")
        if mode is Mode.LIAR:
            pretended = "off" if order is Order.OFF else "on"
            write_whole(self.folder / "pretended", f"{pretended}\n")
        elif mode is Mode.STUCK and order is not Order.ON:
            pass
        elif mode is Mode.SLOW and order is Order.OFF:
            self._switch_off_later(seconds)
        else:
            {
                Order.OFF: machine.power_off,
                Order.ON: machine.power_on,
                Order.RESET: machine.reset,
            }[order]()

    @property
    def _record(self) -> Path:
        return self.folder / "ipmi_sim.pid"

    def _serve(self, login: Login) -> None:
        """Start its program with this login, unless it runs with it."""
        configuration = self._configuration(login)
        file = self.folder / "lan.conf"
        if self.running and file.read_text() == configuration:
            return
        processes.kill_recorded(self._record)
        file.write_text(configuration)
        (self.folder / "commands.emu").write_text(COMMANDS)
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        processes.start(
            self.folder / "ipmi_sim.log",
            *("nsenter", f"--net={NAMESPACES / self.plan.namespace(f'bmc-{self.host}')}"),
            *(str(install_cluster.ipmi_sim(self.plan)), "-n", "-c", str(file)),
            *("-f", str(self.folder / "commands.emu"), "-s", str(state)),
            record=self._record,
        )

    def _configuration(self, login: Login) -> str:
        address = self.plan.bmc_address(self.host)
        chassis = f"{INSIDE / 'chassis'} {sys.executable} {self.plan.folder} {self.host}"
        kinds = "none md2 md5 straight"
        roles = ("callback", "user", "operator", "admin")
        return "\n".join(
            (
                f'name "{self.host}"',
                f"set_working_mc {MANAGEMENT_CONTROLLER}",
                "startlan 1",
                f"addr {address} 623",
                "priv_limit admin",
                *(f"allowed_auths_{role} {kinds}" for role in roles),
                f"guid a123456789abcdefa12345678900{int(address.rpartition('.')[2]):04x}",
                "endlan",
                f'chassis_control "{chassis}"',
                f'user 1 false "" "" user 10 {kinds}',
                f'user 2 true "{login.user}" "{login.password}" admin 10 {kinds}',
                "",
            )
        )

    def _switch_off_later(self, seconds: float) -> None:
        processes.start(
            self.folder / "orders.log",
            *("env", f"--chdir={CHECKOUT}", sys.executable, "-m", "tests.system.stack.chassis"),
            *(str(self.plan.folder), self.host, "later", str(seconds)),
        )
