"""The stack as a whole: it comes up, another one stands beside it, and it leaves nothing."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.system.stack.network import Net, Network
from tests.system.stack.node import CHECKOUT, Boot, Node
from tests.system.stack.plan import Plan
from tests.system.stack.stack import Occupied, Stack
from tests.system.traces import mounts, traces_of

HACLI = str(Path(sys.executable).with_name("hacli"))
MOMENTS = (
    "plan.json",
    "bmc/compute-1/mode",
    "nodes/cloud/init.pid",
    "nodes/compute-1/ready",
    "nodes/cloud/daemons/keystone.pid",
    "nodes/cloud/daemons/nova-conductor.pid",
)
"""What is there in ``plan.run`` when the start has come so far."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Iterator[Plan]:
    """A stack of one host that nobody has started, in a folder that nodes hide behind their own.

    Programs come from the session's cache.
    """
    folder = Path(tempfile.mkdtemp(prefix="stack-"))
    cache = Path(request.config.getoption("--stack")).resolve() / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(cache)
    plan = Plan(folder=folder, name=f"t{os.getpid()}", hosts=1)
    yield plan
    Stack(plan).down()
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Up:
    """``python -m tests.system.stack up``, as a person starts it."""

    plan: Plan

    def until(self, moment: str) -> "subprocess.Popen[bytes]":
        """Let it come to a moment: a file in ``plan.run``."""
        words = (sys.executable, "-m", "tests.system.stack", "up", "--hosts", "1")
        where = ("--folder", str(self.plan.folder), "--name", self.plan.name)
        told = self.plan.folder / "up.log"
        with told.open("wb") as log:
            up = subprocess.Popen((*words, *where), cwd=CHECKOUT, stderr=log)
        reached = self.plan.run / moment
        eventually(lambda: reached.exists() or up.poll() is not None, within_s=240)
        assert up.poll() is None, told.read_text()
        return up


def test_a_stack_is_up_when_hacli_finds_nothing_to_say_against_it(stack: Stack) -> None:
    """``up`` ends when cluster, BMCs and cloud are ready: hacli sees all of them from a controller,
    with the configuration and the logins that it finds there.
    """
    stack.cluster.wait_until_healthy()

    seen = stack.cluster.controllers[0].run(HACLI, "status", check=False)

    assert (seen.returncode, seen.stderr) == (0, "")
    assert f"OK: all {stack.plan.hosts} hosts are ready." in seen.stdout


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_start_leaves_nothing(small: Plan, moment: str) -> None:
    """Ctrl-C in the middle of ``up`` takes down what has been started until then."""
    before = mounts()
    up = Up(small).until(moment)

    up.send_signal(signal.SIGINT)

    assert up.wait(timeout=120) == 130, (small.folder / "up.log").read_text()
    assert traces_of(small) == ()
    assert mounts() == before


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_ends_what_a_killed_start_has_left(small: Plan, moment: str) -> None:
    """SIGKILL lets nobody clean up; the records and the namespaces are enough for ``down``."""
    before = mounts()
    up = Up(small).until(moment)

    up.kill()
    up.wait(timeout=10)

    assert traces_of(small) != ()
    Stack(small).down()
    assert traces_of(small) == ()
    assert mounts() == before


def test_a_second_stack_runs_beside_the_first_and_leaves_nothing(stack: Stack, small: Plan) -> None:
    """All addresses are inside namespaces: only name and folder tell two stacks apart."""
    second = Stack(small)
    before = mounts()

    second.up()

    assert second.complete
    second.cluster.wait_until_healthy()
    stack.cluster.wait_until_healthy()
    with pytest.raises(Occupied):
        second.up()
    second.down()
    assert traces_of(small) == ()
    assert mounts() == before
    assert stack.complete


def test_a_name_that_another_stack_has_is_refused(stack: Stack, small: Plan) -> None:
    """Namespaces have the stack's name: who took it from a running one would end that one."""
    same = Stack(replace(small, name=stack.plan.name))

    with pytest.raises(Occupied):
        same.up()
    same.down()

    assert stack.complete
    stack.cluster.wait_until_healthy()


def test_namespaces_of_a_stack_that_is_dead_and_gone_bar_nobody(small: Plan) -> None:
    """A test run was killed and its folder removed: nothing is left that could take them down."""
    Network(plan=small).create()
    Network(plan=small).add_namespace("compute-9")

    up = Up(small).until("plan.json")

    up.kill()
    up.wait(timeout=10)
    assert not any("compute-9" in space.name for space in Network(plan=small).namespaces())


def test_down_where_nothing_is_does_nothing(small: Plan) -> None:
    """Twice in a row is as good as once."""
    Stack(small).down()
    Stack(small).down()

    assert traces_of(small) == ()


def test_a_daemon_of_a_node_is_known_by_its_process(small: Plan) -> None:
    """It outlives who has started it and dies with its node; a signal hits nothing else."""
    small.run.mkdir(parents=True)
    node = Node(plan=small, name="cloud")
    lan = Network(plan=small)
    lan.create()
    lan.add_namespace("cloud")
    lan.lay_cable("cloud", Net.MANAGEMENT, to="cloud", address=small.management_address("cloud"))
    node.prepare(Boot(), etc={})
    node.boot()
    node.wait_until_ready()

    node.start("sleeper", "sleep", "infinity", env={"MARK": "x y"}, cwd=Path("/usr"))
    node.start("other", "sleep", "infinity")

    assert (node.is_alive("sleeper"), node.is_alive("other")) == (True, True)
    assert node.run("pgrep", "--count", "sleep").stdout == "2\n"
    node.stop("sleeper")
    assert (node.is_alive("sleeper"), node.is_alive("other")) == (False, True)
    node.kill()
    assert (node.running, node.is_alive("other")) == (False, False)
