"""The command tree, and the one place where an error becomes a message and an exit code."""

import errno
import importlib
import os
import sys
from collections.abc import Iterator, Sequence

import click
from click.shell_completion import CompletionItem

from hacli.cli.app import App
from hacli.cli.exits import ExitCode
from hacli.cli.options import app_of, global_options
from hacli.errors import UsageError

COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (group in the help, module:attribute, short help)
    "status": ("Look", "hacli.cli.look:status", "Show cluster, hosts and what needs attention."),
    "verify-storage": (
        "Look",
        "hacli.cli.verify:verify_storage",
        "Show which VMs would survive the loss of a host.",
    ),
    "history": ("Look", "hacli.cli.look:history", "Show what earlier runs did."),
    "explain": ("Look", "hacli.cli.look:explain", "Explain a problem code and its cure."),
    "recover": ("Act", "hacli.cli.act:recover", "Bring the VMs of a dead host back."),
    "fence": ("Act", "hacli.cli.act:fence", "Switch a host off and prove it."),
    "evacuate": ("Act", "hacli.cli.act:evacuate", "Rebuild the VMs of a host that is off."),
    "disable": ("Act", "hacli.cli.act:disable", "Keep new VMs away from a host."),
    "enable": ("Act", "hacli.cli.act:enable", "Take a repaired host back into service."),
    "lab": ("Try", "hacli.cli.lab:lab", "Run a simulated region to try hacli on."),
    "completion": ("Set up", "hacli.cli.setup:completion", "Print the shell completion script."),
    "help": ("Set up", "hacli.cli.setup:help_topic", "Explain exit codes and other topics."),
    "version": ("Set up", "hacli.cli.setup:version_command", "Show the version."),
}


OUTPUT_FAILS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What writing to stdout ends with when the reader has gone or the disk is full."""


class HacliGroup(click.Group):
    """Imports a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][1].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command and its arguments; an unknown one names the similar ones."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, n=3)
            raise UsageError(
                f"There is no command {name}.",
                why=f"Similar: {', '.join(close)}." if close else "",
                next_steps=("hacli --help    lists all commands",),
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by group, without importing them."""
        for group in dict.fromkeys(entry[0] for entry in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl(list(self._rows(group)))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Command names, without importing them."""
        names = [
            CompletionItem(name, help=entry[2])
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _rows(self, group: str) -> Iterator[tuple[str, str]]:
        for name, (of, _, text) in COMMANDS.items():
            if of == group:
                yield name, text


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value and not ctx.resilient_parsing:
        from hacli.cli.app import version

        click.echo(f"hacli {version()}")
        ctx.exit()


@click.group(cls=HacliGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@global_options
def hacli() -> None:
    """Bring the VMs of a dead compute host back, once.

    \b
      hacli status                  what needs attention
      hacli recover HOST --dry-run  the checks and the plan; changes nothing
      hacli recover HOST            power it off, rebuild its VMs, verify each
      hacli enable HOST             take the repaired host back
    """


def run(arguments: Sequence[str], app: App | None = None) -> int:
    """Run one command line and return its exit code; never raises for a foreseen failure."""
    app = app or App()
    app.arguments = tuple(arguments)
    try:
        code = _invoke(arguments, app)
        if sys.stdout is not None:  # None: closed by who started us
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return ExitCode.FAILED
    except OSError as error:
        _forget_stdout()
        click.echo(f"hacli: the output could not be written: {error.strerror}.", err=True)
        if app.run is not None:
            click.echo(f"What was done stays done: hacli history show {app.run}", err=True)
        return ExitCode.FAILED
    finally:
        app.close()
    return code


def _invoke(arguments: Sequence[str], app: App) -> int:
    try:
        result = hacli.main(
            args=list(arguments),
            prog_name="hacli",
            standalone_mode=False,
            obj=app,
            color=True,  # what is coloured has been decided by then: App.colored
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        return ExitCode.USAGE
    except click.exceptions.Abort:
        click.echo("", err=True)
        return ExitCode.INTERRUPTED
    except Exception as error:  # the last boundary: no failure leaves without State
        if isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_FAILS:
            raise
        from hacli.cli import failures

        return failures.show_any(app, error)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _forget_stdout() -> None:
    """Keep the interpreter from complaining about a closed pipe at its end."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


__all__ = ["COMMANDS", "app_of", "hacli", "main", "run"]
