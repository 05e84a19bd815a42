"""What the next move is for one server that is being started in place. Pure."""

from dataclasses import dataclass, replace

from hacli.domain.evacuation import MAX_UNSENT, End, Ended, Skip
from hacli.domain.policy import Policy
from hacli.domain.servers import (
    Accepted,
    Guest,
    NotSent,
    Rejected,
    RequestOutcome,
    Server,
    Uncertain,
)
from hacli.domain.start_in_place import Way

POWER_RUNNING = 1
CONFLICT = 409
NEVER = float("-inf")
Found = Way | Skip | Guest | str
"""What hypervisor and action log came to; a text where one of them did not answer."""


@dataclass(frozen=True, kw_only=True)
class StartRun:
    """One server on its way back, as far as this run knows. Times are monotonic seconds."""

    server: Server | None  # as the newest list shows it; None: not on the host any more
    seen_at: float  # when that list was asked for
    began: float
    found: Found | None = None
    looked_at: float = NEVER  # when it was asked for
    asked: int = 0  # requests that may have reached Nova
    unsent: int = 0
    answer: RequestOutcome | None = None
    answered_at: float = NEVER
    in_flight: bool = False
    intent_age_s: float | None = None  # an earlier run asked, and did not learn what came of it


@dataclass(frozen=True, kw_only=True)
class AskTo:
    """Send this request, once."""

    way: Way


@dataclass(frozen=True, kw_only=True)
class LookAtIt:
    """Ask the hypervisor and the action log."""


@dataclass(frozen=True, kw_only=True)
class WaitForIt:
    """Nothing to do until a newer list shows something."""


StartMove = AskTo | LookAtIt | WaitForIt | Ended


def next_start(run: StartRun, *, now: float, policy: Policy) -> StartMove:
    """What to do for this server now."""
    if run.in_flight or run.seen_at == NEVER or run.seen_at < run.answered_at:
        return WaitForIt()
    if run.server is None:
        end = End.UNKNOWN if run.asked else End.NOT_STARTED
        return Ended(end=end, text="it is not on this host any more, by Nova's list")
    if isinstance(run.answer, NotSent) and run.unsent >= MAX_UNSENT:
        text = f"the request could not be sent: {run.answer.why}"
        return Ended(end=End.NOT_ASKED, text=text)
    if isinstance(run.answer, Rejected) and not _worth_another_look(run.answer, run, policy):
        text = f"Nova refused ({run.answer.status}): {run.answer.message}"
        return Ended(end=End.REFUSED, text=text)
    if run.server.task_state is not None:
        return _while_at_it(run, run.server.task_state, now=now, policy=policy)
    if isinstance(run.answer, Accepted):
        return _after_yes(run.server)
    return _after_look(run, run.server, now=now, policy=policy)


def _worth_another_look(answer: Rejected, run: StartRun, policy: Policy) -> bool:
    """A conflict: somebody, the power sync for one, was quicker. What he made of it decides."""
    return answer.status == CONFLICT and run.asked <= policy.retries


def _while_at_it(run: StartRun, task: str, *, now: float, policy: Policy) -> StartMove:
    if now - max(run.began, run.answered_at) < policy.stuck_s:
        return WaitForIt()
    minutes = int(policy.stuck_s // 60)
    return Ended(end=End.STUCK, text=f"Nova has been at it for {minutes} minutes ({task})")


def _after_yes(server: Server) -> Ended:
    """Nova writes the state that the hypervisor reads when the request has been carried out."""
    if server.status == "ACTIVE" and server.power_state == POWER_RUNNING:
        return Ended(end=End.VERIFIED, text=f"ACTIVE on {server.host}")
    fault = f": {server.fault}" if server.fault else ""
    return Ended(end=End.NOT_STARTED, text=f"its start ended in {server.status}{fault}")


def _after_look(run: StartRun, server: Server, *, now: float, policy: Policy) -> StartMove:
    found, age_s = run.found, now - run.looked_at
    if found is None or run.looked_at < run.answered_at or age_s > policy.evidence_max_age_s:
        return LookAtIt()
    if found is Guest.RUNNING:
        return Ended(end=End.VERIFIED, text=f"it runs on {server.host}")
    if found is Guest.NOT_RUNNING:
        return Ended(end=End.VERIFIED, text="it was stopped on purpose, and stays so")
    if isinstance(found, Skip):
        return Ended(end=End.NOT_STARTED, text=found.text)
    if isinstance(found, str):
        patient = now - max(run.began, run.answered_at) < policy.silence_limit_s
        text = f"whether it runs is not known: {found}"
        return LookAtIt() if patient else Ended(end=End.UNKNOWN, text=text)
    return _without_trace(run, found, now=now, policy=policy)


def _without_trace(run: StartRun, way: Way, *, now: float, policy: Policy) -> StartMove:
    """It does not run, and nobody has asked, by Nova's records."""
    if isinstance(run.answer, Uncertain):
        if now - run.answered_at < policy.look_s:
            return LookAtIt()
        if run.answer.status is not None and run.asked <= policy.retries:
            return AskTo(way=way)
        text = f"whether Nova took the request is not known ({run.answer.why})"
        return Ended(end=End.UNKNOWN, text=text)
    if run.intent_age_s is not None and run.intent_age_s + (now - run.began) < policy.settle_s:
        text = "an earlier run asked for it and did not learn what came of it"
        return Ended(end=End.UNKNOWN, text=text)
    return AskTo(way=way)


def sent(run: StartRun) -> StartRun:
    """The run with its request on the way."""
    return replace(run, in_flight=True, asked=run.asked + 1, found=None)


def replied(run: StartRun, outcome: RequestOutcome, *, now: float) -> StartRun:
    """The run with Nova's answer; a request that was not sent does not count as asked."""
    unsent = isinstance(outcome, NotSent)
    return replace(
        run,
        in_flight=False,
        answer=outcome,
        answered_at=now,
        asked=run.asked - 1 if unsent else run.asked,
        unsent=run.unsent + 1 if unsent else 0,
    )
