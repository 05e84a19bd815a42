"""Commands about hacli itself: completion, help topics, version."""

import click

from hacli.cli import documents
from hacli.cli.app import Output, version
from hacli.cli.exits import MEANINGS, ExitCode
from hacli.cli.options import HacliCommand, app_of, global_options
from hacli.cli.text import columns
from hacli.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=HacliCommand)
@click.argument("shell", type=click.Choice(SHELLS))
@global_options
def completion(*, shell: str) -> int:
    """Print the completion script for a shell.

    \b
      hacli completion bash > /etc/bash_completion.d/hacli
      hacli completion zsh > /usr/share/zsh/vendor-completions/_hacli
      hacli completion fish > ~/.config/fish/completions/hacli.fish

    Exit codes: 0 printed, 2 no such shell.
    """
    click.echo(completion_script(shell))
    return ExitCode.OK


def completion_script(shell: str) -> str:
    """What click generates for this shell and our command tree."""
    from click.shell_completion import get_completion_class

    from hacli.cli.main import hacli

    found = get_completion_class(shell)
    assert found is not None
    return found(hacli, {}, "hacli", "_HACLI_COMPLETE").source()


def _exit_codes() -> list[str]:
    rows = [("CODE", "MEANING", "HAS ANYTHING CHANGED?")]
    rows += [(str(int(code)), *words) for code, words in MEANINGS.items()]
    return columns(rows, indent="")


def _environment() -> list[str]:
    return columns(
        [
            ("HACLI_CONFIG", "configuration file"),
            ("HACLI_STATE_DIR", "journal (default /var/lib/hacli, or XDG_STATE_HOME/hacli)"),
            ("HACLI_RUN_DIR", "locks (default /run/hacli, or XDG_RUNTIME_DIR/hacli)"),
            ("HACLI_NO_INPUT", "1: never ask"),
            ("OS_CLOUD, OS_*", "the cloud, as every OpenStack client reads it"),
            ("NO_COLOR, CLICOLOR_FORCE", "colour"),
        ],
        indent="",
    )


def _safety() -> list[str]:
    return [
        "In doubt a host is alive. It is evacuated only when its BMC reads OFF twice after an OFF",
        "that this run ordered, or Pacemaker carried one out, or you declare it (--fence-ack);",
        "one sign of life outweighs all of them. Nova is asked once per VM, every VM is followed",
        "to its end and read back. A VM whose disk would be lost is left alone and named.",
        "docs/safety.md has the whole table.",
    ]


TOPICS = {"exit-codes": _exit_codes, "environment": _environment, "safety": _safety}


@click.command(cls=HacliCommand, name="help")
@click.argument("topic", required=False)
@global_options
@click.pass_context
def help_topic(ctx: click.Context, *, topic: str | None) -> int:
    """Explain a topic, or show the help of a command.

    \b
      hacli help exit-codes
      hacli help environment
      hacli help safety

    Exit codes: 0 shown, 2 no such topic.
    """
    from hacli.cli.main import COMMANDS, hacli

    if topic is None:
        assert ctx.parent is not None
        click.echo(ctx.parent.get_help())
    elif topic in TOPICS:
        click.echo("\n".join(TOPICS[topic]()))
    elif topic in COMMANDS:
        command = hacli.get_command(ctx, topic)
        assert command is not None
        click.echo(command.get_help(click.Context(command, info_name=topic, parent=ctx.parent)))
    else:
        raise UsageError(
            f"There is no help topic {topic}.", next_steps=(f"topics: {', '.join(TOPICS)}",)
        )
    return ExitCode.OK


@click.command(cls=HacliCommand, name="version")
@global_options
@click.pass_context
def version_command(ctx: click.Context) -> int:
    """Show the version of hacli and of the libraries it stands on.

    \b
      hacli version
      hacli version -o json

    Exit codes: 0 shown.
    """
    import platform
    from importlib.metadata import version as installed

    libraries = ("click", "rich", "python-novaclient", "keystoneauth1", "openstacksdk", "pyghmi")
    found = {"hacli": version(), "python": platform.python_version()}
    found |= {name: installed(name) for name in libraries}
    app = app_of(ctx)
    app.command = "version"
    if app.output is Output.TABLE:
        click.echo("\n".join(columns(list(found.items()), indent="")))
    else:
        documents.emit(app, "version", {"versions": found})
    return ExitCode.OK
