"""What the whole test run knows: on which worlds the contract is tried, its score, the real stack,
and how xdist spreads the tests.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.contract.score import Score

if TYPE_CHECKING:
    from tests.system.stack.stack import Stack

WORLDS = ("doors", "virtual", "real")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--site``: the lab needs nothing; the real stack needs root and is up for minutes."""
    parser.addoption(
        "--site",
        choices=("lab", "real", "all"),
        default="lab",
        help="where the contract suite runs (default: lab)",
    )
    parser.addoption(
        "--stack",
        default=".system",
        metavar="FOLDER",
        help="work folder of the real stack (default: .system)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep the score where the reports come together."""
    config.pluginmanager.register(Score(), "contract-score")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> "Iterator[Stack]":
    """One for the whole session: that of ``make system-up`` where it runs, and it is left running.

    ``RELEASE`` in the environment says which Nova it has.
    """
    from tests.system.stack.plan import Plan, Release  # needs root and Debian
    from tests.system.stack.session import stack_of

    folder = Path(request.config.getoption("--stack")).resolve()
    release = Release(os.environ.get("RELEASE", Release.NEWEST.value))
    plan = Plan(folder=folder, name=f"pytest{os.getpid()}", release=release)  # beside any other
    with stack_of(plan) as running:
        assert running.plan.release is release, f"the stack in {folder} has another release"
        yield running


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """With ``-n`` the stages of a story stay together; every other test goes where there is room.

    ``--dist loadgroup`` would do, but its marks do not reach the scheduler under pytest 9.
    """
    return _Stories(config, log)


class _Stories(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        story, _, parameters = nodeid.partition("[")
        if not nodeid.startswith("tests/contract/"):
            return nodeid
        world = next((name for name in WORLDS if name in parameters.rstrip("]").split("-")), "")
        return f"{story.rpartition('::')[0]} {world}"
