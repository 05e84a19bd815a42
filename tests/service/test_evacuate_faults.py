"""What Nova may answer, and what may become of an evacuation: both tables of design section 4."""

from itertools import pairwise

import pytest

from hacli.domain.evacuation import End, Reason, Wishes
from hacli.domain.events import Asked, Intent
from hacli.errors import Failed
from hacli.lab.api_faults import ApiEffect, ApiFault
from hacli.lab.cloud_records import MigrationStatus
from hacli.lab.commands import (
    BeginColdMove,
    BeginLiveMigration,
    Cut,
    FailNovaApi,
    FailSpawns,
    SetBackend,
    SetConductor,
    StickEvacuation,
)
from hacli.service.recovery import Recovered
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site
from tests.service.conftest import NewSite

ACTION = "servers/.*/action"


def _ends(result: Recovered) -> dict[str, End]:
    return {end.server.id: end.end for end in result.evacuated.ends}


def _outcomes(operator: Operator, server: str) -> list[str]:
    return [e.outcome for e in operator.events if isinstance(e, Asked) and e.server == server]


def _api_fault(effect: ApiEffect, *, times: int | None = 1) -> FailNovaApi:
    return FailNovaApi(fault=ApiFault(method="POST", path=ACTION, effect=effect, times=times))


def test_an_answer_lost_after_nova_took_the_request_is_followed(site: Site) -> None:
    """No answer, and the migration is there: it is ours, and nothing is asked again."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.LOST, "POST", ACTION, times=1))

    result = operator.recover("compute-1")

    assert result.complete
    assert _outcomes(operator, server) == ["uncertain"]
    assert len(site.log.evacuations(server)) == 1


def test_a_request_lost_on_the_way_is_not_repeated_in_this_run(site: Site) -> None:
    """No answer and no trace for 180 s: unknown. Ten minutes later another run may ask."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))

    result = operator.recover("compute-1")

    assert _ends(result) == {server: End.UNKNOWN}
    assert site.log.evacuations(server) == ()
    site.pass_time(600)
    assert site.operator().recover("compute-1").complete
    assert len(site.log.evacuations(server)) == 1


def test_an_untraced_intent_younger_than_ten_minutes_is_not_asked_again(site: Site) -> None:
    """The second run looks, finds nothing, and leaves it unknown, too."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))
    operator.recover("compute-1")

    again = site.operator().recover("compute-1")

    assert _ends(again) == {server: End.UNKNOWN}
    assert site.log.evacuations(server) == ()


def test_an_evacuation_from_another_host_once_is_no_trace_of_this_request(site: Site) -> None:
    """The action log keeps it for the server's life; without this it would be unknown for ever."""
    (server,) = site.seed("compute-2", 1)
    site.lose("compute-2")
    site.operator().recover("compute-2", wishes=Wishes(target="compute-1"))
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION, times=1))

    result = operator.recover("compute-1")
    site.pass_time(600)
    again = site.operator().recover("compute-1")

    assert _ends(result) == {server: End.UNKNOWN}
    assert again.complete
    assert len(site.log.evacuations(server)) == 2


@pytest.mark.parametrize("wire", [Wire.LOST, Wire.UNAVAILABLE_AFTER])
def test_a_request_that_nova_took_is_never_sent_twice(site: Site, wire: Wire) -> None:
    """Each answer is lost, of every request: still one evacuation per server."""
    ids = site.seed("compute-1", 8)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(wire, "POST", ACTION))

    result = operator.recover("compute-1")

    assert result.complete
    assert [len(site.log.evacuations(server)) for server in ids] == [1] * 8


def test_a_503_before_anything_was_done_is_asked_once_more(site: Site) -> None:
    """Uncertain; after 180 s without migration or action it is asked again, with fresh evidence."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    site.region.apply(_api_fault(ApiEffect.UNAVAILABLE))
    operator = site.operator()

    result = operator.recover("compute-1")

    assert result.complete
    assert _outcomes(operator, server) == ["uncertain", "accepted"]
    first, second = [e for e in operator.store.events if isinstance(e.event, Intent)]
    assert (second.time - first.time).total_seconds() >= 180


def test_two_503s_leave_the_server_unknown(site: Site) -> None:
    """Once more is once."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    site.region.apply(_api_fault(ApiEffect.UNAVAILABLE, times=None))
    operator = site.operator()

    result = operator.recover("compute-1")

    assert _ends(result) == {server: End.UNKNOWN}
    assert _outcomes(operator, server) == ["uncertain", "uncertain"]


def test_a_502_after_nova_took_it_is_followed(site: Site) -> None:
    """A proxy loses the answer of a request that was carried out."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    site.region.apply(_api_fault(ApiEffect.LOST_ANSWER))
    operator = site.operator()

    result = operator.recover("compute-1")

    assert result.complete
    assert len(site.log.evacuations(server)) == 1


def test_a_request_that_was_not_sent_is_sent_again(site: Site) -> None:
    """Connection refused before a byte was written: nothing can have happened."""
    (server,) = site.seed("compute-1", 1)
    site.lose("compute-1")
    operator = site.operator()
    operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, "POST", ACTION, times=2))

    result = operator.recover("compute-1")

    assert result.complete
    assert _outcomes(operator, server) == ["not-sent", "not-sent", "accepted"]


def test_a_late_answer_is_waited_for_without_holding_up_the_others(site: Site) -> None:
    """Nova answers one request after 50 s; its migration is seen by then."""
    ids = site.seed("compute-1", 6)
    site.lose("compute-1")
    fault = ApiFault(method="POST", path=ACTION, effect=ApiEffect.LATE, seconds=50.0)
    site.region.apply(FailNovaApi(fault=fault))

    result = site.operator().recover("compute-1")

    assert result.complete
    assert [len(site.log.evacuations(server)) for server in ids] == [1] * 6


def test_a_refused_server_is_named_in_novas_own_words(site: Site) -> None:
    """4xx is Nova's last word in this run."""
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")

    result = site.operator().recover("compute-1", wishes=Wishes(target="compute-9"))

    assert set(_ends(result).values()) == {End.REFUSED}
    assert all("compute-9" in end.text for end in result.evacuated.ends)
    assert len(site.log.evacuations()) == len(ids)


def test_a_migration_that_never_moves_ends_as_stuck(site: Site) -> None:
    """Unchanged for ten minutes: VM_STUCK, and the others are verified meanwhile."""
    ids = site.seed("compute-1", 3)
    site.region.apply(StickEvacuation(server=ids[1], at=MigrationStatus.PRE_MIGRATING))
    site.lose("compute-1")
    began = site.now

    result = site.operator().recover("compute-1")

    assert _ends(result) == {ids[0]: End.VERIFIED, ids[1]: End.STUCK, ids[2]: End.VERIFIED}
    assert 600 <= site.now - began <= 660
    assert len(site.log.evacuations(ids[1])) == 1


def test_a_stuck_evacuation_is_followed_not_repeated_by_the_next_run(site: Site) -> None:
    """It may still move: whoever started it, it is not asked again."""
    (server,) = site.seed("compute-1", 1)
    site.region.apply(StickEvacuation(server=server, at=MigrationStatus.ACCEPTED))
    site.lose("compute-1")
    site.operator().recover("compute-1")

    again = site.operator(store=site.other_controller()).recover("compute-1")

    assert _ends(again) == {server: End.STUCK}
    assert len(site.log.evacuations(server)) == 1


def test_a_failure_with_a_destination_is_retried_there_only(site: Site) -> None:
    """The copy may run on that host: only it may be asked, and the scheduler chooses no other."""
    (server,) = site.seed("compute-1", 1)
    for host in ("compute-2", "compute-3", "compute-4"):
        site.region.apply(FailSpawns(host=host))
    site.lose("compute-1")
    operator = site.operator()

    result = operator.recover("compute-1")

    assert _ends(result) == {server: End.FAILED}
    first, second = [e.target for e in operator.events if isinstance(e, Intent)]
    failed_on = site.region.cloud.tables.migrations[0].dest
    assert (first, second) == (None, failed_on)


def test_a_failure_that_passes_is_overcome_on_the_same_host(site: Site) -> None:
    """The destination is repaired before the retry; the server runs there, once."""
    (server,) = site.seed("compute-1", 1)
    for host in ("compute-2", "compute-3", "compute-4"):
        site.region.apply(FailSpawns(host=host))
    site.lose("compute-1")
    site.when(
        lambda: any(m.status == "failed" for m in site.region.cloud.tables.migrations),
        site.region.cloud.evacuations.faults.spawn_fails.clear,
    )

    result = site.operator().recover("compute-1")

    assert result.complete
    assert site.running(server)[server] == (site.region.cloud.tables.migrations[0].dest,)


def test_a_guest_started_before_the_failure_is_not_started_elsewhere(site: Site) -> None:
    """The rebuild failed after the spawn: the guest runs there, and only there."""
    (server,) = site.seed("compute-1", 1)
    for host in ("compute-2", "compute-3", "compute-4"):
        site.region.apply(FailSpawns(host=host, after_start=True))
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert _ends(result) == {server: End.FAILED}
    assert len(site.running(server)[server]) == 1


def test_a_failed_server_of_an_earlier_run_is_not_taken_elsewhere_by_another_controller(
    site: Site,
) -> None:
    """Without the journal, too, the failed record names the only host that may be asked."""
    (server,) = site.seed("compute-1", 1)
    for host in ("compute-2", "compute-3", "compute-4"):
        site.region.apply(FailSpawns(host=host, after_start=True))
    site.lose("compute-1")
    site.operator().recover("compute-1")
    for host in ("compute-2", "compute-3", "compute-4"):
        site.region.apply(FailSpawns(host=host, after_start=True, on=False))

    site.operator(store=site.other_controller()).recover("compute-1")

    assert len(site.running(server)[server]) == 1


def test_no_valid_host_ends_the_server_by_name(build: NewSite) -> None:
    """Nova puts it into ERROR and finds no host, also at the retry: NO_ROOM."""
    site = build("compute-1", "compute-2")
    tables = site.region.cloud.tables
    tables.capacities["compute-2"] = tables.capacities["compute-2"].minus(
        tables.capacities["compute-2"]
    )
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert set(_ends(result).values()) == {End.NO_HOST}
    assert [len(site.log.evacuations(server)) for server in ids] == [2, 2]


def test_a_dead_volume_backend_leaves_the_server_where_it_is(site: Site) -> None:
    """No attachment can be made: it fails on its destination and is named, no false success."""
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")
    site.region.apply(SetBackend(backend="lab@fake", up=False))

    result = site.operator().recover("compute-1")

    assert set(_ends(result).values()) == {End.FAILED}
    assert site.running(*ids) == dict.fromkeys(ids, ())


def test_a_conductor_that_dies_and_comes_back_only_delays(site: Site) -> None:
    """Records stand still for a minute, then go on, and what is open is not asked for again.

    No host has reported for that minute either, so the scheduler may find none for the next ones;
    they ended, and are asked for once more.
    """
    ids = site.seed("compute-1", 6)
    site.lose("compute-1")
    site.after(8.0, lambda: site.region.apply(SetConductor(alive=False)))
    site.after(68.0, lambda: site.region.apply(SetConductor(alive=True)))

    result = site.operator().recover("compute-1")

    assert result.complete
    asked = [len(site.log.evacuations(server)) for server in ids]
    assert asked[:4] == [1] * 4
    assert max(asked) <= 2


def test_a_server_in_live_migration_is_not_evacuated(site: Site) -> None:
    """It may run on the destination already; the record stays ``running`` for ever."""
    ids = site.seed("compute-1", 2)
    site.region.apply(BeginLiveMigration(server=ids[0], dest="compute-2", switched=True))
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert [(skip.server.id, skip.reason) for skip in result.evacuated.skips] == [
        (ids[0], Reason.MIGRATING)
    ]
    assert site.log.evacuations(ids[0]) == ()
    assert site.running(ids[0])[ids[0]] == ("compute-2",)


def test_a_live_migration_is_evacuated_when_somebody_has_checked(site: Site) -> None:
    """``--migration-checked``: the operator has seen that it does not run on the destination."""
    (server,) = site.seed("compute-1", 1)
    site.region.apply(BeginLiveMigration(server=server, dest="compute-2"))
    site.lose("compute-1")

    result = site.operator().recover(
        "compute-1", wishes=Wishes(migration_checked=frozenset({server}))
    )

    assert result.complete
    assert len(site.running(server)[server]) == 1


@pytest.mark.parametrize("stage", [MigrationStatus.MIGRATING, MigrationStatus.POST_MIGRATING])
def test_a_server_in_a_cold_move_is_not_evacuated(site: Site, stage: MigrationStatus) -> None:
    """Half of it may be on the other host."""
    (server,) = site.seed("compute-1", 1)
    site.region.apply(BeginColdMove(server=server, dest="compute-2", stage=stage))
    site.lose("compute-1")

    site.operator().recover("compute-1")

    assert site.log.evacuations(server) == ()


def test_nova_may_be_restarted_in_the_middle(site: Site) -> None:
    """All calls fail for 20 s: no new request meanwhile, then the run goes on to its end."""
    ids = site.seed("compute-1", 12)
    site.lose("compute-1")
    operator = site.operator()
    began = operator.clock.monotonic()
    site.after(
        12.0,
        lambda: operator.nova.line.faults.append(WireFault(Wire.NOT_SENT, until=began + 32)),
    )

    result = operator.recover("compute-1")

    assert result.complete
    assert [len(site.log.evacuations(server)) for server in ids] == [1] * 12


def test_witnesses_that_stay_silent_end_the_run(site: Site) -> None:
    """Law L3: 60 s without proof and no further request; the same command goes on later."""
    site.seed("compute-1", 24)
    site.lose("compute-1")
    operator = site.operator()

    def silence() -> None:
        operator.pacemaker.silent = True

    site.after(12.0, silence)

    with pytest.raises(Failed) as failure:
        operator.recover("compute-1")

    assert failure.value.code == "EVIDENCE_LOST"
    assert "hacli recover compute-1" in failure.value.next_steps[0]
    assert site.operator().recover("compute-1").complete


def test_evacuating_at_nova_only_what_was_named(site: Site) -> None:
    """``--server``: the others are named as not chosen, and left."""
    ids = site.seed("compute-1", 3)
    site.lose("compute-1")

    result = site.operator().recover("compute-1", wishes=Wishes(only=frozenset({ids[1]})))

    assert _ends(result) == {ids[1]: End.VERIFIED}
    assert {call.server for call in site.log.evacuations()} == {ids[1]}


def test_members_of_an_anti_affinity_group_are_never_rebuilt_together(site: Site) -> None:
    """Nova checks such groups late: two at once can both be refused."""
    group = site.region.cloud.add_group("apart", "anti-affinity")
    for number in range(3):
        site.region.cloud.add_server(f"apart-{number}", "compute-1", group=group)
    site.seed("compute-1", 4)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    spans = sorted(
        (record.created_at, record.updated_at)
        for record in site.region.cloud.tables.migrations
        if record.server in group.members
    )
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))


@pytest.mark.parametrize("members", [1, 2])
def test_requests_lost_for_members_of_an_anti_affinity_group_do_not_wait_for_themselves(
    site: Site, members: int
) -> None:
    """Law L11: what may be asked again is not at work any more, and holds up no other member."""
    group = site.region.cloud.add_group("apart", "anti-affinity")
    for number in range(members):
        site.region.cloud.add_server(f"apart-{number}", "compute-1", group=group)
    site.lose("compute-1")
    first = site.operator()
    first.nova.line.faults.append(WireFault(Wire.DROPPED, "POST", ACTION))
    first.recover("compute-1")
    site.pass_time(600)

    result = site.operator().recover("compute-1")

    assert result.complete
    assert len(site.log.evacuations()) == members


def test_a_cut_destination_holds_its_servers_up_and_nothing_is_sent_elsewhere(site: Site) -> None:
    """A rebuild waits for a destination that is not heard any more; it is not asked again."""
    ids = site.seed("compute-1", 6)
    site.lose("compute-1")
    site.after(9.0, lambda: site.region.apply(Cut(host="compute-2")))

    result = site.operator().recover("compute-1")

    assert {End.VERIFIED} <= set(_ends(result).values()) <= {End.VERIFIED, End.STUCK}
    assert [len(site.log.evacuations(server)) for server in ids] == [1] * 6


def test_a_request_that_waited_too_long_for_its_turn_is_not_sent(site: Site) -> None:
    """Law L3: the worker looks at the evidence's age once more just before it sends."""
    ids = site.seed("compute-1", 6)
    site.lose("compute-1")
    late = ApiFault(method="POST", path=ACTION, effect=ApiEffect.LATE, seconds=14.0)
    site.region.apply(FailNovaApi(fault=late))
    operator = site.operator(workers=1)

    result = operator.recover("compute-1")

    assert result.complete
    assert "not-sent" in [outcome for key in ids for outcome in _outcomes(operator, key)]
