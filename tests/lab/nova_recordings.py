"""What a real Nova answered, and how to compare the lab's answers with it."""

import json
import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "recordings" / "nova"
_NAMES = (
    (r"req-[0-9a-f-]{36}", "<request>"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r"\b[0-9a-f]{56}\b", "<host id>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?", "<time>"),
    (r"\br-[0-9a-z]{8}\b", "<reservation>"),
    (r"\binstance-[0-9a-f]{8}\b", "<instance>"),
)
_NUMBERS = frozenset({"id"})
_TEXTS = frozenset({"details", "traceback"})


def recording(name: str) -> dict[str, object]:
    """One recording by its file's name."""
    content = json.loads((_FOLDER / f"{name}.json").read_text())
    assert isinstance(content, dict)
    return content


def recordings(name: str) -> list[object]:
    """A recording that is a list."""
    content = json.loads((_FOLDER / f"{name}.json").read_text())
    assert isinstance(content, list)
    return content


def normal(value: object, key: str = "") -> object:
    """The value without what differs from run to run: ids, times, tracebacks, orders of hosts."""
    if isinstance(value, dict):
        return {name: normal(item, name) for name, item in value.items()}
    if isinstance(value, list):
        items = [normal(item) for item in value]
        return sorted(items, key=_host) if key in ("services", "hypervisors") else items
    if isinstance(value, str):
        return "<text>" if key in _TEXTS else _without_names(value)
    if isinstance(value, int) and key in _NUMBERS:
        return "<number>"
    return value


def _without_names(text: str) -> str:
    for pattern, name in _NAMES:
        text = re.sub(pattern, name, text)
    return text


def _host(item: object) -> str:
    assert isinstance(item, dict)
    return f"{item.get('binary')} {item.get('host')} {item.get('hypervisor_hostname')}"
