"""The verify-storage screen: counts first, then who is at risk by name, why, and what helps."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hacli.cli.text import (
    NAMES_SHOWN,
    SHORT_ID,
    clock_time,
    columns,
    duration,
    names,
    styled,
    wrapped,
)
from hacli.domain.host_storage import Unknown
from hacli.domain.storage import Back, Fate, Verdict
from hacli.service.storage import HostVerdict, StorageCheck

WIDTH = 80
HANG = 4
MOST_IN_TROUBLE = 5
"""Rows of hosts that need somebody; what is wrong with them stands below, by reason."""
HOSTS_SHOWN = 3
PLACES_SHOWN = 5
GROUPS_SHOWN = 5
"""Reasons on a screen; a region with more of them needs ``-v``, or a file."""
WORDS = {
    Fate.SURVIVES: "survive",
    Fate.LOSES_ROOT: "without root disk",
    Fate.LOSES_EPHEMERAL: "without ephemeral or swap disk",
    Fate.NOT_EVACUABLE: "not evacuable",
    Fate.UNKNOWN: "unknown",
}
LEFT = {
    Back.IMAGE: "; only its image is left",
    Back.NOTHING: "; NOTHING is left to go back to",
    Back.UNKNOWN: "; its way back is not known",
}
NEXT: Mapping[str, tuple[str, str]] = {
    "LOCAL_DISK": ("openstack server image create VM", "gives it a way back"),
    "VOLUME_BACKEND": ("openstack volume service list", "shows which cinder-volume is down"),
    "VM_ZONE": ("openstack compute service list", "shows which hosts are disabled or down"),
    "STORAGE_UNVERIFIED": ("hacli verify-storage", "again, when every source answers"),
}
"""What to type about a problem code, and what for; ``hacli explain`` about all others."""


@dataclass(frozen=True, kw_only=True)
class StorageView:
    """What to show of a check, and how."""

    check: StorageCheck
    named: bool  # hosts were named: each has its row
    verbose: bool
    color: bool

    @property
    def verdicts(self) -> list[Verdict]:
        """Those on all servers that were listed."""
        return [verdict for host in self.check.hosts for verdict in host.listed]


def lines_of(view: StorageView) -> Iterator[str]:
    """The whole screen, line by line."""
    title = "Would every VM survive the loss of its host?"
    yield title + f"{clock_time(view.check.at)} UTC".rjust(WIDTH - 1 - len(title))
    yield _counted(view)
    yield ""
    yield from _places(view)
    yield ""
    yield from _hosts(view)
    for part in (_reasons(view), _unlisted(view), _findings(view)):
        lines = list(part)
        yield from ["", *lines] if lines else []
    yield ""
    yield from _verdict(view)


def _counted(view: StorageView) -> str:
    counted = Counter(verdict.fate for verdict in view.verdicts)
    order = (Fate.SURVIVES, *(fate for fate in Fate if fate is not Fate.SURVIVES))
    parts = [f"{counted[fate]} {WORDS[fate]}" for fate in order if counted[fate]]
    return f"VMs {counted.total()}" + (f": {', '.join(parts)}" if parts else "")


def _places(view: StorageView) -> Iterator[str]:
    """Where disks are, how that is known, and the services that attach volumes."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for host in view.check.hosts:
        judged = host.storage
        key = (judged.keeps.value, judged.known_by, judged.text)
        places.setdefault(key, []).append(host.host.name)
    rows = [
        (keeps, f"{len(of)} hosts" if len(of) > 1 else of[0], known_by, text)
        for (keeps, known_by, text), of in places.items()
    ]
    shown = rows if view.verbose else rows[:PLACES_SHOWN]
    lines = columns([("DISKS", "OF", "KNOWN BY", "WHERE"), *shown])
    yield from (_cut(line) for line in lines)
    if len(shown) < len(rows):
        yield f"  ... {len(rows) - len(shown)} more places (-v)"
    services = view.check.volume_services
    if not isinstance(services, Unknown) and services:
        down = [service.host for service in services if not service.up]
        up = f"{len(services) - len(down)} of {len(services)} cinder-volumes up"
        yield f"  volumes: {up}" + (f"; DOWN: {names(down)}" if down else "")


def _cut(line: str) -> str:
    return line if len(line) < WIDTH else f"{line[: WIDTH - 4]}..."


def _hosts(view: StorageView) -> Iterator[str]:
    """A row for each host that needs somebody; the others in one, unless they are asked for."""
    hosts = sorted(view.check.hosts, key=lambda host: (not host.at_risk, not host.unknown))
    each = [h for h in hosts if h.at_risk or h.unknown or view.named or view.verbose]
    rest = [host for host in hosts if host not in each]
    shown = each if view.verbose or view.named else each[:MOST_IN_TROUBLE]
    rows = [_row(host.host.name, [host]) for host in shown]
    if len(each) > len(shown):
        more = each[len(shown) :]
        rows.append(_row(f"{len(more)} more (-v)", more))
    if rest:
        rows.append(_row(f"{len(rest)} hosts" if len(rest) > 1 else rest[0].host.name, rest))
    table = [(" ", "HOST", "VMS", "SURVIVE", "AT RISK", "UNKNOWN", "VERDICT"), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(7)]
    for mark, name, *numbers, verdict in table:
        cells = [number.rjust(widths[i]) for i, number in enumerate(numbers, start=2)]
        line = f"{mark} {'  '.join((name.ljust(widths[1]), *cells, verdict))}".rstrip()
        yield styled(line, {"!": "red", "?": "yellow"}.get(mark), color=view.color)


def _row(name: str, hosts: list[HostVerdict]) -> tuple[str, ...]:
    listed = [verdict for host in hosts for verdict in host.listed]
    unlisted = any(isinstance(host.verdicts, Unknown) for host in hosts)
    counted = Counter(verdict.fate for verdict in listed)
    at_risk = sum(len(host.at_risk) for host in hosts)
    unknown = any(host.unknown for host in hosts)
    return (
        "!" if at_risk else "?" if unknown else " ",
        name,
        "?" if unlisted else str(len(listed)),
        str(counted[Fate.SURVIVES]),
        str(at_risk),
        "?" if unlisted else str(counted[Fate.UNKNOWN]),
        "AT RISK" if at_risk else "UNKNOWN" if unknown else "ok",
    )


def _reasons(view: StorageView) -> Iterator[str]:
    """Servers by name, those with one reason together, the worst first; with -v host by host."""
    groups: dict[tuple[Fate, str, str], list[tuple[str, Verdict]]] = {}
    for host in view.check.hosts:
        for verdict in host.listed:
            if verdict.fate is not Fate.SURVIVES:
                name = host.host.name
                key = (verdict.fate, name if view.verbose else "", _reason(verdict))
                groups.setdefault(key, []).append((name, verdict))
    order = tuple(Fate)
    worst_first = sorted(groups.items(), key=lambda group: order.index(group[0][0]))
    shown = worst_first if view.verbose else worst_first[:GROUPS_SHOWN]
    for (fate, _, reason), members in shown:
        yield from _group(view, fate, reason, members)
    if len(worst_first) > len(shown):
        rest = worst_first[len(shown) :]
        count = sum(len(members) for _, members in rest)
        yield f"  ... {count} more VMs for {len(rest)} more reasons (-v)"


def _group(
    view: StorageView, fate: Fate, reason: str, members: list[tuple[str, Verdict]]
) -> Iterator[str]:
    mark, style = ("?", "yellow") if fate is Fate.UNKNOWN else ("!", "red")
    hosts = names(list(dict.fromkeys(host for host, _ in members)), most=HOSTS_SHOWN)
    yield from _hanging(f"{mark} {hosts}  {reason}", style, view)
    servers = [_name(view, verdict) for _, verdict in members]
    most = len(servers) if view.verbose else NAMES_SHOWN
    yield from wrapped("", names(servers, most=most), indent=HANG)


def _hanging(text: str, style: str, view: StorageView) -> Iterator[str]:
    """The text from the left edge, and what does not fit below it, a little to the right."""
    first, *more = wrapped("", text, width=WIDTH - HANG, indent=0)
    yield styled(first, style, color=view.color)
    yield from (" " * HANG + line for line in more)


def _reason(verdict: Verdict) -> str:
    left = LEFT.get(verdict.back.kind, "") if verdict.back else ""
    return f"{verdict.code}  {verdict.text}{left}"


def _unlisted(view: StorageView) -> Iterator[str]:
    for host in view.check.hosts:
        if isinstance(host.verdicts, Unknown):
            yield from wrapped("", f"? {host.host.name}  {host.verdicts.why}", indent=0)


def _name(view: StorageView, verdict: Verdict) -> str:
    name = f"{verdict.server.name} {verdict.server.id[:SHORT_ID]}"
    snapshot = verdict.back.image if verdict.back and verdict.back.kind is Back.SNAPSHOT else None
    if snapshot is None:
        return name
    age = duration((view.check.at - snapshot.created_at).total_seconds())
    return f"{name} (snapshot {age} old)"


def _findings(view: StorageView) -> Iterator[str]:
    for finding in view.check.findings:
        hosts = names(finding.hosts, most=len(finding.hosts) if view.verbose else HOSTS_SHOWN)
        yield from _hanging(f"! {hosts}  {finding.code}  {finding.text}", "red", view)
        yield from wrapped("    cure: ", finding.cure, indent=10)


def _verdict(view: StorageView) -> Iterator[str]:
    check, total = view.check, len(view.verdicts)
    at_risk = sum(len(host.at_risk) for host in check.hosts)
    unknown = sum(verdict.fate is Fate.UNKNOWN for verdict in view.verdicts)
    yield from _incomplete(check)
    unsure = f"; {unknown} could not be judged" if unknown else ""
    losing = sum(verdict.fate is Fate.LOSES_ROOT for verdict in view.verdicts)
    if at_risk:
        text = f"AT RISK: {at_risk} of {total} VMs would lose data or stay down{unsure}."
    elif check.findings:
        text = f"TO MEND: no VM is at risk{unsure}, but look at the findings above."
    elif unknown:
        text = f"UNKNOWN: {unknown} of {total} VMs could not be judged."
    elif not check.complete:
        text = "UNKNOWN: not every source has answered."
    elif losing:
        text = f"OK: {total} VMs would survive, {losing} of them by a young enough snapshot."
    else:
        text = f"OK: all {total} VMs would survive the loss of their host."
    yield from wrapped("", text, indent=0)
    yield from _next(view)


def _incomplete(check: StorageCheck) -> Iterator[str]:
    for why in check.silent.values():
        yield from wrapped("", f"Incomplete: {why}", indent=0)
    if check.unprobed:
        silent = names(check.unprobed, most=HOSTS_SHOWN)
        yield from wrapped("", f"Incomplete: the probe of {silent} did not tell.", indent=0)


def _next(view: StorageView) -> Iterator[str]:
    codes = [v.code for host in view.check.hosts for v in host.listed if v.code is not None]
    codes += [finding.code for finding in view.check.findings]
    if any(host.unknown for host in view.check.hosts):
        codes.append("STORAGE_UNVERIFIED")
    rows = [
        NEXT.get(code) or (f"hacli explain {code}", "what it means, and what helps")
        for code in dict.fromkeys(codes)
    ]
    for number, line in enumerate(columns(rows[:4], indent="")):
        yield ("Next:" if number == 0 else "").ljust(8) + line
