"""What a contract case may touch: hacli's ports, and hands to steer the world behind them.

Three worlds fit: the lab behind its doors, the lab in virtual time, and the real stack. A case
never asks which one it is in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hacli.ports import Cluster, Compute, PowerSwitch


class Standing(Enum):
    """What a server is when the outage comes."""

    ACTIVE = "active"
    LOCKED = "locked"
    SHUTOFF = "shutoff"
    ERROR = "error"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    RESCUED = "rescued"
    VERIFY_RESIZE = "verify resize"
    SHELVED_OFFLOADED = "shelved offloaded"
    SOFT_DELETED = "soft deleted"


class Disk(Enum):
    """What a server boots from."""

    IMAGE = "image"
    VOLUME = "volume"


class BmcMode(Enum):
    """How a BMC behaves."""

    NORMAL = "normal"
    SILENT = "silent"  # nothing reaches it
    STUCK = "stuck"  # acknowledges off; the chassis stays on and it says so
    LIAR = "liar"  # acknowledges off and reports it; the host lives
    DENIED = "denied"  # its password is another one


class FencesBy(Enum):
    """What Pacemaker's fence devices do when a lost host is to be fenced."""

    OFF = "off"
    REBOOT = "reboot"


@dataclass(frozen=True)
class Crash:
    """The kernel panics; the chassis stays on."""

    host: str


@dataclass(frozen=True)
class Cut:
    """The host loses its network; everything on it runs on."""

    host: str


@dataclass(frozen=True)
class Join:
    """The network is back."""

    host: str


@dataclass(frozen=True)
class PullPlug:
    """The chassis loses its power, behind everybody's back."""

    host: str


@dataclass(frozen=True)
class PressPower:
    """Somebody switches the chassis on; what is on already stays on."""

    host: str


@dataclass(frozen=True)
class TurnBmc:
    """A BMC begins to behave so."""

    host: str
    mode: BmcMode


@dataclass(frozen=True)
class FailStop:
    """From now on this service of the chain cannot be stopped on the host."""

    host: str
    service: str


@dataclass(frozen=True)
class MendStop:
    """It can be stopped again."""

    host: str
    service: str


@dataclass(frozen=True)
class KillCompute:
    """nova-compute alone dies."""

    host: str


@dataclass(frozen=True)
class SpawnTakes:
    """Every hypervisor needs so long to start a guest, in seconds."""

    seconds: float


@dataclass(frozen=True)
class SpawnFails:
    """The hypervisors of these hosts start no guest; of all others they do again."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class ShareDisks:
    """From now on servers are made with their disks on a storage that all hosts share."""


@dataclass(frozen=True)
class Fence:
    """Pacemaker's fence devices are told what to do."""

    by: FencesBy


Deed = (
    Crash
    | Cut
    | Join
    | PullPlug
    | PressPower
    | TurnBmc
    | FailStop
    | MendStop
    | KillCompute
    | SpawnTakes
    | SpawnFails
    | ShareDisks
    | Fence
)


@dataclass(frozen=True)
class Ran:
    """How a command on the controller ended."""

    code: int
    out: str


class Site(Protocol):
    """A region of at least four compute hosts, healthy at first. Seconds are the site's own."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Pacemaker's names of the compute hosts."""
        ...

    @property
    def cluster(self) -> Cluster:
        """Pacemaker, by hacli's adapter."""
        ...

    @property
    def compute(self) -> Compute:
        """Nova, by hacli's adapter, as an administrator."""
        ...

    @property
    def now(self) -> float:
        """Seconds that only go up; the only clock of a case."""
        ...

    def nova_host(self, host: str) -> str:
        """Nova's name of a host, which need not be Pacemaker's."""
        ...

    def switch(self, host: str, *, password: str | None = None) -> PowerSwitch:
        """A host's BMC by hacli's adapter, with its own password or another one."""
        ...

    def boot(self, host: str, *standings: Standing, disk: Disk = Disk.VOLUME) -> tuple[str, ...]:
        """New servers on a host, each brought to its standing; their ids."""
        ...

    def order(self, server: str, action: Mapping[str, object]) -> int:
        """POST an action of Nova's that no port has; the HTTP status."""
        ...

    def do(self, deed: Deed) -> None:
        """Do something to the world behind the ports."""
        ...

    def tool(self, *argv: str) -> Ran:
        """Run one of Pacemaker's tools on the controller, to its end."""
        ...

    def until(self, is_so: Callable[[], bool], *, within_s: float) -> float:
        """Let time pass until it is so; how long that took. Fails when it takes too long."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        ...

    def running(self, server: str) -> tuple[str, ...]:
        """The truth: hosts on which the server's guest executes, whatever any API says."""
        ...

    def disk(self, server: str, host: str) -> str | None:
        """The truth: identity of the root disk that a host has for the server."""
        ...
