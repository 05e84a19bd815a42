"""The chain of services on the lab's compute nodes: started in order, stopped in reverse."""

from collections.abc import Callable
from typing import Protocol

from hacli.lab.cib import Cib, binary
from hacli.lab.cluster_facts import ClusterSettings, Operation, RemoteNode, Role, Service
from hacli.lab.machines import Machine, Machines
from hacli.lab.operations import Operations

_MONITOR_S = 10.0
_NOT_RUNNING = 7


class Cluster(Protocol):
    """What the chain needs of the cluster that it belongs to."""

    cib: Cib
    operations: Operations
    settings: ClusterSettings

    def manages(self, node: RemoteNode) -> bool:
        """The cluster may act on this node now."""
        ...

    def must_fence(self, node: RemoteNode) -> None:
        """A stop failed: only fencing makes sure that the service does not run."""
        ...

    def chain_rests(self, node: RemoteNode) -> None:
        """Nothing is left to start or stop on the node."""
        ...


class Chain:
    """Starts and stops services, one at a time per node, until each is as it is wanted."""

    def __init__(self, cluster: Cluster, machines: Machines) -> None:
        self._cluster = cluster
        self._machines = machines
        self._timeline = machines.timeline
        self._broken: set[tuple[str, str, str]] = set()

    def break_task(self, node: str, service: str, task: str) -> None:
        """From now on ``task`` (start or stop) of the service fails on the node."""
        self._broken.add((node, service, task))

    def mend(self, node: str, service: str) -> None:
        """The service starts and stops again, once its failure is cleaned up."""
        self._broken -= {(node, service, "start"), (node, service, "stop")}

    def probe(self, node: RemoteNode) -> None:
        """The node has just connected: find out what runs there."""
        machine = self._machines[node.name]
        for service in node.services.values():
            running = service.name in machine.processes
            service.role = Role.STARTED if running else Role.STOPPED
            service.failed = service.restart = False
            if running:
                self._note(node, service, "monitor")

    def advance(self, node: RemoteNode) -> None:
        """Take the next step towards what is wanted; each step's end takes the next one."""
        services = node.services.values()
        moving = any(service.role in (Role.STARTING, Role.STOPPING) for service in services)
        if moving or not node.connected or node.unclean or not self._cluster.manages(node):
            return
        managed = [service for service in services if self._managed(service)]
        for service in reversed(managed):
            if service.role is Role.STARTED and not self._may_run(node, service):
                self._stop(node, service)
                return
        for service in managed:
            if service.role is Role.STOPPED and self._may_run(node, service):
                self._start(node, service)
                return
        self._cluster.chain_rests(node)

    def died(self, node: RemoteNode, name: str) -> None:
        """A service ended without being stopped; its next monitor finds out."""
        service, epoch = node.services[name], node.epoch
        if service.role is not Role.STARTED:
            return
        since = self._monitored_since(node, service)
        wait = _MONITOR_S - (self._timeline.now - since) % _MONITOR_S

        def notice() -> None:
            machine = self._machines[node.name]
            if service.role is not Role.STARTED or epoch != node.epoch:
                return
            acts = self._cluster.manages(node) and self._managed(service)
            if not machine.answers or not acts:
                self._timeline.after(_MONITOR_S, notice)
            elif service.name not in machine.processes:
                service.role = Role.STOPPED
                self._fail(node, service, "monitor", rc=_NOT_RUNNING)
                self.advance(node)

        self._timeline.after(wait, notice)

    def _may_run(self, node: RemoteNode, service: Service) -> bool:
        before = node.service_before(service.name)
        return (
            not service.restart
            and not service.start_failed
            and (before is None or (before.role is Role.STARTED and self._may_run(node, before)))
            and self.wanted(node, service.name)
        )

    def wanted(self, node: RemoteNode, service: str) -> bool:
        """The configuration wants this service on this node."""
        cib = self._cluster.cib
        return (
            cib.attributes(node.name).get("standby") not in ("on", "true")
            and not cib.stopped(node.name)
            and not cib.stopped(f"{service}-clone")
            and not cib.bans(service, node.name)
        )

    def _managed(self, service: Service) -> bool:
        return self._cluster.cib.managed(f"{service.name}-clone")

    def _start(self, node: RemoteNode, service: Service) -> None:
        service.role = Role.STARTING

        def done(machine: Machine) -> None:
            if (node.name, service.name, "start") in self._broken:
                service.role = Role.STOPPED
                service.start_failed = True
                self._fail(node, service, "start")
                self._note(node, service, "stop")
            else:
                service.role = Role.STARTED
                self._machines.start_process(machine, service.name)
                self._note(node, service, "start")
                self._note(node, service, "monitor")

        self._after(node, self._cluster.settings.start_s, done)

    def _stop(self, node: RemoteNode, service: Service) -> None:
        service.role = Role.STOPPING

        def done(machine: Machine) -> None:
            if (node.name, service.name, "stop") in self._broken:
                service.role = Role.STARTED
                service.failed = True
                self._fail(node, service, "stop")
                self._cluster.must_fence(node)
            else:
                service.role = Role.STOPPED
                service.restart = False
                self._machines.stop_process(machine, service.name)
                self._note(node, service, "stop")

        self._after(node, self._cluster.settings.stop_s, done)

    def _after(self, node: RemoteNode, seconds: float, done: Callable[[Machine], None]) -> None:
        """End a step, unless the node was lost meanwhile or cannot be talked to."""
        epoch = node.epoch

        def end() -> None:
            machine = self._machines[node.name]
            if epoch == node.epoch and machine.answers:
                done(machine)
                self.advance(node)
            elif epoch == node.epoch:
                self._timeline.after(1.0, end)

        self._timeline.after(seconds, end)

    def _monitored_since(self, node: RemoteNode, service: Service) -> float:
        history = self._cluster.operations.of_node(node.name).get(service.name)
        return history.monitor.at if history and history.monitor else self._timeline.now

    def _note(self, node: RemoteNode, service: Service, task: str) -> None:
        interval = _MONITOR_S if task == "monitor" else 0.0
        operation = Operation(task=task, at=self._timeline.now, interval_s=interval, exec_ms=30)
        self._cluster.operations.done(node.name, service.name, operation)

    def _fail(self, node: RemoteNode, service: Service, task: str, *, rc: int = 1) -> None:
        reason = f"{binary(service.name)} failed to {task} (lab switch)" if rc == 1 else ""
        interval = _MONITOR_S if task == "monitor" else 0.0
        operation = Operation(
            task=task,
            at=self._timeline.now,
            interval_s=interval,
            rc=rc,
            exec_ms=0 if interval else 15,
            exit_reason=reason,
        )
        self._cluster.operations.failed(node.name, service.name, operation)
