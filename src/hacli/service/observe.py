"""Read the world once, all sources in parallel, and join what they say into hosts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hacli.domain.cluster import ClusterView
from hacli.domain.evacuation import Records, Wishes
from hacli.domain.gates import objections
from hacli.domain.hosts import (
    ComputeHost,
    HostNames,
    HostState,
    Verdict,
    connected,
    join_hosts,
    verdict_of,
)
from hacli.domain.policy import Storage
from hacli.domain.power import PowerState
from hacli.domain.servers import Caller, Hypervisor, ServerList, ServiceList
from hacli.domain.start_in_place import fenced_and_back, gates_to_start, may_have_stopped
from hacli.errors import Refused, SourceError, UsageError
from hacli.ports import World
from hacli.service.asking import ask, ask_all
from hacli.service.starts import read_starts

T = TypeVar("T")

READ_LIMIT_S = 40.0
POWER_LIMIT_S = 6.0
POWER_TURN_S = 0.02
"""More for each BMC: in a large region they wait for their turn, and one that was not asked yet
is not silent.
"""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the sources answered at one moment: a value, or why there is none."""

    view: ClusterView | SourceError | None  # None: hacli works without a cluster
    services: ServiceList | SourceError
    caller: Caller | SourceError
    took_s: Mapping[str, float]

    @property
    def cluster(self) -> ClusterView | None:
        """The cluster's picture, when there is one."""
        return self.view if isinstance(self.view, ClusterView) else None


@dataclass(frozen=True, kw_only=True)
class Region:
    """All hosts of the region as ``status`` shows them."""

    sources: Sources
    states: tuple[HostState, ...]
    verdicts: Mapping[str, Verdict]
    power_asked: int
    power_answered: int

    @property
    def complete(self) -> bool:
        """Every source that decides has answered."""
        parts = (self.sources.view, self.sources.services, self.sources.caller)
        counted = all(state.servers is not None for state in self.states)
        return counted and not any(isinstance(part, SourceError) for part in parts)


def read_sources(world: World) -> Sources:
    """Cluster, services and caller, at once. A source that fails is an error value, not a raise."""
    took: dict[str, float] = {}

    def timed(name: str, call: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            began = world.clock.monotonic()
            try:
                return call()
            finally:
                took[name] = world.clock.monotonic() - began

        return run

    calls = {
        "nova": timed("nova", world.compute.read_services),
        "keystone": timed("keystone", world.compute.read_caller),
    }
    if world.cluster is not None:
        calls["pacemaker"] = timed("pacemaker", world.cluster.read_view)
    found = ask_all(world, calls, limit_s=READ_LIMIT_S)
    return Sources(
        view=_of(found.get("pacemaker"), ClusterView) if "pacemaker" in found else None,
        services=_of(found["nova"], ServiceList),
        caller=_of(found["keystone"], Caller),
        took_s=took,
    )


def _of(found: object, kind: type[T]) -> T | SourceError:
    if isinstance(found, (kind, SourceError)):
        return found
    raise TypeError(f"expected {kind.__name__}, got {type(found).__name__}")


def join(sources: Sources, configured: Iterable[HostNames]) -> tuple[ComputeHost, ...]:
    """The hosts that the sources name, joined."""
    services = sources.services if isinstance(sources.services, ServiceList) else None
    return join_hosts(sources.cluster, services, configured)


def find_host(hosts: Iterable[ComputeHost], name: str) -> ComputeHost:
    """The one host of exactly this name.

    Raises:
        UsageError: No host, with up to three similar names; the guess is never run.
        Refused: The name cannot be joined to one machine.
    """
    known = tuple(hosts)
    found = [host for host in known if name in host.names]
    if not found:
        every = sorted({other for host in known for other in host.names})
        raise UsageError(
            f"There is no host named {name}.",
            why=_similar(name, every),
            next_steps=("hacli status --all    lists every host",),
            code="HOST_NAME",
        )
    if len(found) > 1 or found[0].ambiguous:
        why = found[0].ambiguous or f"{name} names {len(found)} hosts"
        raise Refused(
            f"{name} cannot be told apart from other hosts.",
            why=why,
            next_steps=("name both sides in /etc/hacli/hacli.toml: [host.NAME] pacemaker=, nova=",),
            code="NAME_AMBIGUOUS",
            host=name,
        )
    return found[0]


def _similar(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # 10 ms that only a wrong name pays

    close = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    same = [other for other in known if other.lower() == name.lower()]
    names = list(dict.fromkeys(same + close))[:3]
    return f"Similar: {', '.join(names)}." if names else "No name is similar."


def observe_region(
    world: World, configured: Iterable[HostNames], *, power: bool, only: tuple[str, ...] = ()
) -> Region:
    """Everything ``status`` shows, in two rounds: the sources, then power and exact counts.

    Power is read for the hosts shown; servers are listed exactly for hosts that are not ready,
    and taken from one hypervisor list for the rest, so that requests grow with trouble, not size.
    """
    sources = read_sources(world)
    hosts = join(sources, configured)
    if only:
        chosen = [find_host(hosts, name) for name in only]
        hosts = tuple(host for host in hosts if host in chosen)
    suspects = [host for host in hosts if _needs_a_look(host, sources.cluster) or only]
    powers = _read_powers(world, hosts) if power else {}
    listed = _list_servers(world, suspects, sources)
    counts = _count_servers(world, sources)
    states = tuple(
        replace(
            _state(host, powers, listed, counts),
            to_start=_count_to_start(world, host, sources, listed.get(host.name)),
        )
        for host in hosts
    )
    return Region(
        sources=sources,
        states=states,
        verdicts={state.host.name: verdict_of(state, sources.cluster) for state in states},
        power_asked=len(powers),
        power_answered=sum(isinstance(p, PowerState) for p in powers.values()),
    )


def _count_to_start(
    world: World,
    host: ComputeHost,
    sources: Sources,
    listed: ServerList | SourceError | None,
) -> int:
    """How many servers of a host that is back wait to be started, by what can be known cheaply.

    Asked about are only servers that nobody but Nova itself has touched since the fence.
    """
    fenced_at = fenced_and_back(host, sources.cluster)
    if fenced_at is None or not isinstance(listed, ServerList) or listed.cells_down:
        return 0
    if objections(gates_to_start(host, sources.cluster)):
        return 0
    records = Records(
        servers=tuple(server for server in listed.servers if may_have_stopped(server, fenced_at)),
        evacuations=(),
        moves=(),
        groups=(),
        storage=Storage.LOCAL,
    )
    if not records.servers:
        return 0
    plan = read_starts(world, records, Wishes(), fenced_at=fenced_at)
    return len(plan.starts)


def _needs_a_look(host: ComputeHost, view: ClusterView | None) -> bool:
    if fenced_and_back(host, view) is not None:
        return True  # what died with it is nowhere but in the list of its servers
    healthy = (
        view is not None
        and host.node is not None
        and connected(host.node)
        and host.service is not None
        and host.service.up
        and host.service.enabled
    )
    return not healthy


def _read_powers(
    world: World, hosts: Iterable[ComputeHost]
) -> Mapping[str, PowerState | SourceError]:
    calls = {host.name: world.switch(host.bmc).read_state for host in hosts if host.bmc is not None}
    return ask_all(world, calls, limit_s=POWER_LIMIT_S + POWER_TURN_S * len(calls))


def _list_servers(
    world: World, hosts: Iterable[ComputeHost], sources: Sources
) -> Mapping[str, ServerList | SourceError]:
    if not (isinstance(sources.caller, Caller) and sources.caller.admin):
        return {}

    def reading(host: str) -> Callable[[], ServerList]:
        return lambda: world.compute.read_servers(host)

    calls = {h.name: reading(h.service.host) for h in hosts if h.service is not None}
    return ask_all(world, calls, limit_s=READ_LIMIT_S)


def _count_servers(world: World, sources: Sources) -> Mapping[str, Hypervisor]:
    if not (isinstance(sources.caller, Caller) and sources.caller.admin):
        return {}
    try:
        found = ask(world, world.compute.read_hypervisors)
    except SourceError:
        return {}  # the screen shows "?" for these counts
    return {hypervisor.host: hypervisor for hypervisor in found}


def _state(
    host: ComputeHost,
    powers: Mapping[str, PowerState | SourceError],
    listed: Mapping[str, ServerList | SourceError],
    counts: Mapping[str, Hypervisor],
) -> HostState:
    power = powers.get(host.name)
    servers = listed.get(host.name)
    state = HostState(
        host=host,
        power=power if isinstance(power, PowerState) else None,
        power_unknown_because=power.why if isinstance(power, SourceError) else None,
        servers=None,
        servers_exact=False,
    )
    if isinstance(servers, ServerList) and not servers.cells_down:
        return replace(state, servers=len(servers.servers), servers_exact=True)
    about = counts.get(host.service.host) if host.service else None
    if servers is None and about is not None:
        return replace(state, servers=about.running_vms)
    return state
