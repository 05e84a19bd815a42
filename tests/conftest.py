"""What the whole test run knows: on which worlds the contract is tried, its score, and how xdist
spreads the tests.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.contract.score import Score

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
