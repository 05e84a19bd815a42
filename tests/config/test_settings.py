"""The configuration: what each key means, and what a mistake in it says."""

from pathlib import Path

import pytest

from hacli.config import (
    BmcSettings,
    CloudSettings,
    ClusterSettings,
    HostSettings,
    PathSettings,
    ProbeSettings,
)
from hacli.config.settings import Settings, read_settings
from hacli.domain.hosts import HostNames
from hacli.domain.policy import Policy, Storage
from hacli.domain.power import Bmc
from hacli.errors import Misconfigured

EVERYTHING = """
[cloud]
name = "prod"
interface = "internal"
region = "north"

[cluster]
prefixes = [[], ["ssh", "controller-0"]]
command_timeout = "30s"

[fencing]
order = ["ipmi", "pacemaker"]
after = "off"
deadline = "2m"
max_age = "5s"

[evacuation]
window = 8
per_destination = 1
retries = 0
poll = "500ms"
stuck_after = "1h"

[storage]
ephemeral = "shared"
probe = ["ssh", "{host}", "sudo"]
probe_timeout = "5s"
aggregates = {"nvme" = "local"}

[limits]
max_hosts = 2
storm_share = 0.25

[paths]
state = "/srv/hacli"
run = "run"

[host."compute-3"]
nova = "compute-3.example.org"
pacemaker = "c3"
storage = "local"
[[host."compute-3".bmc]]
driver = "ipmi"
address = "192.0.2.13"
port = 6230
user = "op"
password_file = "bmc"
"""


def written(directory: Path, text: str, name: str = "hacli.toml") -> Path:
    """A configuration file."""
    file = directory / name
    file.write_text(text)
    return file


def secret(directory: Path, text: str = "s3cret\n", mode: int = 0o600) -> Path:
    """The password file that EVERYTHING names."""
    file = directory / "bmc"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_every_key_has_its_meaning(tmp_path: Path) -> None:
    """Each key of the reference arrives at its own place, durations as seconds."""
    file = written(tmp_path, EVERYTHING)

    assert read_settings([file]) == Settings(
        cloud=CloudSettings(name="prod", interface="internal", region="north"),
        cluster=ClusterSettings(
            prefixes=((), ("ssh", "controller-0")),
            command_timeout_s=30.0,
        ),
        policy=Policy(
            fence_order=("ipmi", "pacemaker"),
            fence_deadline_s=120.0,
            evidence_max_age_s=5.0,
            window=8,
            per_destination=1,
            retries=0,
            poll_s=0.5,
            stuck_s=3600.0,
            storm_share=0.25,
            max_hosts=2,
            ephemeral=Storage.SHARED,
            aggregate_storage={"nvme": Storage.LOCAL},
            host_storage={
                "compute-3": Storage.LOCAL,
                "compute-3.example.org": Storage.LOCAL,
                "c3": Storage.LOCAL,
            },
        ),
        probe=ProbeSettings(command=("ssh", "{host}", "sudo"), timeout_s=5.0),
        hosts=(
            HostSettings(
                name="compute-3",
                nova="compute-3.example.org",
                pacemaker="c3",
                storage=Storage.LOCAL,
                bmc=BmcSettings(
                    driver="ipmi",
                    address="192.0.2.13",
                    port=6230,
                    user="op",
                    password_file=tmp_path / "bmc",
                ),
            ),
        ),
        paths=PathSettings(state=Path("/srv/hacli"), run=tmp_path / "run"),
        files=(file,),
    )


def test_no_file_means_the_defaults() -> None:
    """hacli works without a configuration: the cluster here, clouds.yaml, undeclared is local."""
    assert read_settings([]) == Settings()


def test_a_later_file_counts_key_by_key(tmp_path: Path) -> None:
    """A file of conf.d changes the keys that it names and leaves the others of the table alone."""
    first = written(tmp_path, "[limits]\nmax_hosts = 2\nstorm_share = 0.3\n[host.a]\nnova='x'\n")
    second = written(tmp_path, "[limits]\nmax_hosts = 3\n[host.a]\npacemaker='y'\n", "second.toml")

    settings = read_settings([first, second])

    assert settings.policy == Policy(max_hosts=3, storm_share=0.3)
    assert settings.hosts == (HostSettings(name="a", nova="x", pacemaker="y"),)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [('"20s"', 20.0), ('"1500ms"', 1.5), ('"1.5 m"', 90.0), ("7", 7.0), ("7.5", 7.5)],
)
def test_a_duration_has_a_unit_or_is_seconds(tmp_path: Path, duration: str, seconds: float) -> None:
    """Units are ms, s, m, h; a plain number counts seconds."""
    file = written(tmp_path, f"[cluster]\ncommand_timeout = {duration}\n")

    assert read_settings([file]).cluster == ClusterSettings(command_timeout_s=seconds)


MISTAKES = {
    '[fencing]\ndeadlin = "20s"': "[fencing] deadlin: no such key; did you mean deadline?",
    '[limits]\nxyz = "1"': "[limits] xyz: no such key; known: max_hosts, storm_share",
    '[fence]\norder = ["ipmi"]': "[fence]: no such table; did you mean fencing?",
    "[fence]": "[fence]: no such table; did you mean fencing?",
    "window = 4": "window: this key stands in no table",
    '[host]\nnova = "x"': '[host] nova: write a table: [host."nova"]',
    "[evacuation]\nwindow = 0": "[evacuation] window: 0 is not between 1 and 256",
    "[evacuation]\nwindow = 4.0": "[evacuation] window: wants a whole number",
    "[evacuation]\nwindow = true": "[evacuation] window: wants a whole number",
    '[fencing]\nmax_age = "11s"': "[fencing] max_age: 11 s is not between 1 and 10 s",
    "[fencing]\ndeadline = true": (
        '[fencing] deadline: wants a duration: "20s", "10m", "2h", "500ms"'
    ),
    "[fencing]\ndeadline = inf": (
        '[fencing] deadline: wants a duration: "20s", "10m", "2h", "500ms"'
    ),
    '[fencing]\ndeadline = "soon"': (
        '[fencing] deadline: "soon" is no duration: "20s", "10m", "2h", "500ms"'
    ),
    '[fencing]\nafter = "reboot"': (
        '[fencing] after: this version knows only "off", the safe state'
    ),
    "[fencing]\norder = []": (
        "[fencing] order: wants a list of these words, each at most once: pacemaker, ipmi"
    ),
    '[fencing]\norder = ["ipmi", "ipmi"]': (
        "[fencing] order: wants a list of these words, each at most once: pacemaker, ipmi"
    ),
    '[fencing]\norder = "ipmi"': "[fencing] order: wants a list of texts",
    '[storage]\nephemeral = "ceph"': "[storage] ephemeral: wants one of: shared, local",
    '[storage]\nprobe = ["ssh"]': (
        '[storage] probe: wants words, one with {host}: ["ssh", "{host}"]'
    ),
    '[storage]\nprobe = ["{host}"]': (
        "[storage] probe: the first word is the program and cannot be {host}"
    ),
    '[storage]\nprobe = "ssh {host}"': "[storage] probe: wants a list of texts",
    "[storage.aggregates]\nnvme = 1": "[storage] aggregates: wants one of: shared, local",
    '[storage]\naggregates = "nvme"': ('[storage] aggregates: wants a table: {"a name" = "..."}'),
    '[storage]\nprob = ["ssh"]': "[storage] prob: no such key; did you mean probe?",
    '[cloud]\nname = ""': "[cloud] name: wants a text in quotes",
    "[cloud]\nname = 3": "[cloud] name: wants a text in quotes",
    "[limits]\nstorm_share = 0": "[limits] storm_share: 0 is not a share: more than 0, at most 1",
    "[cluster]\nprefixes = []": (
        '[cluster] prefixes: wants a list of lists: [[], ["ssh", "controller-0"]]'
    ),
    '[cluster]\nprefixes = ["ssh"]': "[cluster] prefixes: wants a list of texts",
    '[host.a]\nbmc = "192.0.2.1"': '[host."a"] bmc: wants tables in double brackets: [[...]]',
    '[[host.a.bmc]]\nuser = "op"\npassword_file = "f"': '[host."a".bmc] address: is missing',
}


@pytest.mark.parametrize(("text", "complaint"), MISTAKES.items())
def test_a_mistake_is_named_with_file_table_and_key(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """The operator can go to the place without searching; nothing wrong is passed over."""
    file = written(tmp_path, text)

    with pytest.raises(Misconfigured) as raised:
        read_settings([file])

    assert (raised.value.what, raised.value.why) == (
        "The configuration has one mistake.",
        f"{file}: {complaint}",
    )


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Each complaint names the file that makes the mistake, not the one that was read last."""
    first = written(tmp_path, "[limits]\nmax_hosts = 0\nstorm = 1\n")
    second = written(tmp_path, "[limits]\nstorm_share = 2\n", "second.toml")

    with pytest.raises(Misconfigured) as raised:
        read_settings([first, second])

    assert (raised.value.what, sorted(raised.value.why.splitlines())) == (
        "The configuration has 3 mistakes.",
        [
            f"{first}: [limits] max_hosts: 0 is not between 1 and 1000",
            f"{first}: [limits] storm: no such key; did you mean storm_share?",
            f"{second}: [limits] storm_share: 2 is not a share: more than 0, at most 1",
        ],
    )


def test_a_second_bmc_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    """A BMC that is configured and never asked would be trusted for nothing."""
    bmc = '[[host.a.bmc]]\naddress = "192.0.2.1"\nuser = "op"\npassword_file = "f"\n'
    file = written(tmp_path, bmc + bmc)

    with pytest.raises(Misconfigured) as raised:
        read_settings([file])

    assert raised.value.why == (f'{file}: [host."a"] bmc: this version reads one BMC for each host')


def test_a_password_in_the_configuration_is_not_repeated(tmp_path: Path) -> None:
    """A secret that stands in the wrong place does not reach the screen through a complaint."""
    file = written(tmp_path, '[[host.a.bmc]]\npassword = "s3cret"\naddress = "x"\nuser = "op"\n')

    with pytest.raises(Misconfigured) as raised:
        read_settings([file])

    assert "password: no such key; did you mean password_file?" in raised.value.why
    assert "s3cret" not in f"{raised.value} {raised.value.why}"


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"[cloud\n", "is not TOML"), (b"\xff\xfe", "is not TOML")],
    ids=["torn", "binary"],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    """The parser's own words say where."""
    file = tmp_path / "hacli.toml"
    file.write_bytes(content)

    with pytest.raises(Misconfigured, match=what) as raised:
        read_settings([file])

    assert str(file) in raised.value.what
    assert raised.value.why


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """``--config`` with a typing error must not quietly mean the defaults."""
    with pytest.raises(Misconfigured, match=r"There is no configuration file .*typo\.toml"):
        read_settings([tmp_path / "typo.toml"])


def test_logins_are_read_when_somebody_asks_for_them(tmp_path: Path) -> None:
    """`hacli history` needs no password; what needs one gets the whole login."""
    settings = read_settings([written(tmp_path, EVERYTHING)])
    secret(tmp_path)

    names = settings.host_names()

    assert names == (
        HostNames(
            label="compute-3",
            pacemaker="c3",
            nova="compute-3.example.org",
            bmc=Bmc(
                driver="ipmi",
                address="192.0.2.13",
                port=6230,
                user="op",
                password="s3cret",
                origin="configuration",
            ),
        ),
    )
    assert "s3cret" not in repr(names)


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The cure is a command to copy."""
    settings = read_settings([written(tmp_path, EVERYTHING)])
    file = secret(tmp_path, mode=0o640)

    with pytest.raises(Misconfigured) as raised:
        settings.host_names()

    error = raised.value
    assert (error.what, error.why, error.next_steps) == (
        f"The secret {file} is open to others.",
        "its mode is 0640; it must be 0600",
        (f"chmod 600 {file}",),
    )


@pytest.mark.parametrize(("text", "what"), [("\n", "is empty"), (None, "does not exist")])
def test_a_password_that_is_not_there_is_an_error(
    tmp_path: Path, text: str | None, what: str
) -> None:
    """No login is tried with an empty password."""
    settings = read_settings([written(tmp_path, EVERYTHING)])
    if text is not None:
        secret(tmp_path, text)

    with pytest.raises(Misconfigured, match=what):
        settings.host_names()


def test_a_password_keeps_its_blanks(tmp_path: Path) -> None:
    """Only the end of the line is not part of it."""
    settings = read_settings([written(tmp_path, EVERYTHING)])
    secret(tmp_path, " a b \r\n")

    assert [names.bmc.password for names in settings.host_names() if names.bmc] == [" a b "]
