"""A host's shell in the lab: the storage probe as hacli's command prefix reaches it."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hacli.lab.commands import Cut, ShareStorage
from hacli.lab.running_lab import Lab
from hacli.lab.seed import small


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts with three servers each."""
    with Lab(small(2, 6)) as running:
        yield running


def ask(lab: Lab, host: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a host as hacli.toml says."""
    settings = tomllib.loads(Path(lab.env["HACLI_CONFIG"]).read_text(encoding="utf-8"))
    command = [word.replace("{host}", host) for word in settings["storage"]["probe"]]
    assert command[0] == sys.executable
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, check=False, timeout=20
    )


def told(lab: Lab, host: str) -> dict[str, Any]:
    """What the probe's program would print there."""
    found: dict[str, Any] = json.loads(ask(lab, host, "python3", "-I", "-").stdout)
    return found


def test_a_host_has_a_disk_of_its_own_until_it_shares_the_filers(lab: Lab) -> None:
    """Its mount, and who else uses the directory."""
    assert told(lab, "compute-1")["mount"]["type"] == "ext4"

    for host in ("compute-1", "compute-2"):
        lab.apply(ShareStorage(host=host, shared=True))

    said = told(lab, "compute-1")
    assert (said["mount"]["type"], said["mount"]["source"]) == ("nfs4", "lab-filer:/instances")
    assert set(said["registered"]) == {"compute-1", "compute-2"}


def test_a_local_host_has_a_directory_for_each_local_disk(lab: Lab) -> None:
    """And for each that somebody has left there."""
    with lab.lock:
        server = lab.region.cloud.add_server("local", "compute-1", volume=False)
        lab.region.machines["compute-1"].traps.directories.append("left")

    assert told(lab, "compute-1")["directories"] == [server.id, "left"]


def test_a_host_that_is_cut_off_cannot_be_reached(lab: Lab) -> None:
    """As ssh says it."""
    lab.apply(Cut(host="compute-1"))

    asked = ask(lab, "compute-1", "python3", "-I", "-")

    assert (asked.returncode, "No route to host" in asked.stderr) == (255, True)


def test_a_host_knows_no_other_command(lab: Lab) -> None:
    """The lab runs nothing that it is sent."""
    assert ask(lab, "compute-1", "rm", "-rf", "/").returncode == 127
