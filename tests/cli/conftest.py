"""A console at a healthy region of four hosts; after each test the laws are held against it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.console import Console
from tests.fakes.world import Site, new_site

NewConsole = Callable[..., Console]


@pytest.fixture
def consoles(tmp_path: Path) -> Iterator[NewConsole]:
    """Makes consoles at sites to order (``new_site``)."""
    sites: list[Site] = []

    def make(*names: str, **options: object) -> Console:
        sites.append(new_site(*names, **options))  # type: ignore[arg-type]  # passed on
        return Console(sites[-1], tmp_path)

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def console(consoles: NewConsole) -> Console:
    """Four healthy hosts with three VMs on each of the first two."""
    made = consoles()
    made.site.seed("compute-1", 3)
    made.site.seed("compute-2", 3, prefix="other")
    return made
