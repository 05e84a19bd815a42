"""What a stack may leave on the machine: everything that still knows its folder or its name."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.system.stack import debian
from tests.system.stack.network import NAMESPACES, Network
from tests.system.stack.plan import Plan
from tests.system.stack.processes import PROC


def traces_of(plan: Plan) -> tuple[str, ...]:
    """Processes, namespaces, mounts and files of the stack, in words. It must be empty."""
    return tuple(_traces_of(plan))


def mounts() -> frozenset[str]:
    """The mounts that the machine has, by place."""
    return frozenset(
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )


def _traces_of(plan: Plan) -> Iterator[str]:
    if plan.run.exists():
        yield f"files in {plan.run}"
    for namespace in Network(plan=plan).namespaces():
        yield f"network namespace {namespace.name}"
    for place in mounts():
        if place.startswith((str(plan.folder), str(NAMESPACES / plan.namespace("")))):
            yield f"mount {place}"
    if debian.POLICY.exists() and debian.POLICY.read_text() == debian.OUR_POLICY:
        yield f"our {debian.POLICY}"
    folder = str(plan.folder).encode()
    for process in PROC.iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and _knows(process, folder):
            yield f"process {process.name}: {_read(process / 'cmdline').decode(errors='replace')}"


def _knows(process: Path, folder: bytes) -> bool:
    """It was called with the folder, works in it, or lives where something of it is mounted."""
    told = b"".join(_read(process / name) for name in ("cmdline", "environ", "mountinfo"))
    with suppress(OSError):  # it has ended, or nobody may ask
        told += os.fsencode((process / "cwd").readlink())
    return folder in told


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended, or nobody may ask
        return b""
