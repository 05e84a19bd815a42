"""The whole CIB of the lab's cluster: its configuration, and the ``<status>`` of its nodes."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from hacli.lab.cib import CHAIN
from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import Departure, Operation, RemoteNode, Role
from hacli.lab.crm_mon import FEATURE_SET, by_name
from hacli.lab.result_xml import ctime
from hacli.lab.xml_text import attach, child

# op-status of the history entries (include/crm/common/results.h)
_OP_STATUS = {"pending": -1, "complete": 0, "Timed Out": 2, "Error": 4}
_KEY = "1:1:0:00000000-0000-4000-8000-000000000000"
_KINDS = {"remote": ("ocf", "pacemaker"), "fence_ipmilan": ("stonith", None)}


def whole_cib(cluster: Cluster) -> ET.Element:
    """What ``cibadmin --query`` shows; its configuration is the cluster's own, not a copy."""
    root = ET.Element(
        "cib",
        {
            "crm_feature_set": FEATURE_SET,
            "validate-with": "pacemaker-3.9",
            "epoch": str(cluster.changes),
            "num_updates": "0",
            "admin_epoch": "0",
            "cib-last-written": ctime(cluster.changed_at),
            "update-origin": cluster.controllers[0],
            "update-client": "crmd",
            "update-user": "hacluster",
            "have-quorum": "1" if cluster.quorum else "0",
        },
    )
    if cluster.dc is not None:
        root.set("dc-uuid", str(cluster.controllers.index(cluster.dc) + 1))
    root.append(cluster.cib.root)
    status = child(root, "status")
    for number, name in enumerate(cluster.controllers, start=1):
        _controller(status, cluster, number, name)
    for node in by_name(cluster.nodes.values()):
        if node.node_fenced is not None:  # the CIB has no state of a node that never was there
            _compute(status, cluster, node)
    return root


def _controller(status: ET.Element, cluster: Cluster, number: int, name: str) -> None:
    present = name in cluster.present
    how, since = cluster.departed.get(name, (Departure.LOST, 0.0))
    fenced = how in (Departure.FENCED, Departure.CONFIRMED)
    state = attach(
        status,
        "node_state",
        {
            "id": number,
            "uname": name,
            "in_ccm": present,
            "crmd": "online" if present else "offline",
            "crm-debug-origin": "do_update_resource" if present else "post_cache_update",
            "join": "member" if present else "down",
            "expected": "member" if how is Departure.LOST else "down",
            "node_fenced": int(since) if fenced else None,
        },
    )
    _transient(state, cluster, name, {"#feature-set": FEATURE_SET})
    resources = child(child(state, "lrm", id=number), "lrm_resources")
    _operations(resources, cluster, name)


def _compute(status: ET.Element, cluster: Cluster, node: RemoteNode) -> None:
    maintenance = None if node.in_maintenance is None else str(int(node.in_maintenance))
    state = attach(
        status,
        "node_state",
        {
            "remote_node": True,
            "id": node.name,
            "uname": node.name,
            "in_ccm": node.role is Role.STARTED,
            "crm-debug-origin": node.origin,
            "node_fenced": node.node_fenced,
            "node_in_maintenance": maintenance,
        },
    )
    _transient(state, cluster, node.name, {})
    if cluster.operations.of_node(node.name):
        resources = child(child(state, "lrm", id=node.name), "lrm_resources")
        _operations(resources, cluster, node.name)


def _transient(state: ET.Element, cluster: Cluster, where: str, known: Mapping[str, str]) -> None:
    """The transient attributes of a node: what is known of it, and its failures."""
    values = dict(known)
    for resource, history in cluster.operations.of_node(where).items():
        if history.failure is not None:
            operation = f"{resource}#{history.failure.task}_{history.failure.interval_s * 1000:.0f}"
            fatal = history.failure.task == "start"
            values[f"last-failure-{operation}"] = str(int(history.failure.at))
            values[f"fail-count-{operation}"] = "INFINITY" if fatal else "1"
    if values:
        number = state.get("id", "")
        group = child(
            child(state, "transient_attributes", id=number),
            "instance_attributes",
            id=f"status-{number}",
        )
        for name, value in values.items():
            written = f"status-{number}-{name.replace('#', '.')}"
            child(group, "nvpair", id=written, name=name, value=value)


def _operations(parent: ET.Element, cluster: Cluster, where: str) -> None:
    for resource, history in cluster.operations.of_node(where).items():
        kind = _kind(cluster, resource)
        class_, provider = _KINDS.get(kind, ("ocf", "lab"))
        shown = attach(
            parent,
            "lrm_resource",
            {"id": resource, "type": kind, "class": class_, "provider": provider},
        )
        last = history.last
        node = cluster.nodes.get(resource)
        if node is not None and node.role is Role.STARTING:
            last = Operation(
                task="start", at=node.starting_since, call=-1, rc=193, status="pending"
            )
        if last is not None:
            _operation(shown, resource, last, f"{resource}_last_0", where)
        if history.monitor is not None:
            interval = f"{history.monitor.interval_s * 1000:.0f}"
            name = f"{resource}_monitor_{interval}"
            _operation(shown, resource, history.monitor, name, where)
        if history.failure is not None:
            _operation(shown, resource, history.failure, f"{resource}_last_failure_0", where)


def _kind(cluster: Cluster, resource: str) -> str:
    if resource in cluster.nodes:
        return "remote"
    return "service" if resource in CHAIN else "fence_ipmilan"


def _operation(
    parent: ET.Element, resource: str, operation: Operation, name: str, where: str
) -> None:
    interval = f"{operation.interval_s * 1000:.0f}"
    status = _OP_STATUS[operation.status]
    attach(
        parent,
        "lrm_rsc_op",
        {
            "id": name,
            "operation_key": f"{resource}_{operation.task}_{interval}",
            "operation": operation.task,
            "crm-debug-origin": "do_update_resource",
            "crm_feature_set": FEATURE_SET,
            "transition-key": _KEY,
            "transition-magic": f"{status}:{operation.rc};{_KEY}",
            "exit-reason": operation.exit_reason,
            "on_node": where,
            "call-id": operation.call,
            "rc-code": operation.rc,
            "op-status": status,
            "interval": interval,
            "last-rc-change": int(operation.at),
            "exec-time": operation.exec_ms,
            "queue-time": 0,
            "op-digest": "0" * 32,
        },
    )
