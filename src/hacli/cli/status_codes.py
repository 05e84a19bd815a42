"""Stable problem codes of hosts, for the screen and for programs alike."""

from hacli.domain.cluster import ClusterView
from hacli.domain.gates import devices_for
from hacli.domain.hosts import HostState, Verdict

CODES = {
    Verdict.FAILED: "HOST_FAILED",
    Verdict.FENCED: "HOST_FENCED",
    Verdict.UNKNOWN: "HOST_UNKNOWN",
    Verdict.DEGRADED: "HOST_DEGRADED",
    Verdict.RETURNED: "HOST_RETURNED",
}
ATTENTION = frozenset(CODES)
"""Verdicts of hosts that need somebody."""


def codes_of(state: HostState, verdict: Verdict, view: ClusterView | None) -> tuple[str, ...]:
    """Stable problem codes of one host."""
    found = [CODES[verdict]] if verdict in CODES else []
    if state.to_start:
        found = ["VMS_STOPPED", *(code for code in found if code != "HOST_RETURNED")]
    host = state.host
    if host.ambiguous:
        found.append("NAME_AMBIGUOUS")
    elif view is not None and (host.node is None or host.service is None):
        found.append("NAME_UNJOINED")
    if view is not None and host.node is not None and not devices_for(host, view):
        found.append("FENCE_MISSING" if view.fencing_enabled else "FENCE_DISABLED")
    if state.power_unknown_because:
        found.append("FENCE_UNREACHABLE")
    return tuple(found)
