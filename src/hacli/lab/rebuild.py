"""A rebuild on its destination, step by step, races included.

Nova takes no lock over a whole evacuation. Each step writes the server's row on the condition
that its ``task_state`` is the one expected; a writer that loses the race puts the server into
ERROR together with its own idea of the task, which then trips the other writer. So two requests
for one server end here as they do in a real cloud, without a rule of their own.

Source: nova/compute/manager.py ``rebuild_instance``, ``_do_rebuild_instance``.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from hacli.lab.cloud_records import (
    POWER_NOSTATE,
    POWER_RUNNING,
    POWER_SHUTDOWN,
    Action,
    ActionEvent,
    Migration,
    MigrationStatus,
    Server,
    VmState,
)
from hacli.lab.cloud_tables import Tables
from hacli.lab.computes import Computes, Task
from hacli.lab.machines import Guest, Machines

REBUILDING = "rebuilding"
MAPPING = "rebuild_block_device_mapping"
SPAWNING = "rebuild_spawning"


@dataclass
class EvacuationFaults:
    """What goes wrong with evacuations, until it is taken away again."""

    spawn_fails: set[str] = field(default_factory=set)  # destinations whose hypervisor refuses
    fails_after_spawn: set[str] = field(default_factory=set)  # guest started, then an exception
    stuck: dict[str, MigrationStatus] = field(default_factory=dict)  # server: status for ever


@dataclass(frozen=True, kw_only=True)
class EvacuationOrder:
    """One accepted request. ``shared`` is what a caller below 2.14 claims about the storage."""

    server: Server
    action: Action
    former: VmState
    asked: str | None = None
    force: bool = False
    shared: bool | None = None
    ends_stopped: bool = False  # microversion 2.95 and later


class SpawnSlots:
    """How many guests each daemon starts at a time; daemons are named by ``Computes.daemon``."""

    def __init__(self, per_daemon: int) -> None:
        self._per_daemon = per_daemon
        self._taken: dict[str, int] = defaultdict(int)
        self._waiting: dict[str, list[Task]] = defaultdict(list)

    def take(self, daemon: str, task: Task) -> None:
        """Run ``task`` as soon as the daemon has a slot."""
        if self._taken[daemon] < self._per_daemon:
            self._taken[daemon] += 1
            task()
        else:
            self._waiting[daemon].append(task)

    def free(self, daemon: str) -> None:
        """A spawn ended, well or badly."""
        self._taken[daemon] -= 1
        if self._waiting[daemon]:
            self.take(daemon, self._waiting[daemon].pop(0))


@dataclass(frozen=True, kw_only=True)
class Hypervisors:
    """What a rebuild needs of the world around it."""

    tables: Tables
    machines: Machines
    computes: Computes
    faults: EvacuationFaults
    slots: SpawnSlots


class _Failed(Exception):
    """A rebuild failed on its destination; the text is the fault that Nova shows."""


class _Conflict(_Failed):
    """The server's row was not in the task state that this rebuild expected."""


class Rebuild:
    """One rebuild of one server on one destination."""

    def __init__(
        self,
        hypervisors: Hypervisors,
        order: EvacuationOrder,
        *,
        migration: Migration | None,
        dest: str,
    ) -> None:
        self._world = hypervisors
        self._tables = hypervisors.tables
        self._order = order
        self._server = order.server
        self._migration = migration
        self._dest = dest
        self._former = order.former
        self._source = order.server.host or ""
        self._event: ActionEvent | None = None
        self._keeps_disk = False

    def begin(self) -> None:
        """The daemon takes the message from its queue; the claim comes first."""
        self._then(self._tables.settings.claim_seconds, self._claim)

    def _then(self, seconds: float, step: Task) -> None:
        self._world.computes.work(self._dest, seconds, lambda: self._try(step))

    def _try(self, step: Task) -> None:
        try:
            step()
        except _Failed as error:
            self._fail(error)

    def _claim(self) -> None:
        self._event = self._order.action.begin(
            "compute_rebuild_instance", host=self._dest, now=self._tables.now
        )
        if self._migration:
            self._migration.dest = self._dest
            self._migration.dest_node = self._tables.node_of(self._dest)
            self._migration.dest_address = "192.168.0.1"
            self._tables.set_status(self._migration, MigrationStatus.PRE_MIGRATING)
        if self._server.id not in self._world.faults.stuck:
            self._then(self._tables.settings.prepare_seconds, self._prepare)

    def _prepare(self) -> None:
        self._check_group()
        if self._server.id in self._world.machines[self._dest].guests:
            raise _Failed(f"Instance {self._server.instance_name} already exists.")
        self._keeps_disk = {self._source, self._dest} <= self._tables.shared_storage
        if self._order.shared is not None and self._order.shared is not self._keeps_disk:
            raise _Failed("Invalid state of instance files on shared storage")
        image = self._server.image
        if image and not self._keeps_disk and image not in self._tables.images:
            raise _Failed(f"Image {image} could not be found.")
        self._server.power_state = POWER_NOSTATE
        self._save(REBUILDING, expected=REBUILDING)
        self._then(self._tables.settings.claim_seconds, self._map_volumes)

    def _check_group(self) -> None:
        """The late check: a member that is here, or on its way here, forbids another one."""
        group = self._tables.group_of(self._server.id)
        if group is None or group.policy != "anti-affinity":
            return
        others = {m for m in group.members if m != self._server.id}
        here = {s.id for s in self._tables.servers_on(self._dest)}
        coming = {
            m.server
            for m in self._tables.migrations
            if m.dest == self._dest and m.status is MigrationStatus.PRE_MIGRATING
        }
        if others & (here | coming):
            raise _Failed("Anti-affinity server group policy was violated")

    def _map_volumes(self) -> None:
        self._save(MAPPING, expected=REBUILDING)
        attachments = self._tables.attachments_of(self._server.id)
        for old in attachments:
            if not self._tables.backend_up(self._tables.volumes[old.volume].backend):
                raise _Failed(f"Volume {old.volume} could not be attached.")
            self._tables.remove_attachment(old)
            self._tables.add_attachment(volume=old.volume, server=self._server.id, host=self._dest)
        settings = self._tables.settings
        pause = settings.attach_seconds if attachments else settings.claim_seconds
        self._then(pause, self._spawn)

    def _spawn(self) -> None:
        self._save(SPAWNING, expected=MAPPING)
        spawn_seconds = self._tables.settings.spawn_seconds
        self._world.slots.take(
            self._world.computes.daemon(self._dest),
            lambda: self._then(spawn_seconds, self._start_guest),
        )

    def _start_guest(self) -> None:
        self._world.slots.free(self._world.computes.daemon(self._dest))
        if self._dest in self._world.faults.spawn_fails:
            raise _Failed("lab: spawn told to fail")
        self._world.machines.start_guest(self._world.machines[self._dest], self._guest())
        if self._dest in self._world.faults.fails_after_spawn:
            raise _Failed("lab: failure after the spawn")
        self._arrived()

    def _guest(self) -> Guest:
        """The guest as this hypervisor makes it: a local disk is new unless storage is shared."""
        present = self._world.machines[self._dest].guests.get(self._server.id)
        if present:
            return present
        if not self._server.image or self._keeps_disk:
            disk = self._server.disk
        else:
            disk = self._tables.new_uuid("disk")[:8]
        return Guest(server=self._server.id, disk=disk, local_disk=bool(self._server.image))

    def _arrived(self) -> None:
        """The guest runs: for a moment the server reads ACTIVE on its old host."""
        self._server.launched_at = self._tables.now
        self._server.power_state = POWER_RUNNING
        self._save(None, expected=SPAWNING)
        self._server.vm_state = VmState.ACTIVE
        self._server.fault = None
        settings = self._tables.settings
        newly_stopped = self._order.ends_stopped and self._former is not VmState.ERROR
        if self._former is VmState.STOPPED or newly_stopped:
            self._server.task_state = "powering-off"
            self._then(settings.stop_seconds, self._stop)
        else:
            self._then(settings.finish_seconds, self._move)

    def _stop(self) -> None:
        now = self._tables.now
        event = self._order.action.begin("compute_stop_instance", host=self._dest, now=now)
        self._world.machines.end_guest(self._world.machines[self._dest], self._server.id)
        self._server.vm_state, self._server.task_state = VmState.STOPPED, None
        self._server.power_state = POWER_SHUTDOWN
        self._order.action.end(event, now=now)
        self._then(self._tables.settings.finish_seconds, self._move)

    def _move(self) -> None:
        self._tables.move(self._server, self._dest)
        self._server.disk = self._world.machines[self._dest].guests[self._server.id].disk
        self._then(self._tables.settings.finish_seconds, self._done)

    def _done(self) -> None:
        if self._migration:
            self._tables.set_status(self._migration, MigrationStatus.DONE)
        if self._event:
            self._order.action.end(self._event, now=self._tables.now)

    def _save(self, task: str | None, *, expected: str) -> None:
        actual = self._server.task_state
        self._server.task_state = task
        self._tables.touch(self._server)
        if actual != expected:
            raise _Conflict(
                f"Conflict updating instance {self._server.id}. "
                f"Expected: {{'task_state': ['{expected}']}}. "
                f"Actual: {{'task_state': {actual!r}}}"
            )

    def _fail(self, error: _Failed) -> None:
        """The record fails, and a moment later the server; a guest that was started stays started.

        Source: nova/compute/manager.py ``rebuild_instance``: ``_set_migration_status`` comes
        inside of ``_error_out_instance_on_exception``.
        """
        if self._server.host != self._dest:
            self._tables.deallocate(self._server.id, self._dest)
        if self._migration:
            self._tables.set_status(self._migration, MigrationStatus.FAILED)
        self._then(self._tables.settings.finish_seconds, lambda: self._error_out(error))

    def _error_out(self, error: _Failed) -> None:
        """The server is in ERROR where it was.

        After a lost race the task is left as this rebuild wanted it, which is why a server can
        stay ERROR and ``rebuilding``; after any other failure it is cleared.
        """
        self._server.vm_state = VmState.ERROR
        if not isinstance(error, _Conflict):
            self._server.task_state = None
        self._tables.touch(self._server)
        self._tables.set_fault(self._server, str(error))
        if self._event:
            self._order.action.end(self._event, now=self._tables.now, error=str(error))
