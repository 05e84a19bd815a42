"""The chronicle of a story: one line for each thing that matters, without times and ids."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from hacli.domain.events import (
    Asked,
    Errored,
    Event,
    EvidenceTaken,
    GateChecked,
    Intent,
    PlanMade,
    ServerChanged,
    StepDone,
    Warned,
)

NAMES_SHOWN = 12
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RUN = re.compile(r"\br-[0-9a-f]{6}\b")
_MEASURED = (
    (re.compile(r"\b\d+\.\d+ ?s\b"), "… s"),
    (re.compile(r"\b\d+m\d\ds\b"), "… min"),
    (re.compile(r"\b\d+h\d\dm\b"), "… h"),
    (re.compile(r"WAITING: [\w-]+ is Starting"), "WAITING: a service is Starting"),
    (re.compile(r"\bof op on \S+, pid \d+"), "of op on …, pid …"),
    (re.compile(r"\bread \d+ times\b"), "read … times"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|\+00:00)?"), "…"),
)
"""What was measured is not compared; whole numbers are limits, which are."""
_TITLE = re.compile(r"(?<=^[A-Z])(.*?\S) {2,}(\[\w+\])$")
"""The first line of a screen; how far its code stands to the right depends on what was measured."""
_WHY = re.compile(r"^Why .*(?:\n {7}.*)*", re.MULTILINE)
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, kw_only=True)
class Line:
    """What happened, to whom by whom. Neighbours that differ in the names alone become one."""

    who: str
    text: str  # with {} where the names stand
    names: tuple[str, ...] = ()


def told(event: Event, names: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:  # noqa: C901, PLR0912 - one case for each event
    """An event as a line, None for what a reader does not miss."""
    match event:
        case GateChecked(gate=gate, passed=True, code=None):
            return "checks ok: {}", (gate,)
        case GateChecked(gate=gate, passed=passed, text=text):
            return f"check {'overridden' if passed else 'NO'}: {gate}: {_plain(text)}", ()
        case StepDone(step=step, status="skipped", text=text):
            return f"{{}} skipped: {_plain(text)}", (step,)
        case StepDone(step=step, status=status, text=text):
            return f"{step} {status}: {_plain(text)}", ()
        case EvidenceTaken(witness=witness):
            return f"death is proven by {witness}", ()
        case PlanMade(servers=servers):
            return "plan: {}", tuple(_planned(row) for row in servers) or ("nothing to ask for",)
        case Intent(server_name=name, target=target, attempt=attempt):
            again = f" (request {attempt})" if attempt > 1 else ""
            return f"asks for {{}}{f' on {target}' if target else ''}{again}", (name,)
        case Asked(server=server, outcome="accepted"):
            return "Nova accepts {}", (names.get(server, server),)
        case Asked(server=server, outcome=outcome, text=text):
            return f"{outcome} for {{}}: {_plain(text)}", (names.get(server, server),)
        case ServerChanged():
            return _changed(event)
        case Warned(code=code, text=text):
            return f"warning {code}: {_plain(text)}", ()
        case Errored(code=code):
            return f"error {code}", ()
        case _:
            return None


def is_of_one_server(event: Event) -> bool:
    """A step of a single server that went well."""
    match event:
        case Intent() | Asked(outcome="accepted"):
            return True
        case ServerChanged(status=status):
            return status in ("rebuilding", "verified")
        case _:
            return False


def _changed(event: ServerChanged) -> tuple[str, tuple[str, ...]] | None:
    text = _plain(event.text)
    match event.status:
        case "rebuilding" if event.to is None:
            return None
        case "rebuilding":
            return "rebuilding: {}", (f"{event.server_name} on {event.to}",)
        case "verified":
            return f"verified, {text.replace(f' on {event.to}', '')}: {{}}", (event.server_name,)
        case "skipped":
            return f"{{}} left alone [{event.code}]: {text}", (event.server_name,)
        case "failed":
            return f"{{}} FAILED [{event.code}]: {text}", (event.server_name,)
        case status:
            return f"{status}{f', {text}' if text else ''}: {{}}", (event.server_name,)


def _planned(row: Mapping[str, object]) -> str:
    return str(row["name"]) if row["was"] == "active" else f"{row['name']} ({row['was']})"


def _plain(text: str) -> str:
    return text.replace("{", "(").replace("}", ")")


def chronicle(lines: Iterable[Line], names: Mapping[str, str]) -> Iterator[str]:
    """The lines as text, with names in the place of ids."""
    runs: dict[str, str] = {}

    def number(run: re.Match[str]) -> str:
        return runs.setdefault(run[0], f"run-{len(runs) + 1}")

    for (who, text), members in groupby(lines, key=lambda line: (line.who, line.text)):
        listed = tuple(members)
        for line in listed if not listed[0].names else listed[:1]:
            every = [name for member in listed for name in member.names]
            full = text.format(listing(list(dict.fromkeys(every)))) if line.names else text
            full = _UUID.sub(lambda found: names.get(found[0], "ID"), full)
            full = _RUN.sub(number, full)
            for pattern, instead in _MEASURED:
                full = pattern.sub(instead, full)
            yield f"{who}{full}".rstrip()


def listing(names: Sequence[str]) -> str:
    """Names, with ``web-3 to web-7`` for a row of them, and a count where there are many."""
    rows = list(_rows(names))
    if len(rows) > NAMES_SHOWN:
        return f"{len(names)} servers"
    return ", ".join(rows)


def _rows(names: Sequence[str]) -> Iterator[str]:
    start = 0
    while start < len(names):
        end = start
        while end + 1 < len(names) and _follows(names[end], names[end + 1]):
            end += 1
        if end - start > 1:
            yield f"{names[start]} to {names[end]}"
        else:
            yield from names[start : end + 1]
        start = end + 1


def _follows(one: str, other: str) -> bool:
    first, second = _NUMBERED.fullmatch(one), _NUMBERED.fullmatch(other)
    return bool(first and second and first[1] == second[1] and int(second[2]) == int(first[2]) + 1)


def screen(out: str, err: str) -> Iterator[str]:
    """What the operator reads in the end: the result, and the error's lines from its title on."""
    lines = err.splitlines()
    titles = [number for number, line in enumerate(lines) if _TITLE.search(line)]
    error = lines[titles[-1] :] if titles else []
    for line in _WHY.sub(_unwrapped, "\n".join((*out.splitlines(), *error))).splitlines():
        yield _TITLE.sub(r"\1  \2", line)


def _unwrapped(why: re.Match[str]) -> str:
    """One line, for what it names may be of any length; the name of this machine is."""
    return re.sub(r"\n +", " ", why[0])
