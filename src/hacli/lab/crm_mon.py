"""``crm_mon --output-as=xml`` of the lab's cluster, made like the recorded ones."""

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from hacli.lab.cib import CHAIN
from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import Departure, Operation, OperationHistory, RemoteNode, Role
from hacli.lab.result_xml import ctime, fence_event, finish, reshaped, result, utc
from hacli.lab.xml_text import attach

FEATURE_SET = "3.16.1"
_RC_TEXTS = {0: "ok", 1: "error", 7: "not running"}


def crm_mon(cluster: Cluster, request: str) -> ET.Element:
    """The whole state as ``crm_mon --one-shot --output-as=xml --inactive`` prints it."""
    root = result(cluster, request)
    now = time.gmtime(cluster.timeline.now)
    updated = time.strftime("%Y-%m-%d %H:%M:%SZ", now)
    daemon = {"sys_from": "pacemakerd", "state": "running", "last_updated": updated}
    attach(root, "pacemakerd", daemon)
    _summary(attach(root, "summary", {}), cluster)
    _nodes(attach(root, "nodes", {}), cluster)
    _resources(attach(root, "resources", {}), cluster)
    _attributes(attach(root, "node_attributes", {}), cluster)
    _history(attach(root, "node_history", {}), cluster)
    _failures(root, cluster)
    if cluster.fencer.events:
        group = attach(root, "fence_history", {})
        for event in cluster.fencer.events:
            fence_event(group, event)
    _bans(root, cluster)
    return reshaped(finish(root), cluster.settings.release)


def by_name(nodes: Iterable[RemoteNode]) -> list[RemoteNode]:
    """In Pacemaker's own order: ``compute-2`` before ``compute-10``."""
    return sorted(nodes, key=lambda node: _natural(node.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _summary(summary: ET.Element, cluster: Cluster) -> None:
    dc = cluster.dc
    attach(summary, "stack", {"type": "corosync" if dc else "unknown"})
    known = {
        "version": cluster.cib.option("dc-version", ""),
        "name": dc,
        "id": "1",
        "with_quorum": cluster.quorum,
        "mixed_version": False,
    }
    attach(summary, "current_dc", {"present": dc is not None, **(known if dc else {})})
    attach(summary, "last_update", {"time": ctime(cluster.timeline.now)})
    changed = {"user": "hacluster", "client": "crmd", "origin": cluster.controllers[0]}
    attach(summary, "last_change", {"time": ctime(cluster.changed_at), **changed})
    computes, controllers = len(cluster.nodes), len(cluster.controllers)
    attach(summary, "nodes_configured", {"number": computes + controllers})
    stopped = sum(cluster.cib.stopped(name) for name in cluster.nodes)
    stopped += sum(cluster.cib.stopped(f"{s}-clone") for s in CHAIN) * (computes + controllers)
    number = 2 * computes + len(CHAIN) * (computes + controllers)
    attach(summary, "resources_configured", {"number": number, "disabled": stopped, "blocked": 0})
    attach(
        summary,
        "cluster_options",
        {
            "stonith-enabled": cluster.fencing_enabled,
            "symmetric-cluster": True,
            "no-quorum-policy": "stop",
            "maintenance-mode": cluster.maintenance_mode,
            "stop-all-resources": False,
            "stonith-timeout-ms": "60000",
            "priority-fencing-delay-ms": "0",
        },
    )


def _nodes(parent: ET.Element, cluster: Cluster) -> None:
    for node in by_name(cluster.nodes.values()):
        _node(
            parent,
            name=node.name,
            id=node.name,
            online=node.online,
            standby=cluster.cib.attributes(node.name).get("standby") in ("on", "true"),
            maintenance=cluster.in_maintenance(node),
            unclean=node.unclean,
            shutdown=node.role is Role.STARTED and (node.failed or cluster.cib.stopped(node.name)),
            resources_running=sum(_active(s.role) for s in node.services.values()),
            type="remote",
        )
    for number, name in enumerate(cluster.controllers, start=1):
        _node(
            parent,
            name=name,
            id=str(number),
            online=name in cluster.present,
            unclean=_is_unclean(cluster, name),
            feature_set=FEATURE_SET,
            expected_up=name in cluster.present,
            is_dc=name == cluster.dc,
            resources_running=_running_on(cluster, name),
            type="member",
        )


def _is_unclean(cluster: Cluster, controller: str) -> bool:
    how, _ = cluster.departed.get(controller, (Departure.LOST, 0.0))
    return controller not in cluster.present and how is Departure.LOST


def _node(parent: ET.Element, **known: str | int | bool | None) -> None:
    attributes: dict[str, str | int | bool | None] = {
        "name": None,
        "id": None,
        "online": False,
        "standby": False,
        "standby_onfail": False,
        "maintenance": False,
        "pending": False,
        "unclean": False,
        "health": "green",
        "feature_set": None,
        "shutdown": False,
        "expected_up": False,
        "is_dc": False,
        "resources_running": 0,
        "type": None,
    }
    attach(parent, "node", {**attributes, **known})


def _active(role: Role) -> bool:
    return role is not Role.STOPPED


def _running_on(cluster: Cluster, controller: str) -> int:
    connections = sum(
        node.controller == controller and _active(node.role) for node in cluster.nodes.values()
    )
    devices = sum(
        node.controller == controller and device not in cluster.stopped_devices
        for node in cluster.nodes.values()
        for device in cluster.cib.devices_for(node.name)
    )
    return connections + devices


def _resources(parent: ET.Element, cluster: Cluster) -> None:
    managed = not cluster.maintenance_mode
    now, reconnect_s = cluster.timeline.now, cluster.settings.reconnect_s
    for node in by_name(cluster.nodes.values()):
        _Resource(
            id=node.name,
            agent="ocf:pacemaker:remote",
            role=node.shown_role(now, reconnect_s=reconnect_s),
            node=_controller(cluster, node.controller),
            failed=node.failed,
            managed=managed and cluster.cib.managed(node.name),
            target_role=cluster.cib.meta(node.name, "target-role"),
        ).show(parent)
        for device in cluster.cib.devices_for(node.name):
            stopped = device in cluster.stopped_devices
            _Resource(
                id=device,
                agent="stonith:fence_ipmilan",
                role=Role.STOPPED if stopped else Role.STARTED,
                node=_controller(cluster, node.controller),
                managed=managed,
            ).show(parent)
    for service in CHAIN:
        _clone(parent, cluster, service)


def _controller(cluster: Cluster, name: str) -> tuple[str, str]:
    return name, str(cluster.controllers.index(name) + 1)


def _clone(parent: ET.Element, cluster: Cluster, service: str) -> None:
    name = f"{service}-clone"
    managed = not cluster.maintenance_mode and cluster.cib.managed(name)
    target_role = cluster.cib.meta(name, "target-role")
    clone = attach(
        parent,
        "clone",
        {
            "id": name,
            "multi_state": False,
            "unique": False,
            "managed": managed,
            "disabled": cluster.cib.stopped(name),
            "failed": False,
            "failure_ignored": False,
            "target_role": target_role,
        },
    )
    nodes = by_name(cluster.nodes.values())
    active = [node for node in nodes if _active(node.services[service].role)]
    for node in sorted(active, key=lambda node: node.unclean and not node.online):
        _Resource(
            id=service,
            agent="ocf:lab:service",
            role=node.services[service].role,
            node=(node.name, node.name),
            cached=node.online,
            failed=node.services[service].failed,
            managed=managed and not cluster.in_maintenance(node),
            target_role=target_role,
        ).show(clone)
    idle = _Resource(
        id=service,
        agent="ocf:lab:service",
        role=Role.STOPPED,
        managed=managed,
        target_role=target_role,
    )
    for _ in range(len(nodes) + len(cluster.controllers) - len(active)):
        idle.show(clone)


@dataclass(frozen=True, kw_only=True)
class _Resource:
    """One ``<resource>`` element, and the node on which it is active."""

    id: str
    agent: str
    role: Role
    node: tuple[str, str] = ("", "")  # name and id
    cached: bool = True
    failed: bool = False
    managed: bool = True
    target_role: str | None = None

    def show(self, parent: ET.Element) -> None:
        """Add the element."""
        active = _active(self.role)
        attributes: dict[str, str | int | bool | None] = {
            "id": self.id,
            "resource_agent": self.agent,
            "role": self.role.value,
            "target_role": self.target_role,
            "active": active,
            "orphaned": False,
            "blocked": False,
            "managed": self.managed,
            "failed": self.failed,
            "failure_ignored": False,
            "nodes_running_on": int(active),
        }
        element = attach(parent, "resource", attributes)
        if active:
            name, number = self.node
            attach(element, "node", {"name": name, "id": number, "cached": self.cached})


def _attributes(parent: ET.Element, cluster: Cluster) -> None:
    for node in by_name(node for node in cluster.nodes.values() if node.online):
        shown = attach(parent, "node", {"name": node.name})
        for name, value in sorted(cluster.cib.attributes(node.name).items()):
            if name != "standby":  # crm_mon hides it: the node's own flag shows it
                attach(shown, "attribute", {"name": name, "value": value})


def _history(parent: ET.Element, cluster: Cluster) -> None:
    online = by_name(node for node in cluster.nodes.values() if node.online)
    for where in (*cluster.controllers, *(node.name for node in online)):
        histories = cluster.operations.of_node(where)
        if not histories:
            continue
        node = attach(parent, "node", {"name": where})
        for resource, history in histories.items():
            _resource_history(node, resource, history)


def _resource_history(parent: ET.Element, resource: str, history: OperationHistory) -> None:
    failure = history.failure
    fatal = failure is not None and failure.task == "start"
    shown = attach(
        parent,
        "resource_history",
        {
            "id": resource,
            "orphan": False,
            "migration-threshold": "1000000",
            "fail-count": None if failure is None else (1_000_000 if fatal else 1),
            "last-failure": None if failure is None else ctime(failure.at),
        },
    )
    kept = [done for done in (history.last, history.monitor, failure) if done is not None]
    for operation in sorted(kept, key=lambda done: done.call):
        _operation(shown, operation)


def _operation(parent: ET.Element, operation: Operation) -> None:
    interval = f"{operation.interval_s * 1000:.0f}ms" if operation.interval_s else None
    attach(
        parent,
        "operation_history",
        {
            "call": operation.call,
            "task": operation.task,
            "rc": operation.rc,
            "rc_text": _RC_TEXTS[operation.rc],
            "interval": interval,
            "last-rc-change": ctime(operation.at),
            "exec-time": f"{operation.exec_ms}ms",
            "queue-time": "0ms",
        },
    )


def _failures(root: ET.Element, cluster: Cluster) -> None:
    failures = tuple(cluster.operations.failures())
    group = attach(root, "failures", {}) if failures else root
    for where, resource, operation in failures:
        interval = f"{operation.interval_s * 1000:.0f}"
        attach(
            group,
            "failure",
            {
                "op_key": f"{resource}_{operation.task}_{interval}",
                "node": where,
                "exitstatus": _RC_TEXTS[operation.rc],
                "exitreason": operation.exit_reason,
                "exitcode": operation.rc,
                "call": operation.call,
                "status": operation.status,
                "last-rc-change": utc(operation.at),
                "queued": "0",
                "exec": operation.exec_ms,
                "interval": interval,
                "task": operation.task,
            },
        )


def _bans(root: ET.Element, cluster: Cluster) -> None:
    found = [
        {"id": name, "resource": f"{service}-clone", "node": node.name, "weight": str(score)}
        for service in CHAIN
        for node in by_name(cluster.nodes.values())
        for name, score in cluster.cib.bans(service, node.name)
    ]
    group = attach(root, "bans", {}) if found else root
    for ban in found:
        attach(group, "ban", {**ban, "promoted-only": False, "master_only": False})
