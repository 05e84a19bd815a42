"""The truth about guests: processes, counted in the machine's /proc. Nothing of Nova is asked."""

import os
from collections import defaultdict
from collections.abc import Mapping

from tests.system.stack import processes
from tests.system.stack.network import NAMESPACES
from tests.system.stack.plan import Plan

MARK = b"guest-"
"""Begins the name of a guest's process; the server's id follows."""


def running(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """The hosts on which each server runs now, by server: one entry for each process.

    A stopped process counts. A process is on the host whose network namespace it is in, which
    outlives the host's reboots and so misses nothing that should have died with it.
    """
    hosts = {
        (NAMESPACES / plan.namespace(host)).stat().st_ino: host
        for host in plan.host_names
        if (NAMESPACES / plan.namespace(host)).exists()
    }
    found: dict[str, list[str]] = defaultdict(list)
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        server = _server_of(pid)
        host = hosts.get(processes.namespace_of(pid, "net") or 0) if server else None
        if server and host:
            found[server].append(host)
    return {server: tuple(sorted(on)) for server, on in sorted(found.items())}


def running_twice(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Those of ``running`` that have more than one process. It must be empty, always."""
    return {server: hosts for server, hosts in running(plan).items() if len(hosts) > 1}


def _server_of(pid: int) -> str | None:
    """By the command line, which a zombie has no more. Asked often: no detour through pathlib."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            command = file.read(len(MARK) + 64)
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = command.partition(b"\0")[0]
    return name.removeprefix(MARK).decode() if name.startswith(MARK) else None
