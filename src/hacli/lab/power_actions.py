"""Start, stop, hard reboot, rebuild: what a server's own nova-compute does with its guest."""

from hacli.lab.cloud import Cloud
from hacli.lab.cloud_records import POWER_RUNNING, POWER_SHUTDOWN, Action, Server, VmState
from hacli.lab.computes import Task
from hacli.lab.machines import Guest


class PowerActions:
    """Sends one kind of order to the nova-compute of a server's host.

    A host that does not answer keeps the server in its task state until its daemon is back: the
    message waits in the daemon's queue.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def start(self, server: Server, action: Action) -> None:
        """Start the guest of a stopped server."""
        self._order(server, action, task="powering-on", event="compute_start_instance")

    def stop(self, server: Server, action: Action) -> None:
        """End the guest."""
        self._order(server, action, task="powering-off", event="compute_stop_instance")

    def hard_reboot(self, server: Server, action: Action) -> None:
        """Start the guest anew.

        The only way to bring back a server that Nova calls ACTIVE after its guest died with the
        host.
        """
        self._order(server, action, task="rebooting_hard", event="compute_reboot_instance")

    def rebuild(self, server: Server, action: Action, *, image: str) -> None:
        """Make the root disk anew from ``image``, on the host where the server is.

        A server that was stopped is stopped again; any other ends ACTIVE.
        """
        host = server.host
        stopped = server.vm_state is VmState.STOPPED
        server.task_state = "rebuilding"
        self._cloud.tables.touch(server)
        if host is None:
            return

        def act() -> None:
            self._replace_disk(server, host, image)
            self._finish(server, host, action, "compute_rebuild_instance", stops=stopped)

        self._send(host, self._cloud.settings.spawn_seconds, act)

    def _replace_disk(self, server: Server, host: str, image: str) -> None:
        machine = self._cloud.machines[host]
        if server.id in machine.guests:
            self._cloud.machines.destroy_guest(machine, server.id)
        server.image = image
        server.disk = self._cloud.tables.new_uuid("disk")[:8]
        guest = Guest(server=server.id, disk=server.disk, local_disk=True)
        self._cloud.machines.define_guest(machine, guest)

    def reset_state(self, server: Server, state: VmState) -> None:
        """Write the state an admin wants into the row; nobody asks the hypervisor."""
        server.vm_state, server.task_state = state, None
        self._cloud.tables.touch(server)

    def _order(self, server: Server, action: Action, *, task: str, event: str) -> None:
        server.task_state = task
        self._cloud.tables.touch(server)
        if server.host is None:
            return
        settings, host = self._cloud.settings, server.host
        stops = task == "powering-off"
        seconds = settings.reboot_seconds if task == "rebooting_hard" else settings.stop_seconds

        def act() -> None:
            self._finish(server, host, action, event, stops=stops)

        def take() -> None:
            """A reboot that finds another task than its own is dropped, as by Nova."""
            if task == "rebooting_hard":
                if server.task_state != task:
                    return
                server.task_state = "reboot_started_hard"
            self._cloud.computes.begin(server, host, seconds, act)

        self._cloud.computes.cast(host, take)

    def _send(self, host: str, seconds: float, act: Task) -> None:
        computes = self._cloud.computes
        computes.cast(host, lambda: computes.work(host, seconds, act))

    def _finish(
        self, server: Server, host: str, action: Action, event: str, *, stops: bool
    ) -> None:
        machine = self._cloud.machines[host]
        if server.id in machine.guests:
            self._cloud.machines.end_guest(machine, server.id)
        if not stops:
            guest = machine.guests.get(server.id) or Guest(
                server=server.id, disk=server.disk, local_disk=server.image is not None
            )
            self._cloud.machines.start_guest(machine, guest)
        server.vm_state = VmState.STOPPED if stops else VmState.ACTIVE
        server.power_state = POWER_SHUTDOWN if stops else POWER_RUNNING
        server.task_state = None
        self._cloud.tables.touch(server)
        now = self._cloud.tables.now
        action.end(action.begin(event, host=host, now=now), now=now)
