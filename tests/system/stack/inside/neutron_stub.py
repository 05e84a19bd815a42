"""The part of Neutron that Nova needs: one network, and ports that are made, bound and deleted.

Everything is in memory and nobody's token is checked. Nova gives a port of its own to each
server that asks for the network, and binds it to the host it boots on or is evacuated to.

Usage: neutron_stub.py ADDRESS PORT
"""

import json
import re
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

Record = dict[str, object]

PROJECT = "service"
NETWORK_ID = "5e7c6b1a-0000-4000-8000-000000000001"
SUBNET_ID = "5e7c6b1a-0000-4000-8000-000000000002"
GROUP_ID = "5e7c6b1a-0000-4000-8000-000000000003"
IGNORED = {"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}


class Network:
    """The tables: what is listed under its name, by id."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._addresses = 10
        self._tables: dict[str, dict[str, Record]] = {
            "networks": {NETWORK_ID: _network()},
            "subnets": {SUBNET_ID: _subnet()},
            "security-groups": {GROUP_ID: _group()},
            "extensions": {"binding": {"alias": "binding", "name": "Port Binding"}},
            "ports": {},
            "floatingips": {},
            "agents": {},
        }

    def knows(self, table: str) -> bool:
        """Whether there is such a list."""
        return table in self._tables

    def find(self, table: str, query: dict[str, list[str]]) -> list[Record]:
        """Records whose fields have one of the values asked for."""
        asked = {key: values for key, values in query.items() if key not in IGNORED}
        with self._lock:
            records = list(self._tables[table].values())
        return [
            record
            for record in records
            if all(_text(record.get(key)) in values for key, values in asked.items())
        ]

    def read(self, table: str, key: str) -> Record | None:
        """One record."""
        with self._lock:
            return self._tables[table].get(key)

    def create_port(self, asked: Record) -> Record:
        """A port with an address of its own."""
        with self._lock:
            self._addresses += 1
            number = self._addresses
            project = asked.get("tenant_id") or asked.get("project_id") or PROJECT
            port: Record = {
                **_port(number),
                **asked,
                "id": str(uuid.uuid4()),
                "tenant_id": project,
                "project_id": project,
                "fixed_ips": [{"subnet_id": SUBNET_ID, "ip_address": _address(number)}],
            }
            self._tables["ports"][str(port["id"])] = _bound(port)
        return port

    def update_port(self, key: str, asked: Record) -> Record | None:
        """The port with these fields changed."""
        with self._lock:
            port = self._tables["ports"].get(key)
            if port is None:
                return None
            self._tables["ports"][key] = changed = _bound({**port, **asked})
        return changed

    def delete_port(self, key: str) -> bool:
        """Whether there was one."""
        with self._lock:
            return self._tables["ports"].pop(key, None) is not None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _address(number: int) -> str:
    return f"192.168.{number // 250}.{number % 250 + 1}"


def _bound(port: Record) -> Record:
    """With the state that follows from its host."""
    bound = bool(port.get("binding:host_id"))
    port["status"] = "ACTIVE" if bound else "DOWN"
    port["binding:vif_type"] = "ovs" if bound else "unbound"
    return port


def _port(number: int) -> Record:
    return {
        "name": "",
        "network_id": NETWORK_ID,
        "admin_state_up": True,
        "mac_address": f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}",
        "device_id": "",
        "device_owner": "",
        "security_groups": [],
        "binding:host_id": "",
        "binding:vnic_type": "normal",
        "binding:vif_details": {},
        "binding:profile": {},
    }


def _network() -> Record:
    return {
        "id": NETWORK_ID,
        "name": "net",
        "tenant_id": PROJECT,
        "project_id": PROJECT,
        "shared": True,
        "router:external": False,
        "status": "ACTIVE",
        "admin_state_up": True,
        "port_security_enabled": True,
        "mtu": 1500,
        "subnets": [SUBNET_ID],
    }


def _subnet() -> Record:
    return {
        "id": SUBNET_ID,
        "name": "subnet",
        "network_id": NETWORK_ID,
        "tenant_id": PROJECT,
        "project_id": PROJECT,
        "ip_version": 4,
        "cidr": "192.168.0.0/16",
        "gateway_ip": "192.168.255.254",
        "enable_dhcp": False,
        "dns_nameservers": [],
        "host_routes": [],
    }


def _group() -> Record:
    return {
        "id": GROUP_ID,
        "name": "default",
        "description": "",
        "tenant_id": PROJECT,
        "project_id": PROJECT,
        "security_group_rules": [],
    }


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of the tables."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    network = Network()

    def do_GET(self) -> None:
        """A list, or one record."""
        parts = urlsplit(self.path)
        path = parts.path.strip("/")
        if path in ("", "v2.0"):
            self._send(200, _versions(self.headers.get("Host", "")))
            return
        if re.fullmatch(r"v2\.0/quotas/[^/]+", path):
            self._send(200, {"quota": {"port": -1, "network": -1}})
            return
        table, _, key = path.removeprefix("v2.0/").removesuffix(".json").partition("/")
        if not self.network.knows(table):
            self._missing()
        elif key:
            found = self.network.read(table, key)
            self._send(200, {_singular(table): found}) if found else self._missing()
        else:
            name = table.replace("-", "_")
            self._send(200, {name: self.network.find(table, parse_qs(parts.query))})

    def do_POST(self) -> None:
        """A new port."""
        body = self._body()
        if urlsplit(self.path).path.strip("/") == "v2.0/ports" and "port" in body:
            self._send(201, {"port": self.network.create_port(body["port"])})
        else:
            self._missing()

    def do_PUT(self) -> None:
        """Changed fields of a port."""
        key, body = self._port_id(), self._body()
        changed = self.network.update_port(key, body.get("port", {})) if key else None
        self._send(200, {"port": changed}) if changed else self._missing()

    def do_DELETE(self) -> None:
        """No such port any more."""
        key = self._port_id()
        self._send(204, None) if key and self.network.delete_port(key) else self._missing()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing; a line per request would fill the log."""

    def _port_id(self) -> str | None:
        found = re.fullmatch(r"v2\.0/ports/([^/]+)", urlsplit(self.path).path.strip("/"))
        return found and found.group(1)

    def _body(self) -> dict[str, Record]:
        length = int(self.headers.get("Content-Length") or 0)
        body: dict[str, Record] = json.loads(self.rfile.read(length) or b"{}")
        return body

    def _missing(self) -> None:
        words = f"{self.command} {self.path} is not in the stub"
        self._send(404, {"NeutronError": {"type": "NotFound", "message": words, "detail": ""}})

    def _send(self, status: int, body: object) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _singular(table: str) -> str:
    return table.removesuffix("s").replace("-", "_")


def _versions(host: str) -> Record:
    links = [{"rel": "self", "href": f"http://{host}/v2.0/"}]
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]}


class Server(ThreadingHTTPServer):
    """One thread per connection."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    address, port = sys.argv[1:]
    Server((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
