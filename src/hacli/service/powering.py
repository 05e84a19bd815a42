"""Switch a host on again: only when nothing on it can destroy what is being rebuilt elsewhere."""

from hacli.domain.hosts import GATE_ATTRIBUTE, ComputeHost
from hacli.errors import Failed, Refused, SourceError
from hacli.ports import World
from hacli.service.asking import ask
from hacli.service.records import read_open_evacuations


def power_on(world: World, host: ComputeHost) -> None:
    """Order power on.

    Raises:
        Refused: No BMC is known, or evacuations are open and no gate keeps nova-compute off.
        Failed: The BMC did not take the order.
    """
    if host.bmc is None or host.service is None:
        raise Refused(
            f"{host.name} cannot be switched on from here.",
            why="no BMC is known for it",
            code="FENCE_MISSING",
            host=host.name,
        )
    opened = read_open_evacuations(world, host.service.host)
    gated = bool(opened) and _is_gated(world, host)
    if opened and not gated:
        raise Refused(
            f"{host.name} stays off: {len(opened)} evacuations from it are still open.",
            why="its nova-compute would destroy the guests they rebuild",
            next_steps=(f"hacli recover {host.name}    follows them to their end",),
            code="OPEN_EVACUATIONS",
            host=host.name,
        )
    try:
        ask(world, world.switch(host.bmc).power_on)
    except SourceError as error:
        raise Failed(
            f"{host.name} could not be switched on.",
            why=f"{host.bmc.label}: {error.why}",
            state="The order may have been carried out.",
            next_steps=(f"hacli status {host.name}",),
            code="POWER_ON",
            host=host.name,
        ) from error


def _is_gated(world: World, host: ComputeHost) -> bool:
    """Whether the gate is there now; the facts that the run began with may be old."""
    if world.cluster is None or host.node is None:
        return False
    node = ask(world, world.cluster.read_view).node(host.node.name)
    return node is not None and GATE_ATTRIBUTE in node.attributes
