"""Lists of the lab's Nova: filters, pages, callers, cells, and what goes wrong with the API."""

import pytest

from hacli.lab.api_faults import ApiEffect, ApiFault
from hacli.lab.cloud_records import Server, VmState, stable_id
from hacli.lab.cloud_tables import CloudSettings
from hacli.lab.http_shapes import Caller, Response
from tests.lab.nova_world import NovaWorld, nova_world

_USER = Caller(project=stable_id("project", "tenant"), user="u", roles=("member",))


@pytest.fixture
def world() -> NovaWorld:
    """A healthy cloud of three hosts."""
    return nova_world()


def _names(answer: Response) -> list[str]:
    assert answer.body is not None
    rows = answer.body["servers"]
    assert isinstance(rows, list)
    return [row["name"] for row in rows]


def _message(answer: Response) -> object:
    assert answer.body is not None
    (fault,) = answer.body.values()
    assert isinstance(fault, dict)
    return fault["message"]


def _followed(world: NovaWorld, path: str, key: str) -> list[list[object]]:
    """All pages, by following the links."""
    pages = []
    while path:
        body = world.ask("GET", path).body
        assert body is not None
        rows = body[key]
        assert isinstance(rows, list)
        pages.append(rows)
        links = body.get(f"{key}_links")
        path = links[0]["href"].partition("/v2.1")[2] if isinstance(links, list) else ""
    return pages


def test_host_is_an_exact_filter(world: NovaWorld) -> None:
    """compute-1 is not compute-10."""
    world = nova_world(10)
    world.cloud.add_server("a", "compute-1")
    world.cloud.add_server("b", "compute-10")

    answer = world.ask("GET", "/servers/detail?all_tenants=1&host=compute-1")

    assert _names(answer) == ["a"]


def test_without_all_tenants_only_the_own_project_is_listed(world: NovaWorld) -> None:
    """For an admin as well."""
    world.cloud.add_server("mine", "compute-1")
    world.cloud.add_server("theirs", "compute-1", project=_USER.project)

    assert _names(world.ask("GET", "/servers")) == ["mine"]
    assert _names(world.ask("GET", "/servers?all_tenants=1")) == ["theirs", "mine"]


def test_admin_filters_of_others_are_dropped_without_a_word(world: NovaWorld) -> None:
    """The list is then not limited to the host."""
    world.cloud.add_server("here", "compute-1", project=_USER.project)
    world.cloud.add_server("there", "compute-2", project=_USER.project)

    answer = world.ask("GET", "/servers/detail?host=compute-1", caller=_USER)

    assert _names(answer) == ["there", "here"]
    assert answer.body is not None
    assert "OS-EXT-SRV-ATTR:host" not in str(answer.body)
    assert "host_status" not in str(answer.body)


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("GET", "/os-services", "os-services:list"),
        ("PUT", "/os-services/x", "os-services:update"),
        ("GET", "/os-migrations", "os-migrations:index"),
        ("GET", "/os-hypervisors", "os-hypervisors:list"),
        ("GET", "/os-hypervisors/detail", "os-hypervisors:list-detail"),
        ("GET", "/os-aggregates", "os-aggregates:index"),
        ("GET", "/servers/detail?all_tenants=1", "servers:detail:get_all_tenants"),
    ],
)
def test_what_needs_admin_is_forbidden_to_others(
    world: NovaWorld, method: str, path: str, rule: str
) -> None:
    """403 that names the rule."""
    answer = world.ask(method, path, caller=_USER, body={})

    words = f"Policy doesn't allow os_compute_api:{rule} to be performed."
    assert (answer.status, _message(answer)) == (403, words)


def test_evacuation_is_for_admins(world: NovaWorld) -> None:
    """403 for one's own server, 404 for somebody else's."""
    own = world.cloud.add_server("own", "compute-3", project=_USER.project)
    other = world.cloud.add_server("other", "compute-3")
    world.lose("compute-3")

    answers = [
        world.ask("POST", f"/servers/{s.id}/action", body={"evacuate": {}}, caller=_USER)
        for s in (own, other)
    ]

    assert [answer.status for answer in answers] == [403, 404]
    assert world.migrations(own) == []


@pytest.mark.parametrize(("version", "status"), [("2.74", 200), ("2.75", 400)])
def test_unknown_parameters_are_an_error_from_2_75(
    world: NovaWorld, version: str, status: int
) -> None:
    """Services and servers alike."""
    for path in ("/os-services?nosuch=1", "/servers/detail?nosuch=1"):
        assert world.ask("GET", path, version=version).status == status


def test_servers_come_in_pages_newest_first(world: NovaWorld) -> None:
    """At most max_limit; a full page has a link to the next one, also when that is empty."""
    small = nova_world(settings=CloudSettings(max_limit=2))
    for name in "abcd":
        small.cloud.add_server(name, "compute-1")

    pages = _followed(small, "/servers/detail?all_tenants=1&host=compute-1", "servers")

    names = [[row["name"] for row in page if isinstance(row, dict)] for page in pages]
    assert names == [["d", "c"], ["b", "a"], []]


def test_an_unknown_marker_is_refused(world: NovaWorld) -> None:
    """400, for example when the server of the marker is gone."""
    answer = world.ask("GET", "/servers?marker=nosuch")

    assert (answer.status, _message(answer)) == (400, "marker [nosuch] not found")


def _three_evacuations(world: NovaWorld) -> list[Server]:
    servers = [world.cloud.add_server(name, "compute-3") for name in "abc"]
    world.lose("compute-3")
    for server in servers:
        world.evacuate(server)
    world.pass_time(20)
    return servers


@pytest.mark.parametrize(
    ("version", "order"),
    [("2.58", [1, 2, 3]), ("2.59", [3, 2, 1])],
)
def test_migrations_are_newest_first_from_2_59(
    world: NovaWorld, version: str, order: list[int]
) -> None:
    """Oldest first before."""
    _three_evacuations(world)

    body = world.ask("GET", "/os-migrations", version=version).body

    assert body is not None
    rows = body["migrations"]
    assert isinstance(rows, list)
    assert [row["id"] for row in rows] == order


def test_migrations_come_in_pages(world: NovaWorld) -> None:
    """The link keeps the filters and adds the marker at the end."""
    _three_evacuations(world)
    path = "/os-migrations?migration_type=evacuation&source_compute=compute-3&limit=2"

    pages = _followed(world, path, "migrations")

    assert [[row["id"] for row in page if isinstance(row, dict)] for page in pages] == [
        [3, 2],
        [1],
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("source_compute=compute-3", 3),
        ("source_compute=compute-1", 0),
        ("host=compute-1", 2),
        ("host=compute-1&source_compute=compute-2", 2),
        ("status=done", 3),
        ("status=error", 0),
        ("migration_type=live-migration", 0),
    ],
)
def test_migrations_are_filtered(world: NovaWorld, query: str, found: int) -> None:
    """``host`` is either end, and beside it ``source_compute`` is ignored."""
    _three_evacuations(world)

    body = world.ask("GET", f"/os-migrations?{query}").body

    assert body is not None
    rows = body["migrations"]
    assert isinstance(rows, list)
    assert len(rows) == found


@pytest.mark.parametrize(("version", "status"), [("2.58", 200), ("2.59", 400)])
def test_unknown_migration_filters_are_an_error_from_2_59(
    world: NovaWorld, version: str, status: int
) -> None:
    """Before, a typing error lists everything."""
    assert world.ask("GET", "/os-migrations?source=x", version=version).status == status


def test_soft_deleted_servers_are_only_on_the_hypervisor(world: NovaWorld) -> None:
    """The server list leaves them out, the hypervisor's list does not."""
    server = world.cloud.add_server("gone", "compute-1", state=VmState.SOFT_DELETED)

    listed = _names(world.ask("GET", "/servers/detail?all_tenants=1&host=compute-1"))
    body = world.ask("GET", "/os-hypervisors?with_servers=true").body

    assert listed == []
    assert server.id in str(body)


def test_the_hypervisor_pattern_is_a_substring() -> None:
    """compute-1 also finds compute-10; nothing found is 404, paging beside it 400."""
    world = nova_world(10)
    found = world.ask("GET", "/os-hypervisors?hypervisor_hostname_pattern=compute-1").body
    assert found is not None
    rows = found["hypervisors"]
    assert isinstance(rows, list)

    none = world.ask("GET", "/os-hypervisors?hypervisor_hostname_pattern=nosuch")
    paged = world.ask("GET", "/os-hypervisors?hypervisor_hostname_pattern=c&limit=1")

    assert [row["hypervisor_hostname"] for row in rows] == ["compute-1", "compute-10"]
    assert (none.status, _message(none)) == (404, "No hypervisor matching 'nosuch' could be found.")
    assert paged.status == 400


@pytest.mark.parametrize(
    ("version", "services", "servers"),
    [("2.68", 4, []), ("2.69", 5, ["UNKNOWN"])],
)
def test_a_down_cell_leaves_partial_records_from_2_69(
    world: NovaWorld, version: str, services: int, servers: list[str]
) -> None:
    """Before, its services and servers are just not there."""
    world.cloud.add_server("a", "compute-3")
    world.cloud.tables.down_cell.add("compute-3")

    listed = world.ask("GET", "/os-services", version=version).body
    shown = world.ask("GET", "/servers/detail?all_tenants=1", version=version).body

    assert listed is not None
    assert shown is not None
    rows, guests = listed["services"], shown["servers"]
    assert isinstance(rows, list)
    assert isinstance(guests, list)
    assert len(rows) == services
    partial = {"binary": "nova-compute", "host": "compute-3", "status": "UNKNOWN"}
    assert (partial in rows) == (version == "2.69")
    assert [guest["status"] for guest in guests] == servers


def test_a_filter_hides_a_down_cell_altogether(world: NovaWorld) -> None:
    """The list of a host whose cell is down is empty, with 200."""
    world.cloud.add_server("a", "compute-3")
    world.cloud.tables.down_cell.add("compute-3")

    answer = world.ask("GET", "/servers/detail?all_tenants=1&host=compute-3")

    assert (answer.status, _names(answer)) == (200, [])


def test_aggregates_and_groups_are_shown(world: NovaWorld) -> None:
    """Groups of other projects only on request; policy is a word from 2.64, a list before."""
    world.cloud.add_aggregate("rack-1", ("compute-1",), zone="zone-1")
    group = world.cloud.add_group("apart", "anti-affinity")
    server = world.cloud.add_server("a", "compute-1", group=group)

    aggregates = world.ask("GET", "/os-aggregates").body
    new = world.ask("GET", "/os-server-groups").body
    old = world.ask("GET", "/os-server-groups", version="2.13").body

    assert "'hosts': ['compute-1']" in str(aggregates)
    assert "'availability_zone': 'zone-1'" in str(aggregates)
    assert "'policy': 'anti-affinity'" in str(new)
    assert server.id in str(new)
    assert "'policies': ['anti-affinity']" in str(old)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("openstack-api-version", "compute 2.95"),
        ("x-openstack-nova-api-version", "2.95"),
    ],
)
def test_both_microversion_headers_are_understood(
    world: NovaWorld, header: str, value: str
) -> None:
    """The answer repeats the version."""
    request = world.request("GET", "/os-services", headers={header: value})

    answer = world.api.handle(request)

    assert answer.headers["OpenStack-API-Version"] == "compute 2.95"


def test_without_a_microversion_the_oldest_is_answered(world: NovaWorld) -> None:
    """2.1: no forced_down, numeric ids."""
    answer = world.api.handle(world.request("GET", "/os-services", headers={}))

    assert answer.headers["OpenStack-API-Version"] == "compute 2.1"
    assert "forced_down" not in str(answer.body)


def test_a_lost_answer_means_done(world: NovaWorld) -> None:
    """502 after the evacuation was accepted: only the records tell."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.cloud.api_faults.add(
        ApiFault(method="POST", path="servers/.*/action", effect=ApiEffect.LOST_ANSWER)
    )

    first = world.evacuate(server)
    world.pass_time(10)

    assert first.status == 502
    assert world.migrations(server) == [("done", "compute-1")]


def test_an_unavailable_api_did_nothing(world: NovaWorld) -> None:
    """503, as often as was said, and no record."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.cloud.api_faults.add(
        ApiFault(method="POST", path="servers/.*/action", effect=ApiEffect.UNAVAILABLE, times=2)
    )

    statuses = [world.evacuate(server).status for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert len(world.migrations(server)) == 1


def test_a_late_answer_is_done_at_once(world: NovaWorld) -> None:
    """The client's time-out says nothing about the request."""
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.cloud.api_faults.add(
        ApiFault(method="POST", path="servers/.*/action", effect=ApiEffect.LATE, seconds=90)
    )

    answer = world.evacuate(server)

    assert (answer.status, answer.delay_s) == (200, 90.0)
    assert world.migrations(server) == [("accepted", None)]


@pytest.mark.parametrize("locked", [True, False])
def test_a_locked_server_is_started_by_admins_only(world: NovaWorld, *, locked: bool) -> None:
    """Its owner gets 409."""
    server = world.cloud.add_server(
        "a", "compute-1", state=VmState.STOPPED, project=_USER.project, locked=locked
    )
    path = f"/servers/{server.id}/action"

    answer = world.ask("POST", path, body={"os-start": None}, caller=_USER)
    world.pass_time(5)

    assert answer.status == (409 if locked else 202)
    assert world.machines.running_on(server.id) == (() if locked else ("compute-1",))


@pytest.mark.parametrize(
    ("state", "running"),
    [(VmState.ACTIVE, ("compute-1",)), (VmState.ERROR, ("compute-1",)), (VmState.STOPPED, ())],
)
def test_a_rebuild_makes_a_new_disk_from_the_image(
    world: NovaWorld, state: VmState, running: tuple[str, ...]
) -> None:
    """In place; the server's image is another one from then on, and stopped stays stopped."""
    snapshot = world.cloud.add_image("snapshot-of-a", properties={"image_type": "snapshot"})
    server = world.cloud.add_server("a", "compute-1", volume=False, state=state)
    before = server.disk

    body: dict[str, object] = {"rebuild": {"imageRef": snapshot.id}}
    answer = world.ask("POST", f"/servers/{server.id}/action", body=body)
    during = world.brief(server)[0]
    world.pass_time(10)

    assert (answer.status, during) == (202, "REBUILD")
    assert server.image == snapshot.id
    assert world.machines["compute-1"].guests[server.id].disk == server.disk != before
    assert world.machines.running_on(server.id) == running


@pytest.mark.parametrize("volume", [True, False])
def test_a_rebuild_needs_an_image_and_a_server_that_has_one(
    world: NovaWorld, *, volume: bool
) -> None:
    """400 for a volume-backed server, and for an image that is gone."""
    server = world.cloud.add_server("a", "compute-1", volume=volume)
    image = world.cloud.default_image.id if volume else "gone"

    body: dict[str, object] = {"rebuild": {"imageRef": image}}
    answer = world.ask("POST", f"/servers/{server.id}/action", body=body)

    assert (answer.status, server.task_state) == (400, None)


def test_stop_ends_the_guest(world: NovaWorld) -> None:
    """And the server reads SHUTOFF."""
    server = world.cloud.add_server("a", "compute-1")

    answer = world.ask("POST", f"/servers/{server.id}/action", body={"os-stop": None})
    world.pass_time(5)

    assert answer.status == 202
    assert world.brief(server) == ("SHUTOFF", "stopped", None, 4, "compute-1")
    assert world.machines.running_on(server.id) == ()


def test_metadata_is_added_to(world: NovaWorld) -> None:
    """Other items stay."""
    server = world.cloud.add_server("a", "compute-1", metadata={"k": "v"})

    world.ask("POST", f"/servers/{server.id}/metadata", body={"metadata": {"x": "y"}})

    assert world.show(server)["metadata"] == {"k": "v", "x": "y"}


def test_the_volume_attachments_of_a_server_are_shown(world: NovaWorld) -> None:
    """With the attachment's id from 2.89, with the volume's as ``id`` before."""
    server = world.cloud.add_server("a", "compute-1")
    (attachment,) = world.cloud.tables.attachments_of(server.id)
    path = f"/servers/{server.id}/os-volume_attachments"

    new = world.ask("GET", path, version="2.89").body
    old = world.ask("GET", path, version="2.1").body

    assert new is not None
    assert old is not None
    assert new["volumeAttachments"] == [
        {
            "volumeId": server.disk,
            "serverId": server.id,
            "device": "/dev/vda",
            "tag": None,
            "delete_on_termination": True,
            "attachment_id": attachment.id,
            "bdm_uuid": attachment.id,
        }
    ]
    assert old["volumeAttachments"] == [
        {
            "volumeId": server.disk,
            "serverId": server.id,
            "device": "/dev/vda",
            "id": server.disk,
        }
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nosuch", None, 404),
        ("GET", "/flavors/99", None, 404),
        ("GET", "/flavors/1", None, 200),
        ("GET", "/flavors/detail", None, 200),
        ("POST", "/servers/x/action", {"reboot": {"type": "HARD"}}, 404),
        ("GET", "/servers/x/os-instance-actions", None, 404),
        ("GET", "/servers?limit=abc", None, 400),
    ],
)
def test_other_requests_have_their_status(
    world: NovaWorld, method: str, path: str, body: dict[str, object] | None, status: int
) -> None:
    """Known things are found, unknown ones are not."""
    assert world.ask(method, path, body=body).status == status


@pytest.mark.parametrize(
    "body",
    [{"nosuch": None}, {}, {"reboot": {"type": "SOFT"}}, {"os-resetState": {"state": "paused"}}],
    ids=str,
)
def test_unknown_actions_are_refused(world: NovaWorld, body: dict[str, object]) -> None:
    """400, and the server is left alone."""
    server = world.cloud.add_server("a", "compute-1")
    before = world.brief(server)

    answer = world.ask("POST", f"/servers/{server.id}/action", body=body)

    assert (answer.status, world.brief(server)) == (400, before)


def test_the_date_of_an_answer_is_the_time_of_the_region(world: NovaWorld) -> None:
    """By it a client tells how old a heartbeat is, at whatever speed the lab runs."""
    answer = world.ask("GET", "/os-services")

    assert answer.headers["Date"] == "Sun, 22 Nov 2026 05:06:50 GMT"


@pytest.mark.parametrize(
    ("word", "status", "answered"),
    [
        ("compute latest", 200, "2.104"),
        ("compute 2.105", 406, "2.105"),
        ("compute 2.0", 406, "2.0"),
        ("compute two", 400, "two"),
        ("volume 3.70", 200, "2.1"),
    ],
)
def test_a_microversion_is_granted_or_refused(
    world: NovaWorld, word: str, status: int, answered: str
) -> None:
    """latest is the maximum; beyond it 406, no number 400, another service's word is nobody's."""
    request = world.request("GET", "/os-services", headers={"openstack-api-version": word})

    answer = world.api.handle(request)

    assert answer.status == status
    assert answer.headers["OpenStack-API-Version"] == f"compute {answered}"


def test_the_version_document_names_the_range(world: NovaWorld) -> None:
    """As keystoneauth's discovery reads it."""
    body = world.api.handle(world.request("GET", "/", headers={})).body

    assert body is not None
    version = body["version"]
    assert isinstance(version, dict)
    assert (version["min_version"], version["version"], version["status"]) == (
        "2.1",
        "2.104",
        "CURRENT",
    )


@pytest.mark.parametrize(("version", "status"), [("2.68", 500), ("2.69", 200)])
def test_one_server_of_a_down_cell(world: NovaWorld, version: str, status: int) -> None:
    """A partial record from 2.69, an error of the API before."""
    server = world.cloud.add_server("a", "compute-3")
    world.cloud.tables.down_cell.add("compute-3")

    answer = world.ask("GET", f"/servers/{server.id}", version=version)

    assert answer.status == status
    if status == 200:
        assert answer.body is not None
        shown = answer.body["server"]
        assert isinstance(shown, dict)
        assert sorted(shown) == ["created", "id", "links", "status", "tenant_id"]


def test_an_action_is_found_by_its_request_only(world: NovaWorld) -> None:
    """404 for a request that did nothing to this server."""
    server = world.cloud.add_server("a", "compute-1")

    answer = world.ask("GET", f"/servers/{server.id}/os-instance-actions/req-nosuch")

    assert answer.status == 404


def test_migrations_after_an_unknown_marker_are_refused(world: NovaWorld) -> None:
    """400."""
    assert world.ask("GET", "/os-migrations?marker=nosuch").status == 400


def test_a_running_live_migration_has_links(world: NovaWorld) -> None:
    """As long as it may be aborted; servers of it read MIGRATING."""
    server = world.cloud.add_server("a", "compute-1")
    world.cloud.moves.begin_live(server, dest="compute-2")

    body = world.ask("GET", "/os-migrations").body

    assert body is not None
    rows = body["migrations"]
    assert isinstance(rows, list)
    assert [(row["status"], row["migration_type"], "links" in row) for row in rows] == [
        ("running", "live-migration", True)
    ]
    assert world.brief(server)[0] == "MIGRATING"


def test_groups_of_other_projects_are_hidden(world: NovaWorld) -> None:
    """Also from all_projects of somebody without the role."""
    world.cloud.add_group("apart", "anti-affinity")

    body = world.ask("GET", "/os-server-groups?all_projects=1", caller=_USER).body

    assert body == {"server_groups": []}


def test_a_hard_reboot_is_refused_in_mid_rebuild(world: NovaWorld) -> None:
    """409 that names the task."""
    server = world.cloud.add_server("a", "compute-1", task="rebuilding")

    body: dict[str, object] = {"reboot": {"type": "HARD"}}
    answer = world.ask("POST", f"/servers/{server.id}/action", body=body)

    words = f"Cannot 'reboot' instance {server.id} while it is in task_state rebuilding"
    assert (answer.status, _message(answer)) == (409, words)


def test_a_reboot_on_a_dead_host_waits_for_its_nova_compute(world: NovaWorld) -> None:
    """The message lies in the queue; the guest starts once the daemon is back, one time."""
    server = world.cloud.add_server("a", "compute-3")
    world.machines.crash(world.machines["compute-3"])
    body: dict[str, object] = {"reboot": {"type": "HARD"}}
    world.ask("POST", f"/servers/{server.id}/action", body=body)
    world.pass_time(100)
    waiting = (world.brief(server)[0], world.machines.running_on(server.id))

    world.bring_back("compute-3")
    world.pass_time(10)

    assert waiting == ("HARD_REBOOT", ())
    assert world.brief(server)[0] == "ACTIVE"
    assert world.machines.running_on(server.id) == ("compute-3",)


@pytest.mark.parametrize("path", ["/os-hypervisors", "/os-hypervisors/detail"])
def test_hypervisors_come_in_pages(path: str) -> None:
    """A full page has a link to the next one."""
    world = nova_world(3, settings=CloudSettings(max_limit=2))

    pages = _followed(world, path, "hypervisors")

    names = [
        [row["hypervisor_hostname"] for row in page if isinstance(row, dict)] for page in pages
    ]
    assert names == [["compute-1", "compute-2"], ["compute-3"]]


def test_one_hypervisor_is_shown_by_its_id(world: NovaWorld) -> None:
    """With its servers when asked for; 404 for an unknown one."""
    server = world.cloud.add_server("a", "compute-2")
    listed = world.ask("GET", "/os-hypervisors").body
    assert listed is not None
    rows = listed["hypervisors"]
    assert isinstance(rows, list)

    shown = world.ask("GET", f"/os-hypervisors/{rows[1]['id']}?with_servers=true").body
    unknown = world.ask("GET", "/os-hypervisors/nosuch")

    assert shown is not None
    hypervisor = shown["hypervisor"]
    assert isinstance(hypervisor, dict)
    assert hypervisor["servers"] == [{"name": "instance-00000001", "uuid": server.id}]
    assert hypervisor["service"]["host"] == "compute-2"
    assert unknown.status == 404


def test_a_hypervisor_may_have_another_name_than_its_host() -> None:
    """The pattern searches the hypervisor's name; servers and migrations carry both."""
    world = nova_world(3, settings=CloudSettings(domain=".lab.example"))
    server = world.cloud.add_server("a", "compute-3")
    world.lose("compute-3")
    world.evacuate(server)
    world.pass_time(10)

    shown = world.show(server)
    found = world.ask("GET", "/os-hypervisors?hypervisor_hostname_pattern=1.lab").body
    migrations = world.ask("GET", "/os-migrations").body
    listed = _names(world.ask("GET", "/servers?all_tenants=1&node=compute-1.lab"))

    assert shown["OS-EXT-SRV-ATTR:host"] == "compute-1"
    assert shown["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "compute-1.lab.example"
    assert "'hypervisor_hostname': 'compute-1.lab.example'" in str(found)
    assert "'source_node': 'compute-3.lab.example'" in str(migrations)
    assert "'dest_node': 'compute-1.lab.example'" in str(migrations)
    assert listed == ["a"]


def test_groups_come_in_pages_by_offset(world: NovaWorld) -> None:
    """Unlike every other list, and without links."""
    for name in "abc":
        world.cloud.add_group(name, "affinity")

    bodies = [
        world.ask("GET", f"/os-server-groups?limit=2&offset={offset}").body for offset in (0, 2, 3)
    ]

    names = []
    for body in bodies:
        assert body is not None
        rows = body["server_groups"]
        assert isinstance(rows, list)
        names.append([row["name"] for row in rows])
    assert names == [["a", "b"], ["c"], []]


def test_actions_come_in_pages(world: NovaWorld) -> None:
    """After the request that is the marker."""
    server = world.cloud.add_server("a", "compute-1")
    for _ in range(2):
        world.ask("POST", f"/servers/{server.id}/action", body={"reboot": {"type": "HARD"}})
        world.pass_time(5)
    path = f"/servers/{server.id}/os-instance-actions"

    first = world.ask("GET", f"{path}?limit=2").body
    assert first is not None
    rows = first["instanceActions"]
    assert isinstance(rows, list)
    rest = world.ask("GET", f"{path}?limit=2&marker={rows[-1]['request_id']}").body

    assert [row["action"] for row in rows] == ["reboot", "reboot"]
    assert rest is not None
    others = rest["instanceActions"]
    assert isinstance(others, list)
    assert [row["action"] for row in others] == ["create"]
