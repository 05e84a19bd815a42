"""A few machines with BMCs and a cluster over them, and deeds that take time in it."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

from hacli.lab.bmcs import Bmc
from hacli.lab.cluster import Cluster
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.crm_mon import crm_mon
from hacli.lab.machines import Machines, Timeline
from hacli.lab.pacemaker_tools import run_tool
from hacli.lab.tool import Answer

START = 1_795_326_368.0  # 2026-11-22 05:46:08 UTC
NAMES = ("compute-1", "compute-2", "compute-3")


@dataclass(frozen=True, kw_only=True)
class World:
    """One cluster and what it stands on."""

    timeline: Timeline
    machines: Machines
    bmcs: dict[str, Bmc]
    cluster: Cluster

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self.timeline.advance(self.timeline.now + seconds)

    def until(self, condition: Callable[[], bool], *, within: float = 120.0) -> float:
        """Let time pass until the condition holds; return how long that took."""
        began = self.timeline.now
        while not condition():
            assert self.timeline.now - began < within, f"not so within {within:g} simulated seconds"
            self.timeline.advance(
                min(self.timeline.next_due() or math.inf, self.timeline.now + 0.1)
            )
        return self.timeline.now - began

    def crash(self, name: str) -> None:
        """The kernel of a machine panics."""
        self.machines.crash(self.machines[name])

    def run(self, *argv: str, stdin: str = "") -> Answer:
        """Run a tool to its end, however long that takes."""
        reply = run_tool(self.cluster, argv, stdin)
        while not isinstance(reply, Answer):
            self.pass_time(0.1)
            reply = reply() or reply
        return reply

    def attribute(self, node: str, name: str, *words: str) -> Answer:
        """Run ``crm_attribute`` for a permanent attribute of a node."""
        words = ("--node", node, "--name", name, *words, "--lifetime", "forever")
        return self.run("crm_attribute", *words)

    def roles(self, node: str) -> list[str]:
        """The roles of a node's services, in their order."""
        return [service.role.value for service in self.cluster.nodes[node].services.values()]

    def events(self) -> list[tuple[str, str, str | None]]:
        """The fence history, newest first: action, status, delegate."""
        return [(e.action, e.status.value, e.delegate) for e in self.cluster.fencer.events]

    def monitor(self) -> ET.Element:
        """What ``crm_mon`` prints now."""
        return crm_mon(self.cluster, "crm_mon --output-as=xml -1 -r")


def new_world(
    *,
    names: tuple[str, ...] = NAMES,
    off: tuple[str, ...] = (),
    settings: ClusterSettings | None = None,
) -> World:
    """A healthy cluster, at the time of the recordings; ``off`` machines were never on."""
    timeline = Timeline(START)
    machines = Machines(names, timeline, boot_seconds=2.0)
    for name in off:
        machines.power_off(machines[name])
    bmcs = {name: Bmc(machines[name], machines) for name in names}
    cluster = Cluster(
        machines=machines, bmcs=bmcs, timeline=timeline, names=names, settings=settings
    )
    return World(timeline=timeline, machines=machines, bmcs=bmcs, cluster=cluster)
