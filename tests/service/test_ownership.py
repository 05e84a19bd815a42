"""Gate and ownership: set on the proven dead alone, and nothing that is not ours is touched."""

import pytest

from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE
from hacli.errors import Failed, Refused
from hacli.lab.cloud_records import Service
from hacli.lab.commands import PowerOn
from hacli.service import powering
from hacli.service.recovery import Prepared, Recovered, Verb, carry_out, require_gates
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site, options_of

FOREIGN = "rack move"


def _service(site: Site) -> Service:
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    return service


def _gated(site: Site) -> bool:
    return GATE_ATTRIBUTE in site.region.cluster.cib.attributes("compute-1")


def _force_down(site: Site) -> None:
    """Somebody else tells Nova that the host is down."""
    _service(site).forced_down = True


def _disable(site: Site) -> None:
    """Somebody else keeps new servers away, with his own reason."""
    service = _service(site)
    service.disabled, service.disabled_reason = True, FOREIGN


def _prepared(operator: Operator) -> Prepared:
    options = options_of(Verb.RECOVER, {})
    prepared = operator.prepare("compute-1", options)
    require_gates(prepared, options)
    return prepared


def _carry_out(operator: Operator, prepared: Prepared) -> Recovered:
    return carry_out(
        operator.world,
        prepared,
        policy=operator.policy,
        options=options_of(Verb.RECOVER, {}),
        journal=operator.world.open_journal("recover", "compute-1"),
    )


def test_a_force_down_by_somebody_else_in_the_middle_is_never_cleared(site: Site) -> None:
    """Our marker says who disabled the host, not who forced it down."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    site.when(lambda: _service(site).disabled, lambda: _force_down(site))
    assert site.operator().recover("compute-1").complete
    site.region.apply(PowerOn(host="compute-1"))

    switched = site.operator().enable("compute-1")

    assert "not hacli's" in switched.kept[0]
    assert _service(site).forced_down


def test_a_disable_by_hand_does_not_claim_a_force_down(site: Site) -> None:
    """``hacli disable`` leaves a marker, too: of another deed."""
    site.operator().disable("compute-1", message="DIMM")
    _force_down(site)

    switched = site.operator().enable("compute-1")

    assert "not hacli's" in switched.kept[0]
    assert _service(site).forced_down


def test_release_needs_no_journal(site: Site) -> None:
    """Attributes and marker tell another controller what is ours."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))

    site.operator(store=site.other_controller()).enable("compute-1")

    assert (_service(site).forced_down, _service(site).disabled) == (False, False)
    left = set(site.region.cluster.cib.attributes("compute-1"))
    assert not {GATE_ATTRIBUTE, FORCED_DOWN_ATTRIBUTE} & left


def test_a_disable_by_somebody_else_just_before_ours_keeps_its_reason(site: Site) -> None:
    """The facts of the questions are old by then; the newest word counts."""
    site.lose("compute-1")
    operator = site.operator()
    prepared = _prepared(operator)
    _disable(site)

    _carry_out(operator, prepared)

    assert _service(site).disabled_reason == FOREIGN


def test_a_gate_that_was_lifted_since_the_questions_is_set_again(site: Site) -> None:
    """By an enable on another controller, which then waited for a host that never came."""
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")
    site.region.cluster.cib.set_attribute("compute-1", GATE_ATTRIBUTE, "r-000000")
    operator = site.operator()
    prepared = _prepared(operator)
    site.region.cluster.cib.drop_attribute("compute-1", GATE_ATTRIBUTE)

    result = _carry_out(operator, prepared)

    assert _gated(site)
    assert len(result.evacuated.verified) == len(ids)


def test_no_gate_is_set_on_a_host_that_came_back_while_nova_was_silent(site: Site) -> None:
    """The gate stops nova-compute: the proof must hold when it is set, not when it was made."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    operator = site.operator()

    def silence() -> None:
        until = operator.clock.monotonic() + 25.0
        fault = WireFault(Wire.NOT_SENT, "GET", "os-services", until=until)
        operator.nova.line.faults.append(fault)
        site.after(5.0, lambda: site.region.apply(PowerOn(host="compute-1")))

    site.when(lambda: any(event.name == "evidence" for event in operator.events), silence)

    with pytest.raises(Failed) as failure:
        operator.recover("compute-1")

    assert failure.value.code == "SIGN_OF_LIFE"
    assert not _gated(site)


def test_a_host_that_somebody_forced_down_is_disabled_all_the_same(site: Site) -> None:
    """Else Nova would fill it the moment that he takes his force-down away."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    _force_down(site)
    operator = site.operator()
    fault = WireFault(Wire.DROPPED, "PUT", "os-services/.*", times=1)  # the early disable
    operator.nova.line.faults.append(fault)

    assert operator.recover("compute-1").complete

    service = _service(site)
    assert service.disabled
    assert (service.disabled_reason or "").endswith(" recover")


def test_a_gate_in_old_facts_does_not_open_the_way_for_power_on(site: Site) -> None:
    """With evacuations open only a gate that is there now keeps nova-compute off."""
    site.seed("compute-1", 1)
    site.lose("compute-1")
    site.region.cluster.cib.set_attribute("compute-1", GATE_ATTRIBUTE, "r-000000")
    operator = site.operator()
    host = operator.prepare("compute-1").host
    server = next(iter(site.region.cloud.tables.servers.values()))
    site.region.cloud.tables.add_migration(server, kind="evacuation")
    site.region.cluster.cib.drop_attribute("compute-1", GATE_ATTRIBUTE)

    with pytest.raises(Refused) as refusal:
        powering.power_on(operator.world, host)

    assert refusal.value.code == "OPEN_EVACUATIONS"
    assert not site.region.machines["compute-1"].powered


def test_without_a_cluster_a_foreign_force_down_is_no_sign_of_death(site: Site) -> None:
    """Law L7: Nova then calls a host down that is alive and well."""
    site.seed("compute-1", 2)
    _force_down(site)

    with pytest.raises(Refused) as refusal:
        site.operator(clustered=False).recover("compute-1")

    assert refusal.value.code == "HOST_HEALTHY"
    assert site.log.writes() == ()


def test_a_note_without_a_force_down_is_taken_away_by_the_next_enable(site: Site) -> None:
    """A run died between note and PUT: that must not make an administrator's force-down ours."""
    site.region.cluster.cib.set_attribute("compute-1", FORCED_DOWN_ATTRIBUTE, "r-old")
    site.operator().enable("compute-1")
    _force_down(site)

    assert site.operator().enable("compute-1").kept != ()
    assert _service(site).forced_down
