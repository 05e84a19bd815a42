"""Words, columns and colours: pure functions from values to lines of text."""

from collections.abc import Iterable, Sequence
from datetime import datetime

NAMES_SHOWN = 10
SHORT_ID = 8
MINUTE_S = 60
HOUR_S = 3600

STYLES = {"red": "31", "yellow": "33", "green": "32", "dim": "2", "bold": "1"}


def styled(text: str, style: str | None, *, color: bool) -> str:
    """The text in a colour, where colours may be written."""
    if not color or not style:
        return text
    return f"\033[{STYLES[style]}m{text}\033[0m"


def clock_time(moment: datetime) -> str:
    """``03:08:02``."""
    return moment.strftime("%H:%M:%S")


def stamp(moment: datetime) -> str:
    """``2026-11-22T03:08:02Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """``0.2s``, ``34.2s``, ``4m22s``, ``2h05m``."""
    if seconds < MINUTE_S:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S}m{whole % MINUTE_S:02d}s"
    return f"{whole // HOUR_S}h{whole % HOUR_S // MINUTE_S:02d}m"


def names(of: Sequence[str], *, most: int = NAMES_SHOWN) -> str:
    """At most ten names, then how many more there are."""
    shown = ", ".join(of[:most])
    return f"{shown} and {len(of) - most} more (-v)" if len(of) > most else shown


def columns(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Rows as left-aligned columns, two blanks apart; the last column is not padded."""
    table = [tuple(row) for row in rows]
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        (indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))).rstrip()
        for row in table
    ]


def wrapped(label: str, text: str, *, width: int = 80, indent: int = 7) -> list[str]:
    """A label, then the text in lines that fit; blanks inside a line are kept."""
    lines: list[str] = []
    line = label.ljust(indent)
    room = width - 1
    for word in text.split(" "):
        if len(line) + len(word) + 1 > room and line.strip() and len(line) > indent:
            lines.append(line.rstrip())
            line = " " * indent
        line += word + " "
    lines.append(line.rstrip())
    return lines
