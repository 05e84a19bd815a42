"""A virt driver whose guests are processes and whose disks are remembered.

Nova's own fake driver with three things added; it serves Nova 26 to 34. It is mounted into
``nova.virt``, from where alone Nova loads drivers.

* A guest is a process with argv[0] ``guest-<server>`` and the host's pid 1 as its parent: it
  survives a restart of nova-compute, as qemu does, and dies with the host. /proc is the only
  source of "running"; paused and suspended guests are stopped processes (SIGSTOP).
* ``<state_path>/guests.json`` lists what is *defined* on the host, ``<state_path>/disks/<server>``
  holds the id of a disk. Both outlive nova-compute and the host.
* Periodic tasks begin ``periodic_fuzzy_delay`` after nova-compute, never sooner.
* ``$TRUTH/ledger.jsonl`` gets one line per deed; ``$TRUTH/driver.json`` has the orders of
  ``hypervisors.tell``, read at each call.
"""

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Event, RLock
from typing import ClassVar, Protocol

from nova import exception  # type: ignore[import-not-found]
from nova import service as nova_service
from nova.compute import power_state  # type: ignore[import-not-found]
from nova.virt import fake, hardware  # type: ignore[import-not-found]
from oslo_config import cfg  # type: ignore[import-not-found]

TRUTH = Path(os.environ["TRUTH"])
EVERY = "*"
DEED_LIMIT_S = 5.0  # for a process to appear, to vanish or to stop


class _Latest:
    """Nova begins its periodic tasks, the first power sync among them, after a random delay."""

    @staticmethod
    def randint(_least: int, most: int) -> int:
        """As late as it may, so that every run of a test meets them in the same order."""
        return most


nova_service.random = _Latest

# since Nova 27 a node has an identity, which the plain fake driver makes anew at each start
Base = getattr(fake, "FakeDriverWithoutFakeNodes", fake.FakeDriver)


class Instance(Protocol):
    """The part of Nova's object that is read here."""

    uuid: str
    image_ref: str


class MigrateData(Protocol):
    """What source and destination of a live migration tell each other: the disk, as file name."""

    filename: str


@dataclass(frozen=True)
class Orders:
    """What the hypervisor shall do; see ``hypervisors.tell``."""

    spawn_s: float = 0.0
    destroy_s: float = 0.0
    live_migrate_s: float = 0.0
    shared: bool = False
    fail_spawn: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = (EVERY,)

    def fails(self, server: str, host: str) -> bool:
        """Whether a spawn shall fail."""
        chosen = server in self.fail_spawn or EVERY in self.fail_spawn
        return chosen and (host in self.fail_on or EVERY in self.fail_on)


def read_orders() -> Orders:
    """The newest orders."""
    try:
        told = json.loads((TRUTH / "driver.json").read_text())
    except FileNotFoundError:
        return Orders()
    return Orders(**{order.name: told[order.name] for order in fields(Orders)})


class Guest:
    """The process of one server on this host."""

    _starting = RLock()  # nova-compute calls its driver from several threads

    def __init__(self, server: str) -> None:
        self.name = f"guest-{server}"

    def processes(self) -> Iterator[tuple[int, str]]:
        """Pid and state letter; the host's own /proc shows only its processes."""
        for entry in os.listdir("/proc"):  # noqa: PTH208 - names are enough, and there are many
            if entry.isdigit():
                with suppress(OSError):
                    words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0", 1)
                    if words[0] == self.name.encode():
                        stat = Path(f"/proc/{entry}/stat").read_text()
                        yield int(entry), stat.rsplit(")", 1)[1].split()[0]

    @property
    def runs(self) -> bool:
        """Whether there is a process, stopped or not."""
        return any(True for _ in self.processes())

    @property
    def power(self) -> int:
        """In Nova's numbers."""
        found = next(self.processes(), None)
        if found is None:
            return int(power_state.SHUTDOWN)
        return int(power_state.PAUSED if found[1] == "T" else power_state.RUNNING)

    def start(self) -> None:
        """Run, as a child of pid 1 and in a session of its own."""
        with self._starting:
            if not self.runs:
                words = ("setsid", "--fork", "bash", "-c", 'exec -a "$0" sleep infinity', self.name)
                nowhere = subprocess.DEVNULL
                subprocess.run(
                    words, check=True, cwd="/", stdin=nowhere, stdout=nowhere, stderr=nowhere
                )
                self._wait_for(power_state.RUNNING)

    def stop(self) -> None:
        """Run no more."""
        self._signal(signal.SIGKILL)
        self._wait_for(power_state.SHUTDOWN)

    def pause(self) -> None:
        """Stand still."""
        self._signal(signal.SIGSTOP)
        self._wait_for(power_state.PAUSED)

    def unpause(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)
        self._wait_for(power_state.RUNNING)

    def _signal(self, number: signal.Signals) -> None:
        for pid, _ in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait_for(self, power: int) -> None:
        deadline = time.monotonic() + DEED_LIMIT_S
        while self.power != power and time.monotonic() < deadline:
            Event().wait(0.01)


class GuestDriver(Base):  # type: ignore[misc, valid-type]
    """What Nova calls; arguments that are only passed on differ between releases."""

    capabilities: ClassVar[dict[str, bool]] = {
        **fake.FakeDriver.capabilities,
        "supports_migrate_to_same_host": False,
    }
    _saving = RLock()

    def init_host(self, host: str) -> None:
        """Know again what is defined here."""
        super().init_host(host)
        with suppress(FileNotFoundError):
            for server, name in json.loads(self._defined_file.read_text()).items():
                self.instances[server] = fake.FakeInstance(name, power_state.SHUTDOWN, server)
        self._record("init_host", None)

    def get_info(self, instance: Instance, *args: object, **kwargs: object) -> object:
        """What /proc says, of a guest that is defined here."""
        if instance.uuid not in self.instances:
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return hardware.InstanceInfo(state=Guest(instance.uuid).power)

    def spawn(self, context: object, instance: Instance, *args: object, **kwargs: object) -> None:
        """Make the disk unless it is there, and run the guest."""
        orders = read_orders()
        Event().wait(orders.spawn_s)
        if orders.fails(instance.uuid, cfg.CONF.host):
            self._record("spawn_failed", instance.uuid)
            raise exception.NovaException("the hypervisor was told to fail")
        super().spawn(context, instance, *args, **kwargs)
        disk, new = self._disk(instance)
        self._save()
        self._start_if_wanted(instance)
        self._record("spawn", instance.uuid, disk=disk, new_disk=new)

    def destroy(
        self,
        context: object,
        instance: Instance,
        network_info: object,
        block_device_info: object = None,
        destroy_disks: bool = True,  # noqa: FBT002 - Nova's signature
        *args: object,
        **kwargs: object,
    ) -> None:
        """End the guest, and its disk where Nova says so."""
        Event().wait(read_orders().destroy_s)
        Guest(instance.uuid).stop()
        super().destroy(
            context, instance, network_info, block_device_info, destroy_disks, *args, **kwargs
        )
        self._save()
        if destroy_disks:
            self._disk_file(instance.uuid).unlink(missing_ok=True)
        self._record("destroy", instance.uuid)

    def power_off(self, instance: Instance, *args: object, **kwargs: object) -> None:
        """End the process; the guest stays defined."""
        super().power_off(instance, *args, **kwargs)
        Guest(instance.uuid).stop()
        self._record("power_off", instance.uuid)

    def power_on(
        self, context: object, instance: Instance, *args: object, **kwargs: object
    ) -> None:
        """Run a defined guest."""
        super().power_on(context, instance, *args, **kwargs)
        Guest(instance.uuid).start()
        self._record("power_on", instance.uuid)

    def reboot(self, context: object, instance: Instance, *args: object, **kwargs: object) -> None:
        """A new process; the base class ends in ``power_on`` or ``spawn``."""
        Guest(instance.uuid).stop()
        super().reboot(context, instance, *args, **kwargs)

    def pause(self, instance: Instance) -> None:
        """Stop the process."""
        Guest(instance.uuid).pause()
        self._record("pause", instance.uuid)

    def unpause(self, instance: Instance) -> None:
        """Let the process go on."""
        Guest(instance.uuid).unpause()
        self._record("unpause", instance.uuid)

    def suspend(self, context: object, instance: Instance) -> None:
        """As ``pause``."""
        self.pause(instance)

    def resume(self, context: object, instance: Instance, *args: object, **kwargs: object) -> None:
        """As ``unpause``."""
        self.unpause(instance)

    def rescue(self, context: object, instance: Instance, *args: object, **kwargs: object) -> None:
        """Run the guest that Nova has just switched off, from the rescue image."""
        Guest(instance.uuid).start()
        self._record("rescue", instance.uuid)

    def instance_on_disk(self, instance: Instance) -> bool:
        """Whether a server's disk can be reached from here."""
        return bool(read_orders().shared and instance.image_ref)

    def check_instance_shared_storage_local(self, context: object, instance: Instance) -> object:
        """What the other host shall look for."""
        return {"filename": instance.uuid} if read_orders().shared else None

    def check_instance_shared_storage_remote(self, context: object, data: object) -> bool:
        """Whether it is seen."""
        return read_orders().shared

    def check_instance_shared_storage_cleanup(self, context: object, data: object) -> None:
        """Nothing was left to look for."""

    def check_can_live_migrate_source(
        self,
        context: object,
        instance: Instance,
        dest_check_data: MigrateData,
        *args: object,
        **kwargs: object,
    ) -> MigrateData:
        """Tell the destination which disk it will have."""
        dest_check_data.filename = self._disk(instance)[0]
        return dest_check_data

    def pre_live_migration(
        self, context: object, instance: Instance, *args: object, **kwargs: object
    ) -> MigrateData:
        """Have the disk at the destination; Nova's last argument says which."""
        data: MigrateData = super().pre_live_migration(context, instance, *args, **kwargs)
        self._disk(instance, carried=data.filename)
        self._record("pre_live_migration", instance.uuid)
        return data

    def live_migration(
        self,
        context: object,
        instance: Instance,
        dest: str,
        post_method: Callable[..., None],
        *args: object,
        **kwargs: object,
    ) -> None:
        """Copy the memory, which takes its time; then the destination's guest runs instead."""
        self._record("live_migration", instance.uuid)
        Event().wait(read_orders().live_migrate_s)
        super().live_migration(context, instance, dest, post_method, *args, **kwargs)

    def post_live_migration(
        self, context: object, instance: Instance, *args: object, **kwargs: object
    ) -> None:
        """Leave the source."""
        self.destroy(context, instance, None, destroy_disks=not read_orders().shared)

    def migrate_disk_and_power_off(
        self, context: object, instance: Instance, *args: object, **kwargs: object
    ) -> str:
        """End the guest at the source, which keeps it defined until the end is confirmed."""
        Guest(instance.uuid).stop()
        self._record("migrate_off", instance.uuid)
        return json.dumps({"disk": self._disk(instance)[0]})

    def finish_migration(
        self,
        context: object,
        migration: object,
        instance: Instance,
        disk_info: str,
        *args: object,
        **kwargs: object,
    ) -> None:
        """Run at the destination with the disk that came along; the base class spawns."""
        self._disk(instance, carried=json.loads(disk_info)["disk"])
        super().finish_migration(context, migration, instance, disk_info, *args, **kwargs)

    def confirm_migration(
        self, context: object, migration: object, instance: Instance, network_info: object
    ) -> None:
        """Forget the guest at the source."""
        self.destroy(context, instance, network_info, destroy_disks=not read_orders().shared)

    def finish_revert_migration(
        self, context: object, instance: Instance, *args: object, **kwargs: object
    ) -> None:
        """Run at the source again."""
        super().finish_revert_migration(context, instance, *args, **kwargs)
        self._save()
        self._start_if_wanted(instance)
        self._record("revert", instance.uuid)

    def _start_if_wanted(self, instance: Instance) -> None:
        if self.instances[instance.uuid].state == power_state.RUNNING:
            Guest(instance.uuid).start()

    @property
    def _defined_file(self) -> Path:
        return Path(cfg.CONF.state_path) / "guests.json"

    def _save(self) -> None:
        with self._saving:
            defined = {server: guest.name for server, guest in list(self.instances.items())}
            new = self._defined_file.with_suffix(".new")
            new.write_text(json.dumps(defined))
            new.replace(self._defined_file)

    def _disk_file(self, server: str) -> Path:
        home = TRUTH if read_orders().shared else Path(cfg.CONF.state_path)
        (home / "disks").mkdir(parents=True, exist_ok=True)
        return home / "disks" / server

    def _disk(self, instance: Instance, *, carried: str | None = None) -> tuple[str, bool]:
        """The disk's id, made if there is none, and whether it was made from the image.

        Args:
            carried: The id of the disk that a migration brings along.
        """
        if not instance.image_ref:
            return "volume", False
        file = self._disk_file(instance.uuid)
        if file.exists():
            return file.read_text(), False
        disk = carried or uuid.uuid4().hex[:8]
        file.write_text(disk)
        return disk, carried is None

    def _record(self, what: str, server: str | None, **more: object) -> None:
        """One line in one write: hosts append to the same file."""
        host = cfg.CONF.host
        line = {"at": time.time(), "host": host, "what": what, "server": server, **more}
        with (TRUTH / "ledger.jsonl").open("a") as ledger:
            ledger.write(json.dumps(line) + "\n")
