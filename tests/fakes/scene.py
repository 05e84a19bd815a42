"""What was so in a region for how long: the truth that a single moment does not tell."""

from dataclasses import dataclass

from hacli.lab.cluster_facts import RemoteNode
from hacli.lab.region import Region

TICK_S = 2.0
STORM_LEAST, STORM_SHARE = 3, 0.5
"""Law L10 in its own words, not by the product's constants."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """For how many seconds each has been so without a break; 0 when it is not."""

    healthy_s: float = 0.0  # the host runs, and Pacemaker is connected to it and manages it
    unmanaged_s: float = 0.0  # Pacemaker's opinion of the host means nothing
    no_quorum_s: float = 0.0  # nor may this part of the cluster act
    storm_s: float = 0.0  # so many hosts are lost that the observer must be suspected


class Observer:
    """Looks at a region every two seconds, for hacli's laws and not by hacli's eyes."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._since: dict[tuple[str, str | None], float] = {}
        self._tick()

    def scene(self, host: str | None) -> Scene:
        """How long what has been so, as far as it concerns the host."""
        self._look()
        return Scene(
            healthy_s=self._for("healthy", host),
            unmanaged_s=self._for("unmanaged", host),
            no_quorum_s=self._for("no quorum", None),
            storm_s=self._for("storm", None),
        )

    def _for(self, fact: str, host: str | None) -> float:
        since = self._since.get((fact, host))
        return 0.0 if since is None else self._region.timeline.now - since

    def _tick(self) -> None:
        self._look()
        self._region.timeline.after(TICK_S, self._tick)

    def _look(self) -> None:
        cluster, lost = self._region.cluster, 0
        acts = cluster.quorum and cluster.dc is not None
        self._note("no quorum", None, so=not acts)
        for node in cluster.nodes.values():
            managed = not cluster.in_maintenance(node)
            well = node.connected and not node.unclean
            self._note("unmanaged", node.name, so=not managed)
            self._note("healthy", node.name, so=acts and managed and well and self._runs(node))
            lost += managed and not well and not self._dealt_with(node)
        storm = lost >= STORM_LEAST and lost > STORM_SHARE * len(cluster.nodes)
        self._note("storm", None, so=storm)

    def _note(self, fact: str, host: str | None, *, so: bool) -> None:
        if so:
            self._since.setdefault((fact, host), self._region.timeline.now)
        else:
            self._since.pop((fact, host), None)

    def _runs(self, node: RemoteNode) -> bool:
        return self._region.machines[node.name].answers

    def _dealt_with(self, node: RemoteNode) -> bool:
        service = self._region.cloud.tables.compute_service(node.name)
        return service is not None and service.forced_down and service.disabled
