"""Words before colours: escape codes only where they were asked for or can be shown."""

import pytest

from tests.cli.console import Console

ESC = "\x1b"
SCREENS = (("status",), ("recover", "compute-1", "--dry-run"), ("recover", "compute-9", "--yes"))


@pytest.fixture
def lost(console: Console) -> Console:
    """There is something to be red about."""
    console.site.lose("compute-1")
    return console


@pytest.mark.parametrize("words", SCREENS, ids=" ".join)
@pytest.mark.parametrize(
    ("on_terminal", "options", "environ"),
    [
        (False, (), {}),
        (True, (), {"NO_COLOR": "1"}),
        (True, (), {"TERM": "dumb"}),
        (True, ("--color", "never"), {}),
        (True, ("--color", "never"), {"CLICOLOR_FORCE": "1"}),
        (False, (), {"FORCE_COLOR": "1"}),
    ],
    ids=["pipe", "NO_COLOR", "TERM=dumb", "--color never", "never beats force", "FORCE_COLOR"],
)
def test_no_escape_byte_where_none_is_wanted(
    lost: Console,
    words: tuple[str, ...],
    on_terminal: bool,
    options: tuple[str, ...],
    environ: dict[str, str],
) -> None:
    """In a pipe, a ticket, a serial console."""
    ended = lost.run(*words, *options, colored=on_terminal, environ=environ)

    assert ESC not in ended.out + ended.err


@pytest.mark.parametrize(
    ("on_terminal", "options", "environ"),
    [
        (True, (), {}),
        (True, (), {"NO_COLOR": ""}),
        (False, ("--color", "always"), {}),
        (False, ("--color", "always"), {"NO_COLOR": "1"}),
        (False, (), {"CLICOLOR_FORCE": "1"}),
    ],
    ids=["terminal", "NO_COLOR empty", "--color always", "always beats NO_COLOR", "CLICOLOR_FORCE"],
)
def test_colours_where_they_are_wanted(
    lost: Console, on_terminal: bool, options: tuple[str, ...], environ: dict[str, str]
) -> None:
    """On a terminal, and wherever the operator insists: on stdout and on stderr."""
    looked = lost.run("status", *options, colored=on_terminal, environ=environ)
    failed = lost.run("status", "compute-9", *options, colored=on_terminal, environ=environ)

    assert f"{ESC}[31m" in looked.out
    assert f"{ESC}[31mERROR" in failed.err


def test_colours_carry_no_meaning_of_their_own(lost: Console) -> None:
    """The same words with and without them."""
    plain = lost.run("status", "--no-power").out
    colored = lost.run("status", "--no-power", "--color", "always").out

    for code in ("31", "32", "33", "2", "1", "0"):
        colored = colored.replace(f"{ESC}[{code}m", "")
    changing = plain.splitlines()[0][:30]
    assert plain.splitlines()[1:4] == colored.splitlines()[1:4]
    assert changing.split()[0] == colored.split()[0]


@pytest.mark.parametrize("words", SCREENS, ids=" ".join)
def test_ascii_means_ascii(lost: Console, words: tuple[str, ...]) -> None:
    """``--ascii``, for consoles that have nothing else."""
    ended = lost.run(*words, "--ascii")

    assert (ended.out + ended.err).isascii()


def test_force_color_puts_no_cursor_codes_into_a_pipe(lost: Console) -> None:
    """rich takes any FORCE_COLOR for a terminal; a log must stay a log."""
    ended = lost.run("recover", "compute-1", "--yes", environ={"FORCE_COLOR": "1"})

    assert ended.code == 0
    assert ESC not in ended.out + ended.err


def test_names_from_outside_are_never_markup(lost: Console) -> None:
    """A VM may be called anything."""
    lost.site.seed("compute-1", 1, local=1, prefix="[red]web[/red]")

    ended = lost.run("recover", "compute-1", "--yes")

    assert "[red]web[/red]-0000" in ended.out
    assert "[red]web[/red]-0000" in ended.err
