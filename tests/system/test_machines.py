"""The stack's hosts and BMCs behave as real ones do, at their best and at their worst."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.system.stack import guests, network
from tests.system.stack.api import CloudApi
from tests.system.stack.bmc import WRONG_LOGIN, Mode
from tests.system.stack.cib import GATE
from tests.system.stack.machine import Operation, Outcome
from tests.system.stack.plan import BMC_LOGIN, CHAIN, FenceAction, Login
from tests.system.stack.stack import Stack

FENCED_WITHIN_S = 100.0
"""Monitor interval and limit of the connection (10 s, 30 s), then fencing, on a busy machine."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def host(stack: Stack) -> Iterator[str]:
    """One host of a healthy stack, healthy again afterwards."""
    name = stack.plan.host_names[0]
    stack.cluster.wait_until_healthy()
    boot = stack.node(name).pid
    yield name
    mend(stack, name, boot)


def mend(stack: Stack, name: str, boot: int) -> None:
    """Undo what a test has done to a host; ``boot`` is the pid 1 that it had before."""
    machine, node = stack.machine(name), stack.node(name)
    stack.bmc(name).behave(Mode.NORMAL)
    node.join()
    for service in CHAIN:
        for operation in Operation:
            machine.service(service, operation, Outcome.OK)
    if not node.running or node.pid != boot or stack.cluster.complaints():
        machine.power_off()
        stack.cluster.fence(name)
        machine.power_on()
    stack.cluster.controllers[0].run("crm_resource", "--cleanup")
    stack.cluster.wait_until_healthy()


@dataclass(frozen=True)
class Chassis:
    """What ``ipmitool`` on a controller gets from a BMC; None: no answer."""

    stack: Stack
    host: str

    def __call__(self, order: str, *, login: Login = BMC_LOGIN) -> str | None:
        """``status``, ``on`` or ``off``; tries once."""
        answer = self.stack.cluster.controllers[0].run(
            *("ipmitool", "-I", "lanplus", "-C", "3", "-N", "2", "-R", "1"),
            *("-H", self.stack.plan.bmc_address(self.host), "-U", login.user, "-P", login.password),
            *("chassis", "power", order),
            check=False,
        )
        return answer.stdout.strip() if answer.returncode == 0 else None


@pytest.fixture
def chassis(stack: Stack, host: str) -> Chassis:
    """The host's BMC, asked from the first controller."""
    return Chassis(stack, host)


def test_what_runs_in_a_node_cannot_write_the_files_of_the_machine(stack: Stack, host: str) -> None:
    """``/etc``, ``/usr`` and ``/var`` are the machine's to read; what a node writes stays in it."""
    places = ("/usr/sbin/trace", "/trace", "/root/trace")
    private = ("/etc/trace", "/run/trace", "/tmp/trace", "/var/lib/trace", "/var/log/trace")
    for name in ("cloud", *stack.plan.controller_names, *stack.plan.host_names):
        node = stack.node(name)

        refused = [node.run("touch", place, check=False).returncode for place in places]
        node.run("touch", *private)

        assert refused == [1] * len(places)
        assert not [place for place in (*places, *private) if Path(place).exists()]
        node.run("rm", *private)


def test_a_file_given_to_a_node_is_in_its_etc_at_once(stack: Stack) -> None:
    """A test may change an operator's configuration in a running controller."""
    node = stack.cluster.controllers[0]
    given = node.folder / "etc/hacli/given"
    for words in ("first", "second"):
        given.with_suffix(".new").write_text(words)
        given.with_suffix(".new").rename(given)

        assert node.run("cat", "/etc/hacli/given").stdout == words
    given.unlink()


def test_the_power_button_of_a_bmc_is_the_power_of_the_host(
    stack: Stack, host: str, chassis: Chassis
) -> None:
    """Off ends every process of the host, guests too, and on boots it; the BMC tells the truth."""
    controller = stack.plan.namespace(stack.plan.controller_names[0])
    name, api = stack.plan.nova_name(host), CloudApi(stack.plan)
    with network.joined(controller):
        servers = api.boot_servers(name, images=2)
        reported = api.services()[name]["updated_at"]

    def seen() -> tuple[str | None, bool, set[tuple[str, ...]]]:
        running = guests.running(stack.plan)
        where = {running[server] for server in servers if server in running}
        return chassis("status"), stack.node(host).running, where

    assert seen() == ("Chassis Power is on", True, {(host,)})
    assert chassis("off") == "Chassis Power Control: Down/Off"
    assert seen() == ("Chassis Power is off", False, set())
    stack.cluster.fence(host)
    assert chassis("on") == "Chassis Power Control: Up/On"
    assert seen() == ("Chassis Power is on", True, set())  # nobody starts its guests again

    stack.cluster.wait_until_healthy()
    with network.joined(controller):
        api.wait_for_heartbeat(name, after=reported)  # before it, a delete would be lost
        api.delete_servers(servers)


@pytest.mark.parametrize(
    ("mode", "answers"),
    [
        (Mode.STUCK, ("Chassis Power Control: Down/Off", "Chassis Power is on")),
        (Mode.LIAR, ("Chassis Power Control: Down/Off", "Chassis Power is off")),
        (Mode.ERROR, (None, "Chassis Power is on")),
        (Mode.UNREACHABLE, (None, None)),
        (Mode.DEAD, (None, None)),
        (Mode.WRONG_PASSWORD, (None, None)),
    ],
)
def test_a_bmc_misbehaves_as_it_is_told(
    stack: Stack, host: str, chassis: Chassis, mode: Mode, answers: tuple[str | None, str | None]
) -> None:
    """What it answers to a power-off and reads afterwards; the host runs on in each case."""
    stack.bmc(host).behave(mode)

    told = (chassis("off"), chassis("status"))

    assert (told, stack.node(host).running) == (answers, True)


def test_a_bmc_with_another_password_takes_that_one(
    stack: Stack, host: str, chassis: Chassis
) -> None:
    """It is well but for the login."""
    stack.bmc(host).behave(Mode.WRONG_PASSWORD)

    assert chassis("status", login=WRONG_LOGIN) == "Chassis Power is on"


def test_a_slow_bmc_switches_off_later(stack: Stack, host: str, chassis: Chassis) -> None:
    """It acknowledges at once and reads ON until it is so."""
    stack.bmc(host).behave(Mode.SLOW, seconds=3)

    assert chassis("off") == "Chassis Power Control: Down/Off"
    assert chassis("status") == "Chassis Power is on"
    eventually(lambda: not stack.machine(host).powered)
    assert chassis("status") == "Chassis Power is off"


def test_a_crashed_host_is_fenced_and_stays_off(stack: Stack, host: str) -> None:
    """A panic leaves the power on; Pacemaker's device switches it off, and nobody on again."""
    stack.machine(host).crash()

    assert stack.machine(host).powered
    eventually(lambda: not stack.machine(host).powered, within_s=FENCED_WITHIN_S)


def test_a_hung_host_is_fenced(stack: Stack, host: str) -> None:
    """All its processes stand still, and so does its side of the connection."""
    stack.machine(host).hang()

    assert stack.node(host).running
    eventually(lambda: not stack.machine(host).powered, within_s=FENCED_WITHIN_S)


def test_a_host_that_is_cut_off_runs_on_until_it_is_fenced(stack: Stack, host: str) -> None:
    """The network is lost and nothing else; with its BMC silent it can not be fenced either."""
    stack.bmc(host).behave(Mode.UNREACHABLE)
    stack.node(host).cut()

    eventually(
        lambda: f"{host} is not online" in stack.cluster.complaints(), within_s=FENCED_WITHIN_S
    )
    assert stack.node(host).running
    stack.bmc(host).behave(Mode.NORMAL)
    eventually(lambda: not stack.machine(host).powered, within_s=FENCED_WITHIN_S)
    assert stack.node(host).is_cut_off


def test_a_service_that_does_not_stop_has_its_host_fenced(stack: Stack, host: str) -> None:
    """The gate asks for the stop of nova-compute; its failure is a reason to fence."""
    stack.machine(host).service("nova-compute", Operation.STOP, Outcome.FAIL)
    controller = stack.cluster.controllers[0]
    attribute = ("crm_attribute", "--node", host, "--name", GATE, "--lifetime", "forever")

    controller.run(*attribute, "--update", "1")

    try:
        eventually(lambda: not stack.machine(host).powered, within_s=FENCED_WITHIN_S)
    finally:
        controller.run(*attribute, "--delete")


def test_the_gate_keeps_nova_compute_off_a_host_that_returns(stack: Stack, host: str) -> None:
    """With the attribute the rest of the chain starts; without it nova-compute does, too."""
    controller = stack.cluster.controllers[0]
    attribute = ("crm_attribute", "--node", host, "--name", GATE, "--lifetime", "forever")
    one_less = f"nova-compute is started {stack.plan.hosts - 1} of {stack.plan.hosts} times"

    controller.run(*attribute, "--update", "1")

    try:
        eventually(lambda: stack.cluster.complaints() == (one_less,), within_s=60)
        assert not stack.node(host).run("pgrep", "-f", "nova-compute", check=False).stdout
    finally:
        controller.run(*attribute, "--delete")
    stack.cluster.wait_until_healthy()


def test_the_action_of_fencing_is_changed_while_the_stack_runs(stack: Stack, host: str) -> None:
    """By reboot a lost host comes back by itself."""
    stack.cluster.set_fence_action(FenceAction.REBOOT)
    try:
        before = stack.node(host).pid
        stack.machine(host).crash()

        eventually(lambda: stack.node(host).running, within_s=FENCED_WITHIN_S)
        assert stack.node(host).pid != before
        stack.cluster.wait_until_healthy()
    finally:
        stack.cluster.set_fence_action(stack.plan.fence)
