"""The lab's HTTP services: real sockets, a real client library, and each failure of the wire."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from hacli.lab.commands import PowerOff
from hacli.lab.invariants import Law
from hacli.lab.request_log import Deed, Target
from hacli.lab.running_lab import Lab
from hacli.lab.wire_faults import WireEffect, WireFault
from tests.eventually import eventually
from tests.lab.lab_client import LabClient


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts with three servers each."""
    from hacli.lab.seed import small

    with Lab(small(2, 6)) as running:
        yield running


@pytest.fixture
def client(lab: Lab) -> LabClient:
    """The cloud's admin."""
    return LabClient(lab)


def lose(lab: Lab, client: LabClient, host: str) -> str:
    """Let a host die, tell Nova, and return one of its servers."""
    lab.apply(PowerOff(host=host))
    assert client.force_down(host).status == 200
    return next(iter(lab.region.machines[host].guests))


def migrations(lab: Lab) -> list[str]:
    """The servers of all migration records."""
    with lab.lock:
        return [migration.server for migration in lab.region.cloud.tables.migrations]


def keystone_session(lab: Lab) -> Session:
    """The client library with which hacli logs in."""
    login = v3.Password(
        auth_url=f"{lab.http.urls['keystone']}/v3",
        username="admin",
        password="labsecret",
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    return Session(auth=login)


@pytest.mark.parametrize("interface", ["public", "internal", "admin"])
def test_a_real_client_finds_nova_in_the_catalogue(lab: Lab, interface: str) -> None:
    """Login, catalogue, discovery and microversion, as keystoneauth does them."""
    session = keystone_session(lab)
    nova = Adapter(
        session, service_type="compute", interface=interface, default_microversion="2.94"
    )

    names = {server["name"] for server in nova.get("/servers?all_tenants=1").json()["servers"]}
    session.session.close()

    assert names == {f"server-{number}" for number in range(1, 7)}


def test_a_wrong_password_is_refused(client: LabClient) -> None:
    """401, and no token."""
    answer = client.log_in(password="wrong")

    assert answer.status == 401
    assert "x-subject-token" not in answer.headers


def test_without_a_token_only_the_versions_are_told(client: LabClient) -> None:
    """Discovery is open to everybody, everything else is not."""
    assert client.ask("nova", "GET", "/v2.1/", token="").status == 200
    assert client.ask("nova", "GET", "/v2.1/os-services", token="").status == 401
    assert client.ask("neutron", "GET", "/v2.0/ports", token="").status == 401


def test_an_operator_without_the_role_admin_sees_nothing_of_others(lab: Lab) -> None:
    """The services are refused; the list of servers is empty, which proves nothing."""
    operator = LabClient(lab, user="operator", project="operators")

    assert operator.ask("nova", "GET", "/v2.1/os-services").status == 403
    assert operator.ask("nova", "GET", "/v2.1/servers").body == {"servers": []}
    assert operator.ask("cinder", "GET", "/v3/volumes/detail").status == 403


def test_a_token_ends_in_the_middle_and_a_real_client_logs_in_again(lab: Lab) -> None:
    """The service says 401 once; keystoneauth asks for a new token and repeats."""
    session = keystone_session(lab)
    nova = Adapter(session, service_type="compute", default_microversion="2.94")
    assert nova.get("/os-services").status_code == 200

    lab.advance(lab.keystone.token_life_s)

    assert nova.get("/os-services").status_code == 200
    session.session.close()
    answers = [record.status for record in lab.requests.records if record.path.endswith("services")]
    assert answers == [200, 401, 200]


def test_one_connection_takes_many_requests(lab: Lab, client: LabClient) -> None:
    """Keep-alive, without 40 ms for each answer."""
    address = urlsplit(lab.http.urls["nova"])
    connection = http.client.HTTPConnection(address.netloc)
    for _ in range(3):
        connection.request("GET", "/v2.1/os-services", headers={"X-Auth-Token": client.logged_in()})
        response = connection.getresponse()
        assert json.loads(response.read())["services"]
        assert not response.will_close
    connection.close()


def test_every_answer_has_the_regions_date_and_a_request_id(lab: Lab, client: LabClient) -> None:
    """A client can tell Nova's time from its own."""
    lab.advance(86400)

    answer = client.ask("nova", "GET", "/v2.1/os-services")

    date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert abs(date - lab.region.timeline.now) < 5
    assert answer.headers["openstack-api-version"] == "compute 2.94"
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_what_is_no_json_is_refused(lab: Lab, client: LabClient) -> None:
    """400, and no service is asked."""
    connection = http.client.HTTPConnection(urlsplit(lab.http.urls["nova"]).netloc)
    headers = {"X-Auth-Token": client.logged_in()}
    connection.request("POST", "/v2.1/servers/x/action", "{evacuate", headers)
    status = connection.getresponse().status
    connection.close()

    assert status == 400


def test_a_lost_answer_loses_nothing_but_the_answer(lab: Lab, client: LabClient) -> None:
    """The connection is reset after Nova took the request; the next one is answered."""
    server = lose(lab, client, "compute-1")
    lab.http.faults.add(WireFault(effect=WireEffect.LOST, method="POST", path="/action"))

    with pytest.raises(ConnectionResetError):
        client.evacuate(server)

    assert migrations(lab) == [server]
    assert client.ask("nova", "GET", "/v2.1/os-migrations").status == 200


def test_a_503_before_leaves_the_world_as_it_was(lab: Lab, client: LabClient) -> None:
    """Nova never saw the request."""
    server = lose(lab, client, "compute-1")
    lab.http.faults.add(WireFault(effect=WireEffect.UNAVAILABLE, path="/action"))

    assert client.evacuate(server).status == 503
    assert migrations(lab) == []


def test_a_503_after_has_changed_the_world(lab: Lab, client: LabClient) -> None:
    """The same answer as before, and yet it was done."""
    server = lose(lab, client, "compute-1")
    lab.http.faults.add(WireFault(effect=WireEffect.UNAVAILABLE_AFTER, path="/action"))

    assert client.evacuate(server).status == 503
    assert migrations(lab) == [server]


def test_a_late_answer_comes_after_the_clients_limit(lab: Lab, client: LabClient) -> None:
    """Done at once, and the client has gone when the answer comes."""
    server = lose(lab, client, "compute-1")
    lab.http.faults.add(WireFault(effect=WireEffect.LATE, path="/action", seconds=20))

    with pytest.raises(TimeoutError):
        client.evacuate(server, limit_s=0.2)

    assert migrations(lab) == [server]


def test_half_an_answer_breaks_off(lab: Lab, client: LabClient) -> None:
    """The length promised more."""
    client.logged_in()
    lab.http.faults.add(WireFault(effect=WireEffect.HALF, path="os-services"))

    with pytest.raises(http.client.IncompleteRead):
        client.ask("nova", "GET", "/v2.1/os-services")


def test_a_restarting_service_refuses_connections_and_comes_back(
    lab: Lab, client: LabClient
) -> None:
    """Nobody listens for a while; the other services do, and the address stays the same."""
    client.logged_in()
    lab.http.refuse_connections("nova", 0.3)

    with pytest.raises(ConnectionRefusedError):
        client.ask("nova", "GET", "/v2.1/os-services")
    assert client.ask("neutron", "GET", "/v2.0/agents").status == 200

    def answers() -> bool:
        try:
            return client.ask("nova", "GET", "/v2.1/os-services").status == 200
        except ConnectionRefusedError:
            return False

    eventually(answers, within_s=5)


def test_a_fault_meets_only_what_it_names_and_only_so_often(lab: Lab, client: LabClient) -> None:
    """By service, method and a part of path or query; counted down, or until it is cleared."""
    fault = WireFault(effect=WireEffect.UNAVAILABLE, method="GET", path="host=compute-2", times=2)
    lab.http.faults.add(fault)
    paths = ["os-services", *["os-services?host=compute-2"] * 3]

    answers = [client.ask("nova", "GET", f"/v2.1/{path}").status for path in paths]

    assert answers == [200, 503, 503, 200]


def test_a_fault_without_a_count_stays_until_it_is_cleared(lab: Lab, client: LabClient) -> None:
    """One list that fails for as long as the test wants."""
    client.logged_in()
    lab.http.faults.add(WireFault(effect=WireEffect.UNAVAILABLE, path="os-services", times=None))
    broken = [client.ask("nova", "GET", "/v2.1/os-services").status for _ in range(3)]

    lab.http.faults.clear()

    assert broken == [503, 503, 503]
    assert client.ask("nova", "GET", "/v2.1/os-services").status == 200


def test_the_log_tells_what_was_done_and_what_was_said(lab: Lab, client: LabClient) -> None:
    """In order, with whom each request meant, and which of them changed something."""
    server = lose(lab, client, "compute-1")
    lab.http.faults.add(WireFault(effect=WireEffect.UNAVAILABLE_AFTER, path="/action"))
    client.evacuate(server)

    records = [r for r in lab.requests.records if r.method in ("POST", "PUT")]

    told = [(r.method, r.status, r.sent, r.fault, r.changed, r.target) for r in records]
    down = Target(deed=Deed.FORCE_DOWN, host="compute-1")
    evacuation = Target(deed=Deed.EVACUATE, host="compute-1", server=server, migration=1)
    assert told == [
        ("POST", 201, 201, None, False, None),
        ("PUT", 200, 200, None, True, down),
        ("POST", 200, 503, "503-after", True, evacuation),
    ]


def test_the_log_is_a_file_of_lines_without_passwords(lab: Lab, client: LabClient) -> None:
    """What a person reads after a test; Keystone's bodies are not in it."""
    client.ask("nova", "GET", "/v2.1/os-services")

    text = lab.workspace.requests.read_text(encoding="utf-8")

    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["service"], line["path"]) for line in lines] == [
        ("keystone", "/v3/auth/tokens"),
        ("nova", "/v2.1/os-services"),
    ]
    assert "labsecret" not in text


def test_an_evacuated_servers_port_and_volume_follow_it(lab: Lab, client: LabClient) -> None:
    """Neutron and Cinder agree with Nova about the host."""
    server = lose(lab, client, "compute-1")
    assert client.evacuate(server).status == 200
    lab.advance(60)

    ports = client.ask("neutron", "GET", f"/v2.0/ports?device_id={server}").body["ports"]
    volumes = client.ask("cinder", "GET", "/v3/volumes/detail").body["volumes"]

    assert [port["binding:host_id"] for port in ports] == ["compute-2"]
    hosts: list[Any] = [
        attachment["host_name"]
        for volume in volumes
        for attachment in volume["attachments"]
        if attachment["server_id"] == server
    ]
    assert hosts == ["compute-2"]


def test_placement_counts_what_a_host_holds(client: LabClient) -> None:
    """Inventories and usages by the provider's id."""
    providers = client.ask("placement", "GET", "/resource_providers?name=compute-1").body
    uuid = providers["resource_providers"][0]["uuid"]

    inventory = client.ask("placement", "GET", f"/resource_providers/{uuid}/inventories").body
    usages = client.ask("placement", "GET", f"/resource_providers/{uuid}/usages").body

    assert inventory["inventories"]["VCPU"]["total"] == 64
    assert usages["usages"] == {"VCPU": 3, "MEMORY_MB": 192, "DISK_GB": 0}


def test_glance_finds_the_snapshots_of_a_server(lab: Lab, client: LabClient) -> None:
    """By properties, newest first."""
    with lab.lock:
        lab.region.cloud.add_image(
            "before the storm", properties={"image_type": "snapshot", "instance_uuid": "u1"}
        )

    path = "/v2/images?image_type=snapshot&instance_uuid=u1&status=active"
    found = client.ask("glance", "GET", path).body["images"]

    assert [image["name"] for image in found] == ["before the storm"]
    assert client.ask("glance", "GET", "/v2/images/nosuch").status == 404


def test_a_dead_backend_is_down_in_cinder(lab: Lab, client: LabClient) -> None:
    """What ``check`` looks for."""
    with lab.lock:
        lab.region.cloud.tables.dead_backends.add("lab@fake")

    services = client.ask("cinder", "GET", "/v3/os-services").body["services"]

    assert [(s["host"], s["state"]) for s in services] == [("lab@fake", "down")]


def test_evacuating_a_living_host_twice_is_possible_and_the_checker_sees_it(
    lab: Lab, client: LabClient
) -> None:
    """Nova does not stop it: what hacli must never do is done here by hand."""
    client.force_down("compute-1")
    server = next(iter(lab.region.machines["compute-1"].guests))
    assert client.evacuate(server).status == 200
    assert client.evacuate(server).status == 200
    lab.advance(30)

    broken = {violation.law for violation in lab.check()}

    assert broken == {Law.EVIDENCE, Law.ONCE}


def test_a_guest_that_runs_twice_is_seen_in_the_ledger(lab: Lab, client: LabClient) -> None:
    """One evacuation from a living host is enough."""
    client.force_down("compute-1")
    server = next(iter(lab.region.machines["compute-1"].guests))
    assert client.evacuate(server).status == 200
    lab.advance(30)

    broken = {violation.law for violation in lab.check(recovered="compute-1")}

    assert broken == {Law.EVIDENCE, Law.ONCE, Law.TWICE, Law.BACK}


def test_a_lab_that_ends_leaves_nothing_behind() -> None:
    """No thread, no port, no folder; also with a client that is still connected."""
    before = set(threading.enumerate())
    lab = Lab()
    lab.start()
    address = urlsplit(lab.http.urls["nova"])
    folder = lab.workspace.folder
    doors = threading.active_count()
    with socket.create_connection((address.hostname, address.port), timeout=5) as idle:
        eventually(lambda: threading.active_count() > doors)
        lab.stop()
        assert idle.recv(1) == b""

    assert set(threading.enumerate()) - before == set()
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)
