"""The shortest way to ask a lab's services over real HTTP, one connection for each request."""

import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hacli.lab.running_lab import Lab


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, headers by lower-case name, and the JSON of the body (None for an empty one)."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class LabClient:
    """Asks as one user of a lab; logs in when the first token is needed."""

    lab: Lab
    user: str = "admin"
    project: str = "admin"
    token: str = field(default="", repr=False)

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        *,
        body: object = None,
        version: str = "2.94",
        token: str | None = None,
        limit_s: float = 10.0,
    ) -> Answer:
        """One request; raises what ``http.client`` raises when no whole answer comes."""
        headers = {
            "X-Auth-Token": self.logged_in() if token is None else token,
            "OpenStack-API-Version": f"compute {version}",
            "Content-Type": "application/json",
        }
        address = urlsplit(self.lab.http.urls[service])
        connection = http.client.HTTPConnection(address.netloc, timeout=limit_s)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=json.loads(content) if content else None,
        )

    def log_in(self, password: str = "labsecret") -> Answer:
        """A password login, scoped to the project."""
        domain = {"name": "Default"}
        login = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": self.user, "domain": domain, "password": password}},
            },
            "scope": {"project": {"name": self.project, "domain": domain}},
        }
        return self.ask("keystone", "POST", "/v3/auth/tokens", body={"auth": login}, token="")

    def logged_in(self) -> str:
        """The token, from a login if there is none yet."""
        if not self.token:
            self.token = self.log_in().headers["x-subject-token"]
        return self.token

    def evacuate(self, server: str, *, limit_s: float = 10.0) -> Answer:
        """Ask for the evacuation of a server."""
        path = f"/v2.1/servers/{server}/action"
        return self.ask("nova", "POST", path, body={"evacuate": {}}, limit_s=limit_s)

    def force_down(self, host: str) -> Answer:
        """Tell Nova that a host is down."""
        services = self.ask("nova", "GET", f"/v2.1/os-services?host={host}").body["services"]
        path = f"/v2.1/os-services/{services[0]['id']}"
        return self.ask("nova", "PUT", path, body={"forced_down": True})
