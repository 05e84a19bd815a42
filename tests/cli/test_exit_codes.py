"""Each exit code of the table is what some real situation ends with; scripts rely on them."""

from datetime import UTC, datetime

import pytest

from hacli.cli.exits import MEANINGS, ExitCode
from hacli.cli.setup import TOPICS
from hacli.domain.claim import Claim, ProcessId
from hacli.lab.bmcs import BmcFault
from hacli.lab.commands import BreakBmc
from tests.cli.conftest import NewConsole
from tests.cli.console import Console
from tests.fakes.world import Operator


def test_every_code_has_a_line_in_the_help() -> None:
    """``hacli help exit-codes`` is the enum, whole and in order."""
    lines = TOPICS["exit-codes"]()

    assert tuple(MEANINGS) == tuple(ExitCode)
    assert [line.split()[0] for line in lines[1:]] == [str(int(code)) for code in ExitCode]


def test_a_state_that_could_be_read_is_0(console: Console) -> None:
    """Looking succeeds when every source has answered, also when a host is lost."""
    console.site.lose("compute-1")

    assert console.run("status").code == 0


def test_a_host_in_need_is_1_where_it_is_asked_for(console: Console) -> None:
    """``--exit-code`` makes a state a condition for scripts."""
    assert console.run("status", "--exit-code").code == 0

    console.site.lose("compute-1")

    assert console.run("status", "--exit-code").code == 1


def test_a_recovered_host_is_0_and_stays_0(console: Console) -> None:
    """Done, and already done, are the same to a script."""
    console.site.lose("compute-1")

    assert console.run("recover", "compute-1", "--yes").code == 0
    assert console.run("recover", "compute-1", "--yes").code == 0


def test_an_order_that_a_bmc_does_not_take_is_1(console: Console) -> None:
    """A step failed: the message says which."""
    console.site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))

    ended = console.run("fence", "compute-1", "--power-on")

    assert (ended.code, "[POWER_ON]" in ended.err) == (1, True)


def test_wrong_words_are_2(console: Console) -> None:
    """And the world is not even looked at."""
    assert console.run("recover").code == 2
    assert console.run("recover", "compute-1", "--sudo").code == 2
    assert console.run("status", "-o", "xml").code == 2
    assert console.run().code == 2
    assert console.connections == 0


def test_a_vm_left_behind_is_3(console: Console) -> None:
    """The host is off and some VMs are back; the others are named."""
    console.site.seed("compute-1", 1, local=1, prefix="local")
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes")

    assert ended.code == 3
    assert "local-0000" in ended.out
    assert "[PARTIAL_RECOVERY]" in ended.out


def test_a_host_that_lives_is_4(console: Console) -> None:
    """Refused by a safety check; nothing was ordered."""
    ended = console.run("recover", "compute-1", "--yes")

    assert ended.code == 4
    assert console.site.log.writes() == ()


def test_a_silent_bmc_is_5(consoles: NewConsole) -> None:
    """Death is not proven, so no VM was touched."""
    console = consoles()
    console.site.seed("compute-1", 2)
    console.site.region.apply(BreakBmc(host="compute-1", fault=BmcFault.SILENT))
    console.site.region.machines.crash(console.site.region.machines["compute-1"])
    console.site.until(lambda: console.site.region.cluster.nodes["compute-1"].unclean)

    ended = console.run("recover", "compute-1", "--yes")

    assert (ended.code, "[FENCE_UNREACHABLE]" in ended.err) == (5, True)
    assert console.site.log.evacuations() == ()


def _silence_pacemaker(operator: Operator) -> None:
    operator.pacemaker.silent = True


def test_a_silent_cluster_is_6(console: Console) -> None:
    """Looking shows the rest and says that it is incomplete; acting does nothing."""
    looked = console.run("status", spoil=_silence_pacemaker)
    acted = console.run("recover", "compute-1", "--yes", spoil=_silence_pacemaker)

    assert (looked.code, acted.code) == (6, 6)
    assert "Incomplete" in looked.out
    assert console.site.log.writes() == ()


def _take_the_role_away(operator: Operator) -> None:
    operator.nova.line.roles = ("member",)


def test_a_login_without_the_role_is_8(console: Console) -> None:
    """A list that a mere member sees is not the truth about a host."""
    ended = console.run("recover", "compute-1", "--yes", spoil=_take_the_role_away)

    assert (ended.code, "[NOT_PERMITTED]" in ended.err) == (8, True)


def test_a_host_somebody_works_on_is_9(console: Console) -> None:
    """Two runs at once would ask twice."""
    console.site.lose("compute-1")
    console.site.locks.holders["compute-1"] = "r-0ther0"

    ended = console.run("recover", "compute-1", "--yes")

    assert (ended.code, "r-0ther0" in ended.err) == (9, True)
    assert console.site.log.writes() == ()


def _claim(console: Console) -> str:
    """A run of another controller has the host; what the CIB says of it."""
    cluster = console.site.operator(at="controller-2").world.cluster
    assert cluster is not None
    claim = Claim(
        run="r-0ther0",
        hacli="0",
        controller="controller-2",
        machine="controller-2",
        user="bob",
        process=ProcessId(boot="b", namespace="1", pid=4711, started=1),
        since=datetime(2026, 11, 22, 5, 46, 8, tzinfo=UTC),
    )
    assert cluster.create_claim("compute-1", claim.text)
    return claim.text


def test_a_host_that_another_controller_works_on_is_9_and_may_be_taken_over(
    console: Console,
) -> None:
    """Run, user, machine, pid, since when, and what a person may do who knows better.

    Who takes over on a person's word asks for nothing that the other run may have asked for: 3.
    """
    console.site.lose("compute-1")
    _claim(console)

    ended = console.run("recover", "compute-1", "--yes")
    looked = console.run("recover", "compute-1", "--dry-run")
    before = console.site.log.writes()
    taken = console.run("recover", "compute-1", "--yes", "--take-over")

    told = " ".join(ended.err.split())
    assert (ended.code, looked.code, taken.code) == (9, 9, 3), taken.err
    assert "run r-0ther0 of bob on controller-2, pid 4711, since 2026-11-22 05:46:08Z" in told
    assert "--take-over" in told
    assert before == ()
    assert console.site.log.evacuations() == ()
    assert "taken over from run r-0ther0" in " ".join(taken.err.split())


@pytest.mark.parametrize("words", [("fence", "--power-on"), ("enable",), ("disable",)])
def test_every_command_that_acts_respects_the_claim(
    console: Console, words: tuple[str, ...]
) -> None:
    """Also those that take no power and rebuild nothing."""
    console.site.lose("compute-1")
    console.run("recover", "compute-1", "--yes")
    text = _claim(console)
    before = console.site.log.writes()

    ended = console.run(words[0], "compute-1", *words[1:])

    cluster = console.site.operator().world.cluster
    assert cluster is not None
    assert (ended.code, "[LOCKED]" in ended.err) == (9, True)
    assert console.site.log.writes() == before
    assert cluster.read_claim("compute-1").text == text


def test_another_name_typed_is_10(console: Console) -> None:
    """The question was answered with no."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", typed="compute-11\n")

    assert (ended.code, "[DECLINED]" in ended.err) == (10, True)
    assert console.site.log.writes() == ()


def test_a_host_that_is_not_back_in_time_is_124(console: Console) -> None:
    """``--timeout`` has passed; the message says for what it waited."""
    console.site.lose("compute-1")
    console.run("recover", "compute-1", "--yes")

    ended = console.run("enable", "compute-1", "--timeout", "1m")

    assert ended.code == 124
    assert "NOT YET ENABLED compute-1" in ended.err
    assert "is it switched on?" in ended.err


def _press_ctrl_c(operator: Operator) -> None:
    operator.clock.interrupt_at = operator.clock.monotonic() + 8.0


def test_ctrl_c_in_a_run_is_130_and_says_how_to_go_on(console: Console) -> None:
    """What Nova has accepted goes on; the same command again reaches the same end."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes", "-m", "INC 4711", spoil=_press_ctrl_c)

    assert ended.code == 130
    assert "Next   hacli recover compute-1 --yes -m 'INC 4711'  goes on from here" in ended.err
    assert console.run("recover", "compute-1", "--yes").code == 0


@pytest.mark.parametrize("after_s", [0.05, 13.0], ids=["while reading", "while waiting"])
def test_ctrl_c_is_how_a_watch_ends(console: Console, after_s: float) -> None:
    """``status --watch`` refreshes every 5 s until then, and that is 0."""

    def press(operator: Operator) -> None:
        operator.clock.interrupt_at = operator.clock.monotonic() + after_s

    ended = console.run("status", "--watch", spoil=press)

    assert ended.code == 0
    assert ended.out.count("OK: all 4 hosts are ready.") == (3 if after_s > 5 else 0)


def test_a_session_that_is_interrupted_while_it_looks_is_130(console: Console) -> None:
    """Not a watch: the state was not shown."""

    def at_once(operator: Operator) -> None:
        operator.clock.interrupt_at = operator.clock.monotonic() + 0.05

    assert console.run("status", spoil=at_once).code == 130
