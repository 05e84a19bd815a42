"""The lab's Nova API: a pure function from request to answer.

``NovaApi.handle`` finds the microversion, the route and the handler; what an answer holds is in
``nova_services``, ``nova_servers``, ``nova_evacuate``, ``nova_lists`` and ``nova_views``.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

from hacli.lab.api_faults import ApiEffect, spoil, unavailable
from hacli.lab.cloud import Cloud
from hacli.lab.cloud_records import stable_uuid
from hacli.lab.http_shapes import HttpRefusal, Request, Response
from hacli.lab.nova_actions import act_on_server
from hacli.lab.nova_call import Call, Json, Version, bad_request, not_found
from hacli.lab.nova_lists import (
    list_aggregates,
    list_flavors_detail,
    list_groups,
    list_hypervisors,
    list_hypervisors_detail,
    list_migrations,
    list_zones_detail,
    show_flavor,
    show_hypervisor,
)
from hacli.lab.nova_servers import (
    list_actions,
    list_servers,
    list_servers_detail,
    list_volume_attachments,
    set_metadata,
    show_action,
    show_diagnostics,
    show_server,
)
from hacli.lab.nova_services import list_services, update_service

_MINIMUM: Version = (2, 1)
Handler = Callable[..., Response]

_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "os-services", list_services),
    ("PUT", "os-services/([^/]+)", update_service),
    ("GET", "servers", list_servers),
    ("GET", "servers/detail", list_servers_detail),
    ("GET", "servers/([^/]+)", show_server),
    ("GET", "servers/([^/]+)/os-instance-actions", list_actions),
    ("GET", "servers/([^/]+)/os-instance-actions/([^/]+)", show_action),
    ("GET", "servers/([^/]+)/diagnostics", show_diagnostics),
    ("GET", "servers/([^/]+)/os-volume_attachments", list_volume_attachments),
    ("POST", "servers/([^/]+)/metadata", set_metadata),
    ("POST", "servers/([^/]+)/action", act_on_server),
    ("GET", "os-migrations", list_migrations),
    ("GET", "os-hypervisors", list_hypervisors),
    ("GET", "os-hypervisors/detail", list_hypervisors_detail),
    ("GET", "os-hypervisors/([^/]+)", show_hypervisor),
    ("GET", "os-aggregates", list_aggregates),
    ("GET", "os-server-groups", list_groups),
    ("GET", "os-availability-zone/detail", list_zones_detail),
    ("GET", "flavors/detail", list_flavors_detail),
    ("GET", "flavors/([^/]+)", show_flavor),
)


class NovaApi:
    """nova-api of one cloud.

    Args:
        base_url: Where the service is reached, without ``/v2.1``; for the links in answers.
    """

    def __init__(self, cloud: Cloud, *, base_url: str = "http://127.0.0.1:18774") -> None:
        self._cloud = cloud
        self._base_url = base_url
        self._requests = 0

    def handle(self, request: Request) -> Response:
        """Answer one request. The path is behind ``base_url``: ``/``, ``/v2.1/servers``…"""
        fault = self._cloud.api_faults.take(request)
        if fault and fault.effect is ApiEffect.UNAVAILABLE:
            return unavailable()
        response = self._answer(request)
        return spoil(response, fault) if fault else response

    def _answer(self, request: Request) -> Response:
        self._requests += 1
        request_id = f"req-{stable_uuid('request', str(self._requests))}"
        headers = {
            "x-openstack-request-id": request_id,
            "x-compute-request-id": request_id,
            # the time of the region, by which a client measures how old a heartbeat is
            "Date": formatdate(self._cloud.tables.now, usegmt=True),
        }
        path = request.path.strip("/")
        if path in ("", "v2.1"):
            return replace(self._versions(path), headers=headers)
        version: Version | None = None
        try:
            version = self._version(request)
            call = Call(
                cloud=self._cloud,
                request=request,
                version=version,
                request_id=request_id,
                base_url=self._base_url,
            )
            response = self._route(call, path.removeprefix("v2.1/"))
        except HttpRefusal as refusal:
            response = refusal.response
        asked = f"{version[0]}.{version[1]}" if version else _asked_version(request)
        return replace(
            response,
            headers=headers
            | {
                "OpenStack-API-Version": f"compute {asked}",
                "X-OpenStack-Nova-API-Version": asked,
                "Vary": "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
            },
        )

    def _route(self, call: Call, path: str) -> Response:
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == call.request.method:
                return handler(call, *found.groups())
        raise not_found("The resource could not be found.")

    def _version(self, request: Request) -> Version:
        """The microversion asked for.

        Raises:
            HttpRefusal: 400 for a word that is none, 406 beyond the configured maximum.
        """
        maximum = _parse_version(self._cloud.settings.max_microversion)
        asked = _asked_version(request)
        if asked == "latest":
            return maximum
        version = _parse_version(asked)
        if not _MINIMUM <= version <= maximum:
            raise HttpRefusal(
                406,
                "computeFault",
                f"Version {asked} is not supported by the API. Minimum is 2.1 and maximum is "
                f"{self._cloud.settings.max_microversion}.",
            )
        return version

    def _versions(self, path: str) -> Response:
        """Version discovery; it needs no token."""
        current = self._version_entry("v2.1", "CURRENT", self._cloud.settings.max_microversion)
        if path:
            media = {
                "base": "application/json",
                "type": "application/vnd.openstack.compute+json;version=2.1",
            }
            return Response(status=200, body={"version": {**current, "media-types": [media]}})
        old = self._version_entry("v2.0", "DEPRECATED", "")
        return Response(status=200, body={"versions": [old, current]})

    def _version_entry(self, name: str, status: str, maximum: str) -> Json:
        updated = {"v2.0": "2025-07-04T12:00:00Z", "v2.1": "2013-07-23T11:33:21Z"}[name]
        href = f"{self._base_url}/{'v2' if name == 'v2.0' else name}/"
        return {
            "id": name,
            "status": status,
            "version": maximum,
            "min_version": "2.1" if maximum else "",
            "updated": updated,
            "links": [{"rel": "self", "href": href}],
        }


def _asked_version(request: Request) -> str:
    """The microversion header's word; 2.1 when there is none."""
    service, _, word = request.headers.get("openstack-api-version", "").partition(" ")
    if service == "compute" and word:
        return word.strip()
    return request.headers.get("x-openstack-nova-api-version", "2.1").strip()


def _parse_version(text: str) -> Version:
    if not re.fullmatch(r"[1-9]\d*\.(0|[1-9]\d*)", text):
        raise bad_request(
            f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
        )
    major, _, minor = text.partition(".")
    return int(major), int(minor)
