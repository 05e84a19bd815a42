"""hacli as it is typed on a controller of the story: words in, events and the last screen out."""

import re
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import cast

from hacli.adapters.journal import JournalFile
from hacli.cli.app import App
from hacli.cli.main import run
from hacli.domain.claim import TAKE_OVER
from hacli.domain.events import StoredEvent
from hacli.wiring import Connection
from tests.cli.console import Stream, standing_in
from tests.fakes.clock import Killed
from tests.fakes.laws import Errand
from tests.fakes.world import Operator
from tests.scenarios.scene import HOME, Scene
from tests.scenarios.telling import is_of_one_server, screen, told
from tests.scenarios.vocabulary import seconds

_COMMAND = re.compile(
    r"(?:(?P<where>[\w-]+): )?(?P<words>hacli .+?)"
    r'(?:, typing (?P<typed>"[^"]*"(?:, "[^"]*")*))?(?: after (?P<pause>[\d.]+ (?:s|min)))?'
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A line of *When* that is typed: where, which words, and what is answered to questions."""

    where: str
    words: tuple[str, ...]
    typed: tuple[str, ...] | None  # None: there is no terminal
    pause_s: float  # before each answer

    @property
    def prompt(self) -> str:
        """As the chronicle shows it."""
        return f"{self.where}$ {shlex.join(('hacli', *self.words))}"


def command_in(deed: str) -> Command | None:
    """The command that the deed is, if it is one."""
    found = _COMMAND.fullmatch(deed)
    if found is None:
        return None
    typed = found["typed"]
    return Command(
        where=found["where"] or HOME,
        words=tuple(shlex.split(found["words"])[1:]),
        typed=tuple(re.findall(r'"([^"]*)"', typed)) if typed else None,
        pause_s=seconds(found["pause"]) if found["pause"] else 0.0,
    )


class _Keyboard(Stream):
    """A terminal at which somebody takes a while for each answer, and sees what is typed."""

    def __init__(self, answers: tuple[str, ...], *, echo: Stream, wait: Callable[[], None]) -> None:
        super().__init__("".join(f"{answer}\n" for answer in answers), terminal=True)
        self._echo = echo
        self._wait = wait

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """The next answer."""
        self._wait()
        answer = super().readline(-1 if size is None else size)
        self._echo.write(answer)
        return answer


@dataclass
class Shell:
    """One command on its way. ``heard`` is called after each event that it has recorded."""

    scene: Scene
    command: Command
    heard: Callable[[], None]
    margin: str = "  "  # before each line of the chronicle that is this command's
    operator: Operator = field(init=False)
    ended: bool = False

    def __post_init__(self) -> None:
        scene, home = self.scene, self.scene.controller(self.command.where)
        screen_of = Stream()
        self.streams = (self._keyboard(screen_of), Stream(), screen_of)
        self.app = App(open_connection=self._connect)
        operator = scene.site.operator(
            store=home.store,
            at=self.command.where,
            clustered="--without-cluster" not in self.command.words,
            listeners=(self._told, self._shown),
        )
        operator.pacemaker.silent = scene.deaf
        operator.nova.line.faults = scene.wires
        operator.nova.line.sends_date = scene.dated
        operator.clock.ahead_s = home.ahead_s
        self.operator = operator
        scene.operators.append(operator)
        back = {alias: name for name, alias in scene.site.aliases.items()}
        words = self.command.words
        named = frozenset(back.get(name, name) for name in words[1:2])
        scene.site.named |= named
        scene.site.errands[operator.process.name] = Errand(
            names=named,
            allowed=frozenset(words),
            clustered="--without-cluster" not in words,
            takes_over=TAKE_OVER in words,
        )

    @property
    def standing(self) -> Callable[[], AbstractContextManager[None]]:
        """What makes these streams those of the interpreter."""
        return lambda: standing_in(self.streams)

    def type(self) -> None:
        """Run it, from the first word to its exit code."""
        self.scene.tell(self.command.prompt, who=self.margin[2:])
        try:
            code = int(run(self.command.words, self.app))
        except Killed:
            self.scene.tell("killed", who=self.margin)
            raise
        finally:
            self.ended = self.operator.process.ended = True
        self.scene.tell(f"exit {code}", who=self.margin)
        for line in screen(self.streams[1].text, self.streams[2].text):
            self.scene.tell(f"| {line}".replace("{", "(").replace("}", ")"), who=self.margin)

    def _keyboard(self, echo: Stream) -> Stream:
        typed, pause_s = self.command.typed, self.command.pause_s
        if typed is None:
            return Stream()
        return _Keyboard(typed, echo=echo, wait=lambda: self.operator.clock.wait(pause_s))

    def _connect(self, app: App) -> Connection:
        operator = self.operator
        return Connection(
            world=operator.world,
            settings=self.scene.settings,
            read_hosts=lambda: self.scene.site.configured,
            history=cast(JournalFile, operator.store),  # of which a run reads the events alone
            close=lambda: None,
        )

    def _told(self, stored: StoredEvent) -> None:
        if self.scene.brief and is_of_one_server(stored.event):
            return
        line = told(stored.event, self.scene.names)
        if line is not None:
            self.scene.tell(line[0], *line[1], who=self.margin)

    def _shown(self, stored: StoredEvent) -> None:
        for listener in self.app.listeners:
            listener(stored)
        self.heard()
