"""What every scenario begins and ends with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cluster_facts import ClusterFacts
from tests.system.fleet import Fleet
from tests.system.hacli_runs import HacliAt
from tests.system.scene import Scene, played
from tests.system.stack import network
from tests.system.stack.api import CloudApi
from tests.system.stack.stack import Stack

SCENARIO_S = 600
PHASES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Where scenarios leave their times."""
    config.stash[PHASES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real outages take minutes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SCENARIO_S))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """How long each recovery took, by phase, in seconds from the loss."""
    for line in config.stash[PHASES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def fleet(stack: Stack) -> Iterator[Fleet]:
    """The hosts; well again at the end."""
    network.join(stack.plan.namespace(stack.plan.controller_names[0]))
    fleet = Fleet(stack.plan, ClusterFacts(stack.cluster), CloudApi(stack.plan))
    try:
        fleet.begin()
        yield fleet
        fleet.wait()
    finally:
        fleet.close()


@pytest.fixture
def scene(
    stack: Stack, fleet: Fleet, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    """A scenario's hands and eyes."""
    with played(fleet, HacliAt(stack.cluster.controllers[0].command, tmp_path)) as scene:
        yield scene
    lines = request.config.stash[PHASES]
    lines.extend(f"{request.node.name}: {told}" for told in scene.told)
