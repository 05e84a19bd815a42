"""What a request to the lab's Nova is really about, told from the cloud's own tables."""

import re
from dataclasses import replace

from hacli.lab.cloud import Cloud
from hacli.lab.cloud_records import Migration, MigrationStatus
from hacli.lab.http_shapes import Request
from hacli.lab.request_log import Deed, Target

_UNFINISHED = frozenset({MigrationStatus.ACCEPTED, MigrationStatus.PRE_MIGRATING})


class NovaWitness:
    """Says whom each changing request means. Called before and after Nova handles it."""

    def __init__(self, cloud: Cloud) -> None:
        self._tables = cloud.tables

    def before(self, request: Request) -> Target | None:
        """The target as things stand; None when the request names nothing that exists."""
        path = re.sub(r"^v[0-9.]+/", "", request.path.strip("/"))
        body = request.body or {}
        if path.startswith("os-services/"):
            return self._service(path.partition("/")[2], body)
        found = re.match(r"servers/([^/]+)", path)
        server = self._tables.servers.get(found[1]) if found else None
        if server is None:
            return None
        shared = server.host in self._tables.shared_storage
        opened = self._open_of(server.id)
        return Target(
            deed=Deed.EVACUATE if "evacuate" in body else Deed.SERVER,
            host=server.host,
            server=server.id,
            local_disk=server.image is not None and not shared,
            open_evacuations=tuple(m.number for m in opened),
            stranded=tuple(m.number for m in opened if m.dest == server.host),
        )

    def after(self, target: Target) -> Target:
        """The target with the evacuation record that the request made, if it made one."""
        new = [
            move.number
            for move in self._open_of(target.server)
            if move.number not in target.open_evacuations
        ]
        return replace(target, migration=new[0] if new else None)

    def _service(self, which: str, body: dict[str, object]) -> Target | None:
        named = str(body.get("host", ""))  # below 2.53: os-services/force-down and others
        for service in self._tables.compute_services():
            if service.id == which or service.host == named:
                down = body.get("forced_down") is True
                deed = Deed.FORCE_DOWN if down else Deed.SERVICE
                return Target(deed=deed, host=service.host)
        return None

    def _open_of(self, server: str | None) -> list[Migration]:
        return [
            move
            for move in self._tables.migrations
            if move.server == server and move.type == "evacuation" and move.status in _UNFINISHED
        ]
