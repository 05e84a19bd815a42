"""The smaller collections of the lab's Nova: migrations, hypervisors, aggregates, groups, zones."""

from collections.abc import Mapping

from hacli.lab.cloud_records import Flavor, Migration, Server, Service, stable_uuid
from hacli.lab.cloud_tables import RESERVED_MEMORY_MB
from hacli.lab.http_shapes import Response
from hacli.lab.nova_call import Call, Json, bad_request, not_found, timestamp
from hacli.lab.nova_views import view_migration

_MIGRATION_QUERY = frozenset(
    {"host", "source_compute", "status", "migration_type", "instance_uuid", "hidden"}
) | {"limit", "marker", "changes-since", "changes-before", "user_id", "project_id"}

_MIGRATION_COLUMNS = {
    "status": "status",
    "migration_type": "type",
    "instance_uuid": "server",
    "user_id": "user",
    "project_id": "project",
}


def list_migrations(call: Call) -> Response:
    """GET /os-migrations: oldest first below 2.59, newest first and in pages from there.

    ``host`` matches either end and makes Nova ignore ``source_compute``.
    """
    call.require_admin("os-migrations:index")
    call.refuse_unknown(_MIGRATION_QUERY, since=59)
    rows = _matching(call.cloud.tables.migrations, call.query)
    if not call.at_least(59):
        return Response(status=200, body={"migrations": [view_migration(call, m) for m in rows]})
    page = call.page(rows[::-1], lambda migration: migration.uuid)
    body: Json = {"migrations": [view_migration(call, m) for m in page]}
    if page and len(page) == call.limit:
        body["migrations_links"] = call.next_link("os-migrations", page[-1].uuid)
    return Response(status=200, body=body)


def _matching(migrations: list[Migration], query: Mapping[str, str]) -> list[Migration]:
    """The rows that a query asks for; a table of a day has thousands of others."""
    host, source = query.get("host"), query.get("source_compute")
    if host is not None:
        migrations = [m for m in migrations if host in (m.source, m.dest)]
    elif source is not None:
        migrations = [m for m in migrations if m.source == source]
    for key, column in _MIGRATION_COLUMNS.items():
        if key in query:
            migrations = [m for m in migrations if getattr(m, column) == query[key]]
    return migrations


def list_hypervisors(call: Call) -> Response:
    """GET /os-hypervisors."""
    return _hypervisors(call, detail=False)


def list_hypervisors_detail(call: Call) -> Response:
    """GET /os-hypervisors/detail: capacity only below 2.88."""
    return _hypervisors(call, detail=True)


def _hypervisors(call: Call, *, detail: bool) -> Response:
    call.require_admin("os-hypervisors:list-detail" if detail else "os-hypervisors:list")
    tables = call.cloud.tables
    pattern = call.query.get("hypervisor_hostname_pattern")
    if pattern and {"limit", "marker"} & set(call.query):
        raise bad_request(
            "Paging over hypervisors with the hypervisor_hostname_pattern query parameter "
            "is not supported."
        )
    found = [
        s
        for s in tables.compute_services()
        if (pattern or "") in tables.node_of(s.host) and s.host not in tables.down_cell
    ]
    if pattern and not found:
        raise not_found(f"No hypervisor matching '{pattern}' could be found.")
    page = found if pattern else call.page(found, lambda s: str(_hypervisor_id(call, s)))
    body: Json = {"hypervisors": [_hypervisor(call, s, detail=detail) for s in page]}
    if page and len(page) == call.limit and call.at_least(33) and not pattern:
        path = "os-hypervisors/detail" if detail else "os-hypervisors"
        body["hypervisors_links"] = call.next_link(path, str(_hypervisor_id(call, page[-1])))
    return Response(status=200, body=body)


def show_hypervisor(call: Call, hypervisor_id: str) -> Response:
    """GET /os-hypervisors/{id}."""
    call.require_admin("os-hypervisors:show")
    for service in call.cloud.tables.compute_services():
        if str(_hypervisor_id(call, service)) == hypervisor_id:
            return Response(
                status=200, body={"hypervisor": _hypervisor(call, service, detail=True)}
            )
    raise not_found(f"Hypervisor with ID '{hypervisor_id}' could not be found.")


def _hypervisor_id(call: Call, service: Service) -> str | int:
    return stable_uuid("node", service.host) if call.at_least(53) else service.number


def _hypervisor(call: Call, service: Service, *, detail: bool) -> Json:
    tables = call.cloud.tables
    servers = tables.servers_on(service.host)
    body: Json = {
        "id": _hypervisor_id(call, service),
        "hypervisor_hostname": tables.node_of(service.host),
        "state": "up" if tables.is_up(service) else "down",
        "status": "disabled" if service.disabled else "enabled",
    }
    if detail:
        body |= {
            "hypervisor_type": "fake",
            "hypervisor_version": 1000,
            "host_ip": "127.0.0.1",
            "service": {
                "id": service.id if call.at_least(53) else service.number,
                "host": service.host,
                "disabled_reason": service.disabled_reason,
            },
        }
        body |= {"uptime": None} if call.at_least(88) else _capacity(call, service.host, servers)
    wants_servers = call.query.get("with_servers", "false").lower() in ("true", "1")
    if wants_servers and (servers or call.at_least(75)):
        body["servers"] = [{"name": s.instance_name, "uuid": s.id} for s in servers]
    return body


def _capacity(call: Call, host: str, servers: tuple[Server, ...]) -> Json:
    offered = call.cloud.tables.capacities[host]
    vcpus = sum(s.room.vcpus for s in servers)
    memory = RESERVED_MEMORY_MB + sum(s.room.memory_mb for s in servers)
    disk = sum(s.room.disk_gb for s in servers)
    return {
        "vcpus": offered.vcpus,
        "memory_mb": offered.memory_mb,
        "local_gb": offered.disk_gb,
        "vcpus_used": vcpus,
        "memory_mb_used": memory,
        "local_gb_used": disk,
        "free_ram_mb": offered.memory_mb - memory,
        "free_disk_gb": offered.disk_gb - disk,
        "current_workload": 0,
        "running_vms": len(servers),
        "disk_available_least": 0,
        "cpu_info": {
            "arch": "x86_64",
            "model": "Nehalem",
            "vendor": "Intel",
            "features": ["pge", "clflush"],
            "topology": {"cores": 1, "threads": 1, "sockets": 4},
        },
    }


def list_aggregates(call: Call) -> Response:
    """GET /os-aggregates."""
    call.require_admin("os-aggregates:index")
    rows: list[Json] = []
    for aggregate in call.cloud.tables.aggregates:
        row: Json = {
            "id": aggregate.number,
            "name": aggregate.name,
            "availability_zone": aggregate.zone,
            "hosts": list(aggregate.hosts),
            "metadata": dict(aggregate.metadata),
            "created_at": timestamp(aggregate.created_at),
            "updated_at": None,
            "deleted": False,
            "deleted_at": None,
        }
        if call.at_least(41):
            row["uuid"] = aggregate.uuid
        rows.append(row)
    return Response(status=200, body={"aggregates": rows})


def list_groups(call: Call) -> Response:
    """GET /os-server-groups: the caller's project's, or all for an admin who asks; by offset."""
    everywhere = "all_projects" in call.query and call.request.caller.is_admin
    project = call.request.caller.project
    groups = [
        group
        for group in call.cloud.tables.groups.values()
        if everywhere or group.project == project
    ]
    offset = int(call.query.get("offset", "0"))
    rows: list[Json] = []
    for group in groups[offset : offset + call.limit]:
        row: Json = {"id": group.id, "name": group.name, "members": list(group.members)}
        if call.at_least(13):
            row |= {"project_id": group.project, "user_id": group.user}
        row |= (
            {"policy": group.policy, "rules": {}}
            if call.at_least(64)
            else {"policies": [group.policy], "metadata": {}}
        )
        rows.append(row)
    return Response(status=200, body={"server_groups": rows})


def list_zones_detail(call: Call) -> Response:
    """GET /os-availability-zone/detail."""
    call.require_admin("os-availability-zone:detail")
    tables = call.cloud.tables
    zones: dict[str, dict[str, Json]] = {}
    for service in tables.services:
        is_compute = service.binary == "nova-compute"
        zone = tables.zone_of(service.host) if is_compute else service.zone
        hosts = zones.setdefault(zone, {})
        hosts.setdefault(service.host, {})[service.binary] = {
            "available": not service.disabled,
            "active": tables.is_up(service),
            "updated_at": timestamp(service.updated_at),
        }
    rows = [
        {"zoneName": name, "zoneState": {"available": True}, "hosts": hosts}
        for name, hosts in zones.items()
    ]
    return Response(status=200, body={"availabilityZoneInfo": rows})


def list_flavors_detail(call: Call) -> Response:
    """GET /flavors/detail."""
    rows = [_flavor(call, flavor) for flavor in call.cloud.tables.flavors.values()]
    return Response(status=200, body={"flavors": rows})


def show_flavor(call: Call, flavor_id: str) -> Response:
    """GET /flavors/{id}."""
    flavor = call.cloud.tables.flavors.get(flavor_id)
    if flavor is None:
        raise not_found(f"Flavor {flavor_id} could not be found.")
    return Response(status=200, body={"flavor": _flavor(call, flavor)})


def _flavor(call: Call, flavor: Flavor) -> Json:
    swap: object = flavor.swap
    return {
        "id": flavor.id,
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
        "swap": swap if swap or call.at_least(75) else "",
        "os-flavor-access:is_public": True,
        "OS-FLV-DISABLED:disabled": False,
        "rxtx_factor": 1.0,
        "links": [{"rel": "self", "href": f"{call.base_url}/v2.1/flavors/{flavor.id}"}],
    }
