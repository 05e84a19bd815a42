"""The configuration with which the lab's cluster begins, made like the recorded ones."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import pairwise

from hacli.lab.cib import CHAIN, GATE, Cib, FenceLogin, RebootAction, binary
from hacli.lab.xml_text import child


def new_cib(
    computes: tuple[str, ...],
    controllers: tuple[str, ...],
    *,
    login: FenceLogin,
    reboot_action: RebootAction,
    monitor: tuple[float, float],
    gate: bool,
) -> Cib:
    """Remote nodes, one fence device each, the chain of three clones, and the gate's rule.

    ``monitor`` is the interval and the time-out of the connections' monitor, in seconds.
    """
    root = ET.Element("configuration")
    _options(child(root, "crm_config"))
    _nodes(child(root, "nodes"), computes, controllers)
    resources = child(root, "resources")
    for index, compute in enumerate(computes, start=101):
        _connection(resources, compute, server=f"10.99.0.{index}", monitor=monitor)
        _fence_device(resources, compute, login=login, reboot_action=reboot_action)
    for service in CHAIN:
        _clone(resources, service)
    _constraints(child(root, "constraints"), gate=gate)
    return Cib(root)


def _options(parent: ET.Element) -> None:
    values = {
        "stonith-enabled": "true",
        "stonith-timeout": "60s",
        "cluster-recheck-interval": "1min",
        "startup-fencing": "true",
        "cluster-name": "hacli-lab",
        "have-watchdog": "false",
        "dc-version": "2.1.5-a3f44794f94",
        "cluster-infrastructure": "corosync",
    }
    _pairs(child(parent, "cluster_property_set", id="cib-bootstrap-options"), values)


def _nodes(parent: ET.Element, computes: tuple[str, ...], controllers: tuple[str, ...]) -> None:
    for compute in computes:
        node = child(parent, "node", id=compute, type="remote", uname=compute)
        group = child(node, "instance_attributes", id=f"nodes-{compute}")
        _pairs(group, {"osprole": "compute"})
    for number, controller in enumerate(controllers, start=1):
        child(parent, "node", id=number, uname=controller)


def _connection(
    parent: ET.Element, compute: str, *, server: str, monitor: tuple[float, float]
) -> None:
    attributes = {"class": "ocf", "provider": "pacemaker", "type": "remote"}
    primitive = ET.SubElement(parent, "primitive", {"id": compute, **attributes})
    group = child(primitive, "instance_attributes", id=f"{compute}-ia")
    _pairs(group, {"server": server, "reconnect_interval": "10s"})
    operations = child(primitive, "operations")
    for name, interval, timeout in (
        ("start", "0s", "60s"),
        ("stop", "0s", "60s"),
        ("monitor", f"{monitor[0]:g}s", f"{monitor[1]:g}s"),
    ):
        child(
            operations, "op", id=f"{compute}-{name}", name=name, interval=interval, timeout=timeout
        )


def _fence_device(
    parent: ET.Element, compute: str, *, login: FenceLogin, reboot_action: RebootAction
) -> None:
    device = f"ipmi-{compute}"
    attributes = {"id": device, "class": "stonith", "type": "fence_ipmilan"}
    primitive = ET.SubElement(parent, "primitive", attributes)
    values = {
        "ip": "127.0.0.1",
        "ipport": "623",
        "username": login.user,
        "password": login.password,
        "lanplus": "1",
        "cipher": "3",
        "pcmk_host_list": compute,
        "power_timeout": "20",
    }
    if reboot_action is RebootAction.OFF:
        values["pcmk_reboot_action"] = "off"
    _pairs(child(primitive, "instance_attributes", id=f"{device}-ia"), values)
    child(
        child(primitive, "operations"),
        "op",
        id=f"{device}-monitor",
        name="monitor",
        interval="60s",
        timeout="20s",
    )


def _clone(parent: ET.Element, service: str) -> None:
    clone = child(parent, "clone", id=f"{service}-clone")
    attributes = {"id": service, "class": "ocf", "provider": "lab", "type": "service"}
    primitive = ET.SubElement(clone, "primitive", attributes)
    group = child(primitive, "instance_attributes", id=f"{service}-ia")
    _pairs(group, {"binary": binary(service)})
    operations = child(primitive, "operations")
    child(operations, "op", id=f"{service}-start", name="start", interval="0s", timeout="20s")
    child(
        operations,
        "op",
        id=f"{service}-stop",
        name="stop",
        interval="0s",
        timeout="20s",
        on_fail="fence",
    )
    child(operations, "op", id=f"{service}-monitor", name="monitor", interval="10s", timeout="20s")
    _pairs(child(clone, "meta_attributes", id=f"{service}-clone-meta"), {"interleave": "true"})


def _constraints(parent: ET.Element, *, gate: bool) -> None:
    for service in CHAIN:
        location = child(
            parent,
            "rsc_location",
            id=f"loc-{service}",
            rsc=f"{service}-clone",
            resource_discovery="exclusive",
        )
        rule = child(location, "rule", id=f"loc-{service}-r", score=0)
        child(
            rule,
            "expression",
            id=f"loc-{service}-e",
            attribute="osprole",
            operation="eq",
            value="compute",
        )
    for first, then in pairwise(CHAIN):
        child(
            parent,
            "rsc_order",
            id=f"order-{first}-{then}",
            first=f"{first}-clone",
            first_action="start",
            then=f"{then}-clone",
            then_action="start",
            kind="Mandatory",
        )
        child(
            parent,
            "rsc_colocation",
            id=f"colo-{then}-{first}",
            rsc=f"{then}-clone",
            with_rsc=f"{first}-clone",
            score="INFINITY",
        )
    if gate:
        _gate(parent)


def _gate(parent: ET.Element) -> None:
    """Keep nova-compute off a node whose servers are being evacuated; the rest of it starts."""
    location = child(parent, "rsc_location", id="hacli-gate", rsc=f"{CHAIN[-1]}-clone")
    rule = child(location, "rule", id="hacli-gate-rule", score="-INFINITY")
    child(rule, "expression", id="hacli-gate-expression", attribute=GATE, operation="defined")


def _pairs(group: ET.Element, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        child(group, "nvpair", id=f"{group.get('id')}-{name}", name=name, value=value)
