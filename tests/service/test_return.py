"""The host comes back while its servers are being evacuated."""

from collections.abc import Callable

import pytest

from hacli.errors import Failed
from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.commands import Join, PowerOn
from hacli.lab.region import RegionSettings
from tests.fakes.world import Site
from tests.service.conftest import NewSite


def _once_asking(site: Site, deed: Callable[[], None]) -> None:
    """Do it when the first evacuation has been taken."""
    site.when(lambda: len(site.log.evacuations()) > 0, deed)


@pytest.mark.parametrize("after_s", [0.0, 1.0, 3.0, 7.0, 11.0])
def test_a_power_on_by_somebody_stops_new_requests(site: Site, after_s: float) -> None:
    """The BMC reads ON at the next look: no further request, and what is in flight is named."""
    site.seed("compute-1", 40)
    site.lose("compute-1")
    pressed: list[float] = []

    def press() -> None:
        pressed.append(site.now)
        site.region.apply(PowerOn(host="compute-1"))

    _once_asking(site, lambda: site.after(after_s, press))

    with pytest.raises(Failed) as failure:
        site.operator().recover("compute-1")

    assert failure.value.code == "SIGN_OF_LIFE"
    assert site.log.evacuations()[-1].at <= pressed[0] + 5
    assert "in flight in Nova" in failure.value.state
    assert "not asked for" in failure.value.state


def test_the_gate_keeps_nova_compute_off_a_host_that_came_back(site: Site) -> None:
    """What is in flight ends well: nova-compute is not started there, so it destroys nothing."""
    ids = site.seed("compute-1", 40)
    site.lose("compute-1")
    _once_asking(site, lambda: site.region.apply(PowerOn(host="compute-1")))
    with pytest.raises(Failed):
        site.operator().recover("compute-1")

    site.pass_time(120)

    assert "nova-compute" not in site.region.machines["compute-1"].processes
    asked = {call.server for call in site.log.evacuations()}
    homes = site.running(*ids)
    assert all(len(homes[key]) == 1 for key in ids if key in asked)


def test_a_host_fenced_by_reboot_is_switched_off_before_anything_is_asked(build: NewSite) -> None:
    """Pacemaker's own fence was a reboot: hacli turns it into OFF first."""
    settings = RegionSettings(cluster=ClusterSettings(reboot_action=RebootAction.REBOOT))
    site = build("compute-1", "compute-2", "compute-3", settings=settings)
    ids = site.seed("compute-1", 6)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    assert not site.region.machines["compute-1"].powered
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_a_cut_host_that_is_fenced_does_not_come_back_by_its_network(site: Site) -> None:
    """Its network is repaired while its servers are being rebuilt: it has no power, so nothing."""
    ids = site.seed("compute-1", 12)
    site.lose("compute-1")
    _once_asking(site, lambda: site.region.apply(Join(host="compute-1")))

    result = site.operator().recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_the_run_ends_well_when_the_host_returns_after_the_last_request(site: Site) -> None:
    """Nothing is left to be asked for: the operator is told, and every server is followed."""
    ids = site.seed("compute-1", 4)
    site.lose("compute-1")
    site.when(
        lambda: len(site.log.evacuations()) == 4,
        lambda: site.region.apply(PowerOn(host="compute-1")),
    )

    result = site.operator().recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())
