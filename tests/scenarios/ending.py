"""How a story ended: where every server really is, and what became of the hosts."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE
from hacli.lab.machines import Machine
from hacli.lab.region import ServerTruth
from tests.fakes.world import Site
from tests.scenarios.telling import listing


def ending(site: Site) -> Iterator[str]:
    """Hosts that are not as usual, then all servers by their place."""
    for machine in site.region.machines:
        words = tuple(_host(site, machine))
        if words:
            yield f"{machine.name}: {', '.join(words)}"
    places: dict[str, list[str]] = defaultdict(list)
    for truth in site.region.truth():
        places[_place(site, truth)].append(truth.name)
    yield from (f"{listing(names)}: {place}" for place, names in sorted(places.items()))
    asked = Counter(call.server for call in site.log.evacuations())
    again = {truth.name: asked[truth.id] for truth in site.region.truth() if asked[truth.id] > 1}
    for times in sorted(set(again.values())):
        names = [name for name, count in again.items() if count == times]
        yield f"asked for {'twice' if times == 2 else f'{times} times'}: {listing(names)}"


def _host(site: Site, machine: Machine) -> Iterator[str]:
    service = site.region.cloud.tables.compute_service(machine.name)
    assert service is not None
    if not machine.powered:
        yield "off"
    elif not machine.booted:
        yield "dead with power on"
    elif machine.hung:
        yield "hung"
    elif not machine.network:
        yield "without network"
    if service.disabled:
        yield f"disabled ({service.disabled_reason})"
    if service.forced_down:
        yield "forced down"
    attributes = site.region.cluster.cib.attributes(machine.name)
    if GATE_ATTRIBUTE in attributes:
        yield "gate set"
    if FORCED_DOWN_ATTRIBUTE in attributes and not service.forced_down:
        yield "noted as forced down by hacli"


def _place(site: Site, truth: ServerTruth) -> str:
    """What is so, and what Nova says where that is something else."""
    server = site.region.cloud.tables.servers[truth.id]
    state = server.vm_state.value
    if truth.runs_twice:
        return f"RUNS TWICE, on {' and '.join(truth.running_on)}"
    disk = ", with a NEW DISK" if truth.lost_its_disk else ""
    if truth.running_on:
        where = truth.running_on[0]
        agrees = state == "active" and server.host == where
        text = f"runs on {where}{disk}"
    elif server.host is None:
        agrees, text = True, f"{state}, on no host"
    else:
        lost = truth.originally_running and server.host in truth.defined_on
        agrees = state == "stopped" and server.host in truth.defined_on
        text = f"{'down' if lost and state != 'stopped' else 'stopped'} on {server.host}{disk}"
    task = f", {server.task_state}" if server.task_state else ""
    return text if agrees and not task else f"{text} (Nova: {state}{task} on {server.host})"
