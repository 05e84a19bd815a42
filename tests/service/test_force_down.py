"""Telling Nova that the host is down: once it is proven, as long as it is proven, and read back."""

import pytest

from hacli.domain.events import StepDone
from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE
from hacli.errors import Failed
from hacli.lab.commands import PowerOn, SetCell
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site

PUT = "os-services/.*"


def _forced_down(site: Site) -> bool:
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    return service.forced_down


def _losing_answers(site: Site, wire: Wire, *, times: int) -> Operator:
    """An operator whose PUTs suffer, the early disable first."""
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(wire, "PUT", PUT, times=times))
    return operator


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_uncertain_put_is_read_back_and_repeated_on_fresh_evidence(
    site: Site, wire: Wire, times: int
) -> None:
    """It is idempotent, so it may be sent again; each time death is proven anew (law L3)."""
    site.seed("compute-1", 2)
    site.lose("compute-1")

    result = _losing_answers(site, wire, times=times).recover("compute-1")

    assert result.complete
    assert _forced_down(site)


def test_a_put_that_never_gets_through_ends_the_run(site: Site) -> None:
    """Three tries, then the same command later."""
    site.seed("compute-1", 2)
    site.lose("compute-1")

    with pytest.raises(Failed) as failure:
        _losing_answers(site, Wire.DROPPED, times=9).recover("compute-1")

    assert failure.value.code == "NOVA_WRITE_FAILED"
    assert site.log.evacuations() == ()
    assert site.operator().recover("compute-1").complete


def test_a_host_that_returns_while_an_answer_is_awaited_is_not_forced_down(site: Site) -> None:
    """The first PUT is lost; by the time of the second the machine runs again."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    site.after(20.0, lambda: site.region.apply(PowerOn(host="compute-1")))

    with pytest.raises(Failed) as failure:
        _losing_answers(site, Wire.DROPPED, times=2).recover("compute-1")

    assert failure.value.code == "SIGN_OF_LIFE"
    assert not _forced_down(site)


def test_gate_and_owner_are_written_before_nova_is_told(site: Site) -> None:
    """A crash in between leaves a force-down that is known to be ours, and a gate that holds."""
    site.lose("compute-1")

    site.operator().recover("compute-1")

    wanted = [f"write_attribute {name}" for name in (GATE_ATTRIBUTE, FORCED_DOWN_ATTRIBUTE)]
    writes = [
        call.what if call.port == "pacemaker" else "force-down"
        for call in site.log.writes()
        if call.what in wanted or (call.body or {}).get("forced_down")
    ]
    assert writes == [*wanted, "force-down"]


def test_a_cell_that_goes_down_after_it_hides_no_servers(site: Site) -> None:
    """The list of servers is short of a cell, without a word of it: no "0 servers, recovered"."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    operator = site.operator(
        listeners=(
            lambda stored: (
                site.region.apply(SetCell(host="compute-1", down=True))
                if isinstance(stored.event, StepDone) and stored.event.step == "force-down"
                else None
            ),
        )
    )

    with pytest.raises(Exception, match="not known for certain") as failure:
        operator.recover("compute-1")

    assert getattr(failure.value, "code", None) == "SERVERS_UNSURE"
    assert site.log.evacuations() == ()
