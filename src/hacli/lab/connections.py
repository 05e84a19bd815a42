"""The connections of the lab's cluster to its remote nodes: made, watched, lost, made again."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from hacli.lab.cib import Cib
from hacli.lab.cluster_facts import REMOTED, ClusterSettings, Operation, RemoteNode, Role
from hacli.lab.machines import Machines
from hacli.lab.operations import Operations

_SPREAD_S = 3.7  # the nodes' monitors do not tick together
_CLOSED_S = 0.2  # until a closed TCP connection is noticed (recorded)
_REACHED_S = 0.5  # from an answer to a connection
_SOON_S = 0.05
_SILENCE = frozenset({"crashed", "hung", "cut", "power-off"})


class Loss(Enum):
    """How a connection is lost: exit reason and status of its failed monitor, as recorded."""

    CLOSED = ("Lost connection to remote executor", "Error")
    SILENT = ("Remote executor did not respond", "Timed Out")


class Cluster(Protocol):
    """What the connections need of the cluster that they belong to."""

    cib: Cib
    operations: Operations
    settings: ClusterSettings

    def manages(self, node: RemoteNode) -> bool:
        """The cluster may act on this node now."""
        ...

    def lost(self, node: RemoteNode) -> None:
        """The connection failed."""
        ...

    def connected(self, node: RemoteNode) -> None:
        """The connection is up."""
        ...


class Connections:
    """The ``ocf:pacemaker:remote`` resources, one per compute node."""

    def __init__(self, cluster: Cluster, machines: Machines) -> None:
        self._cluster = cluster
        self._machines = machines
        self._timeline = machines.timeline

    def begin(self, node: RemoteNode, number: int) -> None:
        """Connect a node when the cluster begins; ``number`` says when its monitor ticks."""
        self._note(node, "start")
        self._connected(node)
        node.connected_at -= number * _SPREAD_S % self._cluster.settings.monitor_s

    def machine_changed(self, node: RemoteNode, what: str) -> None:
        """Something happened to the node's machine."""
        if what in _SILENCE:
            self._watch_silence(node)
        elif what == "booted":
            self._machines.start_process(self._machines[node.name], REMOTED)
        elif what == "joined":
            node.silent_since = None
            self._try_to_reach(node)
        elif what == f"process-started:{REMOTED}":
            self._remoted_started(node)
        elif what == f"process-stopped:{REMOTED}":
            self._lose(node, Loss.CLOSED, after=_CLOSED_S)

    def fail(self, node: RemoteNode, loss: Loss) -> None:
        """The monitor of a connection failed; what was under way on the node no longer counts."""
        reason, status = loss.value
        operation = Operation(
            task="monitor",
            at=self._timeline.now,
            interval_s=self._cluster.settings.monitor_s,
            rc=1,
            status=status,
            exit_reason=reason,
        )
        self._cluster.operations.failed(node.controller, node.name, operation)
        node.failed = True
        node.lost_at = self._timeline.now
        node.epoch += 1
        node.origin = "remote_node_down"
        for service in node.services.values():
            if service.role in (Role.STARTING, Role.STOPPING):
                service.role = Role.STARTED

    def stop(self, node: RemoteNode) -> None:
        """Give the connection up."""
        node.role = Role.STOPPED
        self._note(node, "stop")

    def plan(self, node: RemoteNode) -> None:
        """Start the connection again, at the earliest ``reconnect_interval`` after its failure."""
        wait = node.lost_at + self._cluster.settings.reconnect_s - self._timeline.now
        self._timeline.after(max(wait, _SOON_S), lambda: self.start(node))

    def start(self, node: RemoteNode) -> None:
        """Try to connect, for up to a minute, where that is wanted and allowed."""
        settings = self._cluster.settings
        wanted = not self._cluster.cib.stopped(node.name)
        too_early = node.failed and self._timeline.now < node.lost_at + settings.reconnect_s
        if node.role is not Role.STOPPED or node.unclean or too_early:
            return
        if not wanted or not self._cluster.manages(node):
            return
        node.role = Role.STARTING
        node.starting_since = self._timeline.now
        node.failed = False
        node.epoch += 1
        self._cluster.operations.clear_failure(node.controller, node.name)
        epoch = node.epoch

        def give_up() -> None:
            if epoch == node.epoch and node.role is Role.STARTING:
                self._not_started(node)

        self._timeline.after(settings.connect_timeout_s, give_up)
        self._try_to_reach(node)

    def _not_started(self, node: RemoteNode) -> None:
        node.role = Role.STOPPED
        node.failed = True
        node.lost_at = self._timeline.now
        failure = Operation(
            task="start",
            at=node.starting_since,
            rc=1,
            status="Timed Out",
            exit_reason="No route to host without enough time to retry",
        )
        self._cluster.operations.failed(node.controller, node.name, failure)
        self.plan(node)

    def _remoted_started(self, node: RemoteNode) -> None:
        node.silent_since = None
        if node.connected:  # the machine was rebooted before anybody noticed
            self._lose(node, Loss.CLOSED, after=_CLOSED_S)
        else:
            self._try_to_reach(node)

    def _try_to_reach(self, node: RemoteNode) -> None:
        epoch = node.epoch

        def look() -> None:
            machine = self._machines[node.name]
            reached = machine.answers and REMOTED in machine.processes
            if reached and epoch == node.epoch and node.role is Role.STARTING:
                self._note(node, "start")
                self._connected(node)

        if node.role is Role.STARTING:
            self._timeline.after(_REACHED_S, look)

    def _connected(self, node: RemoteNode) -> None:
        node.role = Role.STARTED
        node.failed = False
        node.silent_since = None
        node.connected_at = self._timeline.now
        node.epoch += 1
        node.origin = "do_update_resource"
        self._note(node, "monitor")
        self._cluster.connected(node)

    def _watch_silence(self, node: RemoteNode) -> None:
        """The connection says nothing from now on; only its monitor will find out."""
        if node.silent_since is not None or not node.connected:
            return
        since = node.silent_since = self._timeline.now
        settings = self._cluster.settings
        passed = (since - node.connected_at) % settings.monitor_s
        due = settings.monitor_s - passed + settings.monitor_timeout_s
        self._lose(node, Loss.SILENT, after=due, unless=lambda: node.silent_since != since)

    def _lose(
        self,
        node: RemoteNode,
        loss: Loss,
        *,
        after: float,
        unless: Callable[[], bool] = lambda: False,
    ) -> None:
        """Notice a loss; while the node is not managed nobody does."""
        epoch = node.epoch

        def notice() -> None:
            if epoch != node.epoch or not node.connected or unless():
                return
            if self._cluster.manages(node):
                self.fail(node, loss)
                self._cluster.lost(node)
            else:
                self._timeline.after(self._cluster.settings.monitor_s, notice)

        self._timeline.after(after, notice)

    def _note(self, node: RemoteNode, task: str) -> None:
        interval = self._cluster.settings.monitor_s if task == "monitor" else 0.0
        operation = Operation(task=task, at=self._timeline.now, interval_s=interval)
        self._cluster.operations.done(node.controller, node.name, operation)
