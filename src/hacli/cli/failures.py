"""How a failure is shown: What, Why, State, Next, More, or the same as JSON (``ux.md`` 4.6)."""

import json
import sys
import traceback

import click

from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode, exit_code_of
from hacli.cli.text import styled, wrapped
from hacli.errors import HacliError, Interrupted

WIDTH = 80
TITLES = {
    ExitCode.REFUSED: "REFUSED",
    ExitCode.PARTIAL: "PARTLY RECOVERED",
    ExitCode.DECLINED: "NOT DONE",
    ExitCode.BUSY: "BUSY",
    ExitCode.TIMEOUT: "TIME IS UP",
    ExitCode.INTERRUPTED: "STOPPED",
    ExitCode.TERMINATED: "STOPPED",
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
        error = _with_resume(app, error)
    host = error.host or app.host
    if app.output is Output.JSON and not app.result_shown:
        click.echo(json.dumps(_document(app, error, code, host), indent=2))
    if app.output is Output.JSONL and not app.result_shown:
        click.echo(json.dumps(_last_event(app, error, code, host)))
    color = app.colored(sys.stderr)
    for number, line in enumerate(_screen(app, error, code, host)):
        click.echo(styled(line, "red" if number == 0 else None, color=color), err=True)


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


def _with_resume(app: App, error: Interrupted) -> Interrupted:
    words = " ".join(("hacli", *app.arguments))
    acted = app.run is not None
    state = error.state
    if not state:
        state = "What Nova has accepted goes on." if acted else "Nothing was changed."
    return Interrupted(
        error.what,
        signal_number=error.signal_number,
        state=state,
        next_steps=(f"{words}    goes on from here",) if acted else (),
    )


def _title(app: App, error: HacliError, code: ExitCode, host: str | None) -> str:
    title = TITLES.get(code) or VERBS.get(app.command) or "ERROR"
    if code is ExitCode.PARTIAL and app.command == "evacuate":
        title = "PARTLY EVACUATED"
    left = f"{title} {host}" if host else title
    right = f"[{error.code}]"
    return left.ljust(max(0, WIDTH - 1 - len(right))) + right


def _screen(app: App, error: HacliError, code: ExitCode, host: str | None) -> list[str]:
    lines = [_title(app, error, code, host)]
    for label, text in (("What", error.what), ("Why", error.why), ("State", error.state)):
        if text:
            lines += wrapped(label, text)
    for number, step in enumerate(error.next_steps):
        lines.append(f"{'Next' if number == 0 else '':7}{step}")
    more = [f"hacli explain {error.code}"]
    if app.run is not None:
        more.append(f"hacli history show {app.run}")
    lines.append(f"{'More':7}{'    '.join(more)}")
    return lines


def _document(app: App, error: HacliError, code: ExitCode, host: str | None) -> dict[str, object]:
    return {
        "schema": f"hacli.{app.command or 'error'}/1",
        "time": _now(),
        "ok": False,
        "exit_code": int(code),
        "host": host,
        "run": app.run,
        "error": {
            "code": error.code,
            "what": error.what,
            "why": error.why,
            "state": error.state,
            "next": list(error.next_steps),
        },
    }


def _now() -> str:
    from hacli.wiring import utc_now

    return utc_now().isoformat().replace("+00:00", "Z")


def _last_event(app: App, error: HacliError, code: ExitCode, host: str | None) -> dict[str, object]:
    """The result line of a stream that never got a journal: every stream ends with one."""
    return {
        "v": 1,
        "time": _now(),
        "run": app.run,
        "op": app.command,
        "host": host,
        "seq": 1,
        "event": "result",
        "status": "failed",
        "exit_code": int(code),
        "code": error.code,
        "what": error.what,
        "why": error.why,
    }
