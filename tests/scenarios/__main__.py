"""Tell stories, and write their endings: ``python -m tests.scenarios [--write] [FILE…]``.

Without ``--write`` it shows what differs. What it writes is read by eye before it is committed:
an ending is right because hacli ought to do this, not because it did.
"""

import difflib
import sys
import tempfile
from pathlib import Path

from tests.scenarios.index import README, readme
from tests.scenarios.playing import NotAsTold, play
from tests.scenarios.story import Story, all_stories, read_story, with_ending


def main(arguments: list[str]) -> int:
    """Play the stories named, or all; 1 when any ended otherwise than it says."""
    write = "--write" in arguments
    files = [Path(word) for word in arguments if not word.startswith("--")]
    stories = [read_story(file.resolve()) for file in files] or all_stories()
    differing = sum(_tell(story, write=write) for story in stories)
    if write:
        README.write_text(readme(all_stories()), encoding="utf-8")
    sys.stdout.write(f"{len(stories)} stories, {differing} with another ending\n")
    return 1 if differing else 0


def _tell(story: Story, *, write: bool) -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = play(story, Path(folder))
    except (NotAsTold, AssertionError) as error:
        sys.stdout.write(f"{story.name}: {error}\n")
        return True
    if found == story.then:
        return False
    before, after = story.then.splitlines(), found.splitlines()
    lines = difflib.unified_diff(before, after, story.name, story.name, lineterm="", n=100)
    sys.stdout.write("\n".join(lines) + "\n")
    if write:
        story.path.write_text(with_ending(story, found), encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
