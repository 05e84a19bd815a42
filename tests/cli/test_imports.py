"""What may be loaded before hacli knows what to do: click and its own metadata."""

import subprocess
import sys

import pytest

CHILD = """
import sys
from hacli.cli.main import main
sys.argv[0] = "hacli"
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""
HEAVY = frozenset(
    {
        "asyncio",
        "hacli.adapters",
        "hacli.lab",
        "keystoneauth1",
        "novaclient",
        "openstack",
        "pyghmi",
        "requests",
        "rich",
        "sqlite3",
        "ssl",
        "yaml",
    }
)


@pytest.mark.parametrize("words", [("--help",), ("--version",)], ids=" ".join)
def test_a_quick_answer_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    """Each of these libraries alone costs more than the whole answer may take."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=False
    )

    loaded = set(ended.stderr.splitlines())
    assert ended.returncode == 0, ended.stderr
    assert "hacli" in ended.stdout
    assert "click" in loaded
    assert loaded & HEAVY == set()
