"""One TOML value to one typed value. What is wrong with it is the text of a ``ValueError``."""

import math
import re
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)
N = TypeVar("N", int, float)

SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|h)")
DURATION_EXAMPLES = '"20s", "10m", "2h", "500ms"'


def text(value: object) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("wants a text in quotes")
    return value


def count(least: int, most: int) -> Callable[[object], int]:
    """A whole number within these limits."""
    return lambda value: _between(_whole(value), least, most, "")


def duration(least: float, most: float) -> Callable[[object], float]:
    """Seconds within these limits, from "20s", "10m", "2h", "500ms" or a plain number."""
    return lambda value: _between(_seconds(value), least, most, " s")


def share(value: object) -> float:
    """A part of the whole: more than 0, at most 1."""
    part = _number(value)
    if not 0 < part <= 1:
        raise ValueError(f"{part:g} is not a share: more than 0, at most 1")
    return part


def choice(of: type[E]) -> Callable[[object], E]:
    """A member of an Enum, by its value."""

    def read(value: object) -> E:
        for member in of:
            if member.value == value:
                return member
        raise ValueError("wants one of: " + ", ".join(str(member.value) for member in of))

    return read


def order(of: tuple[str, ...]) -> Callable[[object], tuple[str, ...]]:
    """Some of these words, each at most once, in the operator's order."""

    def read(value: object) -> tuple[str, ...]:
        words = _texts(value)
        if not words or len(set(words)) != len(words) or not set(words) <= set(of):
            raise ValueError("wants a list of these words, each at most once: " + ", ".join(of))
        return words

    return read


def commands(value: object) -> tuple[tuple[str, ...], ...]:
    """A list of argument lists. An empty argument list means something too: no prefix."""
    if not isinstance(value, list) or not value:
        raise ValueError('wants a list of lists: [[], ["ssh", "controller-0"]]')
    return tuple(_texts(words) for words in value)


def command_for(placeholder: str) -> Callable[[object], tuple[str, ...]]:
    """The words of one command, one of which has the placeholder in it."""

    def read(value: object) -> tuple[str, ...]:
        words = _texts(value)
        if not any(placeholder in word for word in words):
            raise ValueError(f'wants words, one with {placeholder}: ["ssh", "{placeholder}"]')
        if placeholder in words[0]:
            raise ValueError(f"the first word is the program and cannot be {placeholder}")
        return words

    return read


def choices(of: type[E]) -> Callable[[object], dict[str, E]]:
    """Members of an Enum by names of the operator's."""
    one = choice(of)

    def read(value: object) -> dict[str, E]:
        if not isinstance(value, dict):
            raise ValueError('wants a table: {"a name" = "..."}')
        return {name: one(word) for name, word in value.items()}

    return read


def tables(value: object) -> tuple[dict[str, object], ...]:
    """An array of tables."""
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("wants tables in double brackets: [[...]]")
    return tuple(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("wants a number")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("wants a whole number")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        try:
            return _number(value)
        except ValueError:
            raise ValueError(f"wants a duration: {DURATION_EXAMPLES}") from None
    match = DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f'"{value}" is no duration: {DURATION_EXAMPLES}')
    return float(match[1]) * SECONDS_PER_UNIT[match[2]]


def _between(value: N, least: N, most: N, unit: str) -> N:
    if not least <= value <= most:
        raise ValueError(f"{value:g}{unit} is not between {least:g} and {most:g}{unit}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("wants a list of texts")
    return tuple(value)
