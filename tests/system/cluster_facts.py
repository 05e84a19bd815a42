"""What Pacemaker's own tools show of a host, read without hacli's adapters."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from tests.system.stack import cib
from tests.system.stack.cluster import ASK_LIMIT_S, Cluster
from tests.system.stack.node import Node
from tests.system.stack.plan import CHAIN


@dataclass(frozen=True)
class ClusterFacts:
    """The cluster as its first running controller shows it; each call asks."""

    cluster: Cluster

    def is_unclean(self, host: str) -> bool:
        """It is lost, and its fencing has not succeeded yet."""
        node = self._status().find(f"nodes/node[@name='{host}']")
        return node is not None and node.get("unclean") == "true"

    def fenced_at(self, host: str) -> int:
        """``node_fenced`` of the CIB: seconds since the epoch; 0 when it is not fenced."""
        state = self._cib().find(f"status/node_state[@uname='{host}']")
        return int(state.get("node_fenced", "0")) if state is not None else 0

    def fencing_failed(self, host: str) -> bool:
        """The fence history has a failed attempt on it."""
        events = self._status().iterfind(f"fence_history/fence_event[@target='{host}']")
        return any(event.get("status") == "failed" for event in events)

    def is_healthy(self, host: str) -> bool:
        """Connected, its whole chain started, nothing failed or under way."""
        connected = self._connected(host)
        return connected and self._started(host) >= {cib.resource_of(name) for name in CHAIN}

    def runs(self, host: str, service: str) -> bool:
        """It is connected, and Pacemaker has started this service of its chain there."""
        return self._connected(host) and cib.resource_of(service) in self._started(host)

    def kill_compute(self, host: str) -> None:
        """End nova-compute on a host with SIGKILL, and nothing else."""
        node = Node(plan=self.cluster.plan, name=host)
        node.run("sh", "-c", "kill -KILL $(cat /run/nova-compute.pid)")

    def forget_fencing(self, host: str) -> None:
        """Have the cluster forget that a host was ever fenced."""
        controller = next(node for node in self.cluster.controllers if node.running)
        controller.run("stonith_admin", "--history", host, "--cleanup")

    def _started(self, host: str) -> set[str]:
        """Ids of what runs on a host, and has neither failed nor is under way."""
        return {
            resource.get("id", "")
            for resource in self._status().iterfind("resources//resource")
            if resource.get("role") == "Started"
            and resource.get("failed") == "false"
            and resource.get("pending") is None
            and resource.find(f"node[@name='{host}']") is not None
        }

    def _connected(self, host: str) -> bool:
        state = self._cib().find(f"status/node_state[@uname='{host}']")
        return state is not None and state.get("in_ccm") not in (None, "false", "0")

    def _status(self) -> ET.Element:
        return self._ask("crm_mon", "--output-as=xml", "-1", "-r")

    def _cib(self) -> ET.Element:
        return self._ask("cibadmin", "--query")

    def _ask(self, *words: str) -> ET.Element:
        controller = next(node for node in self.cluster.controllers if node.running)
        answer = controller.run(*words, timeout_s=ASK_LIMIT_S).stdout
        return ET.fromstring(answer)  # noqa: S314 - our own cluster wrote it
