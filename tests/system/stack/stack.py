"""The whole stack: up, down, and what it consists of."""

import fcntl
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.system.stack import (
    cloud,
    compute_config,
    debian,
    install_cloud,
    install_cluster,
    network,
    operator_files,
    processes,
)
from tests.system.stack.api import CloudApi
from tests.system.stack.bmc import Bmc
from tests.system.stack.cluster import Cluster, hosts_file
from tests.system.stack.machine import Machine
from tests.system.stack.network import Net, Network
from tests.system.stack.node import Boot, Node
from tests.system.stack.plan import CLOUD_NODE, Plan
from tests.system.stack.plan_file import NoStack, read_plan, write_plan
from tests.system.stack.processes import Process
from tests.system.stack.waiting import TimedOut

ROUNDS = 50
RECORDS = ("bmc/*/ipmi_sim.pid", "nodes/*/init.pid", "nodes/*/daemons/*.pid")
"""Of processes, in ``plan.run``; whatever else there is, is found by its network namespace."""
log = logging.getLogger(__name__)


class Occupied(Exception):
    """Something of a stack is in this folder, or somebody works on it right now."""


@dataclass(frozen=True)
class Stack:
    """The stack of a plan, running or not."""

    plan: Plan

    @cached_property
    def cluster(self) -> Cluster:
        """The controllers with corosync and Pacemaker."""
        return Cluster(self.plan)

    @cached_property
    def cloud(self) -> Node:
        """The node of the cloud's services."""
        return self.node(CLOUD_NODE)

    def node(self, name: str) -> Node:
        """A controller, a host's operating system, or ``cloud``."""
        return Node(plan=self.plan, name=name)

    def machine(self, host: str) -> Machine:
        """A host as a machine, by the cluster's name of it."""
        return Machine(self.plan, host)

    def bmc(self, host: str) -> Bmc:
        """The BMC of a host."""
        return Bmc(self.plan, host)

    def up(self) -> None:
        """Install what is missing and start everything, until every host takes servers.

        What has started when it fails, or is interrupted, runs on until ``down``.

        Raises:
            Occupied: There is one already.
            PermissionError: This is not root.
            TimedOut: Something did not come up; the text says what.
        """
        if os.geteuid() != 0:
            raise PermissionError("the stack needs root: it makes namespaces and mounts in them")
        with self._alone():
            self._check_place()
            log.info("installing what is missing")
            install_cluster.ensure(self.plan)
            install_cloud.ensure(self.plan)
            log.info("starting %s", ", ".join(self._names))
            self._lay_out()
            self._start()
            self._mark.touch()

    def down(self) -> None:
        """End everything and remove what it wrote; the cache stays. Nothing when nothing is there.

        What counts is the plan that was started: without one nothing is ours, whatever its name.

        Raises:
            Occupied: Somebody works on it right now.
            TimedOut: A process could not be ended.
        """
        with self._alone():
            with suppress(NoStack):
                started = Stack(read_plan(self.plan.folder))
                started._end_processes()
                Network(plan=started.plan).delete()
            if self.plan.run.exists():
                shutil.rmtree(self.plan.run)
            debian.remove_our_policy()

    @property
    def complete(self) -> bool:
        """``up`` has ended well, and its controllers and the cloud still run."""
        return self._mark.exists() and all(
            node.running for node in (self.cloud, *self.cluster.controllers)
        )

    def _check_place(self) -> None:
        """Neither the folder nor the name may be another one's.

        Namespaces in which nothing lives are nobody's: their stack was killed, folder and all.
        """
        if self.plan.run.exists():
            raise Occupied(f"{self.plan.run} is there: a stack runs, or one was not taken down")
        if self._processes():
            raise Occupied(f"a stack in another folder has the name {self.plan.name}, and runs")
        Network(plan=self.plan).delete()

    @property
    def _mark(self) -> Path:
        return self.plan.run / "complete"

    @property
    def _names(self) -> tuple[str, ...]:
        return (CLOUD_NODE, *self.plan.controller_names, *self.plan.host_names)

    def _lay_out(self) -> None:
        """Networks and disks of everything; nothing runs yet but the BMCs."""
        plan = self.plan
        plan.run.mkdir()
        write_plan(plan)  # before anything that ``down`` would have to end
        plan.truth.mkdir()
        self._lay_cables()
        etc = self.cluster.etc
        self.cloud.prepare(Boot(), etc={"hosts": hosts_file(plan)})
        self.cluster.install(etc=operator_files.etc(plan))
        for host in plan.host_names:
            self.machine(host).install(etc=etc)
            compute_config.write(plan, host)
            self.bmc(host).start()

    def _lay_cables(self) -> None:
        plan, net = self.plan, Network(plan=self.plan)
        net.create()
        for name in self._names:
            net.add_namespace(name)
            address = plan.management_address(name)
            net.lay_cable(name, Net.MANAGEMENT, to=name, address=address)
        for name in plan.controller_names:
            net.lay_cable(name, Net.BMC, to=name, address=plan.bmc_address(name))
        for host in plan.host_names:
            net.add_namespace(f"bmc-{host}")
            address = plan.bmc_address(host)
            net.lay_cable(host, Net.BMC, to=f"bmc-{host}", address=address)

    def _start(self) -> None:
        """The cloud's services start beside the cluster: nova-compute waits for them by itself."""
        self.cloud.boot()
        self.cloud.wait_until_ready()
        with self._starting_cloud() as services:
            for host in self.plan.host_names:
                self.machine(host).power_on()
            self.cluster.start()
            for host in self.plan.host_names:
                self.node(host).wait_until_ready()
            self.cluster.wait_until_healthy()
            log.info("the cluster is healthy")
            services.result()
            log.info("the cloud answers")
        with network.joined(self.plan.namespace(self.plan.controller_names[0])):
            CloudApi(self.plan).wait_for_hosts(map(self.plan.nova_name, self.plan.host_names))

    @contextmanager
    def _starting_cloud(self) -> Iterator[Future[None]]:
        """A thread does it, and has ended when the block has: none writes beside a ``down``."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            services = pool.submit(cloud.start, self.plan, self.cloud)
            try:
                yield services
            except KeyboardInterrupt:
                self._end_processes()  # what the thread waits for
                raise

    def _end_processes(self) -> None:
        for kind in RECORDS:
            for record in self.plan.run.glob(kind):
                processes.kill_recorded(record)
        for _ in range(ROUNDS):  # one that ends may have started another
            left = self._processes()
            if not left:
                return
            for process in left:
                process.signal(signal.SIGKILL)
            for process in left:
                process.kill()
        raise TimedOut(f"end of {left}")

    def _processes(self) -> tuple[Process, ...]:
        """All in the stack's network namespaces but this one, which may have joined one."""
        spaces = {namespace.stat().st_ino for namespace in Network(plan=self.plan).namespaces()}
        return tuple(
            process
            for process in processes.everyone()
            if processes.namespace_of(process.pid, "net") in spaces and process.pid != os.getpid()
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        with (self.plan.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Occupied(
                    f"another process works on the stack in {self.plan.folder}"
                ) from None
            yield
