"""One call of the lab's Nova API: who asks, at which microversion, and how answers are written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

from hacli.lab.cloud import Cloud
from hacli.lab.cloud_records import Server
from hacli.lab.http_shapes import HttpRefusal, Request

Json = dict[str, object]
Version = tuple[int, int]
Row = TypeVar("Row")


def bad_request(message: str) -> HttpRefusal:
    """400, Nova's way."""
    return HttpRefusal(400, "badRequest", message)


def not_found(message: str) -> HttpRefusal:
    """404, Nova's way."""
    return HttpRefusal(404, "itemNotFound", message)


def conflict(message: str) -> HttpRefusal:
    """409, Nova's way."""
    return HttpRefusal(409, "conflictingRequest", message)


def timestamp(at: float, *, exact: bool = False) -> str:
    """A time as the records show it: MariaDB keeps whole seconds, a fresh object does not."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f" if exact else "%Y-%m-%dT%H:%M:%S.000000")


def zulu(at: float) -> str:
    """A time as servers show ``created`` and ``updated``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request on its way through the API."""

    cloud: Cloud
    request: Request
    version: Version
    request_id: str
    base_url: str

    def at_least(self, minor: int) -> bool:
        """Whether the caller asked for microversion 2.``minor`` or later."""
        return self.version >= (2, minor)

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters."""
        return self.request.query

    def require_admin(self, policy: str) -> None:
        """Raise 403 in Nova's words unless the caller has the role admin."""
        if not self.request.caller.is_admin:
            raise HttpRefusal(
                403,
                "forbidden",
                f"Policy doesn't allow os_compute_api:{policy} to be performed.",
            )

    def server(self, server_id: str) -> Server:
        """The server of that id which the caller may see, else 404."""
        server = self.cloud.tables.servers.get(server_id)
        caller = self.request.caller
        if server is None or not (caller.is_admin or server.project == caller.project):
            raise not_found(f"Instance {server_id} could not be found.")
        return server

    def refuse_unknown(self, known: frozenset[str], *, since: int) -> None:
        """From microversion 2.``since``: an unknown query parameter is an error."""
        unknown = sorted(set(self.query) - known)
        if unknown and self.at_least(since):
            words = ", ".join(repr(name) for name in unknown)
            verb = "was" if len(unknown) == 1 else "were"
            raise bad_request(f"Additional properties are not allowed ({words} {verb} unexpected)")

    @property
    def limit(self) -> int:
        """Rows of a page: what is asked for, at most ``max_limit``."""
        most = self.cloud.settings.max_limit
        text = self.query.get("limit")
        if text is None:
            return most
        if not text.isdigit():
            raise bad_request(
                "Invalid input for query parameters limit. "
                f"Value: {text}. '{text}' does not match '^[0-9]*$'"
            )
        return min(int(text) or most, most)

    def page(self, rows: Sequence[Row], key: Callable[[Row], str]) -> list[Row]:
        """The rows after the marker, at most ``limit`` of them."""
        marker = self.query.get("marker")
        if marker is None:
            return list(rows[: self.limit])
        for position, row in enumerate(rows):
            if key(row) == marker:
                return list(rows[position + 1 : position + 1 + self.limit])
        raise bad_request(f"marker [{marker}] not found")

    def next_link(self, collection: str, marker: str) -> list[Json]:
        """The link to the page after ``marker``."""
        others = sorted((k, v) for k, v in self.query.items() if k != "marker")
        words = urlencode([*others, ("marker", marker)])
        return [{"rel": "next", "href": f"{self.base_url}/v2.1/{collection}?{words}"}]
