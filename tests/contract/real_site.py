"""The real stack as a site: its steering calls behind the deeds, hacli's adapters at its addresses.

The test process works from inside controller-1's network; processes and files are the machine's.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from json import loads
from threading import Event

from hacli.adapters.ipmi import IpmiHelper
from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import CommandRunner
from hacli.ports import PowerSwitch
from tests.contract.clients import Login, act, bmc_of, ipmi_switch, open_cloud, open_nova
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
from tests.system.cluster_facts import ClusterFacts
from tests.system.mending import Mender
from tests.system.stack import guests, hypervisors, network
from tests.system.stack.api import CloudApi, ServerState
from tests.system.stack.bmc import Mode
from tests.system.stack.cloud_config import Site as Addresses
from tests.system.stack.machine import Operation, Outcome
from tests.system.stack.plan import OPERATOR, FenceAction
from tests.system.stack.stack import Stack

LOOK_S = 0.3
_STATES = {
    Standing.SHUTOFF: ServerState.SHUTOFF,
    Standing.ERROR: ServerState.ERROR,
    Standing.PAUSED: ServerState.PAUSED,
    Standing.SUSPENDED: ServerState.SUSPENDED,
    Standing.RESCUED: ServerState.RESCUE,
    Standing.SHELVED_OFFLOADED: ServerState.SHELVED_OFFLOADED,
}
_MODES = {
    BmcMode.NORMAL: Mode.NORMAL,
    BmcMode.SILENT: Mode.UNREACHABLE,
    BmcMode.STUCK: Mode.STUCK,
    BmcMode.LIAR: Mode.LIAR,
    BmcMode.DENIED: Mode.WRONG_PASSWORD,
}


@dataclass(frozen=True)
class _Orders:
    """What all hypervisors were told; each ``tell`` says everything anew."""

    spawn_s: float = 0.0
    shared: bool = False
    fails_on: tuple[str, ...] = ()


@contextmanager
def open_real_site(stack: Stack) -> Iterator["RealSite"]:
    """A running stack, from inside its controller's network; what the stories left is deleted."""
    with network.joined(stack.plan.namespace(stack.plan.controller_names[0])):
        site = RealSite(stack)
        try:
            yield site
        finally:
            site.close()


class RealSite:
    """One running stack. Fits ``site.Site``; ``mend`` comes before each story."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._plan = stack.plan
        self._api = CloudApi(stack.plan)
        self._mender = Mender(stack.plan, ClusterFacts(stack.cluster), self._api)
        self._helper = IpmiHelper(limit=4)
        self._controller = stack.cluster.controllers[0]
        self._orders = _Orders()
        self._booted: set[str] = set()
        self._cloud = open_cloud(
            Login(
                url=Addresses(stack.plan).auth_url,
                user=OPERATOR.user,
                password=OPERATOR.password,
                project="admin",
            )
        )
        self.hosts = stack.plan.host_names
        self.compute = open_nova(self._cloud)
        tools = CommandRunner((self._controller.command(),))
        self.cluster = Pacemaker(tools, monotonic=time.monotonic, timeout_s=20.0)

    @property
    def now(self) -> float:
        """The machine's own."""
        return time.monotonic()

    def nova_host(self, host: str) -> str:
        """The last host has its full name in Nova."""
        return self._plan.nova_name(host)

    def switch(self, host: str, *, password: str | None = None) -> PowerSwitch:
        """pyghmi at ipmi_sim."""
        return ipmi_switch(self._helper)(bmc_of(self.cluster.read_view(), host, password=password))

    def boot(self, host: str, *standings: Standing, disk: Disk = Disk.VOLUME) -> tuple[str, ...]:
        """All of one host in one request, then each kind to its standing, side by side."""
        moved = standings.count(Standing.VERIFY_RESIZE)
        elsewhere = next(name for name in self.hosts if name != host)
        here = list(self._boot(host, len(standings) - moved, disk))
        there = list(self._boot(elsewhere, moved, disk))
        servers = tuple(
            there.pop() if wanted is Standing.VERIFY_RESIZE else here.pop() for wanted in standings
        )
        kinds: dict[Standing, list[str]] = defaultdict(list)
        for wanted, server in zip(standings, servers, strict=True):
            kinds[wanted].append(server)
        with ThreadPoolExecutor(len(kinds)) as pool:
            for job in [pool.submit(self._bring, *kind, host) for kind in kinds.items()]:
                job.result()
        return servers

    def _boot(self, host: str, count: int, disk: Disk) -> tuple[str, ...]:
        if not count:
            return ()
        images = count if disk is Disk.IMAGE else 0
        servers = self._api.boot_servers(
            self.nova_host(host), images=images, volumes=count - images, ports=False
        )
        self._booted.update(servers)
        return servers

    def _bring(self, standing: Standing, servers: list[str], host: str) -> None:
        if standing in _STATES:
            self._api.bring(servers, _STATES[standing])
        elif standing is Standing.LOCKED:
            self._api.lock(servers, "contract")
        elif standing is Standing.VERIFY_RESIZE:
            for server in servers:
                self._api.act(server, {"migrate": {"host": self.nova_host(host)}})
            self._api.wait_for_servers(servers, ServerState.VERIFY_RESIZE, within_s=60)
        elif standing is Standing.SOFT_DELETED:
            self._api.bring(servers, ServerState.SHUTOFF)
            self._soft_delete(servers)

    def _soft_delete(self, servers: list[str]) -> None:
        """As Nova leaves them; the option that makes it do so would hold for every deletion."""
        chosen = ", ".join(f"'{server}'" for server in servers)
        statement = f"UPDATE instances SET vm_state = 'soft-delete' WHERE uuid IN ({chosen})"  # noqa: S608 - ids that Nova gave
        words = ("mariadb", "--socket=/run/mariadb.sock", "-uroot", "nova_cell1")
        self._stack.cloud.run(*words, stdin=statement)

    def order(self, server: str, action: Mapping[str, object]) -> int:
        """Over HTTP."""
        return act(self._cloud, server, action)

    def do(self, deed: Deed) -> None:
        """Do it to the stack."""
        self._do(deed)

    @singledispatchmethod
    def _do(self, deed: object) -> None:
        raise NotImplementedError(deed)

    @_do.register
    def _(self, deed: Crash) -> None:
        self._stack.machine(deed.host).crash()

    @_do.register
    def _(self, deed: Cut) -> None:
        self._stack.node(deed.host).cut()

    @_do.register
    def _(self, deed: Join) -> None:
        self._stack.node(deed.host).join()

    @_do.register
    def _(self, deed: PullPlug) -> None:
        self._stack.machine(deed.host).power_off()

    @_do.register
    def _(self, deed: PressPower) -> None:
        self._stack.machine(deed.host).power_on()

    @_do.register
    def _(self, deed: TurnBmc) -> None:
        self._stack.bmc(deed.host).behave(_MODES[deed.mode])

    @_do.register
    def _(self, deed: FailStop) -> None:
        self._stack.machine(deed.host).service(deed.service, Operation.STOP, Outcome.FAIL)

    @_do.register
    def _(self, deed: MendStop) -> None:
        self._stack.machine(deed.host).service(deed.service, Operation.STOP, Outcome.OK)

    @_do.register
    def _(self, deed: KillCompute) -> None:
        node = self._stack.node(deed.host)
        record = "/run/nova-compute.pid"
        node.run("sh", "-c", f"kill -KILL $(cat {record})")

    @_do.register
    def _(self, deed: SpawnTakes) -> None:
        self._orders = replace(self._orders, spawn_s=deed.seconds)
        self._tell()

    @_do.register
    def _(self, deed: SpawnFails) -> None:
        self._orders = replace(self._orders, fails_on=tuple(map(self.nova_host, deed.hosts)))
        self._tell()

    @_do.register
    def _(self, deed: ShareDisks) -> None:
        self._orders = replace(self._orders, shared=True)
        self._tell()

    @_do.register
    def _(self, deed: Fence) -> None:
        self._stack.cluster.set_fence_action(FenceAction(deed.by.value))

    def _tell(self) -> None:
        orders = self._orders
        hypervisors.tell(
            self._plan,
            spawn_s=orders.spawn_s,
            shared=orders.shared,
            fail_spawn=(hypervisors.EVERY,) if orders.fails_on else (),
            fail_on=orders.fails_on,
        )

    def tool(self, *argv: str) -> Ran:
        """On the controller."""
        done = self._controller.run(*argv, timeout_s=120, check=False)
        return Ran(done.returncode, done.stdout)

    def until(self, is_so: Callable[[], bool], *, within_s: float) -> float:
        """Wait and look."""
        began = self.now
        while not is_so():
            assert self.now - began < within_s, f"not so within {within_s:g} s"
            self.pass_time(LOOK_S)
        return self.now - began

    def pass_time(self, seconds: float) -> None:
        """Wait."""
        Event().wait(seconds)

    def running(self, server: str) -> tuple[str, ...]:
        """By /proc."""
        return guests.running(self._plan).get(server, ())

    def disk(self, server: str, host: str) -> str | None:
        """By the hypervisor's files; a volume is Cinder's and has Cinder's id."""
        own = hypervisors.disk_of(self._plan, host, server)
        if own is not None:
            return own
        defined = self._plan.disk(host) / "nova" / "guests.json"
        if not defined.exists() or server not in loads(defined.read_text()):
            return None
        found = self.compute.read_server(server)
        return found.volumes[0] if found and found.volumes else None

    def mend(self) -> None:
        """Make everything healthy again, whatever a story has left, and delete its servers.

        Raises:
            TimedOut: A host does not become well.
        """
        self._orders = _Orders()
        self._tell()
        self.do(Fence(FencesBy(self._plan.fence.value)))
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            # Pacemaker may still fence a host that a story has left in trouble
            while broken := [host for host in self.hosts if not self._mender.is_well(host)]:
                for mended in [pool.submit(self._mender.mend, host) for host in broken]:
                    mended.result()
        self._delete_all()

    def _delete_all(self) -> None:
        """Nova's deletion leaks a guest that runs where Nova does not look."""
        self._api.delete_servers(self._booted)
        for server in self._booted:
            for host in self.running(server):
                self._stack.node(host).run("pkill", "-KILL", "-f", f"^guest-{server} ")
        self._booted.clear()

    def close(self) -> None:
        """Delete the last story's servers and end the helper."""
        self._delete_all()
        self._helper.close()
