"""One cell of a table of rules: what is asked of a module, and what it must say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SAFETY, STORAGE = DOCS / "safety.md", DOCS / "storage.md"


@dataclass(frozen=True)
class Cell:
    """``id`` begins with a row of its page in docs; ``ask`` gets the module, real or mutated."""

    id: str
    ask: Callable[[ModuleType], object]
    says: object

    @property
    def row(self) -> str:
        """The row of its page that this is a case of."""
        return self.id.partition("-")[0]


def params(cells: Iterable[Cell]) -> list[object]:
    """The cells as pytest parameters, each under its own id."""
    return [pytest.param(cell, id=cell.id) for cell in cells]


def rows_in_docs(letters: str, *, page: Path = SAFETY) -> list[str]:
    """Ids of the table rows of a page that begin with one of these letters."""
    first_cells = (
        line.split("|")[1].strip()
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    )
    return [cell for cell in first_cells if cell[:1] in letters and cell[1:].isdigit()]
