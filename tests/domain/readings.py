"""What the witnesses of one host may have said, and what ``judge`` says to it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TypedDict, Unpack

from hacli.domain.cluster import FenceEvent
from hacli.domain.evidence import (
    Attestation,
    Doubt,
    HeartbeatReading,
    NodeReading,
    OffBy,
    OffOrder,
    PowerReading,
    Readings,
    Silence,
    Witness,
)
from hacli.domain.power import PowerState

HOST = "compute-3"
T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NEVER = -1000.0

ON = "the BMC reads ON"
STARTED = "Pacemaker's connection to it is Started"
ADVANCES = "nova-compute's heartbeat advances"
VANISHED = "compute-4 vanished just after the power-off: was the wrong machine switched off?"
NOT_ASKED = "Pacemaker has not said anything about the host"
NO_QUORUM = "the cluster partition has no quorum"
PENDING = "a fencing of the host is still pending"
NOT_OURS = "the CIB does not say that this run has the host"
NO_BEAT = "Nova has not said when nova-compute reported last"
OLD_BEAT = "Nova was not asked about the heartbeat since the power-off"
NOT_STILL = "nova-compute's heartbeat has not been still for 15 s"
NO_BMC = "the BMC has not answered"
NO_OFF = "no OFF was ordered and no fence has completed"
NOT_TWICE = "the BMC has not read OFF twice, 3 s apart, since it was ordered off"
BMC_DECIDES = "the BMC answers, so its reading decides"
MAINTENANCE = "Pacemaker's opinion does not count while node or cluster are in maintenance"
NO_ORDER = "Pacemaker has not carried out an OFF ordered by this run"
NOT_SINCE = "Pacemaker was not asked again since the OFF"
ON_SINCE = "the BMC has read ON since Pacemaker's OFF"
NO_DEVICE = "the newest fencing in Pacemaker's history was not executed by a device"
REBOOT = "the newest fencing was a reboot, which may have ended in ON"
UNFENCED = "the newest fencing was a on, which may have ended in ON"
NOT_IN_CIB = "the CIB does not say that the node is fenced"
OTHER_FENCE = "fence history and CIB name different fencings"
OTHER_HOST = "the attestation is for compute-4"
SWITCHED_ON = "a reboot by Pacemaker's device has succeeded since then"
TOO_OLD = "the attestation is older than 15 minutes"


@dataclass(frozen=True)
class Proof:
    """Evidence, without the seal that only ``judge`` has."""

    witness: Witness
    text: str
    proven_at: float


def verdict(module: ModuleType, readings: Readings) -> Proof | Doubt:
    """What a ``judge`` says."""
    said = module.judge(readings)
    if isinstance(said, Doubt):
        return said
    return Proof(said.witness, said.text, said.proven_at)


class NodeChanges(TypedDict, total=False):
    """What a word of Pacemaker's may say otherwise."""

    quorate: bool
    opinion_counts: bool
    connected: bool
    fence_pending: bool
    newest_fence: FenceEvent | None
    node_fenced: int | None
    claimed: bool


def power(state: PowerState, at: float, until: float | None = None) -> PowerReading:
    """A reading that took a quarter of a second, unless told."""
    return PowerReading(state=state, asked_at=at, answered_at=at + 0.25 if until is None else until)


def off(at: float, until: float | None = None) -> PowerReading:
    """The BMC reads OFF."""
    return power(PowerState.OFF, at, until)


def on(at: float, until: float | None = None) -> PowerReading:
    """The BMC reads ON."""
    return power(PowerState.ON, at, until)


def powering_off(at: float) -> PowerReading:
    """What is neither ON nor OFF."""
    return power(PowerState.UNKNOWN, at)


def silence(at: float) -> Silence:
    """No usable answer."""
    return Silence(why="no answer", at=at)


def fence_event(at: float = 99.0, action: str = "off", status: str = "success") -> FenceEvent:
    """A fencing that a device executed, completed at this second of the outage."""
    return FenceEvent(
        target=HOST,
        action=action,
        status=status,
        delegate="controller-1",
        completed=T0 + timedelta(seconds=at),
    )


def epoch(at: float) -> int:
    """The same second as the CIB writes it."""
    return int((T0 + timedelta(seconds=at)).timestamp())


def node(at: float, **changes: Unpack[NodeChanges]) -> NodeReading:
    """Pacemaker has fenced the node and not seen it since."""
    fenced = NodeReading(
        at=at,
        quorate=True,
        opinion_counts=True,
        connected=False,
        fence_pending=False,
        newest_fence=fence_event(),
        node_fenced=epoch(99),
        claimed=True,
    )
    return replace(fenced, **changes)


def beat(at: float, last: float, writes: int = 0, *, ahead: float = 0.0) -> HeartbeatReading:
    """``updated_at`` as of ``last``, on a Nova whose API clock is ``ahead`` of it."""
    return HeartbeatReading(
        at=at,
        updated_at=T0 + timedelta(seconds=last),
        date=T0 + timedelta(seconds=at + ahead),
        writes=writes,
    )


BY_BMC = OffOrder(by=OffBy.BMC, at=100.0)
BY_PACEMAKER = OffOrder(by=OffBy.PACEMAKER, at=100.0)
TYPED = Attestation(host=HOST, reason="cut at the PDU", user="alice", at=100.0)

DEAD = Readings(
    host=HOST,
    now=106.0,
    off_orders=(BY_BMC,),
    power=(off(101), off(105)),
    node=(node(101), node(105)),
    heartbeat=(beat(101, 40), beat(105, 40)),
)
"""The BMC proves it."""
FENCED = replace(DEAD, off_orders=(BY_PACEMAKER,), power=())
"""Pacemaker proves it: the host has no BMC that we can read."""
ATTESTED = replace(
    DEAD, off_orders=(), power=(), attestation=TYPED, node=(node(105, newest_fence=None),)
)
"""A person vouches for it."""
ALONE = replace(DEAD, clustered=False, node=())
"""The BMC proves it where there is no cluster."""

BMC_PROOF = Proof(Witness.BMC, "OFF, read 2 times from the BMC", 105.0)
PACEMAKER_PROOF = Proof(
    Witness.PACEMAKER, "Pacemaker fenced it (off) and has not seen it since", 105.0
)
PERSON_PROOF = Proof(
    Witness.ATTESTATION, "alice declares that it has no power: cut at the PDU", 105.0
)
PROOFS = {
    "bmc": (DEAD, BMC_PROOF),
    "pacemaker": (FENCED, PACEMAKER_PROOF),
    "attestation": (ATTESTED, PERSON_PROOF),
    "no-cluster": (ALONE, BMC_PROOF),
}
