"""The history of operations that the lab's cluster keeps, and the failures in it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from hacli.lab.cluster_facts import Operation, OperationHistory


class Operations:
    """What was done with which resource on which node, and what of it failed.

    ``where`` is the node on which the operation ran: a controller for a connection and a fence
    device, the compute node for a service of the chain.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, OperationHistory]] = {}
        self._calls = itertools.count(2)

    def done(self, where: str, resource: str, operation: Operation) -> None:
        """An operation succeeded. A recurring monitor stands beside the last start or stop."""
        history = self._history(where, resource)
        numbered = replace(operation, call=next(self._calls))
        if operation.task == "monitor":
            history.monitor = numbered
        else:
            history.last = numbered

    def failed(self, where: str, resource: str, operation: Operation) -> None:
        """An operation failed; the entry stays until it is cleared. A monitor keeps its call."""
        history = self._history(where, resource)
        known = history.monitor.call if operation.task == "monitor" and history.monitor else None
        history.failure = replace(operation, call=known or next(self._calls))

    def clear_failure(self, where: str, resource: str) -> None:
        """Forget the failure of a resource on a node."""
        history = self.of_node(where).get(resource)
        if history is not None:
            history.failure = None

    def forget_node(self, where: str) -> None:
        """Drop the whole history of a node, as the controller does after fencing it."""
        self._nodes.pop(where, None)

    def of_node(self, where: str) -> Mapping[str, OperationHistory]:
        """The resources with a history on the node."""
        return self._nodes.get(where, {})

    def failures(self) -> Iterator[tuple[str, str, Operation]]:
        """Every failure that is kept: node, resource, operation."""
        for where, histories in self._nodes.items():
            for resource, history in histories.items():
                if history.failure is not None:
                    yield where, resource, history.failure

    def _history(self, where: str, resource: str) -> OperationHistory:
        return self._nodes.setdefault(where, {}).setdefault(resource, OperationHistory())
