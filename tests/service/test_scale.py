"""Many servers, and lists that cannot be trusted: nothing is believed to be empty by mistake."""

import pytest

from hacli.domain.evacuation import End
from hacli.domain.policy import Policy
from hacli.errors import Failed, NotPermitted, Unavailable
from hacli.lab.cloud_records import Capacity
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.commands import SetCell
from hacli.lab.region import RegionSettings
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Site
from tests.service.conftest import NewSite

ROOMY = Capacity(vcpus=1000, memory_mb=1_000_000, disk_gb=1000)
BIG = RegionSettings(cloud=CloudSettings(spawn_seconds=1.0, capacity=ROOMY))


def test_1200_servers_of_one_host_are_all_verified(build: NewSite) -> None:
    """More than one page of every list; at most three requests per server, polls included."""
    site = build(*(f"compute-{number}" for number in range(1, 11)), settings=BIG)
    ids = site.seed("compute-1", 1200)
    others = site.seed("compute-2", 20, prefix="other")
    site.lose("compute-1")
    began = len(site.log.calls)

    result = site.operator(policy=Policy()).recover("compute-1")

    assert [end.end for end in result.evacuated.ends] == [End.VERIFIED] * 1200
    assert {end.server.id for end in result.evacuated.ends} == set(ids)
    assert all(homes == ("compute-2",) for homes in site.running(*others).values())
    requests = [call for call in site.log.calls[began:] if call.port == "nova"]
    assert len(requests) <= 3 * 1200


def test_a_hundred_servers_cost_three_requests_each_at_most(build: NewSite) -> None:
    """Polls, proofs of death and reading back included."""
    site = build(*(f"compute-{number}" for number in range(1, 9)))
    site.seed("compute-1", 100)
    site.lose("compute-1")
    began = len(site.log.calls)

    result = site.operator(policy=Policy()).recover("compute-1")

    assert result.complete
    requests = [call for call in site.log.calls[began:] if call.port == "nova"]
    assert len(requests) <= 300


def test_who_is_not_an_administrator_is_told_so(site: Site) -> None:
    """Nova shows such a caller an empty or unfiltered list, which is never taken for the truth."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(policy=Policy())
    operator.nova.line.roles = ("member",)

    with pytest.raises(NotPermitted):
        operator.recover("compute-1")

    assert site.log.writes() == ()


def test_a_policy_that_lets_others_read_makes_nobody_an_administrator(site: Site) -> None:
    """Nova answers every question, the token has not the role: its lists are not believed."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(policy=Policy())
    operator.nova.line.token_roles = ("reader",)

    with pytest.raises(NotPermitted):
        operator.recover("compute-1")

    assert site.log.writes() == ()


def test_a_cell_that_is_down_hides_no_servers(site: Site) -> None:
    """The host's own cell is down: its service is unknown, and nothing is begun."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    site.region.apply(SetCell(host="compute-1", down=True))

    with pytest.raises(Unavailable) as failure:
        site.operator(policy=Policy()).recover("compute-1")

    assert failure.value.code == "SERVICE_MISSING"
    assert site.log.writes() == ()


def test_a_cell_that_goes_down_after_the_fence_ends_the_run(site: Site) -> None:
    """No server is asked for by a list that may lack some; the same command goes on later."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(policy=Policy())
    operator.prepare("compute-1")
    site.after(2.5, lambda: site.region.apply(SetCell(host="compute-1", down=True)))

    with pytest.raises((Unavailable, Failed)) as failure:
        operator.recover("compute-1")

    assert failure.value.code in ("SERVERS_UNSURE", "SERVICE_MISSING")
    assert site.log.evacuations() == ()
    site.region.apply(SetCell(host="compute-1", down=False))
    assert site.operator(policy=Policy()).recover("compute-1").complete


def test_an_empty_list_is_not_believed_against_the_hypervisor(site: Site) -> None:
    """The server list says none, the hypervisor says three: not "recovered, 0 servers"."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(policy=Policy())
    operator.nova.line.hides = "compute-1"

    with pytest.raises(Unavailable) as failure:
        operator.recover("compute-1")

    assert failure.value.code == "SERVERS_UNSURE"
    assert site.log.writes() == ()


@pytest.mark.parametrize(
    "path",
    ["os-services", "servers/detail", "os-hypervisors/detail", "os-migrations", "os-server-groups"],
)
def test_one_failing_list_stops_the_run_before_anything_is_done(site: Site, path: str) -> None:
    """Half a picture is no picture."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(policy=Policy())
    operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "GET", path))

    with pytest.raises(Unavailable):
        operator.recover("compute-1")

    assert site.log.writes() == ()
