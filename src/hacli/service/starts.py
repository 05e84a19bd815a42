"""Read what decides whether the servers of a host that is back are started in place."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from hacli.domain.evacuation import Records, Wishes
from hacli.domain.servers import Guest, InstanceAction
from hacli.domain.start_in_place import (
    StartPlan,
    Told,
    plan_starts,
    to_ask_hypervisor,
    to_look_up,
)
from hacli.errors import SourceError
from hacli.ports import World
from hacli.service.asking import ask_all

T = TypeVar("T")

LIMIT_S = 120.0


def read_starts(
    world: World, records: Records, wishes: Wishes, *, fenced_at: datetime
) -> StartPlan:
    """One question to the hypervisor for each ACTIVE server, the action log of each that is down.

    A question without an answer makes the server one that is named, not one that is started.
    """
    guests = ask_all(
        world,
        {key: guest_of(world, key) for key in to_ask_hypervisor(records, wishes)},
        limit_s=LIMIT_S,
    )
    known = {key: _why(found) for key, found in guests.items()}
    actions = ask_all(
        world,
        {key: actions_of(world, key) for key in to_look_up(records, wishes, known)},
        limit_s=LIMIT_S,
    )
    told = Told(guests=known, actions={key: _why(found) for key, found in actions.items()})
    return plan_starts(records, wishes, told, fenced_at=fenced_at)


def _why(found: T | SourceError) -> T | str:
    return found.why if isinstance(found, SourceError) else found


def guest_of(world: World, server_id: str) -> Callable[[], Guest]:
    """The question to the hypervisor, for a worker."""
    return lambda: world.compute.read_guest(server_id)


def actions_of(world: World, server_id: str) -> Callable[[], tuple[InstanceAction, ...]]:
    """The question for the action log, for a worker."""
    return lambda: world.compute.read_actions(server_id)
