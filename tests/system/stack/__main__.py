"""``python -m tests.system.stack``: start, look at, harm and stop the stack, as root."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.stack import guests, install_cloud
from tests.system.stack.bmc import Mode
from tests.system.stack.machine import Operation, Outcome
from tests.system.stack.node import CHECKOUT
from tests.system.stack.operator_files import CLOUD_NAME
from tests.system.stack.plan import CHAIN, FenceAction, Plan, Release
from tests.system.stack.plan_file import read_plan
from tests.system.stack.processes import PLAIN_ENVIRONMENT
from tests.system.stack.stack import Stack
from tests.system.stack.status import lines_of_guests, lines_of_status

Command = Callable[[argparse.Namespace], int]


def main() -> int:
    """Do what the words say; 1 when it could not be done, 130 after Ctrl-C."""
    logging.basicConfig(
        format="%(relativeCreated)8.0f ms  %(message)s", level=logging.INFO, stream=sys.stderr
    )
    # whoever ends `up` from outside wants what Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args()
    run: Command = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  the border: a person reads it, and the logs are kept
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


def up(options: argparse.Namespace) -> int:
    """A failed stack is left for a look at it, an interrupted one is taken down."""
    plan = Plan(
        folder=options.folder,
        name=options.name,
        hosts=options.hosts,
        controllers=options.controllers,
        release=Release(options.release),
        fence=FenceAction(options.fence),
    )
    started = time.monotonic()
    try:
        Stack(plan).up()
    except KeyboardInterrupt:
        Stack(plan).down()
        raise
    sys.stdout.write(f"up after {time.monotonic() - started:.1f} s\n")
    return 0


def down(options: argparse.Namespace) -> int:
    """Whatever there is."""
    Stack(Plan(folder=options.folder)).down()
    return 0


def status(options: argparse.Namespace) -> int:
    """1 when the cluster is not healthy."""
    stack = _running(options)
    _write(lines_of_status(stack))
    return 1 if stack.cluster.complaints() else 0


def show_guests(options: argparse.Namespace) -> int:
    """2 when one runs twice."""
    plan = _running(options).plan
    _write(lines_of_guests(plan))
    return 2 if guests.running_twice(plan) else 0


def run_inside(options: argparse.Namespace) -> int:
    """A command, or a shell; its exit code."""
    node = _running(options).node(options.node)
    return _run(node.command(*(options.words or ("bash",))))


def openstack(options: argparse.Namespace) -> int:
    """The openstack client, on the first controller; its exit code."""
    stack = _running(options)
    program = install_cloud.venv(stack.plan) / "bin/openstack"
    node = stack.cluster.controllers[0]
    return _run(node.command("env", f"OS_CLOUD={CLOUD_NAME}", str(program), *options.words))


def befall(options: argparse.Namespace) -> int:
    """What can happen to a host; ``cut`` and ``join`` to any node."""
    stack = _running(options)
    node, machine = stack.node(options.node), stack.machine(options.node)
    {
        "crash": machine.crash,
        "hang": machine.hang,
        "unhang": machine.unhang,
        "cut": node.cut,
        "join": node.join,
    }[options.command]()
    return 0


def power(options: argparse.Namespace) -> int:
    """The button and the mains."""
    machine = _running(options).machine(options.host)
    {
        "on": machine.power_on,
        "off": machine.power_off,
        "reset": machine.reset,
        "lose": machine.lose_power,
        "regain": machine.regain_power,
    }[options.what]()
    return 0


def bmc(options: argparse.Namespace) -> int:
    """How a BMC behaves from now on."""
    _running(options).bmc(options.host).behave(Mode(options.mode), seconds=options.seconds)
    return 0


def service(options: argparse.Namespace) -> int:
    """How Pacemaker's operation on a service ends from now on."""
    operation, outcome = Operation(options.operation), Outcome(options.outcome)
    _running(options).machine(options.host).service(options.service, operation, outcome)
    return 0


def fencing(options: argparse.Namespace) -> int:
    """What is ordered for a lost host from now on."""
    _running(options).cluster.set_fence_action(FenceAction(options.action))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.system.stack", description=__doc__)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--folder", type=_folder, default=CHECKOUT / ".system", help="work folder")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Command, *arguments: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, parents=[where])
        added.set_defaults(run=run)
        for argument in arguments:
            added.add_argument(argument)
        return added

    starting = command("up", up)
    starting.add_argument("--name", default="s", help="another for each stack on the machine")
    starting.add_argument("--hosts", type=int, default=4)
    starting.add_argument("--controllers", type=int, default=1)
    starting.add_argument("--release", choices=_values(Release), default=Release.NEWEST.value)
    starting.add_argument("--fence", choices=_values(FenceAction), default=FenceAction.OFF.value)
    command("down", down)
    command("status", status)
    command("guests", show_guests)
    command("in", run_inside, "node").add_argument("words", nargs=argparse.REMAINDER)
    command("os", openstack).add_argument("words", nargs=argparse.REMAINDER)
    for name in ("crash", "hang", "unhang", "cut", "join"):
        command(name, befall, "node")
    what = ("on", "off", "reset", "lose", "regain")
    command("power", power, "host").add_argument("what", choices=what)
    misbehave = command("bmc", bmc, "host")
    misbehave.add_argument("mode", choices=_values(Mode))
    misbehave.add_argument("seconds", type=float, nargs="?", default=0.0)
    chain = command("service", service, "host")
    chain.add_argument("service", choices=CHAIN)
    chain.add_argument("operation", choices=_values(Operation))
    chain.add_argument("outcome", choices=_values(Outcome))
    command("fencing", fencing).add_argument("action", choices=_values(FenceAction))
    return parser


def _run(words: tuple[str, ...]) -> int:
    """With nothing of this shell's environment but the terminal's name."""
    env = {**PLAIN_ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")}
    return subprocess.run(words, env=env, check=False).returncode


def _folder(word: str) -> Path:
    return Path(word).resolve()


def _values(kind: type[Mode | Operation | Outcome | FenceAction | Release]) -> tuple[str, ...]:
    return tuple(member.value for member in kind)


def _running(options: argparse.Namespace) -> Stack:
    return Stack(read_plan(options.folder))


def _write(lines: tuple[str, ...]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
