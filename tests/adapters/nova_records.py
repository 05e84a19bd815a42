"""Records as Nova shows them, and the one server and service that the writes are about."""

from collections.abc import Callable
from typing import cast

from hacli.domain.evidence import FenceEvidence
from hacli.domain.servers import ComputeService, RequestOutcome
from hacli.ports import Compute
from tests.adapters.nova_server import (
    Answerer,
    Reply,
    Request,
    by_path,
    in_pages,
    recorded,
    records_of,
)

Record = dict[str, object]
SERVER_LIST = "servers-detail-host-compute-3-all_tenants-2.95"
EVIDENCE = cast("FenceEvidence", object())  # the adapter only passes it through
SERVER = "3dc0b5bb-8e44-4bd8-bea4-3b2ac8a8ed26"
SERVICE = ComputeService(
    id="768a42e9-a847-45b1-9b45-36411dd29bf2",
    host="compute-3",
    known=True,
    enabled=True,
    up=False,
    forced_down=False,
    disabled_reason=None,
    updated_at=None,
)


def yes(_: Request) -> Reply:
    """Nova takes whatever is asked, and shows no services."""
    return Reply(body={"services": []})


def evacuate(
    nova: Compute, *, target: str | None = None, may_send: Callable[[], bool] = lambda: True
) -> RequestOutcome:
    """Ask for the evacuation of the one server."""
    return nova.evacuate(SERVER, EVIDENCE, target=target, may_send=may_send)


def force_down(nova: Compute, *, reason: str | None) -> RequestOutcome:
    """Tell Nova that the host of ``service`` is down."""
    return nova.force_down(SERVICE, EVIDENCE, disable_reason=reason, may_send=lambda: True)


def service(host: str, **changed: object) -> Record:
    """One os-services record, up and enabled."""
    return {
        "binary": "nova-compute",
        "host": host,
        "id": f"id-of-{host}",
        "zone": "nova",
        "status": "enabled",
        "state": "up",
        "updated_at": "2026-11-22T05:24:10.000000",
        "disabled_reason": None,
        "forced_down": False,
        **changed,
    }


def server(number: int, host: str = "compute-3") -> Record:
    """One server record, like the recorded ones."""
    record = records_of(recorded(SERVER_LIST), "servers")[0]
    return record | {"id": f"server-{number}", "OS-EXT-SRV-ATTR:host": host}


def migration(number: int, **changed: object) -> Record:
    """One evacuation record from compute-3, the younger the higher its number."""
    return {
        "id": number,
        "uuid": f"uuid-{number}",
        "instance_uuid": "server-1",
        "status": "done",
        "migration_type": "evacuation",
        "source_compute": "compute-3",
        "dest_compute": "compute-1",
        "created_at": f"2026-11-22T05:{number // 60:02}:{number % 60:02}.000000",
        "updated_at": None,
        **changed,
    }


def hypervisor(host: str, *, name: str, servers: list[str]) -> Record:
    """One os-hypervisors record with its servers."""
    return {
        "id": f"id-of-{name}",
        "hypervisor_hostname": name,
        "service": {"id": f"service-of-{host}", "host": host},
        "servers": [{"name": "instance-1", "uuid": uuid} for uuid in servers],
    }


def host_with(*servers: Record, services: list[Record] | None = None) -> Answerer:
    """A Nova with these servers and, unless told otherwise, the service of compute-3."""
    shown = [service("compute-3")] if services is None else services
    return by_path(
        {
            "/os-services": Reply(body={"services": shown}),
            "/servers/detail": in_pages(list(servers), "servers"),
        }
    )
