"""Debian packages: installed with nothing started, or only unpacked."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.system.stack import processes

POLICY = Path("/usr/sbin/policy-rc.d")
OUR_POLICY = (
    "#!/bin/sh\n# hacli's tests/system: nothing is started while packages are installed\nexit 101\n"
)
INSTALL_LIMIT_S = 1800


def install(*packages: str) -> None:
    """Install those that are missing, upgrade and start nothing.

    Raises:
        CommandFailed: apt could not.
    """
    missing = tuple(package for package in packages if not _is_installed(package))
    if missing:
        with nothing_started():
            _apt("update", "-q")
            _apt(
                *("install", "-y", "-q", "--no-install-recommends", "--no-upgrade", "--no-remove"),
                *missing,
            )


def unpack(folder: Path, *packages: str) -> None:
    """Unpack packages below ``folder``, for those that conflict with an installed one.

    ``folder`` exists only when it is complete. Raises as ``install``.
    """
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    archives = unfinished / "archives"
    archives.mkdir(parents=True)
    for package in packages:
        if not _download(package, archives):
            _apt("update", "-q")
            _download(package, archives, check=True)
    for archive in archives.glob("*.deb"):
        processes.run(("dpkg-deb", "-x", str(archive), str(unfinished)))
    shutil.rmtree(archives)
    unfinished.rename(folder)


@contextmanager
def nothing_started() -> Iterator[None]:
    """Keep packages from starting daemons, as container images do already with their own file."""
    remove_our_policy()
    with suppress(FileExistsError), POLICY.open("x") as file:
        file.write(OUR_POLICY)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        remove_our_policy()


def remove_our_policy() -> None:
    """Also that of a run that was killed; never somebody else's."""
    with suppress(FileNotFoundError):
        if POLICY.read_text() == OUR_POLICY:
            POLICY.unlink()


def _is_installed(package: str) -> bool:
    query = ("dpkg-query", "--show", "--showformat=${Status}", package)
    return processes.run(query, check=False).stdout == "install ok installed"


def _download(package: str, into: Path, *, check: bool = False) -> bool:
    words = ("env", f"--chdir={into}", "apt-get", "download", "-q", package)
    done = processes.run(words, env=_environment(), timeout_s=INSTALL_LIMIT_S, check=check)
    return done.returncode == 0


def _apt(*words: str) -> None:
    env = _environment()
    processes.run(("apt-get", *words), env=env, timeout_s=INSTALL_LIMIT_S)


def _environment() -> dict[str, str]:
    """With the machine's proxies, if it has any."""
    proxies = {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
    return {**proxies, "DEBIAN_FRONTEND": "noninteractive"}
