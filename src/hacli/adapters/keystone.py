"""The login: clouds.yaml or OS_* variables to a Keystone session whose every wait has an end.

Importing this module imports keystoneauth (about 0.1 s); ``open_cloud`` imports openstack.config
(as much again). Whoever wants neither at start-up imports it inside a function.
"""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
import urllib3
from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from hacli.errors import Misconfigured, NotPermitted, Unreachable, Unreadable

if TYPE_CHECKING:
    from openstack.config.cloud_region import CloudRegion

CONNECT_LIMIT_S = 5.0
READ_LIMIT_S = 30.0
POOL_SIZE = 32  # requests in flight to one address; keystoneauth's own 10 makes urllib3 complain
RETRY_AFTER_LIMIT_S = 2
SERVICES = ("compute", "block-storage", "image")
"""Types of the services that are asked; each may have an ``..._endpoint_override``."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A session with one cloud and where in its catalog to look. Nothing has been asked yet."""

    session: Session
    interface: str
    region: str | None
    urls: Mapping[str, str] = field(default_factory=dict)  # configured instead of the catalog's
    _dropping: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def keystone(self) -> str:
        """Keystone as the operator knows it."""
        return f"Keystone {address_of(getattr(self.session.auth, 'auth_url', None) or '')}".strip()

    def login(self) -> dict[str, str]:
        """The headers of a token that is still good, logging in when there is none.

        Safe from many threads: they share one login.

        Raises:
            NotPermitted: Keystone refuses the login.
            Unreachable: Keystone gives no usable answer.
        """
        try:
            headers = self.session.get_auth_headers()
        except ksa.ClientException as error:
            raise self._login_error(error) from error
        if headers is None:
            raise NotPermitted(source=self.keystone, why="the login gives no token")
        return dict(headers)

    def call(self, request: Callable[[dict[str, str]], requests.Response]) -> requests.Response:
        """Make one request with a token; once more with a new one if that is refused (401).

        A service refuses a token before it looks at what is asked, so this repeats nothing that
        was begun. ``request`` gets the headers of the token and must not log in by itself.

        Raises:
            WireFailure: The service gave no whole answer.
            NotPermitted, Unreachable, Unreadable: As ``login``.
        """
        token = self.login()
        response = self._sent(request, token)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._drop(token):
            response = self._sent(request, self.login())
        return response

    def _sent(
        self, request: Callable[[dict[str, str]], requests.Response], token: Mapping[str, str]
    ) -> requests.Response:
        try:
            return request(dict(token))
        except ksa.ClientException as error:
            failure = wire_failure(error)
            raise failure or WireFailure("the request could not be made") from error

    def _drop(self, token: Mapping[str, str]) -> bool:
        """Forget a refused token, unless another thread already has; False: there is no other."""
        with self._dropping:
            return self.login() != token or self.session.invalidate()

    def identity(self) -> tuple[str, str | None, tuple[str, ...]]:
        """User, project and roles of the token. Raises as ``login``."""
        auth = self.session.auth
        if not isinstance(auth, BaseIdentityPlugin):
            return "", None, ()
        try:
            access = auth.get_access(self.session)
        except ksa.ClientException as error:
            raise self._login_error(error) from error
        return access.username or "", access.project_name, tuple(access.role_names or ())

    def find_compute(self) -> str:
        """Nova's URL: the configured one, or the catalog's. Raises as ``login``, and:

        Raises:
            Misconfigured: The catalog has no compute endpoint of this interface and region.
        """
        url = self.find_endpoint("compute")
        if not url:
            raise Misconfigured(
                f"The cloud's catalog has no compute endpoint ({self.where}).",
                next_steps=("openstack catalog show compute",),
            )
        return url

    @property
    def where(self) -> str:
        """What is looked for in the catalog, for people."""
        return f"interface {self.interface}" + (f", region {self.region}" if self.region else "")

    def find_endpoint(self, service_type: str) -> str | None:
        """The URL of a service, configured or from the catalog, also under an older type's name.

        Raises as ``login``; None when the catalog has none of this interface and region.
        """
        if service_type in self.urls:
            return self.urls[service_type]
        try:
            return self.session.get_endpoint(
                service_type=service_type,
                interface=self.interface,
                region_name=self.region,
                skip_discovery=True,
            )
        except ksa.CatalogException:
            return None
        except ksa.ClientException as error:
            raise self._login_error(error) from error

    def _login_error(self, error: ksa.ClientException) -> NotPermitted | Unreachable | Unreadable:
        source = self.keystone
        if isinstance(error, ksa.Unauthorized):
            why = "refuses the login (401): wrong user, password, project or domain, or expired"
            return NotPermitted(source=source, why=why)
        if isinstance(error, ksa.HTTPClientError):
            return NotPermitted(source=source, why=f"refuses the login ({error.http_status})")
        if isinstance(error, ksa.HttpError):
            return Unreachable(source=source, why=f"answers with HTTP {error.http_status}")
        if isinstance(error, ksa.DiscoveryFailure):
            why = "no Identity API v3 found there, or the user's or project's domain is not given"
            return Unreadable(source=source, why=why)
        failure = wire_failure(error)
        if failure is not None:
            return Unreachable(source=source, why=failure.why)
        return Unreadable(source=source, why="what it answers to the login cannot be understood")


class WireFailure(requests.RequestException):
    """A request that got no whole answer.

    Attributes:
        why: What happened, in plain words.
        never_sent: It is certain that not a byte of the request was written.
    """

    def __init__(self, why: str, *, never_sent: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.never_sent = never_sent


class _Lost(WireFailure, requests.ConnectionError):
    """Connection not made or lost. keystoneauth may repeat it where retries are asked for."""


class _TooSlow(WireFailure):
    """Connected, and no answer in time.

    Not a ``requests.Timeout``: keystoneauth would name it a connect time-out and repeat it, though
    the request may have been carried out (facts A.11).
    """


def wire_failure(error: ksa.ClientException) -> WireFailure | None:
    """What the wire said under an error of keystoneauth.

    keystoneauth raises its own error while it handles ours, so ours is the immediate context.
    Looking further back would find failures of earlier requests.
    """
    return error.__context__ if isinstance(error.__context__, WireFailure) else None


class _TlsConnection(HTTPSConnection):
    """A connection whose handshake failures are failures to connect: nothing was asked yet."""

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "TLS handshake failed") from error


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class BoundedAdapter(TCPKeepAliveAdapter):
    """Sends each request once, within limits, and tells "never sent" from "no answer"."""

    def __init__(self, *, connect_s: float, read_s: float) -> None:
        self._connect_s = connect_s
        self._read_s = read_s
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        """Make the pools, those of https with our connection class."""
        super().init_poolmanager(*args, **kwargs)
        pools = {**self.poolmanager.pool_classes_by_scheme, "https": _TlsPool}
        self.poolmanager.pool_classes_by_scheme = pools

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: object = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: str | tuple[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send and read the whole answer.

        Raises:
            WireFailure: No whole answer came.
        """
        connect_s, read_s = self._limits(timeout)
        try:
            response = super().send(
                request,
                stream=stream,
                timeout=(connect_s, read_s),
                verify=verify,
                cert=cert,
                proxies=dict(proxies or {}),
            )
            response.content  # noqa: B018 - read here, so that a broken answer is seen here
        except requests.RequestException as error:
            raise _failure_of(error, connect_s=connect_s, read_s=read_s) from error
        _cap_retry_after(response)
        return response

    def _limits(self, timeout: object) -> tuple[float, float]:
        if isinstance(timeout, tuple):
            return timeout
        return self._connect_s, timeout if isinstance(timeout, float) else self._read_s


def _cap_retry_after(response: requests.Response) -> None:
    """Keep keystoneauth, which sleeps as long as the header says, from sleeping for an hour."""
    asked = response.headers.get("Retry-After", "")
    if asked.isdigit() and int(asked) > RETRY_AFTER_LIMIT_S:
        response.headers["Retry-After"] = str(RETRY_AFTER_LIMIT_S)


def _failure_of(
    error: requests.RequestException, *, connect_s: float, read_s: float
) -> WireFailure:
    first = error.args[0] if error.args else None
    if isinstance(first, urllib3.exceptions.MaxRetryError):
        first = first.reason
    if isinstance(first, urllib3.exceptions.NewConnectionError):
        return _Lost(_refusal_words(first), never_sent=True)
    if isinstance(first, urllib3.exceptions.ConnectTimeoutError):
        return _Lost(f"no connection within {connect_s:g} s", never_sent=True)
    if isinstance(first, urllib3.exceptions.ReadTimeoutError):
        return _TooSlow(f"connected, but no answer within {read_s:g} s")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return _Lost("the answer broke off in the middle")
    if isinstance(error, requests.ConnectionError):
        return _Lost("the connection was closed before an answer came")
    return WireFailure("the request could not be made")


def _refusal_words(error: urllib3.exceptions.NewConnectionError) -> str:
    cause = error.__cause__
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "no TLS connection: the handshake failed"
    if isinstance(cause, TimeoutError):
        return "connected, but the TLS handshake did not end in time"
    words = cause.strerror if isinstance(cause, OSError) else None
    return f"no connection: {words}" if words else "no connection"


def address_of(url: str) -> str:
    """Scheme, host and port, as the operator recognises an endpoint, without any login in it."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{host}:{port}"


def open_cloud(
    name: str | None,
    *,
    interface: str | None = None,
    region: str | None = None,
    read_limit_s: float = READ_LIMIT_S,
) -> Cloud:
    """The session of a cloud of clouds.yaml, or of the OS_* variables. Sends nothing.

    ``name`` wins over OS_CLOUD, and OS_CLOUD over the other OS_* variables, which are not mixed
    into a named cloud. The current directory is not searched: a planted ./clouds.yaml would be
    used, by root too (facts A.11), and the same command must mean the same cloud everywhere.

    Raises:
        Misconfigured: There is no such cloud, or its login lacks something.
    """
    found = _find_cloud(name, interface=interface, region=region)
    session = found.get_session()
    bound(session, read_limit_s=read_limit_s)
    return Cloud(
        session=session,
        interface=str(found.get_interface("compute") or "public"),
        region=found.get_region_name("compute") or None,
        urls={
            kind: str(url)
            for kind in SERVICES
            if (url := found.config.get(f"{kind.replace('-', '_')}_endpoint_override"))
        },
    )


def bound(session: Session, *, read_limit_s: float) -> None:
    """Give every request of the session its limits: 5 s to connect, ``read_limit_s`` to answer."""
    adapter = BoundedAdapter(connect_s=CONNECT_LIMIT_S, read_s=read_limit_s)
    for scheme in ("https://", "http://"):
        session.session.mount(scheme, adapter)


def _find_cloud(name: str | None, *, interface: str | None, region: str | None) -> "CloudRegion":
    from openstack import exceptions as sdk
    from openstack.config import OpenStackConfig

    _check_environment(name)
    try:
        config = OpenStackConfig(
            app_name="hacli",
            config_files=_files("clouds"),
            secure_files=_files("secure"),
            vendor_files=_files("clouds-public"),
        )
        # the variable chooses among the regions of OS_CLOUD, as it does for `openstack`
        region = region or (None if name else os.environ.get("OS_REGION_NAME"))
        found = config.get_one(cloud=name, interface=interface, region_name=region)
    except ksa.MissingRequiredOptions as error:
        raise _incomplete(name, tuple(option.name for option in error.options)) from error
    except (ksa.ClientException, sdk.ConfigException) as error:
        raise Misconfigured(
            f"The cloud's login cannot be used: {error}", why=_mixed(name)
        ) from error
    # the library would ask Keystone without one
    if found.config["auth_type"] in ("password", "v3password") and not found.auth.get("password"):
        raise _incomplete(name, ("password",))
    return found


def _check_environment(name: str | None) -> None:
    file = os.environ.get("OS_CLIENT_CONFIG_FILE")
    if file and not Path(file).exists():
        raise Misconfigured(
            f"OS_CLIENT_CONFIG_FILE names {file}, which does not exist.", why=_mixed(name)
        )


def _files(stem: str) -> list[str]:
    folders = (Path.home() / ".config" / "openstack", Path("/etc/openstack"))
    return [str(f / f"{stem}.{end}") for f in folders for end in ("yaml", "yml", "json")]


def _incomplete(name: str | None, missing: tuple[str, ...]) -> Misconfigured:
    chosen = name or os.environ.get("OS_CLOUD")
    lacks = ", ".join(word.replace("-", "_") for word in missing)
    if chosen:
        return Misconfigured(f"The login of cloud {chosen} lacks {lacks}.", why=_mixed(name))
    return Misconfigured(
        f"No usable cloud login: {lacks} not given.",
        why="Neither OS_CLOUD with a clouds.yaml nor complete OS_* variables were found.",
        next_steps=("export OS_CLOUD=NAME", "source openrc"),
    )


def _mixed(name: str | None) -> str:
    chosen = f"cloud {name} of the configuration" if name else "OS_CLOUD"
    if (name or os.environ.get("OS_CLOUD")) and os.environ.get("OS_AUTH_URL"):
        return f"OS_AUTH_URL is set too; {chosen} wins and the other OS_* variables are not used."
    return ""
