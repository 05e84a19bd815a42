"""Failures of an API itself: refusing, losing an answer, answering late."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from hacli.lab.http_shapes import Request, Response


class ApiEffect(StrEnum):
    """What happens to a request. Only the first one leaves the world unchanged."""

    UNAVAILABLE = "unavailable"  # 503, nothing done
    LOST_ANSWER = "lost-answer"  # done, and then 502
    LATE = "late"  # done at once, answered after ``seconds``


@dataclass(frozen=True, kw_only=True)
class ApiFault:
    """One failure: which requests, what effect, how often (None: until it is taken away).

    ``path`` is a regular expression for the whole path behind the service's version,
    for example ``servers/.*/action``.
    """

    method: str
    path: str
    effect: ApiEffect
    seconds: float = 0.0
    times: int | None = 1

    def meets(self, request: Request) -> bool:
        """Whether this request suffers it."""
        path = re.sub(r"^v[0-9.]+/", "", request.path.strip("/"))
        return request.method == self.method and re.fullmatch(self.path, path) is not None


class ApiFaults:
    """The failures of one API, in the order in which they were caused."""

    def __init__(self) -> None:
        self._faults: list[ApiFault] = []

    def add(self, fault: ApiFault) -> None:
        """From now on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Repair the API."""
        self._faults.clear()

    def take(self, request: Request) -> ApiFault | None:
        """The failure that this request meets, counted down."""
        for position, fault in enumerate(self._faults):
            if fault.meets(request):
                if fault.times == 1:
                    del self._faults[position]
                elif fault.times is not None:
                    self._faults[position] = replace(fault, times=fault.times - 1)
                return fault
        return None


def spoil(response: Response, fault: ApiFault) -> Response:
    """What the caller gets of an answer that was made before the failure."""
    if fault.effect is ApiEffect.LOST_ANSWER:
        return Response(status=502, headers=response.headers)
    return replace(response, delay_s=response.delay_s + fault.seconds)


def unavailable() -> Response:
    """The answer of an API that did nothing."""
    message = "The server is currently unavailable. Please try again at a later time."
    return Response(status=503, body={"serviceUnavailable": {"code": 503, "message": message}})
