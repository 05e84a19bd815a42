"""What the adapter asks of Nova and makes of the answers, over real HTTP."""

from datetime import UTC, datetime

import pytest

from hacli.domain.servers import Guest, Hypervisor
from hacli.errors import SourceError, Unreachable, Unreadable
from tests.adapters.nova_records import Record, host_with, hypervisor, migration, server, service
from tests.adapters.nova_server import (
    Answerer,
    NovaServer,
    Reply,
    Request,
    by_path,
    in_pages,
    recorded,
    records_of,
)


def test_services_come_with_the_apis_own_clock() -> None:
    """One request for all binaries; the Date is the answer's, not ours."""
    body = recorded("os-services-2.53-all-up")
    with NovaServer(answer=lambda _: Reply(body=body)) as nova:
        found = nova.nova().read_services()

    assert found.date == datetime(2026, 11, 22, 5, 28, 20, tzinfo=UTC)
    assert [s.host for s in found.services] == ["compute-2", "compute-3", "compute-1"]
    assert nova.requests == [
        Request(method="GET", path="/os-services", query={}, version="2.96", body=None)
    ]


def test_2500_servers_come_in_three_pages_and_an_empty_one() -> None:
    """To the empty page: Nova may drop rows of a full page, so a short one proves nothing."""
    with NovaServer(answer=host_with(*(server(n) for n in range(2500)))) as nova:
        found = nova.nova(read_limit_s=20).read_servers("compute-3")

    assert [s.id for s in found.servers] == [f"server-{n}" for n in range(2500)]
    assert not found.cells_down
    assert [r.query for r in nova.requests if r.path == "/servers/detail"] == [
        {"all_tenants": "1", "host": "compute-3", "limit": "1000"},
        {"all_tenants": "1", "host": "compute-3", "limit": "1000", "marker": "server-999"},
        {"all_tenants": "1", "host": "compute-3", "limit": "1000", "marker": "server-1999"},
        {"all_tenants": "1", "host": "compute-3", "limit": "1000", "marker": "server-2499"},
    ]


def test_servers_of_other_hosts_are_dropped() -> None:
    """A caller without admin gets unknown filters silently removed (facts A.3)."""
    with NovaServer(answer=host_with(server(1, "compute-30"), server(2), server(3, ""))) as nova:
        found = nova.nova().read_servers("compute-3")

    assert [s.id for s in found.servers] == ["server-2"]


def test_a_server_that_does_not_say_its_host_is_unreadable() -> None:
    """Only an administrator sees hosts; a list without them is not this host's."""
    blind = server(1)
    del blind["OS-EXT-SRV-ATTR:host"]
    with (
        NovaServer(answer=host_with(blind)) as nova,
        pytest.raises(Unreadable, match="OS-EXT-SRV-ATTR:host is missing"),
    ):
        nova.nova().read_servers("compute-3")


def test_a_partial_server_means_that_a_cell_is_down() -> None:
    """Something is there of which nothing is known."""
    partial: Record = {"id": "server-2", "status": "UNKNOWN", "tenant_id": "p", "links": []}
    with NovaServer(answer=host_with(server(1), partial)) as nova:
        found = nova.nova().read_servers("compute-3")

    assert [s.id for s in found.servers] == ["server-1"]
    assert found.cells_down


@pytest.mark.parametrize(
    "services",
    [
        [{"binary": "nova-compute", "host": "compute-3", "status": "UNKNOWN"}],
        [service("compute-30")],
        [],
    ],
    ids=["unknown", "another host's", "none"],
)
def test_an_empty_list_counts_only_with_the_hosts_own_service(services: list[Record]) -> None:
    """Nova leaves the servers of a cell that is down out of a filtered list without a word."""
    with NovaServer(answer=host_with(services=services)) as nova:
        found = nova.nova().read_servers("compute-3")

    assert found.servers == ()
    assert found.cells_down


def test_a_page_that_comes_again_ends_the_read() -> None:
    """A Nova that ignores the marker must not be asked for ever."""
    same = Reply(body={"servers": [server(1), server(2)]})
    answer = by_path(
        {"/os-services": Reply(body={"services": []}), "/servers/detail": lambda _: same}
    )
    with (
        NovaServer(answer=answer) as nova,
        pytest.raises(Unreadable, match="the next page of servers is the same again"),
    ):
        nova.nova().read_servers("compute-3")


def test_a_server_is_read_or_there_is_none() -> None:
    """404 is an answer."""
    shown = Reply(body=recorded("server-show-on-down-host-2.95"))
    with NovaServer(answer=by_path({"/servers/3dc0b5bb": shown})) as nova:
        compute = nova.nova()
        there, absent = compute.read_server("3dc0b5bb"), compute.read_server("other")

    assert there is not None
    assert (there.name, there.host) == ("img-compute-3-009", "compute-3")
    assert absent is None


def test_what_has_changed_is_one_page_of_what_was_asked_for() -> None:
    """Others, deleted ones and what a cell that is down hides are not in it."""
    partial: Record = {"id": "server-4", "status": "UNKNOWN", "tenant_id": "p", "links": []}
    records = [server(1), server(2), server(3) | {"status": "DELETED"}, partial]
    answer = Reply(body={"servers": records})
    since = datetime(2026, 11, 23, 3, 0, 5, 700000, tzinfo=UTC)
    with NovaServer(answer=lambda _: answer) as nova:
        found = nova.nova().read_changed(("server-1", "server-3", "server-4"), since=since)

    assert [s.id for s in found] == ["server-1"]
    assert [request.query for request in nova.requests] == [
        {"all_tenants": "1", "changes-since": "2026-11-23T03:00:05Z", "deleted": "False"}
    ]


def test_a_server_of_a_cell_that_is_down_is_unreadable() -> None:
    """It exists, and nothing else is known: neither a value nor None would be true."""
    partial = Reply(body={"server": {"id": "s1", "status": "UNKNOWN", "tenant_id": "p"}})
    with (
        NovaServer(answer=lambda _: partial) as nova,
        pytest.raises(Unreadable, match="the cell of server s1 is down"),
    ):
        nova.nova().read_server("s1")


def test_an_id_cannot_lead_to_another_address() -> None:
    """It is one segment of the path, whatever it contains."""
    with NovaServer() as nova:
        nova.nova().read_server("../os-services?x=1")

    assert [request.path for request in nova.requests] == ["/servers/..%2Fos-services%3Fx%3D1"]


def hypervisors(*records: Record) -> Answerer:
    """Nova's search is by a part of the hypervisor's name; no match is a 404."""

    def detail(request: Request) -> Reply:
        part = request.query.get("hypervisor_hostname_pattern")
        if part is None:
            bare = [{k: v for k, v in r.items() if k != "servers"} for r in records]
            return in_pages(bare, "hypervisors")(request)  # type: ignore[return-value]
        assert request.query["with_servers"] == "true"
        found = [r for r in records if part in str(r["hypervisor_hostname"])]
        return Reply(body={"hypervisors": found}) if found else Reply(status=404)

    def one(request: Request) -> Reply:
        assert request.query == {"with_servers": "true"}
        return Reply(body={"hypervisor": next(r for r in records if str(r["id"]) in request.path)})

    return by_path({"/os-hypervisors/detail": detail, "/os-hypervisors/.*": one})


def test_hypervisor_servers_are_those_of_exactly_this_host() -> None:
    """Searching compute-1 finds compute-10 as well."""
    answer = hypervisors(
        hypervisor("compute-1", name="compute-1", servers=["a", "b"]),
        hypervisor("compute-10", name="compute-10", servers=["c"]),
    )
    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_hypervisor_servers("compute-1")

    assert found == {"a", "b"}
    assert [request.version for request in nova.requests] == ["2.87"]


@pytest.mark.parametrize(
    "others",
    [[], [hypervisor("compute-9", name="node-1.example.org", servers=["c"])]],
    ids=["nothing found", "another host found"],
)
def test_a_hypervisor_with_quite_another_name_is_found_by_its_host(others: list[Record]) -> None:
    """An empty search would look like an empty host."""
    answer = hypervisors(hypervisor("node-1", name="rack7", servers=["a"]), *others)
    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_hypervisor_servers("node-1")

    assert found == {"a"}


def test_a_host_without_a_hypervisor_has_no_servers_there() -> None:
    """Neither the search nor the whole list knows it."""
    answer = hypervisors(hypervisor("compute-1", name="compute-1", servers=["a"]))
    with NovaServer(answer=answer) as nova:
        assert nova.nova().read_hypervisor_servers("compute-2") == frozenset()


def test_hypervisors_are_read_with_their_figures() -> None:
    """At 2.87 at most: from 2.88 no figures, and an RPC to every host."""
    answer = in_pages(
        records_of(recorded("os-hypervisors-detail-2.87"), "hypervisors"), "hypervisors"
    )
    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_hypervisors()

    assert found[0] == Hypervisor(
        host="compute-2",
        hypervisor_hostname="compute-2",
        vcpus=1000,
        vcpus_used=8,
        memory_mb=800000,
        memory_mb_used=1024,
        running_vms=8,
    )
    assert [h.host for h in found] == ["compute-2", "compute-1", "compute-3"]
    assert {request.version for request in nova.requests} == {"2.87"}


def test_evacuations_are_asked_for_by_source_and_come_newest_first() -> None:
    """All pages, and never with ``host``, which makes Nova ignore the source (facts A.5)."""
    newest_first = [migration(n) for n in range(1500, 0, -1)]
    with NovaServer(answer=in_pages(newest_first, "migrations", id_key="uuid")) as nova:
        found = nova.nova().read_evacuations("compute-3")

    assert [m.id for m in found] == list(range(1500, 0, -1))
    assert [request.query for request in nova.requests] == [
        {"source_compute": "compute-3", "migration_type": "evacuation", "limit": "1000", **marker}
        for marker in ({}, {"marker": "uuid-501"})
    ]


@pytest.mark.parametrize("count", [999, 1000, 1200])
def test_no_evacuation_is_missed_where_nova_gives_less_than_was_asked_for(count: int) -> None:
    """``[api]max_limit`` may be lower than our page: the link to the next one tells."""
    newest_first = [migration(n) for n in range(count, 0, -1)]
    with NovaServer(answer=in_pages(newest_first, "migrations", id_key="uuid", most=300)) as nova:
        found = nova.nova().read_evacuations("compute-3")

    assert [m.id for m in found] == list(range(count, 0, -1))


def test_a_full_page_without_a_link_is_not_taken_for_the_last() -> None:
    """In doubt there is more: a record that is not seen could be asked for twice (L4)."""
    newest_first = [migration(n) for n in range(1500, 0, -1)]
    paged = in_pages(newest_first, "migrations", id_key="uuid")

    def without_links(request: Request) -> Reply:
        reply = paged(request)
        assert isinstance(reply, Reply)
        assert isinstance(reply.body, dict)
        return Reply(body={"migrations": reply.body["migrations"]})

    with NovaServer(answer=without_links) as nova:
        found = nova.nova().read_evacuations("compute-3")

    assert len(found) == 1500


def test_below_2_59_evacuations_come_in_one_page_oldest_first() -> None:
    """There is no paging yet, no uuid, and the order is the other way round."""
    records = [migration(n) for n in (1, 2, 3)]
    for record in records:
        del record["uuid"]
    answer = Reply(body={"migrations": records})
    with NovaServer(answer=lambda _: answer, versions=("2.1", "2.58")) as nova:
        found = nova.nova().read_evacuations("compute-3")

    assert [(m.id, m.uuid) for m in found] == [(3, ""), (2, ""), (1, "")]
    assert [request.query for request in nova.requests] == [
        {"source_compute": "compute-3", "migration_type": "evacuation"}
    ]


def test_evacuations_of_another_source_are_dropped() -> None:
    """A filter that Nova ignored must not make others' evacuations ours."""
    records = [
        migration(3, source_compute="compute-30"),
        migration(2),
        migration(1, migration_type="resize"),
    ]
    with NovaServer(answer=in_pages(records, "migrations", id_key="uuid")) as nova:
        found = nova.nova().read_evacuations("compute-3")

    assert [m.id for m in found] == [2]


def test_evacuations_of_one_server_come_from_every_source() -> None:
    """Also those from other hosts, and none of another server that a deaf filter lets in."""
    records = [
        migration(3, source_compute="compute-1"),
        migration(2),
        migration(1, instance_uuid="another"),
        migration(0, migration_type="resize"),
    ]
    server = str(records[0]["instance_uuid"])
    with NovaServer(answer=in_pages(records, "migrations", id_key="uuid")) as nova:
        found = nova.nova().read_evacuations_of(server)

    assert [(m.id, m.source) for m in found] == [(3, "compute-1"), (2, "compute-3")]
    assert [request.query["instance_uuid"] for request in nova.requests] == [server]


def test_moves_are_the_unfinished_ones_from_or_to_the_host() -> None:
    """Ended ones, evacuations and others' are not; a word nobody knows is not an end."""
    away = {"migration_type": "live-migration", "status": "running"}
    records = [
        migration(1, **away),
        migration(2, **away, source_compute="compute-1", dest_compute="compute-3"),
        migration(3, **away, source_compute="compute-1", dest_compute="compute-2"),
        migration(4, **(away | {"status": "completed"})),
        migration(5, migration_type="resize", status="finished"),
        migration(6, migration_type="migration", status="confirmed"),
        migration(7, status="accepted"),
        migration(8, migration_type="resize", status="brand-new-word"),
    ]
    with NovaServer(answer=in_pages(records, "migrations", id_key="uuid")) as nova:
        found = nova.nova().read_moves("compute-3")

    assert [m.id for m in found] == [8, 5, 2, 1]
    assert {request.query["host"] for request in nova.requests} == {"compute-3"}


def test_the_action_log_comes_newest_first() -> None:
    """Whatever the order Nova sends."""
    body = recorded("server-actions-after-no-valid-host")
    records_of(body, "instanceActions").reverse()
    with NovaServer(answer=lambda _: Reply(body=body)) as nova:
        found = nova.nova().read_actions("6c49")

    assert [action.action for action in found] == ["evacuate", "create"]
    assert [request.path for request in nova.requests] == ["/servers/6c49/os-instance-actions"]


def test_groups_of_all_projects_come_in_pages_by_offset() -> None:
    """This list has no markers."""
    groups: list[Record] = [{"id": f"g{n}", "policy": "affinity", "members": []} for n in range(3)]

    def answer(request: Request) -> Reply:
        start = int(request.query["offset"])
        return Reply(body={"server_groups": groups[start : start + 2]})

    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_groups()

    assert [group.id for group in found] == ["g0", "g1", "g2"]
    assert {request.query["all_projects"] for request in nova.requests} == {"True"}


def fault(kind: str, message: str) -> dict[str, object]:
    """An error as Nova words it."""
    return {kind: {"code": 0, "message": message}}


POWER = "Cannot 'get_diagnostics' instance s while it is in power state running"


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (Reply(body={"state": "running"}), Guest.RUNNING),
        (Reply(status=409, body=fault("conflictingRequest", POWER)), Guest.NOT_RUNNING),
    ],
)
def test_the_hypervisor_is_asked_by_diagnostics(reply: Reply, wanted: Guest) -> None:
    """A conflict over the power state is its no, though the words name the table's state."""
    with NovaServer(answer=lambda _: reply) as nova:
        assert nova.nova().read_guest("s") is wanted

    assert [request.path for request in nova.requests] == ["/servers/s/diagnostics"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            Reply(status=409, body=fault("conflictingRequest", "Instance s is not ready")),
            Unreadable,
        ),
        (Reply(status=501, body=fault("notImplemented", "not supported")), Unreachable),
        (Reply(status=404, body=fault("itemNotFound", "no such instance")), Unreadable),
    ],
)
def test_any_other_answer_is_no_word_about_the_guest(
    reply: Reply, error: type[SourceError]
) -> None:
    """Law L1: in doubt it runs."""
    with NovaServer(answer=lambda _: reply) as nova, pytest.raises(error):
        nova.nova().read_guest("s")
