"""A node as ``ports.NodeProbe``: a small program, run there through the configured command.

What comes back is a stranger's word: bounded, parsed strictly, and never shown unless printable.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hacli.adapters.process import CommandRunner
from hacli.domain.host_storage import Autostart, Mount, NodeStorage
from hacli.errors import Unreachable, Unreadable

PROGRAM = Path(__file__).with_name("node_program.py")
PYTHON = ("python3", "-I", "-")
HOST = "{host}"
"""Stands for the host's name in Nova in the words of the configured command."""
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that no program takes for an option."""
MOST_BYTES = 4 * 1024 * 1024
LONGEST_TEXT = 1024
LONGEST_REASON = 200

Json = Mapping[str, object]


class ShapeError(ValueError):
    """The node's answer is not what the program prints."""


class CommandProbe:
    """Asks nodes through a command such as ``["ssh", "{host}"]``.

    Args:
        command: Its words; one of them has ``{host}`` in it.
        timeout_s: Longest wait for one node.
        now: The time, for the date of what is read.
        environment: As for ``CommandRunner``.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout_s: float,
        now: Callable[[], datetime],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._now = now
        self._environment = environment

    def read_node(self, host: str) -> NodeStorage:
        """What the node says of its storage.

        Raises:
            Unreachable: No answer within the limit, or the program could not be run there.
            Unreadable: The answer is not what the program prints, or the node cannot tell.
        """
        source = f"probe of {host}"
        if not SAFE_NAME.fullmatch(host):
            raise Unreadable(source="probe", why="a host's name is no name for a command")
        words = tuple(word.replace(HOST, host) for word in self._command)
        runner = CommandRunner((words,), environment=self._environment, most_bytes=MOST_BYTES)
        try:
            ended = runner.run(PYTHON, timeout_s=self._timeout_s, stdin=PROGRAM.read_bytes())
        except Unreachable as error:
            why = error.why.removeprefix(f"{' '.join(words)}: ")
            raise Unreachable(source=source, why=_printable(why)) from error
        except Unreadable as error:
            raise Unreadable(source=source, why=error.why) from error
        if ended.exit_code:
            last = (ended.stderr.strip().splitlines() or ["no word"])[-1]
            why = _printable(f"exit {ended.exit_code}, {last}")
            raise Unreachable(source=source, why=why)
        try:
            return parse_node(ended.stdout, read_at=self._now())
        except ShapeError as error:
            raise Unreadable(source=source, why=str(error)) from error


def parse_node(answer: str, *, read_at: datetime) -> NodeStorage:
    """What the program has printed.

    Raises:
        ShapeError: It is not that, or says why the node cannot tell.
    """
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        raise ShapeError("the answer is not JSON") from None
    if not isinstance(found, dict) or found.get("probe") != 1:
        raise ShapeError("the answer is not the program's")
    if "error" in found:
        raise ShapeError(_printable(str(found["error"])))
    writable = found.get("writable")
    return NodeStorage(
        images_type=_text(found, "images_type"),
        rbd_pool=_text(found, "rbd_pool"),
        instances_path=_text(found, "instances_path"),
        mount=_mount(found.get("mount")),
        writable=None if writable is None else _flag(found, "writable"),
        registered=_registered(found.get("registered")),
        directories=frozenset(_texts(found, "directories")),
        autostart=Autostart(
            units=_texts(found, "units"),
            domains=_count(found, "domains"),
            resume_guests=_flag(found, "resume_guests"),
        ),
        read_at=read_at,
    )


def _mount(found: object) -> Mount | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ShapeError("mount is not an object")
    point, fs_type = _text(found, "point"), _text(found, "type")
    return Mount(point=point, fs_type=fs_type, source=_text(found, "source"))


def _registered(found: object) -> Mapping[str, float]:
    if not isinstance(found, dict):
        raise ShapeError("registered is not an object")
    ages = {_checked(host, "registered"): age for host, age in found.items()}
    if any(isinstance(age, bool) or not isinstance(age, int | float) for age in ages.values()):
        raise ShapeError("registered has something that is no number")
    return ages


def _texts(found: Json, key: str) -> tuple[str, ...]:
    words = found.get(key)
    if not isinstance(words, list):
        raise ShapeError(f"{key} is not a list")
    return tuple(_checked(word, key) for word in words)


def _text(found: Json, key: str) -> str:
    return _checked(found.get(key), key)


def _checked(word: object, key: str) -> str:
    if not isinstance(word, str) or not word.isprintable() or not 0 < len(word) <= LONGEST_TEXT:
        raise ShapeError(f"{key} is missing, or no printable text")
    return word


def _count(found: Json, key: str) -> int:
    number = found.get(key)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ShapeError(f"{key} is not a count")
    return number


def _flag(found: Json, key: str) -> bool:
    value = found.get(key)
    if not isinstance(value, bool):
        raise ShapeError(f"{key} is neither true nor false")
    return value


def _printable(words: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in words)[:LONGEST_REASON]
