"""`recover`: from a lost host to verified servers."""

from collections.abc import Iterable

from hacli.domain.evacuation import Reason
from hacli.domain.events import (
    Asked,
    Event,
    EvidenceTaken,
    GateChecked,
    Intent,
    PlanMade,
    Progressed,
    RunEnded,
    RunStarted,
    ServerChanged,
    StepDone,
)
from hacli.domain.policy import Policy, Storage
from hacli.lab.commands import Crash, PowerOn
from tests.fakes.world import Site
from tests.service.conftest import NewSite


def _steps(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.step, event.status) for event in events if isinstance(event, StepDone)]


def test_every_server_of_a_lost_host_comes_back_as_it_was(site: Site) -> None:
    """Running servers run elsewhere, stopped ones stay stopped, each exactly once."""
    ids = site.seed("compute-1", 24, stopped=3)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    assert {end.server.id for end in result.evacuated.verified} == set(ids)
    homes = site.running(*ids)
    assert all(len(homes[key]) == 1 for key in ids[:21])
    assert all(homes[key] == () for key in ids[21:])
    assert not any(truth.lost_its_disk for truth in site.region.truth())


def test_the_steps_are_taken_in_the_order_of_the_design(site: Site) -> None:
    """Disable runs beside the fence; nothing is asked before force-down; the rest is for later."""
    site.seed("compute-1", 2)
    site.lose("compute-1")
    operator = site.operator()

    operator.recover("compute-1")

    assert sorted(_steps(operator.events)[:2]) == [("disable", "ok"), ("fence", "ok")]
    assert _steps(operator.events)[2:] == [
        ("force-down", "ok"),
        ("evacuate", "ok"),
        ("verify", "ok"),
        ("release", "skipped"),
        ("enable", "skipped"),
    ]


def test_the_journal_tells_of_each_server_from_intent_to_end(site: Site) -> None:
    """Intent before the request, outcome after it, then every change until it is verified."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    operator = site.operator()

    operator.recover("compute-1")

    kinds = [type(event) for event in operator.events if not isinstance(event, Progressed)]
    first = [kinds.index(kind) for kind in (RunStarted, GateChecked, EvidenceTaken, PlanMade)]
    assert first == sorted(first)
    assert kinds[-1] is RunEnded
    own = [
        (type(event), getattr(event, "status", None))
        for event in operator.events
        if server in (getattr(event, "server", None), getattr(event, "id", None))
    ]
    assert own[:2] == [(Intent, None), (Asked, None)]
    assert set(own[2:-1]) == {(ServerChanged, "rebuilding")}
    assert own[-1] == (ServerChanged, "verified")


def test_a_server_with_a_local_disk_is_left_and_named(site: Site) -> None:
    """Law L6: its disk would be made anew from the image, so it is not asked for."""
    ids = site.seed("compute-1", 5, local=2)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert not result.complete
    assert [(skip.server.id, skip.reason) for skip in result.evacuated.skips] == [
        (ids[0], Reason.LOCAL_DISK),
        (ids[1], Reason.LOCAL_DISK),
    ]
    assert {end.server.id for end in result.evacuated.verified} == set(ids[2:])
    assert {call.server for call in site.log.evacuations()} == set(ids[2:])


def test_shared_storage_keeps_local_disks(site: Site) -> None:
    """Where the operator declares the instances directory shared, every server is brought back."""
    for name in site.region.names:
        site.region.cloud.set_shared_storage(name, shared=True)
    site.seed("compute-1", 4, local=4)
    site.lose("compute-1")

    result = site.operator(policy=Policy(ephemeral=Storage.SHARED)).recover("compute-1")

    assert result.complete
    assert not any(truth.lost_its_disk for truth in site.region.truth())


def test_a_destination_that_does_not_share_the_storage_loses_the_disk(site: Site) -> None:
    """Law L6: Nova looks for the disk on the destination, so one local host there is enough."""
    site.region.cloud.set_shared_storage("compute-1", shared=True)
    ids = site.seed("compute-1", 3, local=1)
    site.lose("compute-1")
    shared = {"compute-1": Storage.SHARED, "compute-2": Storage.SHARED}

    result = site.operator(policy=Policy(host_storage=shared)).recover("compute-1")

    (skip,) = result.evacuated.skips
    assert (skip.server.id, skip.reason) == (ids[0], Reason.LOCAL_DISK)
    assert "not shared by compute-3, compute-4" in skip.text
    assert not any(truth.lost_its_disk for truth in site.region.truth())


def test_a_second_command_after_success_changes_nothing(site: Site) -> None:
    """Law L8: it says that the host is recovered already, and asks nobody to do anything."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    written = len(site.log.writes())

    again = site.operator().recover("compute-1")

    assert again.already == "compute-1 is recovered already: it is forced down, disabled and empty"
    assert len(site.log.writes()) == written


def test_another_controller_without_the_journal_sees_that_all_is_done(site: Site) -> None:
    """Law L8: what it must know is in the world; nothing is asked for or fenced again."""
    site.seed("compute-1", 3)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    asked = site.log.evacuations()

    again = site.operator(store=site.other_controller()).recover("compute-1")

    assert again.complete
    assert site.log.evacuations() == asked


def test_recovery_may_begin_before_pacemaker_has_fenced(site: Site) -> None:
    """The host is unclean, its fencing under way: hacli joins in and nothing happens twice."""
    ids = site.seed("compute-1", 4)
    site.region.apply(Crash(host="compute-1"))
    site.until(lambda: site.region.cluster.nodes["compute-1"].unclean)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert all(len(homes) == 1 for homes in site.running(*ids).values())


def test_power_on_comes_after_the_last_evacuation(site: Site) -> None:
    """``--power-on`` brings the machine back, once no evacuation from it is open."""
    site.seed("compute-1", 4)
    site.lose("compute-1")

    result = site.operator().recover("compute-1", power_on=True)

    assert result.powered_on
    assert site.region.machines["compute-1"].powered
    last = [call.what for call in site.log.writes()][-1]
    assert last == "power_on"


def test_hosts_without_servers_are_recovered_too(site: Site) -> None:
    """An empty host is fenced, disabled and forced down; there is nothing to bring back."""
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    assert result.evacuated.ends == ()
    service = site.region.cloud.tables.compute_service("compute-1")
    assert service is not None
    assert (service.disabled, service.forced_down) == (True, True)


def test_a_second_outage_of_the_same_host_is_a_new_one(site: Site) -> None:
    """After the host is back in service, its servers and their former states are new facts."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    site.operator().recover("compute-1")
    site.region.apply(PowerOn(host="compute-1"))
    site.operator().enable("compute-1")
    site.until(lambda: site.now % 60 < 1)
    home = site.running(server)[server][0]
    site.lose(home)

    result = site.operator().recover(home)

    assert result.complete
    assert len(site.running(server)[server]) == 1


def test_servers_of_two_lost_hosts_come_back_one_host_after_the_other(build: NewSite) -> None:
    """Two hosts may die; each recovery touches its own host only."""
    site = build(*(f"compute-{number}" for number in range(1, 7)))
    first, second = site.seed("compute-1", 3), site.seed("compute-2", 3, prefix="other")
    site.lose("compute-1")
    site.lose("compute-2")

    done = site.operator().recover("compute-1")

    assert {end.server.id for end in done.evacuated.verified} == set(first)
    assert site.log.evacuations(second[0]) == ()
    assert site.operator().recover("compute-2").complete
