"""Ask every source about storage at once, and judge each server. Reads only.

Requests are a function of pages, of hosts that are named and of nodes that are probed, never of
servers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hacli.domain.cluster import Role
from hacli.domain.host_storage import (
    Finding,
    HostStorage,
    Mount,
    NodeStorage,
    Testimony,
    Unknown,
    find_on_host,
    grouped,
    judge_host,
)
from hacli.domain.hosts import ComputeHost, HostNames, connected, natural
from hacli.domain.policy import Policy
from hacli.domain.servers import (
    Aggregate,
    Caller,
    ComputeService,
    Server,
    ServerGroup,
    ServiceList,
)
from hacli.domain.storage import (
    Fate,
    Image,
    StorageFacts,
    Verdict,
    Volume,
    VolumeService,
    judge_servers,
)
from hacli.errors import NotPermitted, SourceError, Unavailable, Unreachable
from hacli.ports import Task, World
from hacli.service.asking import ask_in_turn, outcome_of, wait_all
from hacli.service.observe import Sources, find_host, join, read_sources

T = TypeVar("T")

READ_LIMIT_S = 60.0
"""For all lists together; of ten thousand servers Nova writes ten pages, one after the other."""
PROBE_LIMIT_S = 60.0
"""For all nodes together; each has its own limit, too."""
CELL_DOWN = "its Nova cell is down: not all of its servers are listed"
PROBES_AT_ONCE = 16
"""Children of ours at one moment, each of them an ssh."""


@dataclass(frozen=True, kw_only=True)
class HostVerdict:
    """One host, where it keeps disks, and what becomes of each of its servers."""

    host: ComputeHost
    service: ComputeService
    storage: HostStorage
    verdicts: tuple[Verdict, ...] | Unknown
    at_risk: tuple[Verdict, ...]  # of them; see ``Verdict.at_risk``

    @property
    def listed(self) -> tuple[Verdict, ...]:
        """The verdicts on its servers, none where they could not be listed."""
        return () if isinstance(self.verdicts, Unknown) else self.verdicts

    @property
    def unknown(self) -> bool:
        """Something about its servers is not known."""
        if isinstance(self.verdicts, Unknown):
            return True
        return any(verdict.fate is Fate.UNKNOWN for verdict in self.verdicts)


@dataclass(frozen=True, kw_only=True)
class StorageCheck:
    """What ``verify-storage`` shows.

    ``silent`` has why a source gave no answer, by its name; ``unprobed`` the hosts that have
    servers, or could take some, and whose node did not tell.
    """

    hosts: tuple[HostVerdict, ...]
    findings: tuple[Finding, ...]
    volume_services: tuple[VolumeService, ...] | Unknown
    silent: Mapping[str, str]
    probed: int
    unprobed: tuple[str, ...]
    at: datetime

    @property
    def at_risk(self) -> bool:
        """A server loses something or stays down, or something was found that would do it."""
        return bool(self.findings) or any(host.at_risk for host in self.hosts)

    @property
    def complete(self) -> bool:
        """Every source has answered, and every server could be judged."""
        told = not self.silent and not self.unprobed
        return told and not any(host.unknown for host in self.hosts)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What the lists say; what nobody told is ``Unknown``."""

    servers: Mapping[str, tuple[Server, ...] | Unknown]  # by Nova host
    groups: tuple[ServerGroup, ...] | Unknown
    aggregates: tuple[Aggregate, ...] | Unknown
    volumes: Mapping[str, Volume] | Unknown
    volume_services: tuple[VolumeService, ...] | Unknown
    images: Mapping[str, Image] | Unknown
    nodes: Mapping[str, NodeStorage | Unknown]  # by Nova host


def verify_storage(
    world: World,
    configured: Iterable[HostNames],
    *,
    policy: Policy,
    only: tuple[str, ...] = (),
    snapshot_age: timedelta | None = None,
) -> StorageCheck:
    """Judge the servers of all hosts, or of those named.

    Every node is asked where it keeps disks also when few hosts are named: Nova chooses among all.

    Args:
        snapshot_age: How old a snapshot may be that is enough for who loses its root disk.

    Raises:
        UsageError, Refused: A name is no host's, or more than one host's.
        SourceError: Nova does not list its hosts, or we are no administrator to it.
    """
    sources = read_sources(world)
    services = _services_for_admin(sources)
    joined = join(sources, configured)
    hosts = [(host, host.service) for host in joined if host.service is not None]
    named = tuple(_find(joined, name) for name in only)
    told = _ask(world, services, named, policy)
    said = {
        service.host: _testimony(host, service, sources, told, policy) for host, service in hosts
    }
    judged = {name: judge_host(testimony) for name, testimony in said.items()}
    facts = StorageFacts(
        hosts=judged,
        services=services.services,
        groups=told.groups,
        volumes=told.volumes,
        volume_services=told.volume_services,
        images=told.images,
    )
    shown = [(host, service) for host, service in hosts if host in named or not named]
    now, homes = world.clock.now(), _homes(told)

    def at_risk(verdict: Verdict) -> bool:
        return verdict.at_risk(now=now, snapshot_age=snapshot_age)

    findings = (
        finding
        for _, service in shown
        for finding in find_on_host(said[service.host], judged[service.host], homes)
    )
    return StorageCheck(
        hosts=tuple(_host_verdict(host, service, told, facts, at_risk) for host, service in shown),
        findings=grouped(findings),
        volume_services=told.volume_services,
        silent=_silent(sources, told),
        probed=len(told.nodes),
        unprobed=_unprobed(services, told),
        at=now,
    )


def _services_for_admin(sources: Sources) -> ServiceList:
    """Nova's hosts; a list that a mere member sees is not the truth about them."""
    for source in (sources.services, sources.caller):
        if isinstance(source, SourceError):
            raise source
    assert isinstance(sources.services, ServiceList)
    assert isinstance(sources.caller, Caller)
    if not sources.caller.admin:
        raise NotPermitted(source="Nova", why=sources.caller.why_not or "not an admin")
    return sources.services


def _find(hosts: Iterable[ComputeHost], name: str) -> ComputeHost:
    host = find_host(hosts, name)
    if host.service is None:
        raise Unavailable(
            f"Nova has no compute service of {name}.",
            next_steps=("openstack compute service list",),
            code="SERVICE_MISSING",
            host=name,
        )
    return host


def _ask(
    world: World, services: ServiceList, named: tuple[ComputeHost, ...], policy: Policy
) -> _Told:
    """All lists at once, and meanwhile the nodes, a few at a time."""
    began = world.clock.awake()
    compute, submit = world.compute, world.tasks.submit
    groups = submit(compute.read_groups)
    aggregates = submit(compute.read_aggregates) if policy.aggregate_storage else None
    volumes = submit(world.volumes.read_volumes)
    volume_services = submit(world.volumes.read_services)
    images = submit(world.images.read_images)
    listing = _begin_listing(world, named)
    nodes = _probe(world, services)
    lists: list[Task[object]] = [groups, volumes, volume_services, images, *listing.values()]
    if aggregates is not None:
        lists.append(aggregates)
    wait_all(world, lists, limit_s=READ_LIMIT_S - (world.clock.awake() - began))
    return _Told(
        servers=_by_host(listing, services),
        groups=_told(groups, "Nova"),
        aggregates=_told(aggregates, "Nova") if aggregates is not None else (),
        volumes=_told(volumes, "Cinder"),
        volume_services=_told(volume_services, "Cinder"),
        images=_told(images, "Glance"),
        nodes=nodes,
    )


def _told(task: Task[T], source: str) -> T | Unknown:
    if not task.done:
        return Unknown(why=f"{source}: no whole list within {READ_LIMIT_S:.0f} s")
    found = outcome_of(task, limit_s=READ_LIMIT_S)
    return Unknown(why=str(found)) if isinstance(found, SourceError) else found


def _begin_listing(
    world: World, named: tuple[ComputeHost, ...]
) -> Mapping[str, Task[tuple[Server, ...]]]:
    """The servers of the hosts named, each by a list of its own; of all, under no name."""
    if not named:
        return {"": world.tasks.submit(world.compute.read_all_servers)}

    def reading(host: str) -> Callable[[], tuple[Server, ...]]:
        def read() -> tuple[Server, ...]:
            found = world.compute.read_servers(host)
            if found.cells_down:
                raise Unreachable(source="Nova", why=CELL_DOWN)
            return found.servers

        return read

    names = [host.service.host for host in named if host.service is not None]
    return {name: world.tasks.submit(reading(name)) for name in names}


def _by_host(
    listing: Mapping[str, Task[tuple[Server, ...]]], services: ServiceList
) -> Mapping[str, tuple[Server, ...] | Unknown]:
    """Servers by host. A host whose cell is down has some that no list shows."""
    if "" not in listing:
        return {host: _told(task, "Nova") for host, task in listing.items()}
    everything = _told(listing[""], "Nova")
    if isinstance(everything, Unknown):
        return {service.host: everything for service in services.services}
    found: defaultdict[str, list[Server]] = defaultdict(list)
    for server in everything:
        found[server.host].append(server)
    return {
        service.host: tuple(found[service.host]) if service.known else Unknown(why=CELL_DOWN)
        for service in services.services
    }


def _probe(world: World, services: ServiceList) -> Mapping[str, NodeStorage | Unknown]:
    if world.probe is None:
        return {}
    probe = world.probe

    def reading(host: str) -> Callable[[], NodeStorage]:
        return lambda: probe.read_node(host)

    calls = {service.host: reading(service.host) for service in services.services}
    found = ask_in_turn(world, calls, at_once=PROBES_AT_ONCE, limit_s=PROBE_LIMIT_S)
    return {
        host: Unknown(why=answer.why) if isinstance(answer, SourceError) else answer
        for host, answer in found.items()
    }


def _testimony(
    host: ComputeHost, service: ComputeService, sources: Sources, told: _Told, policy: Policy
) -> Testimony:
    node: NodeStorage | Unknown | None = told.nodes.get(service.host)
    names: tuple[str, ...] = ()
    if not isinstance(told.aggregates, Unknown):
        names = tuple(group.name for group in told.aggregates if service.host in group.hosts)
    elif node is None:
        node = told.aggregates  # what is declared for its aggregates may say otherwise
    return Testimony(
        host=service.host,
        declared=policy.declared(sorted(host.names), names),
        node=node,
        mounts=_mounts(host, sources),
    )


def _mounts(host: ComputeHost, sources: Sources) -> tuple[Mount, ...] | Unknown:
    """What Pacemaker has mounted on the host."""
    if isinstance(sources.view, SourceError):
        return Unknown(why=str(sources.view))
    if sources.view is None or host.node is None or not connected(host.node):
        return ()
    known = sources.view.file_systems
    running = (known.get(s.name) for s in host.node.chain if s.role is Role.STARTED)
    return tuple(
        Mount(point=fs.directory, fs_type=fs.fs_type, source=fs.device) for fs in running if fs
    )


def _host_verdict(
    host: ComputeHost,
    service: ComputeService,
    told: _Told,
    facts: StorageFacts,
    at_risk: Callable[[Verdict], bool],
) -> HostVerdict:
    servers = told.servers.get(service.host, ())
    judged: tuple[Verdict, ...] = ()
    if not isinstance(servers, Unknown):
        by_name = sorted(servers, key=lambda server: (natural(server.name), server.id))
        judged = judge_servers(by_name, facts)
    return HostVerdict(
        host=host,
        service=service,
        storage=facts.hosts[service.host],
        verdicts=servers if isinstance(servers, Unknown) else judged,
        at_risk=tuple(filter(at_risk, judged)),
    )


def _homes(told: _Told) -> Mapping[str, str]:
    return {
        server.id: server.host
        for servers in told.servers.values()
        if not isinstance(servers, Unknown)
        for server in servers
    }


def _silent(sources: Sources, told: _Told) -> Mapping[str, str]:
    """Why a source gave no whole answer, by its name."""
    said: dict[str, tuple[object, ...]] = {
        "pacemaker": (sources.view,),
        "nova": (*told.servers.values(), told.groups, told.aggregates),
        "cinder": (told.volumes, told.volume_services),
        "glance": (told.images,),
    }
    reasons = {name: _first_silence(answers) for name, answers in said.items()}
    return {name: why for name, why in reasons.items() if why is not None}


def _first_silence(answers: Iterable[object]) -> str | None:
    for answer in answers:
        if isinstance(answer, SourceError):
            return str(answer)
        if isinstance(answer, Unknown):
            return answer.why
    return None


def _unprobed(services: ServiceList, told: _Told) -> tuple[str, ...]:
    """Silent nodes that matter: those with servers, and those that may be given some."""
    return tuple(
        service.host
        for service in services.services
        if isinstance(told.nodes.get(service.host), Unknown)
        and ((service.up and service.enabled) or told.servers.get(service.host))
    )
