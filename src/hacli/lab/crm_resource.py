"""``crm_resource`` of the lab: restart, clean up, meta attributes, bans; the real tool's texts."""

from collections.abc import Callable, Mapping

from hacli.lab.cib import CHAIN
from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import Role
from hacli.lab.tool import DISCONNECT, NO_SUCH, TIMEOUT, USAGE, Answer, Invocation, Reply

SPEC = {
    "r": "resource=",
    "N": "node=",
    "C": "cleanup",
    "R": "refresh",
    "T": "timeout=",
    "V": "verbose",
    "f": "force",
    "q": "quiet",
    "output": "output-as=",
    "restart": "restart",
    "m": "meta",
    "p": "set-parameter=",
    "v": "parameter-value=",
    "d": "delete-parameter=",
    "B": "ban",
    "clear": "clear",
}
_DEFAULT_TIMEOUT_S = 60.0


def crm_resource(cluster: Cluster, call: Invocation) -> Reply:
    """Answer one call of ``crm_resource``; a restart is answered when the service runs again."""
    if not cluster.running:
        text = "crm_resource: Could not connect to the CIB: Transport endpoint is not connected\n"
        return Answer(code=DISCONNECT, stderr=f"{text}Error performing operation: Not connected\n")
    verbs: Mapping[str, Callable[[Cluster, Invocation], Reply]] = {
        "cleanup": _clean_up,
        "refresh": _clean_up,
        "restart": _restart,
        "set-parameter": _set_meta,
        "delete-parameter": _drop_meta,
        "ban": _ban,
        "clear": _clear,
    }
    verb = next((name for name in verbs if call.has(name)), None)
    if verb is None:
        return Answer(code=USAGE, stderr="crm_resource: no command\n")
    return verbs[verb](cluster, call)


def _clean_up(cluster: Cluster, call: Invocation) -> Answer:
    resource, node = call.options.get("resource"), call.options.get("node")
    cluster.clean_up(resource, node)
    where = node or "all nodes"
    return Answer(stdout=f"Cleaned up {resource or 'all resources'} on {where}\n")


def _set_meta(cluster: Cluster, call: Invocation) -> Answer:
    """Write a meta attribute: ``target-role``, ``is-managed``."""
    resource = call.options.get("resource", "")
    name, value = call.options["set-parameter"], call.options.get("parameter-value", "")
    if not cluster.cib.knows_resource(resource):
        return _not_found(resource)
    cluster.cib.set_meta(resource, name, value)
    cluster.configuration_changed()
    group = f"{resource}-meta_attributes"
    written = f"id={group}-{name} set={group} name={name} value={value}"
    return Answer(stdout=f"Set '{resource}' option: {written}\n")


def _drop_meta(cluster: Cluster, call: Invocation) -> Answer:
    resource, name = call.options.get("resource", ""), call.options["delete-parameter"]
    if not cluster.cib.knows_resource(resource):
        return _not_found(resource)
    if not cluster.cib.drop_meta(resource, name):
        return Answer()
    cluster.configuration_changed()
    written = f"id={resource}-meta_attributes-{name} name={name}"
    return Answer(stdout=f"Deleted '{resource}' option: {written}\n")


def _ban(cluster: Cluster, call: Invocation) -> Answer:
    resource, node = call.options.get("resource", ""), call.options.get("node", "")
    if not (cluster.cib.knows_resource(resource) and cluster.cib.knows_node(node)):
        return _not_found(resource)
    name = cluster.cib.ban(resource, node)
    cluster.configuration_changed()
    warning = (
        f"WARNING: Creating rsc_location constraint '{name}' with a score of -INFINITY"
        f" for resource {resource} on {node}.\n"
    )
    return Answer(stderr=warning)


def _clear(cluster: Cluster, call: Invocation) -> Answer:
    resource, node = call.options.get("resource", ""), call.options.get("node", "")
    name = cluster.cib.lift_ban(resource, node)
    if name is None:
        return Answer()
    cluster.configuration_changed()
    return Answer(stdout=f"Removing constraint: {name}\n")


def _not_found(resource: str) -> Answer:
    text = f"crm_resource: Resource '{resource}' not found\n"
    return Answer(code=NO_SUCH, stderr=f"{text}Error performing operation: No such object\n")


def _restart(cluster: Cluster, call: Invocation) -> Reply:
    service = call.options.get("resource", "").removesuffix("-clone")
    node = call.options.get("node", "")
    if service not in CHAIN or node not in cluster.nodes:
        return _not_found(service)
    running = cluster.nodes[node].services[service]
    if running.role is not Role.STARTED:
        text = f"{service} is not running on {node} and so cannot be restarted\n"
        return Answer(code=NO_SUCH, stderr=text)
    deadline = cluster.timeline.now + float(call.options.get("timeout", _DEFAULT_TIMEOUT_S))
    cluster.restart(service, node)

    def ended() -> Answer | None:
        if running.role is Role.STARTED and not running.restart and not running.failed:
            return Answer()
        if cluster.timeline.now >= deadline:
            return Answer(code=TIMEOUT, stderr="Error performing operation: Timer expired\n")
        return None

    return ended
