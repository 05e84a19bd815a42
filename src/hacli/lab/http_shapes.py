"""The values that pass between the lab's HTTP door and its pure services."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks, as the token says. Ids, not names."""

    project: str
    user: str
    roles: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Nova's ``context_is_admin``: the role admin, whatever the project."""
        return "admin" in self.roles


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. Header names are lower-case; ``path`` starts behind the service's root."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, object] | None = None
    caller: Caller


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer, to be sent ``delay_s`` seconds later.

    What the request changes has already happened when the delay begins, as it has in Nova when it
    waits for a dead host after writing its database.
    """

    status: int
    body: dict[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class HttpRefusal(Exception):
    """Ends the handling of a request with an error answer.

    Raised and caught within one service of the lab; ``kind`` is the name of the fault in the body
    (``badRequest``, ``itemNotFound``).
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.response = Response(status=status, body={kind: {"code": status, "message": message}})
