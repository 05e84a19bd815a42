"""How a compute host is made well again, whatever a test has done to it."""

from contextlib import suppress
from dataclasses import dataclass

from tests.system.cluster_facts import ClusterFacts
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


@dataclass(frozen=True)
class Mender:
    """Mends the hosts of one stack, from inside a controller's network."""

    plan: Plan
    facts: ClusterFacts
    api: CloudApi

    def is_well(self, host: str) -> bool:
        """As new: its BMC obeys, it is plugged in, Pacemaker and Nova have nothing against it."""
        service = self.api.services()[self.plan.nova_name(host)]
        return (
            Bmc(self.plan, host).mode[0] is Mode.NORMAL
            and not Machine(self.plan, host).node.is_cut_off
            and self.facts.is_healthy(host)
            and (service["state"], service["status"]) == ("up", "enabled")
        )

    def mend(self, host: str) -> None:
        """Return when the host is well and holds no server.

        Raises:
            TimedOut: It does not become well.
        """
        machine, bmc = Machine(self.plan, host), Bmc(self.plan, host)
        bmc.behave(Mode.NORMAL)
        machine.node.join()
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
        claim = f"//cluster_property_set[@id='hacli-claim-{self.plan.nova_name(host)}']"
        controller.run("cibadmin", "--delete", "--xpath", claim, check=False)
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
