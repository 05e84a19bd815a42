"""The question before power is cut: typed by a person, answered by --yes, or not asked at all."""

import pytest

from tests.cli.console import Console

CUTS_POWER = ("recover", "fence", "evacuate")


@pytest.fixture
def lost(console: Console) -> Console:
    """compute-1 is dead, and nobody has done anything about it."""
    console.site.lose("compute-1")
    return console


@pytest.mark.parametrize("command", CUTS_POWER)
def test_without_a_terminal_and_without_yes_nothing_is_even_looked_at(
    console: Console, command: str
) -> None:
    """``hacli recover compute-3 </dev/null`` ends at once, with 2."""
    ended = console.run(command, "compute-1")

    assert ended.code == 2
    assert f"hacli {command} compute-1 --yes" in ended.err
    assert console.connections == 0


@pytest.mark.parametrize(
    ("words", "environ"),
    [(("--no-input",), {}), ((), {"HACLI_NO_INPUT": "1"})],
    ids=["--no-input", "HACLI_NO_INPUT"],
)
def test_on_a_terminal_that_must_not_be_asked_it_is_the_same(
    console: Console, words: tuple[str, ...], environ: dict[str, str]
) -> None:
    """A script may have inherited a terminal; it can say so."""
    ended = console.run("recover", "compute-1", *words, typed="compute-1\n", environ=environ)

    assert (ended.code, console.connections) == (2, 0)


def test_an_answer_for_another_host_is_no_answer(console: Console) -> None:
    """``--confirm`` must name the target: a wrong variable in a loop does nothing."""
    ended = console.run("recover", "compute-1", "--confirm", "compute-2")

    assert (ended.code, console.connections) == (2, 0)
    assert "--confirm compute-2 does not name the host compute-1" in ended.err


def test_yes_and_the_right_confirm_answer_the_question(lost: Console) -> None:
    """They answer; what is asked of the safety checks stays the same."""
    confirmed = lost.run("recover", "compute-1", "--confirm", "compute-1")
    said_yes = lost.run("recover", "compute-2", "--yes")

    assert (confirmed.code, said_yes.code) == (0, 4)


def test_the_typed_name_lets_the_run_begin(lost: Console) -> None:
    """Plan and danger are told before the question; both go to stderr."""
    ended = lost.run("recover", "compute-1", typed="compute-1\n")

    assert ended.code == 0
    question, _, after = ended.err.partition("Type the host name to go on: ")
    assert "3 VMs" in question
    assert "POWER OFF through BMC 192.0.2.1" in question
    assert "fence" in after
    assert "Type the host name" not in ended.out


@pytest.mark.parametrize("typed", ["", "\n", "compute-2\n", "COMPUTE-1\n", "y\n", "yes\n"])
def test_anything_else_typed_leaves_all_as_it_is(lost: Console, typed: str) -> None:
    """Enter, another name, a yes, or the end of the input: nothing was done."""
    ended = lost.run("recover", "compute-1", typed=typed)

    assert ended.code == 10
    assert "State  Nothing was changed." in ended.err
    assert lost.site.log.writes() == ()


def test_a_host_that_is_recovered_already_asks_nothing(lost: Console) -> None:
    """There is nothing to confirm."""
    lost.run("recover", "compute-1", "--yes")

    ended = lost.run("recover", "compute-1", typed="")

    assert ended.code == 0
    assert "already" in ended.out


@pytest.mark.parametrize("words", [(), ("--yes",), ("--confirm", "compute-1")], ids=str)
def test_a_persons_word_needs_a_person(console: Console, words: tuple[str, ...]) -> None:
    """``--fence-ack`` is never taken from a script, whatever else it says."""
    ended = console.run("recover", "compute-1", "--fence-ack", "compute-1", *words)

    assert (ended.code, console.connections) == (2, 0)


def test_a_persons_word_for_another_host_is_refused(console: Console) -> None:
    """It must name the host that it is about."""
    ended = console.run(
        "recover", "compute-1", "--yes", "--fence-ack", "compute-2", typed="pulled it\n"
    )

    assert (ended.code, console.connections) == (2, 0)


@pytest.mark.parametrize("typed", ["\n", "pulled both PSUs\n", "pulled both PSUs\ncompute-2\n"])
def test_a_persons_word_without_reason_or_name_declares_nothing(
    console: Console, typed: str
) -> None:
    """The reason goes into the record, so there must be one."""
    ended = console.run("recover", "compute-1", "--yes", "--fence-ack", "compute-1", typed=typed)

    assert (ended.code, console.connections) == (10, 0)
    assert "HAS NO POWER" in ended.err


@pytest.mark.parametrize("command", ["disable", "enable"])
def test_what_can_be_undone_is_not_asked(console: Console, command: str) -> None:
    """``disable`` and ``enable`` print their undo instead."""
    ended = console.run(command, "compute-1")

    assert ended.code == 0
    assert "Undo:" in ended.out or "already" in ended.out
