"""What goes wrong in a region, by the name that the counts show it under, and how it is mended.

A trouble begins when it is called and returns its own end. It is told which host's recovery it is
meant to disturb; where the trouble is one of the whole region, others are disturbed as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

from hacli.lab.api_faults import ApiEffect, ApiFault
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud import BACKEND
from hacli.lab.commands import (
    BreakBmc,
    Crash,
    Cut,
    FailNovaApi,
    FailSpawns,
    Hang,
    Join,
    PowerOff,
    PowerOn,
    SetBackend,
    SetCell,
    SetConductor,
    StickEvacuation,
)
from hacli.lab.region import Command
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator, Site

Mend = Callable[[], None]
ACTION = "servers/.*/action"
MOST_RECORDS = 3


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where a trouble may strike: a host, its neighbours, the run that is under way."""

    site: Site
    host: str
    dice: Random
    operator: Operator
    lose: Callable[[str], None]  # another host fails, and gets a recovery of its own
    rival: Callable[[str], None]  # somebody else begins to recover a host
    neighbours: Callable[[], list[str]]  # hosts that are well and that nobody works on

    def do(self, command: Command) -> None:
        """Do it to the region."""
        self.site.region.apply(command)

    def other(self) -> str | None:
        """Some host that is well, if there is one."""
        names = self.neighbours()
        return self.dice.choice(names) if names else None


Trouble = Callable[[Scope], Mend]


def _nothing() -> None:
    pass


def _bmc(scope: Scope, *, fault: BmcFault) -> Mend:
    scope.do(BreakBmc(host=scope.host, fault=fault))
    return lambda: scope.do(BreakBmc(host=scope.host, fault=BmcFault.OK))


def _is_back(scope: Scope) -> Mend:
    scope.do(PowerOn(host=scope.host))
    scope.do(Join(host=scope.host))
    return _nothing


def _wire(scope: Scope, *, wire: Wire, method: str, path: str, times: int | None = None) -> Mend:
    fault = WireFault(wire, method, path, times)
    scope.operator.nova.line.faults.append(fault)
    return partial(setattr, fault, "times", 0)


def _api(scope: Scope, *, effect: ApiEffect, method: str, path: str) -> Mend:
    fault = ApiFault(method=method, path=path, effect=effect, seconds=8.0, times=MOST_RECORDS)
    scope.do(FailNovaApi(fault=fault))
    return lambda: scope.do(FailNovaApi(fault=None))


def _conductor(scope: Scope) -> Mend:
    scope.do(SetConductor(alive=False))
    return lambda: scope.do(SetConductor(alive=True))


def _cell(scope: Scope) -> Mend:
    scope.do(SetCell(host=scope.host, down=True))
    return lambda: scope.do(SetCell(host=scope.host, down=False))


def _backend(scope: Scope) -> Mend:
    scope.do(SetBackend(backend=BACKEND, up=False))
    return lambda: scope.do(SetBackend(backend=BACKEND, up=True))


def _spawns(scope: Scope, *, after_start: bool) -> Mend:
    names = [name for name in scope.site.region.names if name != scope.host]
    hosts = scope.dice.sample(names, k=min(len(names), MOST_RECORDS))
    for name in hosts:
        scope.do(FailSpawns(host=name, after_start=after_start))

    def mend() -> None:
        for name in hosts:
            scope.do(FailSpawns(host=name, after_start=after_start, on=False))

    return mend


def _sticks(scope: Scope) -> Mend:
    servers = scope.site.region.cloud.tables.servers_on(scope.host)
    if not servers:
        return _nothing
    server = scope.dice.choice(servers).id
    scope.do(StickEvacuation(server=server))
    return lambda: scope.do(StickEvacuation(server=server, at=None))


def _quorum(scope: Scope) -> Mend:
    cluster = scope.site.region.cluster
    cluster.set_quorum(quorum=False)
    return lambda: cluster.set_quorum(quorum=True)


def _cluster_silent(scope: Scope) -> Mend:
    pacemaker = scope.operator.pacemaker
    pacemaker.silent = True

    def mend() -> None:
        pacemaker.silent = False

    return mend


def _maintenance(scope: Scope) -> Mend:
    cluster = scope.site.region.cluster

    def set_to(value: str) -> None:
        cluster.cib.set_attribute(scope.host, "maintenance", value)
        cluster.configuration_changed()

    set_to("true")
    return lambda: set_to("false")


def _destination_dies(scope: Scope) -> Mend:
    name = scope.other()
    if name is not None:
        scope.lose(name)
    return _nothing


def _destination_disabled(scope: Scope) -> Mend:
    service = scope.site.region.cloud.tables.compute_service(scope.other())
    if service is None or service.disabled:
        return _nothing
    service.disabled, service.disabled_reason = True, "an operator's"

    def mend() -> None:
        if service.disabled_reason == "an operator's":
            service.disabled, service.disabled_reason = False, None

    return mend


def _two_operators(scope: Scope) -> Mend:
    scope.rival(scope.host)
    return _nothing


def _wrong_host(scope: Scope) -> Mend:
    name = scope.other()
    if name is not None:
        scope.rival(name)
    return _nothing


def _confirmed(scope: Scope) -> Mend:
    """A person tells Pacemaker that the node is down, whatever it is."""
    scope.site.region.cluster.confirm_off(scope.host)
    return _nothing


def _killed(scope: Scope) -> Mend:
    scope.operator.process.kill()
    return _nothing


def _interrupted(scope: Scope) -> Mend:
    scope.operator.clock.interrupt_at = scope.operator.clock.monotonic()
    return _nothing


FIRST: Mapping[str, Trouble] = {
    "panic": lambda scope: _did(scope, Crash(host=scope.host)),
    "plug pulled": lambda scope: _did(scope, PowerOff(host=scope.host)),
    "network cut": lambda scope: _did(scope, Cut(host=scope.host)),
    "hang": lambda scope: _did(scope, Hang(host=scope.host)),
    "panic, BMC stuck": lambda scope: _with_bmc(scope, Crash(host=scope.host), BmcFault.STUCK),
    "hang, BMC denies": lambda scope: _with_bmc(scope, Hang(host=scope.host), BmcFault.DENIED),
    "plug and BMC gone": lambda scope: _with_bmc(scope, PowerOff(host=scope.host), BmcFault.SILENT),
    "cut, BMC silent": lambda scope: _with_bmc(scope, Cut(host=scope.host), BmcFault.SILENT),
    "panic, no fencing": lambda scope: _unfenced(scope, Crash(host=scope.host)),
}
"""How a host fails."""

SECOND: Mapping[str, Trouble] = {
    "BMC silent": partial(_bmc, fault=BmcFault.SILENT),
    "BMC slow": partial(_bmc, fault=BmcFault.SLOW),
    "BMC denies": partial(_bmc, fault=BmcFault.DENIED),
    "BMC stuck": partial(_bmc, fault=BmcFault.STUCK),
    "host is back": _is_back,
    "lists refused": partial(_wire, wire=Wire.NOT_SENT, method="GET", path=".*"),
    "lists unanswered": partial(_wire, wire=Wire.DROPPED, method="GET", path=".*"),
    "requests refused": partial(_wire, wire=Wire.NOT_SENT, method="POST", path=ACTION),
    "requests lost": partial(_wire, wire=Wire.DROPPED, method="POST", path=ACTION, times=1),
    "answers lost": partial(_wire, wire=Wire.LOST, method="POST", path=ACTION, times=2),
    "503 and done": partial(_wire, wire=Wire.UNAVAILABLE_AFTER, method="POST", path=ACTION),
    "switches lost": partial(_wire, wire=Wire.LOST, method="PUT", path=".*", times=1),
    "503": partial(_api, effect=ApiEffect.UNAVAILABLE, method="POST", path=ACTION),
    "502 and done": partial(_api, effect=ApiEffect.LOST_ANSWER, method="POST", path=ACTION),
    "late answers": partial(_api, effect=ApiEffect.LATE, method="GET", path=".*"),
    "conductor dead": _conductor,
    "cell down": _cell,
    "volumes gone": _backend,
    "spawns fail": partial(_spawns, after_start=False),
    "spawns fail late": partial(_spawns, after_start=True),
    "one sticks": _sticks,
    "no quorum": _quorum,
    "cluster silent": _cluster_silent,
    "maintenance": _maintenance,
    "another host dies": _destination_dies,
    "a destination disabled": _destination_disabled,
    "two operators": _two_operators,
    "a wrong host named": _wrong_host,
    "somebody confirms": _confirmed,
    "killed": _killed,
    "interrupted": _interrupted,
}
"""What goes wrong while the first one is mended."""


def _with_bmc(scope: Scope, command: Command, fault: BmcFault) -> Mend:
    mend = _bmc(scope, fault=fault)
    scope.do(command)
    return mend


def _unfenced(scope: Scope, command: Command) -> Mend:
    """Somebody has switched Pacemaker's fencing off."""
    cluster = scope.site.region.cluster

    def set_to(value: str) -> None:
        cluster.cib.set_option("stonith-enabled", value)
        cluster.configuration_changed()

    set_to("false")
    scope.do(command)
    return lambda: set_to("true")


def _did(scope: Scope, command: Command) -> Mend:
    scope.do(command)
    return _nothing
