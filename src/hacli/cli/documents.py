"""What a command writes to stdout for programs: one document, or the last line of a stream."""

import json
from collections.abc import Mapping, Sequence

import click

from hacli.cli.app import App, Output
from hacli.cli.exits import ExitCode
from hacli.domain.event_codec import LINE_VERSION


def emit(
    app: App,
    schema: str,
    body: Mapping[str, object],
    *,
    code: ExitCode = ExitCode.OK,
    time: str | None = None,
    ok: bool | None = None,
) -> None:
    """Write the command's one document (``-o json``), or a stream of the one event that holds it.

    Args:
        schema: Its name without number, such as ``status``; the JSON Schema of this name fits it.
        ok: Whether the document says what was asked for; by default, whether the code is 0.
    """
    head = {
        "schema": f"hacli.{schema}/1",
        "time": time or now(),
        "ok": code is ExitCode.OK if ok is None else ok,
        "exit_code": int(code),
    }
    document = head | dict(body)
    app.result_shown = True
    if app.output is Output.JSONL:
        _emit_events(app, _ended(code, document), host=app.host, time=str(head["time"]))
    else:
        click.echo(json.dumps(document, indent=2))


def emit_error(app: App, error: Mapping[str, object], *, code: ExitCode, host: str | None) -> None:
    """The same for a command that has failed before it had anything to say."""
    if app.output is Output.JSONL:
        _emit_events(app, {"event": "error", **error}, _ended(code, {}), host=host, time=now())
    else:
        body = {"host": host, "run": app.run, "error": error}
        emit(app, app.command or "error", body, code=code)


def asked_for(arguments: Sequence[str]) -> Output:
    """The output format that the words ask for, when they were too wrong to be parsed."""
    for first, second in zip(arguments, [*arguments[1:], ""], strict=True):
        for output in Output:
            spelled = (f"-o{output.value}", f"--output={output.value}")
            if first in spelled or (first in ("-o", "--output") and second == output.value):
                return output
    return Output.TABLE


def now() -> str:
    """The time, for what is written when there is no world."""
    from hacli.wiring import utc_now

    return utc_now().isoformat().replace("+00:00", "Z")


def _ended(code: ExitCode, data: Mapping[str, object]) -> dict[str, object]:
    status = {ExitCode.OK: "ok", ExitCode.PARTIAL: "partial", ExitCode.REFUSED: "refused"}
    ended = {"event": "result", "status": status.get(code, "failed"), "exit_code": int(code)}
    return ended | {"took_s": None, "data": data}


def _emit_events(app: App, *events: Mapping[str, object], host: str | None, time: str) -> None:
    """A whole stream of a command that never had a journal, numbered as a journal would."""
    for seq, event in enumerate(events, start=1):
        place = {"v": LINE_VERSION, "time": time, "run": app.run, "op": app.command or None}
        click.echo(json.dumps(place | {"host": host, "seq": seq, **event}))
