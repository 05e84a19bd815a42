"""Nova's HTTP: found in the catalog, microversions agreed on, each request made and judged.

Heavy libraries are imported by the first call, not by this module.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from hacli.adapters import nova_shapes as shapes
from hacli.domain.servers import Accepted, NotSent, Rejected, RequestOutcome, Uncertain
from hacli.errors import NotPermitted, SourceError, Unavailable, Unreachable, Unreadable

if TYPE_CHECKING:
    import requests

    from hacli.adapters.keystone import Cloud

OLDEST: shapes.Version = (2, 53)  # services and hypervisors by uuid
NEWEST_READ: shapes.Version = (2, 96)  # what novaclient knows; pinned_availability_zone
NEWEST_WRITE: shapes.Version = (2, 94)  # from 2.95 evacuated servers end up stopped
NEWEST_CAPACITY: shapes.Version = (2, 87)  # from 2.88 no figures, and an RPC to every host
PAGE = 1000  # Nova's default [api]max_limit; a lower one cuts the page, not the list
READ_RETRIES = 2
RETRY_DELAY_S = 0.5

Query = Mapping[str, str]


class _Client(Protocol):
    """The part of novaclient's HTTP client that is used; the library ships no types."""

    def request(
        self, url: str, method: str, **options: object
    ) -> tuple["requests.Response", object]: ...


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Nova answered, whatever it means."""

    status: int
    headers: Mapping[str, str]
    body: object  # None: not JSON

    @property
    def words(self) -> str:
        """The status, and Nova's own words where it has any."""
        fault = shapes.parse_fault(self.body)
        return f"HTTP {self.status}" + (f": {fault}" if fault else "")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where Nova is."""

    cloud: "Cloud"
    url: str
    name: str  # as errors name it

    def call(
        self,
        client: _Client,
        method: str,
        path: str,
        *,
        limit_s: float,
        body: object = None,
        may_send: Callable[[], bool] | None = None,
    ) -> Answer:
        """Make one request to ``path``, an absolute URL or one below the endpoint's.

        A login before it, or after a refused token, may take longer than what makes the request
        right stays true: so ``may_send`` is asked each time, when the token is at hand.

        Raises:
            WireFailure: No whole answer came.
            SourceError: The login failed.
        """
        from hacli.adapters.keystone import CONNECT_LIMIT_S, WireFailure

        options: dict[str, object] = {} if body is None else {"body": body}
        url = path if "://" in path else self.url + path
        contents: list[object] = []

        def request(token: dict[str, str]) -> "requests.Response":
            if may_send is not None and not may_send():
                raise WireFailure("not sent: its evidence of death is too old", never_sent=True)
            response, content = client.request(
                url,
                method,
                headers=token,
                authenticated=False,  # with the token above: no login in the middle of a write
                redirect=method == "GET",
                raise_exc=False,
                timeout=(min(CONNECT_LIMIT_S, limit_s), limit_s),
                **options,
            )
            contents.append(content)
            return response

        response = self.cloud.call(request)
        return Answer(status=response.status_code, headers=response.headers, body=contents[-1])

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn a shape that the API does not promise into ``Unreadable``."""
        try:
            yield
        except shapes.ShapeError as error:
            raise Unreadable(source=self.name, why=str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Reader:
    """GETs at one microversion; the library below repeats them a few times.

    Every method raises ``Unreachable`` without a usable answer, ``NotPermitted`` when refused and
    ``Unreadable`` when the answer is not what was asked for.
    """

    endpoint: Endpoint
    client: _Client
    limit_s: float

    def ask(self, path: str, query: Query | None = None) -> Answer:
        """The answer, also when it is an error."""
        from hacli.adapters.keystone import WireFailure

        target = f"{path}?{urlencode(query)}" if query else path
        try:
            return self.endpoint.call(self.client, "GET", target, limit_s=self.limit_s)
        except WireFailure as failure:
            raise Unreachable(source=self.endpoint.name, why=failure.why) from failure

    def get(self, path: str, query: Query | None = None) -> Answer:
        """The answer, a success."""
        return self.checked(self.ask(path, query))

    def checked(self, answer: Answer) -> Answer:
        """The answer itself if it is a success; else what it means is raised."""
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        source, why = self.endpoint.name, f"answers with {answer.words}"
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NotPermitted(source=source, why=why)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unreachable(source=source, why=why)
        raise Unreadable(source=source, why=why)

    def page(self, path: str, key: str, query: Query | None = None) -> tuple[shapes.Json, ...]:
        """The records under ``key`` of one answer."""
        answer = self.get(path, query)
        with self.endpoint.understood():
            return shapes.parse_list(answer.body, key)

    def pages(
        self,
        path: str,
        key: str,
        query: Query | None = None,
        *,
        id_key: str = "id",
        links_tell: bool = False,
    ) -> tuple[shapes.Json, ...]:
        """All records of all pages at once; see ``each_page``."""
        found: dict[str, shapes.Json] = {}
        for page in self.each_page(path, key, query, id_key=id_key, links_tell=links_tell):
            found |= page
        return tuple(found.values())

    def each_page(
        self,
        path: str,
        key: str,
        query: Query | None = None,
        *,
        id_key: str = "id",
        links_tell: bool = False,
    ) -> Iterator[Mapping[str, shapes.Json]]:
        """Page by page, by id, to the empty one: Nova drops rows after it has counted a page.

        Args:
            links_tell: Of this list Nova drops none, so that a short page without a link to the
                next one is the last (``_get_collection_links`` in nova/api/openstack/common.py).
        """
        known: set[str] = set()
        asked = {**(query or {}), "limit": str(PAGE)}
        more = True
        while more:
            body = self.get(path, asked).body
            with self.endpoint.understood():
                page = shapes.parse_list(body, key)
                fresh = {shapes.parse_id(record, id_key): record for record in page}
                if page and fresh.keys() <= known:
                    raise shapes.ShapeError(f"the next page of {key} is the same again")
                linked = shapes.links_on(body, key)
            known |= fresh.keys()
            yield fresh
            more = bool(page) and (linked or not links_tell or len(page) >= PAGE)
            asked["marker"] = next(reversed(fresh), "")


@dataclass(frozen=True, kw_only=True)
class Writer:
    """What changes something: one request, sent once, and its end as a value."""

    endpoint: Endpoint
    client: _Client
    limit_s: float

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        *,
        limit_s: float | None = None,
        may_send: Callable[[], bool] | None = None,
    ) -> RequestOutcome:
        """Send once and say what is certain (``design.md`` 4). Raises nothing."""
        from hacli.adapters.keystone import WireFailure

        limit_s = limit_s or self.limit_s
        try:
            answer = self.endpoint.call(
                self.client, method, path, limit_s=limit_s, body=body, may_send=may_send
            )
        except SourceError as error:  # the login: nothing was accepted without it
            return NotSent(why=str(error))
        except WireFailure as failure:
            why = f"{self.endpoint.name}: {failure.why}"
            return NotSent(why=why) if failure.never_sent else Uncertain(status=None, why=why)
        return self._outcome(answer)

    def _outcome(self, answer: Answer) -> RequestOutcome:
        status, headers = answer.status, answer.headers
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            own_id = headers.get("x-openstack-request-id") or headers.get("x-compute-request-id")
            return Accepted(request_id=own_id)
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            fault = shapes.parse_fault(answer.body)
            return Rejected(status=status, message=fault or f"HTTP {status}")
        why = f"{self.endpoint.name} answers with {answer.words}"
        return Uncertain(status=status, why=why)


@dataclass(frozen=True, kw_only=True)
class NovaApi:
    """Nova with its microversions agreed on: one client for each, on one session."""

    endpoint: Endpoint
    read_version: shapes.Version
    write_version: shapes.Version
    read: Reader
    capacity: Reader  # hypervisors
    write: Writer


def find_nova(cloud: "Cloud", *, read_limit_s: float, write_limit_s: float) -> NovaApi:
    """Log in, find Nova in the catalog and agree on microversions: three requests at most.

    Raises:
        Misconfigured: The catalog has no Nova for us.
        Unavailable: A Nova too old.
        Unreachable, Unreadable, NotPermitted: Keystone or Nova gives no usable answer.
    """
    from hacli.adapters.keystone import address_of

    cloud.login()
    url, versions = _urls(cloud.find_compute())
    endpoint = Endpoint(cloud=cloud, url=url, name=f"Nova {address_of(url)}")

    def reader(version: shapes.Version) -> Reader:
        client = _client(endpoint, version, retries=READ_RETRIES)
        return Reader(endpoint=endpoint, client=client, limit_s=read_limit_s)

    answer = reader((2, 1)).get(versions)
    with endpoint.understood():
        oldest, newest = shapes.parse_versions(answer.body)
    if newest < OLDEST or oldest > OLDEST:
        spoken = f"{version_text(oldest)} to {version_text(newest)}"
        raise Unavailable(
            f"{endpoint.name} speaks microversions {spoken}.",
            why=f"hacli needs one that speaks {version_text(OLDEST)} (OpenStack Pike or later).",
        )
    write_version = min(newest, NEWEST_WRITE)
    writer = _client(endpoint, write_version, retries=0)
    return NovaApi(
        endpoint=endpoint,
        read_version=min(newest, NEWEST_READ),
        write_version=write_version,
        read=reader(min(newest, NEWEST_READ)),
        capacity=reader(min(newest, NEWEST_CAPACITY)),
        write=Writer(endpoint=endpoint, client=writer, limit_s=write_limit_s),
    )


def version_text(version: shapes.Version) -> str:
    """A microversion as Nova writes it."""
    return f"{version[0]}.{version[1]}"


def _urls(catalog: str) -> tuple[str, str]:
    """Nova's base URL and that of its version document.

    A catalog has ``…/v2.1``, the same with the project's id behind it, or the bare root.
    """
    versioned = re.match(r"(?P<root>.+?)/v2(\.\d+)?(/|$)", catalog)
    root = versioned["root"] if versioned else catalog.rstrip("/")
    base = catalog.rstrip("/") if versioned else f"{root}/v2.1"
    return base, f"{root}/v2.1/"


def _client(endpoint: Endpoint, version: shapes.Version, *, retries: int) -> _Client:
    # novaclient adds a handler of its own to this logger when it finds none (facts A.10)
    log = logging.getLogger("novaclient.api_versions")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    from novaclient.client import SessionClient

    client: _Client = SessionClient(
        session=endpoint.cloud.session,
        api_version=version_text(version),
        service_type="compute",
        connect_retries=retries,
        connect_retry_delay=RETRY_DELAY_S,
        status_code_retries=retries,
        status_code_retry_delay=RETRY_DELAY_S,
    )
    return client
