"""What `recover` shows of a host that is back: servers started where they are."""

from collections.abc import Iterator

from hacli.cli.text import columns, duration, names, wrapped
from hacli.domain.start_in_place import Start, StartPlan, Way
from hacli.service.recovery import Prepared, Recovered
from hacli.service.run import counts

WAYS = {
    Way.REBOOT: "hard reboot: ACTIVE by Nova's word, not running by their hypervisor's",
    Way.START: "start: Nova's power sync has stopped them since, and nobody else",
    Way.FOLLOW: "Nova is at work on them already: only followed",
}
STEP = "each VM that ran before and does not now, once, where it is"


def census(starts: StartPlan) -> str:
    """``12 VMs to start (3 running, 2 stopped as before; 1 left alone)``."""
    rest = counts({"running": starts.running, "stopped as before": starts.at_rest})
    left = f"{len(starts.skips)} left alone" if starts.skips else ""
    words = "; ".join(part for part in (rest, left) if part)
    return f"{len(starts.starts)} VMs to start" + (f" ({words})" if words else "")


def plan_lines(starts: StartPlan) -> Iterator[str]:
    """The plan of a dry run, without the servers left alone."""
    yield f"Plan: {census(starts)}"
    yield from columns([("1", "start", STEP)])
    for way, text in WAYS.items():
        members = [start.server.name for start in starts.starts if start.way is way]
        if members:
            yield from wrapped("  ", f"{names(members)}: {text}", indent=2)


def question_line(prepared: Prepared, starts: StartPlan) -> str:
    """What is about to be done."""
    return f"Plan: start {len(starts.starts)} VMs on {prepared.host.name}, where they are."


def start_document(start: Start) -> dict[str, object]:
    """One server of a dry run as JSON."""
    return {
        "id": start.server.id,
        "name": start.server.name,
        "was": "active",
        "start": start.way.value,
    }


def end_title(result: Recovered, *, good: int, total: int) -> str:
    """The first line of the end."""
    word = "STARTED" if result.complete else "PARTLY STARTED"
    took = duration(result.took_s)
    return f"{word} {result.host} in place: {good} of {total} VMs in {took}"


def good_end(result: Recovered, *, good: int, total: int) -> Iterator[str]:
    """The last screen of a run in which everything was started."""
    yield end_title(result, good=good, total=total)
    yield f"They run on {result.host} as before the outage; nothing was moved."
    yield f"Next:   for the ticket    hacli history show {result.run}"
