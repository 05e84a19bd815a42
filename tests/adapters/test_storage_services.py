"""Cinder and Glance over real HTTP: the catalog, pages, and each way to get no answer."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import requests
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from hacli.adapters.cinder import Cinder, parse_service, parse_volume
from hacli.adapters.glance import Glance, parse_image
from hacli.adapters.keystone import Cloud, bound
from hacli.adapters.rest import Json, ShapeError
from hacli.domain.storage import Image, Volume, VolumeService
from hacli.errors import NotPermitted, SourceError, Unreachable, Unreadable
from hacli.lab.cloud import BACKEND
from hacli.lab.running_lab import Lab
from hacli.lab.seed import Population, small
from hacli.lab.wire_faults import WireEffect, WireFault
from tests.lab.test_http_door import keystone_session

LIMIT_S = 0.5


def lab_of(servers: int) -> Population:
    """Two hosts with so many volume-backed servers."""
    return small(2, servers)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts with three servers each."""
    with Lab(lab_of(6)) as running:
        yield running


@pytest.fixture
def cloud(lab: Lab) -> Iterator[Cloud]:
    """A login at the lab."""
    opened = cloud_of(lab)
    yield opened
    opened.session.session.close()


def cloud_of(lab: Lab) -> Cloud:
    """As the wiring opens it, without clouds.yaml."""
    session = keystone_session(lab)
    bound(session, read_limit_s=LIMIT_S)
    return Cloud(session=session, interface="internal", region="RegionOne")


def asked(lab: Lab, service: str) -> list[str]:
    """What a service was asked, path and query."""
    with lab.lock:
        records = [record for record in lab.requests.records if record.service == service]
    return [f"{record.path}?{record.query}".rstrip("?") for record in records]


def read_volumes(cloud: Cloud) -> object:
    """Cinder's volumes."""
    return Cinder(lambda: cloud, limit_s=LIMIT_S).read_volumes()


def read_services(cloud: Cloud) -> object:
    """Cinder's services."""
    return Cinder(lambda: cloud, limit_s=LIMIT_S).read_services()


def read_images(cloud: Cloud) -> object:
    """Glance's images."""
    return Glance(lambda: cloud, limit_s=LIMIT_S).read_images()


READS = {"volumes": ("cinder", read_volumes), "services": ("cinder", read_services),
         "images": ("glance", read_images)}  # fmt: skip
each_read = pytest.mark.parametrize(("service", "read"), READS.values(), ids=READS)
Read = Callable[[Cloud], object]


def test_volumes_are_found_with_the_service_that_attaches_them(lab: Lab, cloud: Cloud) -> None:
    """Without the pool that Cinder writes behind it."""
    volumes = Cinder(lambda: cloud).read_volumes()

    with lab.lock:
        ids = set(lab.region.cloud.tables.volumes)
    assert set(volumes) == ids
    assert {(v.status, v.service, v.cluster) for v in volumes.values()} == {
        ("in-use", BACKEND, None)
    }


def test_a_backend_is_up_until_it_is_not(lab: Lab, cloud: Cloud) -> None:
    """One request, at the microversion that tells the backend's own state."""
    cinder = Cinder(lambda: cloud)
    assert cinder.read_services() == (VolumeService(host=BACKEND, up=True),)

    with lab.lock:
        lab.region.cloud.tables.dead_backends.add(BACKEND)

    assert cinder.read_services() == (VolumeService(host=BACKEND, up=False),)
    with lab.lock:
        versions = [r.microversion for r in lab.requests.records if "os-services" in r.path]
    assert versions == ["volume 3.61", "volume 3.61"]


def test_snapshots_images_and_hidden_images_are_found(lab: Lab, cloud: Cloud) -> None:
    """Two lists; those that cannot be used are in neither."""
    with lab.lock:
        home = lab.region.cloud
        server = next(iter(home.tables.servers.values()))
        snapshot = home.add_snapshot(server, age_s=3600)
        secure = home.add_image("secure", properties={"hw_tpm_version": "2.0"})
        secure.hidden = True
        home.add_image("queued").status = "queued"

    images = Glance(lambda: cloud).read_images()

    found = {image.name: image for image in images.values()}
    assert set(found) == {"lab-image", snapshot.name, "secure"}
    assert (found[snapshot.name].snapshot_of, found["lab-image"].snapshot_of) == (server.id, None)
    assert found["lab-image"].created_at - found[snapshot.name].created_at == timedelta(hours=1)
    assert (found["secure"].vtpm, found["lab-image"].vtpm) == (True, False)


@pytest.mark.timeout(30)
def test_lists_are_read_to_their_end_page_by_page() -> None:
    """Requests by pages: 2,500 volumes are three, and as many images."""
    with Lab(lab_of(2500)) as lab:
        with lab.lock:
            for number in range(1100):
                lab.region.cloud.add_image(f"image-{number}")
        cloud = cloud_of(lab)
        session = cloud.session.session

        volumes = Cinder(lambda: cloud).read_volumes()
        images = Glance(lambda: cloud).read_images()

        session.close()
        assert (len(volumes), len(images)) == (2500, 1101)
        assert [path.partition("?")[0] for path in asked(lab, "cinder")] == [
            "/v3/", *["/v3/volumes/detail"] * 3,
        ]  # fmt: skip
        assert len(asked(lab, "glance")) == 3


@each_read
@pytest.mark.parametrize(
    ("effect", "says"),
    [
        (WireEffect.LATE, "no answer within 0.5 s"),
        (WireEffect.LOST, "closed before an answer"),
        (WireEffect.HALF, "broke off"),
        (WireEffect.UNAVAILABLE, "HTTP 503"),
    ],
)
def test_no_answer_is_unreachable_with_the_reason(
    lab: Lab, cloud: Cloud, service: str, read: Read, effect: WireEffect, says: str
) -> None:
    """Never an empty list."""
    with lab.lock:
        late = 5.0 if effect is WireEffect.LATE else 0.0
        lab.http.faults.add(WireFault(effect=effect, service=service, seconds=late, times=None))

    with pytest.raises(Unreachable, match=says) as raised:
        read(cloud)

    assert raised.value.source.startswith(f"{service.capitalize()} http://127.0.0.1:")


@each_read
def test_a_login_without_the_role_is_not_permitted(
    lab: Lab, cloud: Cloud, service: str, read: Read
) -> None:
    """403 is no empty list either."""
    login = v3.Password(
        auth_url=f"{lab.http.urls['keystone']}/v3",
        username="operator",
        password="labsecret",
        project_name="operators",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    member = Cloud(session=Session(auth=login), interface="public", region=None)

    with pytest.raises(NotPermitted, match="HTTP 403"):
        read(member)

    member.session.session.close()


@each_read
def test_a_token_that_ends_is_renewed(lab: Lab, cloud: Cloud, service: str, read: Read) -> None:
    """The service refuses it once; the same read goes on with a new one."""
    read(cloud)
    lab.advance(lab.keystone.token_life_s)

    read(cloud)


@each_read
def test_a_cloud_without_the_service_says_so(
    lab: Lab, cloud: Cloud, service: str, read: Read
) -> None:
    """A catalog of another region has neither."""
    elsewhere = Cloud(session=cloud.session, interface="internal", region="RegionTwo")

    with pytest.raises(Unreachable, match=r"the catalog has no .* endpoint \(interface internal"):
        read(elsewhere)


@each_read
def test_a_configured_address_is_used_in_place_of_the_catalogs(
    lab: Lab, cloud: Cloud, service: str, read: Read
) -> None:
    """``..._endpoint_override`` of clouds.yaml, with or without the version behind it."""
    url = lab.http.urls[service]
    for override in (url, f"{url}/", f"{url}/{'v3' if service == 'cinder' else 'v2'}/"):
        kinds = {"block-storage": override, "image": override}
        read(Cloud(session=cloud.session, interface="x", region="nowhere", urls=kinds))


def test_a_silent_keystone_is_told_by_each(lab: Lab, cloud: Cloud) -> None:
    """The login is everybody's."""
    with lab.lock:
        lab.http.faults.add(
            WireFault(effect=WireEffect.UNAVAILABLE, service="keystone", times=None)
        )

    for _, read in READS.values():
        with pytest.raises(SourceError, match="Keystone"):
            read(cloud)


VOLUME: Json = {"id": "v", "status": "in-use", "os-vol-host-attr:host": "a@ceph#pool"}
SERVICE: Json = {"host": "a@ceph", "state": "up", "backend_state": None}
IMAGE: Json = {"id": "i", "name": None, "created_at": "2026-11-22T03:00:00Z"}


def test_a_volume_says_who_attaches_it() -> None:
    """A service, or any of its cluster; a volume that is not placed yet has neither."""
    plain = Volume(id="v", status="in-use", service="a@ceph")

    assert parse_volume(VOLUME) == plain
    assert parse_volume({**VOLUME, "cluster_name": "c@ceph#pool"}).cluster == "c@ceph"
    assert parse_volume({**VOLUME, "os-vol-host-attr:host": None}).service is None
    assert parse_volume({**VOLUME, "volume_image_metadata": {"hw_tpm_model": "x"}}).vtpm


@pytest.mark.parametrize(
    ("record", "up"),
    [
        (SERVICE, True),
        ({**SERVICE, "backend_state": "up"}, True),
        ({**SERVICE, "backend_state": "down"}, False),
        ({**SERVICE, "state": "down"}, False),
        ({"host": "a@ceph", "state": "up"}, True),
    ],
)
def test_a_service_is_up_when_it_and_its_backend_are(record: Json, up: bool) -> None:
    """Before 3.49 nothing is said of the backend."""
    assert parse_service(record).up is up


def test_only_a_snapshot_names_its_server() -> None:
    """An image made of a snapshot may carry the property on."""
    of = {**IMAGE, "instance_uuid": "u"}

    assert parse_image({**of, "image_type": "snapshot"}).snapshot_of == "u"
    assert parse_image({**of, "image_type": "backup"}).snapshot_of == "u"
    assert parse_image(of).snapshot_of is None
    assert isinstance(parse_image(IMAGE), Image)


@pytest.mark.parametrize("key", ["id", "status", "os-vol-host-attr:host"])
def test_a_volume_that_lacks_what_is_decided_on_is_unreadable(key: str) -> None:
    """A caller who may not see hosts gets no guess."""
    with pytest.raises(ShapeError, match=key):
        parse_volume({name: value for name, value in VOLUME.items() if name != key})


@pytest.mark.parametrize("key", ["host", "state"])
def test_a_service_that_lacks_what_is_decided_on_is_unreadable(key: str) -> None:
    """Not up, not down: unreadable."""
    with pytest.raises(ShapeError, match=key):
        parse_service({name: value for name, value in SERVICE.items() if name != key})


@pytest.mark.parametrize("change", [{"id": 5}, {"created_at": "yesterday"}, {"created_at": None}])
def test_an_image_that_lacks_what_is_decided_on_is_unreadable(change: Json) -> None:
    """An age that cannot be read is no age."""
    with pytest.raises(ShapeError):
        parse_image({**IMAGE, **change})


class OnePage(Session):
    """A service that ignores the marker, or answers something else."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self._content = json.dumps(body).encode()

    def request(self, url: str, method: str, **options: object) -> requests.Response:  # type: ignore[override]
        """The same answer to everything."""
        response = requests.Response()
        response.status_code = 200
        response._content = self._content  # noqa: SLF001 - as from the wire
        return response


class LoggedIn(Cloud):
    def login(self) -> dict[str, str]:
        """No token is needed."""
        return {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"images": [IMAGE], "next": "/v2/images?marker=i"}, "the same again"),
        ({"images": {}}, "images is not a list of objects"),
        ({"images": ["i"]}, "images is not a list of objects"),
        ({"fault": {}}, "images is not a list of objects"),
        (["images"], "not a JSON object"),
    ],
)
def test_what_is_no_list_of_images_is_unreadable(body: object, says: str) -> None:
    """Nor is one without an end."""
    urls = {"image": "http://glance.example.org"}
    cloud = LoggedIn(session=OnePage(body), interface="x", region=None, urls=urls)

    with pytest.raises(Unreadable, match=says):
        Glance(lambda: cloud).read_images()
