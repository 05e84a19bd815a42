"""The service chain, fence devices, levels and attributes, out of CIBs as people write them."""

import pytest

from hacli.adapters.pacemaker.cib import Cib, parse_host_map
from hacli.domain.cluster import FenceDevice, FenceLevel, FileSystem
from hacli.errors import Unreadable

ONLY_COMPUTES = (
    '<rsc_location id="l-{0}" rsc="{0}-clone" resource-discovery="exclusive">'
    '<rule id="r-{0}" score="0">'
    '<expression id="e-{0}" attribute="osprole" operation="eq" value="compute"/>'
    "</rule></rsc_location>"
)
REMOTE = '<primitive id="compute-1" class="ocf" provider="pacemaker" type="remote"/>'
NODES = (
    '<node id="1" uname="controller-1"/>'
    '<node id="compute-1" type="remote" uname="compute-1"><instance_attributes id="i">'
    '<nvpair id="n1" name="osprole" value="compute"/></instance_attributes></node>'
)


def cib(
    resources: str = "",
    constraints: str = "",
    *,
    options: str = "",
    topology: str = "",
    nodes: str = NODES,
    status: str = "",
) -> Cib:
    """A CIB with one controller and one remote node whose osprole is compute."""
    return Cib(
        "<cib><configuration><crm_config><cluster_property_set id='cib-bootstrap-options'>"
        f"{options}</cluster_property_set></crm_config><nodes>{nodes}</nodes>"
        f"<resources>{REMOTE}{resources}</resources><constraints>{constraints}</constraints>"
        f"<fencing-topology>{topology}</fencing-topology></configuration>"
        f"<status>{status}</status></cib>"
    )


def clone(name: str) -> str:
    """A cloned service."""
    return (
        f'<clone id="{name}-clone"><primitive id="{name}" class="systemd" type="{name}"/></clone>'
    )


def option(name: str, value: str) -> str:
    """A cluster property."""
    return f'<nvpair id="o-{name}" name="{name}" value="{value}"/>'


def then(first: str, second: str, *, kind: str = "Mandatory", action: str = "start") -> str:
    """An ordering constraint."""
    return (
        f'<rsc_order id="{first}-{second}" first="{first}" then="{second}" kind="{kind}"'
        f' first-action="{action}"/>'
    )


def in_sets(*sets: tuple[str, ...]) -> str:
    """An ordering constraint of sets, each in sequence."""
    body = "".join(
        "<resource_set>"
        + "".join(f'<resource_ref id="{name}"/>' for name in names)
        + "</resource_set>"
        for names in sets
    )
    return f'<rsc_order id="sets">{body}</rsc_order>'


def services(cib: Cib, node: str = "compute-1") -> tuple[str, ...]:
    """The chain by names."""
    return tuple(service for entry in cib.chain(node) for service in entry.clone.services)


AGENTS = clone("nova-compute") + clone("neutron-agent") + clone("ceilometer")
EVERYWHERE = "".join(map(ONLY_COMPUTES.format, ("nova-compute", "neutron-agent", "ceilometer")))
START_ORDER = ("neutron-agent", "ceilometer", "nova-compute")


@pytest.mark.parametrize(
    "order",
    [
        then("neutron-agent-clone", "ceilometer-clone")
        + then("ceilometer-clone", "nova-compute-clone"),
        then("ceilometer-clone", "nova-compute-clone")
        + then("neutron-agent-clone", "ceilometer-clone"),
        then("neutron-agent", "ceilometer") + then("ceilometer", "nova-compute", kind="Optional"),
        in_sets(("neutron-agent-clone", "ceilometer-clone", "nova-compute-clone")),
        in_sets(("neutron-agent-clone",), ("ceilometer-clone",), ("nova-compute-clone",)),
    ],
    ids=["pairs", "pairs backwards", "by primitives", "one set", "three sets"],
)
def test_the_chain_is_in_start_order(order: str) -> None:
    """However the constraints are written, and not as the clones are."""
    assert services(cib(AGENTS, EVERYWHERE + order)) == START_ORDER


@pytest.mark.parametrize(
    "order",
    [
        then("nova-compute-clone", "ceilometer-clone", kind="Serialize"),
        then("ceilometer-clone", "nova-compute-clone", action="stop"),
        then("keystone-clone", "nova-compute-clone"),
        then("nova-compute-clone", "nova-compute-clone"),
        in_sets(("ceilometer-clone", "nova-compute-clone")).replace(
            "<resource_set>", '<resource_set sequential="false">'
        ),
        "",
    ],
    ids=["serialize", "of stops", "with a stranger", "with itself", "side by side", "none"],
)
def test_what_does_not_order_starts_leaves_the_order_of_writing(order: str) -> None:
    """Pacemaker starts them in any order then; ours must only stay the same."""
    written = ("nova-compute", "neutron-agent", "ceilometer")

    assert services(cib(AGENTS, EVERYWHERE + order)) == written


def test_a_circle_of_orders_loses_no_service() -> None:
    """Pacemaker refuses to start them; they are still the chain."""
    circle = then("ceilometer-clone", "nova-compute-clone") + then(
        "nova-compute-clone", "ceilometer-clone"
    )

    assert sorted(services(cib(AGENTS, EVERYWHERE + circle))) == sorted(START_ORDER)


def test_a_cloned_group_is_a_chain_in_itself() -> None:
    """Its members start as they are written."""
    group = (
        '<clone id="compute-clone"><group id="compute">'
        '<primitive id="neutron-agent" class="systemd" type="x"/>'
        '<primitive id="nova-compute" class="systemd" type="y"/></group></clone>'
    )

    chain = cib(clone("late") + group, then("compute", "late"))

    assert services(chain) == ("neutron-agent", "nova-compute", "late")


def test_services_of_controllers_are_no_part_of_the_chain() -> None:
    """Each clone is kept to its nodes by an exclusive rule on osprole."""
    keystone = (
        '<rsc_location id="l" rsc="keystone-clone" resource-discovery="exclusive">'
        '<rule id="r" score="0"><expression id="e" attribute="osprole" operation="eq"'
        ' value="controller"/></rule></rsc_location>'
    )

    chain = cib(AGENTS + clone("keystone"), EVERYWHERE + keystone)

    assert sorted(services(chain)) == sorted(START_ORDER)
    assert services(chain, "controller-1") == ()


def at(node: str, score: str, *, which: str = 'rsc="nova-compute-clone"', body: str = "") -> str:
    """A location constraint for one node."""
    return f'<rsc_location id="l" {which} node="{node}" score="{score}">{body}</rsc_location>'


def location(*parts: str, operator: str = "and", name: str = "l") -> str:
    """A rule that keeps nova-compute off where all (or any) of its parts hold."""
    return (
        f'<rsc_location id="{name}" rsc="nova-compute-clone">'
        f'<rule id="r" score="-INFINITY" boolean-op="{operator}">{"".join(parts)}</rule>'
        "</rsc_location>"
    )


def expression(operation: str, *, attribute: str = "osprole", value: str = "") -> str:
    """One comparison of a node attribute."""
    compared = f' value="{value}"' if value else ""
    return f'<expression id="e" attribute="{attribute}" operation="{operation}"{compared}/>'


IN_A_SET = '<resource_set id="s"><resource_ref id="nova-compute-clone"/></resource_set>'
COMPUTE = expression("eq", value="compute")
ABSENT = expression("defined", attribute="absent")
DATE = '<date_expression id="d" operation="in_range"/>'


@pytest.mark.parametrize(
    ("constraint", "symmetric", "certain"),
    [
        pytest.param("", True, True, id="opt-out cluster"),
        pytest.param("", False, None, id="opt-in cluster"),
        pytest.param(at("compute-1", "100"), False, True, id="wanted here"),
        pytest.param(at("other", "100"), False, None, id="wanted elsewhere"),
        pytest.param(
            at("compute-1", "1", which='rsc="nova-compute"'), False, True, id="by its primitive"
        ),
        pytest.param(
            at("compute-1", "1", which='rsc-pattern="^nova"'), False, True, id="by pattern"
        ),
        pytest.param(at("compute-1", "1", which="", body=IN_A_SET), False, True, id="in a set"),
        pytest.param(at("compute-1", "-INFINITY"), True, None, id="kept off"),
        pytest.param(at("compute-1", "-50"), True, True, id="disliked"),
        pytest.param(
            at("compute-1", "-INFINITY", which='rsc="nova-compute-clone" role="Promoted"'),
            True,
            True,
            id="only not promoted here",
        ),
        pytest.param(location(expression("ne", value="compute")), True, True, id="off others"),
        pytest.param(location(expression("eq", value="COMPUTE")), True, None, id="in capitals"),
        pytest.param(location(expression("defined")), True, None, id="off where defined"),
        pytest.param(location(expression("not_defined")), True, True, id="off where undefined"),
        pytest.param(
            location(expression("eq", attribute="#uname", value="compute-1")),
            True,
            None,
            id="off by name",
        ),
        pytest.param(
            location(expression("eq", attribute="#kind", value="remote")),
            True,
            None,
            id="off by kind",
        ),
        pytest.param(location(COMPUTE, ABSENT), True, True, id="both must hold"),
        pytest.param(location(COMPUTE, ABSENT, operator="or"), True, None, id="one must hold"),
        pytest.param(location(f'<rule id="s">{COMPUTE}</rule>'), True, None, id="nested rule"),
        pytest.param(location(expression("gt", value="3")), True, False, id="unknown comparison"),
        pytest.param(location(DATE), True, False, id="a date"),
        pytest.param(
            location(expression("eq", value="other"), DATE), True, True, id="a date without effect"
        ),
        pytest.param(location(), True, False, id="an empty rule"),
    ],
)
def test_location_constraints_decide_what_belongs_to_the_chain(
    constraint: str, symmetric: bool, certain: bool | None
) -> None:
    """None: it may not run there. False: a rule could not be evaluated, so it stays, in doubt."""
    options = option("symmetric-cluster", "true" if symmetric else "false")

    chain = cib(clone("nova-compute"), constraint, options=options).chain("compute-1")

    assert [entry.certain for entry in chain] == ([] if certain is None else [certain])


@pytest.mark.parametrize(
    "held_back",
    [
        location(expression("eq", attribute="hacli-evacuating", value="1")),
        location(expression("eq", attribute="#uname", value="compute-1"), name="cli-ban-x"),
        at("compute-1", "-INFINITY").replace('id="l"', 'id="cli-ban-nova-on-compute-1"'),
    ],
    ids=["our gate", "ban by rule", "ban"],
)
def test_a_service_held_back_for_a_while_stays_in_the_chain(held_back: str) -> None:
    """Left out, a chain without nova-compute would read as complete."""
    nodes = NODES.replace(
        '<nvpair id="n1"', '<nvpair id="n2" name="hacli-evacuating" value="1"/><nvpair id="n1"'
    )

    chain = cib(AGENTS, EVERYWHERE + held_back, nodes=nodes)

    assert "nova-compute" in services(chain)


def test_transient_attributes_count_for_rules_and_are_no_permanent_ones() -> None:
    """Pacemaker's rules see both; the fencing takes the transient ones away."""
    status = (
        '<node_state uname="compute-1" in_ccm="true"><transient_attributes id="compute-1">'
        '<instance_attributes id="status-compute-1"><nvpair id="t" name="osprole" value="other"/>'
        '<nvpair id="u" name="busy" value="1"/></instance_attributes></transient_attributes>'
        "</node_state>"
    )
    busy = location(expression("defined", attribute="busy"))

    read = cib(AGENTS, EVERYWHERE + busy, status=status)

    assert "nova-compute" not in services(read)
    assert read.attributes("compute-1") == {"osprole": "compute"}


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("nova-compute", True),
        ("NovaCompute", True),
        ("openstack-nova-compute", True),
        ("nova-api", False),
    ],
)
def test_nova_compute_is_known_by_its_name(name: str, runs: bool) -> None:
    """Members of the cluster are compute nodes where it may run."""
    assert [c.runs_nova_compute for c in cib(clone(name)).clones] == [runs]


STONITH = (
    '<primitive id="ipmi-1" class="stonith" type="fence_ipmilan"><instance_attributes id="a">'
    "{}</instance_attributes></primitive>"
)


@pytest.mark.parametrize(
    ("parameters", "hosts", "ports"),
    [
        ({"pcmk_host_list": "compute-1 compute-2"}, ("compute-1", "compute-2"), {}),
        (
            {"pcmk_host_list": "compute-1,compute-2;compute-3"},
            ("compute-1", "compute-2", "compute-3"),
            {},
        ),
        ({"pcmk_host_map": "compute-1:7"}, ("compute-1",), {"compute-1": "7"}),
        (
            {"pcmk_host_list": "compute-1", "pcmk_host_map": "compute-1:7;compute-2:8,9"},
            ("compute-1", "compute-2"),
            {"compute-1": "7", "compute-2": "8,9"},
        ),
        ({}, (), {}),
    ],
    ids=["list", "list with other marks", "map", "both", "asked dynamically"],
)
def test_a_device_names_the_nodes_that_it_can_fence(
    parameters: dict[str, str], hosts: tuple[str, ...], ports: dict[str, str]
) -> None:
    """From pcmk_host_list and pcmk_host_map."""
    pairs = "".join(f'<nvpair id="{k}" name="{k}" value="{v}"/>' for k, v in parameters.items())

    assert cib(STONITH.format(pairs)).devices == (
        FenceDevice(
            id="ipmi-1", agent="fence_ipmilan", hosts=hosts, ports=ports, parameters=parameters
        ),
    )


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", {}),
        ("a:1;b:2", {"a": "1", "b": "2"}),
        ("a=1 b=2", {"a": "1", "b": "2"}),
        (r"a:my\ plug;b:x\:y", {"a": "my plug", "b": "x:y"}),
        ("a:1;", {"a": "1"}),
        ("junk;a:1", {"a": "1"}),
        ("a:1:2", {"a": "1:2"}),
    ],
)
def test_a_host_map_is_read_as_the_fencer_reads_it(text: str, ports: dict[str, str]) -> None:
    """Entries end at ";" or a blank, names at ":" or "="; a backslash makes a mark plain."""
    assert parse_host_map(text) == ports


def test_a_device_made_of_a_template_is_whole() -> None:
    """What the primitive says itself wins; id-ref borrows from another one."""
    resources = (
        '<template id="bmc" class="stonith" type="fence_ipmilan"><instance_attributes id="t">'
        '<nvpair id="t-user" name="username" value="op"/><nvpair id="t-ip" name="ip" value="0"/>'
        "</instance_attributes></template>"
        '<primitive id="ipmi-1" template="bmc"><instance_attributes id="a">'
        '<nvpair id="a-ip" name="ip" value="192.0.2.1"/></instance_attributes></primitive>'
        '<primitive id="ipmi-2" template="bmc"><instance_attributes id-ref="a"/></primitive>'
    )

    devices = cib(resources).devices

    expected = {"ip": "192.0.2.1", "username": "op"}
    assert [(d.id, d.agent, d.parameters) for d in devices] == [
        ("ipmi-1", "fence_ipmilan", expected),
        ("ipmi-2", "fence_ipmilan", expected),
    ]


def level(devices: str, index: int, target: str) -> str:
    """A fencing level for this target."""
    return f'<fencing-level id="f{index}" index="{index}" devices="{devices}" {target}/>'


@pytest.mark.parametrize(
    ("topology", "levels"),
    [
        (level("b", 2, 'target="compute-1"') + level("a,c", 1, 'target="compute-1"'),
         [(1, ("a", "c")), (2, ("b",))]),
        (level("a", 1, 'target="other"'), []),
        (level("a", 1, 'target-pattern="^compute-"'), [(1, ("a",))]),
        (level("a", 1, 'target-pattern="^COMPUTE-"'), [(1, ("a",))]),
        (level("a", 1, 'target-pattern="^other"'), []),
        (level("a", 1, 'target-attribute="osprole" target-value="compute"'), [(1, ("a",))]),
        (level("a", 1, 'target-attribute="osprole" target-value="other"'), []),
        (level("a", 1, 'target-pattern="compute"') + level("b", 1, 'target="compute-1"'),
         [(1, ("b",))]),
        (level("a", 1, 'target-pattern="compute"') + level("b", 2, 'target-attribute="osprole"'
         ' target-value="compute"'), [(1, ("a",))]),
        (level("a, c", 1, 'target="compute-1"'), [(1, ("a", "c"))]),
    ],
    ids=["by name, in order of index", "another's", "by pattern", "pattern in capitals",
         "another's pattern", "by attribute", "another's attribute", "a name wins",
         "the first kind wins", "with blanks"],
)  # fmt: skip
def test_the_levels_of_a_node_are_those_the_fencer_would_use(
    topology: str, levels: list[tuple[int, tuple[str, ...]]]
) -> None:
    """By name, pattern or attribute; never mixed."""
    assert cib(topology=topology).levels(["compute-1"]) == tuple(
        FenceLevel(target="compute-1", index=index, devices=devices) for index, devices in levels
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60.0),
        ("60", 60.0),
        ("2min", 120.0),
        ("1h", 3600.0),
        ("90000ms", 90.0),
        (" 5 s ", 5.0),
    ],
)
def test_the_fencing_timeout_is_read_with_its_unit(text: str, seconds: float) -> None:
    """Where crm_mon does not tell it (before 2.1.1); the new name wins over the old one."""
    assert cib(options=option("stonith-timeout", text)).fencing_timeout_s == seconds
    both = option("stonith-timeout", "1s") + option("fencing-timeout", text)
    assert cib(options=both).fencing_timeout_s == seconds
    assert cib().fencing_timeout_s == 60.0


@pytest.mark.parametrize(
    "read",
    [
        lambda: cib(options=option("stonith-timeout", "soon")).fencing_timeout_s,
        lambda: cib(clone("x"), options=option("symmetric-cluster", "maybe")).chain("compute-1"),
        lambda: cib(topology=level("a", 1, 'target-pattern="("')).levels(["compute-1"]),
        lambda: cib(topology=level("a", 1, 'target-attribute="x"')).levels(["compute-1"]),
        lambda: cib(status='<node_state uname="a"/><node_state uname="a"/>').node_fenced("a"),
        lambda: cib('<primitive id="x" template="none"/>').devices,
        lambda: cib('<primitive id="x" type="y"/>').devices,
        lambda: cib('<primitive class="stonith" type="y"/>').devices,
        lambda: cib(nodes='<node uname="a"><instance_attributes id="i"><nvpair id="n" name="g"/>'
                    "</instance_attributes></node>").attributes("a"),
    ],
    ids=["timeout", "symmetric", "pattern", "attribute without value", "two node states",
         "template", "class", "id", "value of an attribute"],
)  # fmt: skip
def test_what_is_not_understood_is_unreadable(read: object) -> None:
    """Never a guess."""
    assert callable(read)
    with pytest.raises(Unreadable):
        read()


def file_system(name: str, **parameters: str) -> str:
    """A Filesystem resource."""
    pairs = "".join(
        f'<nvpair id="{name}-{key}" name="{key}" value="{value}"/>'
        for key, value in parameters.items()
    )
    return (
        f'<clone id="{name}-clone"><primitive id="{name}" class="ocf" provider="heartbeat"'
        f' type="Filesystem"><instance_attributes id="{name}-ia">{pairs}</instance_attributes>'
        "</primitive></clone>"
    )


def test_mounts_are_told_by_their_resource() -> None:
    """One that does not say what it mounts, or where, is no evidence of anything."""
    found = cib(
        file_system("nova", device="filer:/nova", directory="/var/lib/nova", fstype="nfs4")
        + file_system("half", device="filer:/half", directory="/half")
        + clone("nova-compute")
    ).file_systems

    assert found == {
        "nova": FileSystem(device="filer:/nova", directory="/var/lib/nova", fs_type="nfs4")
    }
