"""Every problem that hacli can name, it can explain, with a cure."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import hacli
from hacli.cli.problems import PROBLEMS
from tests.cli.console import Console

SOURCE = Path(hacli.__file__).parent
SPEAKING = ("errors.py", "domain", "service", "adapters", "config", "cli", "wiring.py")
"""Where problems are named; the lab has the outside systems' own words."""
COMPOUND = re.compile(r"[A-Z]+(_[A-Z]+)+")
OTHER_WORDS = re.compile(
    r"(CLICOLOR|FORCE|HACLI|LC|NO|OS|SSH|SUDO|XDG|HARD|SHELVED|SOFT|VERIFY)_[A-Z_]*"
)
"""Environment variables and Nova's states look like codes."""


def _trees() -> Iterator[ast.AST]:
    for name in SPEAKING:
        path = SOURCE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.name != "problems.py":
                yield ast.parse(file.read_text(encoding="utf-8"))


def _codes() -> Iterator[str]:
    """Constants after ``code=`` and in ``warn``, and compound words in capitals but for others'."""
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "code":
                yield from _texts(node.value)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "warn":
                yield from _texts(node)
            elif isinstance(node, ast.Assign) and "code" in map(_name, node.targets):
                yield from _texts(node.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value.strip("[]")
                known = word in PROBLEMS or not OTHER_WORDS.fullmatch(word)
                if COMPOUND.fullmatch(word) and known:
                    yield word


def _texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        text = inner.value if isinstance(inner, ast.Constant) else None
        if isinstance(text, str) and text.isupper():
            yield text


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


CODES = sorted(set(_codes()))


def test_the_search_finds_codes_of_every_kind() -> None:
    """An error's own code, one given to an error, a gate's, a warning's, a server's end."""
    of_each_kind = {"USAGE", "OPEN_EVACUATIONS", "TOO_MANY_DOWN", "NOT_OURS", "VM_STUCK"}

    assert of_each_kind <= set(CODES)
    assert len(CODES) >= 45


@pytest.mark.parametrize("code", CODES)
def test_each_code_that_hacli_names_is_explained(console: Console, code: str) -> None:
    """Meaning first, then at least one cure; no line is wider than a terminal."""
    ended = console.run("explain", code)

    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == code
    assert any(line.startswith("Cure") for line in lines)
    assert max(map(len, lines)) <= 80


def test_no_explanation_is_left_over() -> None:
    """A code that nothing names any more would mislead who searches for it."""
    assert set(PROBLEMS) - set(CODES) == set()


def test_an_unknown_code_is_answered_with_similar_ones(console: Console) -> None:
    """``hacli explain FENCE_UNREACHBLE``."""
    ended = console.run("explain", "FENCE_UNREACHBLE")

    assert ended.code == 2
    assert "Similar: FENCE_UNREACHABLE" in ended.err


def test_case_does_not_matter_to_explain(console: Console) -> None:
    """Codes are typed from paper."""
    assert console.run("explain", "no_room").out == console.run("explain", "NO_ROOM").out


def test_the_list_names_every_code(console: Console) -> None:
    """One line or two for each, within the width of a terminal."""
    lines = console.run("explain").out.splitlines()

    assert [line.split()[0] for line in lines if not line.startswith(" ")] == sorted(PROBLEMS)
    assert max(map(len, lines)) <= 80
