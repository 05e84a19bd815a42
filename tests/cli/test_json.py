"""Scripts are users: one valid document or one whole stream, whatever becomes of the command."""

from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator

from hacli.config import Settings
from hacli.domain.policy import Policy, Storage
from hacli.lab.commands import PowerOn, ShareStorage
from tests.cli.conftest import NewConsole
from tests.cli.console import Console
from tests.cli.schemas import SCHEMAS, complaints, valid_document, valid_stream
from tests.fakes.world import Operator

Prepare = Callable[[Console], None]


def _healthy(_console: Console) -> None:
    """As it was made."""


def _lost(console: Console) -> None:
    console.site.lose("compute-1")


def _recovered(console: Console) -> None:
    console.site.lose("compute-1")
    assert console.run("recover", "compute-1", "--yes").code == 0


def _returned(console: Console) -> None:
    _recovered(console)
    console.site.region.apply(PowerOn(host="compute-1"))


def _with_local_disk(console: Console) -> None:
    console.site.seed("compute-1", 1, local=1, prefix="local")
    console.site.lose("compute-1")


def _shared(console: Console) -> None:
    for host in console.site.region.names:
        console.site.region.apply(ShareStorage(host=host, shared=True))
    console.settings = Settings(policy=Policy(ephemeral=Storage.SHARED))


def _local(console: Console) -> None:
    first, second = console.site.seed("compute-1", 2, local=2, prefix="local")
    tables = console.site.region.cloud.tables
    console.site.region.cloud.add_snapshot(tables.servers[first], age_s=7200)
    tables.images[tables.servers[second].image or ""].status = "deleted"


def _busy(console: Console) -> None:
    _lost(console)
    console.site.locks.holders["compute-1"] = "r-0ther0"


CASES: tuple[tuple[Prepare, str, int], ...] = (
    (_healthy, "status", 0),
    (_lost, "status", 0),
    (_lost, "status --exit-code", 1),
    (_lost, "status compute-1", 0),
    (_lost, "status --no-power", 0),
    (_recovered, "status", 0),
    (_returned, "status", 0),
    (_healthy, "status compute-9", 2),
    (_healthy, "recover compute-1", 2),
    (_healthy, "recover compute-9 --yes", 2),
    (_healthy, "recover compute-1 --yes", 4),
    (_healthy, "recover compute-1 --dry-run", 4),
    (_lost, "recover compute-1 --dry-run", 0),
    (_lost, "recover compute-1 --yes", 0),
    (_recovered, "recover compute-1 --yes", 0),
    (_recovered, "recover compute-1 --dry-run", 0),
    (_with_local_disk, "recover compute-1 --dry-run", 0),
    (_with_local_disk, "recover compute-1 --yes", 3),
    (_busy, "recover compute-1 --yes", 9),
    (_lost, "evacuate compute-1 --dry-run", 0),
    (_lost, "evacuate compute-1 --yes", 0),
    (_lost, "evacuate compute-1", 2),
    (_lost, "fence compute-1 --dry-run", 0),
    (_lost, "fence compute-1 --yes", 0),
    (_healthy, "fence compute-1 --yes", 4),
    (_recovered, "fence compute-1 --power-on --dry-run", 0),
    (_recovered, "fence compute-1 --power-on", 0),
    (_healthy, "disable compute-1 --dry-run", 0),
    (_healthy, "disable compute-1", 0),
    (_recovered, "disable compute-1", 0),
    (_returned, "enable compute-1 --dry-run", 0),
    (_returned, "enable compute-1", 0),
    (_healthy, "enable compute-1", 0),
    (_recovered, "enable compute-1 --timeout 10s", 124),
    (_shared, "verify-storage", 0),
    (_healthy, "verify-storage", 0),
    (_shared, "verify-storage compute-1", 0),
    (_local, "verify-storage", 1),
    (_local, "verify-storage --snapshot-age 1h", 1),
    (_healthy, "verify-storage compute-9", 2),
    (_healthy, "verify-storage --snapshot-age soon", 2),
    (_recovered, "history", 0),
    (_healthy, "history", 0),
    (_recovered, "history show r-000001", 0),
    (_healthy, "history show r-ffffff", 2),
    (_healthy, "history show", 2),
    (_healthy, "explain", 0),
    (_healthy, "explain NO_ROOM", 0),
    (_healthy, "explain NO_RUM", 2),
    (_healthy, "version", 0),
    (_healthy, "recover", 2),
    (_healthy, "recover compute-1 --sudo", 2),
    (_healthy, "status --timeout soon", 2),
    (_healthy, "statsu", 2),
)
each_case = pytest.mark.parametrize(
    ("prepare", "words", "code"),
    CASES,
    ids=[f"{words} ({prepare.__name__.strip('_')})" for prepare, words, _ in CASES],
)


@each_case
def test_stdout_is_one_valid_document(
    console: Console, prepare: Prepare, words: str, code: int
) -> None:
    """``-o json``, also on failure: it says ``ok``, the exit code, and why."""
    prepare(console)

    ended = console.run(*words.split(), "-o", "json")

    assert ended.code == code, ended.err
    document = valid_document(ended)
    looked = words.startswith(("status --exit-code", "verify-storage"))
    assert document["ok"] is (code == 0 or (code == 1 and looked))


@each_case
def test_stdout_is_one_whole_stream(
    console: Console, prepare: Prepare, words: str, code: int
) -> None:
    """``-o jsonl``, also on failure: no number is missing, and the last event is the result."""
    prepare(console)

    ended = console.run(*words.split(), "-o", "jsonl")

    assert ended.code == code, ended.err
    failed = [event["code"] for event in valid_stream(ended) if event["event"] == "error"]
    assert bool(failed) == (code not in (0, 1, 3) and "--dry-run" not in words)


def _interrupted(operator: Operator) -> None:
    operator.clock.interrupt_at = operator.clock.monotonic() + 8.0


def test_a_run_that_is_stopped_ends_its_stream(console: Console) -> None:
    """Ctrl-C is an end like any other."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes", "-o", "jsonl", spoil=_interrupted)

    assert ended.code == 130
    assert valid_stream(ended)[-2]["code"] == "INTERRUPTED"


def test_the_stream_is_what_the_history_has(console: Console) -> None:
    """What was printed while it ran can be had again, line by line."""
    console.site.lose("compute-1")

    live = console.run("recover", "compute-1", "--yes", "-o", "jsonl")
    run = live.events[0]["run"]
    again = console.run("history", "show", run, "-o", "jsonl")

    assert live.out == again.out


def test_the_result_counts_the_vms(console: Console) -> None:
    """The last line alone tells a script how it went."""
    console.site.seed("compute-1", 1, local=1, prefix="local")
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes", "-o", "jsonl")

    last = valid_stream(ended)[-1]
    assert last["data"] == {"recovered": 3, "failed": 0, "skipped": 1, "servers": 4}
    assert (last["status"], last["exit_code"]) == ("partial", 3)


def test_stderr_is_for_people_and_stdout_for_data(console: Console) -> None:
    """The result goes to one, questions, progress and errors to the other."""
    console.site.lose("compute-1")

    recovered = console.run("recover", "compute-1", typed="compute-1\n")
    refused = console.run("recover", "compute-2", "--yes")

    assert recovered.out.startswith("RECOVERED compute-1: 3 of 3 VMs")
    assert "fence ok" in recovered.err
    assert "RECOVERED" not in recovered.err
    assert (refused.out, "REFUSED compute-2" in refused.err) == ("", True)


def test_quiet_leaves_the_result_alone(console: Console) -> None:
    """``-q``: nothing on stderr when all goes well."""
    console.site.lose("compute-1")

    ended = console.run("recover", "compute-1", "--yes", "-q")

    assert ended.err == ""
    assert ended.out.startswith("RECOVERED compute-1")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_a_schema(name: str) -> None:
    """A schema that is wrong itself would accept anything."""
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_a_schema_refuses_what_is_missing_or_mistyped(consoles: NewConsole) -> None:
    """Any key left out of a real document is noticed."""
    document = consoles().run("status", "-o", "json").document

    for key in document:
        without = {name: value for name, value in document.items() if name != key}
        assert complaints("status", without) != [], key
    assert complaints("status", document | {"hosts": [{}]}) != []


def test_every_schema_but_the_parts_is_named_by_a_document() -> None:
    """The cases above reach each of them."""
    named = {"event", "common", "error"}
    named |= {words.split()[0] for _, words, _ in CASES if words.split()[0] in SCHEMAS}
    named |= {f"{words.split()[0]}-plan" for _, words, _ in CASES if "--dry-run" in words}
    named |= {"fence-power-on", "history-run", "explain-list"}

    assert named == set(SCHEMAS)
