"""Evidence of death: the table of docs/safety.md, and what holds for readings of any kind."""

from collections.abc import Iterable
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hacli.domain import evidence
from hacli.domain.evidence import (
    Attestation,
    Doubt,
    FenceEvidence,
    HeartbeatReading,
    NodeReading,
    OffBy,
    OffOrder,
    PowerReading,
    Readings,
    Silence,
    Witness,
    judge,
)
from hacli.domain.power import PowerState
from tests.domain.cells import SAFETY, Cell, params, rows_in_docs
from tests.domain.judge_cells import JUDGE_CELLS
from tests.domain.readings import ATTESTED, DEAD, FENCED, HOST, T0, epoch, fence_event


@pytest.mark.parametrize("cell", params(JUDGE_CELLS))
def test_a_cell_of_the_table(cell: Cell) -> None:
    """Each row of "Evidence of death" in docs/safety.md is what ``judge`` does."""
    assert cell.ask(evidence) == cell.says


def test_every_row_has_a_cell_and_every_cell_a_row() -> None:
    """An operator can trust the page, because nothing stands there that is not tested."""
    rows = rows_in_docs("LNBPAT")

    assert len(rows) == len(set(rows))
    assert set(rows) == {cell.row for cell in JUDGE_CELLS}


def test_the_page_has_the_words_that_the_program_says() -> None:
    """Whoever reads a doubt on the screen finds it in docs/safety.md."""
    page = SAFETY.read_text(encoding="utf-8")
    doubts = [cell.says for cell in JUDGE_CELLS if isinstance(cell.says, Doubt)]
    said = {words for doubt in doubts for words in (*doubt.signs_of_life, *doubt.missing)}

    assert sorted(words for words in said if f"`{words}`" not in page) == []


def test_nobody_but_judge_makes_evidence() -> None:
    """Law L2: neither by hand, nor as a younger copy of an older one."""
    proof = judge(DEAD)
    assert isinstance(proof, FenceEvidence)

    with pytest.raises(TypeError, match=r"made by judge\(\) alone"):
        FenceEvidence(
            host=HOST,
            witness=Witness.BMC,
            text="trust me",
            proven_at=105.0,
            seal=None,  # type: ignore[arg-type]
        )
    with pytest.raises(ValueError, match="seal"):
        replace(proof, proven_at=106.0)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        proof.proven_at = 106.0  # type: ignore[misc]
    assert not hasattr(proof, "seal")


def test_evidence_tells_its_age() -> None:
    """Seconds since the older of the witness's and the cluster's last word."""
    proof = judge(replace(DEAD, node=(*DEAD.node[:1], replace_at(DEAD.node[1], 104.0))))
    assert isinstance(proof, FenceEvidence)

    assert proof.age_s(110.0) == 6.0


def replace_at(word: NodeReading | Silence, at: float) -> NodeReading | Silence:
    """The same word at another time."""
    return replace(word, at=at)


NOW = 200.0
TIMES = st.integers(min_value=320, max_value=796).map(lambda quarter: quarter / 4)
SILENCES = st.builds(Silence, why=st.just("no answer"), at=TIMES)
POWER = st.builds(
    lambda state, at, took: PowerReading(
        state=state, asked_at=at, answered_at=min(at + took, NOW - 0.25)
    ),
    st.sampled_from([PowerState.OFF, PowerState.OFF, PowerState.OFF, *PowerState]),
    TIMES,
    st.sampled_from([0.25, 0.25, 6.0]),
)
FENCES = st.sampled_from(
    [
        fence_event(),
        fence_event(),
        fence_event(action="reboot"),
        fence_event(98),
        replace(fence_event(), delegate="a human"),
        None,
    ]
)
NODE = st.builds(
    NodeReading,
    at=TIMES,
    quorate=st.sampled_from([True, True, True, False]),
    opinion_counts=st.sampled_from([True, True, True, False]),
    connected=st.sampled_from([False, False, False, True]),
    fence_pending=st.sampled_from([False, False, False, True]),
    newest_fence=FENCES,
    node_fenced=st.sampled_from([epoch(99), epoch(99), epoch(98), 0, None]),
)
BEAT = st.builds(
    lambda at, ago, writes: HeartbeatReading(
        at=at,
        updated_at=T0 + timedelta(seconds=at - ago),
        date=T0 + timedelta(seconds=at),
        writes=writes,
    ),
    TIMES,
    st.sampled_from([1.0, 9.0, 16.0, 60.0]),
    st.just(0),
)
STILL = st.builds(
    lambda at: HeartbeatReading(
        at=at, updated_at=T0 + timedelta(seconds=40), date=T0 + timedelta(seconds=at), writes=0
    ),
    TIMES,
)
ORDERS = st.builds(OffOrder, by=st.sampled_from(OffBy), at=TIMES.filter(lambda at: at < 120))
WORDS = st.builds(
    Attestation,
    host=st.sampled_from([HOST, HOST, "compute-4"]),
    reason=st.just("cut"),
    user=st.just("alice"),
    at=TIMES,
)
READINGS = st.builds(
    Readings,
    host=st.just(HOST),
    now=st.just(NOW),
    clustered=st.sampled_from([True, True, False]),
    off_orders=st.lists(ORDERS, max_size=2).map(tuple),
    power=st.lists(st.one_of(POWER, POWER, POWER, SILENCES), max_size=5).map(tuple),
    node=st.lists(st.one_of(NODE, NODE, NODE, SILENCES), max_size=4).map(tuple),
    heartbeat=st.lists(st.one_of(STILL, STILL, BEAT, SILENCES), max_size=4).map(tuple),
    vanished=st.sampled_from([(), (), (), ("compute-4",)]),
    attestation=st.one_of(st.none(), WORDS),
)
NEAR_DEATH = st.sampled_from([DEAD, FENCED, ATTESTED]).map(lambda dead: replace(dead, now=NOW))
"""Most random readings prove nothing; these begin with a proof, and are then disturbed."""


def disturb(dead: Readings, noise: Readings) -> Readings:
    """A proof with a little of anything added."""
    return replace(
        dead,
        power=dead.power + noise.power,
        node=dead.node + noise.node,
        heartbeat=dead.heartbeat + noise.heartbeat,
        off_orders=dead.off_orders + noise.off_orders,
        attestation=dead.attestation or noise.attestation,
    )


LITTLE = st.builds(
    Readings,
    host=st.just(HOST),
    now=st.just(NOW),
    off_orders=st.lists(ORDERS, max_size=1).map(tuple),
    power=st.lists(st.one_of(POWER, SILENCES), max_size=2).map(tuple),
    node=st.lists(st.one_of(NODE, SILENCES), max_size=1).map(tuple),
    heartbeat=st.lists(st.one_of(STILL, BEAT, SILENCES), max_size=1).map(tuple),
    attestation=st.one_of(st.none(), WORDS),
)
AROUND_A_PROOF = st.builds(disturb, NEAR_DEATH, LITTLE)
ANY = st.one_of(AROUND_A_PROOF, READINGS)


def power_on(at: float) -> PowerReading:
    """The BMC reads ON."""
    return PowerReading(state=PowerState.ON, asked_at=at, answered_at=at)


def with_sign_of_life(readings: Readings, sign: str) -> Readings:
    """The same, and then one witness speaks of life."""
    now = readings.now
    connected = NodeReading(
        at=now,
        quorate=True,
        opinion_counts=True,
        connected=True,
        fence_pending=False,
        newest_fence=fence_event(),
        node_fenced=epoch(99),
        claimed=True,
    )
    beats = [
        HeartbeatReading(
            at=now - ago,
            updated_at=T0 + timedelta(seconds=now - ago - 1),
            date=T0 + timedelta(seconds=now - ago),
            writes=9,
        )
        for ago in (0.2, 0.1)
    ]
    return {
        "on": replace(readings, power=(*readings.power, power_on(now))),
        "started": replace(readings, node=(*readings.node, connected)),
        "heartbeat": replace(readings, heartbeat=(*readings.heartbeat, *beats)),
        "vanished": replace(readings, vanished=("compute-5",)),
    }[sign]


SIGNS = st.sampled_from(["on", "started", "heartbeat", "vanished"])


@given(readings=ANY, sign=SIGNS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_sign_of_life_is_never_outvoted(readings: Readings, sign: str) -> None:
    """Whatever else was read: when a witness's last word is life, there is no evidence."""
    verdict = judge(with_sign_of_life(readings, sign))

    assert isinstance(verdict, Doubt)
    assert verdict.signs_of_life


@given(readings=ANY, at=TIMES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_an_on_never_turns_doubt_into_evidence(readings: Readings, at: float) -> None:
    """Wherever in the past the BMC has read ON: it proves nothing that was not proven."""
    assume(isinstance(judge(readings), Doubt))

    assert isinstance(judge(replace(readings, power=(*readings.power, power_on(at)))), Doubt)


@given(readings=ANY, seed=st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_order_in_which_answers_arrive_decides_nothing(
    readings: Readings, seed: Random
) -> None:
    """A slow answer is weighed by when it was asked for, not by when it came in."""
    assume(len({word_time(word) for word in readings.node}) == len(readings.node))
    assume(len({word_time(word) for word in readings.heartbeat}) == len(readings.heartbeat))
    assume(len({word_time(word) for word in readings.power}) == len(readings.power))
    power, node, beats = list(readings.power), list(readings.node), list(readings.heartbeat)
    for words in (power, node, beats):
        seed.shuffle(words)
    shuffled = replace(readings, power=tuple(power), node=tuple(node), heartbeat=tuple(beats))

    assert judge(shuffled) == judge(readings)


def word_time(word: PowerReading | NodeReading | HeartbeatReading | Silence) -> float:
    """When it was asked for."""
    return word.asked_at if isinstance(word, PowerReading) else word.at


@given(readings=AROUND_A_PROOF)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_evidence_is_never_younger_than_what_it_rests_on(readings: Readings) -> None:
    """``proven_at`` lies at a reading's question, not later than the newest of each it needs."""
    verdict = judge(readings)
    assume(isinstance(verdict, FenceEvidence))
    assert isinstance(verdict, FenceEvidence)

    assert verdict.proven_at <= readings.now
    if readings.clustered:
        assert verdict.proven_at <= newest(readings.node)
    if verdict.witness is Witness.BMC:
        assert verdict.proven_at <= newest(
            word for word in readings.power if isinstance(word, PowerReading)
        )
    if verdict.witness is Witness.ATTESTATION:
        assert verdict.proven_at <= newest(readings.heartbeat)


def newest(words: Iterable[PowerReading | NodeReading | HeartbeatReading | Silence]) -> float:
    """When the newest of these was asked for."""
    return max(word_time(word) for word in words)


@given(readings=AROUND_A_PROOF)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_evidence_rests_on_all_that_the_laws_want(readings: Readings) -> None:
    """The laws said once more, independently of how ``judge`` finds out."""
    verdict = judge(readings)
    assume(isinstance(verdict, FenceEvidence))
    assert isinstance(verdict, FenceEvidence)
    states = [word.state for word in readings.power if isinstance(word, PowerReading)]
    nodes = sorted((word for word in readings.node if isinstance(word, NodeReading)), key=word_time)
    orders = {order.by for order in readings.off_orders}

    assert not readings.vanished
    assert any(isinstance(word, HeartbeatReading) for word in readings.heartbeat)
    if readings.clustered:
        assert nodes[-1].quorate
        assert not nodes[-1].fence_pending
    if nodes:
        assert not (nodes[-1].connected and nodes[-1].opinion_counts)
    if verdict.witness is Witness.BMC:
        fences = [word.newest_fence for word in nodes]
        assert states.count(PowerState.OFF) >= 2
        assert orders or any(fence is not None and fence.executed for fence in fences)
    if verdict.witness is Witness.PACEMAKER:
        fence = nodes[-1].newest_fence
        assert OffBy.PACEMAKER in orders
        assert fence is not None
        assert (fence.action, fence.executed) == ("off", True)
        assert nodes[-1].node_fenced == epoch(99)
    if verdict.witness is Witness.ATTESTATION:
        assert readings.attestation is not None
        assert readings.attestation.host == HOST


@pytest.mark.parametrize(
    ("dead", "piece"),
    [
        (DEAD, "power"),
        (DEAD, "off_orders"),
        (DEAD, "node"),
        (DEAD, "heartbeat"),
        (FENCED, "off_orders"),
        (FENCED, "node"),
        (FENCED, "heartbeat"),
        (ATTESTED, "attestation"),
        (ATTESTED, "node"),
        (ATTESTED, "heartbeat"),
    ],
)
def test_no_needed_piece_can_be_left_out(dead: Readings, piece: str) -> None:
    """Each proof falls when one of its pieces is taken away."""
    assert isinstance(judge(dead), FenceEvidence)
    nothing = {piece: None if piece == "attestation" else ()}
    if piece == "off_orders":
        dead = without_fences(dead)

    assert isinstance(judge(replace(dead, **nothing)), Doubt)  # type: ignore[arg-type]


@given(readings=ANY, data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_fewer_off_readings_never_prove_more(readings: Readings, data: st.DataObject) -> None:
    """An OFF that is lost, while the BMC's last word stays what it is, makes no evidence."""
    assume(readings.power and isinstance(judge(readings), Doubt))
    last = max(readings.power, key=word_time)
    offs = [
        word
        for word in readings.power
        if isinstance(word, PowerReading) and word.state is PowerState.OFF and word != last
    ]
    lost = data.draw(st.lists(st.sampled_from(offs), min_size=1)) if offs else []

    fewer = tuple(word for word in readings.power if word not in lost)

    assert isinstance(judge(replace(readings, power=fewer)), Doubt)


def without_fences(readings: Readings) -> Readings:
    """Pacemaker has no history."""
    node = tuple(
        replace(word, newest_fence=None) if isinstance(word, NodeReading) else word
        for word in readings.node
    )
    return replace(readings, node=node)


@given(readings=ANY)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_there_is_no_evidence_without_a_cause_of_death(readings: Readings) -> None:
    """Nobody switched it off, nothing fenced it, no person vouches: OFF alone proves nothing."""
    assert isinstance(
        judge(without_fences(replace(readings, off_orders=(), attestation=None))), Doubt
    )


@given(readings=ANY)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_there_is_no_evidence_while_nova_or_the_cluster_says_nothing(readings: Readings) -> None:
    """Nor without Nova's word on the heartbeat, nor without the cluster's where there is one."""
    assert isinstance(judge(replace(readings, heartbeat=())), Doubt)
    assert isinstance(judge(replace(readings, clustered=True, node=())), Doubt)
