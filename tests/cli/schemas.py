"""The JSON Schemas that hacli ships, and documents held against them."""

import json
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.cli.console import Ended

Document = dict[str, Any]


def shipped() -> dict[str, Document]:
    """Every schema by the name of its file, without the extension."""
    folder = resources.files("hacli") / "schemas"
    return {
        file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }


SCHEMAS = shipped()
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def complaints(name: str, document: object) -> list[str]:
    """How the document breaks the schema of this name."""
    validator = Draft202012Validator(SCHEMAS[name], registry=REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def valid_document(ended: Ended) -> Document:
    """The one document of stdout, after it was held against the schema that it names."""
    name, _, number = str(ended.document["schema"]).removeprefix("hacli.").partition("/")
    assert number == "1"
    assert complaints(name, ended.document) == []
    assert ended.document["exit_code"] == ended.code
    return ended.document


def valid_stream(ended: Ended) -> list[Document]:
    """The events of stdout: each valid, none missing, the result last."""
    events = ended.events
    assert [problem for event in events for problem in complaints("event", event)] == []
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["event"] for event in events].count("result") == 1
    assert (events[-1]["event"], events[-1]["exit_code"]) == ("result", ended.code)
    return events
