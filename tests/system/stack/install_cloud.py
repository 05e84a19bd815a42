"""What the cloud needs: Debian packages, and OpenStack in Python environments of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.system.stack import debian
from tests.system.stack.plan import Plan, Release

PACKAGES = ("mariadb-server", "rabbitmq-server", "memcached")
PIN_FOLDER = Path(__file__).parent
INSTALL_LIMIT_S = 1800


def venv(plan: Plan) -> Path:
    """Of the newest release: every service, and Nova unless the plan says otherwise."""
    return _environment(plan, Release.NEWEST)


def nova_venv(plan: Plan) -> Path:
    """Of the release whose Nova the plan runs."""
    return _environment(plan, plan.release)


def pins(release: Release) -> str:
    """Name and version of everything in the release's environment."""
    return (PIN_FOLDER / f"requirements-{release.value}.txt").read_text()


def ensure(plan: Plan) -> None:
    """Install what is missing; quick when nothing is.

    Raises:
        subprocess.CalledProcessError: apt or pip failed; pip's own words went to stderr.
    """
    debian.install(*PACKAGES)
    _ensure_environment(plan, Release.NEWEST)
    _ensure_environment(plan, plan.release)


def _environment(plan: Plan, release: Release) -> Path:
    return plan.cache.resolve() / f"python-{release.value}"  # also where it is a link to another


def _ensure_environment(plan: Plan, release: Release) -> None:
    """Make the environment anew unless it holds exactly the pins; the stamp is written last.

    It also says where that was: programs in an environment begin with their interpreter's path.
    The pins are complete, so pip resolves nothing (``--no-deps``).
    """
    folder = _environment(plan, release)
    stamp, wanted = folder / "pins.txt", f"# {folder}\n{pins(release)}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run(
        [
            *(str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-deps"),
            *("--cache-dir", str(plan.cache / "pip")),
            *("--requirement", str(PIN_FOLDER / f"requirements-{release.value}.txt")),
        ],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
        timeout=INSTALL_LIMIT_S,
    )
    stamp.write_text(wanted)
