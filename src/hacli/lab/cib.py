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
    """The ``<configuration>`` of the cluster, read and edited the way Pacemaker does."""

    def __init__(self, root: ET.Element) -> None:
        self.root = root

    def attributes(self, node: str) -> dict[str, str]:
        """The permanent attributes of a node, in the order in which they are written."""
        pairs = self.root.findall(f"nodes/node[@uname='{node}']/instance_attributes/nvpair")
        return {pair.get("name", ""): pair.get("value", "") for pair in pairs}

    def set_attribute(self, node: str, name: str, value: str) -> None:
        """Write a permanent attribute of a node that the CIB knows."""
        element = self.root.find(f"nodes/node[@uname='{node}']")
        if element is None:
            raise LookupError(node)
        group = element.find("instance_attributes")
        if group is None:
            group = ET.SubElement(element, "instance_attributes", {"id": f"nodes-{node}"})
        _write_pair(group, name, value)

    def drop_attribute(self, node: str, name: str) -> bool:
        """Remove a permanent attribute; False when it was not there."""
        group = self.root.find(f"nodes/node[@uname='{node}']/instance_attributes")
        pair = None if group is None else group.find(f"nvpair[@name='{name}']")
        if group is None or pair is None:
            return False
        group.remove(pair)
        return True

    def knows_node(self, node: str) -> bool:
        """Whether the CIB has a node of this name."""
        return self.root.find(f"nodes/node[@uname='{node}']") is not None

    def option(self, name: str, default: str) -> str:
        """A cluster option of the bootstrap set."""
        pair = self.root.find(f"crm_config/cluster_property_set/nvpair[@name='{name}']")
        return default if pair is None else pair.get("value", default)

    def set_option(self, name: str, value: str) -> None:
        """Write a cluster option."""
        group = self.root.find("crm_config/cluster_property_set[@id='cib-bootstrap-options']")
        if group is None:
            raise LookupError("cib-bootstrap-options")
        _write_pair(group, name, value)

    def target_role(self, resource: str) -> str | None:
        """What the administrator wants of a resource; None when nothing is said."""
        pair = self.root.find(
            f"resources//*[@id='{resource}']/meta_attributes/nvpair[@name='target-role']"
        )
        return None if pair is None else pair.get("value")

    def set_target_role(self, resource: str, role: str) -> None:
        """Write ``target-role``, as ``crm_resource --meta`` does."""
        element = self.root.find(f"resources//*[@id='{resource}']")
        if element is None:
            raise LookupError(resource)
        group = element.find("meta_attributes")
        if group is None:
            group = ET.SubElement(element, "meta_attributes", {"id": f"{resource}-meta_attributes"})
        _write_pair(group, "target-role", role)

    def device_parameter(self, device: str, name: str) -> str | None:
        """A parameter of a fence device."""
        pair = self.root.find(
            f"resources/primitive[@id='{device}']/instance_attributes/nvpair[@name='{name}']"
        )
        return None if pair is None else pair.get("value")

    def set_device_parameter(self, device: str, name: str, value: str) -> None:
        """Write a parameter of a fence device."""
        group = self.root.find(f"resources/primitive[@id='{device}']/instance_attributes")
        if group is None:
            raise LookupError(device)
        _write_pair(group, name, value)

    def devices(self) -> tuple[str, ...]:
        """The fence devices, in the order of the configuration."""
        found = self.root.findall("resources/primitive[@class='stonith']")
        return tuple(element.get("id", "") for element in found)

    def devices_for(self, node: str) -> tuple[str, ...]:
        """The fence devices whose ``pcmk_host_list`` names the node."""
        return tuple(
            device
            for device in self.devices()
            if node in (self.device_parameter(device, "pcmk_host_list") or "").split()
        )

    def bans(self, resource: str, node: str) -> tuple[tuple[str, int], ...]:
        """What keeps a clone off a node: the id that crm_mon prints, and the negative score."""
        found = []
        for location in self.root.iterfind("constraints/rsc_location"):
            if location.get("rsc") not in (resource, f"{resource}-clone"):
                continue
            found += self._scores(location, node)
        return tuple((name, score) for name, score in found if score < 0)

    def _scores(self, location: ET.Element, node: str) -> list[tuple[str, int]]:
        if location.get("node") == node:
            return [(location.get("id", ""), _score(location.get("score", "0")))]
        attributes = self.attributes(node)
        return [
            (rule.get("id", ""), _score(rule.get("score", "0")))
            for rule in location.iterfind("rule")
            if all(_holds(expression, attributes) for expression in rule.iterfind("expression"))
        ]


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
