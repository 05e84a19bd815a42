"""Migrations that an outage interrupts: live ones, cold ones and resizes, caught in the middle."""

from enum import StrEnum

from hacli.lab.cloud_records import (
    POWER_RUNNING,
    POWER_SHUTDOWN,
    Migration,
    MigrationStatus,
    Server,
    VmState,
)
from hacli.lab.cloud_tables import Tables
from hacli.lab.computes import Computes
from hacli.lab.machines import Guest, Machines


class ColdMove(StrEnum):
    """The two kinds of cold move, by the record's ``migration_type``."""

    MIGRATION = "migration"
    RESIZE = "resize"


class Moves:
    """Begins migrations, and ends those that are let end."""

    def __init__(self, tables: Tables, machines: Machines, computes: Computes) -> None:
        self._tables = tables
        self._machines = machines
        self._computes = computes

    def begin_live(
        self,
        server: Server,
        *,
        dest: str,
        seconds: float | None = None,
        switched: bool = False,
    ) -> Migration:
        """A live migration that runs; the server reads MIGRATING.

        Args:
            seconds: When it ends well, None for never. If the source dies before, the record
                stays ``running`` for ever.
            switched: The guest already executes on ``dest``, though Nova still names the source.
        """
        migration = self._begin(server, kind="live-migration", dest=dest)
        self._tables.set_status(migration, MigrationStatus.RUNNING)
        server.task_state = "migrating"
        if switched:
            self._carry_over(server, migration.source, dest)
        if seconds is not None:
            self._computes.work(
                migration.source, seconds, lambda: self._end_live(server, migration, dest)
            )
        return migration

    def _end_live(self, server: Server, migration: Migration, dest: str) -> None:
        server.task_state = None
        if not self._computes.answers(dest):
            self._tables.set_status(migration, MigrationStatus.ERROR)
            return
        if server.id in self._machines[migration.source].guests:
            self._carry_over(server, migration.source, dest)
        self._arrive(server, migration.source, dest)
        self._tables.deallocate(server.id, migration.source)
        self._tables.set_status(migration, MigrationStatus.COMPLETED)

    def begin_cold(
        self,
        server: Server,
        *,
        dest: str,
        stage: MigrationStatus = MigrationStatus.MIGRATING,
        kind: ColdMove = ColdMove.MIGRATION,
    ) -> Migration:
        """A cold move that stands at ``stage``.

        ``migrating``: shut down on the source. ``post-migrating``: Nova already names ``dest``,
        where the guest does not run yet. ``finished``: runs on ``dest`` and waits for its
        confirmation (VERIFY_RESIZE); a definition is left on the source.
        """
        migration = self._begin(server, kind=str(kind), dest=dest)
        source = self._machines[migration.source]
        self._machines.end_guest(source, server.id)
        server.task_state, server.power_state = "resize_migrating", POWER_SHUTDOWN
        if stage is not MigrationStatus.MIGRATING:
            self._arrive(server, migration.source, dest)
            guest = self._copy(server, migration.source)
            self._machines.define_guest(self._machines[dest], guest)
            server.task_state = "resize_migrated"
        if stage is MigrationStatus.FINISHED:
            self._machines.start_guest(self._machines[dest], guest)
            server.vm_state, server.task_state = VmState.RESIZED, None
            server.power_state = POWER_RUNNING
        self._tables.set_status(migration, stage)
        return migration

    def _begin(self, server: Server, *, kind: str, dest: str) -> Migration:
        migration = self._tables.add_migration(server, kind=kind, dest=dest)
        migration.dest_node = self._tables.node_of(dest)
        row = 1 + tuple(self._tables.flavors).index(server.flavor.id)
        migration.old_flavor = migration.new_flavor = row
        self._tables.allocate(server, dest)
        self._tables.touch(server)
        self._tables.record_action(
            server, kind, request_id=f"req-{self._tables.new_uuid('request')}"
        )
        return migration

    def _arrive(self, server: Server, source: str, dest: str) -> None:
        self._tables.move(server, dest)
        for old in self._tables.attachments_of(server.id):
            if old.host == source:
                self._tables.remove_attachment(old)
                self._tables.add_attachment(volume=old.volume, server=server.id, host=dest)

    def _copy(self, server: Server, host: str) -> Guest:
        guest = self._machines[host].guests[server.id]
        return Guest(server=server.id, disk=guest.disk, local_disk=guest.local_disk)

    def _carry_over(self, server: Server, source: str, dest: str) -> None:
        """The one instant in which the guest changes machines; its disk goes with it."""
        guest = self._copy(server, source)
        self._machines.destroy_guest(self._machines[source], server.id)
        self._machines.start_guest(self._machines[dest], guest)
