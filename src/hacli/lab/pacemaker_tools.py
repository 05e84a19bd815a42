"""The Pacemaker tools of the lab, by name: a command line in, what the real tool answers out."""

from collections.abc import Callable, Mapping

from hacli.errors import UsageError
from hacli.lab import cibadmin, crm_attribute, crm_resource, stonith_admin
from hacli.lab.cluster import Cluster
from hacli.lab.crm_mon import crm_mon
from hacli.lab.result_xml import finish, result
from hacli.lab.tool import DISCONNECT, USAGE, Answer, Invocation, Reply, invocation
from hacli.lab.xml_text import xml_text

_VERSION = "Pacemaker {}\nWritten by Andrew Beekhof and the Pacemaker project contributors\n"
_CRM_MON = {
    "1": "one-shot",
    "r": "inactive",
    "n": "group-by-node",
    "A": "show-node-attributes",
    "f": "failcounts",
    "o": "operations",
    "t": "timing-details",
    "c": "tickets",
    "L": "neg-locations",
    "m": "fence-history=",
    "I": "include=",
    "U": "exclude=",
    "Q": "quiet",
    "output": "output-as=",
}


def run_tool(cluster: Cluster, argv: tuple[str, ...], stdin: str) -> Reply:
    """Answer one command line; an order that takes time is answered by a question to repeat."""
    tool = _TOOLS.get(argv[0] if argv else "")
    if tool is None:
        name = argv[0] if argv else ""
        return Answer(code=127, stderr=f"{name}: command not found\n")
    if argv[1:] in (("--version",), ("-$",)):
        return Answer(stdout=_VERSION.format(cluster.settings.release.value))
    spec, answer = tool
    try:
        call = invocation(argv, stdin, spec)
    except UsageError as error:
        return Answer(code=USAGE, stderr=f"{error.what}\n")
    return answer(cluster, call)


def _crm_mon(cluster: Cluster, call: Invocation) -> Answer:
    if not call.wants_xml:
        return Answer(code=USAGE, stderr="crm_mon: the lab prints XML only: --output-as=xml\n")
    if cluster.running:
        return Answer(stdout=xml_text(crm_mon(cluster, call.request)))
    errors = (
        "error: Could not connect to launcher: Connection refused",
        "crm_mon: Connection to cluster failed: Connection refused",
    )
    root = result(cluster, call.request, code=DISCONNECT, message="Not connected")
    return Answer(code=DISCONNECT, stdout=xml_text(finish(root, errors)))


def _crm_node(cluster: Cluster, call: Invocation) -> Answer:
    """Only ``--name``: the controller on which the tools are run."""
    if not call.has("name"):
        return Answer(code=USAGE, stderr="crm_node: the lab knows --name only\n")
    if not cluster.running:
        return Answer(code=DISCONNECT, stderr="error: Could not connect to controller\n")
    return Answer(stdout=f"{cluster.controllers[0]}\n")


_TOOLS: Mapping[str, tuple[Mapping[str, str], Callable[[Cluster, Invocation], Reply]]] = {
    "crm_mon": (_CRM_MON, _crm_mon),
    "cibadmin": (cibadmin.SPEC, cibadmin.cibadmin),
    "stonith_admin": (stonith_admin.SPEC, stonith_admin.stonith_admin),
    "crm_attribute": (crm_attribute.SPEC, crm_attribute.crm_attribute),
    "crm_node": ({"n": "name"}, _crm_node),
    "crm_resource": (crm_resource.SPEC, crm_resource.crm_resource),
}
