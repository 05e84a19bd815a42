"""What is written down is what is so: generated files in step, commands in prose that parse."""

import re
import shlex
from pathlib import Path

import click
import pytest

from hacli.cli.app import App
from hacli.cli.main import hacli
from hacli.cli.problems import PROBLEMS
from scripts.generate_docs import ROOT, pages

PAGES = pages()
PROSE = sorted((*ROOT.glob("docs/*.md"), ROOT / "README.md"))
COMMAND = re.compile(r"^ {4,}(?:\$ )?(hacli (?!COMMAND).*)$", flags=re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("path", PAGES)
def test_each_generated_file_is_current(path: str) -> None:
    """Change the command, then: python -m scripts.generate_docs."""
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path]


def test_no_generated_file_is_left_over() -> None:
    """A page of a command that is gone would be believed."""
    folders = (ROOT / "man", ROOT / "completions", ROOT / "docs/reference")
    found = {str(file.relative_to(ROOT)) for folder in folders for file in folder.iterdir()}

    assert found == set(PAGES)


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_each_command_in_prose_is_one(page: Path) -> None:
    """Command, options and values as they stand there; what they do is the business of others."""
    for match in COMMAND.finditer(page.read_text(encoding="utf-8")):
        words = shlex.split(re.split(r" {2,}| [|#>] ", match[1])[0])[1:]
        with click.Context(hacli, obj=App()) as root:
            name, command, rest = hacli.resolve_command(root, words)
            assert command is not None
            command.make_context(name, rest, parent=root)


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_each_link_in_prose_leads_somewhere(page: Path) -> None:
    """From where the page is."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_each_problem_code_in_prose_is_explained(page: Path) -> None:
    """In brackets, as on the screens."""
    codes = set(re.findall(r"\[([A-Z]+(?:_[A-Z]+)+)\]", page.read_text(encoding="utf-8")))

    assert codes <= set(PROBLEMS)
