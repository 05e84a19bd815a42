"""Pacemaker through its command-line tools: ask, parse, translate exit codes; nothing is decided.

Exit codes are ``include/crm/common/results.h`` (facts C.1); commands were tried on Pacemaker 2.1.5.
"""

import re
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Protocol

from hacli.adapters.pacemaker import claims
from hacli.adapters.pacemaker.cib import Cib, parse_membership, parse_node_state
from hacli.adapters.pacemaker.crm_mon import CrmMon
from hacli.adapters.pacemaker.view import join_view
from hacli.adapters.process import Completed, TimeLimitPassed
from hacli.domain.cluster import ClaimState, ClusterView, NodeState
from hacli.errors import (
    HacliError,
    NotPermitted,
    SourceError,
    Unreachable,
    Unreadable,
    UsageError,
)
from hacli.ports import FenceAnswer, FenceResult

NOT_PERMITTED = 4
NOT_CONNECTED = 102
NO_SUCH_OBJECT = 105
EXISTS = 108
TIMED_OUT = 124
FIRST_SIGNAL = 128
"""From here on the code tells of the client's end or of ssh's, not of the fencing."""

_FENCE_ANSWERS = {
    0: FenceAnswer.CONFIRMED,
    NO_SUCH_OBJECT: FenceAnswer.NO_DEVICE,
    TIMED_OUT: FenceAnswer.PENDING,
}


class Commands(Protocol):
    """What is needed of ``process.CommandRunner``; its promises hold."""

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run what may safely run twice."""
        ...

    def run_once(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """Run an order, through one prefix only."""
        ...

    @property
    def here(self) -> bool:
        """Whether the last command that worked ran on this machine, without a prefix."""
        ...


class Pacemaker:
    """The cluster behind ``commands``. Fits ``ports.Cluster``.

    Args:
        commands: Runs the tools where the cluster is.
        monotonic: ``Clock.monotonic``.
        timeout_s: Limit of every command but fencing and restart, in seconds.
    """

    def __init__(
        self, commands: Commands, *, monotonic: Callable[[], float], timeout_s: float
    ) -> None:
        self._commands = commands
        self._monotonic = monotonic
        self._timeout_s = timeout_s

    def read_view(self) -> ClusterView:
        """One crm_mon and one full CIB read, side by side.

        Raises:
            Unreachable: No cluster here (exit 102), a time-out, no prefix that works.
            Unreadable: An attribute we decide on is missing or has an unknown value.
            NotPermitted: Neither root nor in group haclient.
        """
        read_at = self._monotonic()
        crm_mon, cib = self._ask_together(
            ("crm_mon", "--one-shot", "--inactive", "--output-as=xml"), ("cibadmin", "--query")
        )
        return join_view(CrmMon(crm_mon), Cib(cib), read_at=read_at)

    def read_node_state(self, node: str, *, claim: str | None = None) -> NodeState:
        """One node's ``node_state`` and the quorum, side by side. Raises as ``read_view``.

        A node that the cluster has never seen has none: that is Unreadable, not "gone". A claim
        comes with the ``node_state``: its absence is believed, because that was not absent.
        """
        xpath = f"//node_state[@uname='{_safe(node)}']"
        if claim is not None:
            xpath += f" | {claims.xpath(_safe(claim))}"
        cib, state = self._ask_together(
            ("cibadmin", "--query", "--no-children"), ("cibadmin", "--query", "--xpath", xpath)
        )
        membership = parse_membership(cib)
        node_fenced, in_cluster = parse_node_state(state, node=node)
        return NodeState(
            node=node,
            node_fenced=node_fenced,
            in_cluster=in_cluster,
            with_quorum=membership.with_quorum,
            dc=membership.dc,
            claim=None if claim is None else claims.find(state, host=claim),
        )

    def read_own_node(self) -> str | None:
        """``crm_node --name``, where the tools run on this machine. Raises as ``read_view``."""
        if not self._commands.here:
            return None
        return self._ask("crm_node", "--name").strip() or None

    def read_claim(self, host: str) -> ClaimState:
        """The head of the CIB and the claim of a host, from one answer. Raises as ``read_view``."""
        xpath = f"/cib | {claims.xpath(_safe(host))}"
        answer = self._ask("cibadmin", "--query", "--no-children", "--xpath", xpath)
        membership = parse_membership(answer)
        return ClaimState(
            text=claims.find(answer, host=host),
            with_quorum=membership.with_quorum,
            dc=membership.dc,
        )

    def create_claim(self, host: str, text: str) -> bool:
        """``cibadmin --create``: True for exactly one of several at once (tried).

        In one order through one prefix: a second one would meet our own claim. Raises as
        ``read_view``; after a time-out the claim may have been made.
        """
        section = ("--scope", "crm_config", "--xml-text", claims.xml(_safe(host), text))
        return self._order_claim("--create", *section, refusal=EXISTS)

    def replace_claim(self, host: str, old: str, new: str) -> bool:
        """``cibadmin --replace --xpath``: a compare-and-swap (tried). Raises as ``create_claim``.

        Read back, like everything that this tool changes.
        """
        at = ("--xpath", claims.xpath(_safe(host), text=old))
        if not self._order_claim(
            "--replace", *at, "--xml-text", claims.pair(host, new), refusal=NO_SUCH_OBJECT
        ):
            return False
        return self.read_claim(host).text == new

    def delete_claim(self, host: str, text: str, *, timeout_s: float) -> str | None:
        """``cibadmin --delete --xpath`` of exactly this claim, read back. Raises as ``read_view``.

        The tool answers 0 also when nothing matched (tried), so what is there then is asked.

        Raises:
            Unreadable: Also when it is still there.
        """
        xpath = claims.xpath_of_set(_safe(host), text=text)
        self._order("cibadmin", "--delete", "--xpath", xpath, timeout_s=timeout_s)
        read = ("cibadmin", "--query", "--xpath", claims.xpath(host))
        answer = self._commands.run(read, timeout_s=timeout_s)
        if answer.exit_code == NO_SUCH_OBJECT:
            return None
        if answer.exit_code:
            raise _refusal(answer)
        found = claims.find(answer.stdout, host=host)
        if found == text:
            raise Unreadable(source="cibadmin", why="the claim was deleted, and the CIB has it")
        return found

    def _order_claim(self, *words: str, refusal: int) -> bool:
        completed = self._commands.run_once(("cibadmin", *words), timeout_s=self._timeout_s)
        if completed.exit_code == refusal:
            return False
        if completed.exit_code:
            raise _refusal(completed)
        return True

    def fence_off(self, node: str, *, timeout_s: float) -> FenceResult:
        """Order OFF and wait for its end, at most ``timeout_s``. Never ordered twice.

        The tool gets a second less, so that its own last word is heard.

        Raises:
            Unreachable: The order certainly did not reach the cluster.
        """
        argv = ("stonith_admin", "--fence", _safe(node), "--timeout", _seconds(timeout_s - 1))
        try:
            completed = self._commands.run_once(argv, timeout_s=timeout_s)
        except (TimeLimitPassed, Unreadable) as unheard:
            return FenceResult(answer=FenceAnswer.PENDING, exit_code=None, message=unheard.why)
        if completed.exit_code == NOT_CONNECTED:
            raise _refusal(completed)
        answer = _FENCE_ANSWERS.get(completed.exit_code, FenceAnswer.FAILED)
        if completed.exit_code < 0 or completed.exit_code >= FIRST_SIGNAL:
            answer = FenceAnswer.PENDING
        return FenceResult(
            answer=answer, exit_code=completed.exit_code, message=_last_words(completed)
        )

    def confirm_off(self, node: str) -> None:
        """Tell Pacemaker that the node is down (``--confirm``). Raises as ``read_view``."""
        self._order("stonith_admin", "--confirm", _safe(node), timeout_s=self._timeout_s)

    def write_attribute(self, node: str, name: str, value: str) -> None:
        """Set a permanent node attribute and read it back. Raises as ``read_view``.

        Raises:
            Unreadable: Also when the CIB does not have it afterwards.
        """
        self._ask(*_attribute(node, name), "--update", value)
        answer = self._run(*_attribute(node, name), "--query", "--quiet")
        if answer.exit_code or answer.stdout.strip() != value:
            raise _not_read_back(node, name, answer)

    def clear_attribute(self, node: str, name: str) -> None:
        """Remove a permanent attribute; fine when there is none. Raises as ``write_attribute``."""
        self._ask(*_attribute(node, name), "--delete")
        answer = self._run(*_attribute(node, name), "--query", "--quiet")
        if answer.exit_code != NO_SUCH_OBJECT:
            raise _not_read_back(node, name, answer)

    def restart_service(self, node: str, service: str, *, timeout_s: float) -> None:
        """Restart one service of the chain on this node. Raises as ``read_view``.

        The tool bans the service from the node, waits, and takes the ban away: killed half-way it
        would leave the ban. So it gets half the time, to end by itself.
        """
        words = ("--restart", "--resource", _safe(service), "--node", _safe(node))
        limit = ("--timeout", _seconds(timeout_s / 2))
        self._order("crm_resource", *words, *limit, timeout_s=timeout_s)

    def _ask_together(self, first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
        """Both answers, or the first error.

        The thread is a daemon, unlike those of an executor: it does not hold up the end of a run
        that was interrupted.
        """
        beside: list[str | HacliError] = []
        thread = Thread(target=lambda: beside.append(self._attempt(first)), daemon=True)
        thread.start()
        here = self._attempt(second)
        thread.join()
        (there,) = beside
        for answer in (there, here):
            if isinstance(answer, HacliError):
                raise answer
        return str(there), str(here)

    def _attempt(self, argv: Sequence[str]) -> str | HacliError:
        try:
            return self._ask(*argv)
        except HacliError as error:
            return error

    def _ask(self, *argv: str) -> str:
        completed = self._run(*argv)
        if completed.exit_code:
            raise _refusal(completed)
        return completed.stdout

    def _run(self, *argv: str) -> Completed:
        return self._commands.run(argv, timeout_s=self._timeout_s)

    def _order(self, *argv: str, timeout_s: float) -> None:
        completed = self._commands.run_once(argv, timeout_s=timeout_s)
        if completed.exit_code:
            raise _refusal(completed)


def _safe(name: str) -> str:
    """A name that is neither an option nor breaks out of an xpath."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise UsageError(f"{name[:60]!r} cannot be the name of a node, service or attribute")
    return name


def _attribute(node: str, name: str) -> tuple[str, ...]:
    permanent = ("--lifetime", "forever")
    return ("crm_attribute", "--node", _safe(node), "--name", _safe(name), *permanent)


def _seconds(limit_s: float) -> str:
    return str(max(1, int(limit_s)))


def _refusal(completed: Completed) -> SourceError:
    """The error for an exit code that is not 0."""
    tool, code, words = completed.argv[0], completed.exit_code, _last_words(completed)
    if code == NOT_PERMITTED or "permission denied" in words.lower():
        why = f"refused (exit {code}): neither root nor in group haclient"
        return NotPermitted(source=tool, why=why)
    if code == NOT_CONNECTED:
        return Unreachable(source=tool, why=f"not connected to a cluster (exit {code})")
    if code == TIMED_OUT:
        return Unreachable(source=tool, why=f"timed out (exit {code})")
    return Unreadable(source=tool, why=f"exit {code}: {words}")


def _last_words(completed: Completed) -> str:
    """What the tool complained of; with XML output it does so on stdout."""
    complaints = completed.stderr.strip().splitlines()
    complaints = complaints or re.findall(r"<error>([^<]*)</error>", completed.stdout[-10_000:])
    return "; ".join(line.strip() for line in complaints[-3:])[:300]


def _not_read_back(node: str, name: str, answer: Completed) -> SourceError:
    if answer.exit_code not in (0, NO_SUCH_OBJECT):
        return _refusal(answer)
    found = "nothing" if answer.exit_code else repr(answer.stdout.strip()[:60])
    why = f"attribute {name} of {node} was written, and the CIB has {found}"
    return Unreadable(source="crm_attribute", why=why)
