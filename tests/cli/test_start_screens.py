"""A host that is back with dead servers: what status, dry run and run say, on 80x24."""

import pytest

from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.region import RegionSettings
from tests.cli.conftest import NewConsole
from tests.cli.console import Console
from tests.cli.schemas import valid_document

COLUMNS = 80


@pytest.fixture
def console(consoles: NewConsole) -> Console:
    """compute-1 was rebooted by Pacemaker; three servers ran on it and one did not."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT)
    made = consoles("compute-1", "compute-2", "compute-3", settings=RegionSettings(cluster=cluster))
    made.site.seed("compute-1", 4, stopped=1)
    made.site.pass_time(10)
    made.site.lose("compute-1")
    made.site.pass_time(60)
    return made


def test_status_says_what_waits_and_what_to_type(console: Console) -> None:
    """Nova calls host and servers well; the screen does not."""
    ended = console.run("status")

    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert lines[4].startswith("? compute-1")
    assert lines[4].endswith("VMS_STOPPED")
    assert "              3 VMs died with it, and have not been started since" in lines
    assert lines[-2] == "compute-1 is back: 3 VMs that ran on it wait to be started there."
    assert lines[-1] == "Next:   hacli recover compute-1 --dry-run"


def test_status_as_json_counts_them(console: Console) -> None:
    """Programs need no prose."""
    document = valid_document(console.run("status", "-o", "json"))

    host = document["hosts"][0]
    assert (host["verdict"], host["codes"]) == ("returned", ["VMS_STOPPED"])
    assert [host["servers_to_start"] for host in document["hosts"]] == [3, 0, 0]


def test_the_dry_run_names_each_and_changes_nothing(console: Console) -> None:
    """Checks, plan, and the command that does it."""
    ended = console.run("recover", "compute-1", "--dry-run")
    document = valid_document(console.run("recover", "compute-1", "--dry-run", "-o", "json"))

    lines = ended.out.splitlines()
    assert ended.code == 0
    assert max(map(len, lines)) <= COLUMNS
    assert "Plan: 3 VMs to start (1 stopped as before)" in lines
    assert lines[-1] == "To do it:  hacli recover compute-1"
    assert document["in_place"] is True
    assert [row["name"] for row in document["servers"]] == ["vm-0000", "vm-0001", "vm-0002"]
    assert console.site.log.writes() == ()


def test_the_end_says_that_nothing_was_moved(console: Console) -> None:
    """And status is content afterwards."""
    ended = console.run("recover", "compute-1", "--yes")
    after = console.run("status")

    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("STARTED compute-1 in place: 3 of 3 VMs in ")
    assert after.out.splitlines()[-1] == "OK: all 3 hosts are ready."


def test_the_result_as_json_and_events_fit_their_schemas(console: Console) -> None:
    """One document, or one line for each event."""
    events = console.run("recover", "compute-1", "--yes", "-o", "jsonl").events
    again = valid_document(console.run("recover", "compute-1", "--yes", "-o", "json"))

    orders = [event["order"] for event in events if event["event"] == "intent"]
    assert orders == ["reboot"] * 3
    assert again["in_place"] is True
    assert again["already"] == "compute-1 is back, and none of its VMs waits to be started"


def test_what_could_not_be_started_is_named_with_exit_3(console: Console) -> None:
    """One went into ERROR while the host was down."""
    server = next(iter(console.site.region.cloud.tables.servers.values()))
    server.vm_state = type(server.vm_state).ERROR

    ended = console.run("recover", "compute-1", "--yes")

    lines = ended.out.splitlines()
    assert ended.code == 3
    assert max(map(len, lines)) <= COLUMNS
    assert lines[0].startswith("PARTLY STARTED compute-1 in place: 2 of 3 VMs in ")
    assert lines[0].endswith("[PARTIAL_RECOVERY]")
    assert any("vm-0000: left alone: it is in ERROR" in line for line in lines)
    assert lines[2].startswith("State  compute-1 runs and is in service. The 2 other VMs are")
    assert (
        lines[4] == "Next   look at those, then   hacli recover compute-1   (asks for no VM twice)"
    )
