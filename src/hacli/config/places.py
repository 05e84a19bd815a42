"""Where the configuration, the journal, the locks and the cache are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hacli.config.settings import PathSettings

SYSTEM_CONFIGURATION = Path("/etc/hacli")


@dataclass(frozen=True, kw_only=True)
class Directories:
    """``state``: journal and logs; ``run``: local locks; ``cache``: what may be lost."""

    state: Path
    run: Path
    cache: Path


def find_configuration(
    *,
    option: Path | None,
    environ: Mapping[str, str],
    as_root: bool,
    system: Path = SYSTEM_CONFIGURATION,
) -> tuple[Path, ...]:
    """The files to read, the strongest last.

    ``--config`` or ``HACLI_CONFIG`` name the only file, whether it exists or not. Otherwise those
    of the system and, for who is not root, the user's own, as far as they exist.
    """
    named = option or _path(environ, "HACLI_CONFIG")
    if named is not None:
        return (named,)
    files = [system / "hacli.toml", *sorted(system.glob("conf.d/*.toml"))]
    if not as_root:
        files.append(_home(environ, "XDG_CONFIG_HOME", ".config") / "hacli.toml")
    return tuple(file for file in files if file.exists())


def find_directories(
    configured: PathSettings, *, environ: Mapping[str, str], as_root: bool
) -> Directories:
    """Environment first, then the configuration, then the system's or the user's own place."""
    own = _system_directories() if as_root else _user_directories(environ)
    return Directories(
        state=_path(environ, "HACLI_STATE_DIR") or configured.state or own.state,
        run=_path(environ, "HACLI_RUN_DIR") or configured.run or own.run,
        cache=own.cache,
    )


def _system_directories() -> Directories:
    return Directories(
        state=Path("/var/lib/hacli"), run=Path("/run/hacli"), cache=Path("/var/cache/hacli")
    )


def _user_directories(environ: Mapping[str, str]) -> Directories:
    state = _home(environ, "XDG_STATE_HOME", ".local/state")
    runtime = _path(environ, "XDG_RUNTIME_DIR")
    return Directories(
        state=state,
        # without a login session (cron) there is no runtime directory
        run=runtime / "hacli" if runtime else state / "run",
        cache=_home(environ, "XDG_CACHE_HOME", ".cache"),
    )


def _home(environ: Mapping[str, str], variable: str, default: str) -> Path:
    home = _path(environ, "HOME") or Path.home()
    return (_path(environ, variable) or home / default) / "hacli"


def _path(environ: Mapping[str, str], variable: str) -> Path | None:
    value = environ.get(variable)
    return Path(value) if value else None
