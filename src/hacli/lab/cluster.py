"""The lab's Pacemaker: remote nodes, their connections, the decision to fence, and what follows.

A pure state machine: time is the machines' ``Timeline``, fencing goes to the BMC models, and the
configuration is the CIB's. It behaves as the recorded cluster (2.1.5) does, above all where that
is unkind: a silent host is unclean only after 30 to 40 s, a dead node reads online while its
connection is being started, and a fence event says ``reboot`` whatever the device did.
"""

from collections.abc import Mapping

from hacli.lab.bmcs import Bmc
from hacli.lab.chain import Chain
from hacli.lab.cib import CHAIN, RebootAction
from hacli.lab.cib_template import new_cib
from hacli.lab.cluster_facts import (
    REMOTED,
    ClusterSettings,
    Departure,
    Operation,
    RemoteNode,
    Role,
)
from hacli.lab.connections import Connections, Loss
from hacli.lab.fencer import HUMAN, FenceEvent, FenceOrder, Fencer, FenceStatus
from hacli.lab.machines import Machine, Machines, Timeline
from hacli.lab.operations import Operations

CONTROLLER_CLIENT = "pacemaker-controld.68"
_RETRY_S = 0.05


class Cluster:
    """One cluster over some machines, seen from its first controller.

    Args:
        machines: The machines of the region; the cluster listens to what happens to them.
        bmcs: The BMC model of each compute node.
        timeline: The time of the machines.
        names: The compute nodes.
    """

    def __init__(
        self,
        *,
        machines: Machines,
        bmcs: Mapping[str, Bmc],
        timeline: Timeline,
        names: tuple[str, ...],
        settings: ClusterSettings | None = None,
    ) -> None:
        self.settings = settings or ClusterSettings()
        self.machines = machines
        self.timeline = timeline
        numbers = range(1, self.settings.controllers + 1)
        self.controllers = tuple(f"controller-{number}" for number in numbers)
        self.cib = new_cib(
            names,
            self.controllers,
            login=self.settings.login,
            reboot_action=self.settings.reboot_action,
            monitor=(self.settings.monitor_s, self.settings.monitor_timeout_s),
            gate=self.settings.gate,
        )
        self.running = True  # on the controller where the tools are run
        self.quorum = True
        self.elected = True  # a DC has been elected
        self.departed: dict[str, tuple[Departure, float]] = {}  # controllers, and since when
        self.stopped_devices: set[str] = set()
        self.operations = Operations()
        self.fencer = Fencer(bmcs=bmcs, timeline=timeline, ended=self._fence_ended)
        self.chain = Chain(self, machines)
        self.connections = Connections(self, machines)
        self.nodes = {
            name: RemoteNode(name=name, controller=self.controllers[index % len(self.controllers)])
            for index, name in enumerate(names)
        }
        self.changes = 1
        self.changed_at = timeline.now
        for number, node in enumerate(self.nodes.values()):
            self._begin_healthy(node, number)
        machines.on_change.append(self._machine_changed)

    @property
    def dc(self) -> str | None:
        """The designated controller; None before one is elected."""
        return self.controllers[0] if self.running and self.elected else None

    @property
    def fencing_enabled(self) -> bool:
        """``stonith-enabled``."""
        return self.cib.option("stonith-enabled", "true") == "true"

    @property
    def maintenance_mode(self) -> bool:
        """The whole cluster is unmanaged."""
        return self.cib.option("maintenance-mode", "false") == "true"

    @property
    def present(self) -> tuple[str, ...]:
        """The controllers that this one sees: without quorum it is alone."""
        seen = self.controllers if self.quorum else self.controllers[:1]
        return tuple(name for name in seen if name not in self.departed)

    def depart(self, controller: str, how: Departure) -> None:
        """Another controller is no longer there. The quorum is another matter.

        Not recorded: after the sources of Pacemaker 2.1 (``controld_membership.c``,
        ``controld_fencing.c``).
        """
        self.departed[controller] = how, self.timeline.now
        if how in (Departure.FENCED, Departure.CONFIRMED):
            fenced = how is Departure.FENCED
            self.fencer.record(
                FenceEvent(
                    action="reboot" if fenced else "off",
                    target=controller,
                    client=CONTROLLER_CLIENT,
                    origin=self.controllers[0],
                    status=FenceStatus.SUCCESS,
                    delegate=self.controllers[0] if fenced else HUMAN,
                    completed=self.timeline.now,
                )
            )

    def in_maintenance(self, node: RemoteNode) -> bool:
        """The node or the whole cluster is in maintenance, or its connection is not managed."""
        own = self.cib.attributes(node.name).get("maintenance") == "true"
        return own or self.maintenance_mode or not self.cib.managed(node.name)

    def manages(self, node: RemoteNode) -> bool:
        """The cluster may act on this node now."""
        return self.dc is not None and self.quorum and not self.in_maintenance(node)

    def set_quorum(self, *, quorum: bool) -> None:
        """Take quorum from the controllers' partition, or give it back."""
        self.quorum = quorum
        self._reconsider_all()

    def set_running(self, *, running: bool) -> None:
        """Stop or start the cluster where the tools are run; the fencers forget their history."""
        self.running = running
        self.fencer.forget()
        self._reconsider_all()

    def configuration_changed(self) -> None:
        """The CIB was edited: act on it, as the scheduler does after every change."""
        self.cib.edited()
        self.changes += 1
        self.changed_at = self.timeline.now
        for node in self.nodes.values():
            maintenance = self.in_maintenance(node)
            if maintenance or node.in_maintenance:
                node.in_maintenance = maintenance
                node.origin = "remote_ra_maintenance" if maintenance else "do_update_resource"
        self.timeline.after(0.0, self._reconsider_all)

    def fence(
        self, target: str, action: str, *, timeout_s: float, client: str = "stonith_admin"
    ) -> FenceOrder | None:
        """Order ``off``, ``on`` or ``reboot``; None when no device can do it to this target.

        The fencer does not ask for quorum: only the controller does.
        """
        client = self.fencer.next_client(client)
        if not self.cib.devices_for(target):
            self._refuse_fence(target, action, client=client)
            return None
        return self.fencer.order(
            target,
            action,
            client=client,
            origin=self.controllers[0],
            timeout_s=timeout_s,
            reboot_action=self._reboot_action(target),
        )

    def _refuse_fence(self, target: str, action: str, *, client: str) -> None:
        """An order that no device can carry out is a failed one of the history, by nobody."""
        self.fencer.record(
            FenceEvent(
                action=action,
                target=target,
                client=client,
                origin=self.controllers[0],
                status=FenceStatus.FAILED,
                completed=self.timeline.now,
            )
        )

    def confirm_off(self, target: str) -> None:
        """``stonith_admin --confirm``: believe a person that the node is down."""
        self.fencer.record(
            FenceEvent(
                action="off",
                target=target,
                client=self.fencer.next_client("stonith_admin"),
                origin=self.controllers[0],
                status=FenceStatus.SUCCESS,
                delegate=HUMAN,
                completed=self.timeline.now,
            )
        )
        if target in self.nodes:
            self._fenced(self.nodes[target])

    def restart(self, service: str, node: str) -> None:
        """Stop a service and what depends on it on one node, and start them again."""
        self.nodes[node].services[service].restart = True
        self.chain.advance(self.nodes[node])

    def clean_up(self, resource: str | None = None, node: str | None = None) -> None:
        """Forget failures (of one resource, on one node), so that it is tried again."""
        for where, failed, _ in tuple(self.operations.failures()):
            if resource in (None, failed, f"{failed}-clone") and node in (None, where):
                self.operations.clear_failure(where, failed)
                self.stopped_devices.discard(failed)
                if where in self.nodes:
                    self.nodes[where].services[failed].start_failed = False
        self._reconsider_all()

    def point_fence_devices(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Write where each node's BMC listens into its fence device."""
        for node, (ip, port) in addresses.items():
            for device in self.cib.devices_for(node):
                self.cib.set_device_parameter(device, "ip", ip)
                self.cib.set_device_parameter(device, "ipport", str(port))

    def must_fence(self, node: RemoteNode) -> None:
        """Only fencing makes sure of this node now."""
        node.unclean = True
        self._request_fences()

    def chain_rests(self, node: RemoteNode) -> None:
        """Every service is as it is wanted; stop the connection, if that is wanted."""
        if self.cib.stopped(node.name):
            node.epoch += 1
            node.origin = "remote_node_down"
            self.connections.stop(node)

    def lost(self, node: RemoteNode) -> None:
        """The connection to a node failed: fence the node, where fencing is on."""
        if self.fencing_enabled:
            self.must_fence(node)
        else:
            self._clear_node(node)
            self.connections.plan(node)

    def connected(self, node: RemoteNode) -> None:
        """A node can be talked to: find out what runs there, and start the rest."""
        node.node_fenced = 0
        self.chain.probe(node)
        self.chain.advance(node)

    def _begin_healthy(self, node: RemoteNode, number: int) -> None:
        machine = self.machines[node.name]
        if machine.alive:
            for process in (REMOTED, *CHAIN):
                self.machines.start_process(machine, process)
            for service in CHAIN:
                started = Operation(task="start", at=self.timeline.now, exec_ms=30)
                self.operations.done(node.name, service, started)
            self.connections.begin(node, number)
        else:
            self.connections.plan(node)
        for device in self.cib.devices_for(node.name):
            for task, interval in (("start", 0.0), ("monitor", 60.0)):
                done = Operation(task=task, at=self.timeline.now, interval_s=interval, exec_ms=220)
                self.operations.done(node.controller, device, done)

    def _machine_changed(self, machine: Machine, what: str) -> None:
        node = self.nodes.get(machine.name)
        process = what.partition(":")[2]
        if node is not None and what.startswith("process-stopped:") and process in CHAIN:
            self.chain.died(node, process)
        elif node is not None:
            self.connections.machine_changed(node, what)

    def _request_fences(self) -> None:
        """Begin to fence what is unclean, one node after the other or all of now together.

        Nothing is begun while an earlier fencing of the controller's is under way: the transition
        has to end first, also with ``concurrent-fencing`` (seen on a live 2.1.5).
        """
        if not self.fencing_enabled:
            return
        if any(order.client == CONTROLLER_CLIENT for order in self.fencer.orders):
            return
        concurrent = self.cib.option("concurrent-fencing", "false") == "true"
        due = [
            node
            for node in self.nodes.values()
            if node.unclean and node.retry_fence_at <= self.timeline.now and self.manages(node)
        ]
        for node in due if concurrent else due[:1]:
            self._fence_unclean(node)

    def _fence_unclean(self, node: RemoteNode) -> None:
        if node.failed:
            self.connections.stop(node)
        if self.cib.devices_for(node.name):
            self.fencer.order(
                node.name,
                "reboot",
                client=CONTROLLER_CLIENT,
                origin=self.controllers[0],
                timeout_s=self.settings.fence_timeout_s,
                reboot_action=self._reboot_action(node.name),
            )

    def _reboot_action(self, target: str) -> RebootAction:
        device = self.cib.devices_for(target)[0]
        return RebootAction(self.cib.device_parameter(device, "pcmk_reboot_action") or "reboot")

    def _fence_ended(self, order: FenceOrder, event: FenceEvent) -> None:
        node = self.nodes.get(order.target)
        if node is not None and event.status is FenceStatus.SUCCESS and event.action != "on":
            self._fenced(node)
        elif node is not None and event.status is FenceStatus.FAILED and node.unclean:
            self._fence_failed(node, order)
        self.timeline.after(_RETRY_S, self._request_fences)

    def _fence_failed(self, node: RemoteNode, order: FenceOrder) -> None:
        """Try again at once, up to ten times, then at each recheck (recorded)."""
        if order.silent:
            self._device_failed(node)
        node.fence_failures += 1
        if node.fence_failures >= self.settings.max_fence_attempts:
            node.retry_fence_at = self.timeline.now + self.settings.recheck_s
            self.timeline.after(self.settings.recheck_s, self._request_fences)

    def _device_failed(self, node: RemoteNode) -> None:
        """The device's own monitor and restart find the BMC silent, too; fencing still uses it."""
        for device in self.cib.devices_for(node.name):
            self.stopped_devices.add(device)
            failure = Operation(
                task="start",
                at=self.timeline.now,
                rc=1,
                status="Timed Out",
                exec_ms=20010,
                exit_reason="Fence agent did not complete within 20s",
            )
            self.operations.failed(node.controller, device, failure)

    def _fenced(self, node: RemoteNode) -> None:
        """The fencer says that the node is down: nothing runs there any more."""
        if node.connected:
            self.connections.fail(node, Loss.CLOSED)
            self.connections.stop(node)
        node.unclean = False
        node.fence_failures = 0
        node.retry_fence_at = 0.0
        node.node_fenced = int(self.timeline.now)
        node.origin = "send_stonith_update"
        self._clear_node(node)
        self.connections.plan(node)

    def _clear_node(self, node: RemoteNode) -> None:
        if node.role is not Role.STARTING:
            node.role = Role.STOPPED
        self.operations.forget_node(node.name)
        for service in node.services.values():
            service.role = Role.STOPPED
            service.failed = service.start_failed = service.restart = False

    def _reconsider_all(self) -> None:
        """Act on what may have changed: services, connections, fencing."""
        for node in self.nodes.values():
            self.chain.advance(node)
            self.connections.start(node)
        self._request_fences()
