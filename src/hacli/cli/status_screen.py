"""The status screen: one headline, the hosts that need attention first, one verdict, what next."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hacli.cli.status_codes import ATTENTION, codes_of
from hacli.cli.text import clock_time, columns, duration, names, styled, wrapped
from hacli.domain.cluster import ClusterNode, ClusterView, FenceEvent
from hacli.domain.gates import STORM_LEAST, devices_for
from hacli.domain.hosts import (
    HostState,
    Verdict,
    connected,
    opinion_counts,
)
from hacli.domain.power import PowerState
from hacli.domain.servers import Caller, ComputeService, ServiceList
from hacli.errors import SourceError
from hacli.service.observe import Region

WIDTH = 80
FOLD_ABOVE = 20
FOLD_IN_TROUBLE = 10
"""More healthy hosts would push the headline off a screen of 24 lines."""
FOLD_TO = 2
MOST_IN_TROUBLE = 5
"""Rows of hosts that need somebody; a storm of a hundred is a network, not a hundred failures."""
ORDER = tuple(Verdict)
STYLE = {
    Verdict.FAILED: "red",
    Verdict.FENCED: "red",
    Verdict.UNKNOWN: "yellow",
    Verdict.DEGRADED: "yellow",
    Verdict.RETURNED: "yellow",
}


@dataclass(frozen=True, kw_only=True)
class StatusView:
    """What to show of a region, and how."""

    region: Region
    now: datetime
    show_all: bool
    detail: bool  # hosts were named: everything about them
    verbose: bool
    color: bool


def lines_of(view: StatusView) -> Iterator[str]:
    """The whole screen, line by line."""
    yield from _headline(view)
    yield ""
    yield from _table(view)
    if view.detail:
        for state in view.region.states:
            yield ""
            yield from _detail(view, state)
    yield ""
    yield from _verdict(view)
    if view.verbose:
        took = view.region.sources.took_s
        yield "(" + ", ".join(f"{name} {seconds:.1f}s" for name, seconds in took.items()) + ")"


def _headline(view: StatusView) -> Iterator[str]:
    cluster = view.region.sources.cluster
    parts = [(cluster and cluster.name) or "hacli", f"{clock_time(view.now)} UTC"]
    if cluster is None:
        parts.append("Pacemaker: ?" if view.region.sources.view is not None else "no cluster asked")
    else:
        state = f"{cluster.members_online}/{cluster.members}"
        parts.append(f"quorum {state}" if cluster.acts else f"NO QUORUM {state}")
        parts.append("fencing on" if cluster.fencing_enabled else "FENCING OFF")
        if cluster.maintenance_mode:
            parts.append("MAINTENANCE")
    left = "   ".join(parts)
    word, style = _summary(view)
    gap = max(3, WIDTH - 1 - len(left) - len(word))
    yield left + " " * gap + styled(word, style, color=view.color)
    counted = Counter(view.region.verdicts.values())
    states = ", ".join(
        f"{counted[verdict]} {_loud(verdict)}" for verdict in reversed(ORDER) if counted[verdict]
    )
    known = [state.servers for state in view.region.states if state.servers is not None]
    unknown = len(view.region.states) - len(known)
    vms = f"VMs {sum(known)}" + (f" (and {unknown} hosts unknown)" if unknown else "")
    down = sum(s.servers or 0 for s in _needy(view, Verdict.FAILED, Verdict.FENCED))
    vms += f": {down} DOWN" if down else ""
    hosts = f"Hosts {len(view.region.states)}: {states}"
    yield f"{hosts:<36}    {vms}"


def _loud(verdict: Verdict) -> str:
    return verdict.value.upper() if STYLE.get(verdict) == "red" else verdict.value


def _summary(view: StatusView) -> tuple[str, str]:
    counted = Counter(view.region.verdicts.values())
    failed = counted[Verdict.FAILED] + counted[Verdict.FENCED]
    if failed:
        return f"{failed} FAILED" if counted[Verdict.FAILED] else f"{failed} FENCED", "red"
    if not view.region.complete:
        return "INCOMPLETE", "yellow"
    attention = sum(counted[verdict] for verdict in ATTENTION)
    if attention:
        return f"{attention} to look at", "yellow"
    return "OK", "green"


def _needy(view: StatusView, *wanted: Verdict) -> list[HostState]:
    verdicts = view.region.verdicts
    return [state for state in view.region.states if verdicts[state.host.name] in wanted]


def _table(view: StatusView) -> Iterator[str]:
    verdicts = view.region.verdicts
    states = sorted(
        view.region.states,
        key=lambda s: (ORDER.index(verdicts[s.host.name]), -(s.servers or 0)),
    )
    attention = [s for s in states if verdicts[s.host.name] in ATTENTION]
    healthy = [s for s in view.region.states if s not in attention]
    first, more_attention = _folded(view, attention, MOST_IN_TROUBLE, MOST_IN_TROUBLE)
    above = FOLD_IN_TROUBLE if attention else FOLD_ABOVE
    rest, more_healthy = _folded(view, healthy, above, FOLD_TO)
    lines = _rows(view, first + rest)
    yield next(lines)
    for state in first:
        yield styled(next(lines), STYLE.get(verdicts[state.host.name]), color=view.color)
        for text in _reasons(view, state):
            yield from wrapped("", text, indent=14)
    if more_attention:
        yield f"  ... {more_attention} more hosts that need you (--all)"
    yield from lines
    if more_healthy:
        yield f"  ... {more_healthy} more healthy hosts (--all)"


def _folded(
    view: StatusView, states: list[HostState], above: int, keep: int
) -> tuple[list[HostState], int]:
    """The hosts to show, and how many more there are."""
    if view.show_all or view.detail or len(states) <= above:
        return states, 0
    return states[:keep], len(states) - keep


def _rows(view: StatusView, states: list[HostState]) -> Iterator[str]:
    """The head and one line for each host: its mark before the name, numbers to the right."""
    head = ("HOST", "PACEMAKER", "NOVA", "POWER", "FENCING", "VMS", "")
    table: list[tuple[str, ...]] = [head, *(_row(view, state) for state in states)]
    width = max(len(row[5]) for row in table)
    marks = [" ", *(_mark(view, state) for state in states)]
    right = [(*row[:5], row[5].rjust(width), row[6]) for row in table]
    for mark, line in zip(marks, columns(right, indent=""), strict=True):
        yield f"{mark} {line}".rstrip()


def _mark(view: StatusView, state: HostState) -> str:
    style = STYLE.get(view.region.verdicts[state.host.name], "")
    return {"red": "!", "yellow": "?"}.get(style, " ")


def _row(view: StatusView, state: HostState) -> tuple[str, ...]:
    verdict = view.region.verdicts[state.host.name]
    cluster = view.region.sources.cluster
    servers = "?" if state.servers is None else str(state.servers)
    about = "~" if verdict in ATTENTION and state.servers and not state.servers_exact else ""
    codes = codes_of(state, verdict, cluster)
    return (
        state.host.name,
        _pacemaker_word(state.host.node, cluster, off_is_well=verdict is Verdict.OFF),
        _nova_word(state.host.service, view.region.sources.services),
        _power_word(state, failed=verdict is Verdict.FAILED),
        _fencing_word(state, cluster),
        about + servers,
        codes[0] if codes else "",
    )


def _pacemaker_word(
    node: ClusterNode | None, view: ClusterView | None, *, off_is_well: bool
) -> str:
    if view is None:
        return "?"
    if node is None:
        return "not known"
    if not opinion_counts(node, view):
        return "maintenance" if view.acts else "?"
    if connected(node):
        return "standby" if node.standby else "online"
    if off_is_well:
        return "offline"
    return "UNCLEAN" if node.unclean else "OFFLINE"


def _nova_word(service: ComputeService | None, services: ServiceList | SourceError) -> str:
    if isinstance(services, SourceError):
        return "?"
    if service is None:
        return "not known"
    if not service.known:
        return "?"
    state = "forced down" if service.forced_down else "up" if service.up else "DOWN"
    return state if service.enabled else f"{state}, dis."


def _power_word(state: HostState, *, failed: bool) -> str:
    """Off is always loud, on is where it should not be."""
    if state.power is not None:
        loud = failed or state.power is PowerState.OFF
        return state.power.value.upper() if loud else state.power.value
    return "?" if state.power_unknown_because or state.host.bmc is not None else "-"


def _fencing_word(state: HostState, view: ClusterView | None) -> str:
    if view is None:
        return "?"
    if not view.fencing_enabled:
        return "OFF"
    return "ok" if devices_for(state.host, view) else "NONE"


def _reasons(view: StatusView, state: HostState) -> Iterator[str]:
    host, node = state.host, state.host.node
    cluster = view.region.sources.cluster
    more = codes_of(state, view.region.verdicts[host.name], cluster)[1:]
    if more:
        yield f"also {', '.join(more)}"
    if host.ambiguous:
        yield host.ambiguous
    if node is None:
        yield "no Pacemaker node has this name" if cluster else "Pacemaker did not say"
        return
    if host.service is None and isinstance(view.region.sources.services, ServiceList):
        yield "Nova has no compute service of this name"
    if node.lost_at is not None and not connected(node):
        ago = duration((view.now - node.lost_at).total_seconds())
        yield f"lost {ago} ago ({clock_time(node.lost_at)})"
    if node.fence_events:
        yield _fence_text(node.fence_events[0])
    if state.power_unknown_because:
        yield f"power: {state.power_unknown_because}"
    yield from _reasons_of_living(state)


def _reasons_of_living(state: HostState) -> Iterator[str]:
    node, service = state.host.node, state.host.service
    stopped = [s for s in node.chain if s.role.value != "Started"] if node is not None else []
    if stopped and node is not None and connected(node):
        yield "not running: " + ", ".join(
            s.name + (f" ({s.failure})" if s.failure else "") for s in stopped
        )
    if state.to_start:
        yield f"{state.to_start} VMs died with it, and have not been started since"
    if service is not None and not service.enabled:
        yield f"disabled: {service.disabled_reason or 'no reason given'}"


def _fence_text(event: FenceEvent) -> str:
    what = {"success": "fenced", "failed": "fencing FAILED", "pending": "is being fenced"}
    when = f" at {clock_time(event.completed)}" if event.completed else ""
    why = f": {event.exit_reason}" if event.exit_reason else ""
    by = " by hand (nobody cut any power)" if event.delegate == "a human" else ""
    return f"{what.get(event.status, event.status)} ({event.action}){when}{by}{why}"


def _detail(view: StatusView, state: HostState) -> Iterator[str]:
    """Everything about one host: its names, chain in start order, fencing, BMC."""
    host, node, service = state.host, state.host.node, state.host.service
    yield f"{host.name}: {view.region.verdicts[host.name].value}"
    rows = [
        ("Pacemaker node", node.name if node else "-"),
        ("Nova host", service.host if service else "-"),
        ("BMC", f"{host.bmc.label} ({host.bmc.origin})" if host.bmc else "-"),
    ]
    if node is not None:
        rows += [("service" if i == 0 else "", _chain_text(s)) for i, s in enumerate(node.chain)]
        rows += [
            ("fencing" if i == 0 else "", _fence_text(e))
            for i, e in enumerate(node.fence_events[:3])
        ]
        rows += [(name, value) for name, value in node.attributes.items()]
    if service is not None:
        reported = service.updated_at
        rows.append(("Nova record moved", clock_time(reported) if reported else "never"))
        if service.disabled_reason:
            rows.append(("disabled because", service.disabled_reason))
    if state.power_unknown_because:
        rows.append(("power unknown", state.power_unknown_because))
    yield from columns(rows)


def _chain_text(service: object) -> str:
    from hacli.domain.cluster import ChainService

    assert isinstance(service, ChainService)
    extra = f"  {service.failure}" if service.failure else ""
    unmanaged = "" if service.managed else "  (unmanaged)"
    return f"{service.name}  {service.role.value}{extra}{unmanaged}"


def _verdict(view: StatusView) -> Iterator[str]:
    region = view.region
    yield from _silent_sources(region)
    failed = _needy(view, Verdict.FAILED)
    fenced = _needy(view, Verdict.FENCED)
    total = len(region.states)
    if len(failed) >= STORM_LEAST and len(failed) > total / 2:
        yield from wrapped(
            "",
            f"{len(failed)} of {total} hosts look down at once: this looks like a network problem"
            " of this machine. hacli will not fence.",
            indent=0,
        )
        yield from _next(["look at the network, then   hacli status"])
        return
    if failed or fenced:
        yield from _about_failed(failed, fenced)
        return
    returned = _needy(view, Verdict.RETURNED)
    if returned:
        waiting = [state for state in returned if state.to_start]
        text = f"{_list(returned)} is back and waits for you."
        if waiting and len(waiting) == len(returned):
            vms = sum(state.to_start for state in waiting)
            text = f"{_list(waiting)} is back: {vms} VMs that ran on it wait to be started there."
        yield from wrapped("", text, indent=0)
        yield from _next([_command_for(state) for state in returned])
        return
    unclear = _needy(view, Verdict.UNKNOWN, Verdict.DEGRADED)
    if unclear:
        yield from wrapped("", f"Look at {_list(unclear)}: the rows above say why.", indent=0)
        if not view.detail:
            yield from _next([f"hacli status {state.host.name}" for state in unclear[:3]])
    elif region.complete:
        yield _all_well(len(_needy(view, Verdict.READY)), total)


def _command_for(returned: HostState) -> str:
    name = returned.host.name
    return f"hacli recover {name} --dry-run" if returned.to_start else f"hacli enable {name}"


def _all_well(ready: int, total: int) -> str:
    if ready == total:
        return f"OK: {'all ' if total > 1 else ''}{_hosts(total)} ready."
    rest = f"{_hosts(total - ready)} off or disabled"
    return f"OK: {_hosts(ready)} ready, {rest}." if ready else f"OK: {rest}."


def _hosts(number: int) -> str:
    return f"{number} host is" if number == 1 else f"{number} hosts are"


def _silent_sources(region: Region) -> Iterator[str]:
    sources = (region.sources.view, region.sources.services, region.sources.caller)
    for source in sources:
        if isinstance(source, SourceError):
            yield from wrapped("", f"Incomplete: {source.source}: {source.why}", indent=0)
    uncounted = sum(state.servers is None for state in region.states)
    if uncounted and not any(isinstance(source, SourceError) for source in sources):
        yield f"Incomplete: Nova did not count the VMs of {uncounted} hosts."
    caller = region.sources.caller
    if isinstance(caller, Caller) and not caller.admin:
        yield from wrapped("", f"VMs are unknown: {caller.why_not or 'not an admin'}", indent=0)


def _about_failed(failed: list[HostState], fenced: list[HostState]) -> Iterator[str]:
    for state in failed:
        vms = "its VMs" if state.servers is None else f"its {state.servers} VMs"
        power = "is still ON" if state.power is PowerState.ON else "is not known"
        yield from wrapped(
            "",
            f"FAILED: {state.host.name} does not answer and its power {power}."
            f" Perhaps {vms} are still writing to their disks: do not evacuate or reboot them"
            " by hand.",
            indent=0,
        )
    for state in fenced:
        vms = "its VMs" if state.servers is None else f"its {state.servers} VMs"
        yield from wrapped(
            "", f"FENCED: {state.host.name} is off; {vms} are down until rebuilt.", indent=0
        )
    name = (failed + fenced)[0].host.name
    yield from _next(
        [
            f"hacli recover {name} --dry-run    look at the plan, changes nothing",
            f"hacli recover {name}              power it off, rebuild its VMs",
        ]
    )


def _list(states: list[HostState]) -> str:
    return names([state.host.name for state in states])


def _next(commands: list[str]) -> Iterator[str]:
    for number, command in enumerate(commands):
        yield ("Next:" if number == 0 else "").ljust(8) + command
