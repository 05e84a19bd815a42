"""The folder of a lab: what lets hacli and other clients in, and what the lab writes down."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from hacli.lab import shim
from hacli.lab.cib import FenceLogin
from hacli.lab.keystone_api import ADMIN, OPERATOR, REGION, User

CLOUD = "lab"
_LONGEST_SOCKET = 100  # bytes of a unix socket's path, with a little to spare


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where a lab is reached, and how one logs in."""

    keystone: str
    pacemaker: Path
    bmc_ports: Mapping[str, int]
    bmc_login: FenceLogin
    shared_storage: Collection[str]


class Workspace:
    """A folder that belongs to one lab; made for its owner's eyes only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sockets = folder
        if len(os.fsencode(folder / "pacemaker.sock")) > _LONGEST_SOCKET:
            self._sockets = Path(tempfile.mkdtemp(prefix="hacli-lab-"))

    @property
    def requests(self) -> Path:
        """The request log, a JSON object per line."""
        return self.folder / "requests.jsonl"

    @property
    def env_file(self) -> Path:
        """The exports for a shell."""
        return self.folder / "env"

    @property
    def pacemaker_socket(self) -> Path:
        """Where the shim finds the Pacemaker door."""
        return self._sockets / "pacemaker.sock"

    @property
    def control_socket(self) -> Path:
        """Where orders to the lab itself are taken."""
        return self._sockets / "control.sock"

    def write(self, addresses: Addresses) -> dict[str, str]:
        """Write configuration and exports; return the environment for clients of this lab."""
        folder = self.folder
        env = {
            "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml"),
            "OS_CLOUD": CLOUD,
            "HACLI_CONFIG": str(folder / "hacli.toml"),
            "HACLI_STATE_DIR": str(folder / "state"),
            "HACLI_RUN_DIR": str(folder / "run"),
            "HACLI_LAB": str(folder),
            "HACLI_LAB_BMC_USER": addresses.bmc_login.user,
            "HACLI_LAB_BMC_PASSWORD_FILE": str(folder / "bmc-password"),
        }
        for host, port in addresses.bmc_ports.items():
            env[f"HACLI_LAB_BMC_{host.upper().replace('-', '_')}"] = f"127.0.0.1:{port}"
        for name in ("state", "run"):
            (folder / name).mkdir(exist_ok=True, mode=0o700)
        self._write("clouds.yaml", _clouds_yaml(addresses.keystone))
        self._write("hacli.toml", _hacli_toml(addresses, folder))
        self._write("bmc-password", addresses.bmc_login.password + "\n")
        exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
        self._write("env", "\n".join(exports) + "\n")
        return env

    def remove_sockets(self) -> None:
        """Take the sockets' own folder away, if they have one."""
        if self._sockets != self.folder:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(text, encoding="utf-8")


def _clouds_yaml(keystone: str) -> str:
    """Both users as clouds: ``lab`` and ``lab-operator``. JSON is YAML."""
    clouds = {CLOUD: _cloud(keystone, ADMIN), f"{CLOUD}-operator": _cloud(keystone, OPERATOR)}
    return json.dumps({"clouds": clouds}, indent=2) + "\n"


def _cloud(keystone: str, user: User) -> dict[str, object]:
    return {
        "auth": {
            "auth_url": f"{keystone}/v3",
            "username": user.name,
            "password": user.password,
            "project_name": user.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "identity_api_version": "3",
        "interface": "public",
    }


def _hacli_toml(addresses: Addresses, folder: Path) -> str:
    prefix = [sys.executable, "-I", "-S", shim.__file__, str(addresses.pacemaker)]
    probe = [*prefix, "{host}"]
    lines = [
        "[cloud]",
        f"name = {_quoted(CLOUD)}",
        "[cluster]",
        f"prefixes = [[{', '.join(map(_quoted, prefix))}]]",
        "[paths]",
        f"state = {_quoted(str(folder / 'state'))}",
        f"run = {_quoted(str(folder / 'run'))}",
        "[storage]",
        f"probe = [{', '.join(map(_quoted, probe))}]",
    ]
    for host in sorted(addresses.shared_storage):
        lines += [f"[host.{_quoted(host)}]", 'storage = "shared"']
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
