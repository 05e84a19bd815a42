"""Nova's JSON to domain values. Pure; a missing or odd key is an error, never a default.

Field names and their oddities: the Compute API at microversions 2.53 to 2.96.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from hacli.domain.servers import (
    Aggregate,
    ComputeService,
    Hypervisor,
    InstanceAction,
    Migration,
    MigrationStatus,
    Server,
    ServerGroup,
    ServiceList,
)

Json = Mapping[str, object]
Version = tuple[int, int]

HOST: Final = "OS-EXT-SRV-ATTR:host"
ENDED_MOVES: Final = frozenset(
    {"completed", "confirmed", "reverted", "cancelled", "done", "error", "failed"}
)
"""States in which a live migration, migration or resize is over. Any other word: it is not."""


class ShapeError(ValueError):
    """The JSON is not what the API promises; the text says where."""


def parse_versions(body: object) -> tuple[Version, Version]:
    """Lowest and highest microversion of API v2.1, from its own or the root's version document.

    Raises:
        ShapeError: Neither document, or an API without microversions.
    """
    document = _mapping(body, "the version document")
    listed = document.get("versions", [document.get("version")])
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, Mapping) and entry.get("id") == "v2.1":
            return _version(_text(entry, "min_version")), _version(_text(entry, "version"))
    raise ShapeError("no API v2.1 among its versions")


def parse_fault(body: object) -> str | None:
    """Nova's own words in an error answer; None when there are none (facts A.10: HTML pages)."""
    for fault in body.values() if isinstance(body, Mapping) else ():
        message = fault.get("message") if isinstance(fault, Mapping) else None
        if isinstance(message, str) and message:
            return message
    return None


def parse_date(header: str | None) -> datetime | None:
    """The API's own clock at the answer; None where it sends no Date, as a bare uwsgi does.

    Raises:
        ShapeError: A Date header that cannot be read.
    """
    if header is None:
        return None
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except ValueError as error:
        raise ShapeError(f"no usable Date header: {header!r}") from error


def parse_services(body: object, *, date: datetime | None) -> ServiceList:
    """All services; those of a cell that is down have only binary, host and status (2.69)."""
    return ServiceList(
        services=parse_compute_services(body),
        date=date,
        schedulers_up=_count_up(body, "nova-scheduler"),
        conductors_up=_count_up(body, "nova-conductor"),
    )


def parse_compute_services(body: object) -> tuple[ComputeService, ...]:
    """The nova-compute services alone."""
    return tuple(_service(record) for record in _of_binary(body, "nova-compute"))


def _count_up(body: object, binary: str) -> int:
    return sum(record.get("state") == "up" for record in _of_binary(body, binary))


def _of_binary(body: object, binary: str) -> tuple[Json, ...]:
    return tuple(r for r in parse_list(body, "services") if _text(r, "binary") == binary)


def _service(record: Json) -> ComputeService:
    host = _text(record, "host")
    if _text(record, "status") == "UNKNOWN":
        return ComputeService(
            id="", host=host, known=False, enabled=False, up=False, forced_down=False,
            disabled_reason=None, updated_at=None,
        )  # fmt: skip
    return ComputeService(
        id=_text(record, "id"),
        host=host,
        known=True,
        enabled=_one_of(record, "status", yes="enabled", no="disabled"),
        up=_one_of(record, "state", yes="up", no="down"),
        forced_down=_flag(record, "forced_down"),
        disabled_reason=_text_or_none(record, "disabled_reason"),
        updated_at=_time_or_none(record, "updated_at"),
        zone=_text(record, "zone"),
    )


def is_partial(record: Json) -> bool:
    """A server of a cell that is down: id, project and times, and nothing to decide on (2.69)."""
    return record.get("status") == "UNKNOWN" and HOST not in record


def is_gone(record: Json) -> bool:
    """A server that was deleted, which lists of changes show, or one of a cell that is down."""
    return record.get("status") == "DELETED" or is_partial(record)


def host_of(record: Json) -> str | None:
    """The Nova host a server record names; None for one that has none yet.

    Raises:
        ShapeError: It does not say: the caller may not see hosts.
    """
    return _text_or_none(record, HOST)


def parse_server(record: Json) -> Server:
    """One server as an administrator sees it (detail, 2.53 or later)."""
    flavor = _mapping(_key(record, "flavor"), "flavor")
    fault = record.get("fault")  # only in ERROR
    return Server(
        id=_text(record, "id"),
        name=_text(record, "name"),
        host=host_of(record) or "",
        status=_text(record, "status"),
        vm_state=_text(record, "OS-EXT-STS:vm_state"),
        task_state=_text_or_none(record, "OS-EXT-STS:task_state"),
        power_state=_number(record, "OS-EXT-STS:power_state"),
        image=_image(_key(record, "image")),
        volumes=tuple(
            _text(volume, "id")
            for volume in parse_list(record, "os-extended-volumes:volumes_attached")
        ),
        ephemeral_gb=_number(flavor, "ephemeral"),
        swap_mb=_number(flavor, "swap"),
        vcpus=_number(flavor, "vcpus"),
        ram_mb=_number(flavor, "ram"),
        locked=_flag(record, "locked"),
        launched_at=_time_or_none(record, "OS-SRV-USG:launched_at"),
        project=_text(record, "tenant_id"),
        fault=_text_or_none(fault, "message") if isinstance(fault, Mapping) else None,
        availability_zone=_text_or_none(record, "OS-EXT-AZ:availability_zone") or "",
        pinned_zone=_optional_text(record, "pinned_availability_zone"),  # 2.96
        updated_at=_time_or_none(record, "updated"),
        vtpm=_wants_vtpm(flavor),
        metadata=_metadata(_key(record, "metadata")),
    )


def _image(value: object) -> str | None:
    if value == "":
        return None  # boots from a volume
    return _text(_mapping(value, "image"), "id")


def _wants_vtpm(flavor: Json) -> bool | None:
    """Extra specs are in the flavor by policy (2.47); these two ask for a virtual TPM."""
    specs = flavor.get("extra_specs")
    if not isinstance(specs, Mapping):
        return None
    return "hw:tpm_version" in specs or "hw:tpm_model" in specs


def _metadata(value: object) -> Mapping[str, str]:
    return {key: str(word) for key, word in _mapping(value, "metadata").items()}


def parse_migration(record: Json) -> Migration:
    """One migration record of any type; ``uuid`` is empty below 2.59."""
    raw_status = _text(record, "status")
    return Migration(
        id=_number(record, "id"),
        uuid=_optional_text(record, "uuid") or "",
        server=_text(record, "instance_uuid"),
        type=_text(record, "migration_type"),
        status=_status(raw_status),
        raw_status=raw_status,
        source=_text(record, "source_compute"),
        destination=_text_or_none(record, "dest_compute"),
        created_at=_time(record, "created_at"),
        updated_at=_time_or_none(record, "updated_at"),
    )


def _status(word: str) -> MigrationStatus:
    try:
        return MigrationStatus(word)
    except ValueError:
        return MigrationStatus.OTHER


def parse_action(record: Json) -> InstanceAction:
    """One entry of a server's action log."""
    return InstanceAction(
        action=_text(record, "action"),
        request_id=_text(record, "request_id"),
        start_time=_time(record, "start_time"),
        message=_text_or_none(record, "message"),
        user=_text_or_none(record, "user_id"),
    )


def parse_group(record: Json) -> ServerGroup:
    """One server group: ``policy`` from 2.64, a list of ``policies`` before."""
    policies = record.get("policies")
    policy = policies[0] if isinstance(policies, list) and policies else record.get("policy")
    members = _key(record, "members")
    if not isinstance(policy, str) or not isinstance(members, list):
        raise ShapeError("a server group without policy or members")
    return ServerGroup(id=_text(record, "id"), policy=policy, members=tuple(map(str, members)))


def parse_aggregate(record: Json) -> Aggregate:
    """One host aggregate."""
    hosts = _key(record, "hosts")
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ShapeError("an aggregate without hosts")
    return Aggregate(name=_text(record, "name"), hosts=tuple(hosts))


def parse_hypervisor(record: Json) -> Hypervisor:
    """One hypervisor of the detail list; its figures are there up to 2.87."""
    return Hypervisor(
        host=hypervisor_host(record),
        hypervisor_hostname=_text(record, "hypervisor_hostname"),
        vcpus=_optional_number(record, "vcpus"),
        vcpus_used=_optional_number(record, "vcpus_used"),
        memory_mb=_optional_number(record, "memory_mb"),
        memory_mb_used=_optional_number(record, "memory_mb_used"),
        running_vms=_optional_number(record, "running_vms"),
    )


def hypervisor_host(record: Json) -> str:
    """The Nova host that a hypervisor record belongs to; its own name may differ (facts A.8)."""
    return _text(_mapping(_key(record, "service"), "service"), "host")


def hypervisor_servers(record: Json) -> tuple[str, ...]:
    """Ids of its servers; Nova leaves the key out below 2.75 when there are none."""
    return tuple(
        _text(server, "uuid") for server in parse_list({"servers": [], **record}, "servers")
    )


def parse_list(body: object, key: str) -> tuple[Json, ...]:
    """The list of objects under ``key``.

    Raises:
        ShapeError: There is none.
    """
    records = _key(_mapping(body, "the answer"), key)
    if not isinstance(records, list):
        raise ShapeError(f"{key} is not a list")
    return tuple(_mapping(record, f"an entry of {key}") for record in records)


def links_on(body: object, key: str) -> bool:
    """Whether the list under ``key`` says where it goes on. Raises as ``parse_list``."""
    return bool(_mapping(body, "the answer").get(f"{key}_links"))


def parse_one(body: object, key: str) -> Json:
    """The object under ``key``. Raises as ``parse_list``."""
    return _mapping(_key(_mapping(body, "the answer"), key), key)


def parse_id(record: Json, key: str) -> str:
    """The id by which the next page is asked for."""
    return _text(record, key)


def _mapping(value: object, what: str) -> Json:
    if not isinstance(value, Mapping):
        raise ShapeError(f"{what} is not a JSON object")
    return value


def _key(record: Json, key: str) -> object:
    if key not in record:
        raise ShapeError(f"{key} is missing")
    return record[key]


def _text(record: Json, key: str) -> str:
    value = _key(record, key)
    if not isinstance(value, str):
        raise ShapeError(f"{key} is not a text")
    return value


def _text_or_none(record: Json, key: str) -> str | None:
    return None if _key(record, key) is None else _text(record, key)


def _optional_text(record: Json, key: str) -> str | None:
    return None if record.get(key) is None else _text(record, key)


def _number(record: Json, key: str) -> int:
    value = _key(record, key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShapeError(f"{key} is not a whole number")
    return value


def _optional_number(record: Json, key: str) -> int | None:
    return None if record.get(key) is None else _number(record, key)


def _flag(record: Json, key: str) -> bool:
    value = _key(record, key)
    if not isinstance(value, bool):
        raise ShapeError(f"{key} is neither true nor false")
    return value


def _one_of(record: Json, key: str, *, yes: str, no: str) -> bool:
    word = _text(record, key)
    if word not in (yes, no):
        raise ShapeError(f"{key} is neither {yes} nor {no}")
    return word == yes


def _time(record: Json, key: str) -> datetime:
    """Nova's times are UTC, with or without saying so."""
    try:
        read = datetime.fromisoformat(_text(record, key))
    except ValueError as error:
        raise ShapeError(f"{key} is not a time") from error
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _time_or_none(record: Json, key: str) -> datetime | None:
    return None if _key(record, key) is None else _time(record, key)


def _version(text: str) -> Version:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise ShapeError(f"{text!r} is not a microversion")
    return int(major), int(minor)
