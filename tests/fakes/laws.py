"""The laws, held against what really happened: ledger, requests, every order, every report."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from hacli.lab.invariants import MachineHistory, Story, check
from hacli.lab.region import Region
from hacli.lab.request_log import RequestLog
from tests.fakes.calls import Call, CallLog, is_write

EVIDENCE_MAX_AGE_S = 10.0
WIRE_S = 0.1
"""Between the look at the evidence's age and the request's effect lies a part of the way."""
HEARD_S = 0.5
"""An answer that came just before a request left may not have been taken in yet."""
ASKED_S = 15.0
"""Between the question of a gate and the first order: the slowest BMC, and a list or two."""
UNAWARE_S = 10.0
"""So old may a run's last look at its claim be when it changes something."""
OFF_ORDERS = ("fence_off", "power_off")


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What one process was told: the names of its host, and what its operator allowed."""

    names: frozenset[str]
    allowed: frozenset[str] = frozenset()
    clustered: bool = True
    takes_over: bool = False  # a person's word that whoever has the host is gone


def violations(
    region: Region,
    *,
    requests: RequestLog,
    calls: CallLog,
    named: Collection[str],
    errands: Mapping[str, Errand],
    rebuilt: Collection[str] | None,
    unread: Collection[str] = (),
) -> tuple[str, ...]:
    """Every breach of the laws, in words.

    Args:
        named: The machines that the operators named in their commands.
        errands: What each process was told; one that is not among them was told of all ``named``.
        rebuilt: Servers whose local disk an operator gave up; None for all.
        unread: Machines without a BMC that hacli can read.
    """
    story = Story(
        ledger=region.machines.ledger,
        requests=requests.records,
        names={truth.id: truth.name for truth in region.truth()},
        hosts=None,  # Pacemaker fences, too; whom hacli ordered anything for is in its own calls
        rebuilt=rebuilt,
        grace_s=EVIDENCE_MAX_AGE_S + WIRE_S,
        unread=unread,
    )
    told = Told(named=frozenset(named), errands=errands, unread=frozenset(unread))
    history = MachineHistory(region.machines.ledger)
    writes = calls.writes()
    return (
        *(f"{found.law}: {found.text}" for found in check(story)),
        *(breach for call in writes for breach in _breaches(call, told, history)),
        *_deaf_to_life(calls.calls),
        *_two_at_once(calls.calls, told),
        *_started_at_rest(writes, history),
        *_in_a_storm(writes, told),
    )


@dataclass(frozen=True, kw_only=True)
class Told:
    """Who was told what."""

    named: frozenset[str]
    errands: Mapping[str, Errand]
    unread: frozenset[str] = frozenset()

    def errand(self, who: str) -> Errand:
        """The errand of a process."""
        return self.errands.get(who, Errand(names=self.named))


def _breaches(call: Call, told: Told, history: MachineHistory) -> Iterator[str]:
    """What only hacli's side of a call shows: whom it was meant for, and on which evidence."""
    text = words_of(call)
    errand = told.errand(call.who)
    if call.host is not None and call.host not in errand.names:
        yield f"L7: {text}, which nobody named"
    if call.what in OFF_ORDERS:
        yield from _wrong_orders(call, text, errand)
    if not is_on_evidence(call):
        return
    if call.evidence_age_s is None:
        yield f"L2: {text} without evidence"
        return
    if call.evidence_age_s > EVIDENCE_MAX_AGE_S + WIRE_S:
        yield f"L3: {text} on evidence {call.evidence_age_s:.1f} s old"
    seen_at = call.at - call.evidence_age_s
    if history.alive_since(call.host or "", seen_at, unread=told.unread) is not None:
        yield f"L2: {text} on evidence from a time while {call.host} had power"
    if call.scene and errand.clustered and call.scene.no_quorum_s > EVIDENCE_MAX_AGE_S + WIRE_S:
        yield f"L9: {text} after {call.scene.no_quorum_s:.0f} s without quorum"


def words_of(call: Call) -> str:
    """Who did what for whom, and when."""
    return f"{call.at:.1f}: {call.who}: {call.what} for {call.host}"


def is_on_evidence(call: Call) -> bool:
    """Whether it is one of the two requests that need proof of death."""
    body = call.body or {}
    return "evacuate" in body or body.get("forced_down") is True


def _wrong_orders(call: Call, text: str, errand: Errand) -> Iterator[str]:
    scene = call.scene
    if scene is None or not errand.clustered:
        return
    if scene.no_quorum_s > ASKED_S:
        yield f"L9: {text} after {scene.no_quorum_s:.0f} s without quorum"
    if "--allow-healthy" in errand.allowed:
        return
    if scene.healthy_s > ASKED_S:
        yield f"L7: {text}, which had been healthy for {scene.healthy_s:.0f} s"
    if scene.unmanaged_s > ASKED_S:
        yield f"L1: {text}, of which Pacemaker knew nothing for {scene.unmanaged_s:.0f} s"


def _deaf_to_life(calls: Iterable[Call]) -> Iterator[str]:
    """Law L3: once the BMC has read ON after an order of the run, nothing is asked for."""
    ordered: set[tuple[str, str | None]] = set()
    alive: dict[tuple[str, str | None], float] = {}
    for call in calls:
        run = (call.who, call.host)
        if call.what in OFF_ORDERS:
            ordered.add(run)
        elif call.said == "on" and run in ordered:
            alive.setdefault(run, call.at)
        elif call.said is not None:
            alive.pop(run, None)
        elif is_on_evidence(call) and call.at - alive.get(run, call.at) > HEARD_S:
            yield f"L3: {words_of(call)} though it had read ON {call.at - alive[run]:.1f} s before"


def _two_at_once(calls: Iterable[Call], told: Told) -> Iterator[str]:
    """Law L9: a run that another one has followed on the same host does nothing any more.

    Only a person's word takes a host from a run that lives. That run reads it in the CIB: what it
    still sends, it sends on a look at its claim from before, and ends. Who is proven dead by hacli
    sends nothing.
    """
    newest: dict[str, str] = {}
    over: dict[str, dict[str, str]] = defaultdict(dict)  # by host: who is, and whom followed it
    swapped: dict[str, float] = {}  # when a run put its claim in the place of another's
    for call in calls:
        if call.what == "replace_claim":
            swapped[call.who] = call.at
        if call.host is None or not is_write(call):
            continue
        follower = over[call.host].get(call.who)
        if follower is not None:
            by_word = told.errand(follower).takes_over and follower in swapped
            until = swapped[follower] + UNAWARE_S + WIRE_S if by_word else call.at
            if not by_word or call.at > until:
                yield f"L9: {words_of(call)}, on which {follower} was at work"
            continue
        before = newest.get(call.host)
        if before not in (None, call.who):
            over[call.host][str(before)] = call.who
        newest[call.host] = call.who


def _in_a_storm(writes: Iterable[Call], told: Told) -> Iterator[str]:
    """Law L10: nobody begins to work on a host while too many look lost."""
    begun: set[tuple[str, str | None]] = set()
    for call in writes:
        run = (call.who, call.host)
        errand = told.errand(call.who)
        if run in begun or not (call.what in OFF_ORDERS or is_on_evidence(call)):
            continue
        begun.add(run)
        storm_s = call.scene.storm_s if call.scene is not None else 0.0
        if storm_s > ASKED_S and errand.clustered and "--allow-storm" not in errand.allowed:
            yield f"L10: {words_of(call)} after {storm_s:.0f} s of a storm"


def _started_at_rest(calls: Iterable[Call], history: MachineHistory) -> Iterator[str]:
    """Law L1: only what died with its host is started in place; the rest was stopped by somebody.

    How its guest ended is asked of the ledger: together with its machine, or alone, by an order.
    """
    for call in calls:
        if call.server is None or not {"reboot", "os-start"} & (call.body or {}).keys():
            continue
        end = history.last_end(call.server, call.at)
        if end is not None and end.machine != call.host:
            yield f"L7: {words_of(call)} of {call.server}, whose last home is {end.machine}"
        elif end is not None and not history.fell(end.machine, end.at):
            yield f"L1: {words_of(call)} of {call.server}, which was stopped by no host's end"
        elif end is None and not history.running_on(call.server, call.at):
            yield f"L1: {words_of(call)} of {call.server}, which has never run"
