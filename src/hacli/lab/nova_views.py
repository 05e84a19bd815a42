"""How the lab's Nova shows servers and migrations at each microversion."""

import hashlib

from hacli.lab.cloud_records import (
    Action,
    ActionEvent,
    Fault,
    Flavor,
    Migration,
    MigrationStatus,
    Server,
    VmState,
    stable_uuid,
)
from hacli.lab.cloud_tables import Tables
from hacli.lab.computes import REBUILD_TASKS
from hacli.lab.nova_call import Call, Json, timestamp, zulu

_REBOOT_TASKS = frozenset({"rebooting", "reboot_pending", "reboot_started"})
_HARD_REBOOT_TASKS = frozenset({"rebooting_hard", "reboot_pending_hard", "reboot_started_hard"})
_RESIZE_TASKS = frozenset({"resize_prep", "resize_migrating", "resize_migrated", "resize_finish"})
_PROGRESS_STATUSES = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE"})
_PLAIN_STATUS = {
    VmState.ACTIVE: "ACTIVE",
    VmState.BUILDING: "BUILD",
    VmState.STOPPED: "SHUTOFF",
    VmState.PAUSED: "PAUSED",
    VmState.SUSPENDED: "SUSPENDED",
    VmState.RESCUED: "RESCUE",
    VmState.RESIZED: "VERIFY_RESIZE",
    VmState.SOFT_DELETED: "SOFT_DELETED",
    VmState.SHELVED: "SHELVED",
    VmState.SHELVED_OFFLOADED: "SHELVED_OFFLOADED",
    VmState.ERROR: "ERROR",
}


def status_of(server: Server) -> str:
    """The API's ``status`` (nova/api/openstack/common.py ``_STATE_MAP``)."""
    task, state = server.task_state, server.vm_state
    if state in (VmState.ACTIVE, VmState.STOPPED, VmState.ERROR) and task in REBUILD_TASKS:
        return "REBUILD"
    if state in (VmState.ACTIVE, VmState.STOPPED) and task in _RESIZE_TASKS:
        return "RESIZE"
    if state in (VmState.ACTIVE, VmState.PAUSED) and task == "migrating":
        return "MIGRATING"
    if state is VmState.ACTIVE and task in _REBOOT_TASKS:
        return "REBOOT"
    if state is VmState.ACTIVE and task in _HARD_REBOOT_TASKS:
        return "HARD_REBOOT"
    return _PLAIN_STATUS[state]


def host_id(project: str, host: str | None) -> str:
    """Nova's ``hostId``: the same host reads differently in each project."""
    return hashlib.sha224(f"{project}{host}".encode()).hexdigest() if host else ""


def host_status(tables: Tables, host: str | None) -> str:
    """``host_status`` (2.16); a disabled dead host reads MAINTENANCE."""
    service = tables.compute_service(host)
    if service is None:
        return ""
    if service.forced_down:
        return "DOWN"
    if service.disabled:
        return "MAINTENANCE"
    return "UP" if tables.is_up(service) else "UNKNOWN"


def view_server_brief(call: Call, server: Server) -> Json:
    """An entry of GET /servers."""
    return {"id": server.id, "name": server.name, "links": _server_links(call, server)}


def view_server_in_down_cell(call: Call, server: Server) -> Json:
    """What is left of a server whose cell does not answer (2.69)."""
    return {
        "id": server.id,
        "created": zulu(server.created),
        "status": "UNKNOWN",
        "tenant_id": server.project,
        "links": _server_links(call, server),
    }


def view_server(call: Call, server: Server, *, alone: bool) -> Json:
    """A server in full; ``alone`` as GET /servers/{id} shows it."""
    status = status_of(server)
    body: Json = {
        "accessIPv4": "",
        "accessIPv6": "",
        "addresses": {},
        "created": zulu(server.created),
        "flavor": _embedded_flavor(call, server.flavor),
        "hostId": host_id(server.project, server.host),
        "id": server.id,
        "image": _image(call, server),
        "links": _server_links(call, server),
        "metadata": dict(server.metadata),
        "name": server.name,
        "status": status,
        "tenant_id": server.project,
        "user_id": server.user,
        "updated": zulu(server.updated),
        "OS-DCF:diskConfig": "MANUAL",
    }
    if status == "ERROR" and server.fault:
        body["fault"] = _fault(call, server.fault)
    if status in _PROGRESS_STATUSES:
        body["progress"] = 0
    body |= _extensions(call, server)
    if call.request.caller.is_admin:
        body |= _admin_attributes(call, server)
    return body | _later_fields(call, server, alone=alone)


def _fault(call: Call, fault: Fault) -> Json:
    body: Json = {"code": fault.code, "created": zulu(fault.created), "message": fault.message}
    if call.request.caller.is_admin:
        body["details"] = fault.details
    return body


def _extensions(call: Call, server: Server) -> Json:
    volumes: list[Json] = []
    for attachment in call.cloud.tables.attachments_of(server.id):
        volume: Json = {"id": attachment.volume}
        if call.at_least(3):
            volume["delete_on_termination"] = True
        volumes.append(volume)
    launched = server.launched_at
    zone = call.cloud.tables.zone_of(server.host) if server.host else ""
    return {
        "OS-EXT-AZ:availability_zone": zone,
        "config_drive": "True" if server.config_drive else "",
        "key_name": None,
        "OS-SRV-USG:launched_at": timestamp(launched) if launched is not None else None,
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": str(server.vm_state),
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": volumes,
    }


def _admin_attributes(call: Call, server: Server) -> Json:
    prefix = "OS-EXT-SRV-ATTR:"
    body: Json = {
        f"{prefix}host": server.host,
        f"{prefix}instance_name": server.instance_name,
        f"{prefix}hypervisor_hostname": (
            call.cloud.tables.node_of(server.host) if server.host else None
        ),
    }
    if call.at_least(3):
        body |= {
            f"{prefix}hostname": server.name.lower(),
            f"{prefix}kernel_id": "",
            f"{prefix}launch_index": 0,
            f"{prefix}ramdisk_id": "",
            f"{prefix}reservation_id": f"r-{stable_uuid('reservation', server.id)[:8]}",
            f"{prefix}root_device_name": "/dev/sda",
            f"{prefix}user_data": None,
        }
    if call.at_least(16):
        body["host_status"] = host_status(call.cloud.tables, server.host)
    return body


def _later_fields(call: Call, server: Server, *, alone: bool) -> Json:
    group = call.cloud.tables.group_of(server.id)
    fields: tuple[tuple[int, str, object], ...] = (
        (9, "locked", server.locked),
        (19, "description", None),
        (26, "tags", []),
        (63, "trusted_image_certificates", None),
        (73, "locked_reason", server.locked_reason),
        (96, "pinned_availability_zone", server.pinned_zone),
        (100, "scheduler_hints", {"group": [group.id]} if group else {}),
    )
    body = {name: value for since, name, value in fields if call.at_least(since)}
    if alone and call.at_least(71):
        body["server_groups"] = [group.id] if group else []
    return body


def _server_links(call: Call, server: Server) -> list[Json]:
    return [
        {"rel": "self", "href": f"{call.base_url}/v2.1/servers/{server.id}"},
        {"rel": "bookmark", "href": f"{call.base_url}/servers/{server.id}"},
    ]


def _image(call: Call, server: Server) -> Json | str:
    """The image reference; the empty string means boot from volume."""
    if server.image is None:
        return ""
    href = f"{call.base_url}/images/{server.image}"
    body: Json = {"id": server.image, "links": [{"rel": "bookmark", "href": href}]}
    if call.at_least(98):
        image = call.cloud.tables.images.get(server.image)
        body["properties"] = dict(image.properties) if image else {}
    return body


def _embedded_flavor(call: Call, flavor: Flavor) -> Json:
    if not call.at_least(47):
        href = f"{call.base_url}/flavors/{flavor.id}"
        return {"id": flavor.id, "links": [{"rel": "bookmark", "href": href}]}
    return {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "original_name": flavor.name,
        "extra_specs": dict(flavor.extra_specs),
    }


def view_migration(call: Call, migration: Migration) -> Json:
    """An entry of GET /os-migrations."""
    body: Json = {
        "id": migration.number,
        "source_compute": migration.source,
        "dest_compute": migration.dest,
        "source_node": call.cloud.tables.node_of(migration.source),
        "dest_node": migration.dest_node,
        "dest_host": migration.dest_address,
        "old_instance_type_id": migration.old_flavor,
        "new_instance_type_id": migration.new_flavor,
        "instance_uuid": migration.server,
        "status": str(migration.status),
        "created_at": timestamp(migration.created_at),
        "updated_at": timestamp(migration.updated_at),
    }
    if call.at_least(23):
        body["migration_type"] = migration.type
    if call.at_least(59):
        body["uuid"] = migration.uuid
    if call.at_least(80):
        body |= {"user_id": migration.user, "project_id": migration.project}
    running = migration.status in (MigrationStatus.ACCEPTED, MigrationStatus.RUNNING)
    if call.at_least(23) and migration.type == "live-migration" and running:
        path = f"servers/{migration.server}/migrations/{migration.number}"
        body["links"] = [
            {"rel": "self", "href": f"{call.base_url}/v2.1/{path}"},
            {"rel": "bookmark", "href": f"{call.base_url}/{path}"},
        ]
    return body


def view_action(call: Call, server: Server, action: Action) -> Json:
    """An entry of GET /servers/{id}/os-instance-actions."""
    body: Json = {
        "action": action.name,
        "instance_uuid": server.id,
        "request_id": action.request_id,
        "user_id": action.user,
        "project_id": action.project,
        "start_time": timestamp(action.start),
        "message": action.message,
    }
    if call.at_least(58):
        body["updated_at"] = timestamp(action.updated_at)
    return body


def view_event(call: Call, server: Server, event: ActionEvent) -> Json:
    """An event of an instance action, as an admin sees it."""
    body: Json = {
        "event": event.name,
        "start_time": timestamp(event.start),
        "finish_time": timestamp(event.finish) if event.finish is not None else None,
        "result": event.result,
        "traceback": event.details,
    }
    if call.at_least(62):
        body |= {"host": event.host, "hostId": host_id(server.project, event.host)}
    if call.at_least(84):
        body["details"] = event.details
    return body
