"""A compute host as a machine: its chassis, its power, and what befalls it."""

import fcntl
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

from tests.system.stack import install_cluster
from tests.system.stack.cluster import AGENT, PACEMAKER_ENVIRONMENT, prepare_pacemaker
from tests.system.stack.files import write_whole
from tests.system.stack.install_cloud import nova_venv
from tests.system.stack.network import Net, Network
from tests.system.stack.node import INSIDE, Boot, Node
from tests.system.stack.plan import CHAIN, Plan


class Operation(Enum):
    """What Pacemaker does with a service."""

    START = "start"
    STOP = "stop"
    MONITOR = "monitor"


class Outcome(Enum):
    """How it ends."""

    OK = "ok"
    FAIL = "fail"
    HANG = "hang"


@dataclass(frozen=True)
class Machine:
    """A compute host. Its BMC (``bmc.Bmc``) acts through this, and so does a person beside it."""

    plan: Plan
    host: str

    @cached_property
    def node(self) -> Node:
        """The operating system on it."""
        return Node(plan=self.plan, name=self.host)

    def install(self, *, etc: Mapping[str, str | bytes]) -> None:
        """Write its disk; the power is off. ``etc`` are files by their name below ``/etc``."""
        virt = next(nova_venv(self.plan).glob("lib/python3*/site-packages/nova/virt"))
        idle = {service: str(INSIDE / "idle_agent") for service in CHAIN}
        overlays = {
            "/usr/sbin": {**idle, "nova-compute": str(INSIDE / "nova_compute")},
            **AGENT,
            str(virt): {"guest_driver.py": str(INSIDE / "guest_driver.py")},
        }
        remoted = str(install_cluster.pacemaker_remoted(self.plan))
        boot = Boot(
            boot_s=self.plan.boot_s,
            overlays=overlays,
            daemons={"pacemaker-remoted": (remoted,)},
            env=PACEMAKER_ENVIRONMENT,
        )
        self.node.prepare(boot, etc=etc)
        prepare_pacemaker(self.node)
        (self.node.folder / "services").mkdir(exist_ok=True)
        environment = {"TRUTH": self.plan.truth, "NOVA_VENV": nova_venv(self.plan)}
        lines = (f"{name}={value}\n" for name, value in environment.items())
        (self.node.folder / "env").write_text("".join(lines))
        self._write_power("off")

    @property
    def powered(self) -> bool:
        """What the chassis really does, whatever its BMC says; the system may have crashed."""
        return self._power_file.read_text().strip() == "on"

    def power_on(self) -> None:
        """Let it boot, and return when it has begun to; nothing when it has power."""
        with self._alone():
            if not self.powered:
                self._write_power("on")
                self.node.boot()

    def power_off(self) -> None:
        """End all that runs on it at once."""
        with self._alone():
            self.node.kill()
            self._write_power("off")

    def reset(self) -> None:
        """Off and on."""
        with self._alone():
            self.node.kill()
            self._write_power("on")
            self.node.boot()

    def lose_power(self) -> None:
        """The mains fail: host and BMC are silent."""
        Network(plan=self.plan).unplug(self.host, Net.BMC)
        self.power_off()

    def regain_power(self) -> None:
        """The mains are back: the BMC answers, and the host boots."""
        Network(plan=self.plan).plug(self.host, Net.BMC)
        self.power_on()

    def crash(self) -> None:
        """The kernel panics: nothing runs any more, and the power stays on."""
        self.node.kill()

    def hang(self) -> None:
        """Every process stands still and keeps what it has. Raises ``NotRunning``."""
        for process in self.node.processes()[1:]:
            process.signal(signal.SIGSTOP)

    def unhang(self) -> None:
        """Every process goes on, paused guests too. Raises ``NotRunning``."""
        for process in self.node.processes():
            process.signal(signal.SIGCONT)

    def service(self, name: str, operation: Operation, outcome: Outcome) -> None:
        """Let an operation of Pacemaker on a service (``plan.CHAIN``) end so from now on."""
        if name not in CHAIN:
            raise ValueError(f"{name} is none of {', '.join(CHAIN)}")
        order = self.node.folder / "services" / f"{name}.{operation.value}"
        if outcome is Outcome.OK:
            order.unlink(missing_ok=True)
        else:
            order.write_text(f"{outcome.value}\n")

    @property
    def _power_file(self) -> Path:
        return self.node.folder / "power"

    def _write_power(self, state: str) -> None:
        write_whole(self._power_file, f"{state}\n")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change of the power at a time, whoever makes it."""
        with (self.node.folder / "power.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
