"""hacli in a real shell's hands: signals, pipes, full disks, closed streams."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.children import HACLI, child, environment
from tests.cli.schemas import complaints

PROMPT_S = 1.0
"""Ctrl-C to prompt (``ux.md`` 7.4)."""
SHELL = f"{HACLI[0]} -m hacli"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A cluster that never answers."""
    return environment(tmp_path)


def _shell(line: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def _wait_for_the_silent_tool(folder: Path) -> None:
    """The child has begun to wait once its cluster's tools run."""
    for _ in range(200):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(folder / "silent.py").encode() in entry.read_bytes():
                    return
            except OSError:
                continue
        signal.sigtimedwait([], 0.05)
    raise AssertionError("the tools of the cluster were never started")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_gives_the_prompt_back_at_once(
    env: dict[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Whatever it waits for; with State, and nothing that a library has to say."""
    with child("status", env=env) as process:
        _wait_for_the_silent_tool(tmp_path)
        began = time.monotonic()
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
        took = time.monotonic() - began

    assert process.returncode == code
    assert took < PROMPT_S
    assert told.startswith("STOPPED")
    assert "State  Nothing was changed." in told


def test_a_signal_leaves_valid_json(env: dict[str, str], tmp_path: Path) -> None:
    """A script that was stopped still reads one document."""
    with child("status", "-o", "json", env=env) as process:
        _wait_for_the_silent_tool(tmp_path)
        process.send_signal(signal.SIGINT)
        written, _ = process.communicate(timeout=20)

    document = json.loads(written)
    assert complaints("status", document) == []
    assert (document["exit_code"], document["error"]["code"]) == (130, "INTERRUPTED")


def test_the_limit_of_the_command_holds_wherever_it_waits(env: dict[str, str]) -> None:
    """``--timeout``: 124, and the words say which limit it was."""
    began = time.monotonic()
    with child("status", "--timeout", "1", env=env) as process:
        _, told = process.communicate(timeout=20)

    assert process.returncode == 124
    assert time.monotonic() - began < 1 + PROMPT_S + 1  # the interpreter's start
    assert "The limit of 1 s has passed." in told
    assert "[TIMEOUT]" in told


def test_a_configuration_that_is_not_there_is_7(env: dict[str, str]) -> None:
    """The file that was named must be there; what is wrong in one is named with file and key."""
    missing = _shell(f"{SHELL} -C /nonexistent/hacli.toml status", env)
    wrong_file = Path(env["HOME"]) / "wrong.toml"
    wrong_file.write_text("[cluster]\ncommand_timout = 3\n", encoding="utf-8")
    wrong = _shell(f"{SHELL} status -C {wrong_file}", env)

    assert (missing.returncode, "/nonexistent/hacli.toml" in missing.stderr) == (7, True)
    assert (wrong.returncode, "command_timout" in wrong.stderr) == (7, True)


def test_a_question_without_a_terminal_ends_at_once(env: dict[str, str]) -> None:
    """``</dev/null``, and a stdin that is closed: 2, before anything is asked of anybody."""
    for stdin in ("</dev/null", "<&-"):
        ended = _shell(f"{SHELL} recover compute-3 {stdin}", env)
        assert ended.returncode == 2, ended.stderr
        assert "there is no terminal to ask on" in ended.stderr


def test_a_reader_that_has_seen_enough_is_fine(env: dict[str, str]) -> None:
    """``| head -1``: no traceback, no word."""
    ended = _shell(f"{SHELL} explain | head -1; {SHELL} explain | true", env)

    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1


@pytest.mark.parametrize("words", ["explain", "--help", "--version", "version -o json"])
def test_a_full_disk_is_said_in_one_line(env: dict[str, str], words: str) -> None:
    """``> /dev/full``: 1 and a clear message, no traceback."""
    ended = _shell(f"{SHELL} {words} > /dev/full", env)

    assert ended.returncode == 1
    assert ended.stderr == "hacli: the output could not be written: No space left on device.\n"


def test_a_closed_stdout_is_no_traceback(env: dict[str, str]) -> None:
    """``>&-``, as some init scripts do."""
    ended = _shell(f"{SHELL} explain >&- && {SHELL} explain >&- 2>&-", env)

    assert (ended.returncode, ended.stderr) == (0, "")
