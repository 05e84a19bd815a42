"""Commands that look: status, history, explain."""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from hacli.cli import documents
from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode, exit_code_of
from hacli.cli.options import (
    DurationType,
    HacliCommand,
    app_of,
    global_options,
    without_cluster_option,
)
from hacli.cli.text import columns, duration, stamp, wrapped
from hacli.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from hacli.domain.runs import RunSummary
    from hacli.service.observe import Region
    from hacli.wiring import Connection

WATCH_S = 5.0


@click.command(cls=HacliCommand)
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@click.option("--all", "show_all", is_flag=True, help="Show every host, also the healthy ones.")
@click.option("--no-power", is_flag=True, help="Do not ask the BMCs.")
@click.option("--exit-code", is_flag=True, help="Exit 1 when a host needs attention.")
@click.option("-w", "--watch", is_flag=True, help="Refresh every 5 s until Ctrl-C.")
@without_cluster_option
@global_options
@click.pass_context
def status(
    ctx: click.Context,
    *,
    hosts: tuple[str, ...],
    show_all: bool,
    no_power: bool,
    exit_code: bool,
    watch: bool,
) -> int:
    """Show the cluster, every host's verdict, and what to do next.

    \b
      hacli status
      hacli status compute-3            everything about one host
      hacli status -o json | jq .summary

    Exit codes: 0 the state could be read, 6 a source did not answer;
    with --exit-code 1 when a host needs attention.
    """
    app = app_of(ctx)
    app.command = "status"
    connection = app.connect()
    shown = _Shown(all=show_all, named=bool(hosts), power=not no_power, exit_code=exit_code)
    if not watch:
        return _look(app, connection, hosts, shown)
    try:
        while True:
            _look(app, connection, hosts, shown, clear=sys.stdout.isatty())
            connection.world.clock.wait(WATCH_S)
    except Interrupted as stopped:
        if exit_code_of(stopped) is not ExitCode.INTERRUPTED:
            raise
        return ExitCode.OK  # Ctrl-C is how a watch ends


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What the operator wants to see of the region, and in the exit code."""

    all: bool
    named: bool
    power: bool
    exit_code: bool


def _look(
    app: App,
    connection: "Connection",
    hosts: tuple[str, ...],
    shown: _Shown,
    *,
    clear: bool = False,
) -> ExitCode:
    """Read the region once and show it."""
    from hacli.service.observe import observe_region

    region = observe_region(connection.world, connection.hosts, power=shown.power, only=hosts)
    if clear:
        click.clear()
    return _show_region(app, region, shown, now=connection.world.clock.now())


def _status_code(region: "Region", *, exit_code: bool) -> ExitCode:
    from hacli.cli.status_codes import ATTENTION

    if not region.complete:
        return ExitCode.UNAVAILABLE
    if exit_code and ATTENTION & set(region.verdicts.values()):
        return ExitCode.FAILED
    return ExitCode.OK


def _show_region(app: App, region: "Region", shown: _Shown, *, now: datetime) -> ExitCode:
    from hacli.cli.status_document import region_document
    from hacli.cli.status_screen import StatusView, lines_of

    code = _status_code(region, exit_code=shown.exit_code)
    if app.output is not Output.TABLE:
        body = region_document(region)
        documents.emit(app, "status", body, code=code, ok=region.complete, time=_time(now))
        return code
    view = StatusView(
        region=region,
        now=now,
        show_all=shown.all,
        detail=shown.named,
        verbose=app.verbosity > 0,
        color=app.colored(sys.stdout),
    )
    click.echo("\n".join(lines_of(view)))
    return code


@click.command(cls=HacliCommand)
@click.argument("words", metavar="[HOST | show RUN]", nargs=-1)
@click.option("--since", type=DurationType(), help="Only runs begun within this time, e.g. 7d.")
@global_options
@click.pass_context
def history(ctx: click.Context, *, words: tuple[str, ...], since: float | None) -> int:
    """Show what earlier runs did on this machine.

    \b
      hacli history
      hacli history compute-3 --since 7d
      hacli history show r-7f3a21       every event of one run

    Exit codes: 0 shown, 2 no such run.
    """
    app = app_of(ctx)
    app.command = "history"
    if words[:1] == ("show",):
        if len(words) != 2:  # noqa: PLR2004 - "show" and the run
            raise UsageError("hacli history show needs one run, such as r-7f3a21.")
        return _show_run(app, words[1])
    return _show_runs(app, words, since)


def _is_of(recorded: str, hosts: tuple[str, ...]) -> bool:
    """Runs are recorded under Nova's name; reading may also use the short one."""
    short = recorded.partition(".")[0]
    return recorded in hosts or any(short == host.partition(".")[0] for host in hosts)


def _show_runs(app: App, hosts: tuple[str, ...], since: float | None) -> int:
    connection = app.connect()
    now = connection.world.clock.now()
    runs = [run for run in connection.read_runs() if not hosts or _is_of(run.host, hosts)]
    if since is not None:
        after = now - timedelta(seconds=since)
        runs = [run for run in runs if run.started >= after]
    if app.output is not Output.TABLE:
        rows = [_run_document(run) for run in runs]
        documents.emit(app, "history", {"runs": rows}, time=_time(now))
        return ExitCode.OK
    table = [("STARTED", "RUN", "COMMAND", "HOST", "BY", "END", "TOOK")]
    for run in runs:
        took = duration((run.ended - run.started).total_seconds()) if run.ended else ""
        end = run.status or "no end recorded"
        end += f" {run.code}" if run.code else ""
        table.append((stamp(run.started), run.run, run.op, run.host, run.user, end, took))
    click.echo("\n".join(columns(table, indent="")) if runs else "No run is recorded.")
    return ExitCode.OK


def _show_run(app: App, run: str) -> int:
    connection = app.connect()
    events = connection.history.read_events(run=run)
    if not events:
        raise UsageError(
            f"There is no run {run} in the history.",
            next_steps=("hacli history    lists the runs",),
        )
    from hacli.cli.progress import line_of
    from hacli.domain import event_codec

    if app.output is Output.JSON:
        lines = [event_codec.line_of(stored) for stored in events]
        time = _time(connection.world.clock.now())
        documents.emit(app, "history-run", {"run": run, "events": lines}, time=time)
        return ExitCode.OK
    for stored in events:
        if app.output is Output.TABLE:
            click.echo(f"{stamp(stored.time)} {stored.seq:>4}  {line_of(stored)}")
        else:
            click.echo(json.dumps(event_codec.line_of(stored)))
    app.result_shown = True
    return ExitCode.OK


def _run_document(run: "RunSummary") -> dict[str, object]:
    times = {"started": _time(run.started), "ended": _time(run.ended) if run.ended else None}
    return asdict(run) | times


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


@click.command(cls=HacliCommand)
@click.argument("code", required=False)
@global_options
@click.pass_context
def explain(ctx: click.Context, *, code: str | None) -> int:
    """Explain a problem code: what it means and what helps.

    \b
      hacli explain FENCE_UNREACHABLE
      hacli explain                     lists every code

    Exit codes: 0 shown, 2 no such code.
    """
    from hacli.cli.problems import PROBLEMS

    app = app_of(ctx)
    app.command = "explain"
    if code is None:
        return _list_problems(app)
    problem = PROBLEMS.get(code.upper())
    if problem is None:
        from difflib import get_close_matches

        close = get_close_matches(code.upper(), PROBLEMS, n=3)
        why = f"Similar: {', '.join(close)}." if close else ""
        raise UsageError(
            f"There is no problem code {code}.",
            why=why,
            next_steps=("hacli explain    lists every code",),
        )
    if app.output is not Output.TABLE:
        documents.emit(app, "explain", {"code": code.upper()} | asdict(problem))
        return ExitCode.OK
    lines = [code.upper(), "", *wrapped("", problem.meaning, indent=2), ""]
    for number, cure in enumerate(problem.cures):
        lines += wrapped("Cure" if number == 0 else "", cure)
    click.echo("\n".join(lines))
    return ExitCode.OK


def _list_problems(app: App) -> int:
    """Every code with the first sentence of its meaning."""
    from hacli.cli.problems import PROBLEMS

    known = sorted(PROBLEMS.items())
    if app.output is not Output.TABLE:
        codes = [{"code": name} | asdict(problem) for name, problem in known]
        documents.emit(app, "explain-list", {"codes": codes})
        return ExitCode.OK
    width = max(len(name) for name, _ in known) + 2
    for name, problem in known:
        first = problem.meaning.split(". ")[0].rstrip(".")
        click.echo("\n".join(wrapped(name, first, indent=width)))
    return ExitCode.OK
