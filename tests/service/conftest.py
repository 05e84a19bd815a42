"""What every service test begins with, and the law checker that ends it."""

from collections.abc import Callable, Iterator

import pytest

from tests.fakes.world import Site, new_site

NewSite = Callable[..., Site]


@pytest.fixture
def site() -> Iterator[Site]:
    """Four healthy hosts; after the test the laws are held against what happened."""
    made = new_site()
    yield made
    made.close()


@pytest.fixture
def build() -> Iterator[NewSite]:
    """Makes sites to order (``new_site``); the laws are held against each of them."""
    sites: list[Site] = []

    def make(*names: str, **options: object) -> Site:
        sites.append(new_site(*names, **options))  # type: ignore[arg-type]
        return sites[-1]

    yield make
    for one in sites:
        one.close()
