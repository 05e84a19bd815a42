"""One search for a story that breaks a law, with a seed that finds the same story again."""

from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.operators import Operators


@dataclass(frozen=True, kw_only=True)
class Found:
    """How much was tried, and the shortest story that breaks a law, if there is one."""

    examples: int
    commands: int
    story: str | None


def search(*, seed_of: int | None, examples: int, steps: int) -> Found:
    """Try so many stories of so many steps; without a seed, the same ones each time."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=seed_of is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    class Seeded(Operators):
        """Its own counts, its own seed."""

        examples = commands = 0

    machine = Seeded if seed_of is None else seed(seed_of)(Seeded)
    story = None
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except AssertionError as error:
        story = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return Found(examples=Seeded.examples, commands=Seeded.commands, story=story)
