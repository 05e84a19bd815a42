"""The program that the probe runs on a node: it reads there, and prints one JSON object.

It is sent to the node's own ``python3`` on stdin, so it stands alone: the standard library of
Python 3.8, nothing of hacli. It changes nothing. Of ``nova.conf`` only the few values that tell
where disks are leave the node: the file is full of passwords.
"""

from __future__ import annotations

import configparser
import glob
import json
import os
import pwd
import re
import sys
import time

VERSION = 1
CONFIG_FILES = (
    "/usr/share/nova/nova-dist.conf",
    "/etc/nova/nova.conf",
    "/etc/nova/nova.conf.d/*.conf",
    "/etc/nova/nova-compute.conf",
)
"""Read in this order, as nova-compute is started by distributions; a later value counts."""
CONTAINER_FILES = ("/etc/kolla/nova-compute/nova.conf",)
UNITS = ("libvirt-guests", "nova-compute", "openstack-nova-compute")
OWN_DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "tmpfs", "overlay")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST = 20000
TRUE = ("true", "1", "on", "yes")


def read(root: str = "") -> dict[str, object]:
    """What this node says; ``root`` stands before every path."""
    values = _configuration(root)
    default, libvirt = values.get("DEFAULT", {}), values.get("libvirt", {})
    path = _expanded(default.get("instances_path", "$state_path/instances"), default)
    real = os.path.realpath(root + path)[len(os.path.realpath(root)) if root else 0 :]
    there = os.path.isdir(root + real)
    mount = _mount_of(root, real) if there else None
    local = mount is not None and mount["type"] in OWN_DISKS
    return {
        "probe": VERSION,
        "images_type": libvirt.get("images_type", "default"),
        "rbd_pool": libvirt.get("images_rbd_pool", "rbd"),
        "instances_path": real,
        "mount": mount,
        "writable": _writable(root + real) if there else None,
        "registered": _registered(root + real) if there else {},
        "directories": _directories(root + real) if local else [],
        "units": _enabled_units(root),
        "domains": len(glob.glob(root + "/etc/libvirt/qemu/autostart/*.xml")),
        "resume_guests": default.get("resume_guests_state_on_host_boot", "").lower() in TRUE,
    }


def _configuration(root: str) -> dict[str, dict[str, str]]:
    """The sections of all files, as oslo.config reads them: the last value of a key counts."""
    paths = _existing(root, CONFIG_FILES) or _existing(root, CONTAINER_FILES)
    if not paths:
        raise OSError("there is no nova.conf")
    parser = configparser.ConfigParser(
        strict=False,
        interpolation=None,
        allow_no_value=True,
        default_section="none at all",  # oslo's [DEFAULT] is a section like others
        comment_prefixes=("#", ";"),
    )
    for path in paths:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    return {
        name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()
    }


def _existing(root: str, patterns: tuple[str, ...]) -> list[str]:
    return [path for pattern in patterns for path in sorted(glob.glob(root + pattern))]


def _expanded(path: str, default: dict[str, str]) -> str:
    state_path = default.get("state_path", "/var/lib/nova")
    whole = re.sub(r"\$(state_path\b|\{state_path\})", lambda _: state_path, path)
    if "$" in whole or not whole.startswith("/"):
        raise OSError("instances_path is " + path)
    return os.path.normpath(whole)


def _mount_of(root: str, directory: str) -> dict[str, str] | None:
    """The nearest mount above; of several on one point the last is the one that is seen."""
    found = None
    with open(root + "/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            source, point, kind = (_unescaped(word) for word in line.split()[:3])
            holds = point in ("/", directory) or directory.startswith(point + "/")
            if holds and (found is None or len(point) >= len(found["point"])):
                found = {"point": point, "type": kind, "source": source}
    return found


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _writable(directory: str) -> bool | None:
    """Whether Nova's user may make files there; None: we are neither root nor that user."""
    try:
        nova = pwd.getpwnam("nova")
        user, groups = nova.pw_uid, os.getgrouplist("nova", nova.pw_gid)
    except KeyError:
        user, groups = os.stat(directory).st_uid, []  # in a container it has no name out here
    if user == 0:
        return None  # root's, and nobody here is called nova: whose it is to Nova is not known
    if os.geteuid() == user:
        return os.access(directory, os.W_OK | os.X_OK)
    if os.geteuid() != 0:
        return None
    child = os.fork()
    if child == 0:
        allowed = 2
        try:
            os.setgroups(groups)
            os.setgid(groups[0] if groups else user)
            os.setuid(user)
            allowed = 0 if os.access(directory, os.W_OK | os.X_OK) else 1
        finally:
            os._exit(allowed)
    code = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    return {0: True, 1: False}.get(code)


def _registered(directory: str) -> dict[str, float]:
    """Hosts in Nova's own register of who uses the directory, and seconds since each wrote."""
    try:
        with open(directory + "/compute_nodes", encoding="utf-8") as file:
            told = json.load(file)
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    now = time.time()
    times = {str(host): at for host, at in told.items() if isinstance(at, (int, float))}
    return {host: max(0.0, now - at) for host, at in sorted(times.items())[:MOST]}


def _directories(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if UUID.fullmatch(entry.name)][:MOST]


def _enabled_units(root: str) -> list[str]:
    """Units that systemd starts at boot: those that some target wants or requires."""
    kinds = ("wants", "requires")
    return [
        unit
        for unit in UNITS
        if any(
            glob.glob(root + "/etc/systemd/system/*." + k + "/" + unit + ".service") for k in kinds
        )
    ]


def main() -> None:
    """Print what is found, or why nothing can be said."""
    try:
        found = read()
    except (OSError, ValueError, configparser.Error) as error:
        found = {"probe": VERSION, "error": str(error)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
