"""What the adapter asks of Nova and makes of the answers, over real HTTP."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hacli.adapters.keystone import Cloud
from hacli.adapters.nova import Nova
from hacli.domain.servers import Caller, Hypervisor
from hacli.errors import Misconfigured, NotPermitted, Unavailable, Unreachable, Unreadable
from tests.adapters.nova_server import (
    PASSWORD,
    Answerer,
    Fault,
    NovaServer,
    Reply,
    Request,
    by_path,
    in_pages,
    recorded,
    records_of,
)

Record = dict[str, object]
SERVER_LIST = "servers-detail-host-compute-3-all_tenants-2.95"


def service(host: str, **changed: object) -> Record:
    """One os-services record, up and enabled."""
    return {
        "binary": "nova-compute",
        "host": host,
        "id": f"id-of-{host}",
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "updated_at": "2026-11-22T05:24:10.000000",
        "disabled_reason": None,
        "forced_down": False,
        **changed,
    }


def server(number: int, host: str = "compute-3") -> Record:
    """One server record, like the recorded ones."""
    record = records_of(recorded(SERVER_LIST), "servers")[0]
    return record | {"id": f"server-{number}", "OS-EXT-SRV-ATTR:host": host}


def migration(number: int, **changed: object) -> Record:
    """One evacuation record from compute-3, the younger the higher its number."""
    return {
        "id": number,
        "uuid": f"uuid-{number}",
        "instance_uuid": "server-1",
        "status": "done",
        "migration_type": "evacuation",
        "source_compute": "compute-3",
        "dest_compute": "compute-1",
        "created_at": f"2026-11-22T05:{number // 60:02}:{number % 60:02}.000000",
        "updated_at": None,
        **changed,
    }


def hypervisor(host: str, *, name: str, servers: list[str]) -> Record:
    """One os-hypervisors record with its servers."""
    return {
        "id": f"id-of-{name}",
        "hypervisor_hostname": name,
        "service": {"id": f"service-of-{host}", "host": host},
        "servers": [{"name": "instance-1", "uuid": uuid} for uuid in servers],
    }


def host_with(*servers: Record, services: list[Record] | None = None) -> Answerer:
    """A Nova with these servers and, unless told otherwise, the service of compute-3."""
    shown = [service("compute-3")] if services is None else services
    return by_path(
        {
            "/os-services": Reply(body={"services": shown}),
            "/servers/detail": in_pages(list(servers), "servers"),
        }
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


@pytest.mark.parametrize(
    ("highest", "read", "write"),
    [
        ("2.53", "2.53", "2.53"),
        ("2.79", "2.79", "2.79"),
        ("2.95", "2.95", "2.94"),
        ("2.104", "2.96", "2.94"),
    ],
)
def test_microversions_are_agreed_on_once(highest: str, read: str, write: str) -> None:
    """As new as is useful, and never 2.95 for a write; the caller may see which."""
    with NovaServer(answer=host_with(), versions=("2.1", highest)) as nova:
        compute = nova.nova()
        caller = compute.read_caller()
        compute.read_services()

    assert (caller.read_version, caller.write_version) == (read, write)
    assert {request.version for request in nova.requests} == {read}


@pytest.mark.parametrize("versions", [("2.1", "2.52"), ("2.60", "2.104")])
def test_a_nova_that_does_not_speak_2_53_is_named(versions: tuple[str, str]) -> None:
    """Services and hypervisors have no uuid before; what is offered is said."""
    with (
        NovaServer(answer=host_with(), versions=versions) as nova,
        pytest.raises(Unavailable, match=f"speaks microversions {versions[0]} to") as caught,
    ):
        nova.nova().read_services()

    assert "2.53" in caught.value.why


@pytest.mark.parametrize(
    "path", ["/compute/v2.1", "/compute/v2.1/", "/compute/v2.1/0123", "/compute"]
)
def test_nova_is_found_behind_each_form_of_catalog_url(path: str) -> None:
    """With the project's id (old deployments), with the version, or bare."""
    with NovaServer(answer=host_with(), catalog_path=path) as nova:
        found = nova.nova().read_services()

    assert [s.host for s in found.services] == ["compute-3"]


def test_an_admin_is_one_by_role_and_by_deed() -> None:
    """Both the token's role and a read that only an admin may make."""
    with NovaServer(answer=host_with(), roles=("reader", "Admin")) as nova:
        caller = nova.nova().read_caller()

    assert caller == Caller(
        user="operator",
        project="ops",
        admin=True,
        why_not=None,
        read_version="2.96",
        write_version="2.94",
    )


def test_without_the_role_nobody_is_admin() -> None:
    """A policy may open the service list to others; Nova's filters are then still dropped."""
    with NovaServer(answer=host_with(), roles=("reader", "member")) as nova:
        caller = nova.nova().read_caller()

    assert not caller.admin
    assert caller.why_not == "the login has not the role admin (it has: reader, member)"


def test_an_admin_whom_nova_refuses_is_none() -> None:
    """A system-scoped token has the role and gets 403 (facts A.9)."""
    message = "Policy doesn't allow os_compute_api:os-services:list to be performed."
    no = Reply(status=403, body={"forbidden": {"code": 403, "message": message}})
    with NovaServer(answer=lambda _: no) as nova:
        caller = nova.nova().read_caller()

    assert not caller.admin
    assert caller.why_not == f"Nova refuses the list of services (HTTP 403: {message})"


def test_the_caller_is_read_once() -> None:
    """Roles do not change under a token."""
    with NovaServer(answer=host_with()) as nova:
        compute = nova.nova()
        callers = {compute.read_caller() for _ in range(3)}

    assert len(callers) == 1
    assert len(nova.requests) == 1


def test_a_refused_login_is_not_permitted_and_keeps_the_password() -> None:
    """Keystone is named; nothing secret is."""
    with (
        NovaServer(answer=host_with(), keystone_status=401) as nova,
        pytest.raises(NotPermitted, match="refuses the login") as caught,
    ):
        nova.nova().read_caller()

    assert caught.value.source == f"Keystone {nova.url}"
    assert PASSWORD not in str(caught.value)


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
        for marker in ({}, {"marker": "uuid-501"}, {"marker": "uuid-1"})
    ]


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


def in_turn(*replies: Reply | Fault) -> Answerer:
    """One answer after the other."""
    waiting = iter(replies)
    return lambda _: next(waiting)


@pytest.mark.parametrize(
    "first",
    [Fault.CLOSE, Fault.RESET, Fault.HALF, Reply(status=503), Reply(status=429)],
    ids=["closed", "reset", "half", "503", "429"],
)
def test_a_read_is_repeated(first: Reply | Fault) -> None:
    """A read that came to nothing may be asked again."""
    answer = in_turn(first, Reply(body={"services": [service("compute-3")]}))
    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_services()

    assert [s.host for s in found.services] == ["compute-3"]


def test_a_read_is_repeated_twice_and_no_more() -> None:
    """Then nothing is known, in plain words."""
    with NovaServer(answer=lambda _: Fault.CLOSE) as nova, pytest.raises(Unreachable) as caught:
        nova.nova().read_services()

    assert len(nova.requests) == 3
    assert caught.value.source == f"Nova {nova.url}"
    assert caught.value.why == "the connection was closed before an answer came"


def test_a_read_without_an_answer_in_time_is_not_repeated() -> None:
    """The caller's time is up: the limit is of the whole read, not of each try."""
    with (
        NovaServer(answer=lambda _: Fault.HANG) as nova,
        pytest.raises(Unreachable, match=r"connected, but no answer within 0\.3 s"),
    ):
        nova.nova(read_limit_s=0.3).read_services()

    assert len(nova.requests) == 1


def test_a_server_cannot_make_us_wait_for_an_hour() -> None:
    """Retry-After is capped; the repeat comes within the test's own limit."""
    later = Reply(status=503, headers={"Retry-After": "3600"})
    answer = in_turn(later, Reply(body={"services": []}))
    with NovaServer(answer=answer) as nova:
        assert nova.nova().read_services().services == ()


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(status=401), NotPermitted, "answers with HTTP 401"),
        (Reply(status=403), NotPermitted, "answers with HTTP 403"),
        (Reply(status=500, text="<html>"), Unreachable, "answers with HTTP 500"),
        (Reply(status=502, text="<html>"), Unreachable, "answers with HTTP 502"),
        (Reply(status=404), Unreadable, "answers with HTTP 404"),
        (Reply(text="<html>hello</html>"), Unreadable, "the answer is not a JSON object"),
        (Reply(text='{"services": ['), Unreadable, "the answer is not a JSON object"),
        (Reply(body={"other": []}), Unreadable, "services is missing"),
    ],
)
def test_an_answer_that_is_no_answer_has_its_own_error(
    reply: Reply, error: type[Exception], why: str
) -> None:
    """Refused, not there, or not understood: three different things to do next."""
    with NovaServer(answer=lambda _: reply) as nova, pytest.raises(error) as caught:
        nova.nova().read_services()

    assert str(caught.value) == f"Nova {nova.url}: {why}"


def test_a_microversion_that_is_refused_after_all_is_named() -> None:
    """Behind one address there may be an older Nova too (recorded from Zed)."""
    no = Reply(status=406, body=recorded("zed-evacuate-error-2.95-unsupported"))
    with (
        NovaServer(answer=lambda _: no) as nova,
        pytest.raises(Unreadable, match=r"Version 2\.95 is not supported by the API"),
    ):
        nova.nova().read_services()


def test_a_token_that_ends_between_two_pages_is_replaced() -> None:
    """The list goes on where it was."""
    with NovaServer() as nova:
        pages = in_pages([migration(n) for n in range(1500, 0, -1)], "migrations", id_key="uuid")

        def answer(request: Request) -> Reply | Fault:
            if "marker" not in request.query:
                nova.revoke_tokens()
            return pages(request)

        nova.answer = answer
        found = nova.nova().read_evacuations("compute-3")

    assert len(found) == 1500
    assert nova.logins == 2


def test_a_nova_that_is_missing_from_the_catalog_is_a_matter_of_configuration() -> None:
    """Interface and region are ours to choose; they are named."""
    with NovaServer(answer=host_with()) as nova:

        def elsewhere() -> Cloud:
            return replace(nova.cloud(), region="RegionTwo")

        with pytest.raises(Misconfigured, match=r"interface public, region RegionTwo"):
            Nova(elsewhere).read_services()


def test_threads_that_wait_share_one_failure() -> None:
    """A hundred hosts and a Nova that is away: one search, not a hundred one after the other."""
    with NovaServer(keystone_status=503) as nova:
        compute = nova.nova()

        def ask(_: int) -> str:
            with pytest.raises(Unreachable) as caught:
                compute.read_services()
            return str(caught.value)

        with ThreadPoolExecutor(20) as workers:
            whys = set(workers.map(ask, range(20)))

    assert whys == {f"Keystone {nova.url}: answers with HTTP 503"}
    assert nova.logins < 20


def test_nova_is_looked_for_again_after_a_failure() -> None:
    """A failure is of its moment; a resident watcher goes on."""
    with NovaServer(answer=host_with(), keystone_status=503) as nova:
        compute = nova.nova()
        with pytest.raises(Unreachable):
            compute.read_services()
        nova.keystone_status = 201

        assert len(compute.read_services().services) == 1


def test_the_adapter_imports_nothing_heavy_and_leaves_no_files(tmp_path: Path) -> None:
    """novaclient comes with the first call, without its cache files and its own log handler."""
    script = """
import logging, sys
import hacli.adapters.nova
heavy = {"novaclient", "keystoneauth1", "requests", "openstack"} & sys.modules.keys()
assert not heavy, heavy
from tests.adapters.nova_server import NovaServer, Reply
with NovaServer(answer=lambda _: Reply(body={"services": []})) as server:
    server.nova().read_services()
import novaclient
kinds = {type(h) for h in logging.getLogger("novaclient.api_versions").handlers}
assert kinds == {logging.NullHandler}, kinds
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
