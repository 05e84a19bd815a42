"""The storage probe: what the program reads on a node, and how little of its answer is believed."""

import configparser
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hacli.adapters import node_program
from hacli.adapters.node_probe import CommandProbe, ShapeError, parse_node
from hacli.domain.host_storage import Autostart, Mount, NodeStorage
from hacli.errors import Unreachable, Unreadable

NOW = datetime(2026, 11, 23, 3, 20, tzinfo=UTC)
UUID = "41aa7c02-0000-4000-8000-000000000001"
NOVA_CONF = """
[DEFAULT]
state_path = /var/lib/nova
# instances_path = /somewhere/else
instances_path = /old
instances_path = ${state_path}/instances
transport_url = rabbit://nova:s3cret@controller
resume_guests_state_on_host_boot = True
[libvirt]
images_type = qcow2
live_migration_uri =
    qemu+tcp://%s/system
[database]
connection = mysql://nova:s3cret@controller/nova
"""
MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
filer:/nova /var/lib/nova nfs4 rw 0 0
filer:/my\\040instances /var/lib/nova/instances nfs4 rw 0 0
"""


class Node:
    """A root directory with what a compute node has in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("etc/nova/nova.conf", NOVA_CONF)
        self.write("proc/self/mounts", MOUNTS)
        self.instances = root / "var/lib/nova/instances"
        self.instances.mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        """A file of the node's."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self) -> NodeStorage:
        """What the program prints, read back as the adapter does."""
        return parse_node(json.dumps(node_program.read(str(self.root))), read_at=NOW)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Its instances directory is on a filer."""
    return Node(tmp_path)


def test_a_node_tells_where_its_disks_are(node: Node) -> None:
    """The last value of a key, with what it refers to; the nearest mount, unescaped."""
    said = node.read()

    assert (said.images_type, said.rbd_pool) == ("qcow2", "rbd")
    assert said.instances_path == "/var/lib/nova/instances"
    assert said.mount == Mount(
        point="/var/lib/nova/instances", fs_type="nfs4", source="filer:/my instances"
    )
    assert said.directories == frozenset()


def test_no_secret_leaves_the_node(node: Node) -> None:
    """nova.conf is full of them."""
    assert "s3cret" not in json.dumps(node_program.read(str(node.root)))


def test_a_later_file_counts(node: Node) -> None:
    """As nova-compute is started: nova.conf, its directory, then nova-compute.conf."""
    node.write("etc/nova/nova.conf.d/10-ceph.conf", "[libvirt]\nimages_rbd_pool = vms\n")
    node.write("etc/nova/nova-compute.conf", "[libvirt]\nimages_type = rbd\n")

    said = node.read()

    assert (said.images_type, said.rbd_pool) == ("rbd", "vms")


def test_a_container_has_its_file_elsewhere(node: Node) -> None:
    """Read only where the host has none of its own."""
    (node.root / "etc/nova/nova.conf").unlink()
    node.write("etc/kolla/nova-compute/nova.conf", "[libvirt]\nimages_type = rbd\n")

    assert node.read().images_type == "rbd"


def test_a_directory_that_is_not_there_is_no_mount(node: Node) -> None:
    """Inside a container it may be; out here nobody knows."""
    node.instances.rmdir()

    said = node.read()

    assert (said.mount, said.writable) == (None, None)


def test_a_link_is_followed_to_the_mount_behind_it(node: Node) -> None:
    """The path of nova.conf may be one."""
    real = node.root / "srv/instances"
    real.mkdir(parents=True)
    node.instances.rmdir()
    node.instances.symlink_to(real)

    said = node.read()

    assert said.instances_path == "/srv/instances"
    assert said.mount == Mount(point="/", fs_type="ext4", source="/dev/sda1")


def test_a_local_directory_is_listed_and_a_filers_is_not(node: Node) -> None:
    """A filer has the directories of a whole region, and they are no strangers there."""
    (node.instances / UUID).mkdir()
    (node.instances / "_base").mkdir()
    assert node.read().directories == frozenset()

    node.write("proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n")

    assert node.read().directories == {UUID}


def test_whoever_has_registered_is_told_with_the_age(node: Node) -> None:
    """Nova's own file; one that cannot be read names nobody."""
    now = time.time()
    (node.instances / "compute_nodes").write_text(
        json.dumps({"compute-1": now - 60, "compute-2": now + 5, "odd": "x"})
    )
    said = node.read()
    assert set(said.registered) == {"compute-1", "compute-2"}
    assert said.registered["compute-1"] == pytest.approx(60, abs=5)
    assert said.registered["compute-2"] == 0

    (node.instances / "compute_nodes").write_text("{")

    assert node.read().registered == {}


def test_what_starts_by_itself_is_told(node: Node) -> None:
    """Enabled units, domains marked for autostart, Nova's own switch."""
    for name in ("libvirt-guests", "nova-compute"):
        node.write(f"etc/systemd/system/multi-user.target.wants/{name}.service", "")
    node.write("etc/libvirt/qemu/autostart/one.xml", "")

    assert node.read().autostart == Autostart(
        units=("libvirt-guests", "nova-compute"), domains=1, resume_guests=True
    )


def test_our_own_user_may_write_where_it_may(node: Node) -> None:
    """Nova's user, or whoever owns the directory."""
    said = node.read()

    assert said.writable is (None if os.geteuid() == 0 else True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look with another user's eyes")
def test_root_looks_with_the_eyes_of_the_owner(node: Node) -> None:
    """What root may is nothing to Nova."""
    for folder in (node.instances, *node.instances.parents):
        if folder.is_relative_to(node.root.parents[2]):
            folder.chmod(0o755)
    os.chown(node.instances, 65534, 65534)
    assert node.read().writable is True

    node.instances.chmod(0o555)

    assert node.read().writable is False


@pytest.mark.parametrize(
    "text",
    [
        "[DEFAULT]\ninstances_path = $my_path/instances\n",
        "[DEFAULT]\ninstances_path = instances\n",
        "no section\n",
    ],
)
def test_a_configuration_that_cannot_be_followed_is_an_error(node: Node, text: str) -> None:
    """Not a guess."""
    node.write("etc/nova/nova.conf", text)

    with pytest.raises((OSError, ValueError, configparser.Error)):
        node.read()


GOOD: Mapping[str, object] = {
    "probe": 1,
    "images_type": "rbd",
    "rbd_pool": "vms",
    "instances_path": "/var/lib/nova/instances",
    "mount": None,
    "writable": None,
    "registered": {"compute-1": 60.5},
    "directories": [UUID],
    "units": [],
    "domains": 0,
    "resume_guests": False,
}


def test_what_the_program_prints_is_understood() -> None:
    """Each key at its own place."""
    assert parse_node(json.dumps(GOOD), read_at=NOW) == NodeStorage(
        images_type="rbd",
        rbd_pool="vms",
        instances_path="/var/lib/nova/instances",
        mount=None,
        writable=None,
        registered={"compute-1": 60.5},
        directories=frozenset({UUID}),
        autostart=Autostart(units=(), domains=0, resume_guests=False),
        read_at=NOW,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"probe": 2},
        {"images_type": None},
        {"images_type": ""},
        {"images_type": "\x1b[2J"},
        {"rbd_pool": "x" * 2000},
        {"mount": "ext4"},
        {"mount": {"point": "/", "type": "ext4"}},
        {"mount": {"point": "/", "type": "ext4", "source": "a\nb"}},
        {"writable": "yes"},
        {"registered": []},
        {"registered": {"compute-1": "now"}},
        {"registered": {"compute-1": True}},
        {"directories": None},
        {"directories": [5]},
        {"units": "libvirt-guests"},
        {"domains": -1},
        {"domains": True},
        {"resume_guests": 1},
    ],
    ids=str,
)
def test_anything_else_is_refused(change: Mapping[str, object]) -> None:
    """Missing, mistyped, too long, or not printable: a terminal would obey it."""
    with pytest.raises(ShapeError):
        parse_node(json.dumps({**GOOD, **change}), read_at=NOW)


@pytest.mark.parametrize("answer", ["", "no", "[]", "null", "[" * 100_000])
def test_what_is_no_object_is_refused(answer: str) -> None:
    """A banner, a shell's complaint, or worse."""
    with pytest.raises(ShapeError):
        parse_node(answer, read_at=NOW)


def probe(script: str, *, timeout_s: float = 10.0) -> CommandProbe:
    """The adapter with a shell in the place of ssh: ``$0`` is the host."""
    return CommandProbe(("sh", "-c", script, "{host}"), timeout_s=timeout_s, now=lambda: NOW)


def printing(answer: Mapping[str, object]) -> str:
    """A script that prints this."""
    return f"printf %s {shlex.quote(json.dumps(answer))}"


def test_the_program_runs_on_the_nodes_own_python() -> None:
    """It needs nothing of hacli's: sent on stdin, run, and its word understood."""
    if Path("/etc/nova/nova.conf").exists():
        pytest.skip("this machine is a compute node")

    with pytest.raises(Unreadable, match=r"probe of compute-1: there is no nova\.conf"):
        probe(f'shift; exec {sys.executable} "$@"').read_node("compute-1")


def test_the_answer_is_dated() -> None:
    """When it was read, by our clock."""
    said = probe(printing(GOOD)).read_node("compute-1")

    assert (said.rbd_pool, said.read_at) == ("vms", NOW)


@pytest.mark.timeout(20)
def test_a_node_that_is_silent_is_left_in_time() -> None:
    """A hung filer holds whoever touches it for ever; not us."""
    began = time.monotonic()

    with pytest.raises(Unreachable, match="no answer within 1 s"):
        probe("sleep 60", timeout_s=1.0).read_node("compute-1")

    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'Permission denied' >&2; exit 255", "exit 255, Permission denied"),
        ("printf 'a\\033[2Jb' >&2; exit 3", r"a\?\[2Jb"),
        ("exit 127", "probe of compute-1: exit 127"),
    ],
)
def test_a_command_that_fails_is_unreachable_in_its_own_words(script: str, says: str) -> None:
    """Made fit for a terminal."""
    with pytest.raises(Unreachable, match=says):
        probe(script).read_node("compute-1")


@pytest.mark.timeout(20)
def test_an_endless_answer_is_cut_off() -> None:
    """A node gone mad must not take our memory."""
    with pytest.raises(Unreadable, match="more output"):
        probe("yes").read_node("compute-1")


@pytest.mark.parametrize("name", ["-oProxyCommand=evil", "a b", "a;b", "", "$(x)"])
def test_a_name_that_a_command_could_misread_is_never_used(name: str) -> None:
    """Host names come from Nova's database."""
    with pytest.raises(Unreadable, match="no name for a command"):
        probe(printing(GOOD)).read_node(name)


def test_the_host_stands_where_it_was_configured() -> None:
    """In one word, or as a part of one."""
    asked = CommandProbe(
        ("sh", "-c", 'echo "$1" >&2; exit 9', "x", "root@{host}"),
        timeout_s=10.0,
        now=lambda: NOW,
    )

    with pytest.raises(Unreachable, match="exit 9, root@compute-1"):
        asked.read_node("compute-1")
