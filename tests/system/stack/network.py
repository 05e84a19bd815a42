"""The networks of the stack: one switch, two bridges on it, and a cable to each node and BMC.

All of it lives in network namespaces; the machine's own one has no address of it and no way to it.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.system.stack.plan import NAMESPACE_PREFIX, Plan
from tests.system.stack.processes import run

NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # <linux/sched.h>


class Net(Enum):
    """A bridge of the switch; the value begins the name of each port (of 15 letters at most)."""

    MANAGEMENT = "m"
    BMC = "b"

    @property
    def interface(self) -> str:
        """What a node calls its end of the cable."""
        return {Net.MANAGEMENT: "mgmt0", Net.BMC: "bmc0"}[self]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The switch of one stack, and what hangs on it."""

    plan: Plan

    def create(self) -> None:
        """Make the switch with its two bridges."""
        switch = self._switch
        if not _is_mounted(NAMESPACES):  # the first ``ip netns add`` makes a mount of it
            self._we_mounted.touch()
        run(("ip", "netns", "add", switch))
        for net in Net:
            run(("ip", "-n", switch, "link", "add", net.name.lower(), "type", "bridge"))
            run(("ip", "-n", switch, "link", "set", net.name.lower(), "up"))

    def add_namespace(self, node: str) -> None:
        """Make the namespace of a node or of a BMC (``bmc-HOST``)."""
        namespace = self.plan.namespace(node)
        run(("ip", "netns", "add", namespace))
        run(("ip", "-n", namespace, "link", "set", "lo", "up"))

    def lay_cable(self, port: str, net: Net, *, to: str, address: str) -> None:
        """Connect a namespace to the switch. A node switches its management interface on itself.

        Args:
            port: Whose it is; ``plug`` and ``unplug`` know the cable by it.
            to: The node, or ``bmc-HOST``.
        """
        switch, far = self._switch, self.plan.namespace(to)
        near = _port_name(port, net)
        peer = ("peer", "name", net.interface, "netns", far)
        run(("ip", "-n", switch, "link", "add", near, "type", "veth", *peer))
        run(("ip", "-n", switch, "link", "set", near, "master", net.name.lower(), "up"))
        run(("ip", "-n", far, "addr", "add", f"{address}/24", "dev", net.interface))
        self.switch_interface(to, net, on=net is not Net.MANAGEMENT)

    def switch_interface(self, node: str, net: Net, *, on: bool) -> None:
        """Switch the node's own end of a cable."""
        state = "up" if on else "down"
        run(("ip", "-n", self.plan.namespace(node), "link", "set", net.interface, state))

    def plug(self, port: str, net: Net) -> None:
        """Put the cable into the switch."""
        run(("ip", "-n", self._switch, "link", "set", _port_name(port, net), "up"))

    def unplug(self, port: str, net: Net) -> None:
        """Pull the cable out of the switch: from now on nothing passes, in no direction."""
        run(("ip", "-n", self._switch, "link", "set", _port_name(port, net), "down"))

    def namespaces(self) -> tuple[Path, ...]:
        """All namespaces of this stack that exist."""
        return tuple(sorted(NAMESPACES.glob(f"{NAMESPACE_PREFIX}{self.plan.name}-*")))

    def delete(self) -> None:
        """Delete every namespace, and with them bridges and cables."""
        for namespace in self.namespaces():
            run(("ip", "netns", "delete", namespace.name))
        if self._we_mounted.exists() and not any(NAMESPACES.iterdir()):
            run(("umount", str(NAMESPACES)))
            NAMESPACES.rmdir()

    @property
    def _we_mounted(self) -> Path:
        return self.plan.run / "mounted-netns"

    @property
    def _switch(self) -> str:
        return self.plan.namespace("switch")


def join(namespace: str) -> None:
    """Put the calling thread, and threads that it starts later, into a network namespace.

    Raises:
        OSError: There is none of this name, or this is not root.
    """
    _enter(NAMESPACES / namespace)


@contextmanager
def joined(namespace: str) -> Iterator[None]:
    """Like ``join``, until the end of the block. Raises as ``join``."""
    back = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
    try:
        join(namespace)
        try:
            yield
        finally:
            _set_namespace(back)
    finally:
        os.close(back)


def _is_mounted(folder: Path) -> bool:
    """Also where a folder is mounted on itself, which ``Path.is_mount`` does not see."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(mount.split()[4] == str(folder) for mount in mounts)


def _enter(namespace: Path) -> None:
    handle = os.open(namespace, os.O_RDONLY)
    try:
        _set_namespace(handle)
    finally:
        os.close(handle)


def _set_namespace(handle: int) -> None:
    """``setns``, which Python has from 3.12 on; it moves the calling thread only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _port_name(port: str, net: Net) -> str:
    return f"{net.value}-{port}"
