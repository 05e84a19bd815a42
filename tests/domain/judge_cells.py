"""The table "Evidence of death" of docs/safety.md, cell by cell."""

from dataclasses import replace
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
from tests.domain.cells import Cell
from tests.domain.readings import (
    ADVANCES,
    ALONE,
    ATTESTED,
    BMC_DECIDES,
    BMC_PROOF,
    BY_BMC,
    BY_PACEMAKER,
    DEAD,
    FENCED,
    HOST,
    MAINTENANCE,
    NO_BEAT,
    NO_BMC,
    NO_DEVICE,
    NO_OFF,
    NO_ORDER,
    NO_QUORUM,
    NOT_ASKED,
    NOT_IN_CIB,
    NOT_OURS,
    NOT_SINCE,
    NOT_STILL,
    NOT_TWICE,
    OLD_BEAT,
    ON,
    ON_SINCE,
    OTHER_FENCE,
    OTHER_HOST,
    PACEMAKER_PROOF,
    PENDING,
    PERSON_PROOF,
    PROOFS,
    REBOOT,
    STARTED,
    SWITCHED_ON,
    TOO_OLD,
    TYPED,
    UNFENCED,
    VANISHED,
    NodeChanges,
    Proof,
    beat,
    epoch,
    fence_event,
    node,
    off,
    on,
    powering_off,
    silence,
    verdict,
)


class Changes(TypedDict, total=False):
    """What was read otherwise."""

    now: float
    clustered: bool
    off_orders: tuple[OffOrder, ...]
    power: tuple[PowerReading | Silence, ...]
    node: tuple[NodeReading | Silence, ...]
    heartbeat: tuple[HeartbeatReading | Silence, ...]
    vanished: tuple[str, ...]
    attestation: Attestation | None
    switched_on: FenceEvent | None


def cell(name: str, readings: Readings, says: Proof | Doubt, **changes: Unpack[Changes]) -> Cell:
    """A cell of this table: these readings, changed so, and what ``judge`` says to them."""
    heard = replace(readings, **changes)
    return Cell(name, lambda module: verdict(module, heard), says)


def alive(*signs: str, missing: tuple[str, ...] = ()) -> Doubt:
    """Signs of life."""
    return Doubt(host=HOST, signs_of_life=signs, missing=missing)


def unproven(*missing: str) -> Doubt:
    """Nothing but missing pieces."""
    return Doubt(host=HOST, signs_of_life=(), missing=missing)


def _with_life() -> list[Cell]:
    """L6: every sign of life against every witness."""
    return [
        entry
        for name, (dead, _) in PROOFS.items()
        for entry in (
            cell(f"L6-on-{name}", dead, alive(ON), power=(*dead.power, on(105.5))),
            cell(
                f"L6-started-{name}",
                dead,
                alive(STARTED),
                clustered=True,
                node=(node(101), node(105.5, connected=True)),
            ),
            cell(f"L6-heartbeat-{name}", dead, MOVING, heartbeat=(beat(101, 95), beat(105, 104))),
            cell(f"L6-vanished-{name}", dead, alive(VANISHED), vanished=("compute-4",)),
        )
    ]


MOVING = alive(ADVANCES, missing=(NOT_STILL,))

# fmt: off
SIGNS_OF_LIFE = [
    cell("L1-newest", DEAD, alive(ON), power=(off(101), on(105))),
    cell("L1-asked-before-the-order", DEAD, alive(ON), power=(on(99, 102),)),
    cell("L1-then-silence", DEAD, alive(ON), power=(on(101), silence(105))),
    cell("L1-then-powering-off", DEAD, alive(ON), power=(on(101), powering_off(105))),
    cell("L1-overlapping-off", DEAD, alive(ON), power=(off(101), on(102, 105), off(104))),
    cell("L1-off-asked-as-it-ended", DEAD, alive(ON), power=(on(101, 102), off(102))),
    cell("L1-arrives-late", DEAD, alive(ON), power=(off(101), on(105), off(103))),
    cell("L1-between-two-orders", FENCED, alive(ON),
         off_orders=(BY_PACEMAKER, OffOrder(by=OffBy.BMC, at=103.0)),
         power=(on(102), silence(104))),
    cell("L1-no-order", ATTESTED, alive(ON), power=(on(90), silence(105))),
    cell("L1-off-before-on", DEAD, alive(ON), power=(off(101), on(102), silence(105))),
    cell("L1-on-again", DEAD, alive(ON), power=(on(101), off(103), on(105))),
    cell("L2-off-twice", DEAD, BMC_PROOF, power=(on(90), off(101), off(105))),
    cell("L2-silent-since", FENCED, PACEMAKER_PROOF, power=(on(90), silence(105))),
    cell("L2-answered-at-the-order", FENCED, PACEMAKER_PROOF, power=(on(99, 100), silence(105))),
    cell("L3-newest", DEAD, alive(STARTED), node=(node(101), node(105, connected=True))),
    cell("L3-then-maintenance", DEAD, alive(STARTED),
         node=(node(101, connected=True), node(105, opinion_counts=False))),
    cell("L3-then-silence", DEAD, alive(STARTED, missing=(NOT_ASKED,)),
         node=(node(101, connected=True), silence(105))),
    cell("L3-arrives-late", DEAD, alive(STARTED), node=(node(105, connected=True), node(101))),
    cell("L3-taken-back", DEAD, BMC_PROOF, node=(node(101, connected=True), node(105))),
    cell("L4-moved", DEAD, MOVING,
         heartbeat=(beat(101, 95), beat(105, 104))),
    cell("L4-clocks-disagree", DEAD, MOVING,
         heartbeat=(beat(101, 95, ahead=20), beat(105, 104, ahead=20))),
    cell("L4-after-silence", DEAD, MOVING,
         heartbeat=(beat(101, 95), silence(103), beat(105, 104))),
    cell("L4-arrives-late", DEAD, MOVING,
         heartbeat=(beat(105, 104), beat(101, 40))),
    cell("L4-moved-at-the-off", DEAD, MOVING,
         heartbeat=(beat(100, 91), beat(105, 101))),
    cell("L4-before-the-off", DEAD, BMC_PROOF,
         heartbeat=(beat(85, 75), beat(90, 86), beat(101, 86), beat(105, 86))),
    cell("L4-before-the-off-not-still", DEAD, unproven(NOT_STILL),
         heartbeat=(beat(85, 75), beat(92, 86), beat(101, 86), beat(105, 86))),
    cell("L4-still-since", DEAD, BMC_PROOF, now=120.0,
         heartbeat=(beat(101, 95), beat(104, 103), beat(119, 103))),
    cell("L4-still-since-arrives-late", DEAD, BMC_PROOF, now=120.0,
         heartbeat=(beat(119, 103), beat(101, 95), beat(104, 103))),
    cell("L5", DEAD, alive(VANISHED), vanished=("compute-4",)),
    *_with_life(),
]
# fmt: on

# fmt: off
NEEDED_BY_ALL = [
    cell("N1-never", DEAD, unproven(NOT_ASKED), node=()),
    cell("N1-silent-now", DEAD, unproven(NOT_ASKED), node=(node(101), node(104), silence(105))),
    *(
        cell(f"N2-{name}", dead, unproven(NO_QUORUM), clustered=True,
             node=(node(101), node(105, quorate=False)))
        for name, (dead, _) in PROOFS.items()
    ),
    *(
        cell(f"N3-{name}", dead, unproven(PENDING), clustered=True,
             node=(node(101), node(105, fence_pending=True)))
        for name, (dead, _) in PROOFS.items()
    ),
    *(
        cell(f"N13-{name}", dead, unproven(NOT_OURS), clustered=True,
             node=(node(101), node(105, claimed=False)))
        for name, (dead, _) in PROOFS.items()
    ),
    *(
        cell(f"N4-{name}", dead, unproven(NO_BEAT), heartbeat=(silence(105),))
        for name, (dead, _) in PROOFS.items()
    ),
    cell("N4-never", DEAD, unproven(NO_BEAT), heartbeat=()),
    cell("N5", DEAD, unproven(OLD_BEAT), heartbeat=(beat(99, 40), silence(105))),
    cell("N5-second-order", DEAD, unproven(OLD_BEAT),
         off_orders=(BY_BMC, OffOrder(by=OffBy.BMC, at=105.5))),
    cell("N6-by-date", DEAD, unproven(NOT_STILL), heartbeat=(beat(105, 90.05),)),
    cell("N6-by-watching", DEAD, unproven(NOT_STILL),
         heartbeat=(beat(101, 115), beat(115.95, 115))),
    cell("N6-never-reported", DEAD, unproven(NOT_STILL),
         heartbeat=(replace(beat(101, 40), updated_at=None),
                    replace(beat(120, 40), updated_at=None))),
    cell("N7", DEAD, BMC_PROOF, heartbeat=(beat(105, 90),)),
    cell("N8", DEAD, BMC_PROOF, heartbeat=(beat(101, 120), beat(108, 120), beat(116, 120))),
    cell("N9-starts-anew", DEAD, unproven(NOT_STILL),
         heartbeat=(beat(101, 87), beat(103, 102, writes=1), beat(116.5, 102, writes=1))),
    cell("N9-watched-anew", DEAD, unproven(NOT_STILL),
         heartbeat=(beat(101, 120), beat(108, 121, writes=1), beat(117, 121, writes=1))),
    cell("N9-still-after", DEAD, BMC_PROOF,
         heartbeat=(beat(101, 87), beat(103, 102, writes=1), beat(117, 102, writes=1))),
    cell("N10", DEAD, BMC_PROOF,
         heartbeat=(beat(90, 40), beat(101, 95, writes=1), beat(105, 95, writes=1))),
    cell("N10-moved-after-the-write", DEAD, MOVING,
         heartbeat=(beat(90, 40), beat(101, 95, writes=1), beat(105, 104, writes=1))),
    cell("N11-by-date", DEAD, MOVING,
         heartbeat=(beat(101, 95), beat(118, 103), beat(119, 103))),
    cell("N11-14-s", DEAD, MOVING,
         heartbeat=(beat(101, 95), beat(104, 103), beat(118.95, 103))),
    cell("N11-own-write-after", DEAD, MOVING,
         heartbeat=(beat(101, 95), beat(104, 103), beat(106, 105, writes=1),
                    beat(119, 105, writes=1))),
    cell("N12-bmc", ALONE, BMC_PROOF),
    cell("N12-attestation", ATTESTED, PERSON_PROOF, clustered=False, node=()),
    cell("N12-pacemaker-cannot", FENCED, unproven(NO_BMC), clustered=False, node=()),
]
# fmt: on


def bmc_doubt(*missing: str) -> Doubt:
    """A BMC that answers and does not prove it leaves Pacemaker nothing to say."""
    return unproven(*missing, BMC_DECIDES)


OLD_REBOOT = fence_event(action="reboot")
LATE_REBOOT = fence_event(103, action="reboot")

# fmt: off
BMC = [
    cell("B1", DEAD, BMC_PROOF),
    cell("B1-3-s", DEAD, BMC_PROOF, power=(off(101, 102), off(105))),
    cell("B1-three", DEAD, replace(BMC_PROOF, text="OFF, read 3 times from the BMC"),
         power=(off(101), off(104), off(105))),
    cell("B1-asked-at-the-order", DEAD, BMC_PROOF, power=(off(100), off(105))),
    cell("B1-ordered-by-pacemaker", DEAD, BMC_PROOF, off_orders=(BY_PACEMAKER,)),
    cell("B2-one", DEAD, bmc_doubt(NOT_TWICE), power=(off(105),)),
    cell("B2-slow-one", DEAD, bmc_doubt(NOT_TWICE), power=(off(101, 105),)),
    cell("B2-too-close", DEAD, bmc_doubt(NOT_TWICE), power=(off(101, 102.015625), off(105))),
    cell("B2-none", DEAD, unproven(NO_BMC, NO_ORDER), power=(silence(105),)),
    cell("B3", DEAD, bmc_doubt(NOT_TWICE), power=(off(95), off(105))),
    cell("B3-both", DEAD, bmc_doubt(NOT_TWICE), power=(off(90), off(95))),
    cell("B3-answered-after", DEAD, bmc_doubt(NOT_TWICE), power=(off(99, 101), off(105))),
    cell("B3-second-order", DEAD, bmc_doubt(NOT_TWICE),
         off_orders=(OffOrder(by=OffBy.PACEMAKER, at=104.0), BY_BMC), heartbeat=(beat(105, 40),)),
    cell("B4-between", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), powering_off(103), off(105))),
    cell("B4-last", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(104.5), powering_off(105))),
    cell("B4-then-two", DEAD, BMC_PROOF, power=(powering_off(100.5), off(101), off(105))),
    cell("B4-twice", DEAD, bmc_doubt(NOT_TWICE),
         power=(powering_off(101), off(101.5), powering_off(103), off(105))),
    cell("B4-asked-as-it-ended", DEAD, bmc_doubt(NOT_TWICE),
         power=(powering_off(101), off(101.25), off(105))),
    cell("B4-arrives-late", DEAD, bmc_doubt(NOT_TWICE),
         power=(off(101), off(105), powering_off(103))),
    cell("B5", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), on(103), off(105))),
    cell("B5-then-two", DEAD, BMC_PROOF,
         power=(off(100.5), on(100.75, 100.9), off(101), off(105))),
    cell("B6-at-the-first", DEAD, bmc_doubt(NOT_TWICE),
         node=(node(101, fence_pending=True), node(105))),
    cell("B6-ended-before-the-first", DEAD, BMC_PROOF,
         node=(node(95.75, fence_pending=True), node(105))),
    cell("B6-just-before-the-first", DEAD, bmc_doubt(NOT_TWICE),
         node=(node(96, fence_pending=True), node(105))),
    cell("B6-between", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(110)),
         node=(node(101), node(106.5, fence_pending=True), node(110))),
    cell("B6-after-the-first", DEAD, bmc_doubt(NOT_TWICE), power=(off(100), off(108)),
         node=(node(100), node(105.25, fence_pending=True), node(108)),
         heartbeat=(beat(105, 40),)),
    cell("B6-nobody-said", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(112)),
         node=(node(106.5), node(112))),
    cell("B6-5-s-away", DEAD, replace(BMC_PROOF, proven_at=112.0), power=(off(101), off(112)),
         node=(node(106.25), node(112))),
    cell("B6-5-s-before", DEAD, replace(BMC_PROOF, proven_at=112.0), power=(off(101), off(112)),
         node=(node(96), node(112))),
    cell("B6-too-early", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(112)),
         node=(node(95.96875), node(112))),
    cell("B6-too-late", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(112)),
         node=(node(106.28125), node(112))),
    cell("B6-without-quorum-then", DEAD, bmc_doubt(NOT_TWICE),
         node=(node(99.5, quorate=False), node(111)), power=(off(100.5), off(111))),
    cell("B6-silent-then", DEAD, bmc_doubt(NOT_TWICE), node=(silence(101), node(111)),
         power=(off(101), off(111))),
    cell("B7", DEAD, bmc_doubt(NO_OFF), off_orders=(),
         node=(node(101, newest_fence=None, node_fenced=None),
               node(105, newest_fence=None, node_fenced=None))),
    cell("B7-without-cluster", ALONE, unproven(NO_OFF), off_orders=()),
    cell("B8", DEAD, BMC_PROOF, off_orders=()),
    cell("B8-reboot", DEAD, BMC_PROOF, off_orders=(),
         node=(node(101, newest_fence=OLD_REBOOT), node(105, newest_fence=OLD_REBOOT))),
    cell("B8-off-read-before", DEAD, bmc_doubt(NOT_TWICE), off_orders=(),
         power=(off(100), off(105))),
    cell("B8-silence-between", DEAD, BMC_PROOF, off_orders=(),
         node=(node(101), silence(103), node(105))),
    cell("B8-another-since", DEAD, bmc_doubt(NOT_TWICE), off_orders=(),
         node=(node(101, newest_fence=fence_event(50), node_fenced=epoch(50)), node(105))),
    *(
        cell(f"B9-{name}", DEAD, bmc_doubt(NO_OFF), off_orders=(),
             node=(replace(node(101), **changes), replace(node(105), **changes)))
        for name, changes in {"returned": NodeChanges(node_fenced=0),
             "not-in-the-cib": NodeChanges(node_fenced=None),
             "other-second": NodeChanges(node_fenced=epoch(98)),
             "unfencing": NodeChanges(newest_fence=fence_event(action="on")),
             "failed": NodeChanges(newest_fence=fence_event(status="failed")),
             "a-human": NodeChanges(newest_fence=replace(fence_event(), delegate="a human")),
             "nobody": NodeChanges(newest_fence=replace(fence_event(), delegate=None))}.items()
    ),
    cell("B9-returned-since", DEAD, bmc_doubt(NO_OFF), off_orders=(),
         node=(node(101), node(105, node_fenced=0))),
    cell("B10-short", DEAD, BMC_PROOF, power=(off(101), silence(103), off(105))),
    cell("B10-60-s", DEAD, replace(BMC_PROOF, proven_at=161.25), power=(off(101), off(161.25)),
         node=(node(101), node(161.25))),
    cell("B10-longer", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), silence(130), off(161.5)),
         node=(node(101), node(161.5))),
    cell("B10-longer-then-two", DEAD, replace(BMC_PROOF, proven_at=174.0),
         power=(off(101), off(170), off(174)), node=(node(101), node(170), node(174))),
    *(
        cell(f"B11-{action}", DEAD, bmc_doubt(NOT_TWICE), power=(off(101), off(104.5)),
             node=(node(101), node(104, newest_fence=fence_event(103, action=action))))
        for action in ("reboot", "on")
    ),
    cell("B11-then-two", DEAD, replace(BMC_PROOF, proven_at=108.0),
         power=(off(101), off(104), off(108)),
         node=(node(101), node(104, newest_fence=LATE_REBOOT),
               node(108, newest_fence=LATE_REBOOT))),
    cell("B11-long-ago", DEAD, BMC_PROOF,
         node=tuple(node(at, newest_fence=fence_event(-9, "reboot")) for at in (90, 101, 105))),
    cell("B11-a-later-off", DEAD, BMC_PROOF,
         node=(node(101), node(105, newest_fence=fence_event(103)))),
    cell("B11-before-the-order", DEAD, bmc_doubt(NOT_TWICE),
         node=tuple(node(at, newest_fence=fence_event(-9, "reboot")) for at in (90, 101, 105)),
         power=(off(95), off(105))),
    cell("B12", DEAD, BMC_PROOF,
         node=(node(101, opinion_counts=False), node(105, opinion_counts=False))),
    cell("B12-seems-connected", DEAD, BMC_PROOF,
         node=(node(101, opinion_counts=False, connected=True),
               node(105, opinion_counts=False, connected=True))),
    cell("B13-witness-older", DEAD, replace(BMC_PROOF, proven_at=104.5),
         power=(off(101), off(104.5), silence(105))),
    cell("B13-pacemaker-younger", FENCED, PACEMAKER_PROOF,
         power=(off(101), off(104.5), silence(105))),
    cell("B13-cluster-older", DEAD, replace(BMC_PROOF, proven_at=103.0),
         node=(node(101), node(103))),
    cell("B13-no-cluster", ALONE, BMC_PROOF, node=(node(101), node(103))),
]
# fmt: on


def last_word(**changes: Unpack[NodeChanges]) -> Readings:
    """Pacemaker is the only witness, and its last word is otherwise."""
    return replace(FENCED, node=(node(101), node(105, **changes)))


# fmt: off
PACEMAKER = [
    cell("P1-no-bmc", FENCED, PACEMAKER_PROOF),
    cell("P1-bmc-silent", FENCED, PACEMAKER_PROOF, power=(silence(101), silence(105))),
    cell("P1-bmc-fell-silent", FENCED, PACEMAKER_PROOF, power=(off(101), silence(105))),
    cell("P1-asked-as-it-ended", FENCED, replace(PACEMAKER_PROOF, proven_at=100.0),
         node=(node(100),)),
    cell("P1-then-ordered-by-bmc", FENCED, PACEMAKER_PROOF,
         off_orders=(BY_PACEMAKER, OffOrder(by=OffBy.BMC, at=104.0))),
    cell("P2-off", FENCED, unproven(NOT_TWICE, BMC_DECIDES), power=(off(105),)),
    cell("P2-unknown", FENCED, unproven(NOT_TWICE, BMC_DECIDES),
         power=(silence(101), powering_off(105))),
    cell("P2-answer-arrives-late", FENCED, unproven(NOT_TWICE, BMC_DECIDES),
         power=(off(105), silence(101))),
    cell("P3", last_word(opinion_counts=False), unproven(NO_BMC, MAINTENANCE)),
    cell("P4-none", FENCED, unproven(NO_BMC, NO_ORDER), off_orders=()),
    cell("P4-by-bmc", FENCED, unproven(NO_BMC, NO_ORDER), off_orders=(BY_BMC,)),
    cell("P5", FENCED, unproven(NO_BMC, NOT_SINCE), node=(node(99),)),
    cell("P5-second-order", FENCED, unproven(NO_BMC, NOT_SINCE),
         off_orders=(BY_PACEMAKER, OffOrder(by=OffBy.PACEMAKER, at=105.5)),
         heartbeat=(beat(106, 40),)),
    cell("P6", FENCED, unproven(NOT_TWICE, ON_SINCE), power=(on(101), off(102), silence(105))),
    cell("P6-between-two-orders", FENCED, PACEMAKER_PROOF,
         off_orders=(BY_PACEMAKER, OffOrder(by=OffBy.PACEMAKER, at=103.0)),
         power=(on(101), off(102), silence(105))),
    cell("P7-none", last_word(newest_fence=None), unproven(NO_BMC, NO_DEVICE)),
    cell("P7-failed", last_word(newest_fence=fence_event(status="failed")),
         unproven(NO_BMC, NO_DEVICE)),
    cell("P7-a-human", last_word(newest_fence=replace(fence_event(), delegate="a human")),
         unproven(NO_BMC, NO_DEVICE)),
    cell("P7-no-delegate", last_word(newest_fence=replace(fence_event(), delegate=None)),
         unproven(NO_BMC, NO_DEVICE)),
    cell("P7-empty-delegate", last_word(newest_fence=replace(fence_event(), delegate="")),
         unproven(NO_BMC, NO_DEVICE)),
    cell("P8-reboot", last_word(newest_fence=fence_event(action="reboot")),
         unproven(NO_BMC, REBOOT)),
    cell("P8-on", last_word(newest_fence=fence_event(action="on")), unproven(NO_BMC, UNFENCED)),
    cell("P9-none", last_word(node_fenced=None), unproven(NO_BMC, NOT_IN_CIB)),
    cell("P9-zero", last_word(node_fenced=0), unproven(NO_BMC, NOT_IN_CIB)),
    cell("P10-other-second", last_word(node_fenced=epoch(100)), unproven(NO_BMC, OTHER_FENCE)),
    cell("P10-no-time", last_word(newest_fence=replace(fence_event(), completed=None)),
         unproven(NO_BMC, OTHER_FENCE)),
    cell("P10-within-the-second", last_word(newest_fence=fence_event(99.75)), PACEMAKER_PROOF),
    cell("P11-both", FENCED, unproven(NO_BMC, MAINTENANCE, NO_ORDER, NO_DEVICE),
         off_orders=(BY_BMC,), node=(node(105, opinion_counts=False, newest_fence=None),)),
]
# fmt: on


def vouched(missing: str) -> Doubt:
    """What a word that does not count leaves: the other witnesses have nothing either."""
    return unproven(NO_BMC, NO_ORDER, NO_DEVICE, missing)


# fmt: off
ATTESTATION = [
    cell("A1", ATTESTED, PERSON_PROOF),
    cell("A1-15-minutes", ATTESTED, PERSON_PROOF, now=1000.0),
    cell("A1-bmc-unclear", ATTESTED, PERSON_PROOF, power=(powering_off(105),)),
    cell("A2", ATTESTED, vouched(OTHER_HOST), attestation=replace(TYPED, host="compute-4")),
    cell("A3", ATTESTED, vouched(TOO_OLD), now=1000.5),
    cell("A4-bmc", DEAD, BMC_PROOF, attestation=TYPED),
    cell("A4-pacemaker", FENCED, PACEMAKER_PROOF, attestation=TYPED),
    cell("A5-cluster-older", ATTESTED, replace(PERSON_PROOF, proven_at=103.0),
         node=(node(103, newest_fence=None),)),
    cell("A5-heartbeat-older", ATTESTED, replace(PERSON_PROOF, proven_at=101.0),
         heartbeat=(beat(101, 40), silence(105))),
    cell("A6", ATTESTED, vouched(SWITCHED_ON), switched_on=fence_event(action="reboot")),
    cell("A5-newest-heartbeat", ATTESTED, replace(PERSON_PROOF, proven_at=104.0),
         heartbeat=(beat(101, 40), beat(104, 40))),
]
# fmt: on


def _forged(module: ModuleType) -> str:
    """What happens to who makes evidence by hand."""
    try:
        module.FenceEvidence(host=HOST, witness=Witness.BMC, text="", proven_at=1.0, seal=None)
    except TypeError as refusal:
        return str(refusal)
    return "made"


TIME = [
    Cell("T1", lambda module: module.judge(DEAD).age_s(111.0), 6.0),
    Cell("T2", _forged, "FenceEvidence is made by judge() alone"),
]

JUDGE_CELLS = [*SIGNS_OF_LIFE, *NEEDED_BY_ALL, *BMC, *PACEMAKER, *ATTESTATION, *TIME]
