"""``hacli lab`` as a person uses it: real processes, a daemon, its files, and its end."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hacli.config import read_settings
from hacli.domain.policy import Storage
from tests.eventually import eventually


@dataclass(frozen=True)
class Cli:
    """``hacli lab`` for one state folder."""

    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "hacli", "lab", *words, "--state", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *words: str) -> str:
        """Run one command that must succeed; what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def machine(self, host: str) -> dict[str, Any]:
        """The truth about one machine."""
        machines = json.loads(self.ok("status", "--json"))["machines"]
        found: dict[str, Any] = next(m for m in machines if m["host"] == host)
        return found

    def pid(self) -> int:
        """The daemon's process."""
        return int(json.loads((self.folder / "daemon.json").read_text())["pid"])

    def env(self) -> dict[str, str]:
        """The exports as a shell would read them."""
        words = [shlex.split(line) for line in self.ok("env").splitlines()]
        assert all(word[0] == "export" for word in words)
        return dict(word[1].split("=", 1) for word in words)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A folder without a lab; none runs there afterwards."""
    lab = Cli(tmp_path / "lab")
    yield lab
    lab.run("stop")


def alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_lab_is_ready_when_start_returns_and_gone_after_stop(cli: Cli) -> None:
    """Within three seconds, without a terminal, and without a child of ours left."""
    began = time.monotonic()
    cli.ok("start")
    took = time.monotonic() - began
    pid = cli.pid()

    assert took < 3
    assert os.getsid(pid) != os.getsid(0)
    assert len(json.loads(cli.ok("status", "--json"))["machines"]) == 4

    assert cli.ok("stop") == "The lab has ended.\n"
    assert not alive(pid)
    assert sorted(p.name for p in cli.folder.iterdir() if p.is_socket()) == []
    assert cli.ok("stop") == "No lab ran.\n"


def test_a_second_lab_in_the_same_folder_is_refused(cli: Cli) -> None:
    """Busy (9), and the first one goes on."""
    cli.ok("start")
    pid = cli.pid()

    second = cli.run("start")

    assert second.returncode == 9
    assert cli.pid() == pid
    assert alive(pid)


def test_labs_run_side_by_side(cli: Cli, tmp_path: Path) -> None:
    """What happens in one is nothing to the other."""
    other = Cli(tmp_path / "other")
    cli.ok("start", "--hosts", "2")
    try:
        other.ok("start", "--hosts", "2")
        cli.ok("power", "compute-1", "off")
        assert not cli.machine("compute-1")["powered"]
        assert other.machine("compute-1")["powered"]
    finally:
        other.ok("stop")


def test_what_a_killed_lab_leaves_is_no_obstacle(cli: Cli) -> None:
    """The pid file is believed only when the process began when it says."""
    cli.ok("start")
    pid = cli.pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))

    assert cli.run("status").returncode == 2
    cli.ok("start")

    assert cli.pid() != pid


def test_stop_does_not_touch_a_process_that_got_the_old_number(cli: Cli) -> None:
    """Somebody else's process has the pid of a lab that is long gone."""
    cli.folder.mkdir()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        note = {"pid": stranger.pid, "started": 1, "control": "", "sockets": str(cli.folder)}
        (cli.folder / "daemon.json").write_text(json.dumps(note))

        assert cli.ok("stop") == "No lab ran.\n"
        assert alive(stranger.pid)
        stranger.kill()


def test_a_lab_that_cannot_start_says_why(cli: Cli) -> None:
    """The end of its log is in the error."""
    cli.folder.mkdir()
    (cli.folder / "requests.jsonl").mkdir()

    failed = cli.run("start")

    assert failed.returncode == 1
    assert "IsADirectoryError" in failed.stderr


def test_a_lab_whose_starter_was_killed_ends_by_itself(cli: Cli) -> None:
    """Ctrl-C in the middle of the start leaves no lab that nobody knows of."""
    cli.folder.mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    options = json.dumps({"folder": str(cli.folder)})
    command = [sys.executable, "-P", "-m", "hacli.lab.daemon", str(writer), options]
    with (cli.folder / "log").open("wb") as log:
        subprocess.run(command, pass_fds=(writer,), stderr=log, check=True, timeout=10)
    os.close(writer)

    eventually(lambda: "BrokenPipeError" in (cli.folder / "log").read_text())

    assert not (cli.folder / "daemon.json").exists()
    assert not (cli.folder / "control.sock").exists()


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    """The path of a unix socket has some 100 bytes; theirs are then elsewhere."""
    cli = Cli(tmp_path / ("long-" * 20))
    cli.ok("start")
    try:
        sockets = Path(json.loads((cli.folder / "daemon.json").read_text())["sockets"])
        assert sockets != cli.folder
        cli.ok("crash", "compute-1")
    finally:
        cli.ok("stop")
    assert not sockets.exists()


def test_the_configuration_it_writes_is_one_of_haclis(cli: Cli) -> None:
    """Read without complaint, for its owner's eyes only, with the storage of the demo."""
    cli.ok("start", "--seed", "demo")
    env = cli.env()

    settings = read_settings([Path(env["HACLI_CONFIG"])])

    shared = {"compute-1", "compute-2", "compute-4"}
    assert settings.policy.host_storage == dict.fromkeys(shared, Storage.SHARED)
    assert settings.cloud.name == env["OS_CLOUD"] == "lab"
    assert settings.paths.state == Path(env["HACLI_STATE_DIR"])
    files = ("env", "clouds.yaml", "hacli.toml", "bmc-password")
    assert {(cli.folder / name).stat().st_mode & 0o777 for name in files} == {0o600}
    clouds = json.loads(Path(env["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
    assert sorted(clouds) == ["lab", "lab-operator"]


def test_the_prefix_reaches_the_cluster_and_the_cib_names_the_bmcs(cli: Cli) -> None:
    """hacli finds the BMCs where Pacemaker does: in the fence devices."""
    cli.ok("start", "--hosts", "2")
    env = cli.env()
    prefix = tomllib.loads(Path(env["HACLI_CONFIG"]).read_text())["cluster"]["prefixes"][0]

    xml = subprocess.run(
        [*prefix, "cibadmin", "-Q"], capture_output=True, text=True, check=True, timeout=10
    ).stdout

    devices = ET.fromstring(xml).findall(".//primitive[@class='stonith']")  # noqa: S314 - the lab made it
    addresses = set()
    for device in devices:
        pairs = {pair.get("name"): pair.get("value") for pair in device.iter("nvpair")}
        addresses.add(f"{pairs['ip']}:{pairs['ipport']}")
    assert addresses == {env["HACLI_LAB_BMC_COMPUTE_1"], env["HACLI_LAB_BMC_COMPUTE_2"]}


def test_deeds_reach_the_machines(cli: Cli) -> None:
    """Each word does what it says, and the truth shows it."""
    cli.ok("start", "--hosts", "2", "--speed", "100")
    cli.ok("hang", "compute-1")
    assert cli.machine("compute-1")["hung"]
    cli.ok("join", "compute-1")
    assert not cli.machine("compute-1")["hung"]
    cli.ok("cut", "compute-1")
    assert not cli.machine("compute-1")["network"]
    cli.ok("join", "compute-1")
    cli.ok("bmc", "compute-1", "liar")
    assert cli.machine("compute-1")["bmc"] == "liar"
    cli.ok("bmc", "compute-1", "ok")
    cli.ok("kill-compute", "compute-1")
    cli.ok("crash", "compute-1")
    assert cli.machine("compute-1")["running"] == []
    eventually(lambda: not cli.machine("compute-1")["powered"], within_s=20)  # is fenced
    cli.ok("return", "compute-1")
    eventually(lambda: bool(cli.machine("compute-1")["booted"]), within_s=20)


def test_nova_fails_on_order(cli: Cli) -> None:
    """Spawns of a host, a cell, the conductor; a host that is not there is refused."""
    cli.ok("start", "--hosts", "2")

    for words in (
        ("spawn-fails", "compute-2"),
        ("spawn-works", "compute-2"),
        ("cell-down", "compute-2"),
        ("cell-up", "compute-2"),
        ("conductor-dies",),
        ("conductor-back",),
    ):
        cli.ok("nova", *words)

    assert cli.run("nova", "spawn-fails", "compute-9").returncode == 2
    assert cli.run("nova", "spawn-fails").returncode == 2


def test_time_can_be_made_to_pass(cli: Cli) -> None:
    """An hour at once."""
    cli.ok("start", "--hosts", "2")
    before = json.loads(cli.ok("status", "--json"))["time"]

    cli.ok("advance", "3600")

    passed = json.loads(cli.ok("status", "--json"))["time"] - before
    assert 3600 <= passed < 3660


def test_the_ledger_tells_what_happened(cli: Cli) -> None:
    """As lines for a person and as JSON for a program."""
    cli.ok("start", "--hosts", "2", "--servers", "2")
    cli.ok("power", "compute-2", "off")

    entries = json.loads(cli.ok("ledger", "--json"))

    told = [(e["machine"], e["what"], e["name"]) for e in entries]
    assert told == [
        ("compute-1", "guest-started", "server-1"),
        ("compute-2", "guest-started", "server-2"),
        ("compute-2", "power-off", None),
        ("compute-2", "guest-ended", "server-2"),
    ]
    assert "compute-2  power-off" in cli.ok("ledger")


def test_check_ends_with_one_when_a_law_is_broken(cli: Cli) -> None:
    """One line for each violation."""
    cli.ok("start", "--hosts", "2", "--servers", "2")
    assert cli.ok("check") == "No law was broken by 0 requests that changed something in Nova.\n"
    cli.ok("power", "compute-2", "off")

    broken = cli.run("check", "--only", "compute-1", "--recovered", "compute-2")

    assert broken.returncode == 1
    assert broken.stdout.splitlines() == [
        "L7: compute-2 was powered off",
        "back: server-2: runs on no machine",
        "back: server-2: is on no machine but compute-2",
    ]


def test_faults_of_the_services_are_on_order(cli: Cli) -> None:
    """Two requests fail, the request log tells, and the rest are answered."""
    cli.ok("start", "--hosts", "2")
    keystone = json.loads((cli.folder / "clouds.yaml").read_text())["clouds"]["lab"]["auth"]
    cli.ok("fault", "503", "--service", "keystone", "--method", "get", "--count", "2")
    cli.ok("fault", "expire-tokens")
    url = keystone["auth_url"]

    script = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).status)"
    codes = [
        subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, check=False
        ).returncode
        for _ in range(3)
    ]

    assert codes == [1, 1, 0]
    records = json.loads(cli.ok("requests", "--json"))
    assert [(r["service"], r["sent"], r["fault"]) for r in records] == [
        ("keystone", 503, "503"),
        ("keystone", 503, "503"),
        ("keystone", 200, None),
    ]
    assert "503" in cli.ok("requests")
    cli.ok("fault", "clear")


def test_words_that_the_lab_does_not_know_are_refused(cli: Cli) -> None:
    """Exit 2, nothing done, and the known words are named."""
    cli.ok("start", "--hosts", "2")

    unknown = cli.run("crash", "compute-9")

    assert unknown.returncode == 2
    assert "compute-1, compute-2" in unknown.stderr
    assert cli.run("check", "--rebuilt", "nosuch").returncode == 2
    assert cli.run("fault", "503", "--service", "nosuch").returncode == 2
