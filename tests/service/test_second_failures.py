"""The second failure: what goes wrong while something that went wrong is being mended."""

import pytest

from hacli.domain.evacuation import End
from hacli.domain.events import StepDone, StoredEvent
from hacli.domain.hosts import HostNames
from hacli.domain.policy import Policy, Storage
from hacli.domain.power import Bmc
from hacli.errors import Busy, Failed, HacliError, Refused, Unavailable
from hacli.lab.bmcs import BmcFault
from hacli.lab.commands import Cut, Join, PowerOff, PowerOn
from hacli.service.recovery import Verb, carry_out, require_gates
from tests.fakes.clock import Killed
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Site, options_of
from tests.service.conftest import NewSite

FQDN = {f"compute-{number}": f"compute-{number}.example.org" for number in (1, 2, 3, 4)}
ONE_SERVER = r"servers/[^/?]*(?<!detail)"


def _bmc(number: int) -> Bmc:
    return Bmc(
        driver="ipmi",
        address=f"192.0.2.{number}",
        port=623,
        user="op",
        password="labsecret",
        origin="configuration",
    )


def _orders(site: Site, since: int = 0) -> list[str]:
    return [call.what for call in site.log.calls[since:] if call in site.log.writes()]


def test_evacuate_never_switches_a_connected_host_off(build: NewSite) -> None:
    """Law L7: its configured BMC is another machine's and reads OFF; Pacemaker knows better."""
    swapped = {"compute-1": 2, "compute-2": 1}
    site = build(
        configured=tuple(HostNames(label=name, bmc=_bmc(bmc)) for name, bmc in swapped.items())
    )
    site.seed("compute-1", 3)
    site.region.apply(PowerOff(host="compute-2"))
    site.pass_time(120)

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1", Verb.EVACUATE)

    assert refusal.value.code == "HOST_HEALTHY"
    assert site.region.machines["compute-1"].powered
    assert _orders(site) == []


def test_a_bmc_that_is_named_for_two_hosts_switches_neither_off(build: NewSite) -> None:
    """Law L7: it is one machine's, so it is the wrong box of one of them."""
    site = build(configured=(HostNames(label="compute-1", bmc=_bmc(2)),))
    site.lose("compute-1")

    for host in ("compute-1", "compute-2"):
        with pytest.raises(Refused) as refusal:
            site.operator().recover(host)
        assert refusal.value.code == "NAME_AMBIGUOUS"

    assert _orders(site) == []


def test_a_host_that_is_back_when_the_order_is_due_is_left_alone(site: Site) -> None:
    """Law L7: the gates were asked before; the newest word counts."""
    site.seed("compute-1", 2)
    site.region.cluster.cib.set_option("stonith-enabled", "false")
    site.region.cluster.configuration_changed()
    site.region.apply(Cut(host="compute-1"))
    site.pass_time(90)
    operator, options = site.operator(), options_of(Verb.RECOVER, {})
    prepared = operator.prepare("compute-1", options)
    require_gates(prepared, options)
    site.region.apply(Join(host="compute-1"))
    site.until(lambda: not operator.prepare("compute-1", options).gates[0].passed)

    with pytest.raises(Refused) as refusal:
        carry_out(
            operator.world,
            prepared,
            policy=operator.policy,
            options=options,
            journal=operator.world.open_journal("recover", "compute-1"),
        )

    assert refusal.value.code == "HOST_HEALTHY"
    assert _orders(site) == []


def test_a_booting_host_with_local_servers_is_not_cut_again(site: Site) -> None:
    """Law L7: it was switched on for the two that were left; there is nothing else to ask for."""
    site.seed("compute-1", 5, local=2)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    before = len(site.log.calls)
    site.region.apply(PowerOn(host="compute-1"))
    site.pass_time(3)

    result = site.operator().recover("compute-1")

    assert not result.complete
    assert len(result.evacuated.skips) == 2
    assert site.region.machines["compute-1"].powered
    assert _orders(site, before) == []


def _killed_after_all_were_asked(site: Site) -> None:
    ids = site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator()
    site.when(
        lambda: len(site.log.evacuations()) == len(ids),
        lambda: setattr(operator.process, "dead", True),
    )
    with pytest.raises(Killed):
        operator.recover("compute-1")
    site.pass_time(60)


def test_what_cannot_be_read_back_is_never_recovered_already(site: Site) -> None:
    """Law L5: nobody has verified these servers, and Nova does not answer for them now."""
    _killed_after_all_were_asked(site)
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "GET", ONE_SERVER))

    with pytest.raises(Unavailable) as failure:
        operator.recover("compute-1")

    assert failure.value.code == "SERVERS_UNSURE"


def test_reading_back_has_an_end(site: Site) -> None:
    """Law L11: Nova calls them done and never shows them; each is named as unknown."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", ONE_SERVER))

    result = operator.recover("compute-1")

    assert [end.end for end in result.evacuated.ends] == [End.UNKNOWN, End.UNKNOWN]


def test_both_names_of_a_host_have_one_lock(build: NewSite) -> None:
    """Law L9: without the cluster a host has only Nova's name; it is the same host."""
    site = build(
        aliases=FQDN,
        configured=(
            HostNames(
                label="compute-1", pacemaker="compute-1", nova=FQDN["compute-1"], bmc=_bmc(1)
            ),
        ),
    )
    site.seed("compute-1", 1)
    site.lose("compute-1")
    site.pass_time(90)
    first = site.operator()
    first.world.locks.acquire(FQDN["compute-1"], run="r-other")

    for clustered, name in ((True, "compute-1"), (False, FQDN["compute-1"])):
        with pytest.raises(Busy):
            site.operator(clustered=clustered).recover(name)

    assert site.log.evacuations() == ()


def test_a_cluster_that_falls_silent_after_the_fence_is_told_as_it_is(site: Site) -> None:
    """Law L11: the host is off by then; "nothing was changed" would be wrong."""
    site.seed("compute-1", 2)
    site.lose("compute-1")

    def silence(stored: StoredEvent) -> None:
        if isinstance(stored.event, StepDone) and stored.event.step == "fence":
            operator.pacemaker.silent = True

    operator = site.operator(listeners=(silence,))

    with pytest.raises(Failed) as failure:
        operator.recover("compute-1")

    assert failure.value.code == "EVIDENCE_LOST"
    assert "compute-1 is switched off" in failure.value.state
    assert site.log.evacuations() == ()


def test_power_on_is_done_by_the_same_command_again(site: Site) -> None:
    """Law L8: the first run died after its last server; the wish is still the wish."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    site.operator().recover("compute-1")

    result = site.operator().recover("compute-1", power_on=True)

    assert result.already is not None
    assert result.powered_on
    assert site.region.machines["compute-1"].powered


def test_a_destination_that_is_enabled_in_the_middle_loses_no_disk(site: Site) -> None:
    """Law L6: hosts without the shared storage are disabled now, and may be enabled any time."""
    for host in ("compute-1", "compute-2"):
        site.region.cloud.set_shared_storage(host, shared=True)
    ids = site.seed("compute-1", 6, local=6)
    site.lose("compute-1")
    for host in ("compute-3", "compute-4"):
        service = site.region.cloud.tables.compute_service(host)
        assert service is not None
        service.disabled = True
    shared = {"compute-1": Storage.SHARED, "compute-2": Storage.SHARED}

    result = site.operator(policy=Policy(host_storage=shared)).recover("compute-1")

    assert {skip.server.id for skip in result.evacuated.skips} == set(ids)
    assert site.log.evacuations() == ()


def test_a_server_that_shows_up_late_makes_the_run_partial(site: Site) -> None:
    """Law L5: it is on the dead host and was in no plan; it is named, and the code says so."""
    site.seed("compute-1", 4)
    site.lose("compute-1")
    site.when(
        lambda: len(site.log.evacuations()) >= 2, lambda: site.seed("compute-1", 1, prefix="late")
    )

    result = site.operator().recover("compute-1")

    assert not result.complete
    assert [end.end for end in result.evacuated.failed] == [End.NOT_ASKED]


def test_a_switch_that_fails_on_a_living_host_is_not_told_as_a_dead_one(site: Site) -> None:
    """Law L11: `disable` cuts no power, so its State line must not say that the host is off."""
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "PUT"))

    with pytest.raises(Failed) as failure:
        operator.disable("compute-1")

    assert failure.value.code == "NOVA_WRITE_FAILED"
    assert "off" not in failure.value.state


def test_a_run_that_fenced_nothing_does_not_call_the_host_off(site: Site) -> None:
    """Law L11: it only wanted to read back what had arrived, and Nova's list fails by then."""
    _killed_after_all_were_asked(site)
    operator = site.operator()
    prepared = operator.prepare("compute-1", options_of(Verb.RECOVER, {}))
    operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", "os-migrations"))

    with pytest.raises(Unavailable) as failure:
        carry_out(
            operator.world,
            prepared,
            policy=operator.policy,
            options=options_of(Verb.RECOVER, {}),
            journal=operator.world.open_journal("recover", "compute-1"),
        )

    assert "switched off" not in failure.value.state
    assert _orders(site)[-1].startswith("POST")


def test_an_on_is_not_forgotten_after_forty_silences(site: Site) -> None:
    """Silence takes no sign of life back, however often it is heard: a person's word is not enough
    for a host whose BMC has read ON since.
    """
    (server,) = site.seed("compute-1", 1)
    bmc = site.region.bmcs["compute-1"]
    site.region.apply(Cut(host="compute-1"))  # it lives, and nobody hears it
    bmc.set_fault(BmcFault.DENIED)
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)
    site.pass_time(60)
    site.when(lambda: bool(site.log.claims()), lambda: bmc.set_fault(BmcFault.STUCK))
    site.when(
        lambda: any(call.said == "on" for call in site.log.calls),
        lambda: bmc.set_fault(BmcFault.DENIED),
    )

    with pytest.raises(HacliError):
        site.operator().recover("compute-1", attested="cut at the PDU")

    assert site.log.evacuations() == ()
    assert site.running(server) == {server: ("compute-1",)}


def test_a_server_that_cannot_be_read_back_hides_no_other(site: Site) -> None:
    """The first list of changes is lost, and one server stays unreadable alone and in no list."""
    ids = site.seed("compute-1", 24)
    site.lose("compute-1")
    operator = site.operator(policy=Policy(window=24, poll_s=5.0))
    faults = operator.nova.line.faults
    lists = WireFault(Wire.DROPPED, "GET", "servers/detail", times=2)

    def fail() -> None:
        faults.append(lists)
        faults.append(WireFault(Wire.DROPPED, "GET", f"servers/{ids[0]}"))

    site.when(lambda: len(site.log.evacuations()) > 0, fail)
    result = operator.recover("compute-1")

    assert lists.times == 0
    unread = {end.server.id for end in result.evacuated.failed}
    assert unread <= {ids[0]}
    assert len(result.evacuated.verified) == 24 - len(unread)
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * 24
