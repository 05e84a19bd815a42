"""Command lines typed at a controller of a simulated region, and what the shell sees of each."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hacli.adapters.journal import JournalFile, SqliteJournal
from hacli.cli.app import App
from hacli.cli.main import run
from hacli.config import Settings
from hacli.ports import Journal
from hacli.wiring import Connection
from tests.fakes.world import Operator, Site

Spoil = Callable[[Operator], None]
TERMINAL_WORDS = ("NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "HACLI_NO_INPUT")
"""What the developer's own shell may have set and a test must not inherit."""


@dataclass(frozen=True)
class Ended:
    """What the shell sees of a command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document of stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of ``-o jsonl``."""
        return [json.loads(line) for line in self.out.splitlines()]


class Stream(io.TextIOWrapper):
    """A stream of the command that may claim to be a terminal."""

    def __init__(self, text: str = "", *, terminal: bool = False) -> None:
        self.bytes = io.BytesIO(text.encode())
        self.terminal = terminal
        super().__init__(self.bytes, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        """As told."""
        return self.terminal

    @property
    def text(self) -> str:
        """All that was written."""
        return self.bytes.getvalue().decode()


@dataclass
class Console:
    """Where an operator of this site sits. Each command is a new process with the same journal."""

    site: Site
    folder: Path
    settings: Settings = field(default_factory=Settings)
    connections: int = 0  # how many commands have looked at the world at all

    def run(
        self,
        *words: str,
        typed: str | None = None,
        environ: Mapping[str, str] | None = None,
        colored: bool = False,
        spoil: Spoil = lambda _operator: None,
    ) -> Ended:
        """Type one command line.

        Args:
            typed: What is typed at its questions, on a terminal; None: stdin is /dev/null.
            colored: stdout and stderr are terminals too.
            spoil: What is wrong with the ways of this process to the world.
        """
        self.site.named |= set(words) & set(self.site.region.names)
        app = App(open_connection=lambda app: self._connection(app, spoil))
        streams = (
            Stream(typed or "", terminal=typed is not None),
            Stream(terminal=colored),
            Stream(terminal=colored),
        )
        with standing_in(streams), environment(environ or {}):
            code = run(words, app)
        return Ended(code=code, out=streams[1].text, err=streams[2].text)

    def _connection(self, app: App, spoil: Spoil) -> Connection:
        self.connections += 1
        operator = self.site.operator(clustered=not app.without_cluster)
        spoil(operator)
        path = self.folder / "journal.sqlite"

        def open_journal(op: str, host: str) -> Journal:
            name = f"r-{self.connections:06x}"
            return SqliteJournal(
                path, run=name, op=op, host=host, clock=operator.clock, listeners=app.listeners
            )

        return Connection(
            world=replace(operator.world, open_journal=open_journal),
            settings=self.settings,
            read_hosts=lambda: self.site.configured,
            history=JournalFile(path),
            close=lambda: None,
        )


@contextmanager
def standing_in(streams: tuple[Stream, Stream, Stream]) -> Iterator[None]:
    """These are stdin, stdout and stderr of the command."""
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def environment(words: Mapping[str, str]) -> Iterator[None]:
    """The environment of a command on a terminal, with these variables."""
    before = dict(os.environ)
    for name in TERMINAL_WORDS:
        os.environ.pop(name, None)
    os.environ.update({"TERM": "xterm", **words})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
