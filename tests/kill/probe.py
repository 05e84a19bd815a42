"""The ports of a hacli process, which counts its calls, and stops at the one it was told."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

from hacli.domain.power import Bmc
from hacli.domain.servers import Server, ServerList
from hacli.ports import Cluster, Compute, Journal, Locks, PowerSwitch, World
from hacli.wiring import Connection
from tests.kill.points import Moment, Names, Point, end_of, name_of_event

_MAY_SEND = "may_send"


class Probe:
    """Writes every point that the process comes by into a file; at ``at`` the process ends itself.

    The line is in the file before the signal: a point that stands there was come by.

    Args:
        log: One line a point.
        at: Where to stop; None only records.
        stop_with: The signal.
    """

    def __init__(self, log: Path, *, at: Point | None, stop_with: signal.Signals) -> None:
        self.names = Names()
        self._at = at
        self._stop_with = stop_with
        self._lock = Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def number(self, call: str, subject: str) -> Callable[[Moment], None]:
        """A call begins; what is returned is called at each of its moments."""
        with self._lock:
            self._calls[call, subject] += 1
            nth = self._calls[call, subject]

        def pass_by(moment: Moment) -> None:
            point = Point(call=call, subject=subject, nth=nth, moment=moment.value)
            os.write(self._file, f"{point}\n".encode())
            if point == self._at:
                os.kill(os.getpid(), self._stop_with)

        return pass_by


class Probed:
    """A port whose every call passes the probe.

    Python looks every method up by its name, so that one class stands for all ports; where it is
    handed over it is cast to the port that it stands for.
    """

    def __init__(self, port: object, name: str, probe: Probe) -> None:
        self._port = port
        self._name = name
        self._probe = probe

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - what the port has there
        value = getattr(self._port, method)
        return self._probed(method, value) if callable(value) else value

    def _probed(self, method: str, call: Callable[..., object]) -> Callable[..., object]:
        def probed(*args: Any, **named: Any) -> object:  # noqa: ANN401 - the port's own arguments
            pass_by = self._probe.number(*self._name_of(method, args))
            if _MAY_SEND in named:
                named[_MAY_SEND] = _sending(named[_MAY_SEND], pass_by)
            pass_by(Moment.BEFORE)
            try:
                result = call(*args, **named)
            finally:
                pass_by(Moment.AFTER)
            self._learn(result)
            return result

        return probed

    def _name_of(self, method: str, args: tuple[Any, ...]) -> tuple[str, str]:
        call = f"{self._name}.{method}"
        if method == "record":
            event = args[0]
            server_name = getattr(event, "server_name", "")
            server_id = str(getattr(event, "server", ""))
            subject = end_of(server_name) if server_name else self._probe.names.of(server_id)
            return f"{call}:{name_of_event(event)}", subject
        subject = args[0] if args and isinstance(args[0], str) else ""
        return call, self._probe.names.of(subject)

    def _learn(self, result: object) -> None:
        found = result.servers if isinstance(result, ServerList) else (result,)
        for server in found:
            if isinstance(server, Server):
                self._probe.names.learn(server.id, server.name)


def _sending(may_send: Callable[[], bool], pass_by: Callable[[Moment], None]) -> Callable[[], bool]:
    def asked() -> bool:
        allowed = may_send()
        if allowed:
            pass_by(Moment.SENDING)
        return allowed

    return asked


def probed(connection: Connection, probe: Probe) -> Connection:
    """The same connection, with the probe before every port that changes or reads the world.

    ``Tasks`` is not among them: what its workers do are calls of these ports, and it is on the
    worker's thread that such a call passes the probe.
    """

    def wrap(port: object, name: str) -> Probed:
        return Probed(port, name, probe)

    world = connection.world
    switch, open_journal = world.switch, world.open_journal

    def probed_switch(bmc: Bmc) -> PowerSwitch:
        return cast("PowerSwitch", wrap(switch(bmc), "switch"))

    def probed_journal(op: str, host: str) -> Journal:
        return cast("Journal", wrap(open_journal(op, host), "journal"))

    cluster = None if world.cluster is None else cast("Cluster", wrap(world.cluster, "cluster"))
    watched: World = replace(
        world,
        cluster=cluster,
        compute=cast("Compute", wrap(world.compute, "compute")),
        switch=probed_switch,
        open_journal=probed_journal,
        locks=cast("Locks", wrap(world.locks, "locks")),
    )
    history = cast("Any", wrap(connection.history, "history"))
    return replace(connection, world=watched, history=history)
