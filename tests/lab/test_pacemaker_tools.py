"""The lab's Pacemaker tools: texts and exit codes of the real ones, tried offline and live."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from hacli.lab.cib import FenceLogin, RebootAction
from hacli.lab.cib_status import whole_cib
from hacli.lab.cluster_facts import ClusterSettings, Release
from hacli.lab.tool import Answer
from hacli.lab.xml_text import xml_text
from tests.lab.cluster_world import World, new_world

_CLAIM = "//cluster_property_set[@id='hacli-claim-compute-1']"
_OWNER = "//nvpair[@id='hacli-claim-compute-1-run' and @value='{}']"
_NONE = "Call cib_{} failed: No such device or address\n"


def _claim(run: str) -> str:
    return f'<cluster_property_set id="hacli-claim-compute-1">{_owner(run)}</cluster_property_set>'


def _owner(run: str) -> str:
    return f'<nvpair id="hacli-claim-compute-1-run" name="run" value="{run}"/>'


def _xml(answer: Answer) -> ET.Element:
    return ET.fromstring(answer.stdout)  # noqa: S314 - the lab's own words


def _attribute(world: World, *words: str, node: str = "compute-1") -> Answer:
    return world.run("crm_attribute", "--node", node, *words, "--lifetime", "forever")


def test_exactly_one_of_several_claims_is_created() -> None:
    """``cibadmin --create``: 0 for the first, 108 for the others, who change nothing."""
    world = new_world()

    answers = [
        world.run("cibadmin", "--create", "-o", "crm_config", "-X", _claim(run)) for run in "abc"
    ]

    read = world.run("cibadmin", "--query", "--xpath", _CLAIM)
    assert [answer.code for answer in answers] == [0, 108, 108]
    assert answers[1].stderr == "Call cib_create failed: File exists\n"
    assert 'value="a"' in read.stdout


def test_a_partition_without_quorum_takes_a_claim_too() -> None:
    """The CIB does not ask for quorum; its ``have-quorum`` says that there is none."""
    world = new_world()
    world.cluster.set_quorum(quorum=False)

    created = world.run("cibadmin", "--create", "-o", "crm_config", "-X", _claim("a"))

    head = _xml(world.run("cibadmin", "--query", "--no-children"))
    assert created.code == 0
    assert (head.tag, head.get("have-quorum"), head.get("dc-uuid"), len(head)) == (
        "cib",
        "0",
        "1",
        0,
    )


def test_replace_by_xpath_is_a_compare_and_swap() -> None:
    """0 when the value was the old one, 105 when not."""
    world = new_world()
    world.run("cibadmin", "--create", "-o", "crm_config", "-X", _claim("a"))
    swap = ("cibadmin", "--replace", "--xpath", _OWNER.format("a"), "-X", _owner("b"))

    first, second = world.run(*swap), world.run(*swap)

    assert (first.code, second.code, second.stderr) == (0, 105, _NONE.format("replace"))
    assert 'value="b"' in world.run("cibadmin", "--query", "--xpath", _CLAIM).stdout


NOTHING_MATCHED = {
    "--modify": Answer(code=105, stderr=_NONE.format("modify")),
    "--delete": Answer(),
}


@pytest.mark.parametrize("verb", NOTHING_MATCHED)
def test_modify_tells_that_nothing_matched_and_delete_does_not(verb: str) -> None:
    """105 and 0; nothing is written by either."""
    world = new_world()
    before = world.run("cibadmin", "--query", "-o", "configuration").stdout

    answer = world.run("cibadmin", verb, "--xpath", _OWNER.format("a"), "-X", _owner("b"))

    assert answer == NOTHING_MATCHED[verb]
    assert world.run("cibadmin", "--query", "-o", "configuration").stdout == before


def test_a_deleted_claim_is_gone() -> None:
    """The query answers 105 as before the claim."""
    world = new_world()
    world.run("cibadmin", "--create", "-o", "crm_config", "-X", _claim("a"))

    world.run("cibadmin", "--delete", "--xpath", _CLAIM)

    asked = world.run("cibadmin", "--query", "--xpath", _CLAIM)
    assert asked == Answer(code=105, stderr=_NONE.format("query"))


@pytest.mark.parametrize("text", ["<bad", '<bogus id="x"/>', "<cluster_property_set/>"])
def test_what_the_schema_forbids_is_refused(text: str) -> None:
    """78, and nothing was written."""
    answer = new_world().run("cibadmin", "--create", "-o", "crm_config", "-X", text)

    assert answer.code == 78


def test_one_match_is_printed_alone_and_several_in_a_query() -> None:
    """``<xpath-query>`` stands around several matches only."""
    world = new_world()

    one = world.run("cibadmin", "-Q", "--xpath", "//node_state[@uname='compute-1']", "-n")
    all_ = world.run("cibadmin", "-Q", "--xpath", "//nvpair[@name='osprole']")

    assert _xml(one).attrib == {
        "remote_node": "true",
        "id": "compute-1",
        "uname": "compute-1",
        "in_ccm": "true",
        "crm-debug-origin": "do_update_resource",
        "node_fenced": "0",
    }
    assert (_xml(all_).tag, len(_xml(all_))) == ("xpath-query", 3)


def test_fence_devices_say_how_to_reach_the_bmcs() -> None:
    """Address, port, login and node of each BMC, as the lab was told."""
    world = new_world(settings=ClusterSettings(login=FenceLogin(user="op", password="pw")))
    world.cluster.point_fence_devices({"compute-2": ("127.0.0.1", 40623)})

    read = world.run("cibadmin", "-Q", "--xpath", "//primitive[@id='ipmi-compute-2']")

    pairs = {pair.get("name"): pair.get("value") for pair in _xml(read).iter("nvpair")}
    assert pairs == {
        "ip": "127.0.0.1",
        "ipport": "40623",
        "username": "op",
        "password": "pw",
        "lanplus": "1",
        "cipher": "3",
        "pcmk_host_list": "compute-2",
        "power_timeout": "20",
        "pcmk_reboot_action": "off",
    }


def test_an_attribute_is_written_read_and_deleted() -> None:
    """The texts of the real tool, quiet and not."""
    world = new_world()
    name = ("--name", "hacli-evacuating")

    assert _attribute(world, *name, "--update", "1") == Answer()
    assert _attribute(world, *name, "--query", "--quiet") == Answer(stdout="1\n")
    assert _attribute(world, *name, "--query") == Answer(
        stdout="scope=nodes  name=hacli-evacuating value=1\n"
    )
    assert _attribute(world, *name, "--delete") == Answer(
        stdout=(
            "Deleted nodes attribute: id=nodes-compute-1-hacli-evacuating name=hacli-evacuating\n"
        )
    )
    assert _attribute(world, *name, "--delete") == Answer()
    assert _attribute(world, *name, "--query") == Answer(
        code=105,
        stderr="crm_attribute: Error performing operation: No such device or address\n",
    )


def test_an_attribute_of_an_unknown_node_is_refused() -> None:
    """105, with the real tool's odd sentence."""
    answer = _attribute(new_world(), "--name", "x", "--update", "1", node="nosuch")

    assert answer == Answer(code=105, stderr="crm_attribute: Could not map name=nosuch to a UUID\n")


def test_an_absent_attribute_in_xml_is_an_error_in_the_status() -> None:
    """With ``--output-as=xml`` nothing is on standard error."""
    answer = _attribute(new_world(), "--name", "x", "--query", "--output-as=xml")

    status = _xml(answer).find("status")
    assert status is not None
    assert (answer.code, answer.stderr, status.get("code")) == (105, "", "105")
    assert "".join(status.itertext()).strip() == (
        "crm_attribute: Error performing operation: No such device or address"
    )


def test_fencing_a_node_without_a_device_is_refused() -> None:
    """105, at once; the history has a failure that nobody carried out (seen on a live 2.1.5)."""
    world = new_world()

    answer = world.run("stonith_admin", "--fence", "nosuch")

    assert answer == Answer(
        code=105, stderr="stonith_admin: Couldn't fence nosuch: No such device\n"
    )
    assert world.events() == [("off", "failed", None)]


def test_the_plain_history_shows_only_the_oldest_success() -> None:
    """``--verbose`` shows all, newest first (recorded: one event, and not the newest)."""
    world = new_world(settings=ClusterSettings(reboot_action=RebootAction.REBOOT))
    for node in ("compute-1", "compute-2"):
        world.run("stonith_admin", "--fence", node)
        world.pass_time(1)
    history = ("stonith_admin", "--history", "*", "--output-as=xml")

    plain = [event.get("target") for event in _xml(world.run(*history)).iter("fence_event")]
    verbose = [
        event.get("target") for event in _xml(world.run(*history, "--verbose")).iter("fence_event")
    ]

    assert plain == ["compute-1"]
    assert verbose == ["compute-2", "compute-1"]


def test_devices_are_listed() -> None:
    """Those of one node, and all."""
    world = new_world()

    assert world.run("stonith_admin", "--list", "compute-2") == Answer(
        stdout=" ipmi-compute-2\n1 fence device found\n"
    )
    assert world.run("stonith_admin", "-L").stdout.endswith("3 fence devices found\n")


def test_unfence_powers_on() -> None:
    """``stonith_admin --unfence`` is the BMC's on."""
    world = new_world()
    world.machines.power_off(world.machines["compute-1"])

    answer = world.run("stonith_admin", "--unfence", "compute-1")

    assert answer.code == 0
    assert world.machines["compute-1"].powered


def test_a_service_is_restarted_through_pacemaker() -> None:
    """The answer comes when it runs again; what stands before it in the chain is untouched."""
    world = new_world()
    heard: list[str] = []
    world.machines.on_change.append(lambda machine, what: heard.append(f"{machine.name} {what}"))

    answer = world.run(
        "crm_resource", "--restart", "--resource", "nova-compute-clone", "--node", "compute-3"
    )

    assert answer.code == 0
    assert heard == [
        "compute-3 process-stopped:nova-compute",
        "compute-3 process-started:nova-compute",
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ("crm_mon", "--one-shot", "--output-as=xml"),
        ("cibadmin", "--query"),
        ("stonith_admin", "--history", "*", "--output-as=xml"),
        ("stonith_admin", "--fence", "compute-1"),
        ("crm_attribute", "--node", "compute-1", "--name", "x", "--query"),
        ("crm_resource", "--cleanup"),
    ],
    ids=lambda argv: argv[0],
)
def test_without_a_running_cluster_every_tool_ends_with_102(argv: tuple[str, ...]) -> None:
    """XML still has a status; the others say so on standard error."""
    world = new_world()
    world.cluster.set_running(running=False)

    answer = world.run(*argv)

    said = answer.stdout if "--output-as=xml" in argv else answer.stderr
    assert answer.code == 102
    assert "onnect" in said
    assert world.machines["compute-1"].powered


def test_an_unknown_option_is_refused() -> None:
    """64, as the real tools answer."""
    assert new_world().run("cibadmin", "--frob").code == 64


def test_an_old_release_leaves_out_what_came_later() -> None:
    """2.0.3: no health, no feature set, no exit reason; the facts are the same."""
    world = new_world(settings=ClusterSettings(release=Release.V2_0_3))
    world.run("stonith_admin", "--fence", "compute-1", "--timeout", "1")

    root = world.monitor()

    assert root.get("api-version") == "2.0"
    for tag, absent in (
        ("node", "health"),
        ("node", "feature_set"),
        ("fence_event", "exit-reason"),
    ):
        assert not any(absent in element.attrib for element in root.iter(tag))
    assert [event.get("status") for event in root.iter("fence_event")] == ["failed"]


def test_a_new_release_has_both_spellings() -> None:
    """3.0.2: ``fencing-enabled`` beside ``stonith-enabled``, ``removed`` beside ``orphaned``."""
    root = new_world(settings=ClusterSettings(release=Release.V3_0_2)).monitor()

    options = root.find("summary/cluster_options")
    assert options is not None
    assert (options.get("stonith-enabled"), options.get("fencing-enabled")) == ("true", "true")
    assert all(r.get("removed") == r.get("orphaned") == "false" for r in root.iter("resource"))


def test_before_a_dc_is_elected_nothing_is_named() -> None:
    """``current_dc present="false"`` has no other attribute."""
    world = new_world()
    world.cluster.elected = False

    dc = world.monitor().find("summary/current_dc")

    assert dc is not None
    assert dc.attrib == {"present": "false"}


def test_an_unmanaged_connection_puts_its_node_in_maintenance() -> None:
    """The real crm_mon shows the node in maintenance and all that runs there unmanaged."""
    world = new_world()

    answer = world.run(
        "crm_resource", "-r", "compute-3", "--meta", "-p", "is-managed", "-v", "false"
    )

    node = world.monitor().find("nodes/node[@name='compute-3']")
    assert node is not None
    assert answer.stdout == (
        "Set 'compute-3' option: id=compute-3-meta_attributes-is-managed"
        " set=compute-3-meta_attributes name=is-managed value=false\n"
    )
    assert node.get("maintenance") == "true"


def test_an_unmanaged_service_is_left_alone() -> None:
    """It dies, and nobody restarts it."""
    world = new_world()
    world.run(
        "crm_resource", "-r", "nova-compute-clone", "--meta", "-p", "is-managed", "-v", "false"
    )
    world.machines.stop_process(world.machines["compute-1"], "nova-compute")

    world.pass_time(60)

    assert "nova-compute" not in world.machines["compute-1"].processes


def test_a_ban_is_lifted_by_clear() -> None:
    """``--ban`` stops the service on that node, ``--clear`` lets it start again."""
    world = new_world()
    where = ("--resource", "nova-compute-clone", "--node", "compute-2")

    world.run("crm_resource", "--ban", *where)
    world.pass_time(3)
    banned = world.roles("compute-2")
    cleared = world.run("crm_resource", "--clear", *where)
    world.pass_time(3)

    assert banned == ["Started", "Started", "Stopped"]
    assert cleared.stdout == ("Removing constraint: cli-ban-nova-compute-clone-on-compute-2\n")
    assert world.roles("compute-2") == ["Started"] * 3


def test_a_minority_sees_itself_alone_and_every_compute_node_online() -> None:
    """No quorum: the other controllers are gone, the compute nodes look as before (recorded)."""
    world = new_world(settings=ClusterSettings(controllers=3))
    world.cluster.set_quorum(quorum=False)

    root = world.monitor()

    online = [node.get("name") for node in root.iterfind("nodes/node[@online='true']")]
    dc = root.find("summary/current_dc")
    assert dc is not None
    assert dc.get("with_quorum") == "false"
    assert online == ["compute-1", "compute-2", "compute-3", "controller-1"]


def _unmanaged(world: World) -> None:
    world.cluster.cib.set_meta("compute-3", "is-managed", "false")
    world.cluster.cib.set_target_role("nova-compute-clone", "Stopped")


def _healthy(world: World) -> None:
    world.pass_time(1)


def _broken(world: World) -> None:
    world.cluster.cib.set_attribute("compute-2", "hacli-evacuating", "1")
    world.cluster.configuration_changed()
    world.crash("compute-1")
    world.until(lambda: world.cluster.nodes["compute-1"].unclean)


@pytest.mark.skipif(shutil.which("crm_verify") is None, reason="needs Pacemaker's command line")
@pytest.mark.parametrize("deeds", [_healthy, _broken, _unmanaged])
def test_the_real_tools_read_the_labs_cib_as_the_lab_does(
    tmp_path: Path, deeds: Callable[[World], None]
) -> None:
    """``crm_verify`` accepts it, and the real ``crm_mon`` draws the same picture from it."""
    world = new_world()
    deeds(world)
    path = tmp_path / "cib.xml"
    path.write_text(xml_text(whole_cib(world.cluster)))
    environment = {**os.environ, "CIB_file": str(path), "LC_ALL": "C", "TZ": "UTC"}

    verified = subprocess.run(["crm_verify", "-x", path], check=False, capture_output=True)
    drawn = subprocess.run(
        ["crm_mon", "--one-shot", "--output-as=xml", "--inactive"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    real = ET.fromstring(drawn.stdout)  # noqa: S314 - the real tool's words
    lab = world.monitor()
    assert b"rror" not in verified.stderr
    for part in ("nodes", "resources", "node_attributes", "node_history", "bans"):
        assert _drawn(real, part) == _drawn(lab, part)


def _drawn(root: ET.Element, part: str) -> str:
    element = root.find(part)
    return "" if element is None else xml_text(element)
