"""Glance as ``ports.Images``: every image and snapshot, by list."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hacli.adapters import rest
from hacli.domain.storage import Image

if TYPE_CHECKING:
    from hacli.adapters.keystone import Cloud

READ_LIMIT_S = 30.0
SNAPSHOT_TYPES = ("snapshot", "backup")
VTPM_PROPERTIES = ("hw_tpm_version", "hw_tpm_model")


class Glance:
    """One region's Glance. Safe to call from many threads; the constructor does no I/O.

    Args:
        connect: Gives the cloud's session without asking anything.
        limit_s: Longest wait for the answer to one request.
    """

    def __init__(self, connect: "Callable[[], Cloud]", *, limit_s: float = READ_LIMIT_S) -> None:
        self._service = rest.Service(
            connect, kind="image", name="Glance", root=_root, limit_s=limit_s
        )

    def read_images(self) -> Mapping[str, Image]:
        """Every image that can be used, of all projects, by id, all pages.

        Hidden ones have a list of their own (facts B.3); a Glance before Rocky has none, and takes
        ``os_hidden`` for the name of a property.

        Raises:
            Unreachable, Unreadable, NotPermitted: There is no whole list.
        """
        endpoint = self._service.endpoint()
        found: dict[str, Image] = {}
        for which in ({}, {"os_hidden": "true"}):
            query = {"status": "active", **which}
            pages = endpoint.walk(
                "/images", "images", query, goes_on=lambda page: bool(page.get("next"))
            )
            with endpoint.understood():
                found |= {image.id: image for image in map(parse_image, pages)}
        return found


def parse_image(record: rest.Json) -> Image:
    """One image. A snapshot names its server, unless that boots from a volume (facts B.3)."""
    taken_of = record.get("instance_uuid")
    is_snapshot = record.get("image_type") in SNAPSHOT_TYPES and isinstance(taken_of, str)
    name = record.get("name")
    return Image(
        id=rest.text(record, "id"),
        name=name if isinstance(name, str) else "",
        created_at=rest.moment(record, "created_at"),
        snapshot_of=str(taken_of) if is_snapshot else None,
        vtpm=any(key in record for key in VTPM_PROPERTIES),
    )


def _root(catalog: str) -> str:
    """A catalog has the bare root, or ``.../v2``."""
    bare = catalog.rstrip("/")
    return bare if re.search(r"/v2$", bare) else f"{bare}/v2"
