"""The real stack, for whoever asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stack.plan import Plan, Release
from tests.system.stack.session import stack_of
from tests.system.stack.stack import Stack


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """One for the whole session: that of ``make system-up`` where it runs, and it is left running.

    ``RELEASE`` in the environment says which Nova it has.
    """
    folder = Path(request.config.getoption("--stack")).resolve()
    release = Release(os.environ.get("RELEASE", Release.NEWEST.value))
    with stack_of(Plan(folder=folder, release=release)) as running:
        assert running.plan.release is release, f"the stack in {folder} has another release"
        yield running
