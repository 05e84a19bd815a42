"""Read what Nova knows about one host's servers; believe an empty answer only when proven."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from hacli.domain.evacuation import Past, Records
from hacli.domain.hosts import ComputeHost
from hacli.domain.policy import Policy
from hacli.domain.servers import Migration, Server, ServerGroup, ServerList
from hacli.errors import SourceError, Unavailable
from hacli.ports import World
from hacli.service.asking import ask, ask_all

T = TypeVar("T")

READ_LIMIT_S = 120.0
"""1,200 servers are two heavy pages on a busy Nova."""
SETTLED = ("ACTIVE", "SHUTOFF")
"""No rebuild is under way, and none has failed."""


def read_records(
    world: World,
    host: ComputeHost,
    past: Mapping[str, Past] | None,
    policy: Policy,
    *,
    homes: Iterable[str] = (),
) -> Records:
    """Servers, evacuations, other moves and groups of this host.

    ``past`` tells which of those that have left were verified; None leaves them out.
    ``homes`` are the Nova hosts that its servers may go to: a disk is safe only if they share it.

    The evacuations are read after the servers: a request that somebody sends in between then shows
    as a record, and a server that leaves in between shows as arrived.

    Raises:
        Unavailable: A list failed, a cell is down, or Nova's two server lists disagree; "no
            servers" is believed only when both say so (law L1).
    """
    assert host.service is not None
    name = host.service.host
    compute = world.compute
    first = _all_or_none(
        world,
        host.name,
        {
            "servers": lambda: compute.read_servers(name),
            "hypervisor": lambda: compute.read_hypervisor_servers(name),
            "moves": lambda: compute.read_moves(name),
            "groups": compute.read_groups,
        },
    )
    listed = first["servers"]
    assert isinstance(listed, ServerList)
    evacuations = _all_or_none(
        world, host.name, {"evacuations": lambda: compute.read_evacuations(name)}
    )["evacuations"]
    records = Records(
        servers=listed.servers,
        evacuations=_tuple_of(evacuations, Migration),
        moves=_tuple_of(first["moves"], Migration),
        groups=_tuple_of(first["groups"], ServerGroup),
        storage=policy.storage_of(host.name, name),
        unshared=policy.unshared(homes),
    )
    if listed.cells_down:
        raise _unsure(host.name, "a cell of Nova is down, so the list may be incomplete")
    _require_agreement(world, host, records, first["hypervisor"])
    return records if past is None else _with_arrived(world, host.name, records, past)


def _all_or_none(
    world: World, host: str, calls: Mapping[str, Callable[[], object]]
) -> dict[str, object]:
    found = ask_all(world, calls, limit_s=READ_LIMIT_S)
    for value in found.values():
        if isinstance(value, SourceError):
            raise _unsure(host, f"{value.source}: {value.why}")
    return dict(found)


def _tuple_of(values: object, kind: type[T]) -> tuple[T, ...]:
    assert isinstance(values, tuple)
    return tuple(value for value in values if isinstance(value, kind))


def _require_agreement(
    world: World, host: ComputeHost, records: Records, hypervisor: object
) -> None:
    """Every server on the hypervisor's list is on ours, gone, or elsewhere by now."""
    assert isinstance(hypervisor, frozenset)
    assert host.service is not None
    missing = sorted(hypervisor - {server.id for server in records.servers})
    calls = {key: _reader(world, key) for key in missing}
    for key, found in ask_all(world, calls, limit_s=READ_LIMIT_S).items():
        if isinstance(found, SourceError):
            raise _unsure(host.name, f"{found.source}: {found.why}")
        deleted = found is None or found.vm_state in ("soft-delete", "deleted")
        if not deleted and found is not None and found.host == host.service.host:
            raise _unsure(host.name, f"the hypervisor lists server {key}, the server list does not")


def _reader(world: World, server_id: str) -> Callable[[], Server | None]:
    return lambda: world.compute.read_server(server_id)


def _with_arrived(world: World, host: str, records: Records, past: Mapping[str, Past]) -> Records:
    """Add the servers that a ``done`` record has taken away and nobody has verified yet."""
    here = {server.id for server in records.servers}
    gone = {
        record.server
        for record in records.evacuations
        if record.status.value == "done" and record.server not in here
    }
    open_ids = [key for key in sorted(gone) if not past.get(key, Past()).verified]
    found = ask_all(world, {key: _reader(world, key) for key in open_ids}, limit_s=READ_LIMIT_S)
    for value in found.values():
        if isinstance(value, SourceError):
            raise _unsure(host, f"{value.source}: {value.why}")
    arrived = tuple(server for server in found.values() if isinstance(server, Server))
    return replace(records, arrived=arrived)


def _unsure(host: str, why: str) -> Unavailable:
    return Unavailable(
        f"It is not known for certain which VMs belong to {host}.",
        why=why,
        state="No VM was asked for.",
        next_steps=("the same command again, when Nova answers in full",),
        code="SERVERS_UNSURE",
        host=host,
    )


def read_open_evacuations(world: World, nova_host: str) -> tuple[Migration, ...]:
    """Evacuations from this host that may still rebuild a guest elsewhere.

    One whose destination was lost in the middle stays open in Nova until nova-compute starts here.
    Nothing rebuilds it any more when its server is gone, or has settled on a third host.
    """
    found = ask(world, lambda: world.compute.read_evacuations(nova_host))
    opened = tuple(record for record in found if record.is_open)
    calls = {record.server: _reader(world, record.server) for record in opened}
    servers = ask_all(world, calls, limit_s=READ_LIMIT_S)
    return tuple(r for r in opened if not _has_moved_on(r, servers[r.server]))


def _has_moved_on(record: Migration, server: Server | SourceError | None) -> bool:
    if isinstance(server, SourceError):
        return False
    if server is None:
        return True
    if record.destination is None:
        return False  # its order may wait for a nova-compute that is down
    settled = server.task_state is None and server.status in SETTLED
    return settled and server.host not in ("", record.source, record.destination)
