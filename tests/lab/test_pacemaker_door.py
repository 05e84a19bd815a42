"""The shim and the door: real processes, a real socket, a cluster whose time the test moves."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hacli.lab.shim
from hacli.lab.pacemaker_door import PacemakerDoor
from tests.eventually import eventually
from tests.lab.cluster_world import World, new_world

_SHIM = hacli.lab.shim.__file__


class OpenDoor:
    """A door whose waiting lets simulated time pass, and the command prefix to it."""

    def __init__(self, world: World, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.standstill = False
        self._world = world
        self.door = PacemakerDoor(
            world.cluster, socket_path=path, lock=self.lock, wait=self._pass_time
        )

    def _pass_time(self) -> None:
        if self.standstill:
            threading.Event().wait(0.01)
            return
        with self.lock:
            self._world.pass_time(0.1)

    def command(self, *words: str) -> list[str]:
        """The command line of one tool behind the prefix."""
        return [sys.executable, "-I", "-S", _SHIM, str(self.path), *words]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run one tool through the shim, as hacli's command prefix does."""
        return subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


@contextmanager
def open_door(world: World, folder: Path) -> Iterator[OpenDoor]:
    """A door that is closed at the end, whatever happens."""
    opened = OpenDoor(world, folder / "pacemaker.sock")
    opened.door.start()
    try:
        yield opened
    finally:
        opened.door.stop()


def test_the_shim_relays_what_a_tool_prints_and_how_it_ends(tmp_path: Path) -> None:
    """Standard output, standard error and the exit code arrive unchanged."""
    with open_door(new_world(), tmp_path) as door:
        asked = door.run("cibadmin", "--query", "--xpath", "//nvpair[@name='nosuch']")

    assert (asked.returncode, asked.stdout, asked.stderr) == (
        105,
        "",
        "Call cib_query failed: No such device or address\n",
    )


def test_the_shim_pipes_its_input_when_a_tool_reads_it(tmp_path: Path) -> None:
    """``--xml-pipe`` reads the XML from standard input."""
    claim = '<cluster_property_set id="hacli-claim-compute-1"/>'
    with open_door(new_world(), tmp_path) as door:
        created = door.run("cibadmin", "--create", "-o", "crm_config", "--xml-pipe", stdin=claim)
        read = door.run(
            "cibadmin", "-Q", "--xpath", "//cluster_property_set[@id='hacli-claim-compute-1']"
        )

    assert (created.returncode, read.stdout) == (0, f"{claim}\n")


def test_a_fence_order_is_answered_when_it_has_ended(tmp_path: Path) -> None:
    """``stonith_admin --fence`` returns 0 only once the machine is off."""
    world = new_world()
    with open_door(world, tmp_path) as door:
        fenced = door.run("stonith_admin", "--fence", "compute-1", "--timeout", "60")

    assert (fenced.returncode, fenced.stderr) == (0, "")
    assert not world.machines["compute-1"].powered


def test_a_killed_client_cancels_nothing(tmp_path: Path) -> None:
    """The order is the fencer's: it goes on when its client is gone."""
    world = new_world()
    with open_door(world, tmp_path) as door:
        door.standstill = True
        client = subprocess.Popen(door.command("stonith_admin", "-F", "compute-1"))
        eventually(lambda: bool(world.cluster.fencer.orders))
        client.kill()
        client.wait()
        with door.lock:
            world.pass_time(10)

    assert not world.machines["compute-1"].powered


def test_a_lab_that_is_gone_looks_like_a_cluster_that_is_down(tmp_path: Path) -> None:
    """Nobody listens: 102, as from a tool on a machine without a running cluster."""
    with open_door(new_world(), tmp_path) as door:
        pass
    asked = door.run("crm_mon", "--one-shot", "--output-as=xml")

    assert (asked.returncode, asked.stdout) == (102, "")
    assert "the lab does not answer" in asked.stderr


def test_of_eight_clients_at_once_exactly_one_gets_the_claim(tmp_path: Path) -> None:
    """Eight processes race for one claim: one 0, seven 108 (as the real cluster answered)."""
    claim = '<cluster_property_set id="hacli-claim-compute-1"/>'
    create = ("cibadmin", "--create", "-o", "crm_config", "-X", claim)
    with open_door(new_world(), tmp_path) as door:
        clients = [
            subprocess.Popen(door.command(*create), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(8)
        ]
        for client in clients:
            client.communicate(timeout=30)

    assert sorted(client.returncode for client in clients) == [0, *[108] * 7]


def test_a_door_that_closes_lets_its_clients_go(tmp_path: Path) -> None:
    """An order that is still under way ends with 102 for the client, not with a hang."""
    world = new_world()
    with open_door(world, tmp_path) as door:
        door.standstill = True
        client = subprocess.Popen(
            door.command("stonith_admin", "-F", "compute-1"), stderr=subprocess.PIPE, text=True
        )
        eventually(lambda: bool(world.cluster.fencer.orders))

    _, said = client.communicate(timeout=10)
    assert (client.returncode, said) == (102, "stonith_admin: the lab went away\n")


def test_the_door_is_for_its_owner_only(tmp_path: Path) -> None:
    """Behind it are orders to cut power, and the BMCs' password."""
    with open_door(new_world(), tmp_path) as door:
        assert door.path.stat().st_mode & 0o777 == 0o600

    assert not door.path.exists()
