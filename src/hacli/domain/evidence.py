"""Evidence of death: what the witnesses said, and the one function that may conclude from it.

``judge`` alone makes ``FenceEvidence``; the functions that force a host down or ask for an
evacuation take it as an argument (law L2). The rules are the table in ``docs/safety.md``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import InitVar, dataclass, replace
from datetime import datetime
from enum import Enum
from itertools import pairwise

from hacli.domain.cluster import FenceEvent
from hacli.domain.power import PowerState

OFF_GAP_S = 3.0
"""Two OFF readings must lie at least this far apart."""
OFF_ROW_S = 60.0
"""OFF readings further apart than this do not belong together: nobody looked in between."""
HEARTBEAT_STILL_S = 15.0
"""1.5 report intervals of nova-compute (10 s)."""
ATTESTATION_VALID_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A witness was asked and gave no usable answer."""

    why: str
    at: float


@dataclass(frozen=True, kw_only=True)
class PowerReading:
    """What the BMC said. Times are ``Clock.monotonic`` seconds around the call."""

    state: PowerState
    asked_at: float
    answered_at: float


@dataclass(frozen=True, kw_only=True)
class NodeReading:
    """What Pacemaker said of the node at one moment, and its CIB of the host's claim.

    ``opinion_counts`` is False while node, connection or cluster is in maintenance or unmanaged,
    without quorum or DC: then nothing here is a sign of life nor of death, but for a pending fence.
    ``connected``: the remote connection is Started, neither failed nor the node unclean.
    """

    at: float
    quorate: bool
    opinion_counts: bool
    connected: bool
    fence_pending: bool
    newest_fence: FenceEvent | None  # newest completed one
    node_fenced: int | None
    claimed: bool  # the host's claim in the CIB is this run's


@dataclass(frozen=True, kw_only=True)
class HeartbeatReading:
    """nova-compute's ``updated_at`` beside the API's own clock.

    ``writes`` counts our own PUTs to this service before the reading: they move ``updated_at`` too.
    """

    at: float
    updated_at: datetime | None
    date: datetime
    writes: int


class OffBy(Enum):
    """Who was ordered to cut the power."""

    PACEMAKER = "pacemaker"
    BMC = "bmc"


@dataclass(frozen=True, kw_only=True)
class OffOrder:
    """An OFF that this run ordered and that was reported successful or acknowledged."""

    by: OffBy
    at: float


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """A person on a terminal typed the host's name and how they know that it has no power."""

    host: str
    reason: str
    user: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Readings:
    """All that this run has seen of one host, oldest first within each witness."""

    host: str
    now: float
    clustered: bool = True  # False: a person said --without-cluster
    off_orders: tuple[OffOrder, ...] = ()
    power: tuple[PowerReading | Silence, ...] = ()
    node: tuple[NodeReading | Silence, ...] = ()
    heartbeat: tuple[HeartbeatReading | Silence, ...] = ()
    vanished: tuple[str, ...] = ()  # other hosts lost within 30 s of our power-off
    attestation: Attestation | None = None
    switched_on: FenceEvent | None = None  # a fencing that has ended in ON since the attestation


class Witness(Enum):
    """Whose word the evidence rests on."""

    BMC = "bmc"
    PACEMAKER = "pacemaker"
    ATTESTATION = "attestation"


class _Seal:
    """Only this module holds one."""


_SEAL = _Seal()


@dataclass(frozen=True, kw_only=True)
class FenceEvidence:
    """Proof that the host is dead, as of ``proven_at`` (monotonic). Made by ``judge`` only."""

    host: str
    witness: Witness
    text: str
    proven_at: float
    seal: InitVar[_Seal]  # not kept, so that dataclasses.replace() cannot make a younger copy

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("FenceEvidence is made by judge() alone")

    def age_s(self, now: float) -> float:
        """Seconds since the witness's or the cluster's last word, whichever is older."""
        return now - self.proven_at


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Why death is not proven. A sign of life stops new requests at once; silence suspends them."""

    host: str
    signs_of_life: tuple[str, ...]
    missing: tuple[str, ...]


def judge(readings: Readings) -> FenceEvidence | Doubt:
    """Whether the readings prove that the host is dead, and on whose word.

    A sign of life vetoes every witness; then the BMC, Pacemaker and a person's attestation are
    heard, and the freshest proof counts, of equals the first in this order: a BMC that falls silent
    leaves its last word to grow old, not the proof. Each of them also needs the heartbeat still
    and, in a cluster, quorum. Only the witness that gave a sign of life can take it back; silence
    never does.
    """
    readings = _in_order(readings)
    signs = tuple(_signs_of_life(readings))
    missing = tuple(_missing_for_all(readings))
    if not signs and not missing:
        proof: FenceEvidence | None = None
        for hear in (_by_bmc, _by_pacemaker, _by_attestation):
            said = hear(readings)
            if not isinstance(said, FenceEvidence):
                missing += said
            elif proof is None or said.proven_at > proof.proven_at:
                proof = said
        if proof is not None:
            return proof
    return Doubt(host=readings.host, signs_of_life=signs, missing=missing)


def _in_order(readings: Readings) -> Readings:
    """Each witness's words in the order of the questions, however the answers came in."""
    return replace(
        readings,
        off_orders=tuple(sorted(readings.off_orders, key=lambda order: order.at)),
        power=tuple(sorted(readings.power, key=_asked_at)),
        node=tuple(sorted(readings.node, key=lambda word: word.at)),
        heartbeat=tuple(sorted(readings.heartbeat, key=lambda word: word.at)),
    )


def _asked_at(word: PowerReading | Silence) -> float:
    return word.at if isinstance(word, Silence) else word.asked_at


def _signs_of_life(readings: Readings) -> Iterator[str]:
    if _reads_on(readings):
        yield "the BMC reads ON"
    counting = [word for word in _node_readings(readings) if word.opinion_counts]
    if counting and counting[-1].connected:
        yield "Pacemaker's connection to it is Started"
    if _heartbeat_advances(readings):
        yield "nova-compute's heartbeat advances"
    for other in readings.vanished:
        yield f"{other} vanished just after the power-off: was the wrong machine switched off?"


def _missing_for_all(readings: Readings) -> Iterator[str]:
    if readings.clustered:
        node = _latest_node(readings)
        if node is None:
            yield "Pacemaker has not said anything about the host"
        elif not node.quorate:
            yield "the cluster partition has no quorum"
        elif node.fence_pending:
            yield "a fencing of the host is still pending"
        elif not node.claimed:
            yield "the CIB does not say that this run has the host"
    yield from _missing_stillness(readings)


def _by_bmc(readings: Readings) -> FenceEvidence | tuple[str, ...]:
    power = _power_readings(readings)
    if not power:
        return ("the BMC has not answered",)
    since = _off_known_since(readings)
    if since is None:
        return ("no OFF was ordered and no fence has completed",)
    nodes = _node_readings(readings) if readings.clustered else None
    offs = _offs_in_a_row(
        reading
        for reading in _offs_after_all_else(power)
        if reading.asked_at >= since and (nodes is None or _no_fence_pending_at(nodes, reading))
    )
    if not offs or offs[-1].asked_at - offs[0].answered_at < OFF_GAP_S:
        return (
            f"the BMC has not read OFF twice, {OFF_GAP_S:.0f} s apart, since it was ordered off",
        )
    return FenceEvidence(
        host=readings.host,
        witness=Witness.BMC,
        text=f"OFF, read {len(offs)} times from the BMC",
        proven_at=_not_younger_than_cluster(readings, offs[-1].asked_at),
        seal=_SEAL,
    )


def _by_pacemaker(readings: Readings) -> FenceEvidence | tuple[str, ...]:
    node = _latest_node(readings)
    if node is None:
        return ()
    missing = tuple(_missing_from_pacemaker(readings, node))
    if missing:
        return missing
    return FenceEvidence(
        host=readings.host,
        witness=Witness.PACEMAKER,
        text="Pacemaker fenced it (off) and has not seen it since",
        proven_at=node.at,
        seal=_SEAL,
    )


def _missing_from_pacemaker(readings: Readings, node: NodeReading) -> Iterator[str]:
    if readings.power and not isinstance(readings.power[-1], Silence):
        yield "the BMC answers, so its reading decides"
        return
    if not node.opinion_counts:
        yield "Pacemaker's opinion does not count while node or cluster are in maintenance"
    orders = [order for order in readings.off_orders if order.by is OffBy.PACEMAKER]
    if not orders:
        yield "Pacemaker has not carried out an OFF ordered by this run"
    elif node.at < orders[-1].at:
        yield "Pacemaker was not asked again since the OFF"
    elif _read_on_after(readings, orders[-1].at):
        yield "the BMC has read ON since Pacemaker's OFF"
    fence = node.newest_fence
    if fence is None or not fence.executed:
        yield "the newest fencing in Pacemaker's history was not executed by a device"
    elif fence.action != "off":
        yield f"the newest fencing was a {fence.action}, which may have ended in ON"
    elif not node.node_fenced:
        yield "the CIB does not say that the node is fenced"
    elif not _cib_names(node, fence):
        yield "fence history and CIB name different fencings"


def _by_attestation(readings: Readings) -> FenceEvidence | tuple[str, ...]:
    word = readings.attestation
    if word is None:
        return ()
    if word.host != readings.host:
        return (f"the attestation is for {word.host}",)
    if readings.now - word.at > ATTESTATION_VALID_S:
        return ("the attestation is older than 15 minutes",)
    if readings.switched_on is not None:
        return (f"a {readings.switched_on.action} by Pacemaker's device has succeeded since then",)
    beats = [beat for beat in readings.heartbeat if isinstance(beat, HeartbeatReading)]
    return FenceEvidence(
        host=readings.host,
        witness=Witness.ATTESTATION,
        text=f"{word.user} declares that it has no power: {word.reason}",
        proven_at=_not_younger_than_cluster(readings, beats[-1].at),
        seal=_SEAL,
    )


def _power_readings(readings: Readings) -> tuple[PowerReading, ...]:
    return tuple(reading for reading in readings.power if isinstance(reading, PowerReading))


def _read_on_after(readings: Readings, at: float) -> bool:
    return any(
        word.state is PowerState.ON and word.answered_at > at for word in _power_readings(readings)
    )


def _reads_on(readings: Readings) -> bool:
    """ON since our first OFF order, and no OFF was asked for and read after that.

    An ON from before the order is what the order was for. One that is neither ON nor OFF takes
    nothing back.
    """
    since = readings.off_orders[0].at if readings.off_orders else float("-inf")
    power = _power_readings(readings)
    ons = [word.answered_at for word in power if word.state is PowerState.ON]
    offs = [word.asked_at for word in power if word.state is PowerState.OFF]
    return _read_on_after(readings, since) and not any(off > max(ons) for off in offs)


def _offs_after_all_else(power: tuple[PowerReading, ...]) -> list[PowerReading]:
    """The OFF readings asked for after everything that was not OFF had been answered."""
    others = [word.answered_at for word in power if word.state is not PowerState.OFF]
    last_other = max(others, default=float("-inf"))
    return [w for w in power if w.state is PowerState.OFF and w.asked_at > last_other]


def _offs_in_a_row(offs: Iterable[PowerReading]) -> list[PowerReading]:
    """The newest of them without a gap in which nobody looked."""
    row: list[PowerReading] = []
    for reading in offs:
        if row and reading.asked_at - row[-1].answered_at > OFF_ROW_S:
            row = []
        row.append(reading)
    return row


def _node_readings(readings: Readings) -> tuple[NodeReading, ...]:
    return tuple(word for word in readings.node if isinstance(word, NodeReading))


def _latest_node(readings: Readings) -> NodeReading | None:
    """The newest word of Pacemaker; None when it said nothing or its last answer was silence."""
    if not readings.node or isinstance(readings.node[-1], Silence):
        return None
    return readings.node[-1]


def _cib_names(node: NodeReading, fence: FenceEvent) -> bool:
    """The CIB has the node fenced, and by this fencing: it has not been back since."""
    return fence.completed is not None and int(fence.completed.timestamp()) == node.node_fenced


def _off_known_since(readings: Readings) -> float | None:
    """From when on OFF readings count: our OFF order, or a fence that the CIB still names.

    A fencing that was not an OFF may have ended in ON, so the count starts anew when one shows.
    """
    node = _latest_node(readings)
    fence = node.newest_fence if node is not None else None
    named = _named_since(readings, fence)
    if readings.off_orders:
        ordered = readings.off_orders[-1].at
        return max(ordered, named) if fence is not None and fence.action != "off" else ordered
    if node is None or fence is None or fence.action == "on":
        return None
    return named if fence.executed and _cib_names(node, fence) else None


def _named_since(readings: Readings, fence: FenceEvent | None) -> float:
    """When Pacemaker was first heard to call this its newest fencing, without another since."""
    since = float("inf")
    for node in reversed(_node_readings(readings)):
        if node.newest_fence != fence:
            break
        since = node.at
    return since


NEAR_S = 5.0
"""A word of Pacemaker's within this time of a power reading belongs to it."""


def _no_fence_pending_at(nodes: tuple[NodeReading, ...], power: PowerReading) -> bool:
    near = [
        node for node in nodes if power.asked_at - NEAR_S <= node.at <= power.answered_at + NEAR_S
    ]
    heard = any(node.quorate for node in near)
    return heard and not any(node.fence_pending for node in near)


def _not_younger_than_cluster(readings: Readings, at: float) -> float:
    """Evidence is as old as the older of the witness and the cluster's last word."""
    node = _latest_node(readings)
    return min(at, node.at) if readings.clustered and node is not None else at


def _heartbeats_after_off(readings: Readings) -> list[HeartbeatReading]:
    since = readings.off_orders[-1].at if readings.off_orders else float("-inf")
    return [
        beat
        for beat in readings.heartbeat
        if isinstance(beat, HeartbeatReading) and beat.at >= since
    ]


def _heartbeat_advances(readings: Readings) -> bool:
    """It moved, not by a write of ours, since the power-off, and has not been still since."""
    beats = _heartbeats_after_off(readings)
    moved = any(_moved(before, after) for before, after in pairwise(beats))
    return moved and not _is_still(beats)


def _moved(before: HeartbeatReading, after: HeartbeatReading) -> bool:
    return before.writes == after.writes and before.updated_at != after.updated_at


def _is_still(beats: list[HeartbeatReading]) -> bool:
    """No heartbeat came for 15 s: by the API's own clock, or by watching.

    Our own PUT moves ``updated_at``, so after one the count starts anew, unless stillness was seen
    before it and nothing moved since. Once it was seen to move, only watching counts: two clocks
    that disagree would call a living heartbeat still.
    """
    still = moved = False
    watched_from: HeartbeatReading | None = None
    for beat in beats:
        if watched_from is not None and _moved(watched_from, beat):
            still, moved, watched_from = False, True, None
        if watched_from is None or watched_from.writes != beat.writes:
            watched_from = beat
        if beat.updated_at is not None:
            since = watched_from.date if moved else min(beat.updated_at, watched_from.date)
            still = still or (beat.date - since).total_seconds() >= HEARTBEAT_STILL_S
    return still


def _missing_stillness(readings: Readings) -> Iterator[str]:
    beats = [beat for beat in readings.heartbeat if isinstance(beat, HeartbeatReading)]
    if not beats:
        yield "Nova has not said when nova-compute reported last"
    elif not _heartbeats_after_off(readings):
        yield "Nova was not asked about the heartbeat since the power-off"
    elif not _is_still(beats):
        yield f"nova-compute's heartbeat has not been still for {HEARTBEAT_STILL_S:.0f} s"
