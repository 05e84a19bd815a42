"""Every error of hacli.

HacliError
├── SourceError            one outside system, at one call (adapters raise only these)
│   ├── Unreachable        no usable answer in time; for a read only: nothing is known
│   ├── Unreadable         it answered, and the answer cannot be understood
│   └── NotPermitted       it refuses the caller
├── Failed                 a step failed after something may have been changed
├── UsageError             wrong words on the command line; nothing was done
├── Refused                a safety check says no; nothing was changed
├── NotFenced              death is not proven; no server was touched
├── Unavailable            a source a command cannot do without did not answer
├── Misconfigured          the configuration is missing or wrong
├── Busy                   another run works on this host
├── Declined               the operator answered no
├── DeadlinePassed         --timeout, or a phase's own limit
└── Interrupted            Ctrl-C or SIGTERM

An error carries what the screen shows (``ux.md`` 4.6): what did not happen, why (observed), the
state things are in, what to do next, and a stable code that ``hacli explain`` knows.
"""

from collections.abc import Sequence


class HacliError(Exception):
    """Base of all errors that hacli raises on purpose.

    Args:
        what: One sentence: what did not happen.
        why: What was observed, with times and addresses; empty when ``what`` says it all.
        state: What has been changed, where the servers are, whether data is at risk.
        next_steps: Lines to read or commands to copy, most likely first.
        code: Stable problem code; the class' own when not given.
    """

    code = "FAILED"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        state: str = "Nothing was changed.",
        next_steps: Sequence[str] = (),
        code: str | None = None,
        host: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.state = state
        self.next_steps = tuple(next_steps)
        self.host = host
        if code is not None:
            self.code = code


class SourceError(HacliError):
    """One call to one outside system did not give a usable answer.

    Args:
        source: Who was asked, as the operator knows it ("Nova https://…", "BMC 192.0.2.13:623").
        why: What was observed.
    """

    code = "API_UNREACHABLE"

    def __init__(self, *, source: str, why: str) -> None:
        super().__init__(f"{source}: {why}", why=why)
        self.source = source


class Unreachable(SourceError):
    """No usable answer in time: nothing is known."""


class Unreadable(SourceError):
    """The answer cannot be understood: nothing is known."""

    code = "ANSWER_UNREADABLE"


class NotPermitted(SourceError):
    """The system refuses this caller."""

    code = "NOT_PERMITTED"


class Failed(HacliError):
    """A step failed; the state says what had been changed by then."""


class UsageError(HacliError):
    """Wrong words on the command line, or a question that could not be asked."""

    code = "USAGE"


class Refused(HacliError):
    """A safety check says no."""

    code = "REFUSED"


class NotFenced(HacliError):
    """Death is not proven, so no server was touched."""

    code = "NOT_FENCED"


class Unavailable(HacliError):
    """A source that the command cannot do without did not answer."""

    code = "API_UNREACHABLE"


class Misconfigured(HacliError):
    """The configuration is missing or wrong; the text names file, table and key."""

    code = "CONFIG"


class Busy(HacliError):
    """Another run works on this host."""

    code = "LOCKED"


class Declined(HacliError):
    """The operator answered no."""

    code = "DECLINED"


class DeadlinePassed(HacliError):
    """``--timeout`` or a limit of its own has passed."""

    code = "TIMEOUT"


class Interrupted(HacliError):
    """Ctrl-C (130) or SIGTERM (143); ``signal_number`` tells which."""

    code = "INTERRUPTED"

    def __init__(
        self, what: str, *, signal_number: int, state: str = "", next_steps: Sequence[str] = ()
    ) -> None:
        super().__init__(what, state=state, next_steps=next_steps)
        self.signal_number = signal_number
