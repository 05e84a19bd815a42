"""Files that somebody may read at any moment."""

from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Replace what it says: a reader gets the old text or the new one, and never a part."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.rename(file)
