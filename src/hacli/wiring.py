"""Settings to World: the one place where adapters are built. Nothing is asked until it is used."""

import getpass
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from hacli.adapters.cinder import Cinder
from hacli.adapters.clock import StopFlag, SystemClock
from hacli.adapters.glance import Glance
from hacli.adapters.ipmi import IpmiHelper, IpmiPower
from hacli.adapters.journal import JournalFile, SqliteJournal
from hacli.adapters.locks import FileLocks
from hacli.adapters.machine import LinuxMachine
from hacli.adapters.node_probe import CommandProbe
from hacli.adapters.nova import Nova
from hacli.adapters.pacemaker import NOT_CONNECTED, Pacemaker
from hacli.adapters.process import CommandRunner
from hacli.adapters.tasks import ThreadTasks
from hacli.config import Settings, find_configuration, find_directories, read_settings
from hacli.domain.events import StoredEvent
from hacli.domain.hosts import HostNames
from hacli.domain.power import Bmc
from hacli.domain.runs import RunSummary
from hacli.ports import Journal, PowerSwitch, World

if TYPE_CHECKING:
    from hacli.adapters.keystone import Cloud

Listener = Callable[[StoredEvent], None]

BMC_LIMIT_S = 4.0
"""One power reading or order; a silent BMC may cost a screen of a hundred hosts no more."""
WORKERS = 64
BMCS_AT_ONCE = 40
"""Children of the IPMI helper at once; each is a forked process of some megabytes."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The world, the names of its hosts, and the history of earlier runs."""

    world: World
    settings: Settings
    read_hosts: Callable[[], tuple[HostNames, ...]]
    history: JournalFile
    close: Callable[[], None]

    @property
    def hosts(self) -> tuple[HostNames, ...]:
        """The configured hosts with the logins of their BMCs; raises ``Misconfigured``."""
        return self.read_hosts()

    def read_runs(self) -> tuple[RunSummary, ...]:
        """What became of each run, oldest first."""
        return self.history.read_runs()


def utc_now() -> datetime:
    """The time, for documents that are written when there is no world."""
    return SystemClock(StopFlag()).now()


def connect(
    *,
    config: str | None,
    os_cloud: str | None,
    without_cluster: bool,
    listeners: Sequence[Listener],
    timeout_s: float | None,
) -> Connection:
    """Build the world from configuration and environment.

    ``listeners`` is read when a journal is opened, so that a command may still add its own.
    SIGINT, SIGTERM and the limit of the whole command stop every wait from here on.

    Raises:
        Misconfigured: A file is missing or wrong; NotPermitted: it may not be read.
    """
    as_root = os.geteuid() == 0
    files = find_configuration(
        option=Path(config) if config else None, environ=os.environ, as_root=as_root
    )
    settings = read_settings(files)
    places = find_directories(settings.paths, environ=os.environ, as_root=as_root)
    stop = StopFlag()
    _stop_on_signals(stop, timeout_s)
    clock = SystemClock(stop)
    helper = IpmiHelper(limit=BMCS_AT_ONCE)
    journal_path = places.state / "journal.sqlite"

    def switch(bmc: Bmc) -> PowerSwitch:
        return IpmiPower(bmc=bmc, helper=helper, timeout_s=BMC_LIMIT_S)

    def open_journal(op: str, host: str) -> Journal:
        run = f"r-{secrets.token_hex(3)}"
        return SqliteJournal(
            journal_path, run=run, op=op, host=host, clock=clock, listeners=listeners
        )

    cloud = _once(lambda: _open_cloud(settings, os_cloud))
    world = World(
        cluster=None if without_cluster else _cluster(settings, clock),
        compute=Nova(cloud),
        volumes=Cinder(cloud),
        images=Glance(cloud),
        probe=_probe(settings, clock),
        switch=switch,
        open_journal=open_journal,
        locks=FileLocks(places.run, user=getpass.getuser(), clock=clock),
        machine=LinuxMachine(),
        clock=clock,
        tasks=ThreadTasks(clock=clock, stop=stop, limit=WORKERS),
    )
    return Connection(
        world=world,
        settings=settings,
        read_hosts=settings.host_names,
        history=JournalFile(journal_path),
        close=helper.close,
    )


def _cluster(settings: Settings, clock: SystemClock) -> Pacemaker:
    return Pacemaker(
        CommandRunner(settings.cluster.prefixes, wrong_place=(NOT_CONNECTED,)),
        monotonic=clock.monotonic,
        timeout_s=settings.cluster.command_timeout_s,
    )


def _probe(settings: Settings, clock: SystemClock) -> CommandProbe | None:
    if settings.probe is None:
        return None
    return CommandProbe(settings.probe.command, timeout_s=settings.probe.timeout_s, now=clock.now)


def _once(open_cloud: "Callable[[], Cloud]") -> "Callable[[], Cloud]":
    """One session, and so one login, for all services; opened by the first that needs it."""
    lock = Lock()
    opened: list[Cloud] = []

    def the_cloud() -> "Cloud":
        with lock:
            if not opened:
                opened.append(open_cloud())
            return opened[0]

    return the_cloud


def _open_cloud(settings: Settings, os_cloud: str | None) -> "Cloud":
    from hacli.adapters.keystone import open_cloud  # 0.3 s of imports, on the first request

    return open_cloud(
        os_cloud or settings.cloud.name,
        interface=settings.cloud.interface,
        region=settings.cloud.region,
    )


def _stop_on_signals(stop: StopFlag, timeout_s: float | None) -> None:
    """Let Ctrl-C, SIGTERM and the time limit set the flag that every wait looks at."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda received, _frame: stop.set(received))
    if timeout_s is not None:
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
