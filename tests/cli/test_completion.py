"""Completion: command names at once, without loading what a command needs."""

import os
import subprocess
import sys

import pytest

from hacli.cli.main import COMMANDS
from tests.cli.test_imports import HEAVY

CHILD = """
import sys
from hacli.cli.main import main
sys.argv = ["hacli"]
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


def _complete(*words: str) -> subprocess.CompletedProcess[str]:
    asked = {
        "_HACLI_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("hacli", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return subprocess.run(
        [sys.executable, "-c", CHILD],
        env=dict(os.environ) | asked,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("begun", "found"), [("", tuple(COMMANDS)), ("re", ("recover",)), ("zz", ())]
)
def test_command_names_are_completed(begun: str, found: tuple[str, ...]) -> None:
    """All of them, or those that begin so; nothing heavy is loaded for it."""
    ended = _complete(begun)

    assert [line.split(",")[1] for line in ended.stdout.split()] == list(found)
    assert set(ended.stderr.splitlines()) & HEAVY == set()
    assert "hacli.cli.act" not in ended.stderr


def test_options_are_completed() -> None:
    """Those of the command and those of all."""
    offered = _complete("recover", "--").stdout

    assert "plain,--dry-run" in offered
    assert "plain,--color" in offered
