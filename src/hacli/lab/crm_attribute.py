"""``crm_attribute`` of the lab: permanent node attributes, with the real tool's texts and codes."""

from hacli.lab.cluster import Cluster
from hacli.lab.result_xml import finish, result
from hacli.lab.tool import DISCONNECT, NO_SUCH, OK, USAGE, Answer, Invocation
from hacli.lab.xml_text import attach, xml_text

SPEC = {
    "N": "node=",
    "n": "name=",
    "v": "update=",
    "D": "delete",
    "G": "query",
    "l": "lifetime=",
    "q": "quiet",
    "V": "verbose",
    "output": "output-as=",
}
_MESSAGES = {
    OK: "OK",
    NO_SUCH: "No such object",
    DISCONNECT: "Not connected",
    USAGE: "Incorrect usage",
}


def crm_attribute(cluster: Cluster, call: Invocation) -> Answer:
    """Answer one call of ``crm_attribute``."""
    node, name = call.options.get("node", ""), call.options.get("name", "")
    if not cluster.running:
        reason = "Could not connect to the CIB: Transport endpoint is not connected"
        return _end(cluster, call, DISCONNECT, reason)
    if call.options.get("lifetime", "forever") not in ("forever", "nodes"):
        return _end(cluster, call, USAGE, "the lab keeps permanent attributes only")
    if not cluster.cib.knows_node(node):
        return _end(cluster, call, NO_SUCH, f"Could not map name={node} to a UUID")
    if call.has("update"):
        cluster.cib.set_attribute(node, name, call.options["update"])
        cluster.configuration_changed()
        return _end(cluster, call)
    if call.has("delete"):
        return _delete(cluster, call, node, name)
    if call.has("query"):
        return _query(cluster, call, cluster.cib.attributes(node).get(name))
    return _end(cluster, call, USAGE, "no command")


def _delete(cluster: Cluster, call: Invocation, node: str, name: str) -> Answer:
    if not cluster.cib.drop_attribute(node, name):
        return _end(cluster, call)
    cluster.configuration_changed()
    text = f"Deleted nodes attribute: id=nodes-{node}-{name} name={name}\n"
    return _end(cluster, call) if call.wants_xml or call.has("quiet") else Answer(stdout=text)


def _query(cluster: Cluster, call: Invocation, value: str | None) -> Answer:
    name = call.options["name"]
    if value is None:
        reason = "Error performing operation: No such device or address"
        return _end(cluster, call, NO_SUCH, reason)
    if call.wants_xml:
        root = result(cluster, call.request)
        attach(root, "attribute", {"name": name, "value": value, "scope": "nodes"})
        return Answer(stdout=xml_text(finish(root)))
    if call.has("quiet"):
        return Answer(stdout=f"{value}\n")
    return Answer(stdout=f"scope=nodes  name={name} value={value}\n")


def _end(cluster: Cluster, call: Invocation, code: int = OK, error: str = "") -> Answer:
    text = f"crm_attribute: {error}" if error else ""
    if not call.wants_xml:
        return Answer(code=code, stderr=f"{text}\n" if text else "")
    root = result(cluster, call.request, code=code, message=_MESSAGES[code])
    return Answer(code=code, stdout=xml_text(finish(root, (text,) if text else ())))
