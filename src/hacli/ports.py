"""What hacli asks of the world, as Protocols, and World, their bundle.

Adapters translate one call each: they never retry, wait or decide, and their constructors do no
I/O. Every call ends within its own time limit. A read raises a ``SourceError`` or returns a value
that was really read; a write that changes Nova returns a ``RequestOutcome``, because "no answer"
is a result to act on, not an exception to forget.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeVar

from hacli.domain.claim import ProcessId
from hacli.domain.cluster import ClaimState, ClusterView, NodeState
from hacli.domain.events import Event, Moment, StoredEvent
from hacli.domain.evidence import FenceEvidence
from hacli.domain.host_storage import NodeStorage
from hacli.domain.power import Bmc, PowerState
from hacli.domain.servers import (
    Aggregate,
    Caller,
    ComputeService,
    Guest,
    Hypervisor,
    InstanceAction,
    Migration,
    RequestOutcome,
    Server,
    ServerGroup,
    ServerList,
    ServiceList,
)
from hacli.domain.storage import Image, Volume, VolumeService

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class FenceAnswer(Enum):
    """How ``stonith_admin`` ended."""

    CONFIRMED = "confirmed"  # exit 0
    FAILED = "failed"  # it tried and says no
    PENDING = "pending"  # we stopped waiting; the order may still be carried out
    NO_DEVICE = "no device"  # no such device or node


@dataclass(frozen=True, kw_only=True)
class FenceResult:
    """The end of one fencing order, with the tool's own words."""

    answer: FenceAnswer
    exit_code: int | None
    message: str


class Cluster(Protocol):
    """Pacemaker, through its command-line tools behind the configured prefix."""

    def read_view(self) -> ClusterView:
        """One crm_mon and one full CIB read.

        Raises:
            Unreachable: No cluster here (exit 102), a time-out, no prefix that works.
            Unreadable: An attribute we decide on is missing or has an unknown value.
            NotPermitted: Neither root nor in group haclient.
        """
        ...

    def read_node_state(self, node: str, *, claim: str | None = None) -> NodeState:
        """The cheap re-read by cibadmin: one ``node_state`` and the quorum. Raises as read_view.

        With the claim of the host ``claim``, from the same answer as the ``node_state``.
        """
        ...

    def read_own_node(self) -> str | None:
        """Pacemaker's name of this machine; None when the tools are run elsewhere (ssh)."""
        ...

    def read_claim(self, host: str) -> ClaimState:
        """Who has the claim of a host, with quorum, from one answer. Raises as read_view."""
        ...

    def create_claim(self, host: str, text: str) -> bool:
        """Claim the host, in one order; False: somebody has it. Raises as read_view."""
        ...

    def replace_claim(self, host: str, old: str, new: str) -> bool:
        """Claim the host if its claim is still ``old``; False: it is not. Raises as read_view."""
        ...

    def delete_claim(self, host: str, text: str, *, timeout_s: float) -> str | None:
        """Take this claim away and read back what is there then; another one is left alone.

        Raises as read_view; Unreadable also when it is still there.
        """
        ...

    def fence_off(self, node: str, *, timeout_s: float) -> FenceResult:
        """``stonith_admin --fence``: order OFF and wait for its end, at most ``timeout_s``.

        Raises:
            Unreachable: The order certainly did not reach the cluster.
        """
        ...

    def confirm_off(self, node: str) -> None:
        """``stonith_admin --confirm``: tell Pacemaker that the node is down; the proof is ours."""
        ...

    def write_attribute(self, node: str, name: str, value: str) -> None:
        """Set a permanent node attribute and return when the CIB has it."""
        ...

    def clear_attribute(self, node: str, name: str) -> None:
        """Remove a permanent node attribute; fine when it is not there."""
        ...

    def restart_service(self, node: str, service: str, *, timeout_s: float) -> None:
        """Restart one service of the chain on this node, through Pacemaker."""
        ...


class Compute(Protocol):
    """Nova. Reads may be repeated underneath; what changes anything is sent exactly once."""

    def read_caller(self) -> Caller:
        """Who we are, whether admin is proven, and the negotiated microversions (read once)."""
        ...

    def read_services(self) -> ServiceList:
        """All services of the region, one request, with the API's Date."""
        ...

    def read_servers(self, host: str) -> ServerList:
        """Every server of exactly this Nova host, all pages, each checked to be of this host."""
        ...

    def read_all_servers(self) -> tuple[Server, ...]:
        """Every server of every host, all pages; those of a cell that is down are not in it."""
        ...

    def read_server(self, server_id: str) -> Server | None:
        """One server; None when Nova says that there is none (404)."""
        ...

    def read_changed(self, servers: Collection[str], *, since: datetime) -> tuple[Server, ...]:
        """Those of these servers (ids) that one page of Nova's newest changes since then has.

        Not in it: what was deleted, what a cell hides that is down, and what was left alone.
        """
        ...

    def read_hypervisor_servers(self, host: str) -> frozenset[str]:
        """Ids of the servers that the hypervisor list (``with_servers``) shows on this host."""
        ...

    def read_hypervisors(self) -> tuple[Hypervisor, ...]:
        """Approximate capacity and counts of all hosts, one request (paged)."""
        ...

    def read_evacuations(self, source: str) -> tuple[Migration, ...]:
        """All evacuation records of this source host, newest first, all pages."""
        ...

    def read_evacuations_of(self, server_id: str) -> tuple[Migration, ...]:
        """All evacuation records of one server, from any source, newest first."""
        ...

    def read_moves(self, host: str) -> tuple[Migration, ...]:
        """All unfinished live migrations, migrations and resizes from or to this host."""
        ...

    def read_actions(self, server_id: str) -> tuple[InstanceAction, ...]:
        """The action log of one server, newest first."""
        ...

    def read_guest(self, server_id: str) -> Guest:
        """Whether the guest executes now, asked of its host's hypervisor; Nova's list is older.

        Raises:
            Unreachable: Its nova-compute does not answer. Unreadable: It does not tell.
        """
        ...

    def read_groups(self) -> tuple[ServerGroup, ...]:
        """All server groups of all projects."""
        ...

    def read_aggregates(self) -> tuple[Aggregate, ...]:
        """All host aggregates, one request."""
        ...

    def disable(self, service: ComputeService, *, reason: str, timeout_s: float) -> RequestOutcome:
        """Stop new servers going to the host. On a dead host that Nova calls up it takes 60 s."""
        ...

    def enable(self, service: ComputeService) -> RequestOutcome:
        """Let the scheduler use the host again."""
        ...

    def force_down(
        self,
        service: ComputeService,
        evidence: FenceEvidence,
        *,
        disable_reason: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """Tell Nova that the host is down; with a reason, disable it in the same PUT.

        ``may_send`` is asked right before the request leaves, after any login; no: ``NotSent``.
        """
        ...

    def force_up(self, service: ComputeService) -> RequestOutcome:
        """Take the force-down away. Refused (400) while ``done`` evacuations remain."""
        ...

    def evacuate(
        self,
        server_id: str,
        evidence: FenceEvidence,
        *,
        target: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """Ask for one evacuation, once, below microversion 2.95 (running stays running).

        ``may_send`` as for ``force_down``.
        """
        ...

    def start(self, server_id: str, *, may_send: Callable[[], bool]) -> RequestOutcome:
        """Start a server that Nova calls SHUTOFF, where it is. ``may_send`` as above."""
        ...

    def hard_reboot(self, server_id: str, *, may_send: Callable[[], bool]) -> RequestOutcome:
        """Start the guest anew where it is; one that runs is cut off. ``may_send`` as above."""
        ...


class Volumes(Protocol):
    """Cinder. Both reads raise ``Unreachable``, ``Unreadable`` or ``NotPermitted``."""

    def read_volumes(self) -> Mapping[str, Volume]:
        """All volumes of all projects, by id: requests by pages."""
        ...

    def read_services(self) -> tuple[VolumeService, ...]:
        """All cinder-volume services, one request."""
        ...


class Images(Protocol):
    """Glance."""

    def read_images(self) -> Mapping[str, Image]:
        """All usable images and snapshots of all projects, by id. Raises as ``Volumes``."""
        ...


class NodeProbe(Protocol):
    """The nodes themselves, through a configured command. It changes nothing there."""

    def read_node(self, host: str) -> NodeStorage:
        """What this Nova host says of its own storage.

        Raises:
            Unreachable: No answer in time, or the command failed.
            Unreadable: The node cannot tell, or not what was asked.
        """
        ...


class PowerSwitch(Protocol):
    """The BMC of one compute host."""

    def read_state(self) -> PowerState:
        """What the BMC reports right now.

        Raises:
            Unreachable: No usable answer. The host counts as running.
            NotPermitted: It refuses the login.
        """
        ...

    def power_off(self) -> None:
        """Order an immediate hard power-off and return at once. Raises as read_state."""
        ...

    def power_on(self) -> None:
        """Order power on; return without waiting for it. Raises as read_state."""
        ...


class History(Protocol):
    """What runs have recorded on this machine."""

    def read_events(
        self, *, host: str | None = None, run: str | None = None
    ) -> tuple[StoredEvent, ...]:
        """Stored events, oldest first, of one host or run."""
        ...


class Journal(History, Protocol):
    """The record of one run, and the way to earlier ones. Losing it loses history, never safety."""

    @property
    def run(self) -> str:
        """Id of this run, ``r-`` and some hex digits."""
        ...

    def record(self, event: Event) -> None:
        """Store the event durably, number it, then pass it on to the listeners."""
        ...


class Clock(Protocol):
    """Time. Ages use ``monotonic``, limits ``awake``; people read ``now``, records a ``moment``."""

    def now(self) -> datetime:
        """UTC."""
        ...

    def moment(self) -> Moment:
        """Now, so that its age can be told later, by another process, too."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back and count while the machine sleeps."""
        ...

    def awake(self) -> float:
        """As ``monotonic``, less the time in which this process stood still.

        Who was stopped for five minutes has not waited for five minutes: what was said meanwhile is
        still to be heard, so it does not count against a limit.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            Interrupted: A signal asked the run to stop.
        """
        ...


class Task(Protocol[T_co]):
    """One port call in flight."""

    @property
    def done(self) -> bool:
        """The call has returned or raised."""
        ...

    def result(self) -> T_co:
        """What the call returned, or raise what it raised."""
        ...


class Tasks(Protocol):
    """Bounded workers. Each makes one port call and returns a value; they decide nothing."""

    def submit(self, call: Callable[[], T]) -> Task[T]:
        """Start ``call`` on a worker, or queue it when all are busy."""
        ...

    def wait_any(self, tasks: Collection[Task[object]], *, timeout_s: float) -> None:
        """Return when one of the tasks is done or the time has passed, whichever is first.

        Raises:
            Interrupted: A signal asked the run to stop.
        """
        ...


class Locks(Protocol):
    """One run per host on this machine (flock); released by the kernel when the process dies."""

    def acquire(self, host: str, *, run: str) -> None:
        """Take the lock of ``host``.

        Raises:
            Busy: Another process has it; the error says which and since when.
        """
        ...

    def release(self, host: str) -> None:
        """Give it back."""
        ...


class Machine(Protocol):
    """The machine on which this process runs."""

    def own_process(self) -> ProcessId:
        """This process."""
        ...

    def runs(self, process: ProcessId) -> bool:
        """Whether this process of this machine runs; in doubt it does."""
        ...


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything a service may touch."""

    cluster: Cluster | None  # None: configured to work without one
    compute: Compute
    volumes: Volumes
    images: Images
    probe: NodeProbe | None  # None: no command is configured
    switch: Callable[[Bmc], PowerSwitch]
    open_journal: Callable[[str, str], Journal]  # operation, host
    locks: Locks
    machine: Machine
    clock: Clock
    tasks: Tasks
