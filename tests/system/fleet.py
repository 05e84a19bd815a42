"""The compute hosts between two scenarios: who is well, and how the others are made well again."""

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.system.cluster_facts import ClusterFacts
from tests.system.mending import Mender
from tests.system.stack import network
from tests.system.stack.api import CloudApi
from tests.system.stack.plan import Plan


@dataclass
class Fleet:
    """All hosts of a stack. Those that a scenario broke are mended while the next one runs."""

    plan: Plan
    facts: ClusterFacts
    api: CloudApi
    _mending: dict[str, Future[None]] = field(default_factory=dict)
    _last: str = ""

    def __post_init__(self) -> None:
        self._mender = Mender(self.plan, self.facts, self.api)
        self._pool = ThreadPoolExecutor(
            len(self.plan.host_names),
            initializer=network.join,
            initargs=(self.plan.namespace(self.plan.controller_names[0]),),
        )

    def take(self, *, others: int = 2, wanted: str | None = None, but: Collection[str] = ()) -> str:
        """A well host to break, if it can be another one than last time; ``others`` are well, too.

        Args:
            but: Hosts that are taken already.

        Raises:
            TimedOut: A host did not become well again.
        """
        while True:
            well = [host for host in self._well() if host not in but]
            free = [host for host in well if wanted in (None, host)]
            if free and len(well) > others:
                self._last = free[0]
                return free[0]
            self._wait_for_one()

    def begin(self) -> None:
        """Clean up after whoever was here before and could not."""
        broken = [host for host in self.plan.host_names if not self._mender.is_well(host)]
        self.mend(*broken)
        self.clear(but=broken)

    def mend(self, *hosts: str) -> None:
        """Begin to make hosts well again."""
        for host in hosts:
            self._mending[host] = self._pool.submit(self._mender.mend, host)

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
        self.mend(*(host for host in idle if not self._mender.is_well(host)))
        return sorted(set(idle) - self._mending.keys(), key=lambda host: (host == self._last, host))

    def _wait_for_one(self) -> None:
        if self._mending:
            host, mending = next(iter(self._mending.items()))
            mending.result()
            self._mending.pop(host, None)
