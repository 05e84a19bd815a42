"""Killed anywhere, interrupted in any phase: the same command again comes to the same end."""

from functools import cache
from typing import TypeGuard

import pytest

from hacli.domain.evacuation import End
from hacli.domain.events import Event, ServerChanged
from hacli.errors import Interrupted
from hacli.lab.commands import PowerOn
from hacli.service.recovery import Recovered
from tests.fakes.clock import Killed
from tests.fakes.journal import JournalStore
from tests.fakes.world import Operator, Site, new_site
from tests.service.conftest import NewSite

POINTS = 40
RUNNING, STOPPED = 5, 1
SETTLED_S = 600.0


def _outage(site: Site) -> tuple[str, ...]:
    ids = site.seed("compute-1", RUNNING + STOPPED, stopped=STOPPED)
    site.lose("compute-1")
    return ids


@cache
def _moments() -> int:
    """How many moments an undisturbed recovery has."""
    site = new_site()
    _outage(site)
    operator = site.operator()
    operator.recover("compute-1")
    site.close()
    return operator.process.moments


def _dies_at(point: int) -> int:
    return 1 + point * (_moments() - 1) // (POINTS - 1)


def _again(site: Site, store: JournalStore | None) -> Recovered:
    """The same command; and once more after ten minutes, where the design says *unknown*.

    On another controller a person says that the killed run is gone: nothing there proves it.
    """
    at = "controller-1" if store is None else "controller-2"
    take_over = store is not None
    result = site.operator(store=store, at=at).recover("compute-1", take_over=take_over)
    if any(end.end is End.UNKNOWN for end in result.evacuated.ends):
        site.pass_time(SETTLED_S)
        result = site.operator(store=store, at=at).recover("compute-1")
    return result


def _assert_as_undisturbed(site: Site, ids: tuple[str, ...]) -> None:
    tables = site.region.cloud.tables
    service = tables.compute_service("compute-1")
    assert service is not None
    assert (service.disabled, service.forced_down) == (True, True)
    assert tables.servers_on("compute-1") == ()
    homes = site.running(*ids)
    assert [len(homes[key]) for key in ids] == [1] * RUNNING + [0] * STOPPED
    assert [str(tables.servers[key].vm_state) for key in ids] == (
        ["active"] * RUNNING + ["stopped"] * STOPPED
    )
    assert [len(site.log.evacuations(key)) for key in ids] == [1] * len(ids)


@pytest.mark.parametrize("point", range(POINTS))
def test_a_killed_recovery_is_finished_by_the_same_command(build: NewSite, point: int) -> None:
    """Law L8, with the journal of the killed run."""
    site = build()
    ids = _outage(site)
    with pytest.raises(Killed):
        site.operator(dies_at=_dies_at(point)).recover("compute-1")

    result = _again(site, None)

    assert result.complete
    _assert_as_undisturbed(site, ids)


@pytest.mark.parametrize("point", range(POINTS))
def test_a_killed_recovery_is_finished_by_another_controller(build: NewSite, point: int) -> None:
    """Law L8, by what is in the world alone."""
    site = build()
    ids = _outage(site)
    with pytest.raises(Killed):
        site.operator(dies_at=_dies_at(point)).recover("compute-1")

    result = _again(site, site.other_controller())

    assert result.complete
    _assert_as_undisturbed(site, ids)


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.6, 1.0, 2.5, 4.2, 5.3, 5.6, 6.1, 8.0, 11.0, 14.5])
def test_ctrl_c_gives_the_prompt_back_within_a_second(build: NewSite, after_s: float) -> None:
    """In every phase; what Nova has accepted goes on, and the same command finishes the rest."""
    site = build()
    ids = _outage(site)
    operator = site.operator()
    operator.clock.interrupt_at = operator.clock.monotonic() + after_s
    pressed = site.now + after_s

    with pytest.raises(Interrupted):
        operator.recover("compute-1")

    assert 0 <= site.now - pressed <= 1.0
    site.pass_time(2.0)
    assert _again(site, None).complete
    _assert_as_undisturbed(site, ids)


def test_a_run_killed_again_and_again_ends_after_all(build: NewSite) -> None:
    """Each run gets a little further, or at least breaks nothing."""
    site = build()
    ids = _outage(site)
    for moments in range(20, 140, 15):
        with pytest.raises(Killed):
            site.operator(dies_at=moments).recover("compute-1")
        site.pass_time(1.0)

    result = _again(site, None)

    assert result.complete
    _assert_as_undisturbed(site, ids)


def test_what_arrived_while_nobody_watched_is_read_back_by_the_next_run(build: NewSite) -> None:
    """Law L5: ``done`` in Nova's records is not yet success; each server is verified by a run."""
    site = build()
    ids = _outage(site)
    operator = site.operator()
    site.when(lambda: len(site.log.evacuations()) == len(ids), lambda: _kill(operator))
    with pytest.raises(Killed):
        operator.recover("compute-1")
    site.pass_time(60)
    verified = {e.id for e in operator.events if _is_verified(e)}
    assert len(verified) < len(ids)

    site.operator().recover("compute-1")

    assert {e.id for e in operator.events if _is_verified(e)} == set(ids)


def test_a_run_that_only_reads_back_switches_nothing_off(build: NewSite) -> None:
    """Law L7: every server has left; the host was repaired meanwhile and is just booting."""
    site = build()
    ids = _outage(site)
    operator = site.operator()
    site.when(lambda: len(site.log.evacuations()) == len(ids), lambda: _kill(operator))
    with pytest.raises(Killed):
        operator.recover("compute-1")
    site.pass_time(60)
    site.region.apply(PowerOn(host="compute-1"))
    before = len(site.log.calls)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert {call.port for call in site.log.calls[before:] if call in site.log.writes()} <= {"nova"}
    assert site.region.machines["compute-1"].powered


def _kill(operator: Operator) -> None:
    operator.process.dead = True


def _is_verified(event: Event) -> TypeGuard[ServerChanged]:
    return isinstance(event, ServerChanged) and event.status == "verified"
