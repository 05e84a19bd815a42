"""What the XML of all Pacemaker tools has in common, and how releases differ in it."""

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import Release
from hacli.lab.fencer import FenceEvent, FenceStatus
from hacli.lab.xml_text import attach

_API_VERSIONS = {Release.V2_0_3: "2.0", Release.V2_1_5: "2.25", Release.V3_0_2: "2.42"}


def result(cluster: Cluster, request: str, *, code: int = 0, message: str = "OK") -> ET.Element:
    """An empty ``<pacemaker-result>`` whose status is written by ``finish``."""
    version = _API_VERSIONS[cluster.settings.release]
    root = ET.Element("pacemaker-result", {"api-version": version, "request": request})
    root.set("code", str(code))
    root.set("message", message)
    return root


def finish(root: ET.Element, errors: Iterable[str] = ()) -> ET.Element:
    """Add the ``<status>`` that ends every result."""
    status = attach(
        root, "status", {"code": root.attrib.pop("code"), "message": root.attrib.pop("message")}
    )
    texts = tuple(errors)
    if texts:
        group = attach(status, "errors", {})
        for text in texts:
            attach(group, "error", {}).text = text
    return root


def fence_event(parent: ET.Element, event: FenceEvent) -> None:
    """One entry of the fence history; a pending one has neither delegate nor end."""
    completed = event.completed
    attach(
        parent,
        "fence_event",
        {
            "action": event.action,
            "target": event.target,
            "client": event.client,
            "origin": event.origin,
            "status": event.status.value,
            "extended-status": "1" if event.status is FenceStatus.PENDING else None,
            "exit-reason": event.exit_reason,
            "delegate": event.delegate,
            "completed": None if completed is None else utc(completed),
        },
    )


def utc(at: float) -> str:
    """``2026-11-22 05:51:45Z``."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def ctime(at: float) -> str:
    """``Sun Nov 22 05:51:45 2026``."""
    return time.asctime(time.gmtime(at))


def reshaped(root: ET.Element, release: Release) -> ET.Element:
    """The same facts as another release would print them (facts C.1's table)."""
    if release is Release.V2_0_3:
        _as_old(root)
    elif release is Release.V3_0_2:
        _as_new(root)
    return root


def _as_old(root: ET.Element) -> None:
    for daemon in root.findall("pacemakerd"):
        root.remove(daemon)
    later = {
        "node": ("health", "feature_set"),
        "fence_event": ("exit-reason",),
        "current_dc": ("mixed_version",),
        "cluster_options": ("stonith-timeout-ms", "priority-fencing-delay-ms"),
        "ban": ("promoted-only",),
    }
    for element in root.iter():
        for name in later.get(element.tag, ()):
            element.attrib.pop(name, None)


def _as_new(root: ET.Element) -> None:
    for options in root.iter("cluster_options"):
        options.set("fencing-enabled", options.get("stonith-enabled", ""))
        options.set("fencing-timeout-ms", options.get("stonith-timeout-ms", ""))
    for resource in root.iter("resource"):
        resource.set("removed", resource.get("orphaned", ""))
        resource.set("maintenance", "false")
    for history in root.iter("resource_history"):
        history.set("removed", history.get("orphan", ""))
