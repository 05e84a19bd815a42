"""Options that several commands share. Global ones may stand before or after the command."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hacli.cli.app import App, Output
from hacli.errors import UsageError

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


class GlobalOption(click.Option):
    """An option that every command has."""


class HacliCommand(click.Command):
    """Shows its own options before those that every command has.

    Args:
        writes_csv: Its result is a table that ``-o csv`` writes; every other command refuses that.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        writes_csv: bool = False,
        **attributes: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **attributes)
        self.writes_csv = writes_csv

    def invoke(self, ctx: click.Context) -> object:
        """As click does, unless the result cannot be written as was asked."""
        app = app_of(ctx)
        if app.output is Output.CSV and not self.writes_csv:
            app.output = Output.TABLE
            raise UsageError(f"hacli {ctx.info_name} does not write csv.")
        return super().invoke(ctx)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own
    ) -> click.Context:
        """As click does; ``-h`` is help also where no group above says so."""
        extra.setdefault("help_option_names", ["-h", "--help"])
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two sections; the help option is of the second kind."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Everywhere": []}
        for param in self.get_params(ctx):
            everywhere = isinstance(param, GlobalOption) or "--help" in param.opts
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections["Everywhere" if everywhere else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _everywhere(
    *names: str,
    keep: str,
    text: str,
    **attributes: Any,  # noqa: ANN401 - click's own
) -> Callable[[F], F]:
    """An option of every command, kept in the App under this name."""
    return click.option(
        *names,
        cls=GlobalOption,
        callback=_store(keep),
        expose_value=False,
        help=text,
        **attributes,
    )


FORMATS = click.Choice([output.value for output in Output])
COLORS = click.Choice(["auto", "always", "never"])
_GLOBAL: tuple[Callable[[F], F], ...] = (
    _everywhere("-C", "--config", keep="config", text="Configuration file.", metavar="FILE"),
    _everywhere("--os-cloud", keep="os_cloud", text="Cloud of clouds.yaml.", metavar="NAME"),
    _everywhere("-o", "--output", keep="output", text="How to write the result.", type=FORMATS),
    _everywhere("-v", "--verbose", keep="verbosity", text="Say more.", count=True),
    _everywhere("-q", "--quiet", keep="quiet", text="Only the result and errors.", is_flag=True),
    _everywhere("--color", keep="color", text="Colour (default auto).", type=COLORS),
    _everywhere("--ascii", keep="ascii", text="Only ASCII characters.", is_flag=True),
    _everywhere(
        "--timeout",
        keep="timeout_s",
        text="Limit for the whole command, such as 90s or 10m.",
        type=DurationType(),
    ),
    _everywhere("--no-input", keep="no_input", text="Never ask.", is_flag=True),
    _everywhere("--debug", keep="debug", text="Show tracebacks.", is_flag=True),
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


def take_over_option(command: F) -> F:
    """A person's word that the run that has the host is gone."""
    return click.option(
        "--take-over",
        is_flag=True,
        help="Take HOST over from a run of another controller; you know that it is gone.",
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
