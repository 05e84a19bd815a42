"""`history`: what earlier runs did, from the journal of this machine."""

import pytest

from tests.cli.console import Console
from tests.cli.schemas import valid_document


@pytest.fixture
def past(console: Console) -> Console:
    """Three runs: one host disabled, an hour later another recovered, and not yet back."""
    console.run("disable", "compute-2", "-m", "replace DIMM")
    console.site.pass_time(3600.0)
    console.site.lose("compute-1")
    console.run("recover", "compute-1", "--yes", "-m", "INC-4711")
    console.run("enable", "compute-1", "--timeout", "10s")
    return console


def _runs(console: Console, *words: str) -> list[tuple[str, str, str | None, str | None]]:
    document = valid_document(console.run("history", *words, "-o", "json"))
    return [(run["op"], run["host"], run["status"], run["code"]) for run in document["runs"]]


DISABLED = ("disable", "compute-2", "ok", None)
RECOVERED = ("recover", "compute-1", "ok", None)
NOT_BACK = ("enable", "compute-1", "failed", "NOVA_CLEANUP")


def test_every_run_is_listed_with_its_end(past: Console) -> None:
    """Oldest first: what, where, how it ended."""
    assert _runs(past) == [DISABLED, RECOVERED, NOT_BACK]


def test_a_host_picks_its_runs(past: Console) -> None:
    """``hacli history compute-2``."""
    assert _runs(past, "compute-2") == [DISABLED]


def test_since_picks_the_newer_ones(past: Console) -> None:
    """``--since 30m``."""
    assert _runs(past, "--since", "30m") == [RECOVERED, NOT_BACK]
    assert _runs(past, "--since", "2h") == [DISABLED, RECOVERED, NOT_BACK]


def test_the_reason_is_kept(past: Console) -> None:
    """What ``-m`` said is there for the report."""
    runs = valid_document(past.run("history", "-o", "json"))["runs"]

    assert [run["message"] for run in runs] == ["replace DIMM", "INC-4711", None]


def test_the_table_has_a_line_for_each_run(past: Console) -> None:
    """With a code where it ended in an error."""
    lines = past.run("history").out.splitlines()

    assert lines[0].split() == ["STARTED", "RUN", "COMMAND", "HOST", "BY", "END", "TOOK"]
    assert lines[3].split()[1:6] == [
        "r-000003",
        "enable",
        "compute-1",
        lines[1].split()[4],
        "failed",
    ]
    assert "NOVA_CLEANUP" in lines[3]


def test_a_run_is_shown_event_by_event(past: Console) -> None:
    """Numbered, in words, from its beginning to its end."""
    lines = past.run("history", "show", "r-000002").out.splitlines()

    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == list(range(1, len(lines) + 1))
    assert "recover started by" in lines[0]
    assert "evidence of death (bmc)" in " ".join(lines)
    assert "recover ended: ok" in lines[-1]


def test_the_end_of_a_recovery_names_the_run_to_show(console: Console) -> None:
    """The command that it prints shows that run."""
    console.site.lose("compute-1")
    ended = console.run("recover", "compute-1", "--yes")
    command = next(line for line in ended.out.splitlines() if "history show" in line)

    shown = console.run(*command.split("hacli ")[1].split())

    assert "recover started by" in shown.out


def test_no_run_is_no_error(console: Console) -> None:
    """A machine on which nothing has been done yet."""
    ended = console.run("history")

    assert (ended.code, ended.out) == (0, "No run is recorded.\n")
