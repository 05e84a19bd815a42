"""``hacli lab``: a simulated region in the background, to try hacli on."""

import json
import os
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from hacli.cli.text import columns
from hacli.lab import daemon
from hacli.lab.bmcs import BmcFault
from hacli.lab.control import IN_NOVA
from hacli.lab.wire_faults import WireEffect

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]

_state = click.option(
    "--state",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=lambda: daemon.default_folder(os.environ),
    show_default="$HACLI_LAB, else among the user's state",
    help="Folder of the lab; each has its own.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """Run a simulated region: real protocols on loopback, nothing to install, no root.

    \b
      hacli lab start --seed demo
      eval "$(hacli lab env)"
      hacli lab crash compute-3
      hacli recover compute-3
      hacli lab check
    """


@lab.command()
@click.option("--hosts", default=4, show_default=True, type=click.IntRange(1, 5000))
@click.option("--servers", default=24, show_default=True, type=click.IntRange(0, 100000))
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.1, 1000),
    help="Seconds of the region in a second.",
)
@click.option(
    "--seed",
    default="small",
    show_default=True,
    type=click.Choice(daemon.SEEDS),
    help="small: servers spread evenly; demo: 4 hosts and each kind of disk; "
    "many: all servers on compute-1.",
)
@click.option("--token-life", default=3600.0, show_default=True, help="Seconds of the region.")
@_state
def start(
    *, hosts: int, servers: int, speed: float, seed: str, token_life: float, folder: Path
) -> None:
    """Start a lab in the background."""
    daemon.start(
        daemon.Options(
            folder=str(folder),
            hosts=hosts,
            servers=servers,
            speed=speed,
            seed=seed,
            token_life_s=token_life,
        )
    )
    known = folder == daemon.default_folder(os.environ)
    where = "" if known else f" --state {shlex.quote(str(folder))}"
    click.echo(f"The lab runs in {folder}.")
    click.echo(f'Next:   eval "$(hacli lab env{where})"   then   hacli status')


@lab.command()
@_state
def stop(*, folder: Path) -> None:
    """End the lab. Its request log stays in the folder."""
    click.echo("The lab has ended." if daemon.stop(folder) else "No lab ran.")


@lab.command()
@_state
def env(*, folder: Path) -> None:
    """Print the exports for a shell: hacli and others find the lab."""
    click.echo(daemon.environment(folder), nl=False)


@lab.command()
@_state
@_json
def status(*, folder: Path, as_json: bool) -> None:
    """Show what is really so, whatever any API says."""
    truth = daemon.order(folder, {"do": "status"})
    if as_json:
        click.echo(json.dumps(truth, indent=2))
        return
    heads = ("HOST", "CHASSIS", "OS", "NETWORK", "BMC", "NOVA-COMPUTE", "RUNS", "DEFINED")
    machines: Any = truth["machines"]
    for line in columns([heads, *(_machine_row(machine) for machine in machines)]):
        click.echo(line)
    twice: Any = truth["running_twice"]
    for server in twice:
        click.echo(f"RUNS TWICE: {server['name']} on {' and '.join(server['running_on'])}")


def _machine_row(machine: Json) -> tuple[str, ...]:
    system = "hung" if machine["hung"] else "up" if machine["booted"] else "down"
    return (
        machine["host"],
        "on" if machine["powered"] else "OFF",
        system if machine["powered"] else "-",
        "ok" if machine["network"] else "CUT",
        machine["bmc"],
        "runs" if "nova-compute" in machine["processes"] else "-",
        str(len(machine["running"])),
        str(len(machine["defined"])),
    )


def _on_host(word: str, help_text: str) -> None:
    """Add a command that does one thing to one host."""

    @lab.command(word, help=help_text)
    @click.argument("host")
    @_state
    def deed(*, host: str, folder: Path) -> None:
        daemon.order(folder, {"do": word, "host": host})


for _word, _help in (
    ("crash", "The kernel of HOST panics; the chassis stays on."),
    ("hang", "Everything on HOST stops, and keeps what it holds."),
    ("cut", "HOST loses its network; its guests run on."),
    ("join", "HOST has its network again, or goes on after a hang."),
    ("return", "HOST is repaired and boots."),
    ("kill-compute", "nova-compute of HOST dies; its guests run on."),
    ("kill-remoted", "pacemaker_remoted of HOST dies; all else runs on."),
):
    _on_host(_word, _help)


@lab.command()
@click.argument("host")
@click.argument("switch", type=click.Choice(["on", "off"]))
@_state
def power(*, host: str, switch: str, folder: Path) -> None:
    """Switch the chassis of HOST on or off."""
    daemon.order(folder, {"do": f"power-{switch}", "host": host})


@lab.command()
@click.argument("host")
@click.argument("fault", type=click.Choice([fault.value for fault in BmcFault]))
@_state
def bmc(*, host: str, fault: str, folder: Path) -> None:
    """Break the BMC of HOST, or repair it: ok."""
    daemon.order(folder, {"do": "bmc", "host": host, "fault": fault})


@lab.command()
@click.argument("what", type=click.Choice(sorted(IN_NOVA)))
@click.argument("host", required=False)
@_state
def nova(*, what: str, host: str | None, folder: Path) -> None:
    """Let something go wrong inside Nova, or right again.

    \b
      spawn-fails, spawn-works         whether HOST can start guests
      cell-down, cell-up               whether the cell of HOST answers
      conductor-dies, conductor-back   whether anybody writes to the database
    """
    daemon.order(folder, {"do": "nova", "what": what, "host": host})


@lab.command()
@click.argument(
    "effect",
    type=click.Choice(
        [*(effect.value for effect in WireEffect), "refuse", "expire-tokens", "clear"]
    ),
)
@click.option("--service", default="nova", show_default=True)
@click.option("--method", help="Only requests of this method.")
@click.option("--path", help="Only requests with this in path or query.")
@click.option("--count", default=1, show_default=True, help="How many; 0 is until clear.")
@click.option("--seconds", default=10.0, show_default=True, help="How long late or refuse last.")
@_state
def fault(  # noqa: PLR0913 - one parameter for each option
    *,
    effect: str,
    service: str,
    method: str | None,
    path: str | None,
    count: int,
    seconds: float,
    folder: Path,
) -> None:
    """Let requests fail on their way.

    \b
      503, 503-after   refused before, or after, it was done
      lost             done, and the connection is reset instead of an answer
      late             done, and answered after --seconds
      half             done, and the answer breaks off
      refuse           nobody listens for --seconds, as while the service restarts
      expire-tokens    every token that exists is refused
      clear            no more failures
    """
    words: dict[str, object] = {
        "do": "fault",
        "effect": effect,
        "service": service,
        "method": method,
        "path": path,
        "times": count or None,
        "seconds": seconds if effect == WireEffect.LATE else 0.0,
    }
    if effect in ("refuse", "expire-tokens"):
        words = {"do": effect, "service": service, "seconds": seconds}
    elif effect == "clear":
        words = {"do": "clear-faults"}
    daemon.order(folder, words)


@lab.command()
@click.argument("seconds", type=click.FloatRange(min=0))
@_state
def advance(*, seconds: float, folder: Path) -> None:
    """Let SECONDS of the region pass at once."""
    daemon.order(folder, {"do": "advance", "seconds": seconds})


@lab.command()
@_state
@_json
def ledger(*, folder: Path, as_json: bool) -> None:
    """Show what machines and guests really did."""
    entries: Any = daemon.order(folder, {"do": "ledger"})["entries"]
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    rows = [
        (_clock(e["at"]), e["machine"], e["what"], e["name"] or "", (e["disk"] or "")[:8])
        for e in entries
    ]
    for line in columns(rows, indent=""):
        click.echo(line)


@lab.command()
@_state
@_json
def requests(*, folder: Path, as_json: bool) -> None:
    """Show what was asked of the services."""
    records: Any = daemon.order(folder, {"do": "requests"})["requests"]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    rows = [
        (
            _clock(r["at"]),
            r["service"],
            r["method"],
            str(r["sent"] or "lost"),
            "changed" if r["changed"] else "",
            r["path"] + (f"?{r['query']}" if r["query"] else ""),
        )
        for r in records
    ]
    for line in columns(rows, indent=""):
        click.echo(line)


@lab.command()
@click.option("--only", "hosts", multiple=True, metavar="HOST", help="Nothing else was touched.")
@click.option("--rebuilt", multiple=True, metavar="SERVER", help="Its local disk was given up.")
@click.option("--recovered", metavar="HOST", help="All its servers are back elsewhere.")
@_state
@click.pass_context
def check(
    ctx: click.Context,
    *,
    hosts: tuple[str, ...],
    rebuilt: tuple[str, ...],
    recovered: str | None,
    folder: Path,
) -> None:
    """Check the laws against what really happened.

    Exits with 1 and a line for each violation.
    """
    allowed: dict[str, object] = {"hosts": hosts, "rebuilt": rebuilt, "recovered": recovered}
    answer: Any = daemon.order(folder, {"do": "check", **allowed})
    for violation in answer["violations"]:
        click.echo(f"{violation['law']}: {violation['text']}")
    if answer["violations"]:
        ctx.exit(1)
    for line in answer["summary"]:
        click.echo(line)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
