"""The lab as a site: behind its doors with hacli's real adapters, and in virtual time."""

import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import singledispatchmethod
from pathlib import Path
from threading import Event
from typing import TypeVar

import hacli.lab.shim
from hacli.adapters.ipmi import IpmiHelper
from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import CommandRunner
from hacli.lab import commands
from hacli.lab.bmcs import BmcFault
from hacli.lab.cib import RebootAction
from hacli.lab.cloud import ADMIN_PROJECT, ADMIN_USER
from hacli.lab.cloud_records import MigrationStatus, VmState
from hacli.lab.http_shapes import Caller, Request
from hacli.lab.keystone_api import ADMIN
from hacli.lab.nova_api import NovaApi
from hacli.lab.pacemaker_tools import run_tool
from hacli.lab.region import Region
from hacli.lab.running_lab import Lab
from hacli.lab.seed import Population, host_names
from hacli.lab.tool import Answer
from hacli.ports import Cluster, Compute, PowerSwitch
from tests.contract.clients import (
    ZED,
    Login,
    act,
    bmc_of,
    ipmi_switch,
    open_cloud,
    open_nova,
)
from tests.contract.site import (
    BmcMode,
    Crash,
    Cut,
    Deed,
    Disk,
    FailStop,
    Fence,
    FencesBy,
    Join,
    KillCompute,
    MendStop,
    PressPower,
    PullPlug,
    Ran,
    ShareDisks,
    SpawnFails,
    SpawnTakes,
    Standing,
    TurnBmc,
)
from tests.fakes.world import new_site

T = TypeVar("T")

HOSTS = host_names(4)
_VM_STATES = {
    Standing.ACTIVE: VmState.ACTIVE,
    Standing.LOCKED: VmState.ACTIVE,
    Standing.SHUTOFF: VmState.STOPPED,
    Standing.ERROR: VmState.ERROR,
    Standing.PAUSED: VmState.PAUSED,
    Standing.SUSPENDED: VmState.SUSPENDED,
    Standing.RESCUED: VmState.RESCUED,
    Standing.SHELVED_OFFLOADED: VmState.SHELVED_OFFLOADED,
    Standing.SOFT_DELETED: VmState.SOFT_DELETED,
}
_FAULTS = {
    BmcMode.NORMAL: BmcFault.OK,
    BmcMode.SILENT: BmcFault.SILENT,
    BmcMode.STUCK: BmcFault.STUCK,
    BmcMode.LIAR: BmcFault.LIAR,
    BmcMode.DENIED: BmcFault.DENIED,
}


class LabSite(ABC):
    """What both share: deeds are done to the region, and the truth is read from its machines."""

    hosts = HOSTS
    cluster: Cluster
    compute: Compute

    def __init__(self) -> None:
        self._seeded = 0

    @abstractmethod
    def with_region(self, deed: Callable[[Region], T]) -> T:
        """Do something with the region as it is right now."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running."""

    @property
    def now(self) -> float:
        """The region's own time."""
        return self.with_region(lambda region: region.timeline.now)

    def nova_host(self, host: str) -> str:
        """A lab's machine has one name."""
        return host

    def boot(self, host: str, *standings: Standing, disk: Disk = Disk.VOLUME) -> tuple[str, ...]:
        """Seeded as if made long ago."""
        return self.with_region(
            lambda region: tuple(self._boot(region, host, wanted, disk) for wanted in standings)
        )

    def _boot(self, region: Region, host: str, standing: Standing, disk: Disk) -> str:
        self._seeded += 1
        name = f"contract-{self._seeded}"
        volume = disk is Disk.VOLUME
        if standing is Standing.VERIFY_RESIZE:
            elsewhere = next(name for name in self.hosts if name != host)
            server = region.cloud.add_server(name, elsewhere, volume=volume)
            commands.BeginColdMove(
                server=server.id, dest=host, stage=MigrationStatus.FINISHED
            ).apply_to(region)
            return server.id
        offloaded = standing is Standing.SHELVED_OFFLOADED
        return region.cloud.add_server(
            name,
            None if offloaded else host,
            volume=volume,
            state=_VM_STATES[standing],
            locked=standing is Standing.LOCKED,
        ).id

    def do(self, deed: Deed) -> None:
        """Do it to the region."""
        self.with_region(lambda region: self._do(deed, region))

    @singledispatchmethod
    def _do(self, deed: object, region: Region) -> None:
        raise NotImplementedError(deed)

    @_do.register
    def _(self, deed: Crash, region: Region) -> None:
        region.apply(commands.Crash(host=deed.host))

    @_do.register
    def _(self, deed: Cut, region: Region) -> None:
        region.apply(commands.Cut(host=deed.host))

    @_do.register
    def _(self, deed: Join, region: Region) -> None:
        region.apply(commands.Join(host=deed.host))

    @_do.register
    def _(self, deed: PullPlug, region: Region) -> None:
        region.apply(commands.PowerOff(host=deed.host))

    @_do.register
    def _(self, deed: PressPower, region: Region) -> None:
        region.apply(commands.PowerOn(host=deed.host))

    @_do.register
    def _(self, deed: TurnBmc, region: Region) -> None:
        region.apply(commands.BreakBmc(host=deed.host, fault=_FAULTS[deed.mode]))

    @_do.register
    def _(self, deed: FailStop, region: Region) -> None:
        region.cluster.chain.break_task(deed.host, deed.service, "stop")

    @_do.register
    def _(self, deed: MendStop, region: Region) -> None:
        region.cluster.chain.mend(deed.host, deed.service)

    @_do.register
    def _(self, deed: KillCompute, region: Region) -> None:
        region.apply(commands.KillCompute(host=deed.host))

    @_do.register
    def _(self, deed: SpawnTakes, region: Region) -> None:
        tables = region.cloud.tables
        tables.settings = replace(tables.settings, spawn_seconds=deed.seconds)

    @_do.register
    def _(self, deed: SpawnFails, region: Region) -> None:
        for host in self.hosts:
            region.apply(commands.FailSpawns(host=host, on=host in deed.hosts))

    @_do.register
    def _(self, deed: ShareDisks, region: Region) -> None:
        for host in self.hosts:
            region.apply(commands.ShareStorage(host=host, shared=True))

    @_do.register
    def _(self, deed: Fence, region: Region) -> None:
        action = RebootAction.OFF if deed.by is FencesBy.OFF else RebootAction.REBOOT
        for device in region.cluster.cib.devices():
            region.cluster.cib.set_device_parameter(device, "pcmk_reboot_action", action.value)

    def running(self, server: str) -> tuple[str, ...]:
        """By the machines' own ledger."""
        return self.with_region(lambda region: region.machines.running_on(server))

    def disk(self, server: str, host: str) -> str | None:
        """By the machine."""

        def read(region: Region) -> str | None:
            guest = region.machines[host].guests.get(server)
            return None if guest is None else guest.disk

        return self.with_region(read)


class VirtualSite(LabSite):
    """The lab in virtual time, as the services' tests have it: hours pass in a blink."""

    def __init__(self) -> None:
        super().__init__()
        self._site = new_site(*HOSTS)
        self._operator = self._site.operator()
        assert self._operator.world.cluster is not None
        self.cluster = self._operator.world.cluster
        self.compute = self._operator.world.compute

    def with_region(self, deed: Callable[[Region], T]) -> T:
        """Time stands still meanwhile."""
        return deed(self._site.region)

    def switch(self, host: str, *, password: str | None = None) -> PowerSwitch:
        """The fake of the services' tests."""
        bmc = bmc_of(self.cluster.read_view(), host, password=password)
        return self._operator.world.switch(bmc)

    def order(self, server: str, action: Mapping[str, object]) -> int:
        """Straight into the lab's Nova."""
        request = Request(
            method="POST",
            path=f"/v2.1/servers/{server}/action",
            headers={"openstack-api-version": f"compute {ZED}"},
            body=dict(action),
            caller=Caller(project=ADMIN_PROJECT, user=ADMIN_USER, roles=("admin",)),
        )
        api = NovaApi(self._site.region.cloud, base_url="http://nova.example.org:8774")
        return api.handle(request).status

    def tool(self, *argv: str) -> Ran:
        """Straight into the lab's tools."""
        reply = run_tool(self._site.region.cluster, argv, "")
        while not isinstance(reply, Answer):
            self.pass_time(0.1)
            reply = reply() or reply
        return Ran(reply.code, reply.stdout)

    def until(self, is_so: Callable[[], bool], *, within_s: float) -> float:
        """Let virtual time pass."""
        return self._site.until(is_so, within=within_s)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._site.pass_time(seconds)

    def close(self) -> None:
        """End the threads. The laws are not asked: here they are broken on purpose."""
        self._site.stage.close()


class DoorsSite(LabSite):
    """The lab behind HTTP, IPMI and the Pacemaker shim, with the adapters that hacli ships.

    Its time follows the real one, and ``until`` and ``pass_time`` jump.
    """

    STEP_S = 0.5

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="hacli-contract-")
        self._lab = Lab(Population(hosts=HOSTS, fill=_nobody), folder=Path(self._folder.name))
        self._lab.start()
        self._helper = IpmiHelper(limit=4)
        self._tools = CommandRunner((_prefix(self._lab.workspace.pacemaker_socket),))
        self.cluster = Pacemaker(self._tools, monotonic=time.monotonic, timeout_s=20.0)
        self._cloud = open_cloud(
            Login(
                url=f"{self._lab.http.urls['keystone']}/v3",
                user=ADMIN.name,
                password=ADMIN.password,
                project=ADMIN.project,
            )
        )
        self.compute = open_nova(self._cloud)

    def with_region(self, deed: Callable[[Region], T]) -> T:
        """Under the lab's lock."""
        with self._lab.lock:
            self._lab.time.now()
            return deed(self._lab.region)

    def switch(self, host: str, *, password: str | None = None) -> PowerSwitch:
        """pyghmi at the lab's port."""
        return ipmi_switch(self._helper)(bmc_of(self.cluster.read_view(), host, password=password))

    def order(self, server: str, action: Mapping[str, object]) -> int:
        """Over HTTP."""
        return act(self._cloud, server, action)

    def tool(self, *argv: str) -> Ran:
        """Through the shim."""
        completed = self._tools.run_once(argv, timeout_s=60.0)
        return Ran(completed.exit_code, completed.stdout)

    def until(self, is_so: Callable[[], bool], *, within_s: float) -> float:
        """Look, jump, look again."""
        began = self.now
        while not is_so():
            assert self.now - began < within_s, f"not so within {within_s:g} s"
            self.pass_time(self.STEP_S)
        return self.now - began

    def pass_time(self, seconds: float) -> None:
        """Jump; the lab's threads get a moment to see it."""
        self._lab.advance(seconds)
        Event().wait(0.005)

    def close(self) -> None:
        """Close the doors and end the helper."""
        self._helper.close()
        self._lab.stop()
        self._folder.cleanup()


def _nobody(_region: Region) -> None:
    """No server is there until a case boots one."""


def _prefix(socket: Path) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", hacli.lab.shim.__file__, os.fspath(socket))
