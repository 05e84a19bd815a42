"""What `status` says to programs: the region as one JSON document."""

from hacli.cli.status_codes import codes_of
from hacli.domain.cluster import ClusterNode, ClusterView
from hacli.domain.gates import devices_for
from hacli.domain.hosts import ComputeHost, HostState, Verdict, connected, opinion_counts
from hacli.domain.servers import ComputeService
from hacli.errors import SourceError
from hacli.service.observe import Region


def region_document(region: Region) -> dict[str, object]:
    """The region as JSON (``ux.md`` 4.3)."""
    cluster = region.sources.cluster
    verdicts = list(region.verdicts.values())
    known = [state.servers for state in region.states if state.servers is not None]
    sources = {
        "pacemaker": region.sources.view,
        "nova": region.sources.services,
        "keystone": region.sources.caller,
    }
    return {
        "cluster": cluster
        and {
            "name": cluster.name,
            "quorum": cluster.acts,
            "members": cluster.members,
            "fencing": cluster.fencing_enabled,
            "maintenance": cluster.maintenance_mode,
        },
        "summary": {
            "hosts": len(region.states),
            **{verdict.value: verdicts.count(verdict) for verdict in Verdict},
            "servers": sum(known) if len(known) == len(region.states) else None,
        },
        "hosts": [
            _host_document(state, region.verdicts[state.host.name], cluster)
            for state in region.states
        ],
        "sources": {
            name: {
                "ok": not isinstance(source, SourceError),
                "unknown_because": source.why if isinstance(source, SourceError) else None,
                "took_s": _seconds(region.sources.took_s.get(name)),
            }
            for name, source in sources.items()
        }
        | {"power": {"asked": region.power_asked, "answered": region.power_answered}},
    }


def _seconds(took: float | None) -> float | None:
    return None if took is None else round(took, 3)


def _host_document(
    state: HostState, verdict: Verdict, view: ClusterView | None
) -> dict[str, object]:
    return {
        "host": state.host.name,
        "verdict": verdict.value,
        "codes": list(codes_of(state, verdict, view)),
        "names": _names_document(state.host),
        "pacemaker": _pacemaker_document(state.host.node, view),
        "nova": _nova_document(state.host.service),
        "power": {
            "state": state.power.value if state.power else None,
            "unknown_because": state.power_unknown_because,
        },
        "fence_devices": list(devices_for(state.host, view)),
        "servers": state.servers,
        "servers_exact": state.servers_exact,
        "servers_to_start": state.to_start,
    }


def _names_document(host: ComputeHost) -> dict[str, object]:
    return {
        "pacemaker": host.node.name if host.node else None,
        "nova": host.service.host if host.service else None,
        "bmc": host.bmc.label if host.bmc else None,
        "ambiguous": host.ambiguous,
    }


def _pacemaker_document(
    node: ClusterNode | None, view: ClusterView | None
) -> dict[str, object] | None:
    if node is None or view is None:
        return None
    return {
        "online": node.online,
        "unclean": node.unclean,
        "standby": node.standby,
        "maintenance": node.maintenance,
        "connected": connected(node),
        "opinion_counts": opinion_counts(node, view),
        "since": node.lost_at.isoformat().replace("+00:00", "Z") if node.lost_at else None,
        "chain": [{"name": s.name, "role": s.role.value} for s in node.chain],
    }


def _nova_document(service: ComputeService | None) -> dict[str, object] | None:
    if service is None or not service.known:
        return None
    return {
        "state": "up" if service.up else "down",
        "status": "enabled" if service.enabled else "disabled",
        "forced_down": service.forced_down,
        "disabled_reason": service.disabled_reason,
    }
