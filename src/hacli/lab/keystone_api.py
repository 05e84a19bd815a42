"""The lab's Keystone: password logins, tokens that end, and the catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER
from hacli.lab.cloud_records import stable_id, stable_uuid
from hacli.lab.http_shapes import Caller, HttpRefusal, Request, Response

Json = dict[str, object]
REGION = "RegionOne"
DOMAIN: Json = {"id": "default", "name": "Default"}
OPEN_PATHS = frozenset({"", "v3", "v3/auth/tokens"})
_TYPES = {  # service: type in the catalogue, what follows the address
    "keystone": ("identity", "/v3"),
    "nova": ("compute", "/v2.1"),
    "cinder": ("volumev3", "/v3"),
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "neutron": ("network", ""),
}


@dataclass(frozen=True, kw_only=True)
class User:
    """Who may log in, to which one project, with which roles."""

    name: str
    password: str
    id: str
    project: str
    project_id: str
    roles: tuple[str, ...]

    @property
    def caller(self) -> Caller:
        """What the other services learn from the user's token."""
        return Caller(project=self.project_id, user=self.id, roles=self.roles)


ADMIN = User(
    name="admin",
    password="labsecret",
    id=ADMIN_USER,
    project="admin",
    project_id=ADMIN_PROJECT,
    roles=("admin", "member", "reader"),
)
OPERATOR = User(
    name="operator",
    password="labsecret",
    id=stable_id("user", "operator"),
    project="operators",
    project_id=stable_id("project", "operators"),
    roles=("member", "reader"),
)


@dataclass(frozen=True, kw_only=True)
class _Token:
    user: User
    scoped: bool
    issued_at: float
    expires_at: float


class Keystone:
    """Knows who a token belongs to.

    Args:
        urls: Where each service of the lab is reached, by its name.
        now: The region's time; tokens live in it.
        token_life_s: How long a new token is good.
    """

    def __init__(
        self, urls: Mapping[str, str], *, now: Callable[[], float], token_life_s: float = 3600.0
    ) -> None:
        self.token_life_s = token_life_s
        self._urls = urls
        self._now = now
        self._tokens: dict[str, _Token] = {}
        self._issued = 0

    def caller_of(self, token: str | None) -> Caller | None:
        """The caller of a token that is still good."""
        known = self._tokens.get(token or "")
        if known is None or not known.scoped or known.expires_at <= self._now():
            return None
        return known.user.caller

    def revoke_all(self) -> None:
        """Every token that exists is refused from now on."""
        self._tokens.clear()

    def handle(self, request: Request) -> Response:
        """Answer one request to Keystone."""
        path = request.path.strip("/")
        try:
            if path == "":
                values: Json = {"values": [self._version()]}
                return Response(status=300, body={"versions": values})
            if path == "v3":
                return Response(status=200, body={"version": self._version()})
            if (request.method, path) == ("POST", "v3/auth/tokens"):
                return self._log_in(request.body or {})
            if (request.method, path) == ("GET", "v3/auth/catalog"):
                return Response(status=200, body={"catalog": self._catalog()})
            if (request.method, path) == ("GET", "v3/auth/tokens"):
                return self._show(request.headers.get("x-subject-token", ""))
        except HttpRefusal as refusal:
            return refusal.response
        return _refusal(404, "Not Found", "The resource could not be found.").response

    def _version(self) -> Json:
        href = f"{self._urls['keystone']}/v3/"
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": href}],
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.identity-v3+json",
                }
            ],
        }

    def _log_in(self, body: Json) -> Response:
        user = _user_of(body)
        scope = _at(body, "auth", "scope")
        project = _at(body, "auth", "scope", "project")
        if scope is not None and not _is(project, name=user.project, id_=user.project_id):
            raise _unauthorized()
        self._issued += 1
        token = stable_id("token", f"{self._urls['keystone']}/{self._issued}")
        now = self._now()
        self._tokens[token] = _Token(
            user=user,
            scoped=project is not None,
            issued_at=now,
            expires_at=now + self.token_life_s,
        )
        return Response(
            status=201, headers={"X-Subject-Token": token}, body=self._view(self._tokens[token])
        )

    def _show(self, token: str) -> Response:
        if token not in self._tokens or self._tokens[token].expires_at <= self._now():
            raise _refusal(404, "Not Found", "Could not find token.")
        return Response(
            status=200, headers={"X-Subject-Token": token}, body=self._view(self._tokens[token])
        )

    def _view(self, token: _Token) -> Json:
        user = token.user
        view: Json = {
            "methods": ["password"],
            "user": {
                "domain": DOMAIN,
                "id": user.id,
                "name": user.name,
                "password_expires_at": None,
            },
            "audit_ids": [stable_uuid("audit", f"{user.id}/{token.issued_at}")[:22]],
            "issued_at": _timestamp(token.issued_at),
            "expires_at": _timestamp(token.expires_at),
        }
        if token.scoped:
            view |= {
                "project": {"domain": DOMAIN, "id": user.project_id, "name": user.project},
                "is_domain": False,
                "roles": [{"id": stable_id("role", name), "name": name} for name in user.roles],
                "catalog": self._catalog(),
            }
        return {"token": view}

    def _catalog(self) -> list[Json]:
        return [
            {
                "id": stable_id("service", name),
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": stable_id("endpoint", f"{name}/{interface}"),
                        "interface": interface,
                        "region": REGION,
                        "region_id": REGION,
                        "url": self._urls[name] + suffix,
                    }
                    for interface in ("admin", "internal", "public")
                ],
            }
            for name, (kind, suffix) in _TYPES.items()
            if name in self._urls
        ]


def _user_of(body: Json) -> User:
    """The user of a password login; raises 401 for anything that is not one of ours."""
    methods = _at(body, "auth", "identity", "methods")
    claimed = _at(body, "auth", "identity", "password", "user")
    if methods == ["password"] and isinstance(claimed, dict):
        for user in (ADMIN, OPERATOR):
            known = _is(claimed, name=user.name, id_=user.id)
            if known and claimed.get("password") == user.password:
                return user
    raise _unauthorized()


def _is(claimed: object, *, name: str, id_: str) -> bool:
    """Whether a user or project is named by its id, or by its name and the one domain."""
    if not isinstance(claimed, dict):
        return False
    if "id" in claimed:
        return bool(claimed["id"] == id_)
    return claimed.get("name") == name and _is_domain(claimed.get("domain"))


def _is_domain(claimed: object) -> bool:
    return isinstance(claimed, dict) and all(
        DOMAIN.get(key) == value for key, value in claimed.items()
    )


def _at(body: object, *keys: str) -> object:
    for key in keys:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def _timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _refusal(status: int, title: str, message: str) -> HttpRefusal:
    refusal = HttpRefusal(status, "error", message)
    error: Json = {"code": status, "title": title, "message": message}
    refusal.response = Response(status=status, body={"error": error})
    return refusal


def _unauthorized() -> HttpRefusal:
    message = "The request you have made requires authentication."
    return _refusal(401, "Unauthorized", message)
