"""Write what is made from the command tree: reference pages, man pages, completions.

``python -m scripts.generate_docs`` writes them; tests/cli/test_documents.py holds them in step.
"""
# ruff: noqa: INP001 - a script, run as a module from the root of the repository

import json
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import click

from hacli.cli.exits import MEANINGS
from hacli.cli.main import COMMANDS, hacli
from hacli.cli.options import GlobalOption
from hacli.cli.problems import PROBLEMS
from hacli.cli.setup import SHELLS, completion_script

ROOT = Path(__file__).resolve().parent.parent
COMPLETIONS = {"bash": "hacli.bash", "zsh": "_hacli", "fish": "hacli.fish"}
NOTE = "<!-- made by scripts/generate_docs.py -->\n\n"


@dataclass(frozen=True, kw_only=True)
class Page:
    """One command in parts. ``everywhere``: the options that every command has."""

    name: str
    usage: str
    sentence: str
    examples: tuple[str, ...]
    text: str
    own: tuple[tuple[str, str], ...]
    everywhere: tuple[tuple[str, str], ...]


def pages() -> dict[str, str]:
    """Every generated file by its path from the root of the repository."""
    root = page_of("hacli", hacli)
    commands = [page_of(f"hacli {name}", _command(name)) for name in COMMANDS]
    made = {
        "docs/reference/commands.md": _commands_page(root, commands),
        "docs/reference/exit-codes.md": _exit_codes_page(),
        "docs/reference/problems.md": _problems_page(),
        "docs/reference/json.md": _json_page(),
    }
    for page in (root, *commands):
        made[f"man/{page.name.replace(' ', '-')}.1"] = man_page(page, root)
    for shell in SHELLS:
        made[f"completions/{COMPLETIONS[shell]}"] = completion_script(shell) + "\n"
    return made


def page_of(name: str, command: click.Command) -> Page:
    """The parts of a command's help."""
    blocks = cleandoc(command.help or "").split("\n\n")
    examples = [block for block in blocks[1:] if block.startswith("\b")]
    rest = [" ".join(block.split()) for block in blocks[1:] if not block.startswith("\b")]
    options = [param for param in command.params if isinstance(param, click.Option)]
    words = [_argument(param) for param in command.params if isinstance(param, click.Argument)]
    own = tuple(_option(o) for o in options if not isinstance(o, GlobalOption))
    if isinstance(command, click.Group):
        own += tuple((sub, cleandoc(one.help or "")) for sub, one in _subcommands(command))
        words.append("COMMAND")
    return Page(
        name=name,
        usage=" ".join((name, "[OPTIONS]", *words)),
        sentence=" ".join(blocks[0].split()),
        examples=tuple(line.strip() for block in examples for line in block.splitlines()[1:]),
        text="\n\n".join(rest),
        own=tuple((left, " ".join(right.split("\n\n")[0].split())) for left, right in own),
        everywhere=tuple(_option(o) for o in options if isinstance(o, GlobalOption)),
    )


def _command(name: str) -> click.Command:
    command = hacli.get_command(click.Context(hacli), name)
    if command is None:
        raise LookupError(name)
    return command


def _subcommands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    if group is not hacli:
        yield from sorted(group.commands.items())


def _argument(param: click.Argument) -> str:
    if param.metavar:
        return param.metavar
    name = (param.name or "").upper()
    return name if param.required else f"[{name}]"


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join((*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return names, option.help or ""
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    value = option.metavar or "|".join(map(str, choices)) or option.type.name.upper()
    return f"{names} {value}", option.help or ""


def _commands_page(root: Page, commands: list[Page]) -> str:
    parts = [NOTE + "# Commands\n\nOptions may stand before or after the command.\n"]
    parts += [f"## {page.name}\n\n{_command_section(page)}" for page in commands]
    parts.append("## Options of every command\n\n" + _table(("option", "meaning"), root.everywhere))
    return "\n".join(parts)


def _command_section(page: Page) -> str:
    lines = [f"    {page.usage}", "", page.sentence, ""]
    lines += [f"    {example}" for example in page.examples]
    lines += ["", page.text] if page.text else []
    if page.own:
        lines.append("\n" + _table(("option", "meaning"), page.own))
    return "\n".join(lines).rstrip() + "\n"


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for first, *rest in rows:
        lines.append(" | ".join((f"`{_cell(first)}`", *map(_cell, rest))))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _exit_codes_page() -> str:
    rows = tuple((str(int(code)), *words) for code, words in MEANINGS.items())
    return (
        NOTE
        + "# Exit codes\n\nScripts must take any other non-zero code as a failure.\n\n"
        + _table(("code", "meaning", "has anything changed?"), rows)
    )


def _problems_page() -> str:
    parts = [NOTE + "# Problem codes\n\n`hacli explain CODE` says the same.\n"]
    for code, problem in sorted(PROBLEMS.items()):
        cures = "\n".join(f"* {cure}" for cure in problem.cures)
        parts.append(f"## {code}\n\n{problem.meaning}\n\n{cures}\n")
    return "\n".join(parts)


def _json_page() -> str:
    rows = []
    for file in sorted((ROOT / "src/hacli/schemas").glob("*.json")):
        title = json.loads(file.read_text(encoding="utf-8")).get("title", "")
        rows.append((f"{file.name}", title))
    return NOTE + JSON_TEXT + _table(("schema", "of"), tuple(rows))


JSON_TEXT = """# JSON

`-o json` writes exactly one document to stdout, also when the command fails. It names its schema
(`hacli.status/1`) and says `ok`, `exit_code` and `time`; a failure has `error` with `code`, `what`,
`why`, `state` and `next`. `-o jsonl` writes one event per line: `seq` has no gaps, and the last
event is always `result` with `exit_code`. The journal holds the same stream:
`hacli history show RUN -o jsonl`. A command without a journal writes its document as `data` of the
result.

Times are RFC 3339 UTC, durations seconds in `..._s`, unknown is `null`, often with
`unknown_because`. New keys and new values may come at any time; anything else raises the number
behind the slash. The JSON Schemas are installed with hacli, in `hacli/schemas/`:

"""


def man_page(page: Page, root: Page) -> str:
    """The command as man(7) source."""
    title = page.name.replace(" ", "-")
    lines = [f'.TH "{title.upper()}" 1 "" "hacli" "hacli"', ".SH NAME"]
    lines += [f"{title} \\- {_roff(page.sentence.rstrip('.'))}"]
    lines += [".SH SYNOPSIS", f".B {_roff(page.usage)}"]
    lines += [".SH EXAMPLES", ".nf", *map(_roff, page.examples), ".fi"]
    if page.text:
        lines += [".SH DESCRIPTION", _roff(page.text.replace("\n\n", "\n.PP\n"))]
    if page is root:
        lines += [".SH COMMANDS"]
        lines += _man_rows(tuple((name, entry[2]) for name, entry in COMMANDS.items()))
    lines += [".SH OPTIONS", *_man_rows(page.own), *_man_rows(page.everywhere)]
    lines += [".SH EXIT STATUS"]
    lines += _man_rows(tuple((str(int(code)), words[0]) for code, words in MEANINGS.items()))
    return "\n".join(lines) + "\n"


def _man_rows(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for left, right in rows for line in (".TP", f".B {_roff(left)}", _roff(right))]


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith(("'", ".")) else escaped


def main() -> None:
    """Write every file."""
    for path, text in pages().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
