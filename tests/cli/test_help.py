"""Help is read at night by someone who has not used hacli for four months."""

import re
import shlex

import pytest

from hacli.cli.main import COMMANDS
from hacli.lab.commands import PowerOn
from tests.cli.conftest import NewConsole
from tests.cli.console import Console

EXAMPLE = re.compile(r"^    (hacli .*?)(?: {2,}\S.*| [|>] .*)?$")
"""An indented command line, before its description or what the shell does with its output."""
OWN_WORDS = tuple(name for name in COMMANDS if name != "lab")
CHANGING = frozenset({"recover", "fence", "evacuate", "disable", "enable"})


def _help(console: Console, *words: str) -> list[str]:
    ended = console.run(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


def _examples(console: Console, command: str) -> list[str]:
    found = (EXAMPLE.match(line) for line in _help(console, command))
    return [match[1] for match in found if match and match[1].split()[1] == command]


@pytest.fixture
def disaster(consoles: NewConsole) -> Console:
    """What the examples speak of: compute-3 is lost, and web-07 was on it."""
    console = consoles()
    console.site.seed("compute-3", 2, prefix="web")
    next(iter(console.site.region.cloud.tables.servers.values())).name = "web-07"
    console.site.lose("compute-1")
    assert console.run("recover", "compute-1", "--yes").code == 0
    console.site.region.apply(PowerOn(host="compute-1"))
    console.site.lose("compute-3")
    return console


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_begins_with_a_sentence_and_has_examples(console: Console, command: str) -> None:
    """Examples first: at least two, before any option."""
    lines = _help(console, command)

    options = next(n for n, line in enumerate(lines) if line in ("Options:", "Everywhere:"))
    examples = [n for n, line in enumerate(lines) if line.startswith(f"    hacli {command} ")]
    assert lines[2].strip()
    assert len(_examples(console, command)) >= 2
    assert max(examples) < options


@pytest.mark.parametrize("command", OWN_WORDS)
def test_each_help_names_its_exit_codes(console: Console, command: str) -> None:
    """A script's author needs no second page."""
    assert "Exit codes: " in " ".join(line.strip() for line in _help(console, command))


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_no_help_is_wider_than_a_terminal(console: Console, command: str) -> None:
    """80 columns, on the serial console too."""
    assert max(map(len, _help(console, *command.split()))) <= 80


@pytest.mark.parametrize("command", OWN_WORDS)
def test_each_example_does_what_it_says(disaster: Console, command: str) -> None:
    """They run as printed; what changes anything runs with --dry-run."""
    dry = ["--dry-run"] if command in CHANGING else []
    code = 6 if command == "verify-storage" else 0  # the node of compute-3 is lost, and silent
    written = len(disaster.site.log.writes())

    for example in _examples(disaster, command):
        words = shlex.split(example.replace("r-7f3a21", "r-000001"))[1:]
        ended = disaster.run(*words, *dry)
        assert ended.code == code, f"{example}: {ended.err}"

    assert len(disaster.site.log.writes()) == written


def test_the_commands_own_options_stand_before_those_of_all(console: Console) -> None:
    """Ten options that every command has must not hide the three that matter."""
    lines = _help(console, "disable")

    own, everywhere = lines.index("Options:"), lines.index("Everywhere:")
    assert "--dry-run" in " ".join(lines[own:everywhere])
    assert "--color" in " ".join(lines[everywhere:])
    assert "--color" not in " ".join(lines[own:everywhere])


def test_h_is_help(console: Console) -> None:
    """The habit of half of all tools."""
    assert console.run("recover", "-h") == console.run("recover", "--help")


def test_help_topics_explain_themselves(console: Console) -> None:
    """Exit codes, environment, safety; and every command by its name."""
    for topic in ("exit-codes", "environment", "safety", *OWN_WORDS):
        ended = console.run("help", topic)
        assert ended.code == 0
        assert max(map(len, ended.out.splitlines())) <= 90
    assert console.run("help", "recover").out == console.run("recover", "--help").out
    assert console.run("help", "nonsense").code == 2


def test_a_bare_hacli_shows_the_help_and_is_wrong_usage(console: Console) -> None:
    """Nothing was asked for, so nothing was done: 2."""
    ended = console.run()

    assert (ended.code, ended.out) == (2, console.run("--help").out)
