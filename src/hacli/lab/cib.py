"""The configuration half of the lab's CIB: what it says, and what ``cibadmin`` may do to it.

It is built to look like the recorded ones (``cibadmin -Q``, Pacemaker 2.1.5), and it is the only
place where the lab keeps node attributes, cluster options, constraints and device parameters: the
cluster reads them here, so that an edit by ``cibadmin`` changes what the cluster does.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

CHAIN = ("neutron-openvswitch-agent", "ceilometer-compute", "nova-compute")
GATE = "hacli-evacuating"
_OPTIONS = "cluster_property_set[@id='cib-bootstrap-options']"
_BINARIES = {"ceilometer-compute": "ceilometer-agent-compute"}


class RebootAction(StrEnum):
    """What a fence device does when the cluster asks for a reboot (``pcmk_reboot_action``)."""

    REBOOT = "reboot"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class FenceLogin:
    """How the fence devices log in to the BMCs."""

    user: str = "admin"
    password: str = "labsecret"


def binary(service: str) -> str:
    """The program of a service of the chain, as the recorded agents name it in their errors."""
    return _BINARIES.get(service, service)


class Cib:
    """The ``<configuration>`` of the cluster, read and edited the way Pacemaker does.

    Whoever edits ``root`` directly calls ``edited`` afterwards: what is looked up often is indexed.
    """

    def __init__(self, root: ET.Element) -> None:
        self.root = root
        self._index = _Index(root)

    def edited(self) -> None:
        """The tree was changed from outside."""
        self._index = _Index(self.root)

    def attributes(self, node: str) -> dict[str, str]:
        """The permanent attributes of a node, in the order in which they are written."""
        element = self._index.nodes.get(node)
        return {} if element is None else _pairs(element.findall("instance_attributes/nvpair"))

    def set_attribute(self, node: str, name: str, value: str) -> None:
        """Write a permanent attribute of a node.

        Raises:
            KeyError: The CIB does not know the node.
        """
        group = _group(self._index.nodes[node], "instance_attributes", f"nodes-{node}")
        _write_pair(group, name, value)

    def drop_attribute(self, node: str, name: str) -> bool:
        """Remove a permanent attribute; False when it was not there."""
        element = self._index.nodes.get(node)
        group = None if element is None else element.find("instance_attributes")
        pair = None if group is None else group.find(f"nvpair[@name='{name}']")
        if group is None or pair is None:
            return False
        group.remove(pair)
        return True

    def knows_node(self, node: str) -> bool:
        """Whether the CIB has a node of this name."""
        return node in self._index.nodes

    def option(self, name: str, default: str) -> str:
        """A cluster option of the bootstrap set."""
        pair = self.root.find(f"crm_config/{_OPTIONS}/nvpair[@name='{name}']")
        return default if pair is None else pair.get("value", default)

    def set_option(self, name: str, value: str) -> None:
        """Write a cluster option."""
        config = self.root.find("crm_config")
        group = None if config is None else config.find(_OPTIONS)
        if group is not None:
            _write_pair(group, name, value)

    def meta(self, resource: str, name: str) -> str | None:
        """A meta attribute of a resource (``target-role``, ``is-managed``); None when not set."""
        element = self._index.resources.get(resource)
        found = [] if element is None else element.findall("meta_attributes/nvpair")
        return _pairs(found).get(name)

    def set_meta(self, resource: str, name: str, value: str) -> None:
        """Write a meta attribute of a resource.

        Raises:
            KeyError: There is no such resource.
        """
        element = self._index.resources[resource]
        group = _group(element, "meta_attributes", f"{resource}-meta_attributes")
        _write_pair(group, name, value)

    def set_target_role(self, resource: str, role: str) -> None:
        """Say what is wanted of a resource. Raises as ``set_meta``."""
        self.set_meta(resource, "target-role", role)

    def drop_meta(self, resource: str, name: str) -> bool:
        """Remove a meta attribute; False when it was not there. Raises as ``set_meta``."""
        group = self._index.resources[resource].find("meta_attributes")
        pair = None if group is None else group.find(f"nvpair[@name='{name}']")
        if group is None or pair is None:
            return False
        group.remove(pair)
        return True

    def stopped(self, resource: str) -> bool:
        """The administrator wants the resource stopped."""
        return self.meta(resource, "target-role") == "Stopped"

    def managed(self, resource: str) -> bool:
        """Whether the resource itself is managed; maintenance is another matter."""
        return self.meta(resource, "is-managed") != "false"

    def knows_resource(self, resource: str) -> bool:
        """Whether the CIB has a primitive or clone of this name."""
        return resource in self._index.resources

    def device_parameter(self, device: str, name: str) -> str | None:
        """A parameter of a fence device."""
        element = self._index.resources.get(device)
        found = [] if element is None else element.findall("instance_attributes/nvpair")
        return _pairs(found).get(name)

    def set_device_parameter(self, device: str, name: str, value: str) -> None:
        """Write a parameter of a fence device.

        Raises:
            KeyError: There is no such device.
        """
        element = self._index.resources[device]
        _write_pair(_group(element, "instance_attributes", f"{device}-ia"), name, value)
        if name == "pcmk_host_list":
            self.edited()  # the only parameter that the index knows: 1,000 hosts have 2,000 others

    def devices(self) -> tuple[str, ...]:
        """The fence devices, in the order of the configuration."""
        return self._index.devices

    def devices_for(self, node: str) -> tuple[str, ...]:
        """The fence devices whose ``pcmk_host_list`` names the node."""
        return tuple(self._index.devices_for.get(node, ()))

    def bans(self, resource: str, node: str) -> tuple[tuple[str, int], ...]:
        """What keeps a clone off a node: the id that crm_mon prints, and the negative score."""
        found = []
        for name in (resource, f"{resource}-clone"):
            for location in self._index.locations.get(name, ()):
                found += self._scores(location, node)
        return tuple((name, score) for name, score in found if score < 0)

    def ban(self, resource: str, node: str) -> str:
        """Forbid a resource on a node, as ``crm_resource --ban``; return the constraint's id."""
        name = f"cli-ban-{resource}-on-{node}"
        self.lift_ban(resource, node)
        section = _group(self.root, "constraints", "")
        attributes = {"id": name, "rsc": resource, "role": "Started", "node": node}
        ET.SubElement(section, "rsc_location", {**attributes, "score": "-INFINITY"})
        self.edited()
        return name

    def lift_ban(self, resource: str, node: str) -> str | None:
        """Take such a ban away; return its id, None when there was none."""
        section = self.root.find("constraints")
        name = f"cli-ban-{resource}-on-{node}"
        ban = None if section is None else section.find(f"rsc_location[@id='{name}']")
        if section is None or ban is None:
            return None
        section.remove(ban)
        self.edited()
        return name

    def _scores(self, location: ET.Element, node: str) -> list[tuple[str, int]]:
        if location.get("node") == node:
            return [(location.get("id", ""), _score(location.get("score", "0")))]
        attributes = self.attributes(node)
        return [
            (rule.get("id", ""), _score(rule.get("score", "0")))
            for rule in location.iterfind("rule")
            if all(_holds(expression, attributes) for expression in rule.iterfind("expression"))
        ]


class _Index:
    """Where in the tree things are that are asked for often."""

    def __init__(self, root: ET.Element) -> None:
        self.nodes = {node.get("uname", ""): node for node in root.iterfind("nodes/node")}
        self.resources = {
            element.get("id", ""): element
            for section in root.iterfind("resources")
            for tag in ("primitive", "clone")
            for element in section.iter(tag)
        }
        fence = root.findall("resources/primitive[@class='stonith']")
        self.devices = tuple(element.get("id", "") for element in fence)
        self.devices_for: dict[str, list[str]] = {}
        for element in fence:
            hosts = _pairs(element.findall("instance_attributes/nvpair")).get("pcmk_host_list", "")
            for host in hosts.split():
                self.devices_for.setdefault(host, []).append(element.get("id", ""))
        self.locations: dict[str, list[ET.Element]] = {}
        for location in root.iterfind("constraints/rsc_location"):
            self.locations.setdefault(location.get("rsc", ""), []).append(location)


def _pairs(found: list[ET.Element]) -> dict[str, str]:
    return {pair.get("name", ""): pair.get("value", "") for pair in found}


def _group(element: ET.Element, tag: str, name: str) -> ET.Element:
    group = element.find(tag)
    return ET.SubElement(element, tag, {"id": name}) if group is None else group


def _holds(expression: ET.Element, attributes: Mapping[str, str]) -> bool:
    """Whether a location rule's expression is true for a node (the four operations in use)."""
    name, wanted = expression.get("attribute", ""), expression.get("value")
    match expression.get("operation"):
        case "defined":
            return name in attributes
        case "not_defined":
            return name not in attributes
        case "eq":
            return attributes.get(name) == wanted
        case "ne":
            return attributes.get(name) != wanted
    return False


def _score(text: str) -> int:
    infinity = {"INFINITY": 1_000_000, "+INFINITY": 1_000_000, "-INFINITY": -1_000_000}
    return infinity.get(text) or int(text)


def _write_pair(group: ET.Element, name: str, value: str) -> None:
    pair = group.find(f"nvpair[@name='{name}']")
    if pair is None:
        pair = ET.SubElement(group, "nvpair", {"id": f"{group.get('id')}-{name}", "name": name})
    pair.set("value", value)
