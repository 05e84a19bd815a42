"""What cases ask the ports for again and again, and the proof that a host is dead."""

from datetime import UTC, datetime, timedelta

from hacli.domain.cluster import ClusterNode, FenceEvent, Role
from hacli.domain.evidence import (
    HEARTBEAT_STILL_S,
    Doubt,
    FenceEvidence,
    HeartbeatReading,
    NodeReading,
    OffBy,
    OffOrder,
    PowerReading,
    Readings,
    judge,
)
from hacli.domain.hosts import connected, opinion_counts
from hacli.domain.servers import ComputeService, Migration, RequestOutcome, Server
from hacli.ports import FenceAnswer
from tests.contract.site import Site
from tests.domain.readings import DEAD

LOST_WITHIN_S = 90.0
"""A silent host is unclean after 30 to 40 s; a busy machine may take longer."""
RETURNED_WITHIN_S = 120.0
_LOOK_S = 1.0


def node(site: Site, host: str) -> ClusterNode:
    """A host as Pacemaker shows it now."""
    found = site.cluster.read_view().node(host)
    assert found is not None
    return found


def service(site: Site, host: str) -> ComputeService:
    """A host's nova-compute as Nova shows it now."""
    found = site.compute.read_services().of(site.nova_host(host))
    assert found is not None
    return found


def server(site: Site, server_id: str) -> Server:
    """A server as Nova shows it now."""
    found = site.compute.read_server(server_id)
    assert found is not None
    return found


def records(site: Site, host: str, server_id: str) -> tuple[Migration, ...]:
    """A server's evacuations away from a host, newest first."""
    found = site.compute.read_evacuations(site.nova_host(host))
    return tuple(record for record in found if record.server == server_id)


def roles(found: ClusterNode) -> tuple[Role, ...]:
    """The roles of a node's chain, in the order of its start."""
    return tuple(link.role for link in found.chain)


def ended(found: ClusterNode) -> tuple[FenceEvent, ...]:
    """The fencings of a node that have ended, newest first."""
    return tuple(event for event in found.fence_events if event.status != "pending")


def is_connected(site: Site, host: str) -> bool:
    """By hacli's own rule."""
    return connected(node(site, host))


def is_whole(site: Site, host: str) -> bool:
    """Connected, the chain started, no fencing under way."""
    found = node(site, host)
    whole = connected(found) and not found.standby and not found.maintenance
    started = all(role is Role.STARTED for role in roles(found))
    return whole and started and len(ended(found)) == len(found.fence_events)


def any_evidence() -> FenceEvidence:
    """A proof for calls that Nova must refuse whatever hacli believes; judged from a table."""
    evidence = judge(DEAD)
    assert isinstance(evidence, FenceEvidence)
    return evidence


def evacuate(
    site: Site,
    server_id: str,
    evidence: FenceEvidence | None = None,
    *,
    target: str | None = None,
) -> RequestOutcome:
    """Ask Nova; without a proof of its own the case expects a refusal."""
    proof = evidence or any_evidence()
    return site.compute.evacuate(server_id, proof, target=target, may_send=lambda: True)


def force_down(
    site: Site,
    host: str,
    evidence: FenceEvidence | None = None,
    *,
    disable_reason: str | None = None,
) -> RequestOutcome:
    """Tell Nova that a host is down; without a proof, one that lives and is empty."""
    return site.compute.force_down(
        service(site, host),
        evidence or any_evidence(),
        disable_reason=disable_reason,
        may_send=lambda: True,
    )


def prove_dead(site: Site, host: str, *, within_s: float = 40.0) -> FenceEvidence:
    """Order OFF through Pacemaker, then ask every witness until ``judge`` is convinced."""
    assert site.cluster.fence_off(host, timeout_s=60.0).answer is FenceAnswer.CONFIRMED
    watch = _Watch(site, host)
    site.until(watch.looked_and_convinced, within_s=within_s)
    assert isinstance(watch.verdict, FenceEvidence)
    return watch.verdict


class _Watch:
    """What the witnesses of one host have said since it was ordered off."""

    def __init__(self, site: Site, host: str) -> None:
        self._site = site
        self._host = host
        self._switch = site.switch(host)
        self._readings = Readings(
            host=host, now=site.now, off_orders=(OffOrder(by=OffBy.PACEMAKER, at=site.now),)
        )
        self._looked_at = float("-inf")
        self._zero: tuple[datetime, float] | None = None
        self.verdict: FenceEvidence | Doubt | None = None

    def looked_and_convinced(self) -> bool:
        """Ask all once a second; whether what they said is proof."""
        if self._site.now - self._looked_at < _LOOK_S:
            return False
        self._looked_at = self._site.now
        known = self._readings
        self._readings = Readings(
            host=known.host,
            node=(*known.node, self._ask_cluster()),
            power=(*known.power, self._ask_bmc()),
            heartbeat=(*known.heartbeat, self._ask_nova()),
            off_orders=known.off_orders,
            now=self._site.now,
        )
        self.verdict = judge(self._readings)
        return isinstance(self.verdict, FenceEvidence)

    def _ask_cluster(self) -> NodeReading:
        asked_at = self._site.now
        view = self._site.cluster.read_view()
        found = view.node(self._host)
        assert found is not None
        completed = ended(found)
        return NodeReading(
            at=asked_at,
            quorate=view.acts,
            opinion_counts=opinion_counts(found, view),
            connected=connected(found),
            fence_pending=len(completed) < len(found.fence_events),
            newest_fence=completed[0] if completed else None,
            node_fenced=found.node_fenced,
            claimed=True,  # a contract case is no run
        )

    def _ask_bmc(self) -> PowerReading:
        asked_at = self._site.now
        state = self._switch.read_state()
        return PowerReading(state=state, asked_at=asked_at, answered_at=self._site.now)

    def _ask_nova(self) -> HeartbeatReading:
        """Where the API sends no Date we watch by our own clock, from the first answer on.

        What Nova itself calls down, and nobody forced down, has been silent for a minute.
        """
        asked_at = self._site.now
        answer = self._site.compute.read_services()
        found = answer.of(self._site.nova_host(self._host))
        assert found is not None
        assert found.updated_at is not None
        if self._zero is None:
            aged = not found.up and not found.forced_down
            lead = timedelta(seconds=HEARTBEAT_STILL_S if aged else 0.0)
            self._zero = (found.updated_at.astimezone(UTC) + lead, asked_at)
        began, at = self._zero
        date = answer.date or began + timedelta(seconds=asked_at - at)
        return HeartbeatReading(at=asked_at, updated_at=found.updated_at, date=date, writes=0)
