"""The claim of a host: what it says, and when it may be taken over."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacli.domain.claim import (
    Claim,
    Gone,
    Held,
    Here,
    ProcessId,
    judge_holder,
    parse_claim,
)
from hacli.domain.cluster import ClusterMember, ClusterView, FenceEvent

THERE = ProcessId(boot="boot-a", namespace="1", pid=4711, started=99)
CLAIM = Claim(
    run="r-1a2b3c",
    hacli="0.1.0",
    controller="controller-2",
    machine="controller-2.example.org",
    user="alice",
    process=THERE,
    since=datetime(2026, 11, 22, 5, 46, 8, tzinfo=UTC),
)
TEXT = (
    "v1 run=r-1a2b3c hacli=0.1.0 controller=controller-2 machine=controller-2.example.org "
    "user=alice pid=4711 started=99 boot=boot-a ns=1 since=2026-11-22T05:46:08Z"
)
ELSEWHERE = Here(
    process=ProcessId(boot="boot-b", namespace="1", pid=1, started=1),
    node="controller-1",
    holder_runs=False,
)
FENCED_AT = datetime(2026, 11, 22, 6, 0, 0, tzinfo=UTC)
FENCING = FenceEvent(
    target="controller-2",
    action="reboot",
    status="success",
    delegate="controller-1",
    completed=FENCED_AT,
)
LEFT = ClusterMember(
    name="controller-2",
    online=False,
    unclean=False,
    pending=False,
    in_cluster=False,
    left=True,
    node_fenced=None,
    fence_events=(),
)
FENCED = replace(LEFT, node_fenced=int(FENCED_AT.timestamp()), fence_events=(FENCING,))
MAJORITY = ClusterView(
    name=None,
    dc="controller-1",
    with_quorum=True,
    members=3,
    members_online=2,
    fencing_enabled=True,
    maintenance_mode=False,
    fencing_timeout_s=60.0,
    nodes=(),
    devices=(),
    levels=(),
    read_at=0.0,
    controllers=(LEFT,),
)


def with_member(**changes: object) -> ClusterView:
    """The cluster, and how it sees the holder's controller."""
    return replace(MAJORITY, controllers=(replace(LEFT, **changes),))  # type: ignore[arg-type]


def with_fencing(**changes: object) -> ClusterView:
    """The controller was fenced, but for these changes of its newest event."""
    event = replace(FENCING, **changes)  # type: ignore[arg-type]
    return replace(MAJORITY, controllers=(replace(FENCED, fence_events=(event,)),))


def test_a_claim_is_words_that_a_person_can_read() -> None:
    """In the CIB as in the error; the version comes first."""
    assert CLAIM.text == TEXT
    assert CLAIM.words == (
        "run r-1a2b3c of alice on controller-2.example.org, pid 4711, since 2026-11-22 05:46:08Z"
    )


@given(
    user=st.text(min_size=1).filter(lambda text: "\x00" not in text and text.isprintable()),
    machine=st.text(min_size=1, alphabet="ab'\"<>&]=% \n/|"),
    controller=st.none() | st.just("controller-1"),
)
def test_a_claim_is_read_as_it_was_written(user: str, machine: str, controller: str | None) -> None:
    """Whatever names people give; no quote, bracket or blank gets into the CIB or an xpath."""
    claim = replace(CLAIM, user=user, machine=machine, controller=controller)

    assert parse_claim(claim.text) == claim
    assert not set(claim.text) & set("'\"<>&[]|\n\t")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "locked by bob",
        TEXT.replace("v1", "v2"),
        TEXT.replace("v1 ", ""),
        TEXT.replace(" pid=4711", ""),
        TEXT.replace("pid=4711", "pid="),
        TEXT.replace("pid=4711", "pid=-1"),
        TEXT.replace("pid=4711", "pid=0"),
        TEXT.replace("pid=4711", "pid=99999999999"),
        TEXT.replace("pid=4711", "pid=4711x"),
        TEXT.replace("Z", ""),
        TEXT.replace("2026", "soon"),
        TEXT + " more=1",
        TEXT + " pid=4712",
        TEXT.replace(" ", "  "),
    ],
)
def test_what_is_not_understood_to_the_letter_is_no_claim_of_ours(text: str) -> None:
    """Then nothing is known of the holder, and nobody takes over."""
    with pytest.raises(ValueError, match="it "):
        parse_claim(text)


@pytest.mark.parametrize(
    ("here", "view", "found"),
    [
        (
            replace(ELSEWHERE, process=replace(ELSEWHERE.process, boot="boot-a")),
            MAJORITY,
            Gone(why="its process on this machine is no more", dead=True),
        ),
        (
            Here(process=replace(THERE, pid=5), node="controller-2", holder_runs=True),
            MAJORITY,
            Held(why="its process runs on this machine", seen=True),
        ),
        (
            Here(process=replace(THERE, namespace="2"), node=None, holder_runs=False),
            MAJORITY,
            Held(why="it was started in another container of this machine"),
        ),
        (
            replace(ELSEWHERE, node="controller-2"),
            with_member(online=True, in_cluster=True),
            Gone(why="this machine has been booted since", dead=True),
        ),
        (ELSEWHERE, MAJORITY, Gone(why="controller-2 has left the cluster", dead=False)),
        (
            ELSEWHERE,
            replace(MAJORITY, controllers=(FENCED,)),
            Gone(why="controller-2 was fenced", dead=True),
        ),
        (ELSEWHERE, with_fencing(action="off"), Gone(why="controller-2 was fenced", dead=True)),
    ],
    ids=["dead", "alive", "container", "booted", "left", "fenced by reboot", "fenced by off"],
)
def test_the_holder_is_judged(here: Here, view: ClusterView, found: Gone | Held) -> None:
    """By its own machine first, then by the cluster."""
    assert judge_holder(CLAIM, here, view) == found


@pytest.mark.parametrize(
    "view",
    [
        replace(MAJORITY, with_quorum=False),
        replace(MAJORITY, dc=None),
        replace(MAJORITY, controllers=()),
        replace(MAJORITY, fencing_enabled=False),
        replace(MAJORITY, maintenance_mode=True),
        with_member(online=True),
        with_member(unclean=True),
        with_member(pending=True),
        with_member(in_cluster=True),
        with_member(left=False),
        with_member(node_fenced=int(FENCED_AT.timestamp())),
        with_fencing(delegate="a human"),
        with_fencing(delegate=None),
        with_fencing(status="failed"),
        with_fencing(status="pending", completed=None),
        with_fencing(action="on"),
        with_fencing(completed=datetime(2026, 11, 22, 6, 0, 1, tzinfo=UTC)),
    ],
    ids=[
        "no quorum", "no DC", "not listed", "fencing is off", "maintenance", "online", "unclean",
        "pending", "in membership", "lost", "fenced, without an event", "by a human", "by nobody",
        "failed", "fencing pending", "on", "another fencing",
    ],
)  # fmt: skip
def test_in_doubt_the_holder_is_alive(view: ClusterView) -> None:
    """Law L1, also for controllers."""
    assert isinstance(judge_holder(CLAIM, ELSEWHERE, view), Held)


def test_a_workstation_is_no_member_whatever_became_of_the_cluster() -> None:
    """Its process may reach the cluster by another way."""
    holder = replace(CLAIM, controller=None, machine="desk")

    assert judge_holder(holder, ELSEWHERE, MAJORITY) == Held(
        why="whether its process still runs on desk cannot be seen here"
    )
