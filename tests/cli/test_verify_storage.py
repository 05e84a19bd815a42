"""verify-storage at a console: counts first, who is at risk by name, and an exit code for cron."""

import csv
from collections.abc import Callable

import pytest

from hacli.config import Settings
from hacli.domain.policy import Policy, Storage
from hacli.lab.commands import SetBackend, SetCell, ShareStorage
from tests.cli.conftest import NewConsole
from tests.cli.console import Console, Ended
from tests.cli.schemas import valid_document
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator

COLUMNS, ROWS = 80, 24
SHARED = Settings(policy=Policy(ephemeral=Storage.SHARED))


@pytest.fixture
def sharing(console: Console) -> Console:
    """Four hosts that share their instances directory, and are declared to; three VMs on two."""
    for host in console.site.region.names:
        console.site.region.apply(ShareStorage(host=host, shared=True))
    console.settings = SHARED
    return console


def _fits(ended: Ended) -> None:
    assert max(map(len, ended.out.splitlines())) < COLUMNS
    assert "\033" not in ended.out


def _silence(*names: str) -> Callable[[Operator], None]:
    def spoil(operator: Operator) -> None:
        operator.storage.silent |= set(names)

    return spoil


def test_a_region_that_is_safe_is_told_in_few_lines(sharing: Console) -> None:
    """How many, where disks are and how that is known, and one verdict."""
    ended = sharing.run("verify-storage")

    _fits(ended)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "Would every VM survive the loss of its host?                       05:46:38 UTC\n"
        "VMs 6: 6 survive\n"
        "\n"
        "  DISKS   OF       KNOWN BY  WHERE\n"
        "  shared  4 hosts  node      nfs4 lab-filer:/instances\n"
        "  volumes: 1 of 1 cinder-volumes up\n"
        "\n"
        "  HOST     VMS  SURVIVE  AT RISK  UNKNOWN  VERDICT\n"
        "  4 hosts    6        6        0        0  ok\n"
        "\n"
        "OK: all 6 VMs would survive the loss of their host.\n"
    )


def test_who_is_at_risk_is_named_with_reason_way_back_and_cure(sharing: Console) -> None:
    """One local host endangers what others could be given back on it."""
    site = sharing.site
    site.region.apply(ShareStorage(host="compute-3", shared=False))
    sharing.settings = Settings(
        policy=Policy(ephemeral=Storage.SHARED, host_storage={"compute-3": Storage.LOCAL})
    )
    first, _ = site.seed("compute-3", 2, local=2, prefix="build")
    cloud = site.region.cloud
    cloud.add_snapshot(cloud.tables.servers[first], age_s=7500)

    ended = sharing.run("verify-storage")

    _fits(ended)
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert len(lines) <= ROWS
    assert lines[1] == "VMs 8: 6 survive, 2 without root disk"
    assert "! compute-3    2        0        2        0  AT RISK" in lines
    assert "  3 hosts      6        6        0        0  ok" in lines
    at = lines.index("! compute-3  LOCAL_DISK  its root disk is local (ext4 /dev/vda1)")
    assert lines[at + 1].startswith("    build-0000 ")
    assert lines[at + 1].endswith("(snapshot 2h05m old)")
    assert "AT RISK: 2 of 8 VMs would lose data or stay down." in lines
    assert lines[-1] == "Next:   openstack server image create VM  gives it a way back"


@pytest.mark.parametrize(("age", "code"), [("3h", 0), ("1h", 1)])
def test_a_snapshot_that_is_young_enough_makes_up_for_a_root_disk(
    sharing: Console, age: str, code: int
) -> None:
    """Only when the operator says how young."""
    site = sharing.site
    for host in site.region.names:
        site.region.apply(ShareStorage(host=host, shared=False))
    sharing.settings = Settings()
    (only,) = site.seed("compute-3", 1, local=1, prefix="build")
    site.region.cloud.add_snapshot(site.region.cloud.tables.servers[only], age_s=7200)

    ended = sharing.run("verify-storage", "--snapshot-age", age)

    assert ended.code == code
    assert ("OK: 7 VMs would survive, 1 of them by a young enough snapshot." in ended.out) == (
        code == 0
    )


@pytest.mark.parametrize("silent", ["cinder", "glance", "compute-2"])
def test_a_silent_source_is_6_and_nobody_survives_by_it(sharing: Console, silent: str) -> None:
    """The source is named, and every VM that rests on it is unknown."""
    site = sharing.site
    site.seed("compute-1", 1, local=1, prefix="local")

    ended = sharing.run("verify-storage", spoil=_silence(silent))
    document = valid_document(sharing.run("verify-storage", "-o", "json", spoil=_silence(silent)))

    _fits(ended)
    assert ended.code == 6
    assert "Incomplete: " in ended.out
    assert "STORAGE_UNVERIFIED" in ended.out
    fates = {server["name"]: server["verdict"] for server in document["servers"]}
    volume_backed = {fate for name, fate in fates.items() if name != "local-0000"}
    assert (fates["local-0000"] == "unknown") == (silent != "cinder")
    assert volume_backed == ({"unknown"} if silent == "cinder" else {"survives"})
    assert (document["ok"], document["exit_code"]) == (False, 6)


def test_at_risk_and_unknown_at_once_is_1(sharing: Console) -> None:
    """The worse one decides; both are told."""
    sharing.site.seed("compute-1", 1, local=1, prefix="local")
    sharing.site.region.apply(ShareStorage(host="compute-3", shared=False))

    ended = sharing.run("verify-storage", spoil=_silence("cinder"))

    assert ended.code == 1
    assert "AT RISK: 1 of 7 VMs would lose data or stay down; 6 could not be judged." in (
        " ".join(ended.out.split())
    )


def test_a_host_whose_servers_cannot_be_listed_is_a_question_mark(sharing: Console) -> None:
    """Not an empty host."""
    sharing.site.region.apply(SetCell(host="compute-1", down=True))

    ended = sharing.run("verify-storage")
    rows = sharing.run("verify-storage", "-o", "csv")

    _fits(ended)
    assert (ended.code, rows.code) == (6, 6)
    assert "? compute-1    ?        0        0        ?  UNKNOWN" in ended.out
    assert "? compute-1  its Nova cell is down" in ended.out
    assert "compute-1,,,unknown,STORAGE_UNVERIFIED,no,its Nova cell is down" in rows.out


def test_a_dead_backend_is_told_with_the_command_that_shows_it(sharing: Console) -> None:
    """Its VMs would not come back."""
    sharing.site.region.apply(SetBackend(backend="lab@fake", up=False))

    ended = sharing.run("verify-storage")

    _fits(ended)
    assert ended.code == 1
    assert "  volumes: 0 of 1 cinder-volumes up; DOWN: lab@fake" in ended.out
    assert "Next:   openstack volume service list" in ended.out


def test_a_finding_alone_is_1(sharing: Console) -> None:
    """No VM is at risk by its disk, and after an evacuation one might run twice."""
    for host in sharing.site.region.names:
        sharing.site.region.machines[host].traps.units.append("libvirt-guests")

    ended = sharing.run("verify-storage")

    _fits(ended)
    assert ended.code == 1
    assert "! compute-1, compute-2, compute-3 and 1 more (-v)  AUTOSTART" in ended.out
    assert "TO MEND: no VM is at risk, but look at the findings above." in ended.out
    assert "Next:   hacli explain AUTOSTART" in ended.out


def test_a_large_region_stays_on_one_screen(consoles: NewConsole) -> None:
    """A hundred hosts with one reason are one reason; -v has every name."""
    console = consoles(*(f"compute-{number}" for number in range(1, 101)))
    for number in range(1, 101):
        console.site.seed(f"compute-{number}", 2, local=1, prefix=f"vm-{number}")

    ended = console.run("verify-storage")
    wordy = console.run("verify-storage", "-v")

    _fits(ended)
    assert len(ended.out.splitlines()) <= ROWS + 6
    assert "100 VMs" not in ended.out
    assert wordy.out.count("vm-") > ended.out.count("vm-")
    assert wordy.out.count("-0000 ") == 100


def test_csv_has_a_row_for_each_server(sharing: Console) -> None:
    """The head names the columns; nothing else is on stdout."""
    ended = sharing.run("verify-storage", "-o", "csv")

    head, *rows = csv.reader(ended.out.splitlines())
    assert (ended.code, ended.err) == (0, "")
    assert head[:6] == ["host", "server", "id", "verdict", "code", "at_risk"]
    assert len(rows) == 6
    assert {row[3] for row in rows} == {"survives"}


def test_a_failure_leaves_csv_empty(sharing: Console) -> None:
    """An error is no row."""
    ended = sharing.run("verify-storage", "compute-9", "-o", "csv")

    assert (ended.code, ended.out) == (2, "")
    assert "There is no host named compute-9." in ended.err


@pytest.mark.parametrize("words", ["status", "history", "recover compute-1", "version"])
def test_no_other_command_pretends_to_write_csv(console: Console, words: str) -> None:
    """Refused before anything is asked."""
    ended = console.run(*words.split(), "-o", "csv")

    assert (ended.code, ended.out, console.connections) == (2, "", 0)
    assert "does not write csv" in ended.err


def test_a_silent_nova_is_an_error_with_all_its_parts(sharing: Console) -> None:
    """Nothing can be judged without its hosts: 6, and why."""

    def spoil(operator: Operator) -> None:
        operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "os-services"))

    ended = sharing.run("verify-storage", spoil=spoil)

    assert (ended.code, ended.out) == (6, "")
    for part in ("What ", "State ", "Next ", "More "):
        assert f"\n{part}" in ended.err


def test_who_is_no_administrator_is_8(sharing: Console) -> None:
    """A member's list is shorter and says nothing of it."""

    def spoil(operator: Operator) -> None:
        operator.nova.line.token_roles = ("reader",)

    ended = sharing.run("verify-storage", spoil=spoil)

    assert (ended.code, "[NOT_PERMITTED]" in ended.err) == (8, True)


def test_it_changes_nothing(sharing: Console) -> None:
    """Not in Nova, not in the cluster, not in the journal."""
    sharing.run("verify-storage")

    assert sharing.site.log.writes() == ()
    assert sharing.run("history").out == "No run is recorded.\n"


def test_colour_is_where_colour_may_be(sharing: Console) -> None:
    """Red for what is at risk, yellow for what is not known; the words say it, too."""
    sharing.site.region.apply(SetBackend(backend="lab@fake", up=False))

    ended = sharing.run("verify-storage", colored=True)

    assert "\033[31m! compute-1" in ended.out
