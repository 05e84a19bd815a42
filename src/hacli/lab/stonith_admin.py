"""``stonith_admin`` of the lab: fence and wait, confirm, history, devices.

Texts and codes: ``tools/stonith_admin.c`` and ``lib/pacemaker/pcmk_fence.c`` of 2.1.5. Killing the
client cancels nothing: the order is the fencer's.
"""

import xml.etree.ElementTree as ET

from hacli.lab.cluster import Cluster
from hacli.lab.fencer import FenceEvent, FenceOrder, FenceStatus
from hacli.lab.result_xml import ctime, fence_event, finish, reshaped, result
from hacli.lab.tool import DISCONNECT, ERROR, NO_SUCH, OK, TIMEOUT, USAGE, Answer, Invocation, Reply
from hacli.lab.xml_text import attach, xml_text

SPEC = {
    "F": "fence=",
    "B": "reboot=",
    "U": "unfence=",
    "C": "confirm=",
    "H": "history=",
    "l": "list=",
    "L": "list-registered",
    "h": "last=",
    "t": "timeout=",
    "y": "tolerance=",
    "d": "delay=",
    "x": "tag=",
    "b": "broadcast",
    "c": "cleanup",
    "V": "verbose",
    "q": "quiet",
    "output": "output-as=",
}
_ACTIONS = {"fence": "off", "reboot": "reboot", "unfence": "on"}
_DEFAULT_TIMEOUT_S = 120.0


def stonith_admin(cluster: Cluster, call: Invocation) -> Reply:
    """Answer one call of ``stonith_admin``; an order for fencing is answered when it has ended."""
    option = next((name for name in _ACTIONS if call.has(name)), None)
    if not cluster.running:
        return _not_connected(cluster, call, option)
    if option is not None:
        return _order(cluster, call, option)
    if call.has("confirm"):
        cluster.confirm_off(call.options["confirm"])
        return _end(cluster, call)
    if call.has("history"):
        return _history(cluster, call)
    return _list(cluster, call)


def _order(cluster: Cluster, call: Invocation, option: str) -> Reply:
    target = call.options[option]
    timeout = float(call.options.get("timeout", _DEFAULT_TIMEOUT_S))
    order = cluster.fence(
        target, _ACTIONS[option], timeout_s=min(timeout, cluster.settings.fence_timeout_s)
    )
    verb = "unfence" if option == "unfence" else "fence"
    if order is None:
        return _end(cluster, call, NO_SUCH, f"Couldn't {verb} {target}: No such device")

    def ended(order: FenceOrder = order) -> Answer | None:
        if order.result is None:
            return None
        if order.result.status is FenceStatus.SUCCESS:
            return _end(cluster, call)
        return _failed(cluster, call, f"Couldn't {verb} {target}", order.result)

    return ended


def _failed(cluster: Cluster, call: Invocation, what: str, event: FenceEvent) -> Answer:
    if event.exit_reason is None:
        return _end(cluster, call, ERROR, f"{what}: Error")
    return _end(cluster, call, TIMEOUT, f"{what}: Timer expired ({event.exit_reason})")


def _not_connected(cluster: Cluster, call: Invocation, option: str | None) -> Answer:
    reason = "Transport endpoint is not connected"
    if option is not None and not call.wants_xml:
        text = f"stonith_admin: Couldn't fence {call.options[option]}: {reason}\n"
        return Answer(code=DISCONNECT, stderr=text)
    return _end(cluster, call, DISCONNECT, f"Could not connect to fencer: {reason}", program=False)


def _end(
    cluster: Cluster, call: Invocation, code: int = OK, error: str = "", *, program: bool = True
) -> Answer:
    """How a call without a list of its own ends."""
    text = f"stonith_admin: {error}" if error and program else error
    if not call.wants_xml:
        return Answer(code=code, stderr=f"{text}\n" if text else "")
    root = result(cluster, call.request, code=code, message=_MESSAGES[code])
    return Answer(code=code, stdout=xml_text(finish(root, (text,) if text else ())))


_MESSAGES = {
    OK: "OK",
    ERROR: "Error occurred",
    DISCONNECT: "Not connected",
    NO_SUCH: "No such object",
    TIMEOUT: "Timeout occurred",
}


def _history(cluster: Cluster, call: Invocation) -> Answer:
    """Everything with ``--verbose``; else one success, and the *oldest* (recorded)."""
    target = call.options["history"]
    events = [event for event in cluster.fencer.events if target in ("*", event.target)]
    if call.has("cleanup"):
        return _end(cluster, call)
    if not call.has("verbose"):
        events = [event for event in events if event.status is FenceStatus.SUCCESS][-1:]
    if not call.wants_xml:
        return Answer(stdout="".join(_line(event) for event in events))
    root = result(cluster, call.request)
    group = attach(root, "list", {"name": "fencing history", "count": len(events)})
    for event in events:
        fence_event(group, event)
    return Answer(stdout=xml_text(reshaped(finish(root), cluster.settings.release)))


def _line(event: FenceEvent) -> str:
    who = f"on behalf of {event.client} from {event.origin}"
    if event.completed is None:
        return f"{event.action} of {event.target} pending {who}\n"
    verb = {"off": "turn off", "on": "turn on"}.get(event.action, event.action)
    can = "was able to" if event.status is FenceStatus.SUCCESS else "failed to"
    delegate = event.delegate or event.origin
    return f"{delegate} {can} {verb} node {event.target} {who} at {ctime(event.completed)}\n"


def _list(cluster: Cluster, call: Invocation) -> Answer:
    if call.has("list"):
        devices = cluster.cib.devices_for(call.options["list"])
    elif call.has("list-registered"):
        devices = cluster.cib.devices()
    else:
        return Answer(code=USAGE, stderr="stonith_admin: no command\n")
    if not call.wants_xml:
        count = f"{len(devices)} fence device{'' if len(devices) == 1 else 's'} found\n"
        return Answer(stdout="".join(f" {device}\n" for device in devices) + count)
    root = result(cluster, call.request)
    attributes: dict[str, str | int | bool | None] = {
        "name": "Registered fence devices",
        "count": len(devices),
    }
    group = attach(root, "list", attributes)
    for device in devices:
        item: ET.Element = attach(group, "item", {"name": "device"})
        item.text = device
    return Answer(stdout=xml_text(finish(root)))
