"""Evacuation in the lab before it reaches its destination: API, conductor and scheduler."""

from hacli.lab.cloud_records import ActionEvent, Migration, MigrationStatus, VmState
from hacli.lab.cloud_tables import Tables
from hacli.lab.computes import Computes
from hacli.lab.machines import Machines
from hacli.lab.rebuild import (
    REBUILDING,
    EvacuationFaults,
    EvacuationOrder,
    Hypervisors,
    Rebuild,
    SpawnSlots,
)
from hacli.lab.scheduling import NoValidHost, choose_host


class Evacuations:
    """Takes accepted orders to the queue of their destination's nova-compute."""

    def __init__(self, tables: Tables, machines: Machines, computes: Computes) -> None:
        self._tables = tables
        self._computes = computes
        self.faults = EvacuationFaults()
        self._hypervisors = Hypervisors(
            tables=tables,
            machines=machines,
            computes=computes,
            faults=self.faults,
            slots=SpawnSlots(tables.settings.spawn_slots),
        )
        self._unconducted: list[EvacuationOrder] = []
        self._scheduler_free_at = 0.0

    def accept(self, order: EvacuationOrder) -> Migration:
        """What the API writes before it answers 200. No task state stops it."""
        order.server.task_state = REBUILDING
        self._tables.touch(order.server)
        migration = self._tables.add_migration(order.server, kind="evacuation", dest=order.asked)
        self._tables.timeline.after(
            self._tables.settings.conductor_seconds, lambda: self._conduct(order)
        )
        return migration

    def resume(self) -> None:
        """The conductor is back and finds its queue."""
        orders, self._unconducted = self._unconducted, []
        for order in orders:
            self._conduct(order)

    def _conduct(self, order: EvacuationOrder) -> None:
        if not self._computes.conductor_alive:
            self._unconducted.append(order)
            return
        if self.faults.stuck.get(order.server.id) is MigrationStatus.ACCEPTED:
            return
        now = self._tables.now
        event = order.action.begin("rebuild_server", host=self._tables.settings.controller, now=now)
        migration = self._oldest_accepted(order)
        self._scheduler_free_at = (
            max(now, self._scheduler_free_at) + self._tables.settings.schedule_seconds
        )
        self._tables.timeline.after(
            self._scheduler_free_at - now, lambda: self._schedule(order, migration, event)
        )

    def _oldest_accepted(self, order: EvacuationOrder) -> Migration | None:
        """The record a conductor works on.

        Two quick requests share the first record and the second one is never touched again
        (nova/conductor/manager.py ``rebuild_instance``).
        """
        for migration in self._tables.migrations:
            if migration.server == order.server.id and migration.status is MigrationStatus.ACCEPTED:
                return migration
        return None

    def _schedule(
        self, order: EvacuationOrder, migration: Migration | None, event: ActionEvent
    ) -> None:
        try:
            dest = self._destination(order)
        except NoValidHost as error:
            self._find_none(order, migration, event, str(error))
            return
        self._tables.allocate(order.server, dest)
        order.action.end(event, now=self._tables.now)
        rebuild = Rebuild(self._hypervisors, order, migration=migration, dest=dest)
        self._computes.cast(dest, rebuild.begin)

    def _find_none(
        self, order: EvacuationOrder, migration: Migration | None, event: ActionEvent, why: str
    ) -> None:
        """The record ends, and a moment later the server is in ERROR.

        Source: nova/conductor/manager.py ``rebuild_instance``.
        """
        if migration:
            self._tables.set_status(migration, MigrationStatus.ERROR)

        def error_out() -> None:
            order.server.vm_state, order.server.task_state = VmState.ERROR, None
            self._tables.touch(order.server)
            self._tables.set_fault(order.server, why)
            order.action.end(event, now=self._tables.now, error=why)

        self._tables.timeline.after(self._tables.settings.finish_seconds, error_out)

    def _destination(self, order: EvacuationOrder) -> str:
        if order.force and order.asked:
            return order.asked
        return choose_host(self._tables, order.server, asked=order.asked)
