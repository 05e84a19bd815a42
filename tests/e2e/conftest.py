"""What every end-to-end test begins with, and the checks that end it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.children import no_process_left
from tests.e2e.site import Site

NewSite = Callable[..., Site]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[NewSite]:
    """Makes sites to order (``Site``).

    After the test the laws are held against what happened at each of them, and no process that
    the test or its hacli started may be left.
    """
    sites: list[Site] = []
    with ExitStack() as opened:
        opened.enter_context(no_process_left())

        def make(**options: object) -> Site:
            folder = tmp_path / f"site-{len(sites)}"
            folder.mkdir()
            site = Site(folder, **options)  # type: ignore[arg-type]  # passed on
            site.start()
            opened.callback(site.stop)
            sites.append(site)
            return site

        yield make


@pytest.fixture
def site(build: NewSite) -> Site:
    """Four healthy hosts with three servers each."""
    return build()
