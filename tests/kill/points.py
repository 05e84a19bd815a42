"""The points of a run: right before and right after each call that it makes of a port."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from hacli.domain.events import Event

CHANGES = frozenset(
    {
        "compute.disable",
        "compute.enable",
        "compute.evacuate",
        "compute.force_down",
        "compute.force_up",
        "cluster.clear_attribute",
        "cluster.confirm_off",
        "cluster.fence_off",
        "cluster.restart_service",
        "cluster.write_attribute",
        "journal.record",
        "switch.power_off",
        "switch.power_on",
    }
)
"""Calls after which the world or the journal is another one."""


class Moment(Enum):
    """When, in a call."""

    BEFORE = "before"
    SENDING = "sending"  # ``may_send`` has said yes, and the request has not left
    AFTER = "after"  # it has been carried out, and nobody knows how it ended


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """One point, by a name that it has in every run of the same command.

    Args:
        call: Port and method; of ``journal.record`` also the event.
        subject: The server that it is about, by the end of its name; "" for the host's own calls.
        nth: The how many-th such call, from 1.
        moment: The value of a ``Moment``.
    """

    call: str
    subject: str
    nth: int
    moment: str

    def __str__(self) -> str:
        return "|".join((self.call, self.subject, str(self.nth), self.moment))

    @classmethod
    def parse(cls, text: str) -> "Point":
        """The inverse of ``str``."""
        call, subject, nth, moment = text.split("|")
        return cls(call=call, subject=subject, nth=int(nth), moment=moment)

    @property
    def changes(self) -> bool:
        """Whether the call changes the world or the journal."""
        return self.call.partition(":")[0] in CHANGES

    @property
    def hurts(self) -> bool:
        """The world is changed, or just about to be, and the journal does not say so."""
        return self.changes and not self.call.startswith("journal") and self.moment != "before"


class Names:
    """What servers are called in points: ids are other ones on each host, ends of names are not."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, server_id: str, name: str) -> None:
        """A server was read."""
        self._known[server_id] = end_of(name)

    def of(self, server_id: str) -> str:
        """The end of its name; "" for what is no server that was read."""
        return self._known.get(server_id, "")


def end_of(server_name: str) -> str:
    """``compute-3-vm-1`` is ``vm-1``: what servers of different hosts have in common."""
    return "-".join(server_name.split("-")[-2:])


def name_of_event(event: Event) -> str:
    """What tells an event from the others of its kind; its texts and figures do not."""
    words = [event.name]
    for part in ("step", "gate", "code", "outcome", "status"):
        value = getattr(event, part, None)
        if value is not None:
            words.append(str(value))
    return " ".join(words)


def common_points(runs: Iterable[Iterable[Point]]) -> tuple[Point, ...]:
    """Those that every one of the recorded runs came by, in the order of the first run.

    What depends on the machine's mood is left out: the sixth look of a run that needed only five.
    """
    first, *others = [tuple(dict.fromkeys(run)) for run in runs]
    return tuple(point for point in first if all(point in other for other in others))


def counts(points: Iterable[Point]) -> Mapping[str, int]:
    """How many points each call has."""
    return Counter(point.call for point in points)
