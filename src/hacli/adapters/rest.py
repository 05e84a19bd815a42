"""GETs to the smaller services of the catalog, list by list, page by page.

Each record is made a value while its page is at hand: of ten thousand volumes no JSON is kept.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hacli.errors import Misconfigured, NotPermitted, Unreachable, Unreadable

if TYPE_CHECKING:
    import requests

    from hacli.adapters.keystone import Cloud

Json = Mapping[str, object]
PAGE = 1000  # the default maximum of Cinder and of Glance; a lower one cuts the page, not the list
READ_RETRIES = 2
RETRY_DELAY_S = 0.5


class ShapeError(ValueError):
    """The JSON is not what the API promises; the text says where."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a service is, and as whom one asks it."""

    cloud: "Cloud"
    url: str
    name: str  # as errors name it
    limit_s: float

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Json:
        """The object that a GET of ``path`` answers.

        Raises:
            Unreachable: No usable answer within the limit.
            NotPermitted: The service refuses us.
            Unreadable: Another refusal, or no JSON object.
        """
        from hacli.adapters.keystone import CONNECT_LIMIT_S, WireFailure

        def request(token: dict[str, str]) -> "requests.Response":
            return self.cloud.session.request(
                self.url + path,
                "GET",
                headers={**token, "Accept": "application/json", **(headers or {})},
                authenticated=False,
                raise_exc=False,
                connect_retries=READ_RETRIES,
                connect_retry_delay=RETRY_DELAY_S,
                timeout=(min(CONNECT_LIMIT_S, self.limit_s), self.limit_s),
            )

        try:
            response = self.cloud.call(request)
        except WireFailure as failure:
            raise Unreachable(source=self.name, why=failure.why) from failure
        self._check(response.status_code)
        with self.understood():
            return _object(response)

    def walk(
        self,
        path: str,
        key: str,
        query: Mapping[str, str],
        *,
        goes_on: Callable[[Json], bool],
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Json]:
        """Every record under ``key`` of all pages. Raises as ``get``.

        The next page is asked for by its marker: the address that a service writes for it may be
        one that nobody else can reach, and is nowhere to send a token to.

        Args:
            goes_on: Whether a page says that there is another one.
        """
        asked = {**query, "limit": str(PAGE)}
        seen: set[str] = set()
        more = True
        while more:
            body = self.get(f"{path}?{urlencode(asked)}", headers=headers)
            with self.understood():
                page = records(body, key)
                more = goes_on(body) and bool(page)
                asked["marker"] = text(page[-1], "id") if page else ""
            yield from page
            if asked["marker"] in seen:
                raise Unreadable(source=self.name, why=f"the next page of {key} is the same again")
            seen.add(asked["marker"])

    def _check(self, status: int) -> None:
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return
        why = f"answers with HTTP {status}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NotPermitted(source=self.name, why=why)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unreachable(source=self.name, why=why)
        raise Unreadable(source=self.name, why=why)

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn a shape that the API does not promise into ``Unreadable``."""
        try:
            yield
        except ShapeError as error:
            raise Unreadable(source=self.name, why=str(error)) from error


class Service:
    """One service of the catalog, found when it is first asked. Safe from many threads.

    Args:
        connect: Gives the cloud's session without asking anything.
        kind: The service's type in the catalog.
        name: What operators call it.
        root: Makes the URL below which it is asked of the catalog's.
        limit_s: Longest wait for the answer to one request.
    """

    def __init__(
        self,
        connect: "Callable[[], Cloud]",
        *,
        kind: str,
        name: str,
        root: Callable[[str], str],
        limit_s: float,
    ) -> None:
        self._connect = connect
        self._kind = kind
        self._name = name
        self._root = root
        self._limit_s = limit_s
        self._lock = Lock()
        self._found: Endpoint | None = None

    def endpoint(self) -> Endpoint:
        """Where it is.

        Raises:
            Unreachable: The catalog does not have it, or Keystone gives no usable answer.
            NotPermitted: Keystone refuses the login.
        """
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def _find(self) -> Endpoint:
        from hacli.adapters.keystone import address_of

        try:
            cloud = self._connect()
        except Misconfigured as error:  # told in full by Nova, which nobody can do without
            raise Unreachable(source=self._name, why=error.what) from error
        cloud.login()
        url = cloud.find_endpoint(self._kind)
        if not url:
            why = f"the catalog has no {self._kind} endpoint ({cloud.where})"
            raise Unreachable(source=self._name, why=why)
        name = f"{self._name} {address_of(url)}"
        return Endpoint(cloud=cloud, url=self._root(url), name=name, limit_s=self._limit_s)


def _object(response: "requests.Response") -> Json:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        raise ShapeError("the answer is not a JSON object")
    return body


def records(body: Json, key: str) -> tuple[Json, ...]:
    """The list of objects under ``key``; raises ``ShapeError`` when there is none."""
    found = body.get(key)
    if not isinstance(found, list) or not all(isinstance(record, Mapping) for record in found):
        raise ShapeError(f"{key} is not a list of objects")
    return tuple(found)


def text(record: Json, key: str) -> str:
    """A text that must be there; raises ``ShapeError`` when it is not."""
    value = record.get(key)
    if not isinstance(value, str):
        raise ShapeError(f"{key} is missing, or not a text")
    return value


def text_or_none(record: Json, key: str) -> str | None:
    """A text that may be null, but not missing; raises ``ShapeError``."""
    if key not in record:
        raise ShapeError(f"{key} is missing")
    return None if record[key] is None else text(record, key)


def moment(record: Json, key: str) -> datetime:
    """A time, UTC with or without saying so; raises ``ShapeError``."""
    try:
        read = datetime.fromisoformat(text(record, key))
    except ValueError as error:
        raise ShapeError(f"{key} is not a time") from error
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
