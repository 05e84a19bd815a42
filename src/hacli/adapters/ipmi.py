"""IPMI 2.0 power switches, driven by pyghmi in a helper process."""

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from hacli.domain.power import Bmc, PowerState
from hacli.errors import NotPermitted, Unreachable

_SCRIPT = Path(__file__).with_name("ipmi_helper.py")
_GRACE_S = 5.0
_UNCERTAIN = "; the order may have been carried out"
# What pyghmi 1.6.19 says when it gives up on a BMC that does not answer.
_SILENCE = frozenset({"None", "timeout", "Session no longer connected"})
# The beginnings of what it says when the login or its privilege is refused
# (pyghmi.ipmi.private.constants: rmcp_codes, ipmi_completion_codes).
_REFUSALS = (
    "Incorrect password provided",
    "Unauthorized name",
    "Unauthorized role",
    "Invalid role",
    "Invalid integrity check value",
    "Insufficient privilege level",
    "Requested privilege level",
    "User is not allowed",
)


class HelperGone(Exception):
    """The helper process ended with this question open; the text says why, as far as known."""


@dataclass(frozen=True, kw_only=True)
class IpmiPower:
    """The power switch of one compute host, at its BMC.

    Args:
        bmc: Where it is and how to log in.
        helper: The process that talks to it, shared by all switches.
        timeout_s: Limit of one operation, from the moment at which it really starts: with more
            operations than the helper runs at once, the others wait for their turn.
    """

    bmc: Bmc
    helper: "IpmiHelper"
    timeout_s: float = 6.0

    def read_state(self) -> PowerState:
        """What the BMC reports right now.

        Raises:
            Unreachable: No usable answer. The host counts as running.
            NotPermitted: It refuses the login.
        """
        return PowerState(self._ask("read").state)

    def power_off(self) -> None:
        """Order an immediate hard power-off, also when the BMC already claims to be off.

        Raises:
            Unreachable: No usable answer; the order may have been carried out.
            NotPermitted: It refuses the login.
        """
        self._ask("off", if_silent=_UNCERTAIN)

    def power_on(self) -> None:
        """Order power on. Raises as ``power_off``."""
        self._ask("on", if_silent=_UNCERTAIN)

    def _ask(self, operation: str, *, if_silent: str = "") -> "Answer":
        try:
            answer = self.helper.ask(self.bmc, operation, timeout_s=self.timeout_s)
        except HelperGone as error:
            raise Unreachable(source=self.bmc.label, why=f"{error}{if_silent}") from None
        if answer.silent:
            why = f"no answer within {answer.seconds:.0f} s{if_silent}"
            raise Unreachable(source=self.bmc.label, why=why)
        if answer.refused:
            raise NotPermitted(source=self.bmc.label, why=f"it refuses us: {answer.failure}")
        if answer.failure is not None:
            raise Unreachable(source=self.bmc.label, why=answer.failure)
        return answer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one operation ended, as the helper process tells it."""

    seconds: float
    state: str | None = None
    failure: str | None = None
    expired: bool = False

    @property
    def silent(self) -> bool:
        """The BMC said nothing, or stopped in the middle."""
        return self.expired or self.failure in _SILENCE

    @property
    def refused(self) -> bool:
        """The BMC refuses the login or the privilege."""
        return self.failure is not None and self.failure.startswith(_REFUSALS)


class IpmiHelper:
    """Starts the helper process with the first question, and again when it has died.

    Any number of threads may ask. The process ends with this one, however this one ends.

    Args:
        limit: How many operations run at once.
    """

    def __init__(self, *, limit: int = 128) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._process: _HelperProcess | None = None

    def ask(self, bmc: Bmc, operation: str, *, timeout_s: float) -> Answer:
        """Have one operation (read, off, on) done.

        Raises:
            HelperGone: The process ended before it answered.
        """
        with self._lock:
            if self._process is None or self._process.ended:
                self._process = _HelperProcess(self._limit)
            process = self._process
        return process.ask(
            {
                "operation": operation,
                "address": bmc.address,
                "port": bmc.port,
                "user": bmc.user,
                "password": bmc.password,
            },
            timeout_s=timeout_s,
        )

    def close(self) -> None:
        """End the process and what it runs; open questions fail."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None


class _HelperProcess:
    """One life of the helper process; a thread hands its answers to those who wait."""

    def __init__(self, limit: int) -> None:
        self.ended = False
        self._why = "the IPMI helper process ended"
        self._waiting: dict[int, Future[Answer]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # of the above; never held while writing
        self._writing = threading.Lock()
        self._longest_s = 0.0
        self._heard_at = time.monotonic()
        # A session of its own, so that Ctrl-C reaches hacli alone; an empty environment, so that
        # it holds no secrets. PR_SET_PDEATHSIG would follow the *thread* that starts it: the end
        # of its input tells it that hacli is gone.
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_SCRIPT), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        self._requests = cast("IO[bytes]", self._process.stdin)  # both are pipes, as asked
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._reader = threading.Thread(target=self._read, name="ipmi-answers", daemon=True)
        self._reader.start()

    def ask(self, request: Mapping[str, object], *, timeout_s: float) -> Answer:
        """Send the request and wait for its answer.

        Raises:
            HelperGone: The process ended, or had to be ended because it told nothing at all.
        """
        answer: Future[Answer] = Future()
        with self._lock:
            if self.ended:
                raise HelperGone(self._why)
            number = next(self._numbers)
            self._waiting[number] = answer
            self._longest_s = max(self._longest_s, timeout_s)
        self._write({"id": number, "timeout_s": timeout_s, **request})
        while True:
            patience = self._longest_s + _GRACE_S
            try:
                return answer.result(timeout=patience)
            except TimeoutError:
                # However many wait for their turn, one that runs ends within this time.
                if time.monotonic() - self._heard_at >= patience:
                    self._why = "the IPMI helper process hangs"
                    self._process.kill()

    def close(self) -> None:
        """Let it end, and wait until it has."""
        self._end_requests()
        self._reader.join(timeout=_GRACE_S)
        self._process.kill()
        self._reader.join()

    def _write(self, document: Mapping[str, object]) -> None:
        try:
            with self._writing:
                self._requests.write(json.dumps(document).encode() + b"\n")
                self._requests.flush()
        except (BrokenPipeError, ValueError):
            return  # it has ended or is closed: the reader tells those who wait

    def _end_requests(self) -> None:
        with self._writing, contextlib.suppress(BrokenPipeError):
            self._requests.close()

    def _read(self) -> None:
        try:
            for line in self._answers:
                self._heard_at = time.monotonic()
                self._dispatch(json.loads(line))
        finally:
            self._process.kill()
            self._process.wait()
            self._end_requests()
            self._answers.close()
            with self._lock:
                self.ended = True
                waiting, self._waiting = self._waiting, {}
            for answer in waiting.values():
                answer.set_exception(HelperGone(self._why))

    def _dispatch(self, document: dict[str, Any]) -> None:
        number = document.pop("id", None)
        if number is None:
            self._why = document["failure"]
            return
        with self._lock:
            answer = self._waiting.pop(number)
        answer.set_result(Answer(**document))
