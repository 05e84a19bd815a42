"""Servers of the lab's Nova: lists, one server, its actions' history."""

import re
from collections.abc import Iterator
from datetime import datetime

from hacli.lab.cloud_records import Server, VmState
from hacli.lab.http_shapes import HttpRefusal, Response
from hacli.lab.nova_call import Call, Json, bad_request, conflict, not_found
from hacli.lab.nova_views import (
    status_of,
    view_action,
    view_event,
    view_server,
    view_server_brief,
    view_server_in_down_cell,
)

_PAGING = frozenset({"limit", "marker", "sort_key", "sort_dir"})
_USER_FILTERS = frozenset(
    {"reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"}
) | {"ip6", "not-tags", "not-tags-any", "tags", "tags-any", "locked", "changes-before"}
_ADMIN_FILTERS = frozenset(
    {"host", "node", "vm_state", "task_state", "power_state", "availability_zone", "tenant_id"}
) | {"project_id", "user_id", "uuid", "deleted", "hostname", "launched_at", "description"}
_POWER_NAMES = {
    0: "pending",
    1: "running",
    3: "paused",
    4: "shutdown",
    6: "crashed",
    7: "suspended",
}
_KNOWN = _PAGING | _USER_FILTERS | _ADMIN_FILTERS


def list_servers(call: Call) -> Response:
    """GET /servers."""
    return _list(call, detail=False)


def list_servers_detail(call: Call) -> Response:
    """GET /servers/detail."""
    return _list(call, detail=True)


def _list(call: Call, *, detail: bool) -> Response:
    call.refuse_unknown(_KNOWN, since=75)
    filters = {k: v for k, v in call.query.items() if k in _KNOWN - _PAGING}
    if not call.request.caller.is_admin:
        # A filter that needs admin is dropped without a word: the list is then not limited.
        filters = {k: v for k, v in filters.items() if k in _USER_FILTERS}
    project = _project_wanted(call, filters, detail=detail)
    tables = call.cloud.tables
    rows = tables.servers_on(filters["host"]) if "host" in filters else tables.servers.values()
    newest_first = sorted(rows, key=lambda server: -server.number)
    wanted = [s for s in newest_first if _matches(call, s, filters, project=project)]
    shown = [s for s in wanted if s.host not in tables.down_cell]
    page = call.page(_with_marker(call, shown), lambda s: s.id)
    view = _full if detail else view_server_brief
    body: Json = {"servers": [view(call, s) for s in page] + _partial(call, wanted, filters)}
    if page and len(page) == call.limit:
        path = "servers/detail" if detail else "servers"
        body["servers_links"] = call.next_link(path, page[-1].id)
    return Response(status=200, body=body)


def _with_marker(call: Call, servers: list[Server]) -> list[Server]:
    """The rows with the marker's own, which need not meet the filters any more.

    A server that has moved since the page before still marks a place in the order
    (nova/compute/instance_list.py ``get_marker_record``).
    """
    marker = call.cloud.tables.servers.get(call.query.get("marker", ""))
    if marker is None or marker in servers:
        return servers
    return sorted([*servers, marker], key=lambda server: -server.number)


def _full(call: Call, server: Server) -> Json:
    return view_server(call, server, alone=False)


def _partial(call: Call, wanted: list[Server], filters: dict[str, str]) -> list[Json]:
    """Records of down cells: only when nothing but ``all_tenants`` narrows the list.

    Source: nova/api/openstack/compute/servers.py ``_is_cell_down_supported``.
    """
    if not call.at_least(69) or set(filters) - {"all_tenants"} or set(call.query) & _PAGING:
        return []
    down_cell = call.cloud.tables.down_cell
    return [view_server_in_down_cell(call, s) for s in wanted if s.host in down_cell]


def _project_wanted(call: Call, filters: dict[str, str], *, detail: bool) -> str | None:
    """The one project the list is limited to, None for all."""
    everywhere = filters.get("all_tenants", "0").lower() in ("1", "true", "yes", "on", "")
    if not everywhere:
        return call.request.caller.project
    call.require_admin(f"servers:{'detail' if detail else 'index'}:get_all_tenants")
    return filters.get("project_id", filters.get("tenant_id"))


def _matches(call: Call, server: Server, filters: dict[str, str], *, project: str | None) -> bool:
    if server.vm_state is VmState.SOFT_DELETED and "status" not in filters:
        return False
    since = filters.get("changes-since")
    if since is not None and server.updated < datetime.fromisoformat(since).timestamp():
        return False
    exact: dict[str, object] = {
        "vm_state": str(server.vm_state),
        "task_state": server.task_state,
        "power_state": str(server.power_state),
        "status": status_of(server),
        "image": server.image,
        "flavor": server.flavor.id,
        "uuid": server.id,
        "user_id": server.user,
        "locked": str(server.locked),
    }
    node = call.cloud.tables.node_of(server.host) if server.host else ""
    patterns = {"node": node, "name": server.name}
    return (
        project in (None, server.project)
        and all(_equal(value, exact[key]) for key, value in filters.items() if key in exact)
        and all(
            re.search(value, patterns[key]) is not None
            for key, value in filters.items()
            if key in patterns
        )
    )


def _equal(asked: str, value: object) -> bool:
    return value is not None and asked.lower() == str(value).lower()


def show_server(call: Call, server_id: str) -> Response:
    """GET /servers/{id}."""
    server = call.server(server_id)
    if server.host in call.cloud.tables.down_cell:
        if not call.at_least(69):
            raise HttpRefusal(500, "computeFault", "Unexpected API Error.")
        return Response(status=200, body={"server": view_server_in_down_cell(call, server)})
    return Response(status=200, body={"server": view_server(call, server, alone=True)})


def list_actions(call: Call, server_id: str) -> Response:
    """GET /servers/{id}/os-instance-actions, newest first."""
    server = call.server(server_id)
    actions = call.page(server.actions[::-1], lambda action: action.request_id)
    rows = [view_action(call, server, action) for action in actions]
    return Response(status=200, body={"instanceActions": rows})


def show_action(call: Call, server_id: str, request_id: str) -> Response:
    """GET /servers/{id}/os-instance-actions/{request}, its newest event first."""
    server = call.server(server_id)
    for action in server.actions:
        if action.request_id == request_id:
            events = [view_event(call, server, event) for event in reversed(action.events)]
            body = view_action(call, server, action) | {"events": events}
            return Response(status=200, body={"instanceAction": body})
    raise not_found(f"Action for request_id {request_id} on instance {server_id} not found")


def list_volume_attachments(call: Call, server_id: str) -> Response:
    """GET /servers/{id}/os-volume_attachments."""
    server = call.server(server_id)
    rows = list(_volume_attachments(call, server))
    return Response(status=200, body={"volumeAttachments": rows})


def _volume_attachments(call: Call, server: Server) -> Iterator[Json]:
    for attachment in call.cloud.tables.attachments_of(server.id):
        row: Json = {
            "volumeId": attachment.volume,
            "serverId": server.id,
            "device": attachment.device,
        }
        if not call.at_least(89):
            row["id"] = attachment.volume
        if call.at_least(70):
            row["tag"] = None
        if call.at_least(79):
            row["delete_on_termination"] = True
        if call.at_least(89):
            row |= {"attachment_id": attachment.id, "bdm_uuid": attachment.id}
        yield row


def show_diagnostics(call: Call, server_id: str) -> Response:
    """GET /servers/{id}/diagnostics: what the hypervisor says, asked by way of nova-compute.

    Of a guest that does not run it is a conflict, whose words name the table's power state and
    not the hypervisor's (nova/compute/manager.py ``get_instance_diagnostics``).
    """
    server = call.server(server_id)
    call.require_admin("os-server-diagnostics")
    cloud = call.cloud
    if server.host is None:
        raise conflict(f"Instance {server.id} is not ready")
    if not cloud.computes.answers(server.host):
        timeout = cloud.settings.rpc_timeout
        fault = {"code": 500, "message": "Unexpected API Error. MessagingTimeout"}
        return Response(status=500, body={"computeFault": fault}, delay_s=timeout)
    guest = cloud.machines[server.host].guests.get(server.id)
    if guest is None or not guest.running:
        shown = _POWER_NAMES.get(server.power_state, "pending")
        raise conflict(
            f"Cannot 'get_diagnostics' instance {server.id} while it is in power state {shown}"
        )
    return Response(status=200, body={"state": "running", "uptime": 0, "driver": "libvirt"})


def set_metadata(call: Call, server_id: str) -> Response:
    """POST /servers/{id}/metadata: add or replace items."""
    server = call.server(server_id)
    items = (call.request.body or {}).get("metadata")
    if not isinstance(items, dict):
        raise bad_request("Invalid input for field/attribute metadata.")
    server.metadata.update({str(k): str(v) for k, v in items.items()})
    call.cloud.tables.touch(server)
    return Response(status=200, body={"metadata": dict(server.metadata)})
