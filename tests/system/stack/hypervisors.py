"""The hypervisors as their driver sees them: what they did, what they shall do, which disks exist.

``inside/guest_driver.py`` writes the ledger and the disks, and reads the orders at each call.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tests.system.stack.files import write_whole
from tests.system.stack.plan import Plan

EVERY = "*"
"""Stands for every server or every host in an order to fail."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One line of the ledger.

    Args:
        at: Seconds since the epoch.
        host: Nova's name.
        server: None for what concerns the host.
        disk: The disk's id, ``volume`` for a server without a disk of its own, or None.
        new_disk: The disk was made anew from the image: what was on the old one is not on it.
    """

    at: float
    host: str
    what: str
    server: str | None
    disk: str | None = None
    new_disk: bool = False


def tell(
    plan: Plan,
    *,
    spawn_s: float = 0.0,
    destroy_s: float = 0.0,
    live_migrate_s: float = 0.0,
    shared: bool = False,
    fail_spawn: Iterable[str] = (),
    fail_on: Iterable[str] = (EVERY,),
) -> None:
    """Give all hypervisors new orders; they hold from the next call on, until the next ``tell``.

    Args:
        spawn_s: Seconds a spawn takes; likewise ``destroy_s`` and ``live_migrate_s``.
        shared: Whether disks lie on storage that all hosts share.
        fail_spawn: Servers (ids, or EVERY) whose spawn fails on the hosts ``fail_on``.
        fail_on: Nova's names of hosts, or EVERY.
    """
    orders = {
        "spawn_s": spawn_s,
        "destroy_s": destroy_s,
        "live_migrate_s": live_migrate_s,
        "shared": shared,
        "fail_spawn": list(fail_spawn),
        "fail_on": list(fail_on),
    }
    plan.truth.mkdir(parents=True, exist_ok=True)
    write_whole(plan.truth / "driver.json", json.dumps(orders))


def ledger(plan: Plan) -> tuple[Deed, ...]:
    """What all hypervisors did, oldest first."""
    file = plan.truth / "ledger.jsonl"
    if not file.exists():
        return ()
    return tuple(Deed(**json.loads(line)) for line in file.read_text().splitlines())


def disk_of(plan: Plan, host: str, server: str) -> str | None:
    """The id of a server's disk on a host (the cluster's name), or on the shared storage."""
    for folder in (plan.disk(host) / "nova" / "disks", plan.truth / "disks"):
        if (folder / server).exists():
            return (folder / server).read_text()
    return None
