"""What all acting commands share: the question, the lock, the journal, the end of the run."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from hacli.cli import documents, recover_screen
from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode, exit_code_of
from hacli.cli.progress import listener_for
from hacli.cli.text import styled
from hacli.domain.events import Errored, JsonValue, RunEnded
from hacli.domain.hosts import ComputeHost
from hacli.errors import Declined, HacliError, Interrupted, UsageError
from hacli.ports import Journal
from hacli.service.recovery import (
    Options,
    Prepared,
    Recovered,
    carry_out,
    prepare,
    require_gates,
    require_same_way,
)
from hacli.wiring import Connection

T = TypeVar("T")


def require_answer(app: App, host: str, *, yes: bool, confirm: str | None) -> None:
    """Refuse at once what could only be answered by a question that cannot be asked.

    Raises:
        UsageError: ``--confirm`` names another host, or there is no terminal and no ``--yes``.
    """
    if confirm is not None and confirm != host:
        raise UsageError(
            f"--confirm {confirm} does not name the host {host}.",
            next_steps=(f"hacli {app.command} {host} --confirm {host}",),
            host=host,
        )
    if not yes and confirm is None and not app.asks:
        raise UsageError(
            "This needs an answer, and there is no terminal to ask on.",
            next_steps=(f"hacli {app.command} {host} --yes    answers the question",),
            host=host,
        )


def ask_for_reason(app: App, host: str, acknowledged: str | None) -> str | None:
    """The operator's word that the host has no power: typed, on a terminal, never ``--yes``.

    Raises:
        UsageError: It names another host, or there is no terminal. Declined: not confirmed.
    """
    if acknowledged is None:
        return None
    if acknowledged != host:
        raise UsageError(f"--fence-ack {acknowledged} does not name the host {host}.", host=host)
    if not app.asks:
        raise UsageError(
            "--fence-ack is a person's word, so it needs a terminal.",
            why="neither --yes nor a script can give it",
            host=host,
        )
    warning = (
        f"You declare that {host} HAS NO POWER. If it is still running, its VMs will\n"
        "run twice and their disks will be destroyed. This is recorded with your name."
    )
    click.echo(styled(warning, "red", color=app.colored(sys.stderr)), err=True)
    reason = _read_line("How do you know? (goes into the report): ")
    if not reason or _read_line("Type the host name to go on: ") != host:
        raise Declined(
            "Nothing was declared.",
            next_steps=("the same command again, with the reason and the host's name typed",),
            host=host,
        )
    return reason


def _read_line(question: str) -> str:
    """One line from the terminal, empty at its end; Ctrl-C at the question leaves at once.

    The question goes to stderr: stdout is for the result.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.echo(question, nl=False, err=True)
        line = sys.stdin.readline()
        if not line.endswith("\n"):  # Ctrl-D: the terminal has not begun a new line
            click.echo("", err=True)
        return line.strip()
    except KeyboardInterrupt:
        click.echo("", err=True)
        raise Interrupted("Stopped at the question.", signal_number=signal.SIGINT) from None
    finally:
        signal.signal(signal.SIGINT, before)


def confirm_host(host: str, lines: Iterator[str]) -> None:
    """Show what is about to happen and have the host's name typed.

    Raises:
        Declined: Anything else was typed.
    """
    for line in lines:
        click.echo(line, err=True)
    if _read_line("This can not be undone. Type the host name to go on: ") != host:
        raise Declined(
            "The name was not typed; nothing was done.",
            next_steps=("the same command again with --dry-run shows what it would do",),
            host=host,
        )


def lock_name(host: ComputeHost) -> str:
    """The one name for locks and journal: Nova's, which every way to call the host leads to."""
    assert host.service is not None
    return host.service.host


@contextmanager
def locked_journal(connection: Connection, op: str, host: str) -> Iterator[Journal]:
    """The journal of one run, while the host's lock is held.

    Raises:
        Busy: Another run works on this host.
    """
    journal = connection.world.open_journal(op, host)
    connection.world.locks.acquire(host, run=journal.run)
    try:
        yield journal
    finally:
        connection.world.locks.release(host)


def record_end(
    app: App,
    connection: Connection,
    journal: Journal,
    work: Callable[[], T],
    code_of: Callable[[T], ExitCode],
    data_of: Callable[[T], dict[str, JsonValue]] = lambda _result: {},
) -> tuple[T, ExitCode]:
    """Do the work of a run and record how it ended, also when it ends in an error."""
    began = connection.world.clock.monotonic()
    app.run = journal.run

    def end(status: str, code: ExitCode, data: dict[str, JsonValue]) -> None:
        took = round(connection.world.clock.monotonic() - began, 3)
        journal.record(RunEnded(status=status, exit_code=int(code), took_s=took, data=data))

    try:
        result = work()
    except HacliError as error:
        journal.record(
            Errored(
                code=error.code,
                what=error.what,
                why=error.why,
                state=error.state,
                next=error.next_steps,
            )
        )
        code = exit_code_of(error)
        end("refused" if code is ExitCode.REFUSED else "failed", code, {})
        app.result_shown = app.output is Output.JSONL
        raise
    code = code_of(result)
    end("ok" if code is ExitCode.OK else "partial", code, data_of(result))
    app.result_shown = app.output is Output.JSONL
    return result, code


def act_on_host(
    app: App, host: str, options: Options, *, yes: bool, confirm: str | None, dry_run: bool
) -> int:
    """`recover`, `evacuate` and `fence`: prepare, show or ask, carry out, show the end."""
    app.host = host
    app.listeners.append(listener_for(app))
    connection = app.connect()
    policy = connection.settings.policy

    def prepared_now() -> Prepared:
        return prepare(
            connection.world,
            connection.hosts,
            host,
            policy=policy,
            options=options,
            history=connection.history,
        )

    prepared = prepared_now()
    if dry_run:
        return _show_dry_run(app, connection, prepared, options)
    name = lock_name(prepared.host)
    require_gates(prepared, options)
    with locked_journal(connection, options.verb.value, name) as journal:
        if not yes and confirm is None and prepared.already is None:
            confirm_host(host, recover_screen.question_lines(prepared, options))
            asked, prepared = prepared, prepared_now()  # the world has moved on meanwhile
            require_same_way(asked, prepared)
        result, code = record_end(
            app,
            connection,
            journal,
            lambda: carry_out(
                connection.world, prepared, policy=policy, options=options, journal=journal
            ),
            _code_of,
            recover_screen.counts_of,
        )
    _show_result(app, connection, result, code)
    return code


def _code_of(result: Recovered) -> ExitCode:
    return ExitCode.OK if result.complete else ExitCode.PARTIAL


def _show_dry_run(app: App, connection: Connection, prepared: Prepared, options: Options) -> int:
    refusal: HacliError | None = None
    try:
        require_gates(prepared, options)
    except HacliError as error:
        refusal = error
    app.result_shown = True
    code = ExitCode.OK if refusal is None else exit_code_of(refusal)
    if app.output is not Output.TABLE:
        body = recover_screen.plan_document(prepared, options)
        documents.emit(app, f"{options.verb.value}-plan", body, code=code, time=_now(connection))
    else:
        command = shlex.join(w for w in app.arguments if w not in ("-n", "--dry-run"))
        go_on = None if refusal else f"hacli {command}"
        click.echo("\n".join(recover_screen.dry_run_lines(prepared, options, command=go_on)))
    if refusal is not None:
        from hacli.cli import failures

        failures.show(app, refusal, code)
    return code


def _show_result(app: App, connection: Connection, result: Recovered, code: ExitCode) -> None:
    if app.output is Output.JSON:
        body = recover_screen.result_document(result)
        documents.emit(app, result.verb.value, body, code=code, time=_now(connection))
    elif app.output is Output.TABLE:
        style = "green" if code is ExitCode.OK else "yellow"
        color = app.colored(sys.stdout)
        for number, line in enumerate(recover_screen.end_lines(result)):
            click.echo(styled(line, style if number == 0 else None, color=color))
    app.result_shown = True


def _now(connection: Connection) -> str:
    return connection.world.clock.now().isoformat().replace("+00:00", "Z")
