"""hacli as on another machine of the cluster: one that cannot see whether the first one's process
runs.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

from hacli.domain.claim import ProcessId
from hacli.ports import Cluster, Machine
from hacli.wiring import Connection

BOOT_ID = "e15e3e4e-0000-4000-8000-000000000002"


def elsewhere(connection: Connection, name: str) -> Connection:
    """The same connection, from the member of the cluster that has this name."""
    world = connection.world
    cluster = None
    if world.cluster is not None:
        cluster = cast("Cluster", _OfAnotherMember(world.cluster, name))
    machine = _AnotherMachine(world.machine)
    return replace(connection, world=replace(world, cluster=cluster, machine=machine))


@dataclass(frozen=True)
class _AnotherMachine:
    """Fits ``ports.Machine``: this one, with the boot id of another."""

    own: Machine

    def own_process(self) -> ProcessId:
        return replace(self.own.own_process(), boot=BOOT_ID)

    def runs(self, process: ProcessId) -> bool:
        return self.own.runs(process)


class _OfAnotherMember:
    """Stands for ``ports.Cluster``; the cluster's tools say another name for this machine."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - what the port has there
        return getattr(self._cluster, method)

    def read_own_node(self) -> str:
        return self._name
