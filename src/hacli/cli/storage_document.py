"""What `verify-storage` says to programs: one JSON document, or one row for each server."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from hacli.domain.host_storage import Unknown
from hacli.domain.storage import Fate, Verdict, WayBack
from hacli.service.storage import HostVerdict, StorageCheck

HEAD = (
    "host", "server", "id", "verdict", "code", "at_risk", "reason", "way_back", "snapshot_at"
)  # fmt: skip
SOURCES = ("nova", "pacemaker", "cinder", "glance")


def rows_of(check: StorageCheck) -> Iterator[tuple[str, ...]]:
    """A head, and a row for each server; a host whose servers are not known has one, too."""
    yield HEAD
    for host in check.hosts:
        name = host.host.name
        if isinstance(host.verdicts, Unknown):
            why = host.verdicts.why
            yield (name, "", "", Fate.UNKNOWN.value, "STORAGE_UNVERIFIED", "no", why, "", "")
        at_risk = {verdict.server.id for verdict in host.at_risk}
        for verdict in host.listed:
            yield _row(name, verdict, at_risk=verdict.server.id in at_risk)


def _row(host: str, verdict: Verdict, *, at_risk: bool) -> tuple[str, ...]:
    back = verdict.back
    return (
        host,
        verdict.server.name,
        verdict.server.id,
        verdict.fate.value,
        verdict.code or "",
        "yes" if at_risk else "no",
        verdict.text,
        back.kind.value if back else "",
        _time(back.image.created_at) if back and back.image and back.image.snapshot_of else "",
    )


def check_document(check: StorageCheck) -> dict[str, object]:
    """The whole check as JSON (``ux.md`` 4.3)."""
    unlisted = any(isinstance(host.verdicts, Unknown) for host in check.hosts)
    listed = [verdict for host in check.hosts for verdict in host.listed]
    services = check.volume_services
    return {
        "summary": {
            "hosts": len(check.hosts),
            "servers": None if unlisted else len(listed),
            **_counts(listed),
            "at_risk": sum(len(host.at_risk) for host in check.hosts),
        },
        "hosts": [_host_document(host) for host in check.hosts],
        "volume_services": None
        if isinstance(services, Unknown)
        else [{"host": s.host, "up": s.up, "cluster": s.cluster} for s in services],
        "servers": [each for host in check.hosts for each in _servers_of(host, check.at)],
        "findings": [
            {"code": f.code, "hosts": list(f.hosts), "text": f.text, "cure": f.cure}
            for f in check.findings
        ],
        "sources": {
            name: {"ok": name not in check.silent, "unknown_because": check.silent.get(name)}
            for name in SOURCES
        }
        | {"probe": {"asked": check.probed, "silent": list(check.unprobed)}},
    }


def _counts(verdicts: list[Verdict]) -> dict[str, int]:
    counted = Counter(verdict.fate for verdict in verdicts)
    return {fate.value: counted[fate] for fate in Fate}


def _host_document(host: HostVerdict) -> dict[str, object]:
    unlisted = host.verdicts if isinstance(host.verdicts, Unknown) else None
    return {
        "host": host.host.name,
        "nova": host.service.host,
        "verdict": "at_risk" if host.at_risk else "unknown" if host.unknown else "ok",
        "disks": host.storage.keeps.value,
        "known_by": host.storage.known_by.lower(),
        "where": host.storage.text,
        "servers": None if unlisted else len(host.listed),
        "unknown_because": unlisted.why if unlisted else None,
        "at_risk": len(host.at_risk),
        **_counts(list(host.listed)),
    }


def _servers_of(host: HostVerdict, now: datetime) -> Iterator[dict[str, object]]:
    at_risk = {verdict.server.id for verdict in host.at_risk}
    for verdict in host.listed:
        yield {
            "id": verdict.server.id,
            "name": verdict.server.name,
            "host": host.host.name,
            "verdict": verdict.fate.value,
            "code": verdict.code,
            "at_risk": verdict.server.id in at_risk,
            "reason": verdict.text or None,
            "way_back": _back_document(verdict.back, now) if verdict.back else None,
        }


def _back_document(back: WayBack, now: datetime) -> dict[str, object]:
    image = back.image
    return {
        "kind": back.kind.value,
        "image": image.id if image else None,
        "name": image.name if image else None,
        "created_at": _time(image.created_at) if image else None,
        "age_s": (now - image.created_at).total_seconds() if image else None,
        "unknown_because": back.why or None,
    }


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
