"""hacli as a real process, where pipes, signals and terminals are what a rule is about."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HACLI = (sys.executable, "-m", "hacli")
CONFIGURATION = """\
[cluster]
prefixes = [["{python}", "{silent}"]]
command_timeout = "60s"

[paths]
state = "{folder}/state"
run = "{folder}/run"
"""
SILENT = "import signal\nsignal.alarm(20)\nsignal.pause()\n"
"""In the place of the cluster's tools: says nothing, and outlives no test for long."""
CLOUDS = """\
clouds:
  silent:
    auth:
      auth_url: http://127.0.0.1:9/v3
      username: op
      password: not-a-secret
      project_name: admin
      user_domain_id: default
      project_domain_id: default
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a child whose cluster never answers, and whose cloud is not there."""
    silent = folder / "silent.py"
    silent.write_text(SILENT, encoding="utf-8")
    configuration = folder / "hacli.toml"
    configuration.write_text(
        CONFIGURATION.format(python=sys.executable, silent=silent, folder=folder), encoding="utf-8"
    )
    configuration.chmod(0o600)
    clouds = folder / "clouds.yaml"
    clouds.write_text(CLOUDS, encoding="utf-8")
    clouds.chmod(0o600)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    own = {
        "HOME": str(folder),
        "TERM": "xterm",
        "HACLI_CONFIG": str(configuration),
        "OS_CLIENT_CONFIG_FILE": str(clouds),
        "OS_CLOUD": "silent",
    }
    return kept | own | more


@contextmanager
def child(
    *words: str, env: Mapping[str, str], stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """A running hacli, ended at the end whatever it does."""
    process = subprocess.Popen(
        [*HACLI, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
