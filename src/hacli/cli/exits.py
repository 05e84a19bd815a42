"""Exit codes: one enum and one table from errors and outcomes to it (``ux.md`` 4.1)."""

from enum import IntEnum

from hacli import errors


class ExitCode(IntEnum):
    """What the shell sees. Scripts must take any other non-zero code as a failure."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    REFUSED = 4
    NOT_FENCED = 5
    UNAVAILABLE = 6
    MISCONFIGURED = 7
    NOT_PERMITTED = 8
    BUSY = 9
    DECLINED = 10
    TIMEOUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitCode, tuple[str, str]] = {
    ExitCode.OK: ("done; already done; state could be read", "as reported"),
    ExitCode.FAILED: ("failed; the message says at which step", "maybe, the message says"),
    ExitCode.USAGE: ("wrong usage, or a question could not be asked", "no"),
    ExitCode.PARTIAL: ("partial: not every VM came back; those are named", "yes"),
    ExitCode.REFUSED: ("refused by a safety check", "no"),
    ExitCode.NOT_FENCED: (
        "power off failed or not proven; nothing was evacuated",
        "the host may be disabled",
    ),
    ExitCode.UNAVAILABLE: ("a needed service did not answer", "no"),
    ExitCode.MISCONFIGURED: ("configuration missing or wrong", "no"),
    ExitCode.NOT_PERMITTED: ("not permitted (login, role, file or haclient group)", "no"),
    ExitCode.BUSY: ("busy: another run works on this host", "no"),
    ExitCode.DECLINED: ("you answered no", "no"),
    ExitCode.TIMEOUT: ("--timeout reached", "yes, the message says"),
    ExitCode.INTERRUPTED: ("Ctrl-C", "yes, resumable"),
    ExitCode.TERMINATED: ("SIGTERM", "yes, resumable"),
}

_BY_ERROR: tuple[tuple[type[errors.HacliError], ExitCode], ...] = (
    (errors.NotPermitted, ExitCode.NOT_PERMITTED),
    (errors.SourceError, ExitCode.UNAVAILABLE),
    (errors.Unavailable, ExitCode.UNAVAILABLE),
    (errors.UsageError, ExitCode.USAGE),
    (errors.Refused, ExitCode.REFUSED),
    (errors.NotFenced, ExitCode.NOT_FENCED),
    (errors.Misconfigured, ExitCode.MISCONFIGURED),
    (errors.Busy, ExitCode.BUSY),
    (errors.Declined, ExitCode.DECLINED),
    (errors.DeadlinePassed, ExitCode.TIMEOUT),
    (errors.Failed, ExitCode.FAILED),
)
_BY_SIGNAL = {2: ExitCode.INTERRUPTED, 15: ExitCode.TERMINATED, 14: ExitCode.TIMEOUT}
"""SIGINT, SIGTERM, and SIGALRM, which is ``--timeout``."""
PARTIAL_CODES = frozenset({"EVIDENCE_LOST"})
"""Failures after which the host is off and some servers are not back: partial, not failed."""


def exit_code_of(error: errors.HacliError) -> ExitCode:
    """The exit code of an error."""
    if isinstance(error, errors.Interrupted):
        return _BY_SIGNAL.get(error.signal_number, ExitCode.FAILED)
    if error.code in PARTIAL_CODES:
        return ExitCode.PARTIAL
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILED)
