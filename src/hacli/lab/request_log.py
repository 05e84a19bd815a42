"""What was asked of the lab's services, in order, with what each request was really about."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Deed(StrEnum):
    """What a request to Nova would change."""

    EVACUATE = "evacuate"
    FORCE_DOWN = "force-down"
    SERVICE = "service"  # any other change of a service: disable, enable, force-up
    SERVER = "server"  # any other change of a server: reboot, start, metadata


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom a changing request meant, as things stood when it came; no API says all of it."""

    deed: Deed
    host: str | None
    server: str | None = None
    local_disk: bool = False  # the server's root disk is on its host alone
    open_evacuations: tuple[int, ...] = ()  # of the server, unfinished at that moment
    stranded: tuple[int, ...] = ()  # of these, whose executor is the host itself
    migration: int | None = None  # the record that this request made


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """One request and its end.

    ``status`` is what the service came to (None: the request never reached it), ``sent`` what the
    client was told (None: the connection was cut). They differ under a fault.
    """

    at: float  # the region's time
    service: str
    method: str
    path: str
    query: str = ""
    microversion: str | None = None
    user: str = ""
    body: dict[str, object] | None = field(default=None, hash=False)
    status: int | None = None
    sent: int | None = None
    fault: str | None = None
    changed: bool = False
    target: Target | None = None

    def as_json(self) -> dict[str, object]:
        """The record as one JSON object."""
        return asdict(self)


class RequestLog:
    """The records in the order in which the requests were handled, also as lines of a file."""

    def __init__(self, file: Path | None = None) -> None:
        self.records: list[RequestRecord] = []
        self._lines = file.open("w", encoding="utf-8", buffering=1) if file else None

    def add(self, record: RequestRecord) -> None:
        """Keep a record; the caller holds the region's lock, so that the order is true."""
        self.records.append(record)
        if self._lines is not None:
            self._lines.write(json.dumps(record.as_json()) + "\n")

    def close(self) -> None:
        """Give the file back."""
        if self._lines is not None:
            self._lines.close()


Witness = Callable[[], Target | None]
