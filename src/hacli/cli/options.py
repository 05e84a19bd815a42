"""Options that several commands share. Global ones may stand before or after the command."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hacli.cli.app import App, Output

F = TypeVar("F", bound=Callable[..., Any])

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


class DurationType(click.ParamType[float]):
    """``90s``, ``10m``, ``2h``; a plain number is seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, greater than zero."""
        if isinstance(value, float):
            return value
        match = DURATION.fullmatch(str(value))
        seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
        if seconds <= 0:
            self.fail(f"{value!r} is not a duration such as 90s, 10m or 2h", param, ctx)
        return seconds


def app_of(ctx: click.Context) -> App:
    """The invocation's App."""
    app = ctx.ensure_object(App)
    assert isinstance(app, App)
    return app


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps an option given anywhere; absent ones change nothing."""

    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> None:  # noqa: ANN401
        if value not in (None, False, 0, ()):
            setattr(app_of(ctx), name, Output(value) if name == "output" else value)

    return keep


_GLOBAL = (
    click.option(
        "-C",
        "--config",
        metavar="FILE",
        callback=_store("config"),
        expose_value=False,
        help="Configuration file.",
    ),
    click.option(
        "--os-cloud",
        metavar="NAME",
        callback=_store("os_cloud"),
        expose_value=False,
        help="Cloud of clouds.yaml.",
    ),
    click.option(
        "-o",
        "--output",
        type=click.Choice([output.value for output in Output]),
        callback=_store("output"),
        expose_value=False,
        help="How to write the result (default table).",
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        callback=_store("verbosity"),
        expose_value=False,
        help="Say more; twice for every request.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        callback=_store("quiet"),
        expose_value=False,
        help="Only the result and errors.",
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        callback=_store("color"),
        expose_value=False,
        help="Colour (default auto).",
    ),
    click.option(
        "--ascii",
        is_flag=True,
        callback=_store("ascii"),
        expose_value=False,
        help="Only ASCII characters.",
    ),
    click.option(
        "--timeout",
        type=DurationType(),
        callback=_store("timeout_s"),
        expose_value=False,
        help="Limit for the whole command, such as 90s or 10m.",
    ),
    click.option(
        "--no-input",
        is_flag=True,
        callback=_store("no_input"),
        expose_value=False,
        help="Never ask.",
    ),
    click.option(
        "--debug",
        is_flag=True,
        callback=_store("debug"),
        expose_value=False,
        help="Show tracebacks.",
    ),
)


def global_options(command: F) -> F:
    """Add the options that every command has."""
    for option in reversed(_GLOBAL):
        command = option(command)
    return command


def without_cluster_option(command: F) -> F:
    """Work without Pacemaker: by hand only, when the cluster itself is lost."""
    return click.option(
        "--without-cluster",
        is_flag=True,
        callback=_store("without_cluster"),
        expose_value=False,
        help="Do not ask Pacemaker (when the cluster itself is lost).",
    )(command)


def confirm_options(command: F) -> F:
    """``--yes`` and ``--confirm NAME`` answer the question; neither switches a check off."""
    command = click.option(
        "--confirm", metavar="NAME", help="Answer the question; must equal HOST."
    )(command)
    return click.option("-y", "--yes", is_flag=True, help="Answer the question with yes.")(command)


def dry_run_option(command: F) -> F:
    """Show checks and plan, change nothing."""
    return click.option(
        "-n", "--dry-run", is_flag=True, help="Show the checks and the plan; change nothing."
    )(command)


def message_option(command: F) -> F:
    """A reason for the record."""
    return click.option("-m", "--message", metavar="TEXT", help="Reason, for the record.")(command)
