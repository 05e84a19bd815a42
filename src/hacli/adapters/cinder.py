"""Cinder as ``ports.Volumes``: all volumes and the services that attach them, by list."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hacli.adapters import rest
from hacli.domain.storage import Volume, VolumeService

if TYPE_CHECKING:
    from hacli.adapters.keystone import Cloud

Version = tuple[int, int]
NEWEST: Version = (3, 61)  # cluster_name of volumes; backend_state of services since 3.49
READ_LIMIT_S = 30.0
VTPM_PROPERTIES = ("hw_tpm_version", "hw_tpm_model")


class Cinder:
    """One region's Cinder. Safe to call from many threads; the constructor does no I/O.

    Both reads raise ``Unreachable``, ``Unreadable`` or ``NotPermitted``.

    Args:
        connect: Gives the cloud's session without asking anything.
        limit_s: Longest wait for the answer to one request.
    """

    def __init__(self, connect: "Callable[[], Cloud]", *, limit_s: float = READ_LIMIT_S) -> None:
        self._service = rest.Service(
            connect, kind="block-storage", name="Cinder", root=_root, limit_s=limit_s
        )

    def read_volumes(self) -> Mapping[str, Volume]:
        """All volumes of all projects, by id, all pages."""
        endpoint, headers = self._asked()
        found = endpoint.walk(
            "/volumes/detail",
            "volumes",
            {"all_tenants": "1"},
            goes_on=lambda page: _has_next(page, "volumes_links"),
            headers=headers,
        )
        with endpoint.understood():
            return {volume.id: volume for volume in map(parse_volume, found)}

    def read_services(self) -> tuple[VolumeService, ...]:
        """All cinder-volume services, one request."""
        endpoint, headers = self._asked()
        body = endpoint.get("/os-services?binary=cinder-volume", headers=headers)
        with endpoint.understood():
            return tuple(parse_service(record) for record in rest.records(body, "services"))

    def _asked(self) -> tuple[rest.Endpoint, Mapping[str, str]]:
        """Where Cinder is, and the microversion to ask it with: one small request."""
        endpoint = self._service.endpoint()
        with endpoint.understood():
            major, minor = min(_newest(_root_of(endpoint).get("/")), NEWEST)
        return endpoint, {"OpenStack-API-Version": f"volume {major}.{minor}"}


def parse_volume(record: rest.Json) -> Volume:
    """One volume as an administrator sees it (detail, 3.0 or later).

    ``os-vol-host-attr:host`` is host@backend#pool (facts B.2); ``cluster_name`` since 3.61.

    Raises:
        ShapeError: What is decided on is missing: the caller may not see hosts.
    """
    host = rest.text_or_none(record, "os-vol-host-attr:host")
    cluster = record.get("cluster_name")
    of_image = record.get("volume_image_metadata")
    return Volume(
        id=rest.text(record, "id"),
        status=rest.text(record, "status"),
        service=host.partition("#")[0] if host else None,
        cluster=cluster.partition("#")[0] if isinstance(cluster, str) and cluster else None,
        vtpm=isinstance(of_image, Mapping) and any(key in of_image for key in VTPM_PROPERTIES),
    )


def parse_service(record: rest.Json) -> VolumeService:
    """One cinder-volume; ``backend_state`` since 3.49, null where no pool is known."""
    cluster = record.get("cluster")
    return VolumeService(
        host=rest.text(record, "host"),
        up=rest.text(record, "state") == "up" and record.get("backend_state") != "down",
        cluster=cluster if isinstance(cluster, str) and cluster else None,
    )


def _root(catalog: str) -> str:
    """A catalog has ``.../v3/PROJECT``, ``.../v3``, or the bare root."""
    bare = catalog.rstrip("/")
    return bare if re.search(r"/v3(/|$)", bare) else f"{bare}/v3"


def _root_of(endpoint: rest.Endpoint) -> rest.Endpoint:
    """Without the project, where Cinder tells its versions."""
    return replace(endpoint, url=re.sub(r"(/v3)(/.*)?$", r"\1", endpoint.url))


def _newest(body: rest.Json) -> Version:
    for version in rest.records(body, "versions"):
        match = re.fullmatch(r"(\d+)\.(\d+)", str(version.get("version") or ""))
        if version.get("id") == "v3.0" and match is not None:
            return int(match[1]), int(match[2])
    raise rest.ShapeError("no Block Storage API v3 among its versions")


def _has_next(page: rest.Json, key: str) -> bool:
    links = page.get(key)
    return isinstance(links, list) and any(
        isinstance(link, Mapping) and link.get("rel") == "next" for link in links
    )
