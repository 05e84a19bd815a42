"""`recover` as an operator has it: on a terminal, against the lab's real protocols."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.children import HACLI, child
from tests.cli.terminal import COLUMNS, Terminal, terminal

SPEED = "10"
CURSOR_OFF, CURSOR_ON = "\x1b[?25l", "\x1b[?25h"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Lab:
    """A simulated region in the background, and the words with which hacli finds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._order("start", "--hosts", "12", "--servers", "48", "--speed", SPEED)
        words = re.findall(r"^export (\w+)=(.*)$", self._order("env"), flags=re.MULTILINE)
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.env = kept | {"HOME": str(folder), "TERM": "xterm"} | dict(words)

    def crash(self, *hosts: str) -> None:
        """The hosts die, and the cluster finds out."""
        for host in hosts:
            self._order("crash", host)
        until = time.monotonic() + 30
        while not self._verdicts(*hosts) <= {"failed", "fenced"}:
            assert time.monotonic() < until, "the cluster did not notice"

    def _verdicts(self, *hosts: str) -> set[str]:
        with child("status", *hosts, "--no-power", "-o", "json", env=self.env) as process:
            written, told = process.communicate(timeout=30)
        assert written, told
        return {str(host["verdict"]) for host in json.loads(written)["hosts"]}

    def check(self) -> None:
        """No law was broken by anything that happened in it."""
        self._order("check")

    def stop(self) -> None:
        """Nothing of it stays."""
        self._order("stop")

    def _order(self, *words: str) -> str:
        ended = subprocess.run(
            [*HACLI, "lab", *words, "--state", str(self._folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Twelve hosts with four VMs each; four have died, one for each test."""
    made = Lab(tmp_path_factory.mktemp("lab"))
    try:
        made.crash("compute-1", "compute-2", "compute-3", "compute-4")
        yield made
        made.check()
    finally:
        made.stop()


def _lines(screen: Terminal) -> list[str]:
    return [line.rstrip() for line in ESCAPE.sub("", screen.seen).replace("\r", "\n").split("\n")]


def test_a_recovery_is_followed_on_the_terminal(lab: Lab) -> None:
    """Question, steps, a live region, the end; and the cursor is there again."""
    with terminal("recover", "compute-1", env=lab.env) as screen:
        screen.wait_for("Type the host name to go on: ")
        screen.type("compute-1\n")
        code = screen.wait()

    lines = _lines(screen)
    assert code == 0, screen.seen
    assert [line for line in lines if line.startswith("RECOVERED compute-1: 4 of 4 VMs")]
    assert [line for line in lines if "Ctrl-C leaves, the rebuilds go on" in line]
    assert max(map(len, lines)) <= COLUMNS
    assert screen.seen.count(CURSOR_OFF) == screen.seen.count(CURSOR_ON) == 1


def test_ctrl_c_at_the_question_leaves_at_once(lab: Lab) -> None:
    """130, and nothing was changed."""
    with terminal("recover", "compute-2", env=lab.env) as screen:
        screen.wait_for("Type the host name to go on: ")
        began = time.monotonic()
        screen.type("\x03")
        code = screen.wait()

    assert code == 130
    assert time.monotonic() - began < 1
    assert "State  Nothing was changed." in _lines(screen), screen.seen
    assert "Traceback" not in screen.seen


def test_ctrl_c_while_vms_are_rebuilt_can_be_resumed(lab: Lab) -> None:
    """Prompt back within 1 s, the cursor too; the same command reaches the same end."""
    with terminal("recover", "compute-3", "--yes", env=lab.env) as screen:
        screen.wait_for("rebuilding")
        began = time.monotonic()
        screen.type("\x03")
        code = screen.wait()
        took = time.monotonic() - began
    with child("recover", "compute-3", "--yes", env=lab.env) as process:
        _, told = process.communicate(timeout=50)

    assert (code, took < 1) == (130, True)
    assert "hacli recover compute-3 --yes  goes on from here" in " ".join(_lines(screen))
    assert screen.seen.count(CURSOR_OFF) == screen.seen.count(CURSOR_ON)
    assert process.returncode == 0, told


def test_sigterm_while_it_fences_gives_the_prompt_back(lab: Lab) -> None:
    """143 within 1 s: also when an order is under way."""
    with child("recover", "compute-4", "--yes", env=lab.env) as process:
        assert process.stderr is not None
        process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=20)
        took = time.monotonic() - began

    assert (process.returncode, took < 1) == (143, True)
    assert "hacli recover compute-4 --yes  goes on from here" in told
