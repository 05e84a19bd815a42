"""B1: how long hacli takes to say what it can do, beside a bare click program and its peers."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Goal, Program, measure, table

TITLE = "B1 start"
BIN = Path(sys.executable).parent
HELP = "hacli --help"
BARE = "bare click --help"
GOALS = (
    Goal(program=HELP, peer=BARE, ratio=1.3),
    Goal(program=HELP, peer="patronictl --help", ratio=0.25),
    Goal(program=HELP, peer="nova --help", ratio=0.25),
    Goal(program=HELP, peer="openstack --help", ratio=0.06),
)
PEERS = ("nova", "patronictl", "openstack", "pcs", "crm")


def report(*, quick: bool) -> Iterator[str]:
    """Measure, and say it in Markdown."""
    programs = [
        Program(name="python -c pass", argv=(sys.executable, "-c", "pass")),
        Program(
            name=BARE,
            argv=(sys.executable, str(Path(__file__).with_name("bare_click.py")), "--help"),
            answers="recover",
        ),
        Program(name=HELP, argv=(str(BIN / "hacli"), "--help"), answers="recover"),
        Program(name="hacli --version", argv=(str(BIN / "hacli"), "--version"), answers="hacli"),
        *_peers(),
    ]
    yield from table(TITLE, measure(programs, runs=5 if quick else 15), GOALS)


def _peers() -> Iterator[Program]:
    for name in PEERS:
        found = shutil.which(name, path=f"{BIN}:/usr/bin:/usr/sbin:/usr/local/bin")
        if found is not None:
            yield Program(name=f"{name} --help", argv=(found, "--help"), answers=name)
