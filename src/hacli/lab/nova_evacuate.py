"""The evacuate action of the lab's Nova: what it refuses, in its own words, and what it does not.

Source: nova/api/openstack/compute/evacuate.py and its schemas.
"""

from collections.abc import Iterator

from hacli.lab.cloud_records import Server, VmState, stable_uuid
from hacli.lab.http_shapes import Response
from hacli.lab.nova_call import Call, Json, bad_request, conflict, not_found
from hacli.lab.rebuild import EvacuationOrder

_EVACUABLE = frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR})


def evacuate(call: Call, server_id: str, argument: object) -> Response:
    """POST /servers/{id}/action ``evacuate``: 200 and an empty body; all else comes later.

    Nothing here looks at ``task_state``: a server that is being evacuated is accepted again.
    """
    body = _validated(call, argument)
    server = call.server(server_id)
    call.require_admin("os-evacuate")
    asked = body.get("host")
    force = bool(body.get("force"))
    if force and not asked:
        raise bad_request("Can't force to a non-provided destination")
    if asked is not None and call.cloud.tables.compute_service(str(asked)) is None:
        raise not_found(f"Compute host {asked} not found.")
    if server.host == asked:
        raise bad_request("The target host can't be the same one.")
    _refuse_state(call, server)
    shared = body.get("onSharedStorage")
    call.cloud.evacuations.accept(
        EvacuationOrder(
            server=server,
            action=call.cloud.tables.record_action(server, "evacuate", request_id=call.request_id),
            former=server.vm_state,
            asked=str(asked) if asked is not None else None,
            force=force or not call.at_least(29),
            shared=bool(shared) if shared is not None else None,
            ends_stopped=call.at_least(95),
        )
    )
    if call.at_least(14):
        return Response(status=200)
    password = body.get("adminPass") or stable_uuid("password", call.request_id)[-12:]
    return Response(status=200, body={"adminPass": password})


def _refuse_state(call: Call, server: Server) -> None:
    if server.vm_state not in _EVACUABLE:
        raise conflict(
            f"Cannot 'evacuate' instance {server.id} while it is in vm_state {server.vm_state}"
        )
    service = call.cloud.tables.compute_service(server.host)
    if service is not None and call.cloud.tables.is_up(service):
        raise bad_request(f"Compute service of {server.host} is still in use.")


def _validated(call: Call, argument: object) -> Json:
    body = argument if isinstance(argument, dict) else None
    for complaint in _complaints(call, body) if body is not None else (_not_an_object(argument),):
        raise bad_request(
            f"Invalid input for field/attribute evacuate. Value: {argument}. {complaint}"
        )
    return body or {}


def _not_an_object(argument: object) -> str:
    return f"{argument!r} is not of type 'object'"


def _complaints(call: Call, argument: Json) -> Iterator[str]:
    if not call.at_least(14) and "onSharedStorage" not in argument:
        yield "'onSharedStorage' is a required property"
    allowed = {"host", "adminPass"}
    if not call.at_least(14):
        allowed.add("onSharedStorage")
    if call.at_least(29) and not call.at_least(68):
        allowed.add("force")
    unexpected = [repr(key) for key in argument if key not in allowed]
    if unexpected:
        verb = "was" if len(unexpected) == 1 else "were"
        names = ", ".join(unexpected)
        yield f"Additional properties are not allowed ({names} {verb} unexpected)"
