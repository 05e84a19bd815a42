"""A run as it goes: lines in a log, a live region on a terminal, or one JSON object per event."""

import json
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hacli.cli.app import App, Output
from hacli.cli.text import clock_time, duration, stamp, styled, wrapped
from hacli.domain import event_codec
from hacli.domain.events import (
    Asked,
    Errored,
    EvidenceTaken,
    GateChecked,
    Intent,
    PlanMade,
    Progressed,
    RunEnded,
    RunStarted,
    ServerChanged,
    StepDone,
    StepStarted,
    StoredEvent,
    TookOver,
    Warned,
)

if TYPE_CHECKING:
    from rich.live import Live

HEARTBEAT_S = 30.0
STEP_WIDTH = 14
BAR = 22
LIVE_STEPS = ("evacuate", "start")

Listener = Callable[[StoredEvent], None]


def listener_for(app: App) -> Listener:
    """The display that fits the output format and the terminal."""
    if app.output is Output.JSONL:
        return print_json
    if app.quiet or app.output is Output.JSON:
        return lambda _event: None
    if sys.stderr is not None and sys.stderr.isatty() and not app.plain:
        return LiveRegion(color=app.colored(sys.stderr))
    return LogLines(verbose=app.verbosity > 0)


def print_json(stored: StoredEvent) -> None:
    """One line for each event (``-o jsonl``)."""
    click.echo(json.dumps(event_codec.line_of(stored)))


def line_of(stored: StoredEvent) -> str:  # noqa: C901, PLR0912 - one case for each event
    """One event in words, for logs and `hacli history show`."""
    match stored.event:
        case RunStarted(user=user, arguments=words):
            return f"{stored.op} started by {user}: {shlex.join(('hacli', *words))}"
        case GateChecked(gate=gate, passed=passed, text=text):
            return f"{'ok' if passed else 'NO'}  {gate}: {text}"
        case StepStarted(step=step):
            return f"{step} ..."
        case StepDone(step=step, status=status, took_s=took, text=text):
            return f"{step} {_loud(status)} {duration(took)} {text}".rstrip()
        case TookOver(holder=holder, why=why):
            return f"taken over from {holder}: {why}"
        case EvidenceTaken(witness=witness, text=text):
            return f"evidence of death ({witness}): {text}"
        case PlanMade(servers=servers):
            return f"plan: {len(servers)} VMs"
        case Intent(server_name=name, attempt=attempt, target=target, order=order):
            what = "" if order == "evacuate" else f"{order} of "
            return f"asking for {what}{name} (request {attempt})" + (
                f" on {target}" if target else ""
            )
        case Asked(server=server, outcome=outcome, text=text):
            return f"{server[:8]} {outcome} {text}".rstrip()
        case ServerChanged(server_name=name, status=status, to=to, text=text):
            return f"{name} {status}" + (f" -> {to}" if to else "") + (f": {text}" if text else "")
        case Progressed(step=step) as counts:
            return f"{step} {_counts(counts)}"
        case Warned(code=code, text=text):
            return f"{code}: {text}"
        case Errored(code=code, what=what, why=why):
            return f"ERROR {code}: {what} {why}".rstrip()
        case RunEnded(status=status, took_s=took):
            return f"{stored.op} ended: {status}, {duration(took)}"


def _loud(status: str) -> str:
    return "FAIL" if status == "failed" else status


def _counts(event: Progressed) -> str:
    verb = "starting" if event.step == "start" else "rebuilding"
    return (
        f"{event.done} done, {event.running} {verb}, {event.waiting} waiting, {event.failed} failed"
    )


class LogLines:
    """Timestamped lines for a pipe, a journal, cron: one per change, one per 30 s of silence."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._last_at = float("-inf")

    def __call__(self, stored: StoredEvent) -> None:
        """Write the event's line, if it has news."""
        event = stored.event
        at = stored.time.timestamp()
        if isinstance(event, Progressed) and at - self._last_at < HEARTBEAT_S:
            return
        if not self._verbose and not _is_news(stored):
            return
        self._last_at = at
        click.echo(f"{stamp(stored.time)} {stored.run} {stored.host} {line_of(stored)}", err=True)


def _is_news(stored: StoredEvent) -> bool:
    """What a reader of a log wants without -v."""
    event = stored.event
    if isinstance(event, ServerChanged):
        return event.status not in ("rebuilding", "verified", "starting", "started")
    if isinstance(event, GateChecked):
        return not event.passed
    return not isinstance(event, StepStarted | Intent | Asked | PlanMade)


class LiveRegion:
    """Permanent lines above, and at most six changing lines below, on a terminal's stderr."""

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._live: Live | None = None
        self._began = 0.0
        self._newest: dict[str, str] = {}

    def __call__(self, stored: StoredEvent) -> None:
        """Take in one event and draw."""
        event = stored.event
        if isinstance(event, StepStarted) and event.step in LIVE_STEPS:
            self._start(stored.time.timestamp())
        elif isinstance(event, StepDone):
            if event.step in LIVE_STEPS:
                self._stop()
            self._line(_step_head(stored, event), event.text, _step_style(event))
        elif isinstance(event, ServerChanged):
            self._take_server(stored, event)
        elif isinstance(event, Progressed):
            self._draw(event, stored.time.timestamp())
        elif isinstance(event, Warned):
            self._line(clock_time(stored.time), f"{event.code}: {event.text}", "yellow")
        elif isinstance(event, Errored | RunEnded):
            self._stop()

    def _take_server(self, stored: StoredEvent, event: ServerChanged) -> None:
        if event.status in ("rebuilding", "starting"):
            self._newest[event.server_name] = event.to or "..."
            return
        self._newest.pop(event.server_name, None)
        if event.status in ("failed", "skipped"):
            text = f"{event.server_name}: {event.text}  [{event.code}]"
            self._line(clock_time(stored.time), text, "yellow")

    def _start(self, at: float) -> None:
        from rich.console import Console
        from rich.live import Live

        self._began = at
        console = Console(
            stderr=True, markup=False, emoji=False, highlight=False, no_color=not self._color
        )
        self._live = Live(console=console, transient=True, refresh_per_second=4)
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, event: Progressed, at: float) -> None:
        if self._live is None:
            return
        from rich.text import Text

        total = max(1, event.done + event.running + event.waiting + event.failed)
        filled = BAR * (event.done + event.failed) // total
        seconds = int(at - self._began)
        deeds = "starts" if event.step == "start" else "rebuilds"
        moving = "   ".join(f"{name} -> {to}" for name, to in tuple(self._newest.items())[:3])
        self._live.update(
            Text(
                f"\n  [{'#' * filled}{'.' * (BAR - filled)}]  {_counts(event)}"
                f"   {seconds // 60}:{seconds % 60:02d}\n"
                f"  {moving}\n"
                f"  Ctrl-C leaves, the {deeds} go on; same command again to come back.",
                no_wrap=True,
                overflow="ellipsis",
            )
        )

    def _line(self, head: str, text: str, style: str | None) -> None:
        """A permanent line; what does not fit goes on below, under the text."""
        for line in wrapped(head, text, indent=len(head) + 2):
            if self._live is not None:
                from rich.text import Text

                self._live.console.print(Text(line, style=style or ""))
            else:
                click.echo(styled(line, style, color=self._color), err=True)


def _step_head(stored: StoredEvent, event: StepDone) -> str:
    took = duration(event.took_s)
    step = f"{event.step:<{STEP_WIDTH}}"
    return f"{clock_time(stored.time)}  {step}  {_loud(event.status):<7} {took:>6}"


def _step_style(event: StepDone) -> str | None:
    return {"failed": "red", "partial": "yellow", "late": "yellow"}.get(event.status)
