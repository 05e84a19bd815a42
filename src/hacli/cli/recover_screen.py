"""What `recover`, `evacuate` and `fence` show: the dry run, the question, and the end."""

from collections import defaultdict
from collections.abc import Iterator

from hacli.cli import start_screen
from hacli.cli.text import columns, duration, names, wrapped
from hacli.domain.evacuation import End, Plan, ServerRun, Skip
from hacli.domain.events import JsonValue
from hacli.service.evacuation import Evacuated
from hacli.service.recovery import Options, Prepared, Recovered, Verb
from hacli.service.run import counts

WIDTH = 80
DONE = {Verb.RECOVER: "RECOVERED", Verb.EVACUATE: "EVACUATED", Verb.FENCE: "FENCED"}


def dry_run_lines(prepared: Prepared, options: Options, *, command: str | None) -> Iterator[str]:
    """Names, checks and plan; then the command that does it, when the run would go ahead."""
    yield "DRY RUN: nothing is changed."
    yield ""
    yield from _name_lines(prepared)
    yield ""
    yield "Safety checks"
    rows = [
        ("ok" if gate.passed else "--" if gate.overridden else "NO", gate.name, gate.text)
        for gate in prepared.gates
    ]
    yield from columns(rows)
    yield ""
    if prepared.already:
        yield prepared.already + "."
        return
    if prepared.starts is not None:
        yield from start_screen.plan_lines(prepared.starts)
        yield from _skip_lines(prepared.starts.skips)
        if command:
            yield ""
            yield f"To do it:  {command}"
        return
    yield "Plan" if options.verb is Verb.FENCE else f"Plan for {_census(prepared.plan)}"
    yield from columns([(str(i + 1), *row) for i, row in enumerate(_steps(prepared, options))])
    yield from _skip_lines(prepared.plan.skips)
    if command:
        yield ""
        yield f"To do it:  {command}"


def _name_lines(prepared: Prepared) -> Iterator[str]:
    host = prepared.host
    node = f"Pacemaker node {host.node.name}" if host.node else "not known to Pacemaker"
    nova = f"Nova host {host.service.host}" if host.service else "not known to Nova"
    yield f"{host.name}   {node}, {nova}"
    if host.bmc is not None and prepared.starts is None:
        yield " " * (len(host.name) + 3) + f"{host.bmc.label} ({host.bmc.origin})"


def _census(plan: Plan) -> str:
    running = sum(run.was == "active" for run in plan.runs)
    stopped = sum(run.was == "stopped" for run in plan.runs)
    other = len(plan.runs) - running - stopped
    words = counts({"running": running, "stopped": stopped, "other": other})
    left = f"; {len(plan.skips)} left alone" if plan.skips else ""
    return f"{len(plan.runs)} VMs{f' ({words})' if words else ''}{left}"


def _steps(prepared: Prepared, options: Options) -> Iterator[tuple[str, str]]:
    host = prepared.host
    label = host.bmc.label if host.bmc else "Pacemaker's fence device"
    proof = f"read OFF twice from {label}, tell Pacemaker"
    if options.verb is Verb.FENCE:
        yield "fence", f"power off, {proof}"
        return
    yield "disable", f"no new VMs on {host.name}"
    off_already = options.verb is Verb.EVACUATE
    yield "fence", f"order off what is off, {proof}" if off_already else f"power off, {proof}"
    yield "force-down", "tell Nova that the host is down (saves 60 s of waiting)"
    yield "evacuate", f"{len(prepared.plan.runs)} VMs; stopped ones stay stopped"
    yield "verify", "each read back: new host, former power state"


def question_lines(prepared: Prepared, options: Options) -> Iterator[str]:
    """What the operator is about to do, before the name is typed."""
    name, passed = prepared.host.name, sum(gate.passed for gate in prepared.gates)
    if prepared.starts is not None:
        yield f"{name}: {start_screen.census(prepared.starts)}"
        yield start_screen.question_line(prepared, prepared.starts)
        yield from _skip_lines(prepared.starts.skips)
        return
    census = "" if options.verb is Verb.FENCE else f"{_census(prepared.plan)}, "
    yield f"{name}: {census}safety checks {passed}/{len(prepared.gates)} ok"
    for gate in prepared.gates:
        if gate.overridden:
            yield f"overridden by {gate.flag}: {gate.name}: {gate.text}"
    label = prepared.host.bmc.label if prepared.host.bmc else "Pacemaker"
    rebuild = f"rebuild {len(prepared.plan.runs)} VMs on other hosts"
    plan = {
        Verb.FENCE: f"Plan: POWER OFF through {label}.",
        Verb.EVACUATE: f"Plan: disable, prove it off through {label}, {rebuild}.",
        Verb.RECOVER: f"Plan: disable, POWER OFF through {label}, {rebuild}.",
    }
    yield from wrapped("", plan[options.verb], indent=0)
    yield from _skip_lines(prepared.plan.skips)
    yield from _loss_lines(prepared.plan, options)


def _loss_lines(plan: Plan, options: Options) -> Iterator[str]:
    """Law L6: what the flag lets Nova throw away is named before the question."""
    if options.wishes.local_disks.value != "image":
        return
    losing = [run.server.name for run in plan.runs if run.loses]
    if losing:
        text = f"--local-disks image: the disks of {names(losing)} are rebuilt from their images."
        yield from wrapped("", text, indent=0)


def _skip_lines(skips: tuple[Skip, ...]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for skip in skips:
        groups[skip.reason.value, skip.text].append(skip.server.name)
    if groups:
        yield "Left alone:"
    for (code, text), members in groups.items():
        yield from wrapped("  ", f"{names(members)}: {text}  [{code}]", indent=2)


def end_lines(result: Recovered) -> Iterator[str]:
    """The last screen of a run that was carried out."""
    if result.already:
        yield result.already + "."
        if result.in_place:
            return
        yield f"Next:   repair it, then   hacli enable {result.host}"
        return
    if result.verb is Verb.FENCE:
        yield f"FENCED {result.host}: {result.evidence}, in {duration(result.took_s)}"
        yield "Its VMs are down until they are rebuilt."
        yield f"Next:   hacli recover {result.host}"
        yield f"Undo:   hacli fence {result.host} --power-on"
        return
    yield from _good_end(result) if result.complete else _partial_end(result)


def _counts(evacuated: Evacuated) -> tuple[int, int]:
    return len(evacuated.verified), len(evacuated.ends) + len(evacuated.skips)


def _power_words(result: Recovered) -> str:
    if result.in_place:
        return f"{result.host} runs and is in service"
    if result.powered_on:
        return f"{result.host} was switched on again and is disabled"
    if result.evacuated.alive is not None:
        return f"{result.host} is disabled and shows signs of life: {result.evacuated.alive}"
    if result.evidence is None:
        return f"{result.host} is disabled; its power was not asked for"
    return f"{result.host} is powered off and disabled"


def _good_end(result: Recovered) -> Iterator[str]:
    good, total = _counts(result.evacuated)
    if result.in_place:
        yield from start_screen.good_end(result, good=good, total=total)
        return
    title = DONE[result.verb]
    yield f"{title} {result.host}: {good} of {total} VMs in {duration(result.took_s)}"
    yield from wrapped(
        "", f"{_power_words(result)}; it will get no VMs until you say so.", indent=0
    )
    yield f"Next:   repair it, then   hacli enable {result.host}"
    yield f"        for the ticket    hacli history show {result.run}"


def _partial_end(result: Recovered) -> Iterator[str]:
    good, total = _counts(result.evacuated)
    left = f"PARTLY {DONE[result.verb]} {result.host}: {good} of {total} VMs in "
    left += duration(result.took_s)
    if result.in_place:
        left = start_screen.end_title(result, good=good, total=total)
    right = "[PARTIAL_RECOVERY]"
    yield left.ljust(WIDTH - 1 - len(right)) + right
    for label, lines in _what(result):
        yield from wrapped(label, lines)
    state = f"{_power_words(result)}."
    state += f" The {good} other VMs are back and verified." if good else ""
    yield from wrapped("State", state)
    for number, step in enumerate(_next_steps(result)):
        yield f"{'Next' if number == 0 else '':7}{step}"
    yield f"More   hacli history show {result.run}"


def _what(result: Recovered) -> Iterator[tuple[str, str]]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for end in result.evacuated.failed:
        groups[end.end.value, end.text].append(end.server.name)
    for skip in result.evacuated.skips:
        groups[skip.reason.value, f"left alone: {skip.text}"].append(skip.server.name)
    if result.evacuated.unsure:
        yield "What", f"{result.evacuated.unsure}  [SERVERS_UNSURE]"
    for number, ((code, text), members) in enumerate(groups.items()):
        yield "What" if number == 0 else "", f"{names(members)}: {text}  [{code}]"


def _next_steps(result: Recovered) -> Iterator[str]:
    ends = {end.end for end in result.evacuated.failed}
    reasons = {skip.reason.value for skip in result.evacuated.skips}
    name = result.host
    if result.in_place:
        yield f"look at those, then   hacli recover {name}   (asks for no VM twice)"
        return
    if ends:
        yield f"mend that, then   hacli recover {name}   (asks only for what is left)"
    if End.STUCK in ends:
        yield "                  hacli explain VM_STUCK"
    if "LOCAL_DISK" in reasons:
        yield f"repair it, then   hacli enable {name}   (local disks are intact)"
        yield f"or lose the data: hacli recover {name} --local-disks image"
    elif not ends:
        yield f"repair it, then   hacli enable {name}"


def counts_of(result: Recovered) -> dict[str, JsonValue]:
    """What the last event of the run says of its servers."""
    good, total = _counts(result.evacuated)
    failed, skipped = len(result.evacuated.failed), len(result.evacuated.skips)
    return {"recovered": good, "failed": failed, "skipped": skipped, "servers": total}


def result_document(result: Recovered) -> dict[str, object]:
    """The end of a run as JSON."""
    good, total = _counts(result.evacuated)
    return {
        "host": result.host,
        "run": result.run,
        "already": result.already,
        "evidence": result.evidence,
        "took_s": round(result.took_s, 3),
        "powered_on": result.powered_on,
        "in_place": result.in_place,
        "alive": result.evacuated.alive,
        "recovered": good,
        "servers_total": total,
        "servers": [
            {
                "id": end.server.id,
                "name": end.server.name,
                "status": "verified" if end.end is End.VERIFIED else "failed",
                "code": None if end.end is End.VERIFIED else end.end.value,
                "text": end.text,
            }
            for end in result.evacuated.ends
        ]
        + [
            {
                "id": skip.server.id,
                "name": skip.server.name,
                "status": "skipped",
                "code": skip.reason.value,
                "text": skip.text,
            }
            for skip in result.evacuated.skips
        ],
    }


def plan_document(prepared: Prepared, options: Options) -> dict[str, object]:
    """A dry run as JSON."""
    starts, skips = prepared.starts, prepared.plan.skips
    steps, servers = _steps(prepared, options), [_run_document(r) for r in prepared.plan.runs]
    if starts is not None:
        skips, steps = starts.skips, iter((("start", start_screen.STEP),))
        servers = [start_screen.start_document(start) for start in starts.starts]
    return {
        "dry_run": True,
        "host": prepared.host.name,
        "already": prepared.already,
        "in_place": starts is not None,
        "gates": [
            {
                "gate": gate.name,
                "passed": gate.passed,
                "overridden": gate.overridden,
                "text": gate.text,
                "code": gate.code,
                "flag": gate.flag,
            }
            for gate in prepared.gates
        ],
        "steps": [{"step": step, "text": text} for step, text in steps],
        "servers": servers,
        "left_alone": [
            {"id": s.server.id, "name": s.server.name, "code": s.reason.value, "text": s.text}
            for s in skips
        ],
    }


def _run_document(run: ServerRun) -> dict[str, object]:
    return {"id": run.server.id, "name": run.server.name, "was": run.was}
