"""What ``cibadmin --query`` says. Pure: text in, facts out. No error shows a device's parameter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.etree.ElementTree import Element

from hacli.adapters.pacemaker.claims import claims_in
from hacli.adapters.pacemaker.placement import Clone, in_start_order, locations_of, may_run
from hacli.adapters.pacemaker.strict import Source
from hacli.domain.cluster import FenceDevice, FenceLevel, FileSystem

FENCING_TIMEOUT_S = 60.0
"""Pacemaker's default of ``fencing-timeout``."""

_CIB = Source("cibadmin")
_BOOLEANS = {
    **dict.fromkeys(("true", "on", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "off", "no", "n", "0"), False),
}
_UNITS = {
    **dict.fromkeys(("", "s", "sec"), 1.0),
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("m", "min"), 60.0),
    **dict.fromkeys(("h", "hr"), 3600.0),
}


@dataclass(frozen=True, kw_only=True)
class ChainClone:
    """A clone of a node's chain; ``certain`` is False when a rule could not be evaluated."""

    clone: Clone
    certain: bool


@dataclass(frozen=True, kw_only=True)
class Membership:
    """The attributes of ``<cib>`` itself."""

    with_quorum: bool
    dc: bool


class Cib:
    """One CIB.

    Raises:
        Unreadable: It is no CIB; or, from any property or method, something that is decided on is
            missing or has an unknown value.
    """

    def __init__(self, text: str) -> None:
        self._root = _CIB.parse(text)
        if self._root.tag != "cib":
            raise _CIB.unreadable(f"a <{self._root.tag}> in place of a CIB")
        self._configuration = _CIB.child(self._root, "configuration")
        self._constraints = _CIB.child(self._configuration, "constraints")
        self._resources = _CIB.child(self._configuration, "resources")
        self._by_id = {e.get("id"): e for e in self._configuration.iter() if "id" in e.attrib}

    @cached_property
    def _properties(self) -> Mapping[str, str]:
        """Cluster options; a name in an earlier set wins, as for Pacemaker."""
        options = _CIB.child(self._configuration, "crm_config")
        return self._pairs(options.iterfind("cluster_property_set"))

    @property
    def cluster_name(self) -> str | None:
        """``cluster-name``, for people."""
        return self._properties.get("cluster-name")

    @property
    def fencing_timeout_s(self) -> float:
        """``fencing-timeout``, in seconds."""
        names = ("fencing-timeout", "stonith-timeout")
        text = next((self._properties[name] for name in names if name in self._properties), None)
        if text is None:
            return FENCING_TIMEOUT_S
        match = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", text)
        if match is None or match[2] not in _UNITS:
            raise _CIB.unreadable(f"fencing-timeout is {text[:60]!r}")
        return int(match[1]) * _UNITS[match[2]]

    @property
    def _symmetric(self) -> bool:
        text = self._properties.get("symmetric-cluster", "true").lower()
        if text not in _BOOLEANS:
            raise _CIB.unreadable(f"symmetric-cluster is {text[:60]!r}")
        return _BOOLEANS[text]

    @cached_property
    def remotes(self) -> frozenset[str]:
        """Names of the remote nodes: the ids of their connection resources."""
        remote = ("ocf", "pacemaker", "remote")
        return frozenset(
            _CIB.text(primitive, "id")
            for primitive in self._resources.iter("primitive")
            if tuple(self._kind(primitive, part) for part in ("class", "provider", "type"))
            == remote
        )

    @cached_property
    def _attributes(self) -> Mapping[str, Mapping[str, str]]:
        return {
            _CIB.text(node, "uname"): self._pairs(node.iterfind("instance_attributes"))
            for node in _CIB.child(self._configuration, "nodes").iterfind("node")
        }

    def attributes(self, node: str) -> Mapping[str, str]:
        """The node's permanent attributes."""
        return self._attributes.get(node, {})

    @cached_property
    def _node_states(self) -> Mapping[str, Element]:
        states = [(_CIB.text(s, "uname"), s) for s in self._root.iterfind("status/node_state")]
        if len(dict(states)) != len(states):
            raise _CIB.unreadable("two <node_state> of one node")
        return dict(states)

    def node_fenced(self, node: str) -> int | None:
        """When the node was last fenced (epoch seconds); 0 after its return, None: never."""
        state = self._node_states.get(node)
        return None if state is None else fenced_at(state)

    @property
    def claims(self) -> Mapping[str, str]:
        """hacli's claims by host."""
        return claims_in(self._configuration)

    def left(self, node: str) -> bool:
        """Whether a member is expected to be down: it left in order, or was fenced."""
        state = self._node_states.get(node)
        return state is not None and state.get("expected") == "down"

    def in_cluster(self, node: str) -> bool:
        """Whether the node is connected (``in_ccm``); without a node_state nothing denies it."""
        state = self._node_states.get(node)
        return state is None or _in_cluster(state)

    @cached_property
    def clones(self) -> tuple[Clone, ...]:
        """All clones, in start order. ``master`` is what Pacemaker 1 called a promotable one."""
        found = [self._clone(e) for e in self._resources if e.tag in ("clone", "master")]
        return in_start_order(found, self._constraints)

    @cached_property
    def _placed(self) -> tuple[tuple[Clone, tuple[Element, ...]], ...]:
        return tuple((clone, locations_of(clone, self._constraints)) for clone in self.clones)

    def chain(self, node: str) -> tuple[ChainClone, ...]:
        """The clones that may run on this node, in start order."""
        known = {**self._transient(node), **self.attributes(node), "#uname": node}
        known["#kind"] = "remote" if node in self.remotes else "cluster"
        judged = (
            (clone, may_run(locations, known, symmetric=self._symmetric))
            for clone, locations in self._placed
        )
        return tuple(
            ChainClone(clone=clone, certain=allowed is True)
            for clone, allowed in judged
            if allowed is not False
        )

    @property
    def file_systems(self) -> Mapping[str, FileSystem]:
        """All Filesystem resources by id; one whose parameters are not all there is left out."""
        found = {}
        for primitive in self._resources.iter("primitive"):
            if self._kind(primitive, "type") != "Filesystem":
                continue
            told = self._pairs(primitive.iterfind("instance_attributes"))
            device, directory, fs_type = (
                told.get(name) for name in ("device", "directory", "fstype")
            )
            if device and directory and fs_type:
                found[_CIB.text(primitive, "id")] = FileSystem(
                    device=device, directory=directory, fs_type=fs_type
                )
        return found

    @property
    def devices(self) -> tuple[FenceDevice, ...]:
        """All fence devices."""
        return tuple(
            self._device(primitive)
            for primitive in self._resources.iter("primitive")
            if self._kind(primitive, "class") == "stonith"
        )

    def levels(self, nodes: Sequence[str]) -> tuple[FenceLevel, ...]:
        """The fencing topology of these nodes, by node and index.

        A level that names a node wins over patterns and attributes, as for the fencer.
        """
        elements = self._configuration.findall("fencing-topology/fencing-level")
        return tuple(
            FenceLevel(
                target=node,
                index=_CIB.whole(level, "index"),
                devices=tuple(_CIB.text(level, "devices").replace(" ", "").split(",")),
            )
            for node in nodes
            for level in sorted(self._levels_of(node, elements), key=_index)
        )

    def _levels_of(self, node: str, levels: Sequence[Element]) -> list[Element]:
        named = [level for level in levels if level.get("target") == node]
        if named:
            return named
        matching = [level for level in levels if self._matches(level, node)]
        kinds = [_target(level) for level in matching]
        return [level for level in matching if _target(level) == kinds[0]]

    def _matches(self, level: Element, node: str) -> bool:
        if "target" in level.attrib:
            return False
        if "target-pattern" in level.attrib:
            try:
                return re.search(level.attrib["target-pattern"], node, re.IGNORECASE) is not None
            except re.error:
                raise _CIB.misunderstood(level, "target-pattern") from None
        known = {**self._transient(node), **self.attributes(node)}
        name, value = _CIB.text(level, "target-attribute"), _CIB.text(level, "target-value")
        return known.get(name) == value

    def _transient(self, node: str) -> Mapping[str, str]:
        state = self._node_states.get(node)
        if state is None:
            return {}
        return self._pairs(state.iterfind("transient_attributes/instance_attributes"))

    def _clone(self, clone: Element) -> Clone:
        primitives = list(clone.iter("primitive"))
        names = [_CIB.text(e, "id") for e in (clone, *clone.iter("group"), *primitives)]
        words = names + [self._kind(primitive, "type") for primitive in primitives]
        return Clone(
            id=names[0],
            services=tuple(_CIB.text(primitive, "id") for primitive in primitives),
            names=frozenset(names),
            runs_nova_compute=any(
                "novacompute" in re.sub("[^a-z]", "", word.lower()) for word in words
            ),
        )

    def _device(self, primitive: Element) -> FenceDevice:
        sets = [primitive, *self._template(primitive)]
        parameters = self._pairs(
            e for holder in sets for e in holder.iterfind("instance_attributes")
        )
        ports = parse_host_map(parameters.get("pcmk_host_map", ""))
        listed = re.split(r"[\s,;]+", parameters.get("pcmk_host_list", ""))
        return FenceDevice(
            id=_CIB.text(primitive, "id"),
            agent=self._kind(primitive, "type"),
            hosts=tuple(dict.fromkeys([*filter(None, listed), *ports])),
            ports=ports,
            parameters=parameters,
        )

    def _kind(self, primitive: Element, attribute: str) -> str:
        """``class``, ``provider`` or ``type``, from the resource template where it uses one."""
        holders = [primitive, *self._template(primitive)]
        found = next((e.attrib[attribute] for e in holders if attribute in e.attrib), "")
        if not found and attribute != "provider":
            raise _CIB.unreadable(f"<primitive {primitive.get('id')}>: {attribute} is missing")
        return found

    def _template(self, primitive: Element) -> list[Element]:
        name = primitive.get("template")
        if name is None:
            return []
        if name not in self._by_id:
            raise _CIB.misunderstood(primitive, "template")
        return [self._by_id[name]]

    def _pairs(self, sets: Iterator[Element]) -> dict[str, str]:
        """Names and values of these sets; the first one wins. A set with a rule is left out."""
        pairs: dict[str, str] = {}
        for each in sets:
            resolved = self._resolved(each)
            if resolved.find("rule") is not None:
                continue
            for pair in map(self._resolved, resolved.iterfind("nvpair")):
                if "value" not in pair.attrib:
                    raise _CIB.unreadable(f"<nvpair {pair.get('id')}>: value is missing")
                pairs.setdefault(_CIB.text(pair, "name"), pair.attrib["value"])
        return pairs

    def _resolved(self, element: Element) -> Element:
        return self._by_id.get(element.get("id-ref"), element)


def fenced_at(state: Element) -> int | None:
    """``node_fenced`` of a ``node_state``."""
    return _CIB.whole(state, "node_fenced") if "node_fenced" in state.attrib else None


def _index(level: Element) -> int:
    return _CIB.whole(level, "index")


def _target(level: Element) -> tuple[str | None, ...]:
    return tuple(level.get(name) for name in ("target-pattern", "target-attribute", "target-value"))


def parse_host_map(text: str) -> dict[str, str]:
    r"""Plugs by node, from ``node:plug;node=plug,plug``; a backslash makes the next one plain."""
    ports = {}
    for entry in re.findall(r"(?:\\.|[^;\s\\])+", text):
        match = re.fullmatch(r"((?:\\.|[^:=\\])+)[:=](.+)", entry)
        if match is not None:
            node, plug = (re.sub(r"\\(.)", r"\1", part) for part in match.groups())
            ports[node] = plug
    return ports


def parse_membership(text: str) -> Membership:
    """``cibadmin --query --no-children``. Absent (no DC has written it yet): no quorum, no DC."""
    root = _CIB.parse(text)
    if root.tag == "xpath-query":
        root = _CIB.child(root, "cib")
    if root.tag != "cib":
        raise _CIB.unreadable(f"a <{root.tag}> in place of a CIB")
    return Membership(
        with_quorum=_CIB.flag(root, "have-quorum", absent=False), dc=bool(root.get("dc-uuid"))
    )


def parse_node_state(text: str, *, node: str) -> tuple[int | None, bool]:
    """``node_fenced`` and whether the node is connected, from a query for its ``node_state``."""
    root = _CIB.parse(text)
    states = [root] if root.tag == "node_state" else root.findall("node_state")
    if len(states) != 1 or _CIB.text(states[0], "uname") != node:
        raise _CIB.unreadable(f"{len(states)} <node_state> of {node}")
    return fenced_at(states[0]), _in_cluster(states[0])


def _in_cluster(state: Element) -> bool:
    """true or false; since Pacemaker 2.1.7 also the time of joining, 0 while it has not."""
    if state.get("in_ccm", "").isdigit():
        return _CIB.whole(state, "in_ccm") > 0
    return _CIB.flag(state, "in_ccm")
