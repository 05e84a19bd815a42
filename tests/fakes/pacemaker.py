"""Pacemaker for services: the real adapter on the lab's tools, in virtual time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from hacli.adapters.pacemaker import Pacemaker
from hacli.adapters.process import Completed, NotStarted, TimeLimitPassed
from hacli.domain.cluster import ClaimState, ClusterView, NodeState
from hacli.errors import Unreachable
from hacli.lab.pacemaker_tools import run_tool
from hacli.lab.region import Region
from hacli.lab.tool import Answer
from hacli.ports import FenceResult
from tests.fakes.calls import Call, CallLog
from tests.fakes.clock import FakeClock, Process
from tests.fakes.machine import FakeMachine

T = TypeVar("T")

COMMAND_LIMIT_S = 20.0
TOOL_S = 0.08
"""Half of what a command takes through ssh."""
_LOOK_S = 0.1


class _Tools:
    """In the place of the command runner. Reads are answered at once: see ``FakePacemaker``."""

    def __init__(
        self, region: Region, clock: FakeClock, process: Process, machine: FakeMachine
    ) -> None:
        self.here = machine.is_controller
        self._machine = machine
        self._region = region
        self._clock = clock
        self._process = process

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """What may be run twice."""
        reply = run_tool(self._region.cluster, tuple(argv), "")
        assert isinstance(reply, Answer)
        if argv[0] == "crm_node":  # each controller's own; the lab is seen from the first
            reply = replace(reply, stdout=f"{self._machine.name}\n")
        return _completed(argv, reply)

    def run_once(self, argv: Sequence[str], *, timeout_s: float) -> Completed:
        """An order, which may take its time; giving up on it does not cancel it."""
        self._process.moment()
        until = self._clock.monotonic() + timeout_s
        reply = run_tool(self._region.cluster, tuple(argv), "")
        self._process.moment()
        while not isinstance(reply, Answer):
            if self._clock.monotonic() >= until:
                raise TimeLimitPassed(source=argv[0], why=f"no answer within {timeout_s:g} s")
            self._clock.spend(_LOOK_S)
            reply = reply() or reply
        return _completed(argv, reply)


def _completed(argv: Sequence[str], answer: Answer) -> Completed:
    return Completed(
        argv=tuple(argv), exit_code=answer.code, stdout=answer.stdout, stderr=answer.stderr
    )


class FakePacemaker:
    """Fits ``ports.Cluster``. Break it with ``silent`` (nothing answers, nothing is started)."""

    def __init__(
        self,
        region: Region,
        clock: FakeClock,
        process: Process,
        log: CallLog,
        machine: FakeMachine,
    ) -> None:
        self.silent = False
        self._region = region
        self._clock = clock
        self._process = process
        self._log = log
        self._tools = Pacemaker(
            _Tools(region, clock, process, machine),
            monotonic=clock.monotonic,
            timeout_s=COMMAND_LIMIT_S,
        )

    def read_view(self) -> ClusterView:
        """crm_mon and the CIB."""
        return self._asked("read_view", None, self._tools.read_view)

    def read_node_state(self, node: str, *, claim: str | None = None) -> NodeState:
        """One node's state."""
        return self._asked(
            "read_node_state", node, lambda: self._tools.read_node_state(node, claim=claim)
        )

    def read_own_node(self) -> str | None:
        """The controller on which the process runs."""
        return self._asked("read_own_node", None, self._tools.read_own_node)

    def read_claim(self, host: str) -> ClaimState:
        """A host's claim."""
        return self._asked("read_claim", None, lambda: self._tools.read_claim(host))

    def create_claim(self, host: str, text: str) -> bool:
        """Claim the host."""
        return self._changed("create_claim", None, lambda: self._tools.create_claim(host, text))

    def replace_claim(self, host: str, old: str, new: str) -> bool:
        """Take it over."""
        return self._changed(
            "replace_claim", None, lambda: self._tools.replace_claim(host, old, new)
        )

    def delete_claim(self, host: str, text: str, *, timeout_s: float) -> str | None:
        """Give it back."""
        return self._changed(
            "delete_claim",
            None,
            lambda: self._tools.delete_claim(host, text, timeout_s=timeout_s),
            limit_s=timeout_s,
        )

    def fence_off(self, node: str, *, timeout_s: float) -> FenceResult:
        """Order OFF and wait."""
        return self._asked(
            "fence_off", node, lambda: self._tools.fence_off(node, timeout_s=timeout_s)
        )

    def confirm_off(self, node: str) -> None:
        """Tell it that the node is down."""
        self._asked("confirm_off", node, lambda: self._tools.confirm_off(node))

    def write_attribute(self, node: str, name: str, value: str) -> None:
        """Set a node attribute."""
        self._changed(
            f"write_attribute {name}",
            node,
            lambda: self._tools.write_attribute(node, name, value),
        )

    def clear_attribute(self, node: str, name: str) -> None:
        """Remove a node attribute."""
        self._changed(
            f"clear_attribute {name}", node, lambda: self._tools.clear_attribute(node, name)
        )

    def restart_service(self, node: str, service: str, *, timeout_s: float) -> None:
        """Restart a service of the chain."""
        self._asked(
            f"restart_service {service}",
            node,
            lambda: self._tools.restart_service(node, service, timeout_s=timeout_s),
        )

    def _changed(
        self,
        what: str,
        node: str | None,
        call: Callable[[], T],
        *,
        limit_s: float = COMMAND_LIMIT_S,
    ) -> T:
        def between_moments() -> T:
            self._process.moment()
            result = call()
            self._process.moment()
            return result

        return self._asked(what, node, between_moments, limit_s=limit_s)

    def _asked(
        self,
        what: str,
        node: str | None,
        call: Callable[[], T],
        *,
        limit_s: float = COMMAND_LIMIT_S,
    ) -> T:
        self._clock.spend(TOOL_S)
        if self.silent:
            self._clock.spend(limit_s)
            error = Unreachable if what.startswith("read_") else NotStarted
            raise error(source="crm_mon", why=f"no answer within {limit_s:g} s")
        self._log.add(
            Call(
                at=self._region.timeline.now,
                who=self._process.name,
                port="pacemaker",
                what=what,
                host=node,
            )
        )
        result = call()
        self._clock.spend(TOOL_S)
        return result
