"""A lab that also remembers what it was ordered to do through its doors."""

import threading
from collections.abc import Callable
from contextlib import ExitStack

from hacli.lab.bmcs import Bmc
from hacli.lab.cluster import Cluster
from hacli.lab.pacemaker_door import PacemakerDoor
from hacli.lab.running_lab import Lab
from hacli.lab.tool import Answer

_IPMI_THREAD = "lab-ipmi"
"""Where orders arrive that came over the wire; those of the lab's own Pacemaker come elsewhere."""


class UnhurriedBmc(Bmc):
    """A BMC that takes a quarter of a second for a reading, which is some eight packets."""

    @property
    def delay_s(self) -> float:
        """Of each packet."""
        return 0.03


class WatchedLab(Lab):
    """A lab whose log of requests is joined by one of Pacemaker's tools and one of the BMCs.

    ``tools`` has every command line that came through the shim, ``bmc_orders`` every order that
    came over UDP as (host, order).
    """

    tools: list[tuple[str, ...]]
    bmc_orders: list[tuple[str, str]]

    @property
    def orders(self) -> tuple[str, ...]:
        """Whatever was asked for that is more than a look, in words, the token logins apart."""
        tools = [" ".join(words) for words in self.tools if not _only_looks(words)]
        bmcs = [f"{host} {order}" for host, order in self.bmc_orders]
        with self.lock:
            records = tuple(self.requests.records)
        requests = [
            f"{record.method} {record.service}{record.path}"
            for record in records
            if record.method not in ("GET", "HEAD")
            and (record.service, record.method, record.path)
            != ("keystone", "POST", "/v3/auth/tokens")
        ]
        return (*tools, *bmcs, *requests)

    def slow_bmcs_down(self) -> None:
        """Let every BMC be as slow as real ones are."""
        with self.lock:
            for bmc in self.region.bmcs.values():
                bmc.__class__ = UnhurriedBmc

    def _open_bmcs(self, opened: ExitStack) -> dict[str, int]:
        self.bmc_orders = []
        for host, bmc in self.region.bmcs.items():
            for order in ("order_off", "order_on", "order_cycle"):
                setattr(bmc, order, self._noted(host, order, getattr(bmc, order)))
        return super()._open_bmcs(opened)

    def _noted(self, host: str, order: str, carry_out: Callable[[], None]) -> Callable[[], None]:
        def note() -> None:
            if threading.current_thread().name == _IPMI_THREAD:
                self.bmc_orders.append((host, order))
            carry_out()

        return note

    def _open_pacemaker(self, opened: ExitStack) -> None:
        self.tools = []
        door = _NotingDoor(self.region.cluster, self.tools, lab=self)
        door.start()
        opened.callback(door.stop)


class _NotingDoor(PacemakerDoor):
    """Writes every command line down before it is run."""

    def __init__(self, cluster: Cluster, tools: list[tuple[str, ...]], *, lab: Lab) -> None:
        socket_path = lab.workspace.pacemaker_socket
        super().__init__(cluster, socket_path=socket_path, lock=lab.lock, shells=lab.shells)
        self._tools = tools

    def answer(self, argv: tuple[str, ...], stdin: str) -> Answer | None:
        """Note, and run as always."""
        self._tools.append(argv)
        return super().answer(argv, stdin)


def _only_looks(words: tuple[str, ...]) -> bool:
    """Whether a command line of Pacemaker's tools, or the storage probe, changes nothing."""
    queries = {"--query", "-Q", "--version", "--history", "--list-registered", "-G"}
    return words[0] == "crm_mon" or words[1:2] == ("python3",) or bool(queries & set(words))
