"""The configuration that the cluster starts with: hosts, fence devices, the chain and the gate."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import pairwise

from tests.system.stack.plan import BMC_LOGIN, CHAIN, Plan

GATE = "hacli-evacuating"
"""The node attribute that keeps nova-compute off a host."""
COMPUTE = CHAIN[-1]
CLUSTER_OPTIONS: Mapping[str, str] = {
    "stonith-enabled": "true",
    "stonith-timeout": "60s",
    "cluster-recheck-interval": "1min",
    "startup-fencing": "true",
    "cluster-name": "stack",
    "load-threshold": "1000%",  # Pacemaker waits when the machine is busy, and this one is
    "dc-deadtime": "2s",  # how long a new cluster waits for others before it elects
}


def resource_of(service: str) -> str:
    """The primitive of a service of the chain; deployments call this one not as its program."""
    return "ceilometer-compute" if service == "ceilometer-agent-compute" else service


def device_of(host: str) -> str:
    """The fence device of a host."""
    return f"ipmi-{host}"


def build(plan: Plan) -> str:
    """A whole CIB to start a cluster from: without one it waits 20 s before it elects a DC."""
    # a feature set above the daemons' own would leave them without a DC for ever
    cib = ET.Element("cib", {"crm_feature_set": "3.16.0", "validate-with": "pacemaker-3.9"})
    cib.attrib.update(epoch="1", num_updates="0", admin_epoch="0")
    configuration = ET.SubElement(cib, "configuration")
    options = ET.SubElement(configuration, "crm_config")
    _pairs(options, "cluster_property_set", "cib-bootstrap-options", CLUSTER_OPTIONS)
    nodes = ET.SubElement(configuration, "nodes")
    for host in plan.host_names:
        node = ET.SubElement(nodes, "node", id=host, type="remote", uname=host)
        _pairs(node, "instance_attributes", f"nodes-{host}", {"osprole": "compute"})
    resources = ET.SubElement(configuration, "resources")
    for host in plan.host_names:
        _add_connection(resources, plan, host)
        _add_device(resources, plan, host)
    for service in CHAIN:
        _add_service(resources, service)
    _add_constraints(ET.SubElement(configuration, "constraints"))
    ET.SubElement(cib, "status")
    return ET.tostring(cib, encoding="unicode")


def _add_connection(resources: ET.Element, plan: Plan, host: str) -> None:
    kind = {"class": "ocf", "provider": "pacemaker", "type": "remote"}
    parameters = {"server": plan.management_address(host), "reconnect_interval": "10s"}
    primitive = _add_primitive(resources, host, kind, parameters)
    _add_operations(
        primitive,
        start={"interval": "0s", "timeout": "60s"},
        stop={"interval": "0s", "timeout": "60s"},
        monitor={"interval": "10s", "timeout": "30s"},
    )


def _add_device(resources: ET.Element, plan: Plan, host: str) -> None:
    parameters = {
        "ip": plan.bmc_address(host),
        "username": BMC_LOGIN.user,
        "password": BMC_LOGIN.password,
        "lanplus": "1",
        "cipher": "3",  # the simulated BMC never answers when it is asked which it has
        "pcmk_host_list": host,
        "pcmk_reboot_action": plan.fence.value,
        "power_timeout": "20",
    }
    kind = {"class": "stonith", "type": "fence_ipmilan"}
    primitive = _add_primitive(resources, device_of(host), kind, parameters)
    _add_operations(primitive, monitor={"interval": "60s", "timeout": "20s"})


def _add_service(resources: ET.Element, service: str) -> None:
    name = resource_of(service)
    clone = ET.SubElement(resources, "clone", id=f"{name}-clone")
    kind = {"class": "ocf", "provider": "lab", "type": "service"}
    primitive = _add_primitive(clone, name, kind, {"binary": service})
    _add_operations(
        primitive,
        start={"interval": "0s", "timeout": "90s"},
        stop={"interval": "0s", "timeout": "90s", "on-fail": "fence"},
        monitor={"interval": "10s", "timeout": "20s"},
    )
    _pairs(clone, "meta_attributes", f"{name}-clone-meta", {"interleave": "true"})


def _add_constraints(constraints: ET.Element) -> None:
    names = [resource_of(service) for service in CHAIN]
    for name in names:
        compute = {"attribute": "osprole", "operation": "eq", "value": "compute"}
        where = _add_rule(constraints, f"loc-{name}", rsc=f"{name}-clone", score="0", **compute)
        where.set("resource-discovery", "exclusive")
    for first, then in pairwise(names):
        order = {"first": f"{first}-clone", "then": f"{then}-clone", "kind": "Mandatory"}
        actions = {"first-action": "start", "then-action": "start"}
        ET.SubElement(constraints, "rsc_order", {"id": f"order-{first}-{then}", **order, **actions})
        beside = {"rsc": f"{then}-clone", "with-rsc": f"{first}-clone", "score": "INFINITY"}
        ET.SubElement(constraints, "rsc_colocation", {"id": f"colo-{then}-{first}", **beside})
    shut = {"attribute": GATE, "operation": "defined"}
    _add_rule(constraints, "hacli-gate", rsc=f"{COMPUTE}-clone", score="-INFINITY", **shut)


def _add_rule(
    constraints: ET.Element, name: str, *, rsc: str, score: str, **expression: str
) -> ET.Element:
    location = ET.SubElement(constraints, "rsc_location", id=name, rsc=rsc)
    rule = ET.SubElement(location, "rule", id=f"{name}-rule", score=score)
    ET.SubElement(rule, "expression", {"id": f"{name}-expression", **expression})
    return location


def _add_primitive(
    parent: ET.Element, name: str, kind: Mapping[str, str], parameters: Mapping[str, str]
) -> ET.Element:
    primitive = ET.SubElement(parent, "primitive", {"id": name, **kind})
    _pairs(primitive, "instance_attributes", f"{name}-ia", parameters)
    return primitive


def _add_operations(primitive: ET.Element, **operations: Mapping[str, str]) -> None:
    parent = ET.SubElement(primitive, "operations")
    for name, settings in operations.items():
        identity = {"id": f"{primitive.get('id')}-{name}", "name": name}
        ET.SubElement(parent, "op", {**identity, **settings})


def _pairs(parent: ET.Element, tag: str, name: str, values: Mapping[str, str]) -> None:
    group = ET.SubElement(parent, tag, id=name)
    for key, value in values.items():
        ET.SubElement(group, "nvpair", id=f"{name}-{key}", name=key, value=value)
