"""``hacli verify-storage``: look at what the loss of a host would cost, before it happens."""

import csv
import io
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from hacli.cli import documents
from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode
from hacli.cli.options import (
    DurationType,
    HacliCommand,
    app_of,
    global_options,
    without_cluster_option,
)

if TYPE_CHECKING:
    from hacli.service.storage import StorageCheck


@click.command(cls=HacliCommand, writes_csv=True)
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@click.option(
    "--snapshot-age",
    type=DurationType(),
    help="A snapshot no older than this is enough for a VM that would lose its root disk.",
)
@without_cluster_option
@global_options
@click.pass_context
def verify_storage(
    ctx: click.Context, *, hosts: tuple[str, ...], snapshot_age: float | None
) -> int:
    """Show which VMs would survive the loss of their host, and why others would not.

    \b
      hacli verify-storage
      hacli verify-storage compute-3
      hacli verify-storage --snapshot-age 24h
      hacli verify-storage -o csv | grep -v ,survives,

    It reads only: Nova, Cinder, Glance, Pacemaker, and the nodes themselves where [storage]
    probe says how to reach them. -v names every VM and host.

    Exit codes: 0 every VM survives, 1 some would lose data or stay down, or
    something was found that needs mending, 6 something is not known.
    """
    from hacli.service.storage import verify_storage as verify

    app = app_of(ctx)
    app.command = "verify-storage"
    connection = app.connect()
    enough = None if snapshot_age is None else timedelta(seconds=snapshot_age)
    check = verify(
        connection.world,
        connection.hosts,
        policy=connection.settings.policy,
        only=hosts,
        snapshot_age=enough,
    )
    return _show(app, check, named=bool(hosts))


def _show(app: App, check: "StorageCheck", *, named: bool) -> ExitCode:
    from hacli.cli.storage_document import check_document, rows_of
    from hacli.cli.storage_screen import StorageView, lines_of

    code = _code_of(check)
    if app.output is Output.CSV:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(rows_of(check))
        click.echo(table.getvalue(), nl=False)
    elif app.output is not Output.TABLE:
        time = check.at.isoformat().replace("+00:00", "Z")
        body = check_document(check)
        documents.emit(app, "verify-storage", body, code=code, ok=check.complete, time=time)
    else:
        view = StorageView(
            check=check, named=named, verbose=app.verbosity > 0, color=app.colored(sys.stdout)
        )
        click.echo("\n".join(lines_of(view)))
    return code


def _code_of(check: "StorageCheck") -> ExitCode:
    if check.at_risk:
        return ExitCode.FAILED
    return ExitCode.OK if check.complete else ExitCode.UNAVAILABLE
