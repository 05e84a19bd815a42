"""Which servers of a host that was fenced and is back are started there, and by which request.

Their guests died with the host, and Nova goes on calling them ACTIVE: for up to a minute after its
nova-compute has started (``[DEFAULT]periodic_fuzzy_delay``), until the power sync stops them in
Nova's books. A guest that runs is never touched, what was stopped stays stopped, and whatever is
not certain is named.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from hacli.domain.cluster import ClusterNode, ClusterView
from hacli.domain.evacuation import (
    DELETING_TASKS,
    Reason,
    Records,
    Skip,
    Wishes,
    belongs_to_this_outage,
    unfinished_move,
)
from hacli.domain.gates import Gate
from hacli.domain.hosts import (
    GATE_ATTRIBUTE,
    ComputeHost,
    chain_started,
    connected,
    disabled_by_recovery,
    opinion_counts,
    stopped_on_purpose,
)
from hacli.domain.servers import Guest, InstanceAction, Migration, Server

CLOCKS_S = 5.0
"""Pacemaker dates a fence by its controller's clock, Nova an action by its own. What lies closer to
the fence than this is neither before nor after it; a dead host's Nova writes nothing for longer.
"""
SETTLING_TASKS = frozenset(
    {
        "rebooting",
        "reboot_pending",
        "reboot_started",
        "rebooting_hard",
        "reboot_pending_hard",
        "reboot_started_hard",
        "powering-on",
        "powering-off",
    }
)
"""Nova is at it already; what comes of it decides."""
POWERLESS_ACTIONS = frozenset(
    {
        "lock",
        "unlock",
        "attach_volume",
        "detach_volume",
        "extend_volume",
        "swap_volume",
        "attach_interface",
        "detach_interface",
        "createImage",
        "createBackup",
        "changePassword",
    }
)
"""Actions that neither start nor stop a guest. Any other may."""
STARTS = frozenset({"create", "start", "reboot", "unpause", "resume", "unrescue", "unshelve"})
ENDS = frozenset({"stop", "pause", "suspend", "shelve", "shelveOffload", "rescue", "softDelete"})
AT_REST = frozenset({"suspended", "shelved", "shelved_offloaded", "soft-delete", "deleted"})
"""States in which no guest ran that an outage could have ended."""


class Way(Enum):
    """The request that starts a server; the value is Nova's action and our ``order``."""

    REBOOT = "reboot"  # Nova calls it ACTIVE, and refuses os-start with 409
    START = "start"  # Nova calls it SHUTOFF
    FOLLOW = "follow"  # Nova is at it already


@dataclass(frozen=True, kw_only=True)
class Start:
    """One server that is to run again where it is."""

    server: Server
    way: Way


@dataclass(frozen=True, kw_only=True)
class StartPlan:
    """Every server of the host: to be started, named, running, or at rest as before."""

    starts: tuple[Start, ...]
    skips: tuple[Skip, ...]
    running: int = 0
    at_rest: int = 0


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was asked about single servers; why there is no answer, where there is none."""

    guests: Mapping[str, Guest | str]
    actions: Mapping[str, Sequence[InstanceAction] | str]


def fenced_and_back(host: ComputeHost, view: ClusterView | None) -> datetime | None:
    """When this host, to which Pacemaker is connected again, was last fenced; None: it is no such.

    A fencing that a person confirmed counts: here it tells only where the outage lies in time.
    Nothing is started because of it unless the hypervisor says that the guest does not run.
    """
    node = host.node
    if node is None or view is None or not opinion_counts(node, view) or stopped_on_purpose(node):
        return None
    fences = (e for e in node.fence_events if e.status != "failed" and e.action != "on")
    newest = next(fences, None)
    if newest is None or newest.status != "success" or not connected(node) or node.node_fenced:
        return None
    return newest.completed


def gates_to_start(host: ComputeHost, view: ClusterView | None) -> tuple[Gate, ...]:
    """May servers be started on this host? Asked before, and again and again meanwhile."""
    return tuple(_gates(host, view))


def _gates(host: ComputeHost, view: ClusterView | None) -> Iterator[Gate]:
    def gate(name: str, why_not: str | None, text: str, code: str) -> Gate:
        passed = why_not is None
        return Gate(name=name, passed=passed, text=why_not or text, code=None if passed else code)

    at = fenced_and_back(host, view)
    gone = None if at is not None else "Pacemaker has no connection to it, or it was never fenced"
    back = f"fenced at {at:%Y-%m-%d %H:%M:%S}, and connected again" if at else ""
    yield gate("host is back", gone, back, "HOST_LOST")
    yield gate("taken back", _set_apart(host), "no recovery has it set apart", "HOST_RETURNED")
    yield gate("services run", _not_running(host), "its chain and nova-compute", "HOST_DEGRADED")


def _set_apart(host: ComputeHost) -> str | None:
    """A recovery is open: nova-compute must not work here, and the way back is `hacli enable`."""
    service = host.service
    if host.node is not None and GATE_ATTRIBUTE in host.node.attributes:
        return f"a recovery keeps nova-compute off it ({GATE_ATTRIBUTE})"
    if service is not None and service.forced_down:
        return "Nova was told that it is down"
    if service is not None and not service.enabled and disabled_by_recovery(service):
        return f"a recovery has disabled it ({service.disabled_reason})"
    return None


def _not_running(host: ComputeHost) -> str | None:
    node, service = host.node, host.service
    if node is not None and not chain_started(node):
        return _stopped_services(node)
    if service is None or not service.known or not service.up:
        return "Nova does not call its nova-compute up"
    return None


def _stopped_services(node: ClusterNode) -> str:
    names = [service.name for service in node.chain if service.role.value != "Started"]
    return f"not started yet: {', '.join(names)}"


def may_have_stopped(server: Server, fenced_at: datetime) -> bool:
    """Whether it is worth a question: Nova's list alone does not tell that it runs again.

    An ACTIVE server whose record has not been written since the fence was not started by Nova
    since; a stopped one is news only if its record has been.
    """
    if server.updated_at is None:
        return True
    since_s = (server.updated_at - fenced_at).total_seconds()
    return since_s > -CLOCKS_S if server.vm_state == "stopped" else since_s < CLOCKS_S


def to_ask_hypervisor(records: Records, wishes: Wishes) -> tuple[str, ...]:
    """Ids of the servers that Nova calls ACTIVE: only the hypervisor knows whether they run."""
    return tuple(
        server.id
        for server in records.servers
        if _screened(server, records, wishes) is None and server.vm_state == "active"
    )


def to_look_up(
    records: Records, wishes: Wishes, guests: Mapping[str, Guest | str]
) -> tuple[str, ...]:
    """Ids of the servers whose action log decides: those that do not run."""
    return tuple(
        server.id
        for server in records.servers
        if _screened(server, records, wishes) is None
        and (server.vm_state == "stopped" or guests.get(server.id) is Guest.NOT_RUNNING)
    )


def plan_starts(records: Records, wishes: Wishes, told: Told, *, fenced_at: datetime) -> StartPlan:
    """Sort the servers of the host."""
    starts: list[Start] = []
    skips: list[Skip] = []
    running = at_rest = 0
    for server in sorted(records.servers, key=lambda server: (server.name, server.id)):
        found = _sorted_in(server, records, wishes, told, fenced_at=fenced_at)
        if isinstance(found, Way):
            starts.append(Start(server=server, way=found))
        elif isinstance(found, Skip):
            skips.append(found)
        elif found is Guest.RUNNING:
            running += 1
        else:
            at_rest += 1
    return StartPlan(starts=tuple(starts), skips=tuple(skips), running=running, at_rest=at_rest)


def _sorted_in(
    server: Server, records: Records, wishes: Wishes, told: Told, *, fenced_at: datetime
) -> Way | Skip | Guest:
    screened = _screened(server, records, wishes)
    if screened is not None:
        return screened
    guest = told.guests.get(server.id) if server.vm_state == "active" else Guest.NOT_RUNNING
    if guest is Guest.RUNNING:
        return Guest.RUNNING
    if not isinstance(guest, Guest):
        text = f"whether it runs is not known: {guest or 'its hypervisor was not asked'}"
        return Skip(server=server, reason=Reason.UNSURE, text=text)
    actions = told.actions.get(server.id, "its action log was not read")
    if isinstance(actions, str):
        text = f"whether it ran before is not known: {actions}"
        return Skip(server=server, reason=Reason.UNSURE, text=text)
    return way_to_start(server, actions, fenced_at=fenced_at)


def _screened(server: Server, records: Records, wishes: Wishes) -> Way | Skip | Guest | None:
    """What the lists alone decide; None when hypervisor or action log must be asked."""

    def skip(reason: Reason, text: str) -> Skip:
        return Skip(server=server, reason=reason, text=text)

    if wishes.only and not wishes.only & {server.id, server.name}:
        return skip(Reason.NOT_CHOSEN, "not among the servers named with --server")
    evacuated = _evacuated(server, records.evacuations)
    if evacuated is not None:
        return skip(Reason.EVACUATED, evacuated)
    moving = unfinished_move(server, records.moves)
    if moving and not wishes.migration_checked & {server.id, server.name}:
        return skip(Reason.MIGRATING, moving)
    if server.vm_state in AT_REST:
        return Guest.NOT_RUNNING
    if server.task_state in DELETING_TASKS:
        return skip(Reason.DELETING, "it is being deleted")
    if server.task_state in SETTLING_TASKS:
        return Way.FOLLOW
    if server.task_state is not None:
        return skip(Reason.STATE, f"Nova is at work on it ({server.task_state})")
    if server.vm_state not in ("active", "stopped") or not server.launched:
        return skip(Reason.STATE, _odd_state(server))
    return None


def _odd_state(server: Server) -> str:
    if server.vm_state == "error":
        return "it is in ERROR" + (f": {server.fault}" if server.fault else "")
    return f"it is {server.vm_state}: only what was plainly running is started"


def _evacuated(server: Server, evacuations: Iterable[Migration]) -> str | None:
    """An evacuation that Nova has not ended, or that may have left a copy, forbids a start here."""
    for record in evacuations:
        if record.server == server.id and belongs_to_this_outage(record, server):
            where = f" to {record.destination}" if record.destination else ""
            return f"its evacuation{where} is {record.raw_status}: it may run there"
    return None


def way_to_start(
    server: Server, actions: Sequence[InstanceAction], *, fenced_at: datetime
) -> Way | Skip | Guest:
    """How to start a server whose guest does not run; NOT_RUNNING: leave it as it was.

    The action log is the world's memory of what was asked for: a server that anybody has started,
    stopped or moved since the fence is no longer ours to start, so that no run does it twice.
    """

    def unsure(text: str) -> Skip:
        return Skip(server=server, reason=Reason.UNSURE, text=text)

    counting = sorted(
        (action for action in actions if action.action not in POWERLESS_ACTIONS),
        key=lambda action: action.start_time,
        reverse=True,
    )
    if any(_distance_s(action, fenced_at) < CLOCKS_S for action in counting):
        return unsure("whether its newest action was before or after the fence is not certain")
    since = [action for action in counting if action.start_time > fenced_at]
    asked = next((action for action in since if not _by_nobody(action)), None)
    if asked is not None:
        return _dealt_with(server, asked)
    if server.vm_state == "active":
        return Way.REBOOT
    if not since:
        return Guest.NOT_RUNNING
    ran = _ran(action for action in counting if action.start_time < fenced_at)
    if ran is None:
        return unsure("its action log does not tell whether it ran before")
    return Way.START if ran else Guest.NOT_RUNNING


def _distance_s(action: InstanceAction, at: datetime) -> float:
    return abs((action.start_time - at).total_seconds())


def _by_nobody(action: InstanceAction) -> bool:
    """The stop with which the power sync follows a guest that died: it has no user."""
    return action.action == "stop" and action.user is None


def _dealt_with(server: Server, asked: InstanceAction) -> Skip | Guest:
    failed = asked.message is not None
    if server.vm_state == "stopped" and not failed:
        return Guest.NOT_RUNNING  # stopped by its user, or by its guest after it was started
    text = f"{asked.action} was asked for since the outage, at {asked.start_time:%H:%M:%S}"
    text += ", and failed" if failed else ", and it does not run"
    return Skip(server=server, reason=Reason.STARTED_ONCE, text=text)


def _ran(before: Iterable[InstanceAction]) -> bool | None:
    """What the newest action before the fence that changes it left: running or not."""
    for action in before:  # newest first
        if action.action in STARTS:
            return True
        if action.action in ENDS:
            return False
    return None
