"""TOML files as tables: who says what, and a complaint that names file, table and key.

Nothing here knows what hacli is configured for; ``settings`` does.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from hacli.config import values
from hacli.errors import Misconfigured, NotPermitted

D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A value and the file that says it."""

    value: object
    file: Path


@dataclass
class Complaints:
    """Every mistake of the configuration, so that the operator can mend them all at once."""

    lines: list[str] = field(default_factory=list)

    def add(self, file: Path, place: str, text: str) -> None:
        """Remember one mistake; ``place`` is "[table] key"."""
        self.lines.append(f"{file}: {place}: {text}")

    def raise_if_any(self) -> None:
        """End the reading when something was wrong.

        Raises:
            Misconfigured: ``why`` has one line for each mistake.
        """
        if not self.lines:
            return
        mistakes = "one mistake" if len(self.lines) == 1 else f"{len(self.lines)} mistakes"
        raise Misconfigured(f"The configuration has {mistakes}.", why="\n".join(self.lines))


class Table:
    """One table of the configuration. A key that nobody has asked for is an unknown key."""

    def __init__(
        self, name: str, entries: Mapping[str, Entry], *, file: Path, complaints: Complaints
    ) -> None:
        self._name = name
        self._entries = entries
        self._file = file
        self._complaints = complaints
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def read(self, key: str, default: D, read: Callable[[object], T]) -> T | D:
        """What the key says, read by a function of ``values``.

        The default when the key is missing, and also when its value is wrong: the complaint is
        remembered, and ends the whole reading later.
        """
        self._asked.add(key)
        if key not in self._entries:
            return default
        try:
            return read(self._entries[key].value)
        except ValueError as error:
            self.complain(key, str(error))
            return default

    def path(self, key: str) -> Path | None:
        """A path; a relative one starts at the file that says it."""
        text = self.read(key, None, values.text)
        return None if text is None else self._entries[key].file.parent / text

    def tables(self, key: str) -> "tuple[Table, ...]":
        """The tables of an array: ``[[table.key]]``."""
        return tuple(
            Table(
                f"{self._name}.{key}",
                _entries(content, self._entries[key].file),
                file=self._entries[key].file,
                complaints=self._complaints,
            )
            for content in self.read(key, (), values.tables)
        )

    def complain(self, key: str, text: str) -> None:
        """Remember a mistake that this key makes, or that its absence makes."""
        file = self._entries[key].file if key in self._entries else self._file
        self._complaints.add(file, f"[{self._name}] {key}", text)

    def complain_of_unknown_keys(self) -> None:
        """Call when every known key has been asked for. Values are not shown: one may be secret."""
        for key in self._entries:
            if key not in self._asked:
                self.complain(key, "no such key" + suggest(key, self._asked))


@dataclass
class _Merged:
    """One table as all files together say it; ``file`` is the last that has it."""

    file: Path
    entries: dict[str, Entry] = field(default_factory=dict)


class Tables:
    """All tables of all files; what a later file says of a key counts."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.complaints = Complaints()
        self._tables: dict[str, _Merged] = {}
        self._hosts: dict[str, _Merged] = {}
        self._asked: set[str] = set()
        for file in files:
            self._add(file, read_toml(file))

    def table(self, name: str) -> Table:
        """The table of this name, empty when no file has it."""
        self._asked.add(name)
        return self._table(name, self._tables.get(name, _Merged(file=Path())))

    def hosts(self) -> tuple[tuple[str, Table], ...]:
        """Each host's own table, with the name it stands under: ``[host."compute-3"]``."""
        return tuple(
            (name, self._table(f'host."{name}"', merged)) for name, merged in self._hosts.items()
        )

    def complain_of_unknown_tables(self) -> None:
        """Call when every known table has been asked for."""
        for name, merged in self._tables.items():
            if name not in self._asked:
                text = "no such table" + suggest(name, {*self._asked, "host"})
                self.complaints.add(merged.file, f"[{name}]", text)

    def _table(self, name: str, merged: _Merged) -> Table:
        return Table(name, merged.entries, file=merged.file, complaints=self.complaints)

    def _add(self, file: Path, content: Mapping[str, object]) -> None:
        for name, value in content.items():
            if not isinstance(value, dict):
                self.complaints.add(file, name, "this key stands in no table")
            elif name == "host":
                self._add_hosts(file, value)
            else:
                _merge(self._tables, name, value, file)

    def _add_hosts(self, file: Path, content: Mapping[str, object]) -> None:
        for name, value in content.items():
            if isinstance(value, dict):
                _merge(self._hosts, name, value, file)
            else:
                self.complaints.add(file, f"[host] {name}", f'write a table: [host."{name}"]')


def read_toml(file: Path) -> Mapping[str, object]:
    """One TOML file.

    Raises:
        Misconfigured: It is missing, cannot be read or is not TOML.
        NotPermitted: This user may not read it.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(f"There is no configuration file {file}.") from None
    except PermissionError as error:
        raise NotPermitted(source=f"configuration {file}", why="permission denied") from error
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read.", why=str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} is not TOML.", why=str(error)) from error


def suggest(word: str, known: Iterable[str]) -> str:
    """How a complaint about an unknown word ends: the likeliest known one, or all of them."""
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(choices)}"


def _merge(
    tables: dict[str, _Merged], name: str, content: Mapping[str, object], file: Path
) -> None:
    merged = tables.setdefault(name, _Merged(file=file))
    merged.file = file
    merged.entries.update(_entries(content, file))


def _entries(content: Mapping[str, object], file: Path) -> dict[str, Entry]:
    return {key: Entry(value=value, file=file) for key, value in content.items()}
