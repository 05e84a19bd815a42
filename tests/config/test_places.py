"""Where hacli looks for its files, as root and as a user."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hacli.config import Directories, PathSettings, find_configuration, find_directories

NOTHING_CONFIGURED = PathSettings()


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """/etc/hacli with a main file and two pieces."""
    directory = tmp_path / "etc"
    (directory / "conf.d").mkdir(parents=True)
    for name in ("hacli.toml", "conf.d/20-hosts.toml", "conf.d/10-cloud.toml", "conf.d/old.bak"):
        (directory / name).touch()
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home with a configuration."""
    directory = tmp_path / "home"
    (directory / ".config/hacli").mkdir(parents=True)
    (directory / ".config/hacli/hacli.toml").touch()
    return directory


def test_root_reads_the_system_files_in_order(system: Path, home: Path) -> None:
    """The pieces come after the main file, by name; a service does not read root's home."""
    found = find_configuration(
        option=None, environ={"HOME": str(home)}, as_root=True, system=system
    )

    assert found == (
        system / "hacli.toml",
        system / "conf.d/10-cloud.toml",
        system / "conf.d/20-hosts.toml",
    )


def test_a_user_adds_a_file_of_his_own(system: Path, home: Path) -> None:
    """It is the last, so it counts."""
    found = find_configuration(
        option=None, environ={"HOME": str(home)}, as_root=False, system=system
    )

    assert found[-1] == home / ".config/hacli/hacli.toml"
    assert found[0] == system / "hacli.toml"


def test_xdg_moves_the_users_file(tmp_path: Path, home: Path) -> None:
    """XDG_CONFIG_HOME is looked into instead of ~/.config."""
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(home / ".config")}

    found = find_configuration(
        option=None, environ=environ, as_root=False, system=tmp_path / "none"
    )

    assert found == (home / ".config/hacli/hacli.toml",)


@pytest.mark.parametrize(
    ("option", "environ", "found"),
    [
        (Path("a.toml"), {}, Path("a.toml")),
        (None, {"HACLI_CONFIG": "b.toml"}, Path("b.toml")),
        (Path("a.toml"), {"HACLI_CONFIG": "b.toml"}, Path("a.toml")),
    ],
    ids=["option", "environment", "both"],
)
def test_a_named_file_is_the_only_one(
    system: Path, option: Path | None, environ: Mapping[str, str], found: Path
) -> None:
    """Whoever names a file means this file, also when it is missing."""
    assert find_configuration(option=option, environ=environ, as_root=True, system=system) == (
        found,
    )


def test_without_files_there_is_nothing_to_read(tmp_path: Path) -> None:
    """No configuration is a configuration: the defaults."""
    environ = {"HOME": str(tmp_path)}

    assert find_configuration(option=None, environ=environ, as_root=False, system=tmp_path) == ()


ROOT = Directories(
    state=Path("/var/lib/hacli"), run=Path("/run/hacli"), cache=Path("/var/cache/hacli")
)
USER = Directories(
    state=Path("/home/al/.local/state/hacli"),
    run=Path("/run/user/7/hacli"),
    cache=Path("/home/al/.cache/hacli"),
)
CONFIGURED = PathSettings(state=Path("/s"), run=Path("/r"))
HOME = {"HOME": "/home/al", "XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("configured", "environ", "as_root", "found"),
    [
        (NOTHING_CONFIGURED, HOME, True, ROOT),
        (NOTHING_CONFIGURED, HOME, False, USER),
        (
            NOTHING_CONFIGURED,
            {"HOME": "/home/al"},
            False,
            Directories(state=USER.state, run=USER.state / "run", cache=USER.cache),
        ),
        (
            NOTHING_CONFIGURED,
            {**HOME, "XDG_STATE_HOME": "/x", "XDG_CACHE_HOME": "/c", "HACLI_RUN_DIR": ""},
            False,
            Directories(state=Path("/x/hacli"), run=USER.run, cache=Path("/c/hacli")),
        ),
        (CONFIGURED, HOME, True, Directories(state=Path("/s"), run=Path("/r"), cache=ROOT.cache)),
        (
            CONFIGURED,
            {**HOME, "HACLI_STATE_DIR": "/e", "HACLI_RUN_DIR": "/f"},
            True,
            Directories(state=Path("/e"), run=Path("/f"), cache=ROOT.cache),
        ),
    ],
    ids=["root", "user", "cron", "xdg", "configured", "environment"],
)
def test_directories_are_where_they_belong(
    configured: PathSettings, environ: Mapping[str, str], as_root: bool, found: Directories
) -> None:
    """Environment, then configuration, then the place of root or of the user."""
    assert find_directories(configured, environ=environ, as_root=as_root) == found
