"""A shell on a host of the lab, for one command: the storage probe, as it ends on a real node.

The program that is sent is not run: the answer is made of what the region knows of the host.
"""

import json
from pathlib import PurePosixPath

from hacli.lab.cloud import Cloud
from hacli.lab.machines import Machine
from hacli.lab.tool import Answer

INSTANCES = "/var/lib/nova/instances"
EXPORT = "lab-filer:/instances"
_SSH_FAILED = 255
_NO_COMMAND = 127


def run_on_node(cloud: Cloud, host: str, words: tuple[str, ...]) -> Answer:
    """Run a command on a host, as through ssh."""
    machine = cloud.machines[host]
    if not machine.answers:
        return Answer(
            code=_SSH_FAILED, stderr=f"ssh: connect to host {host} port 22: No route to host\n"
        )
    if PurePosixPath(words[0] if words else "").name != "python3":
        return Answer(code=_NO_COMMAND, stderr=f"{' '.join(words)}: command not found\n")
    return Answer(stdout=json.dumps(_storage(cloud, machine)))


def _storage(cloud: Cloud, machine: Machine) -> dict[str, object]:
    shared = cloud.tables.shared_storage
    is_shared = machine.name in shared
    mount = (
        {"point": INSTANCES, "type": "nfs4", "source": EXPORT}
        if is_shared
        else {"point": "/", "type": "ext4", "source": "/dev/vda1"}
    )
    own = [guest.server for guest in machine.guests.values() if guest.local_disk]
    traps = machine.traps
    return {
        "probe": 1,
        "images_type": "default",
        "rbd_pool": "rbd",
        "instances_path": INSTANCES,
        "mount": mount,
        "writable": True,
        "registered": dict.fromkeys(sorted(shared) if is_shared else [machine.name], 600.0),
        "directories": [] if is_shared else own + traps.directories,
        "units": traps.units,
        "domains": traps.domains,
        "resume_guests": traps.resume_guests,
    }
