"""Orders to a running lab over a unix socket: one JSON object in, one JSON object out."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from hacli.errors import Failed, UsageError
from hacli.lab import commands
from hacli.lab.bmcs import BmcFault
from hacli.lab.cluster_facts import REMOTED
from hacli.lab.machines import Machine
from hacli.lab.region import Command, Region
from hacli.lab.running_lab import Lab
from hacli.lab.wire_faults import WireEffect, WireFault

Json = dict[str, object]
_LOOK_EVERY_S = 0.1
_ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class KillRemoted:
    """pacemaker_remoted alone dies."""

    host: str

    def apply_to(self, region: Region) -> None:
        """Guests and all other daemons run on; the cluster loses sight of the host."""
        region.machines.stop_process(region.machines[self.host], REMOTED)


ON_HOST: Mapping[str, Callable[[str], Command]] = {
    "crash": lambda host: commands.Crash(host=host),
    "hang": lambda host: commands.Hang(host=host),
    "cut": lambda host: commands.Cut(host=host),
    "join": lambda host: commands.Join(host=host),
    "return": lambda host: commands.Return(host=host),
    "power-on": lambda host: commands.PowerOn(host=host),
    "power-off": lambda host: commands.PowerOff(host=host),
    "kill-compute": lambda host: commands.KillCompute(host=host),
    "kill-remoted": lambda host: KillRemoted(host=host),
}

IN_NOVA: Mapping[str, Callable[[str], Command]] = {  # by what happens, to the host named
    "spawn-fails": lambda host: commands.FailSpawns(host=host),
    "spawn-works": lambda host: commands.FailSpawns(host=host, on=False),
    "cell-down": lambda host: commands.SetCell(host=host, down=True),
    "cell-up": lambda host: commands.SetCell(host=host, down=False),
    "conductor-dies": lambda _host: commands.SetConductor(alive=False),
    "conductor-back": lambda _host: commands.SetConductor(alive=True),
}


class Control:
    """Obeys orders; ``order["do"]`` names one, its other keys are the arguments."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._orders: dict[str, Callable[[Json], Json]] = {
            "status": self._status,
            "ledger": self._ledger,
            "requests": self._requests,
            "check": self._check,
            "advance": self._advance,
            "bmc": self._bmc,
            "nova": self._nova,
            "fault": self._fault,
            "clear-faults": self._clear_faults,
            "refuse": self._refuse,
            "expire-tokens": self._expire_tokens,
        }

    def obey(self, order: Json) -> Json:
        """Do what is ordered, and tell what came of it.

        Raises:
            UsageError: The order or one of its words is unknown.
        """
        word = str(order.get("do"))
        if word in ON_HOST:
            self._lab.apply(ON_HOST[word](self._host(order)))
            return {}
        if word not in self._orders:
            raise UsageError(f"The lab does not know how to {word}.")
        return self._orders[word](order)

    def _host(self, order: Json) -> str:
        host = str(order.get("host"))
        if host not in self._lab.region.names:
            raise UsageError(
                f"There is no host {host}.",
                why=f"The lab has {', '.join(self._lab.region.names)}.",
            )
        return host

    def _status(self, _order: Json) -> Json:
        with self._lab.lock:
            region = self._lab.region
            servers = {server.id: server.name for server in region.truth()}
            twice = [asdict(server) for server in region.truth() if server.runs_twice]
            return {
                "time": self._lab.time.now(),
                "machines": [_view_machine(region, m, servers) for m in region.machines],
                "running_twice": twice,
            }

    def _ledger(self, _order: Json) -> Json:
        with self._lab.lock:
            names = {server.id: server.name for server in self._lab.region.truth()}
            entries = [asdict(entry) for entry in self._lab.region.machines.ledger]
        return {"entries": [{**e, "name": names.get(e["server"])} for e in entries]}

    def _requests(self, _order: Json) -> Json:
        with self._lab.lock:
            return {"requests": [record.as_json() for record in self._lab.requests.records]}

    def _check(self, order: Json) -> Json:
        rebuilt = _words(order.get("rebuilt"))
        known = {server.name for server in self._lab.region.truth()}
        for name in rebuilt:
            if name not in known:
                raise UsageError(f"There is no server {name}.")
        host = order.get("recovered")
        recovered = self._host({"host": host}) if host else None
        broken = self._lab.check(
            hosts=_words(order.get("hosts")) or None, rebuilt=rebuilt, recovered=recovered
        )
        return {
            "violations": [asdict(violation) for violation in broken],
            "summary": self._lab.sum_up(rebuilt=rebuilt, recovered=recovered),
        }

    def _advance(self, order: Json) -> Json:
        self._lab.advance(_number(order, "seconds"))
        return {}

    def _bmc(self, order: Json) -> Json:
        fault = BmcFault(str(order["fault"]))
        self._lab.apply(commands.BreakBmc(host=self._host(order), fault=fault))
        return {}

    def _nova(self, order: Json) -> Json:
        what = str(order["what"])
        host = "" if what.startswith("conductor") else self._host(order)
        self._lab.apply(IN_NOVA[what](host))
        return {}

    def _fault(self, order: Json) -> Json:
        times = order.get("times")
        method = order.get("method")
        fault = WireFault(
            effect=WireEffect(str(order["effect"])),
            service=self._service(order),
            method=str(method).upper() if method else None,
            path=str(order.get("path") or ""),
            seconds=_number(order, "seconds"),
            times=times if isinstance(times, int) else None,
        )
        with self._lab.lock:
            self._lab.http.faults.add(fault)
        return {}

    def _clear_faults(self, _order: Json) -> Json:
        with self._lab.lock:
            self._lab.http.faults.clear()
            self._lab.region.cloud.api_faults.clear()
        return {}

    def _refuse(self, order: Json) -> Json:
        self._lab.http.refuse_connections(self._service(order), _number(order, "seconds"))
        return {}

    def _expire_tokens(self, _order: Json) -> Json:
        with self._lab.lock:
            self._lab.keystone.revoke_all()
        return {}

    def _service(self, order: Json) -> str:
        service = str(order.get("service"))
        if service not in self._lab.http.urls:
            raise UsageError(
                f"There is no service {service}.",
                why=f"The lab has {', '.join(self._lab.http.urls)}.",
            )
        return service


class ControlDoor:
    """Takes orders at a unix socket that only its owner can open."""

    def __init__(self, control: Control, *, socket_path: Path) -> None:
        self.control = control
        self._path = socket_path
        socket_path.unlink(missing_ok=True)
        self._server = _Server(self, str(socket_path))
        socket_path.chmod(0o600)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY_S,), name="control", daemon=True
        )

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and take the socket away."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._path.unlink(missing_ok=True)


def ask(socket_path: Path, order: Json) -> Json:
    """Give one order to a running lab; its answer.

    Raises:
        Failed: Nobody answers.
        UsageError: The lab does not understand the order.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_LIMIT_S)
        try:
            connection.connect(str(socket_path))
            connection.sendall(json.dumps(order).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                content = answer.read()
        except OSError as error:
            raise Failed("The lab does not answer.", why=str(error)) from error
    if not content:
        raise Failed("The lab ended before it answered.")
    answer_: Json = json.loads(content)
    if "error" in answer_:
        raise UsageError(str(answer_["error"]), why=str(answer_.get("why", "")))
    return answer_


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, door: ControlDoor, path: str) -> None:
        self.door = door
        super().__init__(path, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        control = cast("_Server", self.server).door.control
        try:
            answer = control.obey(json.loads(self.rfile.read()))
        except UsageError as error:
            answer = {"error": error.what, "why": error.why}
        except (KeyError, ValueError) as error:
            answer = {"error": f"The lab does not understand: {error}."}
        with contextlib.suppress(OSError):  # whoever asked has gone
            self.wfile.write(json.dumps(answer).encode())


def _view_machine(region: Region, machine: Machine, servers: Mapping[str, str]) -> Json:
    running = [servers[s] for s, guest in machine.guests.items() if guest.running]
    return {
        "host": machine.name,
        "powered": machine.powered,
        "booted": machine.booted,
        "hung": machine.hung,
        "network": machine.network,
        "bmc": region.bmcs[machine.name].fault.value,
        "processes": sorted(machine.processes),
        "running": running if machine.alive else [],
        "defined": [servers[server] for server in machine.guests],
    }


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list | tuple) else ()


def _number(order: Json, key: str) -> float:
    value = order.get(key) or 0.0
    if not isinstance(value, int | float):
        raise UsageError(f"{key} wants a number.")
    return float(value)
