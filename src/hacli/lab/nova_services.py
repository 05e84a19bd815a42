"""os-services of the lab's Nova."""

from hacli.lab.cloud_records import MigrationStatus, Service
from hacli.lab.cloud_tables import Tables
from hacli.lab.http_shapes import Response
from hacli.lab.nova_call import Call, Json, bad_request, not_found, timestamp

_QUERY = frozenset({"host", "binary"})
_UUID_LENGTH = 36
_REASON_LENGTH = 255


def list_services(call: Call) -> Response:
    """GET /os-services: exact filters, no paging."""
    call.require_admin("os-services:list")
    call.refuse_unknown(_QUERY, since=75)
    host, binary = call.query.get("host", ""), call.query.get("binary", "")
    rows = [
        view_service(call, service)
        for service in call.cloud.tables.services
        if host in ("", service.host)
        and binary in ("", service.binary)
        and (call.at_least(69) or service.host not in call.cloud.tables.down_cell)
    ]
    return Response(status=200, body={"services": rows})


def view_service(call: Call, service: Service, *, exact_time: bool = False) -> Json:
    """One service; of a service in a down cell only the name is known (2.69)."""
    tables = call.cloud.tables
    if service.host in tables.down_cell:
        return {"binary": service.binary, "host": service.host, "status": "UNKNOWN"}
    is_compute = service.binary == "nova-compute"
    body: Json = {
        "binary": service.binary,
        "host": service.host,
        "id": service.id if call.at_least(53) else service.number,
        "zone": tables.zone_of(service.host) if is_compute else service.zone,
        "status": "disabled" if service.disabled else "enabled",
        "state": "up" if tables.is_up(service) else "down",
        "updated_at": timestamp(service.updated_at, exact=exact_time),
        "disabled_reason": service.disabled_reason,
    }
    if call.at_least(11):
        body["forced_down"] = service.forced_down
    return body


def update_service(call: Call, target: str) -> Response:
    """PUT /os-services/{uuid} from 2.53, /os-services/{action} before."""
    call.require_admin("os-services:update")
    body = call.request.body or {}
    if not call.at_least(53):
        return _update_by_name(call, target, body)
    if len(target) != _UUID_LENGTH:
        raise bad_request(f"Invalid uuid {target}")
    service = next((s for s in call.cloud.tables.services if s.id == target), None)
    if service is None:
        raise not_found(f"Service {target} could not be found.")
    if service.binary != "nova-compute":
        raise bad_request(
            f"Updating a {service.binary} service is not supported. "
            "Only nova-compute services can be updated."
        )
    _validate(body)
    changed, delay = change_service(call, service, body)
    view = view_service(call, service, exact_time=changed)
    return Response(status=200, body={"service": view}, delay_s=delay)


def _validate(body: Json) -> None:
    for key, value in body.items():
        good = {
            "status": value in ("enabled", "disabled"),
            "disabled_reason": isinstance(value, str) and 1 <= len(value) <= _REASON_LENGTH,
            "forced_down": isinstance(value, bool),
        }.get(key)
        if good is None:
            raise bad_request(f"Additional properties are not allowed ({key!r} was unexpected)")
        if not good:
            raise bad_request(f"Invalid input for field/attribute {key}. Value: {value}.")
    if body.get("status") == "enabled" and body.get("disabled_reason"):
        raise bad_request("Specifying 'disabled_reason' with status 'enabled' is invalid.")
    if not {"status", "forced_down"} & set(body):
        raise bad_request(
            "No updates were requested. Fields 'status' or 'forced_down' should be specified."
        )


def change_service(call: Call, service: Service, body: Json) -> tuple[bool, float]:
    """Write the service's row; return whether it changed, and how long the answer takes.

    A change of ``status`` calls nova-compute when it is thought up. A dead one that Nova still
    calls up lets that call time out; the row is written before (HostAPI.service_update).
    """
    tables = call.cloud.tables
    if body.get("forced_down") is False:
        _refuse_open_evacuations(tables, service.host)
    before = (service.disabled, service.disabled_reason, service.forced_down)
    if "status" in body:
        service.disabled = body["status"] == "disabled"
        reason = body.get("disabled_reason") if service.disabled else None
        service.disabled_reason = str(reason) if reason is not None else None
    if "forced_down" in body:
        service.forced_down = bool(body["forced_down"])
    changed = before != (service.disabled, service.disabled_reason, service.forced_down)
    if changed:
        service.updated_at = tables.now
    asks_compute = "status" in body and tables.is_up(service)
    waits = asks_compute and not call.cloud.computes.answers(service.host)
    return changed, call.cloud.settings.rpc_timeout if waits else 0.0


def _refuse_open_evacuations(tables: Tables, host: str) -> None:
    if any(
        m.source == host and m.type == "evacuation" and m.status is MigrationStatus.DONE
        for m in tables.migrations
    ):
        raise bad_request(
            f"Unable to force up host {host} as `done` evacuation migration records remain "
            "associated with the host. Ensure the compute service has been restarted, allowing "
            "these records to move to `completed` before retrying this request."
        )


def _update_by_name(call: Call, action: str, body: Json) -> Response:
    changes: dict[str, Json] = {
        "enable": {"status": "enabled"},
        "disable": {"status": "disabled"},
        "disable-log-reason": {
            "status": "disabled",
            "disabled_reason": body.get("disabled_reason"),
        },
        "force-down": {"forced_down": body.get("forced_down")},
    }
    if action not in changes or (action == "force-down" and not call.at_least(11)):
        raise not_found("Unknown action")
    host, binary = body.get("host"), body.get("binary")
    for service in call.cloud.tables.services:
        if (service.host, service.binary) == (host, binary):
            _, delay = change_service(call, service, changes[action])
            answer: Json = {"host": host, "binary": binary, **changes[action]}
            return Response(status=200, body={"service": answer}, delay_s=delay)
    raise not_found(f"Could not find binary {binary} on host {host}.")
