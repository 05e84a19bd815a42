"""What ``crm_mon --one-shot --inactive --output-as=xml`` says. Pure: text in, facts out.

Shapes of Pacemaker 2.0.3 to 3.0: facts C.1. Only what concerns compute nodes is judged; an odd
galera on a controller must not hide a dead compute node.
"""

import re
from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from hacli.adapters.pacemaker.strict import Source, parse_moment
from hacli.domain.cluster import Connection, FenceEvent, Role
from hacli.errors import Unreachable

NOT_CONNECTED = 102
BY_HAND = "a human"
"""Delegate of ``stonith_admin --confirm``: nothing was executed (facts C.3)."""

_CRM_MON = Source("crm_mon")
_ROLES = {
    **{role.value: role for role in Role},
    # Pacemaker before 2.1 says master and slave
    "Master": Role.PROMOTED,
    "Slave": Role.UNPROMOTED,
    # on the way between two roles, so neither of them
    "Promoting": Role.STARTING,
    "Demoting": Role.STOPPING,
}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The cluster as a whole. Without a DC nobody has decided anything: then no quorum either."""

    dc: str | None
    with_quorum: bool
    fencing_enabled: bool
    maintenance_mode: bool
    fencing_timeout_s: float | None  # None before Pacemaker 2.1.1


@dataclass(frozen=True, kw_only=True)
class NodeFlags:
    """A ``<node>``; guest and bundle nodes are not among them."""

    name: str
    type: str  # remote | member
    online: bool
    unclean: bool
    standby: bool
    maintenance: bool
    pending: bool


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A service where it is active."""

    role: Role
    managed: bool
    failed: bool


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed operation. ``at`` is None where the version tells no time zone."""

    resource: str
    node: str  # who ran it; for a connection a cluster node
    task: str
    at: datetime | None
    reason: str | None


class CrmMon:
    """One answer of crm_mon.

    Raises:
        Unreachable: It says that it is not connected to a cluster.
        Unreadable: It is no such answer; or, from any property or method, an attribute that is
            decided on is missing or has an unknown value.
    """

    def __init__(self, text: str) -> None:
        self._root = _CRM_MON.parse(text)
        _check_status(self._root)
        self._nodes = _CRM_MON.child(self._root, "nodes").findall("node")
        self._names = frozenset(_CRM_MON.text(node, "name") for node in self._nodes)
        clones = self._root.iterfind("resources/clone")
        self._clones = {_CRM_MON.text(clone, "id"): clone for clone in clones}
        self._resources: dict[str, list[Element]] = defaultdict(list)
        self._active: dict[tuple[str, str], list[Element]] = defaultdict(list)
        for resource in self._root.iterfind("resources//resource"):
            name = _plain(_CRM_MON.text(resource, "id"))
            self._resources[name].append(resource)
            for node in resource.iterfind("node"):
                self._active[name, _CRM_MON.text(node, "name")].append(resource)
        self._failures: dict[str, list[Failure]] = defaultdict(list)
        for failure in map(_failure, self._root.iterfind("failures/failure")):
            self._failures[failure.resource].append(failure)
        self._fence_events: dict[str, list[Element]] = defaultdict(list)
        for event in _fence_history(self._root):
            self._fence_events[_CRM_MON.text(event, "target")].append(event)

    @property
    def summary(self) -> Summary:
        """DC, quorum and the options that decide what the cluster does."""
        summary = _CRM_MON.child(self._root, "summary")
        dc = _CRM_MON.child(summary, "current_dc")
        options = _CRM_MON.child(summary, "cluster_options")
        has_dc = _CRM_MON.flag(dc, "present")
        return Summary(
            dc=_CRM_MON.text(dc, "name") if has_dc else None,
            with_quorum=has_dc and _CRM_MON.flag(dc, "with_quorum"),
            fencing_enabled=_fencing_enabled(options),
            maintenance_mode=_CRM_MON.flag(options, "maintenance-mode"),
            fencing_timeout_s=_fencing_timeout_s(options),
        )

    @property
    def nodes(self) -> tuple[NodeFlags, ...]:
        """Members and remote nodes, without guests and bundles (they live on other nodes)."""
        flags = map(_node_flags, self._nodes)
        return tuple(node for node in flags if node is not None)

    def connection(self, node: str) -> Connection | None:
        """The resource that connects this remote node; None when there is none."""
        found = [
            resource
            for resource in self._resources.get(node, ())
            if _CRM_MON.text(resource, "resource_agent").replace("::", ":")
            == "ocf:pacemaker:remote"
        ]
        if len(found) > 1:
            raise _CRM_MON.unreadable(f"<resource {node}> is there {len(found)} times")
        return _connection(found[0]) if found else None

    def is_active(self, service: str, node: str) -> bool:
        """Whether the service is shown on this node, in whatever role."""
        return (service, node) in self._active

    def instance(self, service: str, node: str) -> Instance | None:
        """The service where it is active on this node; the worst, should it be there twice."""
        instances = [_instance(resource) for resource in self._active.get((service, node), ())]
        if not instances:
            return None
        return Instance(
            role=next((i.role for i in instances if i.role is not Role.STARTED), Role.STARTED),
            managed=all(instance.managed for instance in instances),
            failed=any(instance.failed for instance in instances),
        )

    def clone_managed(self, clone: str, service: str) -> bool:
        """Whether Pacemaker looks after this service of the clone where it does not run."""
        if clone not in self._clones or service not in self._resources:
            raise _CRM_MON.unreadable(f"no <clone {clone}> with {service}, which the CIB has")
        return _CRM_MON.flag(self._clones[clone], "managed")

    def failures(self, resource: str) -> tuple[Failure, ...]:
        """Failed operations of this resource on any node, newest first."""
        found = self._failures.get(resource, ())
        return tuple(sorted(found, key=lambda failure: failure.at or _LONG_AGO, reverse=True))

    def fence_events(self, node: str) -> tuple[FenceEvent, ...]:
        """The node's fence history, newest first by ``completed``, a pending one before all.

        Of two that ended within one second, the one that is no success counts as the newer.
        A delegate that is no node of this cluster is nobody: its event was not seen executed.
        """
        delegates = self._names | {BY_HAND}
        elements = self._fence_events.get(node, ())
        events = (_fence_event(element, delegates=delegates) for element in elements)
        return tuple(sorted(events, key=_recency, reverse=True))


def _check_status(root: Element) -> None:
    """Absent in the legacy format (``--as-xml``)."""
    status = root.find("status")
    code = 0 if status is None else _CRM_MON.whole(status, "code")
    if code == NOT_CONNECTED:
        raise Unreachable(source="crm_mon", why="not connected to a cluster")
    if code:
        raise _CRM_MON.unreadable(f"<status>: code {code}")


def _fencing_enabled(options: Element) -> bool:
    """``fencing-enabled`` from Pacemaker 3.0.2 on, with the old name beside it."""
    names = [name for name in ("fencing-enabled", "stonith-enabled") if name in options.attrib]
    return all(_CRM_MON.flag(options, name) for name in names or ("stonith-enabled",))


def _fencing_timeout_s(options: Element) -> float | None:
    for name in ("fencing-timeout-ms", "stonith-timeout-ms"):
        if name in options.attrib:
            return _CRM_MON.whole(options, name) / 1000
    return None


def _node_flags(node: Element) -> NodeFlags | None:
    kind = _CRM_MON.text(node, "type")
    if kind not in ("member", "remote", "ping", "unknown"):
        raise _CRM_MON.misunderstood(node, "type")
    if "id_as_resource" in node.attrib or "container_id" in node.attrib:
        return None
    if kind in ("ping", "unknown"):
        return None
    standby = _CRM_MON.flag(node, "standby")
    return NodeFlags(
        name=_CRM_MON.text(node, "name"),
        type=kind,
        online=_CRM_MON.flag(node, "online"),
        unclean=_CRM_MON.flag(node, "unclean"),
        standby=_CRM_MON.flag(node, "standby_onfail") or standby,
        maintenance=_CRM_MON.flag(node, "maintenance"),
        pending=_CRM_MON.flag(node, "pending"),
    )


def _connection(resource: Element) -> Connection:
    stopped = False
    if "target_role" in resource.attrib:
        stopped = _role(resource, "target_role") is Role.STOPPED
    return Connection(
        role=_role(resource, "role"),
        managed=_CRM_MON.flag(resource, "managed"),
        maintenance=_CRM_MON.flag(resource, "maintenance", absent=False),
        failed=_CRM_MON.flag(resource, "failed"),
        target_stopped=stopped,
    )


def _instance(resource: Element) -> Instance:
    return Instance(
        role=_role(resource, "role"),
        managed=_CRM_MON.flag(resource, "managed")
        and not _CRM_MON.flag(resource, "maintenance", absent=False),
        failed=_CRM_MON.flag(resource, "failed"),
    )


def _role(resource: Element, attribute: str) -> Role:
    role = _ROLES.get(_CRM_MON.text(resource, attribute))
    if role is None:
        raise _CRM_MON.misunderstood(resource, attribute)
    return role


def _plain(resource: str) -> str:
    """Without the number of a clone's instance."""
    return re.sub(r":\d+$", "", resource)


def _failure(failure: Element) -> Failure:
    key = failure.get("id") or _CRM_MON.text(failure, "op_key")
    resource, _, rest = key.rpartition("_")[0].rpartition("_")
    if not resource:
        raise _CRM_MON.misunderstood(failure, "op_key")
    reason = failure.get("exitreason", "")
    return Failure(
        resource=_plain(resource),
        node=_CRM_MON.text(failure, "node"),
        task=rest,
        at=parse_moment(failure.get("last-rc-change")),
        reason=reason if reason not in ("", "none") else None,
    )


def _fence_history(root: Element) -> Sequence[Element]:
    """None is shown when there are no events; a status when the fencer could not be asked."""
    history = root.find("fence_history")
    if history is None:
        return ()
    if "status" in history.attrib and _CRM_MON.whole(history, "status"):
        raise _CRM_MON.unreadable("<fence_history>: the fencer did not tell its history")
    return history.findall("fence_event")


def _fence_event(event: Element, *, delegates: Container[str]) -> FenceEvent:
    action = _CRM_MON.text(event, "action")
    if action not in ("on", "off", "reboot"):
        raise _CRM_MON.misunderstood(event, "action")
    status = _CRM_MON.text(event, "status")
    if status not in ("success", "failed", "pending"):
        raise _CRM_MON.misunderstood(event, "status")
    delegate = event.get("delegate", "")
    return FenceEvent(
        target=_CRM_MON.text(event, "target"),
        action=action,
        status=status,
        delegate=delegate if delegate in delegates else None,
        completed=None if status == "pending" else _CRM_MON.moment(event, "completed"),
        exit_reason=event.get("exit-reason"),
    )


def _recency(event: FenceEvent) -> tuple[bool, datetime, bool]:
    return event.completed is None, event.completed or _LONG_AGO, event.status != "success"
