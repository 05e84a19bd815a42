"""hacli never guesses: a host or command that is not named exactly is not touched."""

import pytest

from tests.cli.conftest import NewConsole
from tests.cli.console import Console

ACTING = (
    ("recover", "--yes"),
    ("fence", "--yes"),
    ("evacuate", "--yes"),
    ("disable",),
    ("enable",),
    ("status",),
    ("verify-storage",),
)


@pytest.mark.parametrize("words", ACTING, ids=" ".join)
def test_a_wrong_name_is_answered_with_similar_ones(
    console: Console, words: tuple[str, ...]
) -> None:
    """Three at most, and none of them is acted upon."""
    ended = console.run(words[0], "compute-9", *words[1:])

    assert ended.code == 2
    assert "There is no host named compute-9." in ended.err
    line = next(line for line in ended.err.splitlines() if line.startswith("Why"))
    assert line.count("compute-") == 3
    assert console.site.log.writes() == ()


@pytest.mark.parametrize("words", ACTING, ids=" ".join)
def test_a_name_in_the_wrong_case_is_refused_with_the_right_one(
    console: Console, words: tuple[str, ...]
) -> None:
    """Pacemaker and Nova tell case apart, so does hacli."""
    ended = console.run(words[0], "Compute-2", *words[1:])

    assert ended.code == 2
    assert "Similar: compute-2" in ended.err
    assert console.site.log.writes() == ()


def test_a_part_of_a_name_is_no_name(console: Console) -> None:
    """No prefix, no pattern."""
    assert console.run("disable", "compute").code == 2
    assert console.run("disable", "compute-*").code == 2
    assert console.site.log.writes() == ()


def test_neighbours_of_similar_names_are_left_alone(consoles: NewConsole) -> None:
    """compute-1 beside compute-10 and compute-1.example: the law checker holds it."""
    console = consoles("compute-1", "compute-10", "compute-1.example", "compute-2")
    mine = console.site.seed("compute-1", 2)
    console.site.seed("compute-10", 2, prefix="ten")
    console.site.seed("compute-1.example", 2, prefix="domain")
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes")

    assert ended.code == 0, ended.err
    assert {call.server for call in console.site.log.evacuations()} == set(mine)


def test_a_host_is_found_under_each_of_its_names(consoles: NewConsole) -> None:
    """Pacemaker's name and Nova's; the screen shows both."""
    console = consoles(
        "compute-1", "compute-2", "compute-3", aliases={"compute-1": "compute-1.example.org"}
    )
    console.site.seed("compute-1", 1)
    console.site.lose("compute-1")

    by_node = console.run("recover", "compute-1", "--dry-run")
    by_host = console.run("recover", "compute-1.example.org", "--dry-run")

    assert (by_node.code, by_host.code) == (0, 0)
    assert "Pacemaker node compute-1, Nova host compute-1.example.org" in by_host.out
    assert by_node.out.splitlines()[2] == by_host.out.splitlines()[2]


@pytest.mark.parametrize("word", ["recver", "recovr", "statsu", "Enable"])
def test_an_unknown_command_is_answered_with_similar_ones(console: Console, word: str) -> None:
    """The guess is never run."""
    ended = console.run(word, "compute-1")

    assert (ended.code, console.connections) == (2, 0)
    assert f"There is no command {word}." in ended.err
    assert "Similar: " in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "json", "status"),
        ("status", "-o", "json"),
        ("status", "--output=json"),
        ("-ojson", "status", "compute-1"),
        ("status", "compute-1", "-o", "json"),
    ],
    ids=" ".join,
)
def test_options_stand_before_or_after_the_command(
    console: Console, words: tuple[str, ...]
) -> None:
    """Nobody remembers at night which belongs where."""
    assert console.run(*words).document["schema"] == "hacli.status/1"
