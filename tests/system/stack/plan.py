"""What the stack is made of: its size, its folders, its addresses and its logins. Values only."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

CLOUD_NODE = "cloud"
NAMESPACE_PREFIX = "hacli-"
MANAGEMENT_NET = "10.99.0"
BMC_NET = "10.99.1"
CHAIN = ("neutron-openvswitch-agent", "ceilometer-agent-compute", "nova-compute")
"""The services of a compute host, in the order in which Pacemaker starts them."""
DOMAIN = "site.example"


class Release(Enum):
    """Which Nova runs; the services around it are always the newest."""

    NEWEST = "newest"
    ZED = "zed"


class FenceAction(Enum):
    """What Pacemaker orders for a lost host (``pcmk_reboot_action``)."""

    OFF = "off"
    REBOOT = "reboot"


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user and the password; of systems that exist inside the stack's namespaces only."""

    user: str
    password: str


OPERATOR = Login(user="admin", password="lab")
"""The admin of project ``admin``, domains ``Default``, region ``RegionOne``."""
BMC_LOGIN = Login(user="admin", password="labsecret")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One stack. Two with different ``name`` and ``folder`` live side by side.

    Args:
        folder: The work folder. Everything that is kept or written lies below it.
        name: Distinguishes the network namespaces of several stacks.
        boot_s: Between power-on and the network of a compute host.
    """

    folder: Path
    name: str = "s"
    hosts: int = 4
    controllers: int = 1
    release: Release = Release.NEWEST
    fence: FenceAction = FenceAction.OFF
    boot_s: float = 2.0

    @property
    def cache(self) -> Path:
        """Unpacked packages and Python environments, kept between runs."""
        return self.folder / "cache"

    @property
    def run(self) -> Path:
        """The running stack; gone when it is down."""
        return self.folder / "run"

    @property
    def truth(self) -> Path:
        """What the hypervisors did (``ledger.jsonl``) and shall do (``driver.json``)."""
        return self.run / "truth"

    def node_folder(self, node: str) -> Path:
        """Of one node: its disk, its records, its console."""
        return self.run / "nodes" / node

    def disk(self, node: str) -> Path:
        """What survives the node's reboots."""
        return self.node_folder(node) / "disk"

    def bmc_folder(self, host: str) -> Path:
        """Of one BMC: its mode, its log, its records."""
        return self.run / "bmc" / host

    @cached_property
    def controller_names(self) -> tuple[str, ...]:
        """Pacemaker's cluster nodes."""
        return tuple(f"controller-{number}" for number in range(1, self.controllers + 1))

    @cached_property
    def host_names(self) -> tuple[str, ...]:
        """Pacemaker's remote nodes."""
        return tuple(f"compute-{number}" for number in range(1, self.hosts + 1))

    def nova_name(self, host: str) -> str:
        """What Nova calls it: the last host by its full name, the others as the cluster does."""
        return f"{host}.{DOMAIN}" if host == self.host_names[-1] else host

    def namespace(self, node: str) -> str:
        """The network namespace of a node, of ``switch``, or of a BMC (``bmc-HOST``)."""
        return f"{NAMESPACE_PREFIX}{self.name}-{node}"

    def management_address(self, node: str) -> str:
        """In the network of cluster and cloud."""
        if node == CLOUD_NODE:
            return f"{MANAGEMENT_NET}.50"
        return f"{MANAGEMENT_NET}.{_last_octet(node)}"

    def bmc_address(self, node: str) -> str:
        """Of a host's BMC, or of a controller in the BMCs' network."""
        return f"{BMC_NET}.{_last_octet(node)}"


def _last_octet(node: str) -> int:
    kind, _, number = node.rpartition("-")
    return int(number) + (100 if kind == "compute" else 0)
