"""``cibadmin`` of the lab: query, create, replace, modify, delete, with the recorded exit codes.

A live cluster (2.1.5) was asked for each text and code; the offline tool's differ here and there.
What finds nothing ends with 105, but for ``--delete``, which ends with 0.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable

from hacli.lab.cib_status import whole_cib
from hacli.lab.cluster import Cluster
from hacli.lab.tool import CONFIG, DISCONNECT, EXISTS, NO_SUCH, USAGE, Answer, Invocation
from hacli.lab.xml_text import xml_text
from hacli.lab.xpath import select

SPEC = {
    "Q": "query",
    "C": "create",
    "R": "replace",
    "M": "modify",
    "D": "delete",
    "d": "delete-all",
    "o": "scope=",
    "A": "xpath=",
    "X": "xml-text=",
    "p": "xml-pipe",
    "n": "no-children",
    "l": "local",
    "s": "sync-call",
    "f": "force",
    "c": "allow-create",
    "t": "timeout=",
    "U": "user=",
    "V": "verbose",
}
_NOT_CONNECTED = Answer(
    code=DISCONNECT,
    stderr=(
        "Could not connect to the CIB: Transport endpoint is not connected\n"
        "Init failed, could not perform requested operations\n"
    ),
)
# what the schema lets stand in a section, as far as the lab looks
_CHILDREN = {
    "crm_config": ("cluster_property_set",),
    "nodes": ("node",),
    "resources": ("primitive", "group", "clone", "bundle"),
    "constraints": ("rsc_location", "rsc_order", "rsc_colocation", "rsc_ticket"),
}


def _failed(verb: str, code: int, why: str, stdout: str = "") -> Answer:
    return Answer(code=code, stdout=stdout, stderr=f"Call cib_{verb} failed: {why}\n")


def _nothing(verb: str) -> Answer:
    return _failed(verb, NO_SUCH, "No such device or address")


def _bad_xml(verb: str) -> Answer:
    return _failed(verb, CONFIG, "Update does not conform to the configured schema")


def cibadmin(cluster: Cluster, call: Invocation) -> Answer:
    """Answer one call of ``cibadmin``."""
    if not cluster.running:
        return _NOT_CONNECTED
    if call.has("query"):
        return _query(cluster, call)
    edits: dict[str, Callable[[Cluster, Invocation, ET.Element | None], Answer]] = {
        "create": _create,
        "replace": _replace,
        "modify": _modify,
        "delete": _delete,
    }
    name = next((name for name in edits if call.has(name)), None)
    if name is None:
        return Answer(code=USAGE, stderr="cibadmin: no command\n")
    try:
        text = call.stdin if call.has("xml-pipe") else call.options.get("xml-text")
        piece = None if text is None else ET.fromstring(text)
    except ET.ParseError:
        return _bad_xml(name)
    answer = edits[name](cluster, call, piece)
    if answer.code == 0:
        cluster.configuration_changed()
    return answer


def _query(cluster: Cluster, call: Invocation) -> Answer:
    root = whole_cib(cluster)
    scope = call.options.get("scope")
    if call.has("xpath"):
        found = select(root, call.options["xpath"])
    elif scope is None:
        found = [root]
    else:
        found = [root] if scope == "cib" else list(root.iter(scope))[:1]
    if not found:
        return _nothing("query")
    if call.has("no-children"):
        found = [ET.Element(element.tag, element.attrib) for element in found]
    if len(found) == 1:
        return Answer(stdout=xml_text(found[0]))
    group = ET.Element("xpath-query")
    group.extend(found)
    return Answer(stdout=xml_text(group))


def _create(cluster: Cluster, call: Invocation, piece: ET.Element | None) -> Answer:
    section = cluster.cib.root.find(call.options.get("scope", ""))
    if piece is None or section is None:
        return Answer(code=USAGE, stderr="cibadmin: --create needs --scope and XML\n")
    if piece.tag not in _CHILDREN.get(section.tag, (piece.tag,)) or "id" not in piece.attrib:
        return _bad_xml("create")
    if _same(section, piece) is not None:
        return _exists(piece)
    section.append(piece)
    return Answer()


def _exists(piece: ET.Element) -> Answer:
    failed = ET.Element("failed")
    attributes = {
        "id": piece.get("id", ""),
        "object_type": piece.tag,
        "operation": "cib_create",
        "reason": "File exists",
    }
    ET.SubElement(failed, "failed_update", attributes).append(piece)
    return _failed("create", EXISTS, "File exists", stdout=xml_text(failed))


def _replace(cluster: Cluster, call: Invocation, piece: ET.Element | None) -> Answer:
    """``--replace``: with an xpath that says the old value it is a compare-and-swap."""
    found = _targets(cluster, call, piece)
    if piece is None or not found:
        return _nothing("replace")
    _put_in_place(cluster.cib.root, found[0], piece)
    return Answer()


def _modify(cluster: Cluster, call: Invocation, piece: ET.Element | None) -> Answer:
    if piece is None:
        return Answer(code=USAGE, stderr="cibadmin: --modify needs XML\n")
    found = _targets(cluster, call, piece)
    if not found:
        return _nothing("modify")
    _merge(found[0], piece)
    return Answer()


def _delete(cluster: Cluster, call: Invocation, piece: ET.Element | None) -> Answer:
    found = _targets(cluster, call, piece)
    for target in found if call.has("delete-all") else found[:1]:
        for parent in cluster.cib.root.iter():
            if any(element is target for element in parent):
                parent.remove(target)
                break
    return Answer()


def _targets(cluster: Cluster, call: Invocation, piece: ET.Element | None) -> list[ET.Element]:
    root = cluster.cib.root
    if call.has("xpath"):
        whole = ET.Element("cib")
        whole.append(root)
        return select(whole, call.options["xpath"])
    if piece is None:
        return []
    section = root.find(call.options["scope"]) if call.has("scope") else root
    if section is None:
        return []
    return (
        [section] if section.tag == piece.tag else [e for e in section.iter() if _alike(e, piece)]
    )


def _alike(element: ET.Element, piece: ET.Element) -> bool:
    return element.tag == piece.tag and element.get("id") == piece.get("id")


def _same(section: ET.Element, piece: ET.Element) -> ET.Element | None:
    return next((element for element in section if _alike(element, piece)), None)


def _put_in_place(root: ET.Element, old: ET.Element, new: ET.Element) -> None:
    for parent in root.iter():
        for index, element in enumerate(parent):
            if element is old:
                parent[index] = new
                return


def _merge(target: ET.Element, piece: ET.Element) -> None:
    target.attrib.update(piece.attrib)
    for part in piece:
        same = _same(target, part)
        if same is None:
            target.append(part)
        else:
            _merge(same, part)
