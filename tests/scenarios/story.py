"""A story file: Markdown that an operator reads, taken apart into lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SECTIONS = ("Given", "When", "Then")
_HEADING = re.compile(r"^## (\w+)\n", re.MULTILINE)
_ITEM = re.compile(r"(?P<indent> *)- (?P<text>.+)")
_FENCE = re.compile(r" *```\w*")
_STEP = re.compile(r"(?:(?:when|after) (?P<moment>[^:]+?))(?:: (?P<deed>.+))?")


class Unreadable(Exception):
    """The file is not a story; the text says where and why."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of *Given*, and the block of text that belongs to it."""

    text: str
    block: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of *When*: at this moment, this deed; ``during``: what happens while it lasts."""

    moment: str | None
    deed: str | None
    during: tuple["Step", ...] = ()


@dataclass(frozen=True, kw_only=True)
class Story:
    """One outage, from what was so to what is expected of hacli."""

    path: Path
    title: str
    why: str
    given: tuple[Fact, ...]
    when: tuple[Step, ...]
    then: str

    @property
    def name(self) -> str:
        """Chapter and file, as ``bmc/silent``."""
        return f"{self.path.parent.name}/{self.path.stem}"


def read_story(path: Path) -> Story:
    """The story in this file.

    Raises:
        Unreadable: A title, the reason, or a section is missing, or a line is no item of a list.
    """
    head, *rest = _HEADING.split(path.read_text(encoding="utf-8"))
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    title, _, why = head.partition("\n")
    if not title.startswith("# ") or not why.strip() or tuple(sections) != SECTIONS:
        raise Unreadable(f"{path}: a story has a title, a reason, and {', '.join(SECTIONS)}")
    return Story(
        path=path,
        title=title.removeprefix("# ").strip(),
        why=why.strip(),
        given=tuple(_facts(path, sections["Given"])),
        when=_steps(_items(path, sections["When"])),
        then=_block(sections["Then"]),
    )


def all_stories() -> tuple[Story, ...]:
    """The whole collection, by chapter and name."""
    return tuple(read_story(path) for path in sorted(FOLDER.glob("*/*.md")))


def with_ending(story: Story, then: str) -> str:
    """The text of the story's file with another *Then*."""
    text = story.path.read_text(encoding="utf-8")
    return text[: text.index("## Then\n")] + f"## Then\n\n```text\n{then}\n```\n"


def _block(text: str) -> str:
    lines = [line for line in text.strip("\n").splitlines() if not _FENCE.fullmatch(line)]
    return "\n".join(lines)


def _items(path: Path, text: str) -> list[tuple[int, str]]:
    """The items of a list with their depth; a line that is indented further goes on with one."""
    items: list[tuple[int, str]] = []
    for line in filter(str.strip, text.splitlines()):
        item = _ITEM.fullmatch(line)
        if item is not None:
            items.append((len(item["indent"]) // 2, item["text"].strip()))
        elif items and line.startswith(" "):
            items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
        else:
            raise Unreadable(f"{path}: {line!r} is no item of a list")
    return items


def _facts(path: Path, text: str) -> Iterator[Fact]:
    """Facts; a fenced block belongs to the one above it."""
    plain, *fenced = re.split(r"^ *```\w*\n", text, flags=re.MULTILINE)
    texts = [item for _, item in _items(path, plain)]
    for block, after in zip(fenced[::2], fenced[1::2], strict=True):
        yield from (Fact(text=item) for item in texts[:-1])
        yield Fact(text=texts[-1], block="\n".join(line[2:] for line in block.splitlines()))
        texts = [item for _, item in _items(path, after)]
    yield from (Fact(text=item) for item in texts)


def _steps(items: list[tuple[int, str]], depth: int = 0) -> tuple[Step, ...]:
    steps: list[Step] = []
    while items and items[0][0] >= depth:
        level, text = items.pop(0)
        assert level == depth, f"{text!r} is indented too far"
        during = _steps(items, depth + 1)
        found = _STEP.fullmatch(text)
        moment, deed = (found["moment"], found["deed"]) if found else (None, text)
        if found and text.startswith("after "):
            moment = f"after {moment}"
        steps.append(Step(moment=moment, deed=deed, during=during))
    return tuple(steps)
