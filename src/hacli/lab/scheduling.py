"""The lab's scheduler: on which host a server may be rebuilt."""

from collections.abc import Iterator

from hacli.lab.cloud_records import Server
from hacli.lab.cloud_tables import Tables

NO_HOSTS = "No valid host was found. There are not enough hosts available."
NO_SUCH_CANDIDATE = "No valid host was found. "


class NoValidHost(Exception):
    """The scheduler found no host; the text is the fault that Nova shows."""


def choose_host(tables: Tables, server: Server, *, asked: str | None) -> str:
    """The host with most free memory, then the first by name.

    Candidates are enabled, up, not the source, have room, and satisfy zone and server group.

    Raises:
        NoValidHost: None is left. The text for a disabled host asked for differs, as Nova's does,
            because Placement rather than a filter refuses it.
    """
    hosts = sorted(
        _candidates(tables, server, asked=asked),
        key=lambda host: (-tables.free_memory(host), host),
    )
    if hosts:
        return hosts[0]
    service = tables.compute_service(asked)
    disabled = service is not None and service.disabled
    raise NoValidHost(NO_SUCH_CANDIDATE if disabled else NO_HOSTS)


def _candidates(tables: Tables, server: Server, *, asked: str | None) -> Iterator[str]:
    for service in tables.compute_services():
        host = service.host
        if (
            (asked is None or host == asked)
            and host != server.host
            and not service.disabled
            and tables.is_up(service)
            and host not in tables.down_cell
            and tables.has_room(host, server.room)
            and server.pinned_zone in (None, tables.zone_of(host))
            and _allowed_by_group(tables, server, host)
        ):
            yield host


def _allowed_by_group(tables: Tables, server: Server, host: str) -> bool:
    """The hard policies; the hosts of a group include the dead one.

    Source: nova/scheduler/filters/affinity_filter.py.
    """
    group = tables.group_of(server.id)
    if group is None:
        return True
    if group.policy == "affinity":
        return host in {tables.servers[m].host for m in group.members}
    if group.policy == "anti-affinity":
        others = (m for m in group.members if m != server.id)
        return host not in {tables.servers[m].host for m in others}
    return True
