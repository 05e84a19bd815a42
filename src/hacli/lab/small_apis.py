"""What hacli and its like read from the lab's Cinder, Glance, Placement and Neutron.

GETs only, as far as the region has facts for them. Shapes: the API references of the four, and
the parts of their answers that decide about recoverability.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

from hacli.lab.cloud import Cloud
from hacli.lab.cloud_records import Attachment, Image, Server, Volume, stable_uuid
from hacli.lab.http_shapes import Request, Response

Json = dict[str, object]
Answer = Callable[..., Json | None]
Routes = tuple[tuple[str, Answer], ...]
Row = TypeVar("Row")
POOL = "fake"  # of every backend
MOST = 1000
"""Rows of a page: Cinder's osapi_max_limit, Glance's api_limit_max."""


class SmallApi:
    """One service of GETs.

    Args:
        routes: Pattern of the path, and what answers it: called with the request and the
            pattern's groups; None is 404.
        versions: The answer to a path in ``version_paths``.
    """

    def __init__(self, routes: Routes, *, version_paths: frozenset[str], versions: Json) -> None:
        self._routes = routes
        self._versions = versions
        self.version_paths = version_paths

    def handle(self, request: Request) -> Response:
        """Answer one request; what needs the role admin is 403 without it."""
        path = request.path.strip("/")
        if path in self.version_paths:
            return Response(status=200, body=self._versions)
        if request.method != "GET":
            return _error(405, "The lab's service is read only.")
        for pattern, answer in self._routes:
            found = re.fullmatch(pattern, path)
            if found is None:
                continue
            if not request.caller.is_admin:
                return _error(403, "Policy doesn't allow this to be performed.")
            body = answer(request, *found.groups())
            if body is not None:
                return Response(status=200, body=body)
        return _error(404, "The resource could not be found.")


def cinder(cloud: Cloud, *, url: str) -> SmallApi:
    """Volumes, attachments, backends and pools."""
    tables = cloud.tables

    def volumes(request: Request) -> Json:
        named = request.query.get("host")
        found = [v for v in tables.volumes.values() if named in (None, f"{v.backend}#{POOL}")]
        page, more = _page(request, found, lambda volume: volume.id)
        held = _attachments(cloud)
        body: Json = {"volumes": [_volume(volume, held[volume.id]) for volume in page]}
        if more:
            words = urlencode({**request.query, "marker": page[-1].id})
            href = f"{url}{request.path}?{words}"
            body["volumes_links"] = [{"rel": "next", "href": href}]
        return body

    def volume(_request: Request, volume_id: str) -> Json | None:
        found = tables.volumes.get(volume_id)
        held = _attachments(cloud)[volume_id]
        return None if found is None else {"volume": _volume(found, held)}

    def attachments(request: Request) -> Json:
        wanted = request.query.get("instance_id")
        servers = tables.servers if wanted is None else (wanted,)
        return {
            "attachments": [
                {"id": a.id, "status": a.status, "instance": a.server, "volume_id": a.volume}
                for server in servers
                for a in tables.attachments_of(server)
            ]
        }

    def services(_request: Request) -> Json:
        return {"services": [_volume_service(cloud, backend) for backend in _backends(cloud)]}

    def pools(_request: Request) -> Json:
        return {"pools": [_pool(cloud, backend) for backend in _backends(cloud)]}

    routes: Routes = (
        (r"v3/[^/]+/volumes/detail", volumes),
        (r"v3/[^/]+/volumes/([^/]+)", volume),
        (r"v3/[^/]+/attachments(?:/detail)?", attachments),
        (r"v3/[^/]+/os-services", services),
        (r"v3/[^/]+/scheduler-stats/get_pools", pools),
        (r"v3/volumes/detail", volumes),
        (r"v3/volumes/([^/]+)", volume),
        (r"v3/attachments(?:/detail)?", attachments),
        (r"v3/os-services", services),
        (r"v3/scheduler-stats/get_pools", pools),
    )
    version = _version("v3.0", f"{url}/v3/", version="3.71", min_version="3.0")
    return SmallApi(routes, version_paths=frozenset({"", "v3"}), versions={"versions": [version]})


def glance(cloud: Cloud, *, url: str) -> SmallApi:
    """Images and snapshots, 25 to a page that asks for no number; hidden ones when asked for."""

    def images(request: Request) -> Json:
        filters = {k: v for k, v in request.query.items() if k not in ("limit", "sort", "marker")}
        filters = {"os_hidden": "false", **filters}
        shown = [_image(image) for image in cloud.tables.images.values()]
        found = [
            image
            for image in shown
            if all(_word(image.get(key)) == value.lower() for key, value in filters.items())
        ]
        newest_first = sorted(found, key=lambda image: str(image["created_at"]), reverse=True)
        page, more = _page(request, newest_first, lambda image: str(image["id"]), usual=25)
        body: Json = {"images": page, "first": "/v2/images", "schema": "/v2/schemas/images"}
        if more:
            words = urlencode({**request.query, "marker": str(page[-1]["id"])})
            body["next"] = f"/v2/images?{words}"
        return body

    def image(_request: Request, image_id: str) -> Json | None:
        found = cloud.tables.images.get(image_id)
        return None if found is None else _image(found)

    routes: Routes = (("v2/images", images), ("v2/images/([^/]+)", image))
    version = _version("v2.16", f"{url}/v2/")
    return SmallApi(routes, version_paths=frozenset({""}), versions={"versions": [version]})


def placement(cloud: Cloud, *, url: str) -> SmallApi:  # noqa: ARG001 - its links are relative
    """Resource providers, their inventories, usages and allocations."""
    tables = cloud.tables
    hosts = {stable_uuid("provider", host): host for host in cloud.machines.by_name}

    def providers(request: Request) -> Json:
        name = request.query.get("name")
        found = [(uuid, host) for uuid, host in hosts.items() if name in (None, host)]
        return {"resource_providers": [_provider(uuid, host) for uuid, host in found]}

    def inventories(_request: Request, uuid: str) -> Json | None:
        if uuid not in hosts or hosts[uuid] not in tables.capacities:
            return None
        return {"inventories": _inventories(cloud, hosts[uuid]), "resource_provider_generation": 1}

    def usages(_request: Request, uuid: str) -> Json | None:
        if uuid not in hosts:
            return None
        held = tables.allocations.get(hosts[uuid], {}).values()
        return {"usages": _resources(held), "resource_provider_generation": 1}

    def allocations(_request: Request, uuid: str) -> Json | None:
        if uuid not in hosts:
            return None
        held = tables.allocations.get(hosts[uuid], {})
        views = {server: {"resources": _resources([held[server]])} for server in held}
        return {"allocations": views, "resource_provider_generation": 1}

    def consumer(_request: Request, server: str) -> Json:
        held = {
            uuid: {"resources": _resources([tables.allocations[host][server]]), "generation": 1}
            for uuid, host in hosts.items()
            if server in tables.allocations.get(host, {})
        }
        return {"allocations": held}

    routes: Routes = (
        ("resource_providers", providers),
        ("resource_providers/([^/]+)/inventories", inventories),
        ("resource_providers/([^/]+)/usages", usages),
        ("resource_providers/([^/]+)/allocations", allocations),
        ("allocations/([^/]+)", consumer),
    )
    version = _version("v1.0", "", version="1.39", min_version="1.0")
    return SmallApi(routes, version_paths=frozenset({""}), versions={"versions": [version]})


def neutron(cloud: Cloud, *, url: str) -> SmallApi:
    """One port per server, bound where Nova says that the server is; one agent per host."""

    def ports(request: Request) -> Json:
        device, host = request.query.get("device_id"), request.query.get("binding:host_id")
        return {
            "ports": [
                _port(server)
                for server in cloud.tables.servers.values()
                if device in (None, server.id) and host in (None, server.host)
            ]
        }

    def agents(request: Request) -> Json:
        host = request.query.get("host")
        return {
            "agents": [
                {
                    "id": stable_uuid("agent", machine.name),
                    "agent_type": "Open vSwitch agent",
                    "binary": "neutron-openvswitch-agent",
                    "host": machine.name,
                    "admin_state_up": True,
                    "alive": machine.answers and "neutron-openvswitch-agent" in machine.processes,
                }
                for machine in cloud.machines
                if host in (None, machine.name)
            ]
        }

    routes: Routes = ((r"v2\.0/ports", ports), (r"v2\.0/agents", agents))
    version = _version("v2.0", f"{url}/v2.0/")
    return SmallApi(routes, version_paths=frozenset({""}), versions={"versions": [version]})


def _page(
    request: Request, rows: list[Row], key: Callable[[Row], str], *, usual: int = MOST
) -> tuple[list[Row], bool]:
    """The rows behind the marker, no more than a page has; whether there may be others."""
    limit = min(int(request.query.get("limit", usual)), MOST)
    marker = request.query.get("marker")
    places = {key(row): place for place, row in enumerate(rows)} if marker else {}
    first = places[marker] + 1 if marker in places else 0
    page = rows[first : first + limit]
    return page, len(page) == limit > 0


def _word(value: object) -> str:
    return str(value).lower()


def _attachments(cloud: Cloud) -> Mapping[str, list[Attachment]]:
    """All attachments by volume."""
    found: defaultdict[str, list[Attachment]] = defaultdict(list)
    for held in cloud.tables.attachments.values():
        for attachment in held.values():
            found[attachment.volume].append(attachment)
    return found


def _backends(cloud: Cloud) -> tuple[str, ...]:
    known = {volume.backend for volume in cloud.tables.volumes.values()}
    return tuple(sorted(known | cloud.tables.dead_backends))


def _volume(volume: Volume, attachments: list[Attachment]) -> Json:
    return {
        "id": volume.id,
        "name": volume.name,
        "status": volume.status,
        "size": volume.size,
        "bootable": str(volume.bootable).lower(),
        "encrypted": False,
        "multiattach": False,
        "volume_type": "lab",
        "created_at": _time(volume.created_at),
        "os-vol-host-attr:host": f"{volume.backend}#{POOL}",
        "os-vol-tenant-attr:tenant_id": volume.project,
        "cluster_name": None,
        "volume_image_metadata": dict(volume.image_metadata),
        "attachments": [
            {
                "id": volume.id,
                "attachment_id": attachment.id,
                "server_id": attachment.server,
                "host_name": attachment.host,
                "device": attachment.device,
                "attached_at": _time(attachment.attached_at),
                "volume_id": volume.id,
            }
            for attachment in attachments
        ],
    }


def _volume_service(cloud: Cloud, backend: str) -> Json:
    state = "up" if cloud.tables.backend_up(backend) else "down"
    return {
        "binary": "cinder-volume",
        "host": backend,
        "zone": cloud.settings.zone,
        "status": "enabled",
        "state": state,
        "backend_state": state,
        "frozen": False,
        "disabled_reason": None,
        "updated_at": _time(cloud.tables.now).removesuffix("Z"),
    }


def _pool(cloud: Cloud, backend: str) -> Json:
    capabilities: Json = {
        "total_capacity_gb": 10000,
        "free_capacity_gb": 9000,
        "storage_protocol": "fake",
        "backend_state": "up" if cloud.tables.backend_up(backend) else "down",
    }
    return {"name": f"{backend}#{POOL}", "capabilities": capabilities}


def _image(image: Image) -> Json:
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "visibility": image.visibility,
        "owner": image.owner,
        "size": image.size,
        "disk_format": "raw",
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "created_at": _time(image.created_at),
        "updated_at": _time(image.created_at),
        "os_hidden": image.hidden,
        "protected": False,
        **image.properties,
    }


def _provider(uuid: str, host: str) -> Json:
    return {
        "uuid": uuid,
        "name": host,
        "generation": 1,
        "parent_provider_uuid": None,
        "root_provider_uuid": uuid,
    }


def _inventories(cloud: Cloud, host: str) -> Json:
    capacity = cloud.tables.capacities[host]
    totals = {
        "VCPU": capacity.vcpus,
        "MEMORY_MB": capacity.memory_mb,
        "DISK_GB": capacity.disk_gb,
    }
    return {
        kind: {
            "total": total,
            "reserved": 512 if kind == "MEMORY_MB" else 0,
            "min_unit": 1,
            "max_unit": total,
            "step_size": 1,
            "allocation_ratio": 1.0,
        }
        for kind, total in totals.items()
    }


def _resources(servers: Iterable[Server]) -> Json:
    rooms = [server.room for server in servers]
    return {
        "VCPU": sum(room.vcpus for room in rooms),
        "MEMORY_MB": sum(room.memory_mb for room in rooms),
        "DISK_GB": sum(room.disk_gb for room in rooms),
    }


def _port(server: Server) -> Json:
    return {
        "id": stable_uuid("port", server.id),
        "device_id": server.id,
        "device_owner": "compute:nova",
        "status": "ACTIVE" if server.host else "DOWN",
        "admin_state_up": True,
        "binding:host_id": server.host or "",
        "binding:vif_type": "ovs" if server.host else "unbound",
        "binding:vnic_type": "normal",
        "project_id": server.project,
    }


def _version(name: str, href: str, **more: str) -> Json:
    links = [{"rel": "self", "href": href}]
    return {"id": name, "status": "CURRENT", "links": links, **more}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, message: str) -> Response:
    return Response(status=status, body={"error": {"code": status, "message": message}})
