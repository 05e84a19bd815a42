"""The nova-compute daemons of the lab: heartbeats, their queue, their start, their power sync."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from hacli.lab.cloud_records import (
    POWER_RUNNING,
    POWER_SHUTDOWN,
    Migration,
    MigrationStatus,
    Server,
    VmState,
)
from hacli.lab.cloud_tables import Tables
from hacli.lab.machines import Machine, Machines

NOVA_COMPUTE = "nova-compute"
REBUILD_TASKS = frozenset({"rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"})
_RESUMED_TASKS = frozenset({"reboot_started_hard", "powering-on", "powering-off"})
_BUILD_TASKS = frozenset({"scheduling", "block_device_mapping", "networking", "spawning"})

Task = Callable[[], None]


class Computes:
    """All nova-compute daemons, as they follow their machines."""

    def __init__(self, tables: Tables, machines: Machines) -> None:
        self._tables = tables
        self._machines = machines
        self._starts: dict[str, int] = defaultdict(int)
        self._ready: set[str] = set()
        self._queue: dict[str, list[Task]] = defaultdict(list)
        self._held: dict[str, list[Task]] = defaultdict(list)
        self._begun: dict[str, tuple[float, Task]] = {}
        self.conductor_alive = True
        machines.on_change.append(self._machine_changed)
        tables.timeline.after(tables.settings.report_interval, self._beat_controller)

    def answers(self, host: str) -> bool:
        """Whether an RPC call to the host's nova-compute is answered."""
        machine = self._machines[host]
        return machine.answers and NOVA_COMPUTE in machine.processes

    def daemon(self, host: str) -> str:
        """A name for this very daemon of the host: its next start is another one."""
        return f"{host}#{self._starts[host]}"

    def cast(self, host: str, task: Task) -> None:
        """Send a message: done at once, or when the daemon next listens (the broker keeps it)."""
        if self.answers(host) and host in self._ready:
            task()
        else:
            self._queue[host].append(task)

    def work(self, host: str, seconds: float, task: Task) -> None:
        """Go on with a task after ``seconds``, as long as this very daemon lives.

        A daemon that is cut off or hung holds the task until it is back; one that ends loses it.
        """
        start = self._starts[host]

        def go_on() -> None:
            if self._starts[host] != start or NOVA_COMPUTE not in self._machines[host].processes:
                return
            if self.answers(host) and self.conductor_alive:
                task()
            else:
                self._held[host].append(task)

        self._tables.timeline.after(seconds, go_on)

    def begin(self, server: Server, host: str, seconds: float, task: Task) -> None:
        """Carry out an order for one server; a daemon that dies over it begins again when started.

        Source: nova/compute/manager.py ``_init_instance`` and ``_retry_reboot``.
        """
        self._begun[server.id] = (seconds, task)

        def end() -> None:
            self._begun.pop(server.id, None)
            task()

        self.work(host, seconds, end)

    def set_conductor(self, *, alive: bool) -> None:
        """Kill or revive nova-conductor, through which every daemon writes to the database."""
        self.conductor_alive = alive
        if alive:
            for host in tuple(self._held):
                self._go_on(host)

    def _beat_controller(self) -> None:
        for service in self._tables.services:
            is_conductor = service.binary == "nova-conductor"
            if service.binary != NOVA_COMPUTE and (self.conductor_alive or not is_conductor):
                service.last_seen = service.updated_at = self._tables.now
        self._tables.timeline.after(self._tables.settings.report_interval, self._beat_controller)

    def _machine_changed(self, machine: Machine, what: str) -> None:
        if what == f"process-started:{NOVA_COMPUTE}":
            self._started(machine)
        elif what == "joined":
            self._go_on(machine.name)

    def _go_on(self, host: str) -> None:
        if not self.answers(host):
            return
        held, self._held[host] = self._held[host], []
        for task in held:
            task()
        self._drain(host)

    def _drain(self, host: str) -> None:
        if host in self._ready:
            queue, self._queue[host] = self._queue[host], []
            for task in queue:
                task()

    def _started(self, machine: Machine) -> None:
        host, settings = machine.name, self._tables.settings
        self._starts[host] += 1
        self._held[host].clear()
        self._ready.discard(host)
        if self._tables.compute_service(host) is None:
            service = self._tables.add_service(NOVA_COMPUTE, host, zone=settings.zone)
            self._ready.add(host)
            # Daemons of a region that has long been running do not beat in step.
            first = settings.report_interval - (3.0 * service.number) % settings.report_interval
        else:
            first = settings.report_interval
            self.work(host, settings.init_host_seconds, lambda: self._init_host(host))
        self._beat_after(host, first)
        self.work(host, settings.first_power_sync_seconds, lambda: self._sync_power(host))

    def _beat_after(self, host: str, seconds: float) -> None:
        start = self._starts[host]

        def beat() -> None:
            if self._starts[host] != start or NOVA_COMPUTE not in self._machines[host].processes:
                return
            service = self._tables.compute_service(host)
            if service and self.answers(host) and self.conductor_alive:
                service.last_seen = service.updated_at = self._tables.now
            self._beat_after(host, self._tables.settings.report_interval)

        self._tables.timeline.after(seconds, beat)

    def _init_host(self, host: str) -> None:
        """Clean up after evacuations, then look at the host's own servers, then listen.

        Source: nova/compute/manager.py ``init_host``. Independent of forced_down and disabled.
        """
        evacuations = self._tables.open_evacuations_from(host)
        pace = self._tables.settings.init_guest_seconds
        for position, migration in enumerate(evacuations):
            self.work(host, position * pace, partial(self._clean_up, host, migration))
        passed_over = frozenset(m.server for m in evacuations)
        self.work(host, len(evacuations) * pace, lambda: self._init_servers(host, passed_over))

    def _clean_up(self, host: str, evacuation: Migration) -> None:
        machine = self._machines[host]
        if evacuation.server in machine.guests:
            self._machines.destroy_guest(machine, evacuation.server)
        self._tables.deallocate(evacuation.server, host)
        self._tables.set_status(evacuation, MigrationStatus.COMPLETED)

    def _init_servers(self, host: str, passed_over: frozenset[str]) -> None:
        for server in self._tables.servers_on(host):
            if server.id not in passed_over:
                self._init_server(server)
        self._ready.add(host)
        self._drain(host)

    def _init_server(self, server: Server) -> None:
        """What a starting nova-compute makes of a server it owns; it starts no guest.

        Source: nova/compute/manager.py ``_init_instance``.
        """
        rebuilding = server.task_state in REBUILD_TASKS and server.vm_state in (
            VmState.ACTIVE,
            VmState.STOPPED,
        )
        if rebuilding or server.vm_state is VmState.BUILDING or server.task_state in _BUILD_TASKS:
            server.vm_state, server.task_state = VmState.ERROR, None
            self._tables.touch(server)
        elif server.task_state in _RESUMED_TASKS and server.id in self._begun:
            seconds, task = self._begun[server.id]
            self.begin(server, server.host or "", seconds, task)
        elif server.task_state == "migrating":
            server.task_state = None
            self._tables.touch(server)

    def _sync_power(self, host: str) -> None:
        """Nova believes the hypervisor: ACTIVE without a running guest becomes SHUTOFF.

        A guest that the hypervisor does not know at all is passed over.
        Source: nova/compute/manager.py ``_sync_power_states``, which also runs soon after a start.
        """
        for server in self._tables.servers_on(host):
            if server.task_state is None and server.id in self._machines[host].guests:
                self._sync_server(host, server)
        self.work(host, self._tables.settings.power_sync_seconds, lambda: self._sync_power(host))

    def _sync_server(self, host: str, server: Server) -> None:
        guest = self._machines[host].guests[server.id]
        if server.vm_state in (VmState.ACTIVE, VmState.STOPPED):
            server.power_state = POWER_RUNNING if guest.running else POWER_SHUTDOWN
        dead = not guest.running and server.vm_state in (VmState.ACTIVE, VmState.PAUSED)
        if dead or (guest.running and server.vm_state is VmState.STOPPED):
            self._stop(host, server)

    def _stop(self, host: str, server: Server) -> None:
        """By the API that users have, but with no user: nobody asked for it."""
        action = self._tables.record_action(
            server, "stop", request_id=f"req-{self._tables.new_uuid('sync')}", by_nova=True
        )
        server.task_state = "powering-off"
        self._tables.touch(server)

        def stopped() -> None:
            machine = self._machines[host]
            if server.id in machine.guests:
                self._machines.end_guest(machine, server.id)
            server.vm_state, server.task_state = VmState.STOPPED, None
            server.power_state = POWER_SHUTDOWN
            self._tables.touch(server)
            now = self._tables.now
            action.end(action.begin("compute_stop_instance", host=host, now=now), now=now)

        self.begin(server, host, self._tables.settings.stop_seconds, stopped)
