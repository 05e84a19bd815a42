"""The claim of a host in the CIB: what it says of its holder, and when it may be taken over.

One run per host across controllers (law L9). In doubt the holder is alive (law L1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote

from hacli.domain.cluster import ClusterMember, ClusterView

VERSION = "v1"
NOBODY = "-"
"""In the place of a controller: the process runs on no member of the cluster."""
TAKE_OVER = "--take-over"

_LARGEST_PID = 2**31 - 1
_FIELDS = ("run", "hacli", "controller", "machine", "user", "pid", "started", "boot", "ns", "since")


@dataclass(frozen=True, kw_only=True)
class ProcessId:
    """One process, told from every other of its machine's life and from those after a reboot.

    A pid means something in its own pid namespace only, so that two containers on one machine
    cannot take each other for dead.
    """

    boot: str  # the kernel's boot id
    namespace: str  # of pids; its inode
    pid: int
    started: int  # clock ticks since boot: a pid is used again


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Who works on the host."""

    run: str
    hacli: str  # its version
    controller: str | None  # Pacemaker's name of the holder's own machine; None: not a member
    machine: str  # its host name, for people
    user: str
    process: ProcessId
    since: datetime

    @property
    def text(self) -> str:
        """The value that stands in the CIB: words without a quote, blank or bracket in them."""
        values: Mapping[str, object] = {
            "run": self.run,
            "hacli": self.hacli,
            "controller": self.controller or NOBODY,
            "machine": self.machine,
            "user": self.user,
            "pid": self.process.pid,
            "started": self.process.started,
            "boot": self.process.boot,
            "ns": self.process.namespace,
            "since": self.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        words = [f"{name}={quote(str(values[name]), safe=':')}" for name in _FIELDS]
        return " ".join([VERSION, *words])

    @property
    def words(self) -> str:
        """The holder, for people."""
        since = self.since.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
        return (
            f"run {self.run} of {self.user} on {self.machine}, pid {self.process.pid}, "
            f"since {since}"
        )


def parse_claim(text: str) -> Claim:
    """The claim that this value says.

    Raises:
        ValueError: Another version wrote it, or it is no claim: then nothing is known of the
            holder.
    """
    version, *words = text.split(" ")
    if version != VERSION:
        known = re.fullmatch(r"v\d+", version)
        raise ValueError(f"it is of version {version}" if known else "it is no claim of hacli's")
    found = dict(word.partition("=")[::2] for word in words)
    if tuple(found) != _FIELDS or len(words) != len(_FIELDS) or not all(found.values()):
        raise ValueError("it is no claim of hacli's")
    values = {name: unquote(value) for name, value in found.items()}
    since = _moment(values["since"])
    pid, started = _whole(values["pid"]), _whole(values["started"])
    if since is None or pid is None or started is None or not 0 < pid <= _LARGEST_PID:
        raise ValueError("it has a number or a time that is none")
    return Claim(
        run=values["run"],
        hacli=values["hacli"],
        controller=None if values["controller"] == NOBODY else values["controller"],
        machine=values["machine"],
        user=values["user"],
        process=ProcessId(
            boot=values["boot"],
            namespace=values["ns"],
            pid=pid,
            started=started,
        ),
        since=since,
    )


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


@dataclass(frozen=True, kw_only=True)
class Gone:
    """The holder is no more, and why. ``dead``: it can certainly send nothing any more."""

    why: str
    dead: bool


@dataclass(frozen=True, kw_only=True)
class Held:
    """The holder lives, or may live, and why. ``seen``: it certainly does, so nobody takes over."""

    why: str
    seen: bool = False


@dataclass(frozen=True, kw_only=True)
class Here:
    """Where it is asked from."""

    process: ProcessId  # the one that asks
    node: str | None  # Pacemaker's name of this machine; None: not a member
    holder_runs: bool  # the holder's pid is used, as far as can be seen from here


def judge_holder(claim: Claim, here: Here, view: ClusterView) -> Gone | Held:
    """Whether the holder of a claim is proven gone; only then is it taken over unasked.

    Proof is its dead process on this very machine, a boot of this machine since, or that the
    cluster has fenced its machine or seen it leave.
    """
    if claim.process.boot == here.process.boot:
        if claim.process.namespace != here.process.namespace:
            return Held(why="it was started in another container of this machine")
        if here.holder_runs:
            return Held(why="its process runs on this machine", seen=True)
        return Gone(why="its process on this machine is no more", dead=True)
    if claim.controller is None:
        return Held(why=f"whether its process still runs on {claim.machine} cannot be seen here")
    if claim.controller == here.node:
        return Gone(why="this machine has been booted since", dead=True)
    return _judge_member(claim.controller, view)


def _judge_member(name: str, view: ClusterView) -> Gone | Held:
    member = view.member(name)
    if member is None or not view.acts:
        return Held(why=f"the cluster says nothing certain of {name}")
    if member.online or member.pending or member.unclean or member.in_cluster:
        return Held(why=f"{name} is not known to be out of the cluster")
    if member.node_fenced:
        if _was_fenced(member):
            return Gone(why=f"{name} was fenced", dead=True)
        return Held(why=f"nobody saw how {name} was fenced")
    if member.left and view.fencing_enabled and not view.maintenance_mode:
        return Gone(why=f"{name} has left the cluster", dead=False)
    return Held(why=f"{name} is not known to have left the cluster in order")


def _was_fenced(member: ClusterMember) -> bool:
    """A device did it, the CIB names this fencing, and none is pending."""
    newest = member.fence_events[0] if member.fence_events else None
    return (
        newest is not None
        and newest.executed
        and newest.action in ("off", "reboot")
        and newest.completed is not None
        and int(newest.completed.timestamp()) == member.node_fenced
    )
