"""What the lab's Pacemaker tools have in common: their words, and what they answer."""

import getopt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hacli.errors import UsageError

# Exit codes (include/crm/common/results.h)
OK, ERROR, USAGE, CONFIG = 0, 1, 64, 78
DISCONNECT, NO_SUCH, EXISTS, TIMEOUT = 102, 105, 108, 124


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool prints and how it ends."""

    code: int = OK
    stdout: str = ""
    stderr: str = ""


# An answer now, or a question to be asked again until there is one.
Reply = Answer | Callable[[], Answer | None]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One call of a tool: its name, its options by long name, and its standard input."""

    program: str
    options: Mapping[str, str]
    stdin: str
    request: str  # the command line as the tool repeats it in its XML

    def has(self, option: str) -> bool:
        """Whether the option is on the command line."""
        return option in self.options

    @property
    def wants_xml(self) -> bool:
        """``--output-as=xml``."""
        return self.options.get("output-as") == "xml"


def invocation(argv: tuple[str, ...], stdin: str, spec: Mapping[str, str]) -> Invocation:
    """Read a command line.

    Args:
        argv: The program's name and its words.
        stdin: What was piped in.
        spec: Short option (or any longer word, where there is none) to long option; a long one
            that takes a value ends in ``=``.

    Raises:
        UsageError: A word that the tool does not know.
    """
    short = {key: name for key, name in spec.items() if len(key) == 1}
    shorts = "".join(key + (":" if name.endswith("=") else "") for key, name in short.items())
    try:
        found, rest = getopt.gnu_getopt(list(argv[1:]), shorts, list(spec.values()))
    except getopt.GetoptError as error:
        raise UsageError(f"{argv[0]}: {error}") from error
    if rest:
        raise UsageError(f"{argv[0]}: unknown word {rest[0]}")
    options = {
        name[2:] if name.startswith("--") else short[name[1:]].rstrip("="): value
        for name, value in found
    }
    return Invocation(program=argv[0], options=options, stdin=stdin, request=" ".join(argv))
