"""The cluster: its controllers with corosync and Pacemaker, and how it is doing."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.system.stack import cib
from tests.system.stack.node import INSIDE, Boot, Node, Overlays
from tests.system.stack.plan import CHAIN, CLOUD_NODE, DOMAIN, FenceAction, Plan
from tests.system.stack.waiting import TimedOut, wait_until

ASK_LIMIT_S = 15
FENCE_LIMIT_S = 150.0
HEALTHY_LIMIT_S = 180.0
PACEMAKER_ENVIRONMENT = {
    "PCMK_logfile": "/var/log/pacemaker/pacemaker.log",
    "PCMK_logfacility": "none",
    "PCMK_authkey_location": "/etc/pacemaker/authkey",
}
AGENT: Overlays = {"/usr/lib/ocf/resource.d": {"lab/service": str(INSIDE / "ocf_service")}}
"""What runs a service, on top of the machine's agents; controllers ask it for its metadata."""
CLUSTER_USER, CLUSTER_GROUP = "hacluster", "haclient"


class NoAnswer(Exception):
    """The cluster does not say how it is."""


@dataclass(frozen=True)
class Cluster:
    """The cluster of a plan."""

    plan: Plan

    @cached_property
    def controllers(self) -> tuple[Node, ...]:
        """Its members; the hosts are remote nodes of it."""
        return tuple(Node(plan=self.plan, name=name) for name in self.plan.controller_names)

    @cached_property
    def etc(self) -> Mapping[str, str | bytes]:
        """What every node of the cluster has in ``/etc``; made once, for its key is a secret."""
        return {"hosts": hosts_file(self.plan), "pacemaker/authkey": os.urandom(4096)}

    def install(self, *, etc: Mapping[str, str | bytes]) -> None:
        """Write the controllers' disks; ``etc`` are files below ``/etc`` besides the cluster's."""
        boot = Boot(
            daemons={"corosync": ("corosync", "-f"), "pacemakerd": ("pacemakerd", "-f")},
            ready={"corosync": ("corosync-cfgtool", "-s")},
            env=PACEMAKER_ENVIRONMENT,
            overlays=AGENT,
        )
        own = {"corosync/corosync.conf": corosync_conf(self.plan)}
        for node in self.controllers:
            node.prepare(boot, etc={**self.etc, **own, **etc})
            (node.folder / "etc/corosync/uidgid.d").mkdir()
            prepare_pacemaker(node)
            _write_cib(node)

    def start(self) -> None:
        """Boot the controllers, and return when their daemons have started."""
        for node in self.controllers:
            node.boot()
        for node in self.controllers:
            node.wait_until_ready()

    def wait_until_healthy(self, *, within_s: float = HEALTHY_LIMIT_S) -> None:
        """Return when there is nothing to complain of.

        Raises:
            TimedOut: With what there still is.
        """
        seen: list[tuple[str, ...]] = []

        def healthy() -> bool:
            seen[:] = [self.complaints()]
            return not seen[0]

        try:
            wait_until(healthy, "a healthy cluster", within_s=within_s, every_s=0.5)
        except TimedOut as error:
            raise TimedOut(f"{error}: {'; '.join(seen[0])}") from None

    def complaints(self) -> tuple[str, ...]:
        """Why the cluster, as its first running controller sees it, is not healthy."""
        try:
            return tuple(complaints_of(self.status(), self.plan))
        except NoAnswer as error:
            return (str(error),)

    def being_fenced(self) -> frozenset[str]:
        """The hosts that are being fenced now. Raises as ``status``.

        A host that is powered on before its device has read OFF is fenced once more.
        """
        events = self.status().iterfind("fence_history/fence_event")
        return frozenset(e.get("target", "") for e in events if e.get("status") == "pending")

    def fence(self, host: str) -> None:
        """Have the cluster fence a host now, and return when it has done with it.

        Only then may it be powered on: Pacemaker may believe for up to 40 s in the connection to a
        host that was fenced from outside, and fence it once more (2.1.5).

        Raises:
            CommandFailed: Its device could not.
            TimedOut: The cluster does not take it for lost.
        """
        self._controller().run("stonith_admin", "--fence", host, timeout_s=FENCE_LIMIT_S)
        wait_until(
            lambda: self._is_done_with(host),
            f"the cluster takes {host} for lost",
            within_s=FENCE_LIMIT_S,
            every_s=0.5,
        )

    def status(self) -> ET.Element:
        """What ``crm_mon`` says on the first running controller.

        Raises:
            NoAnswer: Nothing; the text says why.
        """
        words = ("crm_mon", "--output-as=xml", "-1", "-r")
        try:
            seen = self._controller().run(*words, timeout_s=ASK_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"crm_mon has not answered within {ASK_LIMIT_S} s") from None
        if seen.returncode != 0:
            raise NoAnswer(f"crm_mon ended with {seen.returncode}")
        return ET.fromstring(seen.stdout)  # noqa: S314  our own cluster's words

    def set_fence_action(self, action: FenceAction) -> None:
        """What is ordered for a lost host from now on, of every device. Raises as ``Node.run``."""
        controller = self._controller()
        for host in self.plan.host_names:
            controller.run(
                *("crm_resource", "--resource", cib.device_of(host)),
                *("--set-parameter", "pcmk_reboot_action", "--parameter-value", action.value),
            )

    def _controller(self) -> Node:
        """The first that runs."""
        running = next((node for node in self.controllers if node.running), None)
        if running is None:
            raise NoAnswer("no controller runs")
        return running

    def _is_done_with(self, host: str) -> bool:
        """It is lost, fenced, and nothing more is intended against it."""
        status = self.status()
        node = status.find(f"nodes/node[@name='{host}']")
        wanted = {"online": "false", "unclean": "false"}
        return (
            node is not None
            and wanted.items() <= node.attrib.items()
            and host not in self.being_fenced()
        )


def complaints_of(status: ET.Element, plan: Plan) -> Iterator[str]:
    """What ``crm_mon`` shows that a healthy cluster would not."""
    nodes = {node.get("name"): node for node in status.iterfind("nodes/node")}
    for name in (*plan.controller_names, *plan.host_names):
        node = nodes.get(name)
        if node is None or node.get("online") != "true" or node.get("unclean") != "false":
            yield f"{name} is not online"
    started = Counter(
        resource.get("id")
        for resource in status.iterfind("resources//resource")
        if resource.get("role") == "Started"
        and resource.get("failed") == "false"
        and resource.get("pending") is None
    )
    wanted = {
        **{name: 1 for host in plan.host_names for name in (host, cib.device_of(host))},
        **{cib.resource_of(service): plan.hosts for service in CHAIN},
    }
    for name, times in wanted.items():
        if started[name] != times:
            yield f"{name} is started {started[name]} of {times} times"


def prepare_pacemaker(node: Node) -> None:
    """The folders that Pacemaker's packages make, on the node's disk, and the key's owner."""
    disk = node.plan.disk(node.name)
    owned = ("lib/pacemaker/cib", "lib/pacemaker/pengine", "lib/pacemaker/cores")
    for name in ("lib/pacemaker", *owned, "lib/pacemaker/blackbox", "log/pacemaker"):
        (disk / name).mkdir(parents=True, exist_ok=True)
        (disk / name).chmod(0o770)
        shutil.chown(disk / name, CLUSTER_USER, CLUSTER_GROUP)
    (disk / "lib/corosync").mkdir(exist_ok=True)
    key = node.folder / "etc/pacemaker/authkey"
    for path, mode in ((key.parent, 0o750), (key, 0o640)):
        shutil.chown(path, "root", CLUSTER_GROUP)
        path.chmod(mode)


def hosts_file(plan: Plan) -> str:
    """Every name of the stack, short and full."""
    nodes = (*plan.controller_names, *plan.host_names, CLOUD_NODE)
    lines = (f"{plan.management_address(name)} {name} {name}.{DOMAIN}\n" for name in nodes)
    return "".join(("127.0.0.1 localhost\n", *lines))


def corosync_conf(plan: Plan) -> str:
    """Of all controllers: one ring in the management network, and no realtime."""
    members = "".join(
        f"  node {{\n    ring0_addr: {plan.management_address(name)}\n"
        f"    name: {name}\n    nodeid: {number}\n  }}\n"
        for number, name in enumerate(plan.controller_names, 1)
    )
    return (
        "totem {\n  version: 2\n  cluster_name: stack\n  transport: knet\n"
        "  crypto_cipher: none\n  crypto_hash: none\n}\n"
        "system {\n  sched_rr: no\n  move_to_root_cgroup: no\n}\n"
        "logging {\n  to_stderr: yes\n  to_logfile: no\n  to_syslog: no\n  timestamp: on\n}\n"
        "quorum {\n  provider: corosync_votequorum\n}\n"
        f"nodelist {{\n{members}}}\n"
    )


def _write_cib(node: Node) -> None:
    file = node.plan.disk(node.name) / "lib/pacemaker/cib/cib.xml"
    file.write_text(cib.build(node.plan))
    file.chmod(0o600)
    shutil.chown(file, CLUSTER_USER, CLUSTER_GROUP)
