"""Play a story from its first line to its ending, in virtual time."""

from collections.abc import Callable
from pathlib import Path

from tests.cli.console import environment, standing_in
from tests.fakes.clock import Killed
from tests.fakes.laws import violations
from tests.scenarios.deeds import DEED
from tests.scenarios.ending import ending
from tests.scenarios.givens import GIVEN, PLAN, configure
from tests.scenarios.moments import MOMENT
from tests.scenarios.scene import Blueprint, Scene, build
from tests.scenarios.shell import Shell, command_in
from tests.scenarios.story import Step, Story
from tests.scenarios.telling import chronicle

LONGEST_WAIT_S = 100_000.0
LOOK_S = 0.1
TOML = "hacli.toml says"


class NotAsTold(Exception):
    """The story cannot be played as it is written."""


def play(story: Story, folder: Path) -> str:
    """What happened, as *Then* of the story's file has it. ``folder`` takes its hacli.toml.

    Raises:
        NotAsTold: A line is not understood, or its moment never came.
    """
    scene = _scene(story, folder)
    try:
        with environment({"SUDO_USER": "op"}):
            _Player(scene).play(story.when)
    finally:
        scene.site.stage.close()
    end = [line.replace("{", "(").replace("}", ")") for line in ending(scene.site)]
    for line in ("", "In the end", *end):
        scene.tell(line, who="  " if line in end else "")
    return "\n".join([*chronicle(scene.lines, scene.names), *_laws(scene)])


def _scene(story: Story, folder: Path) -> Scene:
    plan, facts = Blueprint(), []
    for fact in story.given:
        found = PLAN.find(fact.text)
        if found is None:
            facts.append(fact)
        else:
            found[0](plan, **found[1])
    scene = build(plan)
    for fact in facts:
        if fact.text.rstrip(":") == TOML:
            configure(scene, fact.block, folder)
            continue
        known = GIVEN.find(fact.text)
        if known is None:
            raise NotAsTold(f"{story.name}: given what? {fact.text!r}")
        known[0](scene, **known[1])
    return scene


def _laws(scene: Scene) -> tuple[str, ...]:
    """Breaches of a law, as the last lines; those that the story accepts must be there."""
    site = scene.site
    found = violations(
        site.region,
        requests=site.requests,
        calls=site.log,
        named=site.named,
        errands=site.errands,
        rebuilt=site.rebuilt,
    )
    for text in scene.accepted:
        if not any(text in breach for breach in found):
            shown = "\n".join(chronicle(scene.lines, scene.names))
            raise NotAsTold(f"no breach says {text!r}\n{shown}")
    left = [text for text in found if not any(part in text for part in scene.accepted)]
    return tuple(f"LAW BROKEN {text}" for text in left)


class _Player:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chains: list[_Chain] = []
        self._shells: list[Shell] = []

    def play(self, steps: tuple[Step, ...]) -> None:
        """One line after the other; a command's own lines while it runs."""
        for step in steps:
            self._scene.site.until(self._moment(step, None), within=LONGEST_WAIT_S)
            if step.deed is not None:
                self._do(step, None)
            self._scene.site.until(
                lambda: all(shell.ended for shell in self._shells), within=LONGEST_WAIT_S
            )
        for chain in self._chains:
            chain.require_end()

    def _moment(self, step: Step, shell: Shell | None) -> Callable[[], bool]:
        if step.moment is None:
            return lambda: True
        found = MOMENT.find(step.moment)
        if found is None:
            raise NotAsTold(f"when? {step.moment!r}")
        return found[0](self._scene, shell and shell.operator, **found[1])

    def _do(self, step: Step, above: Shell | None) -> None:
        assert step.deed is not None
        command = command_in(step.deed)
        if command is not None:
            self._type(Shell(scene=self._scene, command=command, heard=self._look), step, above)
            return
        found = DEED.find(step.deed)
        if found is None:
            raise NotAsTold(f"what happens? {step.deed!r}")
        self._scene.tell(f"* {step.deed}")
        found[0](self._scene, above and above.operator, **found[1])

    def _type(self, shell: Shell, step: Step, above: Shell | None) -> None:
        """In front, or beside the command above, with its lines marked by where it runs."""
        self._shells.append(shell)
        chain = _Chain(step.during, lambda one: self._moment(one, shell), shell, self._do)
        self._chains.append(chain)
        self._tick(chain)
        site = self._scene.site
        if above is None:
            try:
                with standing_in(shell.streams):
                    shell.type()
            except Killed:
                pass
            return
        shell.margin = f"    {shell.command.where} | "
        actor = site.stage.actor(shell.operator.process, shell.type, turn=shell.standing)
        site.after(0.0, actor.resume)

    def _tick(self, chain: "_Chain") -> None:
        chain.look()
        if not chain.over:
            self._scene.site.after(LOOK_S, lambda: self._tick(chain))

    def _look(self) -> None:
        for chain in tuple(self._chains):
            chain.look()


class _Chain:
    """The lines below a command: each waits for its moment once the one before is done."""

    def __init__(
        self,
        steps: tuple[Step, ...],
        moment: Callable[[Step], Callable[[], bool]],
        shell: Shell,
        do: Callable[[Step, Shell | None], None],
    ) -> None:
        self._left = list(steps)
        self._moment = moment
        self._shell = shell
        self._do = do
        self._is_so: Callable[[], bool] | None = None

    @property
    def over(self) -> bool:
        """Nothing is left, or it is too late."""
        return not self._left or self._shell.ended

    def look(self) -> None:
        """Do what is due."""
        while not self.over:
            if self._is_so is None:
                self._is_so = self._moment(self._left[0])
            if not self._is_so():
                return
            step, self._is_so = self._left.pop(0), None
            if step.deed is not None:
                self._do(step, self._shell)

    def require_end(self) -> None:
        """Raise NotAsTold for the first line whose moment has not come."""
        if self._left:
            step = self._left[0]
            raise NotAsTold(f"it never came to: when {step.moment}: {step.deed}")
