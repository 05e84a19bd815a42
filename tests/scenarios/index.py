"""The collection's README: every story in one sentence, and the words that stories are made of."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from tests.scenarios.deeds import DEED
from tests.scenarios.givens import GIVEN, PLAN
from tests.scenarios.moments import MOMENT
from tests.scenarios.story import FOLDER, Story
from tests.scenarios.vocabulary import Vocabulary

README = FOLDER / "README.md"
MARK = "<!-- below: written by python -m tests.scenarios --write -->\n"


def readme(stories: Iterable[Story]) -> str:
    """The README with its written half as it is, and the other half made anew."""
    head, _, _ = README.read_text(encoding="utf-8").partition(MARK)
    return head + MARK + "\n".join(_index(tuple(stories))) + "\n"


def _index(stories: tuple[Story, ...]) -> Iterator[str]:
    yield f"\n## The stories ({len(stories)})"
    for chapter, members in groupby(stories, key=lambda story: story.path.parent.name):
        yield f"\n### {chapter}\n"
        for story in members:
            yield f"* [{story.path.stem}]({chapter}/{story.path.name}): {story.title}"
    yield "\n## The words"
    for vocabulary in (PLAN, GIVEN, MOMENT, DEED):
        yield from _words(vocabulary)  # type: ignore[arg-type]  # only read


def _words(vocabulary: Vocabulary[object]) -> Iterator[str]:
    yield f"\n### {vocabulary.kind}\n\n| words | meaning |\n|---|---|"
    for phrase in vocabulary:
        yield f"| {phrase.text} | {phrase.meaning} |"
