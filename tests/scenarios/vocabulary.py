"""Phrases that stories are written in: each is a pattern, what it means, and what it does."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")

_PLACES = {
    "number": r"\d+",
    "time": r"[\d.]+ (?:s|min|h)",
    "text": r".+",
    "reason": r'"[^"]*"',
}
"""What stands in the place of a ``{word}`` of a phrase; any other word is a name."""
_NAME = r"[\w.-]+"
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True)
class Phrase(Generic[R]):
    """One phrase. ``meaning`` is the first line of what the README says of it."""

    text: str
    meaning: str
    pattern: re.Pattern[str]
    use: Callable[..., R]


class Vocabulary(Generic[R]):
    """All phrases of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.phrases: list[Phrase[R]] = []

    def __iter__(self) -> Iterator[Phrase[R]]:
        return iter(self.phrases)

    def __call__(self, text: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
        """Make a function the meaning of a phrase; its docstring explains it."""

        def learn(use: Callable[..., R]) -> Callable[..., R]:
            meaning = " ".join((use.__doc__ or "").split("\n\n")[0].split())
            pattern = re.compile(_pattern(text))
            self.phrases.append(Phrase(text=text, meaning=meaning, pattern=pattern, use=use))
            return use

        return learn

    def find(self, text: str) -> tuple[Callable[..., R], dict[str, str]] | None:
        """What the words mean, and what stands in the places of the phrase."""
        found = [
            (phrase.use, match.groupdict())
            for phrase in self.phrases
            if (match := phrase.pattern.fullmatch(text))
        ]
        assert len(found) < 2, f"{text!r} means two things"
        return found[0] if found else None


def seconds(text: str) -> float:
    """``40 s``, ``10 min``, ``2 h``."""
    number, unit = text.split()
    return float(number) * _UNITS[unit]


def _pattern(text: str) -> str:
    parts = re.split(r"\{(\w+)\}", text)
    return "".join(
        f"(?P<{part}>{_PLACES.get(part, _NAME)})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
