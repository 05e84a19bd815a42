"""Nova as ``ports.Compute``: what is asked, and the values that come back.

Writes are sent exactly once; what each came to is a value (``nova_api.Writer``).
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote

from hacli.adapters import nova_shapes as shapes
from hacli.adapters.nova_api import NovaApi, find_nova, version_text
from hacli.domain.evidence import FenceEvidence
from hacli.domain.servers import (
    Aggregate,
    Caller,
    ComputeService,
    Guest,
    Hypervisor,
    InstanceAction,
    Migration,
    NotSent,
    RequestOutcome,
    Server,
    ServerGroup,
    ServerList,
    ServiceList,
)
from hacli.errors import HacliError

if TYPE_CHECKING:
    from hacli.adapters.keystone import Cloud

PAGED_MIGRATIONS: shapes.Version = (2, 59)
GROUPS_PAGE = 1000
READ_LIMIT_S = 30.0
WRITE_LIMIT_S = 75.0  # Nova's own RPC limit is 60 s, and a late answer is better than none
DISABLE_LIMIT_S = 5.0
REASON_LENGTH = 255


class Nova:
    """One region's Nova. Safe to call from many threads; the constructor does no I/O.

    A read raises ``Unreachable``, ``Unreadable`` or ``NotPermitted``, and what finding Nova raises
    beside them: ``Misconfigured``, or ``Unavailable`` for one that is too old. No write raises.

    Args:
        connect: Gives the cloud's session without asking anything; called until Nova is found.
        read_limit_s: Longest wait for the answer to one request that reads.
        write_limit_s: Longest wait for the answer to one that changes something.
    """

    def __init__(
        self,
        connect: "Callable[[], Cloud]",
        *,
        read_limit_s: float = READ_LIMIT_S,
        write_limit_s: float = WRITE_LIMIT_S,
    ) -> None:
        self._connect = connect
        self._read_limit_s = read_limit_s
        self._write_limit_s = write_limit_s
        self._lock = Lock()
        self._found: NovaApi | None = None
        self._tries = 0
        self._last_error: HacliError | None = None
        self._caller: Caller | None = None

    def read_caller(self) -> Caller:
        """Who we are. Admin needs the role in the token and an admin-only read that succeeds."""
        if self._caller is None:
            api = self._api()
            user, project, roles = api.endpoint.cloud.identity()
            why_not = _why_not_admin(api, roles)
            self._caller = Caller(
                user=user,
                project=project,
                admin=why_not is None,
                why_not=why_not,
                read_version=version_text(api.read_version),
                write_version=version_text(api.write_version),
            )
        return self._caller

    def read_services(self) -> ServiceList:
        """All services, one request, with the Date of the answer."""
        api = self._api()
        answer = api.read.get("/os-services")
        with api.endpoint.understood():
            date = shapes.parse_date(answer.headers.get("Date"))
            return shapes.parse_services(answer.body, date=date)

    def read_servers(self, host: str) -> ServerList:
        """Every server of this host, all pages; others, which a filter let through, are dropped.

        Nova leaves the servers of a cell that is down out of a filtered list without a word. All
        servers of a host live in the host's own cell, so its service is read beside them: one
        that is not shown, or shown without its state, means ``cells_down``.
        """
        api = self._api()
        services = api.read.get("/os-services", {"binary": "nova-compute", "host": host})
        query = {"all_tenants": "1", "host": host}
        records = api.read.pages("/servers/detail", "servers", query)
        with api.endpoint.understood():
            known = any(
                service.known and service.host == host
                for service in shapes.parse_compute_services(services.body)
            )
            whole = tuple(record for record in records if not shapes.is_partial(record))
            return ServerList(
                host=host,
                servers=tuple(shapes.parse_server(r) for r in whole if shapes.host_of(r) == host),
                cells_down=not known or len(whole) < len(records),
            )

    def read_all_servers(self) -> tuple[Server, ...]:
        """Every server of every host. Nova leaves those of a cell that is down out of pages.

        Each page is made servers at once: the JSON of ten thousand takes a hundred megabytes.
        """
        api = self._api()
        servers: dict[str, Server] = {}
        for page in api.read.each_page("/servers/detail", "servers", {"all_tenants": "1"}):
            with api.endpoint.understood():
                for id_, record in page.items():
                    if not shapes.is_partial(record):
                        servers[id_] = shapes.parse_server(record)
        return tuple(servers.values())

    def read_server(self, server_id: str) -> Server | None:
        """One server; None when Nova has none of this id (404)."""
        api = self._api()
        answer = api.read.ask(_server_path(server_id))
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        body = api.read.checked(answer).body
        with api.endpoint.understood():
            record = shapes.parse_one(body, "server")
            if shapes.is_partial(record):
                raise shapes.ShapeError(f"the cell of server {server_id} is down")
            return shapes.parse_server(record)

    def read_changed(self, servers: Collection[str], *, since: datetime) -> tuple[Server, ...]:
        """Those of these servers that one page of Nova's changes since then has, of all hosts.

        Such a list has deleted ones, too, unless an administrator says otherwise (facts A.3).
        """
        api = self._api()
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"all_tenants": "1", "changes-since": moment, "deleted": "False"}
        records = api.read.page("/servers/detail", "servers", query)
        with api.endpoint.understood():
            return tuple(
                shapes.parse_server(record)
                for record in records
                if shapes.parse_id(record, "id") in servers and not shapes.is_gone(record)
            )

    def read_hypervisor_servers(self, host: str) -> frozenset[str]:
        """Ids of the servers that the hypervisors of exactly this Nova host show.

        Nova searches by a part of the hypervisor's name, which may be quite another than the
        host's. So a search that finds no hypervisor of this host proves nothing: then all
        hypervisors are listed, and those of this host are read by id.
        """
        api = self._api()
        ours = _of_host(api, host, _search(api, host))
        if not ours:
            listed = api.capacity.pages("/os-hypervisors/detail", "hypervisors")
            ours = [_hypervisor(api, record) for record in _of_host(api, host, listed)]
        with api.endpoint.understood():
            return frozenset(id_ for record in ours for id_ in shapes.hypervisor_servers(record))

    def read_hypervisors(self) -> tuple[Hypervisor, ...]:
        """Approximate capacity and counts of all hosts, all pages."""
        api = self._api()
        records = api.capacity.pages("/os-hypervisors/detail", "hypervisors")
        with api.endpoint.understood():
            return tuple(shapes.parse_hypervisor(record) for record in records)

    def read_evacuations(self, source: str) -> tuple[Migration, ...]:
        """All evacuation records of this source host, newest first, all pages."""
        # never with ``host``: Nova then ignores source_compute (facts A.5)
        query = {"source_compute": source, "migration_type": "evacuation"}
        return tuple(
            move
            for move in self._migrations(query)
            if move.type == "evacuation" and move.source == source
        )

    def read_evacuations_of(self, server_id: str) -> tuple[Migration, ...]:
        """All evacuation records of one server, from any source, newest first."""
        query = {"instance_uuid": server_id, "migration_type": "evacuation"}
        return tuple(
            move
            for move in self._migrations(query)
            if move.type == "evacuation" and move.server == server_id
        )

    def read_moves(self, host: str) -> tuple[Migration, ...]:
        """All unfinished live migrations, migrations and resizes from or to this host."""
        return tuple(
            move
            for move in self._migrations({"host": host})
            if move.type != "evacuation"
            and move.raw_status not in shapes.ENDED_MOVES
            and host in (move.source, move.destination)
        )

    def _migrations(self, query: Mapping[str, str]) -> list[Migration]:
        """Newest first; below 2.59 Nova sends all in one page, oldest first."""
        api = self._api()
        if api.read_version >= PAGED_MIGRATIONS:
            records = api.read.pages(
                "/os-migrations", "migrations", query, id_key="uuid", links_tell=True
            )
        else:
            records = api.read.page("/os-migrations", "migrations", query)
        with api.endpoint.understood():
            moves = [shapes.parse_migration(record) for record in records]
        return sorted(moves, key=lambda move: (move.created_at, move.id), reverse=True)

    def read_actions(self, server_id: str) -> tuple[InstanceAction, ...]:
        """The action log of one server, newest first."""
        api = self._api()
        path = f"{_server_path(server_id)}/os-instance-actions"
        records = api.read.page(path, "instanceActions")
        with api.endpoint.understood():
            actions = [shapes.parse_action(record) for record in records]
        return tuple(sorted(actions, key=lambda action: action.start_time, reverse=True))

    def read_guest(self, server_id: str) -> Guest:
        """Whether the guest executes, by the word of its hypervisor.

        For diagnostics nova-compute asks the hypervisor, past every cache and table, and answers
        409 when the guest does not run (nova/compute/manager.py ``get_instance_diagnostics``; the
        state that the message names is the table's, not the hypervisor's).
        """
        api = self._api()
        answer = api.read.ask(f"{_server_path(server_id)}/diagnostics")
        if answer.status == HTTPStatus.CONFLICT and "power state" in answer.words:
            return Guest.NOT_RUNNING
        api.read.checked(answer)
        return Guest.RUNNING

    def read_groups(self) -> tuple[ServerGroup, ...]:
        """All server groups of all projects; this list pages by offset."""
        api = self._api()
        found: dict[str, ServerGroup] = {}
        query = {"all_projects": "True", "limit": str(GROUPS_PAGE), "offset": "0"}
        while records := api.read.page("/os-server-groups", "server_groups", query):
            with api.endpoint.understood():
                page = {group.id: group for group in map(shapes.parse_group, records)}
                if page.keys() <= found.keys():
                    raise shapes.ShapeError("the next page of server_groups is the same again")
            found |= page
            query["offset"] = str(int(query["offset"]) + len(records))
        return tuple(found.values())

    def read_aggregates(self) -> tuple[Aggregate, ...]:
        """All host aggregates."""
        api = self._api()
        records = api.read.page("/os-aggregates", "aggregates")
        with api.endpoint.understood():
            return tuple(shapes.parse_aggregate(record) for record in records)

    def disable(
        self, service: ComputeService, *, reason: str, timeout_s: float = DISABLE_LIMIT_S
    ) -> RequestOutcome:
        """Stop new servers going to the host; at most ``timeout_s`` for the answer.

        On a dead host that Nova calls up the answer takes 60 s, but the database is written
        first (facts A.2): ``Uncertain`` then, and the service is to be read back.
        """
        return self._put_service(service, _disabling(reason), limit_s=timeout_s)

    def enable(self, service: ComputeService) -> RequestOutcome:
        """Let the scheduler use the host again; Nova forgets the reason."""
        return self._put_service(service, {"status": "enabled"})

    def force_down(
        self,
        service: ComputeService,
        evidence: FenceEvidence,  # noqa: ARG002 - the proof without which nobody gets here (L2)
        *,
        disable_reason: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """Tell Nova that the host is down; with a reason, disable it in the same PUT."""
        disabling = {} if disable_reason is None else _disabling(disable_reason)
        body = {"forced_down": True, **disabling}
        return self._put_service(service, body, may_send=may_send)

    def force_up(self, service: ComputeService) -> RequestOutcome:
        """Take the force-down away. Refused (400) while ``done`` evacuations remain."""
        return self._put_service(service, {"forced_down": False})

    def evacuate(
        self,
        server_id: str,
        evidence: FenceEvidence,  # noqa: ARG002 - the proof without which nobody gets here (L2)
        *,
        target: str | None,
        may_send: Callable[[], bool],
    ) -> RequestOutcome:
        """Ask for one evacuation, once. A target is checked by the scheduler: never ``force``."""
        body = {"evacuate": {} if target is None else {"host": target}}
        return self._act(server_id, body, may_send=may_send)

    def start(self, server_id: str, *, may_send: Callable[[], bool]) -> RequestOutcome:
        """Start a stopped server where it is, once."""
        return self._act(server_id, {"os-start": None}, may_send=may_send)

    def hard_reboot(self, server_id: str, *, may_send: Callable[[], bool]) -> RequestOutcome:
        """Start the guest anew where it is, once."""
        return self._act(server_id, {"reboot": {"type": "HARD"}}, may_send=may_send)

    def _act(
        self, server_id: str, body: Mapping[str, object], *, may_send: Callable[[], bool]
    ) -> RequestOutcome:
        return self._write("POST", f"{_server_path(server_id)}/action", body, may_send=may_send)

    def _put_service(
        self,
        service: ComputeService,
        body: Mapping[str, object],
        *,
        limit_s: float | None = None,
        may_send: Callable[[], bool] | None = None,
    ) -> RequestOutcome:
        if not service.known:
            return NotSent(why=f"the cell of {service.host} is down: Nova shows no id to write to")
        path = f"/os-services/{service.id}"
        return self._write("PUT", path, body, limit_s=limit_s, may_send=may_send)

    def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        *,
        limit_s: float | None = None,
        may_send: Callable[[], bool] | None = None,
    ) -> RequestOutcome:
        try:
            api = self._api()
        except HacliError as error:
            return NotSent(why=str(error))
        return api.write.send(method, path, body, limit_s=limit_s, may_send=may_send)

    def _api(self) -> NovaApi:
        """Nova, found once. Threads that waited while another tried share its failure."""
        tries = self._tries
        with self._lock:
            if self._found is None:
                if self._tries != tries and self._last_error is not None:
                    raise self._last_error
                self._tries += 1
                self._found = self._find()
            return self._found

    def _find(self) -> NovaApi:
        try:
            return find_nova(
                self._connect(),
                read_limit_s=self._read_limit_s,
                write_limit_s=self._write_limit_s,
            )
        except HacliError as error:
            self._last_error = error
            raise


def _why_not_admin(api: NovaApi, roles: tuple[str, ...]) -> str | None:
    answer = api.read.ask("/os-services")
    if answer.status == HTTPStatus.FORBIDDEN:
        return f"Nova refuses the list of services ({answer.words})"
    api.read.checked(answer)
    if "admin" not in (role.lower() for role in roles):
        return f"the login has not the role admin (it has: {', '.join(roles) or 'none'})"
    return None


def _search(api: NovaApi, name: str) -> tuple[shapes.Json, ...]:
    query = {"hypervisor_hostname_pattern": name, "with_servers": "true"}
    answer = api.capacity.ask("/os-hypervisors/detail", query)
    if answer.status == HTTPStatus.NOT_FOUND:
        return ()
    body = api.capacity.checked(answer).body
    with api.endpoint.understood():
        return shapes.parse_list(body, "hypervisors")


def _of_host(api: NovaApi, host: str, records: tuple[shapes.Json, ...]) -> list[shapes.Json]:
    with api.endpoint.understood():
        return [record for record in records if shapes.hypervisor_host(record) == host]


def _hypervisor(api: NovaApi, listed: shapes.Json) -> shapes.Json:
    with api.endpoint.understood():
        path = f"/os-hypervisors/{shapes.parse_id(listed, 'id')}"
    answer = api.capacity.get(path, {"with_servers": "true"})
    with api.endpoint.understood():
        return shapes.parse_one(answer.body, "hypervisor")


def _server_path(server_id: str) -> str:
    return f"/servers/{quote(server_id, safe='')}"


def _disabling(reason: str) -> dict[str, object]:
    # an empty reason is refused by Nova's schema (1 to 255 characters)
    why = {"disabled_reason": reason[:REASON_LENGTH]} if reason else {}
    return {"status": "disabled", **why}
