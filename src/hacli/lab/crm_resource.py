"""``crm_resource`` of the lab: restart a service on a node, clean up failures."""

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
}
_DEFAULT_TIMEOUT_S = 60.0


def crm_resource(cluster: Cluster, call: Invocation) -> Reply:
    """Answer one call of ``crm_resource``; a restart is answered when the service runs again."""
    if not cluster.running:
        text = "crm_resource: Could not connect to the CIB: Transport endpoint is not connected\n"
        return Answer(code=DISCONNECT, stderr=f"{text}Error performing operation: Not connected\n")
    resource, node = call.options.get("resource"), call.options.get("node")
    if call.has("cleanup") or call.has("refresh"):
        cluster.clean_up(resource, node)
        return Answer(stdout=_cleaned(resource, node))
    if call.has("restart"):
        return _restart(cluster, call, (resource or "").removesuffix("-clone"), node or "")
    return Answer(code=USAGE, stderr="crm_resource: no command\n")


def _cleaned(resource: str | None, node: str | None) -> str:
    where = node or "all nodes"
    return f"Cleaned up {resource or 'all resources'} on {where}\n"


def _restart(cluster: Cluster, call: Invocation, service: str, node: str) -> Reply:
    if service not in CHAIN or node not in cluster.nodes:
        return Answer(code=NO_SUCH, stderr=f"crm_resource: Resource '{service}' not found\n")
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
