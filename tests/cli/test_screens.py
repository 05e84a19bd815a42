"""The screens on a serial console of 80x24: how bad it is first, what to type next last."""

import re

import pytest

from hacli.lab.bmcs import BmcFault
from hacli.lab.commands import BreakBmc, Crash, FailSpawns, KillCompute, PowerOn
from tests.cli.conftest import NewConsole
from tests.cli.console import Console, Ended
from tests.fakes.world import Operator

COLUMNS = 80
ROWS = 24
PARTS = ("What", "State", "Next", "More")


def _site_of(consoles: NewConsole, hosts: int) -> Console:
    console = consoles(*(f"compute-{number}" for number in range(1, hosts + 1)))
    for number in range(1, min(hosts, 12) + 1):
        console.site.seed(f"compute-{number}", number, prefix=f"vm{number}")
    return console


def _fits(*screens: Ended) -> None:
    for ended in screens:
        wide = [line for line in ended.out.splitlines() if len(line) > COLUMNS]
        assert wide == []


def _error_screen(ended: Ended) -> list[str]:
    """The last screen on stderr, from its title on: log lines and questions stand before it."""
    lines = ended.err.replace("to go on: ", "to go on: \n").splitlines()
    first = max(
        n for n, line in enumerate(lines) if re.fullmatch(r"[A-Z][A-Z ]{3,}.*\[[A-Z_]+\]", line)
    )
    return lines[first:]


def _is_whole_error(ended: Ended) -> None:
    lines = _error_screen(ended)
    labels = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert [label for label in labels if label != "Why"] == list(PARTS), "\n".join(lines)
    assert max(map(len, lines)) <= COLUMNS, "\n".join(lines)


def test_twelve_healthy_hosts_are_twelve_lines_and_an_ok(consoles: NewConsole) -> None:
    """Nothing more, and nothing to do."""
    ended = _site_of(consoles, 12).run("status")

    lines = ended.out.splitlines()
    _fits(ended)
    assert lines[0].endswith(" OK")
    assert lines[1].split() == ["Hosts", "12:", "12", "ready", "VMs", "78"]
    assert lines[3] == "  HOST        PACEMAKER  NOVA  POWER  FENCING  VMS"
    assert lines[4] == "  compute-1   online     up    on     ok         1"
    assert lines[15] == "  compute-12  online     up    on     ok        12"
    assert lines[-1] == "OK: all 12 hosts are ready."
    assert len(lines) <= ROWS


def test_a_hundred_healthy_hosts_are_folded(consoles: NewConsole) -> None:
    """``--all`` shows them."""
    console = _site_of(consoles, 100)

    folded, whole = console.run("status"), console.run("status", "--all")

    _fits(folded, whole)
    assert "  ... 98 more healthy hosts (--all)" in folded.out.splitlines()
    assert len(whole.out.splitlines()) > 100


@pytest.mark.parametrize("hosts", [12, 100])
def test_a_failed_host_stands_first_and_its_cure_last(consoles: NewConsole, hosts: int) -> None:
    """In capitals, with a mark, why, and a code; on one screen."""
    console = _site_of(consoles, hosts)
    console.site.region.apply(BreakBmc(host="compute-3", fault=BmcFault.STUCK))
    console.site.region.apply(Crash(host="compute-3"))
    console.site.until(lambda: console.site.region.cluster.nodes["compute-3"].unclean)

    ended = console.run("status")

    lines = ended.out.splitlines()
    _fits(ended)
    assert lines[0].endswith("1 FAILED")
    row = lines[4].split()
    assert row[:4] == ["!", "compute-3", "UNCLEAN", "up"]
    assert row[4:] == ["ON", "ok", "3", "HOST_FAILED"]
    assert lines[5].strip().startswith("lost ")
    assert "FAILED: compute-3 does not answer and its power is still ON." in ended.out
    assert lines[-2].startswith("Next:   hacli recover compute-3 --dry-run")
    assert len(lines) <= ROWS


def test_a_storm_is_told_as_one_thing(consoles: NewConsole) -> None:
    """Seventy lost hosts are a network, not seventy failures; the screen stays one screen."""
    console = _site_of(consoles, 100)
    for number in range(20, 95):
        console.site.region.apply(Crash(host=f"compute-{number}"))
    cluster = console.site.region.cluster
    console.site.until(lambda: sum(node.unclean for node in cluster.nodes.values()) > 60)

    looked = console.run("status", "--no-power")
    acted = console.run("recover", "compute-50", "--yes")

    _fits(looked)
    assert "network problem of this" in looked.out
    assert "hacli recover" not in looked.out
    assert len(looked.out.splitlines()) <= ROWS
    assert acted.code == 4
    assert "hacli recover compute-50 --allow-storm" in acted.err
    _is_whole_error(acted)


def _silence_pacemaker(operator: Operator) -> None:
    operator.pacemaker.silent = True


def test_what_is_not_known_is_a_question_mark_with_a_reason(console: Console) -> None:
    """The silent source is named; the others are shown."""
    ended = console.run("status", spoil=_silence_pacemaker)

    lines = ended.out.splitlines()
    _fits(ended)
    assert lines[0].endswith("INCOMPLETE")
    assert lines[4].split()[:4] == ["?", "compute-1", "?", "up"]
    assert lines[5].strip() == "Pacemaker did not say"
    assert "Incomplete: crm_mon: no answer within 20 s" in lines
    assert lines.count("") == 2


def test_a_host_by_name_is_told_in_full(console: Console) -> None:
    """Its names, its chain in start order, its fencing, its record in Nova."""
    console.site.lose("compute-1")
    console.run("recover", "compute-1", "--yes")

    ended = console.run("status", "compute-1")

    _fits(ended)
    for word in ("Pacemaker node", "Nova host", "BMC", "service", "fencing", "disabled because"):
        assert f"  {word}" in ended.out
    assert ended.out.splitlines()[-1] == "OK: 1 host is off or disabled."


def test_a_dry_run_shows_names_checks_plan_and_the_command(console: Console) -> None:
    """What the run would do, with the flags that it would be given."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--dry-run")

    lines = ended.out.splitlines()
    _fits(ended)
    assert lines[0] == "DRY RUN: nothing is changed."
    assert [line.split()[0] for line in lines if line.startswith("  ok")] == ["ok"] * 6
    assert "Plan for 3 VMs (3 running)" in lines
    assert lines[-1] == "To do it:  hacli recover compute-1"
    assert len(lines) <= ROWS


def test_the_command_that_a_dry_run_prints_is_the_one_that_was_tried(console: Console) -> None:
    """Its flags are what its answer rests on."""
    words = ("recover", "compute-1", "--allow-healthy", "--local-disks", "image")

    ended = console.run(*words, "--dry-run")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"To do it:  hacli {' '.join(words)}"


def test_the_end_of_a_recovery_says_what_next(console: Console) -> None:
    """How many of how many, how long, and what the host is now."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes")

    lines = ended.out.splitlines()
    _fits(ended)
    assert lines[0].startswith("RECOVERED compute-1: 3 of 3 VMs in ")
    assert lines[1].startswith("compute-1 is powered off and disabled;")
    assert lines[2] == "Next:   repair it, then   hacli enable compute-1"


def test_a_partial_end_names_each_vm_and_its_way_back(console: Console) -> None:
    """Those that failed and those that were left alone, with code, state and command."""
    console.site.seed("compute-1", 2, local=2, prefix="local")
    for host in ("compute-2", "compute-3", "compute-4"):
        console.site.region.apply(FailSpawns(host=host))
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes")

    _fits(ended)
    assert ended.code == 3
    labels = [line.split()[0] for line in ended.out.splitlines()[1:] if line[0] != " "]
    assert labels == ["What", "State", "Next", "More"]
    for name in ("vm-0000", "vm-0001", "vm-0002", "local-0000", "local-0001"):
        assert name in ended.out
    assert "[LOCAL_DISK]" in ended.out
    assert "hacli recover compute-1 --local-disks image" in ended.out


def _errors(console: Console) -> list[Ended]:
    site = console.site
    ended = [
        console.run("recover", "compute-2"),
        console.run("recover", "compute-9", "--yes"),
        console.run("recover", "compute-2", "--yes"),
        console.run("recover", "compute-2", "--yes", "--sudo"),
        console.run("fence", "compute-2", "--yes"),
        console.run("evacuate", "compute-2", "--yes"),
        console.run("recover", "compute-2", "--yes", spoil=_silence_pacemaker),
        console.run("history", "show", "r-ffffff"),
        console.run("explain", "NOTHING"),
        console.run("nothing"),
    ]
    site.lose("compute-1")
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.DENIED))
    ended.append(console.run("recover", "compute-1", "--yes"))
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))
    ended.append(console.run("recover", "compute-1", "--yes"))
    site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.OK))
    ended.append(console.run("recover", "compute-1", typed="no\n"))
    site.locks.holders["compute-1"] = "r-0ther0"
    ended.append(console.run("recover", "compute-1", "--yes"))
    site.locks.holders.clear()
    console.run("recover", "compute-1", "--yes")
    ended.append(console.run("enable", "compute-1", "--timeout", "10s"))
    return ended


def test_each_error_says_what_why_state_next_more(console: Console) -> None:
    """In this order, within 80 columns; only Why may be missing, where What says it all."""
    for ended in _errors(console):
        assert ended.code != 0
        _is_whole_error(ended)
        assert "Traceback" not in ended.err


def test_each_refusal_names_the_flag_that_overrides_it(console: Console) -> None:
    """One flag per danger, and only where there is one."""
    ended = console.run("recover", "compute-1", "--yes")

    assert "hacli recover compute-1 --allow-healthy" in ended.err
    assert ended.err.count("--allow-healthy") == 1


def test_a_service_that_died_is_said_by_its_name(console: Console) -> None:
    """Alive, but not well: what does not run."""
    console.site.region.apply(KillCompute(host="compute-2"))
    looks = (console.run("status") for _ in range(200))
    ended = next(ended for ended in looks if "DEGRADED" in ended.out)

    _fits(ended)
    assert "not running: nova-compute" in ended.out


def test_a_host_that_is_back_is_offered_its_way_back(console: Console) -> None:
    """Forced down, disabled, gated: `hacli enable` and nothing else."""
    console.site.lose("compute-1")
    console.run("recover", "compute-1", "--yes")
    console.site.region.apply(PowerOn(host="compute-1"))
    console.site.pass_time(60)

    ended = console.run("status")

    _fits(ended)
    assert ended.out.splitlines()[-1] == "Next:   hacli enable compute-1"


@pytest.mark.parametrize(
    ("verb", "plan"),
    [
        ("recover", "disable, POWER OFF through BMC 192.0.2.1, rebuild 3 VMs"),
        ("fence", "POWER OFF through BMC 192.0.2.1."),
        ("evacuate", "disable, prove it off through BMC 192.0.2.1, rebuild 3 VMs"),
    ],
)
def test_the_question_says_what_this_command_does(console: Console, verb: str, plan: str) -> None:
    """Only what cuts power says so, in capitals."""
    console.site.lose("compute-1")

    ended = console.run(verb, "compute-1", typed="no\n")

    assert f"\nPlan: {plan}" in ended.err


@pytest.mark.parametrize("verb", ["recover", "fence", "evacuate"])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "healthy"])
def test_a_dry_run_foretells_the_run(console: Console, verb: str, lost: bool) -> None:
    """The same checks: what it would refuse, the run refuses, with the same code."""
    if lost:
        console.site.lose("compute-1")

    foretold = console.run(verb, "compute-1", "--dry-run")
    ended = console.run(verb, "compute-1", "--yes")

    assert foretold.code == ended.code


def test_evacuate_refuses_before_it_asks(console: Console) -> None:
    """Nobody types the name of a host for nothing."""
    ended = console.run("evacuate", "compute-1", typed="compute-1\n")

    assert ended.code == 5
    assert "Type the host name" not in ended.err
