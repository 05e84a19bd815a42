"""The plan of the stack that runs in a folder, for whoever comes later."""

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from tests.system.stack.files import write_whole
from tests.system.stack.plan import FenceAction, Plan, Release


class NoStack(Exception):
    """No stack runs in this folder."""


def write_plan(plan: Plan) -> None:
    """Keep it in ``plan.run``."""
    words = {name: _word(value) for name, value in asdict(plan).items()}
    write_whole(_file(plan.folder), json.dumps(words, indent=1))


def read_plan(folder: Path) -> Plan:
    """The plan of the stack that runs there.

    Raises:
        NoStack: There is none.
    """
    try:
        words = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        raise NoStack(f"no stack runs in {folder}") from None
    words["folder"] = folder
    words["release"] = Release(words["release"])
    words["fence"] = FenceAction(words["fence"])
    return Plan(**words)


def _file(folder: Path) -> Path:
    return Plan(folder=folder).run / "plan.json"


def _word(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value
