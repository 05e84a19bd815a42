"""How a failure is shown: What, Why, State, Next, More, or the same as JSON (``ux.md`` 4.6)."""

import re
import shlex
import sys
import traceback
from collections.abc import Sequence

import click

from hacli.cli import documents
from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode, exit_code_of
from hacli.cli.text import styled, wrapped
from hacli.errors import HacliError, Interrupted

WIDTH = 80
INDENT = 7
PARTS = re.compile(r"(?<=\S)\s{2,}|^\s+|(?<=:)\s(?=hacli )")
TITLES = {
    ExitCode.REFUSED: "REFUSED",
    ExitCode.PARTIAL: "PARTLY RECOVERED",
    ExitCode.DECLINED: "NOT DONE",
    ExitCode.BUSY: "BUSY",
    ExitCode.TIMEOUT: "TIME IS UP",
    ExitCode.INTERRUPTED: "STOPPED",
    ExitCode.TERMINATED: "STOPPED",
}
SPECIAL_TITLES = {
    ("evacuate", ExitCode.PARTIAL): "PARTLY EVACUATED",
    ("enable", ExitCode.TIMEOUT): "NOT YET ENABLED",
}
VERBS = {
    "recover": "NOT RECOVERED",
    "evacuate": "NOT EVACUATED",
    "fence": "NOT FENCED",
    "enable": "NOT ENABLED",
    "disable": "NOT DISABLED",
}


def show_any(app: App, error: Exception) -> ExitCode:
    """Show whatever ended the command, and return its exit code."""
    if not app.command:  # the words were not understood: perhaps they ask for JSON all the same
        app.output = documents.asked_for(app.arguments)
    if isinstance(error, HacliError):
        code = exit_code_of(error)
        show(app, error, code)
        return code
    if isinstance(error, click.ClickException):
        show_usage(app, error)
        return ExitCode.USAGE
    show_bug(app, error)
    return ExitCode.FAILED


def show(app: App, error: HacliError, code: ExitCode) -> None:
    """Show an error on stderr, and as the one document of stdout where JSON was asked for."""
    if app.debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, Interrupted):
        error = _with_resume(app, error, code)
    host = error.host or app.host
    if app.output in (Output.JSON, Output.JSONL) and not app.result_shown:
        documents.emit_error(app, _as_data(error), code=code, host=host)
    color = app.colored(sys.stderr)
    for number, line in enumerate(_screen(app, error, code, host)):
        style = "red" if number == 0 else None
        click.echo(styled(line, style, color=color), err=True, color=True)


def show_usage(app: App, error: click.ClickException) -> None:
    """Wrong words on the command line."""
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "hacli"
    wrong = HacliError(error.format_message(), next_steps=(f"{command} --help",), code="USAGE")
    show(app, wrong, ExitCode.USAGE)


def show_bug(app: App, error: Exception) -> None:
    """Something that nobody foresaw. State is told all the same: requests sent stay sent."""
    traceback.print_exception(error, file=sys.stderr)
    bug = HacliError(
        "This is a bug in hacli.",
        why=f"{type(error).__name__}: {error}",
        state="Requests that were sent before go on; the journal has them.",
        next_steps=("hacli status", "hacli history"),
        code="BUG",
    )
    show(app, bug, ExitCode.FAILED)


def _with_resume(app: App, error: Interrupted, code: ExitCode) -> HacliError:
    """What stopped it in the operator's words, and the same command to go on."""
    words = shlex.join(("hacli", *app.arguments))
    acted = app.run is not None
    state = error.state
    if not state:
        state = "What Nova has accepted goes on." if acted else "Nothing was changed."
    timed_out = code is ExitCode.TIMEOUT
    return HacliError(
        f"The limit of {app.timeout_s:g} s has passed." if timed_out else error.what,
        state=state,
        next_steps=(f"{words}    goes on from here",) if acted else (),
        code="TIMEOUT" if timed_out else error.code,
    )


def _title(app: App, error: HacliError, code: ExitCode, host: str | None) -> str:
    special = SPECIAL_TITLES.get((app.command, code))
    title = special or TITLES.get(code) or VERBS.get(app.command) or "ERROR"
    left = f"{title} {host}" if host else title
    right = f"[{error.code}]"
    return left.ljust(max(0, WIDTH - 1 - len(right))) + right


def _screen(app: App, error: HacliError, code: ExitCode, host: str | None) -> list[str]:
    lines = [_title(app, error, code, host)]
    for label, text in (("What", error.what), ("Why", error.why), ("State", error.state)):
        if text:
            lines += wrapped(label, text)
    lines += next_lines(error.next_steps or _next_of(app, code))
    more = [f"hacli explain {error.code}"]
    if app.run is not None:
        more.append(f"hacli history show {app.run}")
    lines.append(f"{'More':{INDENT}}{'    '.join(more)}")
    return lines


def _next_of(app: App, code: ExitCode) -> tuple[str, ...]:
    """What to type after an error that has nothing of its own to say about it."""
    if code is ExitCode.USAGE:
        return (f"hacli {app.command} --help".replace("  ", " "),)
    if code is ExitCode.BUSY:
        return ("hacli history    shows the other run; wait for its end",)
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.TIMEOUT):
        return (shlex.join(("hacli", *app.arguments)),)
    return ("hacli status    shows what is so now",)


def next_lines(steps: Sequence[str]) -> list[str]:
    """Commands and their descriptions in two columns; where that is too wide, under each other.

    The two parts of a step, in either order, are those that two or more blanks keep apart, or a
    colon before a command.
    """
    rows = [PARTS.split(step, maxsplit=1) for step in steps]
    width = max((len(row[0]) for row in rows if len(row) > 1), default=0)
    lines: list[str] = []
    for left, *rest in rows:
        if not rest:
            lines.append(left)
        elif INDENT + width + 2 + len(rest[0]) < WIDTH:
            lines.append(f"{left:{width}}  {rest[0]}")
        else:
            lines += [left, f"    {rest[0]}"] if left else [f"    {rest[0]}"]
    return [f"{'' if number else 'Next':{INDENT}}{line}" for number, line in enumerate(lines)]


def _as_data(error: HacliError) -> dict[str, object]:
    return {
        "code": error.code,
        "what": error.what,
        "why": error.why,
        "state": error.state,
        "next": list(error.next_steps),
    }
