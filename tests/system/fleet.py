"""The compute hosts between two scenarios: who is well, and how the others are made well again."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from tests.system.cluster_facts import ClusterFacts
from tests.system.stack import network
from tests.system.stack.api import CloudApi
from tests.system.stack.bmc import Bmc, Mode
from tests.system.stack.machine import Machine, Operation, Outcome
from tests.system.stack.network import Net, Network
from tests.system.stack.node import NotRunning
from tests.system.stack.plan import CHAIN, Plan
from tests.system.stack.waiting import TimedOut, wait_until

MENDED_WITHIN_S = 240.0
STALE_AFTER_S = 45.0
"""By then a nova-compute that was started once has ended its evacuations, if it will."""
ATTRIBUTES = ("hacli-evacuating", "hacli-forced-down", "standby", "maintenance")


@dataclass
class Fleet:
    """All hosts of a stack. Those that a scenario broke are mended while the next one runs."""

    plan: Plan
    facts: ClusterFacts
    api: CloudApi
    _mending: dict[str, Future[None]] = field(default_factory=dict)
    _last: str = ""

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(
            len(self.plan.host_names),
            initializer=network.join,
            initargs=(self.plan.namespace(self.plan.controller_names[0]),),
        )

    def take(self, *, others: int = 2, wanted: str | None = None) -> str:
        """A well host to break, if it can be another one than last time; ``others`` are well, too.

        Raises:
            TimedOut: A host did not become well again.
        """
        while True:
            well = self._well()
            free = [host for host in well if wanted in (None, host)]
            if free and len(well) > others:
                self._last = free[0]
                return free[0]
            self._wait_for_one()

    def begin(self) -> None:
        """Clean up after whoever was here before and could not."""
        broken = [host for host in self.plan.host_names if not self._is_well(host)]
        self.mend(*broken)
        self.clear(but=broken)

    def mend(self, *hosts: str) -> None:
        """Begin to make hosts well again."""
        for host in hosts:
            self._mending[host] = self._pool.submit(self._mend, host)

    def clear(self, *, but: Collection[str]) -> None:
        """Delete all servers but those on some hosts, which ``mend`` deletes."""
        dead = {self.plan.nova_name(host) for host in but}
        servers = self.api.servers()
        self.api.delete_servers(s["id"] for s in servers if s["OS-EXT-SRV-ATTR:host"] not in dead)

    def wait(self) -> None:
        """Return when all hosts are well. Raises as ``take``."""
        while self._mending:
            self._wait_for_one()

    def close(self) -> None:
        """Wait for what is being mended, whatever becomes of it."""
        self._pool.shutdown()

    def _well(self) -> list[str]:
        """The hosts that are well, last the one that was taken last; others begin to be mended."""
        for host, mending in tuple(self._mending.items()):
            if mending.done():
                del self._mending[host]
                mending.result()
        idle = [host for host in self.plan.host_names if host not in self._mending]
        self.mend(*(host for host in idle if not self._is_well(host)))
        return sorted(set(idle) - self._mending.keys(), key=lambda host: (host == self._last, host))

    def _is_well(self, host: str) -> bool:
        service = self.api.services()[self.plan.nova_name(host)]
        return (
            Bmc(self.plan, host).mode[0] is Mode.NORMAL
            and self.facts.is_healthy(host)
            and (service["state"], service["status"]) == ("up", "enabled")
        )

    def _wait_for_one(self) -> None:
        if self._mending:
            host, mending = next(iter(self._mending.items()))
            mending.result()
            self._mending.pop(host, None)

    def _mend(self, host: str) -> None:
        machine, bmc = Machine(self.plan, host), Bmc(self.plan, host)
        bmc.behave(Mode.NORMAL)
        Network(plan=self.plan).plug(host, Net.MANAGEMENT)
        for service in CHAIN:
            for operation in Operation:
                machine.service(service, operation, Outcome.OK)
        with suppress(NotRunning):
            machine.unhang()
        self._tidy_cluster(host)
        if not machine.node.running or not self.facts.is_healthy(host):
            self._fence(machine)
        service = self.plan.nova_name(host)
        before = self.api.services()[service]["updated_at"]
        wait_until(
            lambda: self._is_started(machine),
            f"{host} is well again in the cluster",
            within_s=MENDED_WITHIN_S,
            every_s=1.0,
        )
        self.api.wait_for_heartbeat(service, after=before)
        self._tidy_cloud(machine, service)
        # a delete before that would have waited for the dead host
        self.api.delete_servers(server["id"] for server in self.api.servers(service))

    def _fence(self, machine: Machine) -> None:
        """Let the cluster be done with the outage; it might fence a host that has returned."""
        machine.power_off()
        wait_until(
            lambda: self.facts.fenced_at(machine.host),
            f"{machine.host} is fenced",
            within_s=MENDED_WITHIN_S,
            every_s=1.0,
        )

    def _is_started(self, machine: Machine) -> bool:
        machine.power_on()  # the cluster may have fenced it once more meanwhile
        return self.facts.is_healthy(machine.host)

    def _tidy_cluster(self, host: str) -> None:
        controller = self.facts.cluster.controllers[0]
        for name in ATTRIBUTES:
            words = ("crm_attribute", "--node", host, "--name", name, "--delete")
            controller.run(*words, "--lifetime", "forever", check=False)
        # everywhere: its fence device runs, and failed, on a controller
        controller.run("crm_resource", "--cleanup", check=False)

    def _tidy_cloud(self, machine: Machine, service: str) -> None:
        """Nova's records of it: no evacuation left, not forced down, enabled."""
        try:
            self._wait_for_completed(service)
        except TimedOut:
            # an evacuation that ended while nova-compute started waits for the next start
            machine.node.run("sh", "-c", "kill $(cat /run/nova-compute.pid)", check=False)
            self._wait_for_completed(service)
        self.api.set_service(service, forced_down=False)
        self.api.wait_for_service(service, state="up")
        self.api.set_service(service, status="enabled")

    def _wait_for_completed(self, service: str) -> None:
        wait_until(
            lambda: not [r for r in self.api.evacuations(service) if r["status"] == "done"],
            f"the evacuations from {service} are completed",
            within_s=STALE_AFTER_S,
            every_s=1.0,
        )
