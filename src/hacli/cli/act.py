"""Commands that act: recover, fence, evacuate, disable, enable."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hacli.cli import acting, documents
from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode
from hacli.cli.options import (
    HacliCommand,
    app_of,
    confirm_options,
    dry_run_option,
    global_options,
    message_option,
    take_over_option,
    without_cluster_option,
)
from hacli.domain.evacuation import Wishes
from hacli.domain.policy import LocalDisks
from hacli.errors import UsageError
from hacli.service import enabling, powering
from hacli.service.enabling import Switched
from hacli.service.recovery import Options, Verb
from hacli.service.run import Run

F = TypeVar("F", bound=Callable[..., Any])
ENABLE_LIMIT_S = 600.0


def _allow(name: str, text: str) -> Callable[[F], F]:
    return click.option(f"--{name}", is_flag=True, help=f"Override one check: {text}.")


def _fence_options(command: F) -> F:
    """Flags of everything that cuts power."""
    for option in (
        click.option(
            "--fence-ack",
            metavar="NAME",
            help="You cut the power yourself; asks how you know.",
        ),
        _allow("allow-storm", "many hosts look down at once"),
        _allow("allow-healthy", "the host does not look dead"),
    ):
        command = option(command)
    return command


def _server_options(command: F) -> F:
    """Flags of everything that rebuilds servers."""
    for option in (
        click.option("--target", metavar="HOST", help="Rebuild on this host (Nova checks it)."),
        click.option(
            "--migration-checked",
            is_flag=True,
            help="The VMs named with --server do not run where they were migrating to.",
        ),
        click.option(
            "--server", "servers", metavar="VM", multiple=True, help="Only this VM (id or name)."
        ),
        click.option(
            "--local-disks",
            type=click.Choice([choice.value for choice in LocalDisks]),
            default=LocalDisks.SKIP.value,
            show_default=True,
            help="VMs with local disks: leave alone, or lose the disk and rebuild from the image.",
        ),
        _allow("allow-no-room", "no other host is enabled and up"),
    ):
        command = option(command)
    return command


def _wishes(
    *, local_disks: str, servers: tuple[str, ...], migration_checked: bool, target: str | None
) -> Wishes:
    if migration_checked and not servers:
        raise UsageError("--migration-checked needs the VMs it speaks of: --server VM.")
    chosen = frozenset(servers)
    return Wishes(
        local_disks=LocalDisks(local_disks),
        only=chosen,
        migration_checked=chosen if migration_checked else frozenset(),
        target=target,
    )


def _allowed(given: dict[str, Any]) -> frozenset[str]:
    """The flags that override one check each, among all that was given."""
    chosen = [name for name, value in given.items() if name.startswith("allow_") and value]
    return frozenset("--" + name.replace("_", "-") for name in chosen)


@click.command(cls=HacliCommand)
@click.argument("host")
@_fence_options
@_server_options
@click.option("--power-on", is_flag=True, help="Switch the host on again at the end.")
@confirm_options
@dry_run_option
@message_option
@take_over_option
@without_cluster_option
@global_options
@click.pass_context
def recover(ctx: click.Context, /, *, host: str, **given: Any) -> int:  # noqa: ANN401 - click's words
    """Power a dead HOST off with proof, rebuild its VMs elsewhere, verify each.

    \b
      hacli recover compute-3 --dry-run
      hacli recover compute-3
      hacli recover compute-3 --yes -m "INC-4711"

    A HOST that was fenced and is back keeps its VMs: those that ran before and
    do not run now are started there, each once; nothing is powered off.

    The same command again goes on where it stopped. Exit codes: 0 every VM is
    back, 3 some are not (named), 4 refused, 5 power off not proven and no VM
    touched, 6 a source is silent, 9 another run works on the host.
    """
    return _recover(app_of(ctx), Verb.RECOVER, host, given)


@click.command(cls=HacliCommand)
@click.argument("host")
@_fence_options
@_server_options
@click.option("--power-on", is_flag=True, help="Switch the host on again at the end.")
@confirm_options
@dry_run_option
@message_option
@take_over_option
@without_cluster_option
@global_options
@click.pass_context
def evacuate(ctx: click.Context, /, *, host: str, **given: Any) -> int:  # noqa: ANN401 - click's words
    """Rebuild the VMs of a HOST that is off already; prove it, but cut no running power.

    \b
      hacli evacuate compute-3 --dry-run
      hacli evacuate compute-3 --server web-07 --yes

    Exit codes: as hacli recover.
    """
    return _recover(app_of(ctx), Verb.EVACUATE, host, given)


def _recover(app: App, verb: Verb, host: str, given: dict[str, Any]) -> int:
    app.command = verb.value
    yes, confirm, dry_run = given["yes"], given["confirm"], given["dry_run"]
    if not dry_run:
        acting.require_answer(app, host, yes=yes, confirm=confirm)
    options = Options(
        verb=verb,
        context=app.context(given["message"], take_over=given["take_over"]),
        wishes=_wishes(
            local_disks=given["local_disks"],
            servers=given["servers"],
            migration_checked=given["migration_checked"],
            target=given["target"],
        ),
        allowed=_allowed(given),
        attested=acting.ask_for_reason(app, host, given["fence_ack"]),
        power_on=given["power_on"],
    )
    return acting.act_on_host(app, host, options, yes=yes, confirm=confirm, dry_run=dry_run)


@click.command(cls=HacliCommand)
@click.argument("host")
@_fence_options
@click.option("--reboot", is_flag=True, help="Switch it on again once it is proven off.")
@click.option("--power-on", is_flag=True, help="Only switch the host on.")
@confirm_options
@dry_run_option
@message_option
@take_over_option
@without_cluster_option
@global_options
@click.pass_context
def fence(ctx: click.Context, /, *, host: str, **given: Any) -> int:  # noqa: ANN401 - click's words
    """Switch HOST off and return only when it is proven off.

    \b
      hacli fence compute-3 --dry-run
      hacli fence compute-3
      hacli fence compute-3 --power-on

    Exit codes: 0 proven off, 4 refused, 5 not proven, 9 another run works on
    the host.
    """
    app = app_of(ctx)
    app.command = "fence"
    yes, confirm, dry_run = given["yes"], given["confirm"], given["dry_run"]
    if given["power_on"]:
        return _power_on(app, host, given["message"], take_over=given["take_over"], dry_run=dry_run)
    if not dry_run:
        acting.require_answer(app, host, yes=yes, confirm=confirm)
    options = Options(
        verb=Verb.FENCE,
        context=app.context(given["message"], take_over=given["take_over"]),
        allowed=_allowed(given),
        attested=acting.ask_for_reason(app, host, given["fence_ack"]),
        power_on=given["reboot"],
    )
    return acting.act_on_host(app, host, options, yes=yes, confirm=confirm, dry_run=dry_run)


def _power_on(app: App, host: str, message: str | None, *, take_over: bool, dry_run: bool) -> int:
    from hacli.cli.progress import listener_for

    app.host = host
    app.listeners.append(listener_for(app))
    connection = app.connect()
    found, sources = enabling.find(connection.world, connection.hosts, host)
    label = found.bmc.label if found.bmc else "no BMC is known"
    if dry_run:
        lines = ["DRY RUN: nothing is changed.", "", f"{found.name} would be ordered on: {label}."]
        _show(app, "fence-plan", found.name, lines)
        return ExitCode.OK
    with acting.locked_journal(connection, app.command, acting.lock_name(found)) as journal:
        policy = connection.settings.policy
        context = app.context(message, take_over=take_over)
        run = enabling.start_run(
            connection.world,
            found,
            sources,
            policy=policy,
            context=context,
            journal=journal,
        )

        def work() -> None:
            with run.claim.held(), run.step("power-on") as report:
                run.claim.require()
                powering.power_on(connection.world, found)
                report.end("ordered")

        acting.record_end(app, connection, journal, work, lambda _none: ExitCode.OK)
    lines = [f"{found.name} was ordered on.", f"Next:   hacli status {found.name}"]
    if not app.result_shown:  # a stream has its result from the journal
        _show(app, "fence-power-on", found.name, lines)
    return ExitCode.OK


@click.command(cls=HacliCommand)
@click.argument("host")
@message_option
@dry_run_option
@without_cluster_option
@global_options
@click.pass_context
def disable(ctx: click.Context, *, host: str, message: str | None, dry_run: bool) -> int:
    """Keep new VMs away from HOST; those on it run on.

    \b
      hacli disable compute-3 -m "replace DIMM"
      hacli disable compute-3 --dry-run

    Exit codes: 0 disabled (or was already), 6 Nova is silent, 9 another run
    works on the host.
    """
    app = app_of(ctx)
    app.command = "disable"

    def work(run: Run) -> Switched:
        return enabling.disable(run, message=message)

    return _switch(app, host, message, dry_run=dry_run, work=work)


@click.command(cls=HacliCommand)
@click.argument("host")
@click.option("--adopt", is_flag=True, help="Undo a disable or force-down that is not hacli's.")
@message_option
@dry_run_option
@take_over_option
@without_cluster_option
@global_options
@click.pass_context
def enable(
    ctx: click.Context,
    *,
    host: str,
    adopt: bool,
    message: str | None,
    take_over: bool,
    dry_run: bool,
) -> int:
    """Take a repaired HOST back: wait until each step of its return is safe.

    \b
      hacli enable compute-3
      hacli enable compute-3 --timeout 2m
      hacli enable compute-3 --dry-run

    Exit codes: 0 enabled (or was already), 4 evacuations from it are open,
    9 another run works on the host, 124 not ready in time (default 10m); the
    message says for what it waits.
    """
    app = app_of(ctx)
    app.command = "enable"
    limit, app.timeout_s = app.timeout_s or ENABLE_LIMIT_S, None

    def work(run: Run) -> Switched:
        until = run.world.clock.awake() + limit
        return enabling.Enabling(run, until=until, adopt=adopt).enable()

    return _switch(app, host, message, take_over=take_over, dry_run=dry_run, work=work)


def _switch(
    app: App,
    host: str,
    message: str | None,
    *,
    take_over: bool = False,
    dry_run: bool,
    work: Callable[[Run], Switched],
) -> int:
    from hacli.cli.progress import listener_for

    app.host = host
    app.listeners.append(listener_for(app))
    connection = app.connect()
    found, sources = enabling.find(connection.world, connection.hosts, host)
    if dry_run:
        lines = enabling.preview(connection.world, found, app.command)
        _show(app, f"{app.command}-plan", found.name, lines)
        return ExitCode.OK
    with acting.locked_journal(connection, app.command, acting.lock_name(found)) as journal:
        run = enabling.start_run(
            connection.world,
            found,
            sources,
            policy=connection.settings.policy,
            context=app.context(message, take_over=take_over),
            journal=journal,
        )
        result, code = acting.record_end(
            app, connection, journal, lambda: work(run), lambda _result: ExitCode.OK
        )
    _show_switched(app, result)
    return code


def _show_switched(app: App, result: Switched) -> None:
    undo = {"disable": "enable", "enable": "disable"}[result.verb]
    lines = [result.already + "."] if result.already else []
    if not result.already:
        done = {"disable": "DISABLED", "enable": "ENABLED"}[result.verb]
        if result.kept:
            done = "NOT ENABLED"
        text = {
            "disable": "It gets no new VMs; those on it run on.",
            "enable": "It may get new VMs.",
        }[result.verb]
        lines = [f"{done} {result.host}. {'' if result.kept else text}".rstrip()]
        lines += [f"Kept:   {kept}" for kept in result.kept]
        lines.append(f"Undo:   hacli {undo} {result.host}")
    if app.output is Output.JSON:
        body = {"host": result.host, "run": result.run, "already": result.already}
        documents.emit(app, result.verb, body | {"kept": list(result.kept)})
    elif app.output is Output.TABLE:
        click.echo("\n".join(lines))
    app.result_shown = True


def _show(app: App, schema: str, host: str, lines: list[str]) -> None:
    if app.output is not Output.TABLE:
        documents.emit(app, schema, {"host": host, "text": lines})
    else:
        click.echo("\n".join(lines))
