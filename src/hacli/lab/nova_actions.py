"""POST /servers/{id}/action of the lab's Nova."""

from collections.abc import Callable

from hacli.lab.cloud_records import Action, Server, VmState
from hacli.lab.http_shapes import Response
from hacli.lab.nova_call import Call, bad_request, conflict
from hacli.lab.nova_evacuate import evacuate
from hacli.lab.power_actions import PowerActions

_HARD_REBOOT_STATES = frozenset(
    {VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED, VmState.ERROR}
)
_REBUILD_STATES = frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR})
# nova/compute/task_states.py ALLOW_REBOOT
_HARD_REBOOT_TASKS = (None, "rebooting", "reboot_pending", "reboot_started", "rebooting_hard")


def act_on_server(call: Call, server_id: str) -> Response:
    """Do what the body's one key names: evacuate, reboot, rebuild, os-start, …."""
    body = call.request.body or {}
    if len(body) != 1:
        raise bad_request("There is no such action: None")
    ((name, argument),) = body.items()
    if name == "evacuate":
        return evacuate(call, server_id, argument)
    handler = _HANDLERS.get(name)
    if handler is None:
        raise bad_request(f"There is no such action: {name}")
    handler(call, call.server(server_id), argument)
    return Response(status=202)


def _reboot(call: Call, server: Server, argument: object) -> None:
    kind = argument.get("type") if isinstance(argument, dict) else None
    if kind != "HARD":
        raise bad_request("Invalid input for field/attribute type. The lab reboots HARD only.")
    _refuse_locked(call, server)
    _refuse_state(server, "reboot", states=_HARD_REBOOT_STATES, tasks=_HARD_REBOOT_TASKS)
    PowerActions(call.cloud).hard_reboot(server, _record(call, server, "reboot"))


def _start(call: Call, server: Server, _argument: object) -> None:
    _refuse_locked(call, server)
    _refuse_state(server, "start", states=frozenset({VmState.STOPPED}), tasks=(None,))
    PowerActions(call.cloud).start(server, _record(call, server, "start"))


def _stop(call: Call, server: Server, _argument: object) -> None:
    _refuse_locked(call, server)
    states = frozenset({VmState.ACTIVE, VmState.ERROR})
    _refuse_state(server, "stop", states=states, tasks=(None,))
    PowerActions(call.cloud).stop(server, _record(call, server, "stop"))


def _rebuild(call: Call, server: Server, argument: object) -> None:
    image = str(argument.get("imageRef")) if isinstance(argument, dict) else ""
    if image not in call.cloud.tables.images:
        raise bad_request("Cannot find image for rebuild")
    if server.image is None:
        raise bad_request("Unable to rebuild with a different image for a volume-backed server.")
    _refuse_locked(call, server)
    _refuse_state(server, "rebuild", states=_REBUILD_STATES, tasks=(None,))
    action = _record(call, server, "rebuild")
    PowerActions(call.cloud).rebuild(server, action, image=image)


def _reset_state(call: Call, server: Server, argument: object) -> None:
    call.require_admin("os-admin-actions:reset_state")
    state = argument.get("state") if isinstance(argument, dict) else None
    if state not in ("active", "error"):
        raise bad_request(f"Invalid input for field/attribute state. Value: {state}.")
    PowerActions(call.cloud).reset_state(server, VmState(state))


_HANDLERS: dict[str, Callable[[Call, Server, object], None]] = {
    "reboot": _reboot,
    "rebuild": _rebuild,
    "os-start": _start,
    "os-stop": _stop,
    "os-resetState": _reset_state,
}


def _refuse_locked(call: Call, server: Server) -> None:
    if server.locked and not call.request.caller.is_admin:
        raise conflict(f"Instance {server.id} is locked")


def _refuse_state(
    server: Server, action: str, *, states: frozenset[VmState], tasks: tuple[str | None, ...]
) -> None:
    for attribute, value, allowed in (
        ("vm_state", server.vm_state, server.vm_state in states),
        ("task_state", server.task_state, server.task_state in tasks),
    ):
        if not allowed:
            raise conflict(
                f"Cannot '{action}' instance {server.id} while it is in {attribute} {value}"
            )


def _record(call: Call, server: Server, name: str) -> Action:
    return call.cloud.tables.record_action(server, name, request_id=call.request_id)
