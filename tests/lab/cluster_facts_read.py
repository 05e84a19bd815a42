"""The facts of a ``crm_mon`` output and of the CIB's node states that hacli decides on."""

import calendar
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

_FLAGS = ("online", "standby", "maintenance", "pending", "unclean", "shutdown", "is_dc")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What can be compared between a recording and the lab, whatever the times and call numbers."""

    cluster: tuple[str | None, ...]
    nodes: Mapping[str, tuple[str, ...]]  # the flags that are true, and the resources there
    connections: Mapping[str, tuple[str | None, ...]]  # role failed managed target_role, where
    devices: Mapping[str, tuple[str | None, ...]]
    chain: Mapping[str, Mapping[str, tuple[str | None, ...]]]
    failures: frozenset[tuple[str | None, ...]]
    bans: frozenset[tuple[str | None, ...]]
    events: tuple[tuple[str | None, ...], ...]
    node_states: Mapping[str, tuple[str | None, ...]]


def read_facts(monitor: ET.Element, status: ET.Element, *, events: int) -> Facts:
    """Read the facts; of the fence history only the newest ``events``."""
    resources = monitor.findall("resources/resource")
    return Facts(
        cluster=_cluster(monitor),
        nodes={
            node.get("name", ""): (
                *(flag for flag in _FLAGS if node.get(flag) == "true"),
                node.get("resources_running", ""),
            )
            for node in monitor.iterfind("nodes/node")
        },
        connections={r.get("id", ""): _resource(r) for r in resources if _agent(r) == "remote"},
        devices={r.get("id", ""): _resource(r) for r in resources if _agent(r) == "fence_ipmilan"},
        chain={clone.get("id", ""): _instances(clone) for clone in monitor.iter("clone")},
        failures=frozenset(
            tuple(map(failure.get, ("op_key", "node", "exitreason", "exitcode", "status")))
            for failure in monitor.iterfind("failures/failure")
        ),
        bans=frozenset(
            tuple(map(ban.get, ("id", "resource", "node", "weight")))
            for ban in monitor.iterfind("bans/ban")
        ),
        events=tuple(
            tuple(map(event.get, ("action", "target", "status", "delegate", "exit-reason")))
            for event in monitor.findall("fence_history/fence_event")[:events]
        ),
        node_states={state.get("uname", ""): _state(state, monitor) for state in status},
    )


def _cluster(monitor: ET.Element) -> tuple[str | None, ...]:
    names = {
        "summary/current_dc": ("present", "name", "with_quorum"),
        "summary/cluster_options": ("stonith-enabled", "maintenance-mode"),
        "summary/nodes_configured": ("number",),
        "summary/resources_configured": ("number", "disabled", "blocked"),
    }
    found = ((monitor.find(path), wanted) for path, wanted in names.items())
    return tuple(e.get(name) for e, wanted in found if e is not None for name in wanted)


def _agent(resource: ET.Element) -> str:
    return resource.get("resource_agent", "").rpartition(":")[2]


def _resource(resource: ET.Element) -> tuple[str | None, ...]:
    where = tuple(node.get("name") for node in resource)
    return (*map(resource.get, ("role", "failed", "managed", "target_role")), *where)


def _instances(clone: ET.Element) -> dict[str, tuple[str | None, ...]]:
    """By node; the instances that run nowhere are counted."""
    idle = sum(1 for instance in clone if not len(instance))
    shown = {
        instance[0].get("name", ""): (
            *map(instance.get, ("role", "failed", "managed")),
            instance[0].get("cached"),
        )
        for instance in clone
        if len(instance)
    }
    return {**shown, "nowhere": (str(idle), clone.get("managed"))}


def _state(state: ET.Element, monitor: ET.Element) -> tuple[str | None, ...]:
    """``node_fenced`` as what it equals: 0, or the end of the newest success for this node."""
    fenced = state.get("node_fenced")
    if fenced not in (None, "0"):
        fenced = "newest success" if fenced == _newest_success(state, monitor) else f"odd {fenced}"
    return (state.get("in_ccm"), fenced)


def _newest_success(state: ET.Element, monitor: ET.Element) -> str | None:

    for event in monitor.iterfind("fence_history/fence_event"):
        if event.get("target") == state.get("uname") and event.get("status") == "success":
            parsed = time.strptime(event.get("completed", ""), "%Y-%m-%d %H:%M:%SZ")
            return str(calendar.timegm(parsed))
    return None
