"""A region with its doors open: what ``hacli lab`` keeps in the background and tests keep inside.

with Lab(demo()) as lab:
    lab.apply(Crash(host="compute-3"))
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from hacli.lab.bmcs import Bmc, PowerReading
from hacli.lab.http_door import HttpDoor, HttpService
from hacli.lab.invariants import Story, Violation, check, check_recovery, sum_up_recovery
from hacli.lab.ipmi_door import IpmiDoor
from hacli.lab.keystone_api import OPEN_PATHS, Keystone
from hacli.lab.node_shell import run_on_node
from hacli.lab.nova_api import NovaApi
from hacli.lab.nova_witness import NovaWitness
from hacli.lab.pacemaker_door import PacemakerDoor, Shell
from hacli.lab.region import Command, Region, ServerTruth
from hacli.lab.request_log import RequestLog
from hacli.lab.seed import Population, small
from hacli.lab.small_apis import SmallApi, cinder, glance, neutron, placement
from hacli.lab.time_door import TimeDoor, wall_clock
from hacli.lab.workspace import Addresses, Workspace

_SMALL_APIS: dict[str, Callable[..., SmallApi]] = {
    "cinder": cinder,
    "glance": glance,
    "placement": placement,
    "neutron": neutron,
}
_SERVICES = ("keystone", "nova", *_SMALL_APIS)


class Lab:
    """One region that can be reached: HTTP, IPMI, Pacemaker's tools, and real time.

    Everything that touches ``region`` holds ``lock``; ``apply`` and ``advance`` take it.

    Args:
        population: Hosts and servers; by default four hosts and 24 servers.
        speed: The region's seconds per real second.
        folder: Where it writes; by default a temporary folder that ``stop`` removes.
        token_life_s: How long a new token is good, in the region's seconds.
    """

    def __init__(
        self,
        population: Population | None = None,
        *,
        speed: float = 1.0,
        folder: Path | None = None,
        token_life_s: float = 3600.0,
    ) -> None:
        self.lock = threading.Lock()
        self.speed = speed
        self.population = population or small()
        self._token_life_s = token_life_s
        self._folder = folder
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the region, healthy and populated, and open its doors."""
        with ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()

    def stop(self) -> None:
        """Close every door, end every thread, and remove a temporary folder."""
        self._open.close()

    @property
    def shells(self) -> dict[str, Shell]:
        """A shell on each host, by its name."""
        cloud = self.region.cloud
        return {host: partial(run_on_node, cloud, host) for host in self.region.names}

    def apply(self, command: Command) -> None:
        """Do a deed or cause a fault, now."""
        with self.lock:
            self.time.now()
            self.region.apply(command)

    def advance(self, seconds: float) -> None:
        """Let so many seconds of the region pass at once."""
        with self.lock:
            self.time.jump(seconds)

    def check(
        self,
        *,
        hosts: Collection[str] | None = None,
        rebuilt: Collection[str] | None = (),
        recovered: str | None = None,
    ) -> tuple[Violation, ...]:
        """Which laws were broken so far.

        Args:
            hosts: The only hosts that anything may have been done to; None for all.
            rebuilt: Servers, by name, whose local disk was given up; None for all.
            recovered: A host whose servers must all be back elsewhere by now, but for those on
                its local disk that were not given up.
        """
        with self.lock:
            truth = self.region.truth()
            ledger = tuple(self.region.machines.ledger)
            requests = tuple(self.requests.records)
        given_up = _ids(truth, rebuilt)
        story = Story(
            ledger=ledger,
            requests=requests,
            names={server.id: server.name for server in truth},
            hosts=hosts,
            rebuilt=given_up,
            speed=self.speed,
        )
        broken = check(story)
        if recovered is not None:
            left = self._left(given_up)
            broken += check_recovery(recovered, ledger, truth, left=left)
        return broken

    def sum_up(
        self, *, rebuilt: Collection[str] | None = (), recovered: str | None = None
    ) -> tuple[str, ...]:
        """What the same ``check`` has shown when it found no violation, in sentences."""
        with self.lock:
            truth, ledger = self.region.truth(), tuple(self.region.machines.ledger)
            changed = sum(record.changed for record in self.requests.records)
        lines = (f"No law was broken by {changed} requests that changed something in Nova.",)
        if recovered is None:
            return lines
        left = self._left(_ids(truth, rebuilt))
        return (*lines, sum_up_recovery(recovered, ledger, truth, left=left))

    def _start(self, opened: ExitStack) -> None:
        folder = self._folder
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="hacli-lab-"))
            opened.callback(shutil.rmtree, folder, ignore_errors=True)
        self.workspace = Workspace(folder)
        opened.callback(self.workspace.remove_sockets)
        population = self.population
        self.region = Region(population.hosts, start=wall_clock(), settings=population.settings)
        population.fill(self.region)
        self.local_servers = self._on_local_disks()
        self.time = TimeDoor(self.region.timeline, lock=self.lock, speed=self.speed)
        self._open_http(opened)
        bmc_ports = self._open_bmcs(opened)
        self._open_pacemaker(opened)
        self.time.start()
        opened.callback(self.time.stop)
        self.env = self.workspace.write(
            Addresses(
                keystone=self.http.urls["keystone"],
                pacemaker=self.workspace.pacemaker_socket,
                bmc_ports=bmc_ports,
                bmc_login=self.region.settings.cluster.login,
                shared_storage=self.region.cloud.tables.shared_storage,
            )
        )

    def _open_http(self, opened: ExitStack) -> None:
        self.requests = RequestLog(self.workspace.requests)
        opened.callback(self.requests.close)
        cloud = self.region.cloud
        self.http = HttpDoor(
            _SERVICES,
            lock=self.lock,
            now=self.time.now,
            log=self.requests,
            speed=self.speed,
        )
        urls = self.http.urls
        self.keystone = Keystone(
            urls, now=lambda: self.region.timeline.now, token_life_s=self._token_life_s
        )
        nova, witness = NovaApi(cloud, base_url=urls["nova"]), NovaWitness(cloud)
        services = {
            "keystone": HttpService(
                handle=self.keystone.handle, open_paths=OPEN_PATHS, secret=True
            ),
            "nova": HttpService(
                handle=nova.handle,
                open_paths=frozenset({"", "v2.1"}),
                witness=witness.before,
                made=witness.after,
            ),
        }
        for name, make in _SMALL_APIS.items():
            api = make(cloud, url=urls[name])
            services[name] = HttpService(handle=api.handle, open_paths=api.version_paths)
        self.http.serve(services, identify=self.keystone.caller_of)
        opened.callback(self.http.stop)

    def _open_bmcs(self, opened: ExitStack) -> dict[str, int]:
        login = self.region.settings.cluster.login
        door = IpmiDoor(
            {host: _Chassis(bmc) for host, bmc in self.region.bmcs.items()},
            user=login.user,
            password=login.password,
            lock=self.lock,
            speed=self.speed,
        )
        ports = door.start()
        opened.callback(door.stop)
        addresses = {host: ("127.0.0.1", port) for host, port in ports.items()}
        self.region.cluster.point_fence_devices(addresses)
        return ports

    def _open_pacemaker(self, opened: ExitStack) -> None:
        door = PacemakerDoor(
            self.region.cluster,
            socket_path=self.workspace.pacemaker_socket,
            lock=self.lock,
            shells=self.shells,
        )
        door.start()
        opened.callback(door.stop)

    def _left(self, given_up: frozenset[str] | None) -> frozenset[str]:
        """The servers that hacli must not touch: rebuilding them would lose their disks."""
        return frozenset() if given_up is None else self.local_servers - given_up

    def _on_local_disks(self) -> frozenset[str]:
        tables = self.region.cloud.tables
        return frozenset(
            server.id
            for server in tables.servers.values()
            if server.image is not None and server.host not in tables.shared_storage
        )


def _ids(truth: tuple[ServerTruth, ...], names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(s.id for s in truth if s.name in names)


class _Chassis:
    """A BMC model as the IPMI door wants it."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc

    @property
    def silent(self) -> bool:
        return self._bmc.silent

    @property
    def delay_s(self) -> float:
        return self._bmc.delay_s

    @property
    def denied(self) -> bool:
        return self._bmc.denied

    def power_state(self) -> bool:
        return self._bmc.power_state() is PowerReading.ON

    def order_off(self) -> None:
        self._bmc.order_off()

    def order_on(self) -> None:
        self._bmc.order_on()

    def order_reset(self) -> None:
        self._bmc.order_cycle()
