"""The peer of the evacuation benchmark: what an operator would type in anger.

``bare_evacuate.py CLOUD HOST THREADS``: asks for every server of a forced-down host from so many
threads and waits until Nova calls each migration done. It proves nothing, keeps nothing, reads
nothing back: its time is Nova's own. Prints one line of JSON.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from keystoneauth1.adapter import Adapter
from openstack.config import OpenStackConfig

POLL_S = 0.5
LIMIT_S = 900.0
MICROVERSION = "2.94"
ENDED = {"done", "completed", "failed", "error"}


def main() -> None:
    """Evacuate, and say how long it took."""
    cloud, host, threads = sys.argv[1:]
    session = OpenStackConfig().get_one(cloud=cloud).get_session()
    nova = Adapter(session, service_type="compute", default_microversion=MICROVERSION)
    servers = _servers(nova, host)
    before = {migration["id"] for migration in _migrations(nova, host)}
    began = time.perf_counter()
    with ThreadPoolExecutor(int(threads)) as pool:
        for _ in pool.map(lambda server: _evacuate(nova, server), servers):
            pass
    asked_s = time.perf_counter() - began
    ends = _follow(nova, host, before, count=len(servers), until=began + LIMIT_S)
    took_s = time.perf_counter() - began
    took = {"servers": len(servers), "asked_s": asked_s, "took_s": took_s, "ends": ends}
    sys.stdout.write(json.dumps(took) + "\n")


def _servers(nova: Adapter, host: str) -> list[str]:
    path = f"/servers?all_tenants=1&host={host}"
    return [server["id"] for server in nova.get(path).json()["servers"]]


def _migrations(nova: Adapter, host: str) -> list[dict[str, str]]:
    path = f"/os-migrations?migration_type=evacuation&source_compute={host}"
    migrations: list[dict[str, str]] = nova.get(path).json()["migrations"]
    return migrations


def _evacuate(nova: Adapter, server: str) -> None:
    nova.post(f"/servers/{server}/action", json={"evacuate": {}})


def _follow(
    nova: Adapter, host: str, before: set[str], *, count: int, until: float
) -> dict[str, int]:
    """How the migrations ended: their number by status."""
    pause = Event()
    while time.perf_counter() < until:
        states = [m["status"] for m in _migrations(nova, host) if m["id"] not in before]
        if len(states) == count and ENDED.issuperset(states):
            return {state: states.count(state) for state in sorted(set(states))}
        pause.wait(POLL_S)
    raise SystemExit("the evacuations did not end in time")


if __name__ == "__main__":
    main()
