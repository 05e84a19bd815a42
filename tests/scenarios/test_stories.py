"""Every story ends as its file says, and the file says all of it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.index import README, readme
from tests.scenarios.playing import NotAsTold, play
from tests.scenarios.story import FOLDER, Step, Story, all_stories, read_story, with_ending

STORIES = all_stories()
BROKEN = "LAW BROKEN"


@pytest.mark.parametrize("story", [pytest.param(story, id=story.name) for story in STORIES])
def test_the_outage_ends_as_it_is_told(story: Story, tmp_path: Path) -> None:
    """Every event of every run, each last screen, and where each server was in the end."""
    found = play(story, tmp_path)

    assert BROKEN not in found
    assert found.splitlines() == story.then.splitlines()


def test_the_collection_is_as_large_as_it_was_to_be() -> None:
    """At least sixty outages."""
    assert len(STORIES) >= 60


def test_the_index_lists_every_story_and_every_word() -> None:
    """``python -m tests.scenarios --write`` has been run."""
    assert README.read_text(encoding="utf-8") == readme(STORIES)


def test_no_two_stories_have_the_same_title() -> None:
    """A sentence that fits two outages tells neither."""
    assert len({story.title for story in STORIES}) == len(STORIES)


PLAIN = read_story(FOLDER / "dead-host" / "kernel-panic.md")


def test_a_line_that_nobody_understands_fails(tmp_path: Path) -> None:
    """A misspelt fault must not be a fault that never came."""
    wrong = replace(PLAIN, when=(Step(moment=None, deed="compute-1 panicks"), *PLAIN.when))

    with pytest.raises(NotAsTold, match="panicks"):
        play(wrong, tmp_path)


def test_a_moment_that_never_comes_fails(tmp_path: Path) -> None:
    """A second fault that was never reached has tested nothing."""
    panic, recover = PLAIN.when
    late = Step(moment="900 servers are asked for", deed="quorum is lost")
    wrong = replace(PLAIN, when=(panic, replace(recover, during=(late,))))

    with pytest.raises(NotAsTold, match="900 servers"):
        play(wrong, tmp_path)


def test_a_breach_that_is_accepted_and_not_shown_fails(tmp_path: Path) -> None:
    """An exception that nobody needs is no exception."""
    story = read_story(FOLDER / "bmc" / "liar-dead.md")
    honest = replace(story, when=story.when[1:])

    with pytest.raises(NotAsTold, match="no breach"):
        play(honest, tmp_path)


def test_a_breach_that_nobody_accepted_is_told(tmp_path: Path) -> None:
    """The law checker looks at every story, whatever it is about."""
    story = read_story(FOLDER / "bmc" / "liar-dead.md")
    silent = replace(story, given=tuple(fact for fact in story.given if "breach" not in fact.text))

    assert BROKEN in play(silent, tmp_path)


def test_each_second_fault_makes_a_difference_to_what_is_told(tmp_path: Path) -> None:
    """What happens in the middle of a run is in its chronicle, at its place."""
    story = read_story(FOLDER / "cluster" / "quorum-lost-in-the-middle.md")
    without = replace(story, when=tuple(replace(step, during=()) for step in story.when))

    found = play(without, tmp_path).splitlines()

    assert "* quorum is lost" not in found
    assert [line for line in found if not line.startswith("*")] != [
        line for line in story.then.splitlines() if not line.startswith("*")
    ]


def test_an_ending_is_written_without_a_change_of_the_rest() -> None:
    """The author's own words are the author's."""
    written = with_ending(PLAIN, "nothing")

    head = re.split(r"^## Then$", PLAIN.path.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    assert written == f"{head}## Then\n\n```text\nnothing\n```\n"
