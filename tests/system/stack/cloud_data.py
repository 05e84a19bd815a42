"""What an operator's installation enters into a new cloud: services, users, flavors, an image."""

from concurrent.futures import ThreadPoolExecutor

from tests.system.stack.api import DISKLESS, IMAGE, LARGE, SMALL, CloudApi
from tests.system.stack.cloud_config import REGION, SERVICE_LOGIN, Site

VOLUME_TYPE = "fake"
FLAVORS = (
    {"id": SMALL, "name": "small", "ram": 64, "vcpus": 1, "disk": 1},
    {"id": DISKLESS, "name": "diskless", "ram": 64, "vcpus": 1, "disk": 0},
    {"id": LARGE, "name": "large", "ram": 128, "vcpus": 1, "disk": 1},
)


def enter_catalogue(api: CloudApi, site: Site) -> None:
    """Users, services and endpoints of everything but Keystone itself, which has its own."""
    roles = {role["name"]: role["id"] for role in api.ask("GET", "identity", "/roles")["roles"]}
    if "service" not in roles:
        made = api.ask("POST", "identity", "/roles", json={"role": {"name": "service"}})
        roles["service"] = made["role"]["id"]
    wanted = {"project": {"name": "service", "domain_id": "default"}}
    project = api.ask("POST", "identity", "/projects", json=wanted)["project"]["id"]
    for name, kind, url in (
        ("placement", "placement", site.url("placement")),
        ("glance", "image", site.url("glance")),
        ("nova", "compute", site.url("nova") + "/v2.1"),
        ("neutron", "network", site.url("neutron")),
        ("cinder", "volumev3", site.url("cinder") + "/v3/%(project_id)s"),
    ):
        _enter_user(api, name, project=project, roles=(roles["admin"], roles["service"]))
        _enter_service(api, name, kind=kind, url=url)


def _enter_user(api: CloudApi, name: str, *, project: str, roles: tuple[str, ...]) -> None:
    wanted = {"name": name, "password": SERVICE_LOGIN.password, "domain_id": "default"}
    user = api.ask("POST", "identity", "/users", json={"user": wanted})["user"]["id"]
    for role in roles:
        api.ask("PUT", "identity", f"/projects/{project}/users/{user}/roles/{role}")


def _enter_service(api: CloudApi, name: str, *, kind: str, url: str) -> None:
    wanted = {"service": {"name": name, "type": kind}}
    service = api.ask("POST", "identity", "/services", json=wanted)["service"]["id"]
    for interface in ("public", "internal", "admin"):
        endpoint = {
            "interface": interface,
            "url": url,
            "service_id": service,
            "region_id": REGION,
        }
        api.ask("POST", "identity", "/endpoints", json={"endpoint": endpoint})


def enter_resources(api: CloudApi) -> None:
    """Flavors, a volume type and an image."""
    with ThreadPoolExecutor() as pool:
        tasks = (_enter_flavors, _enter_image, _enter_type)
        for job in [pool.submit(task, api) for task in tasks]:
            job.result()


def _enter_flavors(api: CloudApi) -> None:
    for flavor in FLAVORS:
        api.ask("POST", "compute", "/flavors", json={"flavor": flavor})


def _enter_type(api: CloudApi) -> None:
    api.ask("POST", "volume", "/types", json={"volume_type": {"name": VOLUME_TYPE}})


def _enter_image(api: CloudApi) -> None:
    wanted = {
        "name": IMAGE,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
    }
    image = api.ask("POST", "image", "/v2/images", json=wanted)["id"]
    api.ask("PUT", "image", f"/v2/images/{image}/file", raw=bytes(65536))
