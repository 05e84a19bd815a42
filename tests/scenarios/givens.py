"""What may be so before anything breaks. The phrases of *Given*."""

import re
from dataclasses import replace

from hacli.config import read_settings
from hacli.lab.cib import RebootAction
from hacli.lab.cloud_records import Flavor, VmState
from tests.scenarios.scene import Blueprint, Scene
from tests.scenarios.vocabulary import Vocabulary, seconds

PLAN = Vocabulary[None]("how the region is built")
GIVEN = Vocabulary[None]("what is so in it")

_SERVER = re.compile(r"(?P<name>[\w.-]+?)(?: to (?P<last>[\w.-]+))?(?: \((?P<words>[^)]+)\))?")
_STATES = {state.value: state for state in VmState}


@PLAN("{number} hosts")
def _hosts(plan: Blueprint, number: str) -> None:
    """compute-1 and so on; without this line there are four."""
    plan.hosts = int(number)


@PLAN("{number} controllers")
def _controllers(plan: Blueprint, number: str) -> None:
    """So many cluster nodes with a vote; without this line there is one."""
    plan.cluster = replace(plan.cluster, controllers=int(number))


@PLAN("Pacemaker fences by reboot")
def _reboots(plan: Blueprint) -> None:
    """The fence devices switch a host off and on again; without this line they leave it off."""
    plan.cluster = replace(plan.cluster, reboot_action=RebootAction.REBOOT)


@PLAN("Pacemaker has no rule for the gate")
def _no_gate(plan: Blueprint) -> None:
    """Nothing keeps nova-compute off a host that comes back too early."""
    plan.cluster = replace(plan.cluster, gate=False)


@PLAN("a host boots in {time}")
def _boots(plan: Blueprint, time: str) -> None:
    """From power on to a running system; without this line 20 s."""
    plan.region = replace(plan.region, boot_seconds=seconds(time))


@PLAN("a power-off takes {time}")
def _off(plan: Blueprint, time: str) -> None:
    """From the BMC's answer until the chassis is off; without this line no time."""
    plan.region = replace(plan.region, off_seconds=seconds(time))


@PLAN("a guest starts in {time}")
def _spawns(plan: Blueprint, time: str) -> None:
    """How long a hypervisor takes for one server; without this line 2 s."""
    plan.region = replace(
        plan.region, cloud=replace(plan.region.cloud, spawn_seconds=seconds(time))
    )


@PLAN("Nova knows the hosts by their full names")
def _full_names(plan: Blueprint) -> None:
    """compute-1.example.org and so on; Pacemaker knows compute-1."""
    plan.full_names = True


@GIVEN("{host} has {text}")
def _has(scene: Scene, host: str, text: str) -> None:
    """Servers: `web-1`, `web-1 to web-4`; behind it in brackets what is not plain: a state
    of Nova (`stopped`, `paused`, `error`…), `local disk`, `ephemeral disk`, `locked`,
    `group NAME`, `new` (never built). Plain is running from a volume.
    """
    for item in re.split(r", (?![^(]*\))", text):
        found = _SERVER.fullmatch(item)
        assert found is not None, f"{item!r} is no server"
        words = tuple((found["words"] or "").split(", ")) if found["words"] else ()
        for name in _names(found["name"], found["last"]):
            add_server(scene, name, host, words)


def _names(first: str, last: str | None) -> tuple[str, ...]:
    if last is None:
        return (first,)
    stem, begin = re.fullmatch(r"(.*?)(\d+)", first).groups()  # type: ignore[union-attr]
    end = int(last.removeprefix(stem))
    return tuple(f"{stem}{number:0{len(begin)}d}" for number in range(int(begin), end + 1))


def add_server(scene: Scene, name: str, host: str, words: tuple[str, ...] = ()) -> None:
    """One server on a host, with what its brackets say."""
    cloud = scene.site.region.cloud
    states = [_STATES[word] for word in words if word in _STATES]
    groups = [word.removeprefix("group ") for word in words if word.startswith("group ")]
    known = {*_STATES, "local disk", "ephemeral disk", "locked", "new", "not running"}
    assert all(word in known or word.startswith("group ") for word in words), words
    members = [group for group in cloud.tables.groups.values() if group.name in groups]
    server = cloud.add_server(
        name,
        host,
        volume="local disk" not in words,
        state=VmState.BUILDING if "new" in words else states[0] if states else VmState.ACTIVE,
        flavor=cloud.add_flavor(Flavor(id="9", name="m1.scratch", disk=0, ephemeral=20))
        if "ephemeral disk" in words
        else None,
        group=members[0] if members else None,
        locked="locked" in words,
        running=False if "not running" in words else None,
    )
    assert server.host == host


@GIVEN("the server group {group} is {policy}")
def _group(scene: Scene, group: str, policy: str) -> None:
    """`affinity`, `anti-affinity`, or one of these with `soft-` before it."""
    scene.site.region.cloud.add_group(group, policy)


@GIVEN("Pacemaker fences through PDUs")
def _pdus(scene: Scene) -> None:
    """hacli cannot talk to these devices, and knows no BMC unless hacli.toml names one."""
    cib = scene.site.region.cluster.cib
    for device in cib.root.iter("primitive"):
        if device.get("class") == "stonith":
            device.set("type", "fence_apc")
    cib.edited()


@GIVEN("the hosts really share their instances directory")
def _shared(scene: Scene) -> None:
    """Local disks are on shared storage, whatever hacli.toml says of it."""
    for name in scene.site.region.names:
        scene.site.region.cloud.set_shared_storage(name, shared=True)


@GIVEN("{host} mounts the shared instances directory")
def _shares(scene: Scene, host: str) -> None:
    """Only the hosts of which this is said share local disks with each other."""
    scene.site.region.cloud.set_shared_storage(host, shared=True)


@GIVEN("{host} is full")
def _full(scene: Scene, host: str) -> None:
    """No server fits there."""
    tables = scene.site.region.cloud.tables
    tables.capacities[host] = tables.capacities[host].minus(tables.capacities[host])


@GIVEN("{host} takes {number} more servers")
def _room(scene: Scene, host: str, number: str) -> None:
    """Its memory takes so many more and no further one."""
    tables = scene.site.region.cloud.tables
    capacity = tables.capacities[host]
    memory = tables.held_on(host).memory_mb + 64 * int(number)
    tables.capacities[host] = replace(capacity, memory_mb=memory)


@GIVEN("Nova's answers have no date")
def _undated(scene: Scene) -> None:
    """A bare uwsgi sends no Date header."""
    scene.dated = False


@GIVEN("the clock of {controller} is {time} ahead")
def _ahead(scene: Scene, controller: str, time: str) -> None:
    """Of everybody else's."""
    scene.controller(controller).ahead_s = seconds(time)


@GIVEN("the clock of {controller} is {time} behind")
def _behind(scene: Scene, controller: str, time: str) -> None:
    """Everybody else's."""
    scene.controller(controller).ahead_s = -seconds(time)


@GIVEN("the chronicle is brief")
def _brief(scene: Scene) -> None:
    """What goes well with a single server is left out of it; the ending tells."""
    scene.brief = True


@GIVEN("the operator gives up the disk of {server}")
def _given_up(scene: Scene, server: str) -> None:
    """By a flag of the story's command; else no server may lose its disk (law L6)."""
    scene.site.rebuilt = (scene.site.rebuilt or frozenset()) | {scene.server(server)}


@GIVEN("accepted breach {reason}: {text}")
def _accepted(scene: Scene, reason: str, text: str) -> None:
    """The design accepts what the law checker reports in these words, because of the text.
    A story that does not show the breach fails.
    """
    scene.accepted.append(reason.strip('"'))


def configure(scene: Scene, block: str, folder: object) -> None:
    """Read hacli.toml as hacli reads it; it may name a BMC's password file ``bmc``."""
    from pathlib import Path

    assert isinstance(folder, Path)
    (folder / "hacli.toml").write_text(block, encoding="utf-8")
    secret = folder / "bmc"
    secret.write_text(scene.site.region.settings.cluster.login.password, encoding="utf-8")
    secret.chmod(0o600)
    scene.settings = read_settings([folder / "hacli.toml"])
    scene.site.configured = scene.settings.host_names()
