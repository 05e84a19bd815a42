"""Laws L4 and L8: a claim stays as long as one machine's journal alone knows of a request."""

import pytest

from hacli.domain.claim import parse_claim
from hacli.domain.evacuation import End, Wishes
from hacli.domain.events import Warned
from hacli.errors import HacliError, Interrupted
from hacli.lab.cib import RebootAction
from hacli.lab.cloud_records import VmState
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.region import RegionSettings
from hacli.service.recovery import Verb
from tests.fakes.clock import Killed
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

ACTION = "servers/.*/action"
SETTLED_S = 600.0


def _claims(site: Site) -> dict[str, str]:
    """Who has which host, by run."""
    view = site.operator().world.cluster
    assert view is not None
    return {host: parse_claim(text).run for host, text in view.read_view().claims.items()}


def _lost(site: Site, servers: int) -> tuple[str, ...]:
    ids = site.seed("compute-1", servers)
    site.lose("compute-1")
    return ids


def _other(site: Site, at: str = "controller-2") -> Operator:
    """hacli on another machine, where it has never run."""
    return site.operator(store=site.other_controller(), at=at)


def _code(operator: Operator) -> str | None:
    """The code with which another controller's plain command ends; None when it is carried out."""
    try:
        operator.recover("compute-1")
    except HacliError as error:
        return error.code
    return None


def _interrupted_while_posting(site: Site) -> None:
    """Ctrl-C with one request on its way."""
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))
    operator.clock.interrupt_at = operator.clock.monotonic() + 60
    with pytest.raises(Interrupted):
        operator.recover("compute-1")
    assert list(_claims(site)) == ["compute-1"]


def test_a_request_without_a_trace_keeps_other_controllers_out(site: Site) -> None:
    """Only the journal of its machine knows that it was sent: the claim stays for it, until a run
    there has learned what became of it. Nobody's empty journal asks for a second evacuation.
    """
    (server,) = _lost(site, 1)
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))
    operator.recover("compute-1")
    left = _claims(site)

    elsewhere = site.other_controller()

    def other() -> Operator:
        return site.operator(store=elsewhere, at="controller-2")

    refused = _code(other())
    with_word = other().recover("compute-1", take_over=True)
    after_word = _claims(site)
    asked = site.log.evacuations(server)
    site.pass_time(SETTLED_S)
    at_last = other().recover("compute-1")

    assert left == {"compute-1": "r-000001"}
    assert [e.code for e in operator.events if isinstance(e, Warned)] == ["CLAIM_LEFT"]
    assert refused == "LOCKED"
    assert [end.end for end in with_word.evacuated.ends] == [End.UNKNOWN]
    assert list(after_word) == ["compute-1"]
    assert asked == ()
    assert at_last.complete
    assert len(site.log.evacuations(server)) == 1
    assert _claims(site) == {}


def test_the_machine_that_sent_it_asks_again_and_gives_the_claim_back(site: Site) -> None:
    """Its journal says when it was sent: ten minutes later it may be asked for once more."""
    (server,) = _lost(site, 1)
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))
    operator.recover("compute-1")

    site.pass_time(SETTLED_S)
    result = site.operator().recover("compute-1")

    assert result.complete
    assert len(site.log.evacuations(server)) == 1
    assert _claims(site) == {}


@pytest.mark.parametrize("verb", ["fence", "enable"])
def test_a_fence_or_a_failed_enable_keeps_the_claim_that_was_left(site: Site, verb: str) -> None:
    """They ask for no server; but what an earlier run here has asked for is open still."""
    _lost(site, 2)
    _interrupted_while_posting(site)

    if verb == "fence":
        site.operator().recover("compute-1", Verb.FENCE)
    else:
        with pytest.raises(HacliError):
            site.operator().enable("compute-1", timeout_s=20)

    assert list(_claims(site)) == ["compute-1"]
    assert _code(_other(site)) == "LOCKED"


@pytest.mark.parametrize("how", ["ctrl-c", "--server"])
def test_the_doubt_of_a_take_over_outlives_a_run_that_did_not_look_at_all(
    site: Site, how: str
) -> None:
    """What the first run may have asked for is not known of the servers that the second left."""
    ids = _lost(site, 3)
    first, second = site.operator(), _other(site)
    path = f"servers/{ids[0]}/action"
    first.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", path))
    site.when(lambda: len(site.log.evacuations()) == 2, lambda: site.after(1, first.process.kill))
    with pytest.raises(Killed):
        first.recover("compute-1")

    if how == "--server":
        only = Wishes(only=frozenset({"vm-0002"}))
        second.recover("compute-1", take_over=True, wishes=only)
    else:
        second.clock.interrupt_at = second.clock.monotonic() + 60
        with pytest.raises(Interrupted):
            second.recover("compute-1", take_over=True)

    assert _code(_other(site, "controller-3")) == "LOCKED"


def test_a_claim_left_for_a_start_in_place_goes_when_its_fate_is_known(build: NewSite) -> None:
    """The next command that finds nothing to do takes it away, so that nobody is kept out."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT)
    site = build("compute-1", "compute-2", settings=RegionSettings(cluster=cluster))
    site.seed("compute-1", 1)
    site.pass_time(10)
    site.lose("compute-1")
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    site.until(
        lambda: (
            site.region.cluster.nodes["compute-1"].connected
            and "nova-compute" in site.region.machines["compute-1"].processes
            and site.region.cloud.tables.is_up(service)
        )
    )
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.LOST, "POST", ACTION))
    clock = operator.clock
    site.when(
        lambda: any(event.name == "intent" for event in operator.events),
        lambda: setattr(clock, "interrupt_at", clock.monotonic() + 1.0),
    )
    with pytest.raises(Interrupted):
        operator.recover("compute-1")
    left = list(_claims(site))
    site.pass_time(SETTLED_S)

    again = site.operator().recover("compute-1")

    assert left == ["compute-1"]
    assert again.already is not None
    assert _claims(site) == {}


def test_a_claim_left_for_a_server_that_was_deleted_goes(site: Site) -> None:
    """Nothing can come of that request any more; ten minutes later nobody waits for it."""
    ids = _lost(site, 3)
    _interrupted_while_posting(site)
    site.operator().recover("compute-1")
    (key,) = [key for key in ids if not site.log.evacuations(key)]
    site.region.cloud.tables.servers[key].vm_state = VmState.SOFT_DELETED
    site.planted = ("calls compute-1 recovered",)
    site.pass_time(SETTLED_S)

    assert site.operator().recover("compute-1").complete

    assert _claims(site) == {}
