"""Every story is played once at each site; its cases are the stages, in their order."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.contract.lab_sites import DoorsSite, VirtualSite
from tests.contract.score import LAB, PROPERTY, REAL
from tests.contract.site import Site

if TYPE_CHECKING:
    from tests.contract.real_site import RealSite
    from tests.system.stack.stack import Stack

REAL_CASE_S = 300
"""Longest time for one stage, with the waiting that leads to it."""
_WORLDS = {"lab": ("doors", "virtual"), "real": ("real",), "all": ("doors", "virtual", "real")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One set of cases, unchanged, for every site that was asked for."""
    if "site" in metafunc.fixturenames:
        worlds = _WORLDS[metafunc.config.getoption("--site")]
        metafunc.parametrize("site", worlds, indirect=True, scope="class")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what counts."""
    for item in items:
        ours = Path(__file__).parent in item.path.parents
        if ours and isinstance(item, pytest.Function) and "site" in item.fixturenames:
            world = cast(str, item.callspec.params["site"])
            item.user_properties.append((PROPERTY, REAL if world == "real" else LAB))
            if world == "real":
                item.add_marker(pytest.mark.timeout(REAL_CASE_S))


@pytest.fixture(scope="session")
def real_site(stack: "Stack") -> Iterator["RealSite"]:
    """The session's real stack. Skipped never."""
    from tests.contract.real_site import open_real_site

    with open_real_site(stack) as site:
        yield site


@pytest.fixture(scope="class")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A healthy region. A lab is new for each story; the real stack is mended before each."""
    labs: Mapping[str, Callable[[], DoorsSite | VirtualSite]] = {
        "doors": DoorsSite,
        "virtual": VirtualSite,
    }
    if request.param == "real":
        real: RealSite = request.getfixturevalue("real_site")
        real.mend()
        yield real
        return
    lab = labs[request.param]()
    try:
        yield lab
    finally:
        lab.close()
