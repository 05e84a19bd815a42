"""One case of the matrix: hacli is stopped at a point, and the command is given again."""

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Event, Semaphore

from hacli.domain.hosts import FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE, MARKER
from tests.e2e.impatient import SETTLE_S
from tests.e2e.site import LIMIT_S, Site
from tests.eventually import eventually
from tests.kill.nursery import Child, Nursery
from tests.kill.points import Point, end_of
from tests.kill.program import Orders
from tests.kill.steered_time import set_lead

MOST_RUNS = 4
"""The first, the second, and a third where the first one's request has to settle; one to spare."""


class Verb(Enum):
    """The commands that are stopped."""

    RECOVER = "recover"
    FENCE = "fence"
    EVACUATE = "evacuate"
    ENABLE = "enable"


class Way(Enum):
    """What is done to the process, and what then."""

    KILL_AND_AGAIN = "killed, again on the same controller"
    KILL_AND_ELSEWHERE = "killed, again on another controller"
    STOP_AND_GO_ON = "stopped for five minutes"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One command, one point, one way."""

    verb: Verb
    point: Point
    way: Way

    def __str__(self) -> str:
        return f"{self.verb.value} {self.way.value} at {self.point}"


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Where an operator types: the folders of its journal and of its locks."""

    folder: Path
    member: str | None = None  # of the cluster; None: the machine on which the lab's tools run

    @property
    def env(self) -> dict[str, str]:
        """For hacli."""
        return {
            "HACLI_STATE_DIR": str(self.folder / "state"),
            "HACLI_RUN_DIR": str(self.folder / "run"),
        }

    def journal_rows(self, host: str) -> int:
        """How many events of this host it has on its disk."""
        with sqlite3.connect(self.folder / "state" / "journal.sqlite") as journal:
            (rows,) = journal.execute(
                "SELECT count(*) FROM events WHERE host = ?", (host,)
            ).fetchone()
        journal.close()
        return int(rows)


def words(verb: Verb, host: str) -> tuple[str, ...]:
    """The command as it is given first, and again on the same controller."""
    if verb is Verb.ENABLE:
        return (verb.value, host, "-o", "jsonl")
    return (verb.value, host, "--yes", "--allow-storm", "-o", "jsonl")


def words_elsewhere(verb: Verb, host: str) -> tuple[str, ...]:
    """And as it is given on another controller, which cannot know that the first one died."""
    return (*words(verb, host), "--take-over")


@dataclass(frozen=True, kw_only=True)
class HostEnd:
    """How things stand with a host and its servers; the same after every way to get there."""

    forced_down: bool
    disabled: bool
    marked: bool  # with hacli's own reason
    attributes: frozenset[str]  # hacli's, on the node
    powered: bool
    servers: tuple["ServerEnd", ...]


@dataclass(frozen=True, kw_only=True)
class ServerEnd:
    """Where one server is. ``asked``: the requests for its evacuation, all runs together."""

    name: str
    state: str
    at_home: bool
    runs_at_home: bool
    runs_elsewhere: int
    asked: int


def read_end(site: Site, host: str) -> HostEnd:
    """From the region itself, and from its log of requests."""
    asked = [r.target.server for r in site.evacuations() if r.target is not None]
    with site.lab.lock:
        region = site.lab.region
        tables = region.cloud.tables
        service = tables.compute_service(host)
        assert service is not None
        servers = tuple(
            ServerEnd(
                name=end_of(truth.name),
                state=str(tables.servers[truth.id].vm_state),
                at_home=tables.servers[truth.id].host == host,
                runs_at_home=host in truth.running_on,
                runs_elsewhere=len(set(truth.running_on) - {host}),
                asked=asked.count(truth.id),
            )
            for truth in region.truth()
            if truth.name.startswith(f"{host}-")
        )
        return HostEnd(
            forced_down=service.forced_down,
            disabled=service.disabled,
            marked=(service.disabled_reason or "").startswith(MARKER),
            attributes=frozenset(region.cluster.cib.attributes(host))
            & {FORCED_DOWN_ATTRIBUTE, GATE_ATTRIBUTE},
            powered=region.machines[host].powered,
            servers=servers,
        )


@dataclass(frozen=True, kw_only=True)
class Told:
    """How the last run of a case ended. ``hit``: the process was stopped at the point."""

    hit: bool
    code: int
    text: str
    runs: int


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one process ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Running:
    """One process, and what it writes."""

    child: Child
    out: Path
    err: Path

    @property
    def halted(self) -> bool:
        """Stopped by a signal, or ended without having come by its point."""
        if self.child.poll() is not None:
            return True
        try:
            stat = Path(f"/proc/{self.child.pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return True  # it has ended since
        return stat.rpartition(")")[2].split()[0] == "T"

    def end(self) -> Ended:
        """Wait until it has ended."""
        code = self.child.wait(LIMIT_S)
        out, err = self.out.read_text(encoding="utf-8"), self.err.read_text(encoding="utf-8")
        return Ended(code=code, out=out, err=err)


@dataclass(frozen=True, kw_only=True)
class Operators:
    """Runs hacli at a site, a few processes at once, with a probe in each."""

    site: Site
    nursery: Nursery
    patient: bool = False
    at_once: Semaphore = field(default_factory=lambda: Semaphore(8))

    @property
    def here(self) -> Controller:
        """The controller of every first run."""
        return Controller(folder=self.site.folder / "controller-1")

    def alone(self, host: str) -> Controller:
        """One where nobody works on another host.

        sqlite lets one process write at a time: who is stopped in the middle of a row holds up all
        others on its machine, until their patience with the journal ends (exit 1, JOURNAL).
        """
        return Controller(folder=self.site.folder / f"controller-1-{host}")

    def elsewhere(self, host: str) -> Controller:
        """Another one, which has never heard of this host."""
        return Controller(folder=self.site.folder / f"controller-2-{host}", member="controller-2")

    def undisturbed(self, verb: Verb, host: str) -> tuple[tuple[Point, ...], Ended]:
        """Run the command; the points it came by, and its end."""
        log = self._log(verb, host)
        with self.at_once, self._begun(words(verb, host), self.here, log=log) as running:
            ended = running.end()
        return _points(log), ended

    def kill(self, case: Case, host: str) -> Told:
        """SIGKILL at the point, and the command again until its fate is known."""
        log = self._log(case.verb, host)
        line = words(case.verb, host)
        with self.at_once, self._begun(line, self.here, log=log, case=case) as running:
            first = running.end()
        if case.point not in _points(log):
            return Told(hit=False, code=first.code, text=first.out + first.err, runs=1)
        assert first.code == -signal.SIGKILL, (case, first)
        if case.way is Way.KILL_AND_AGAIN:
            return self._again(line, self.here, host)
        return self._again(words_elsewhere(case.verb, host), self.elsewhere(host), host)

    def stop(
        self, case: Case, host: str, five_minutes: Callable[[], None], clock: Path | None
    ) -> Told:
        """SIGSTOP at the point, SIGCONT when ``five_minutes`` returns; again if it is unsure."""
        log = self._log(case.verb, host)
        line, controller = words(case.verb, host), self.alone(host)
        with (
            self._slot() as slot,
            self._begun(line, controller, log=log, case=case, clock=clock) as running,
        ):
            eventually(lambda: running.halted, within_s=LIMIT_S)
            slot.give_back()
            five_minutes()
            slot.take()
            running.child.send_signal(signal.SIGCONT)
            ended = running.end()
        if case.point not in _points(log):
            return Told(hit=False, code=ended.code, text=ended.out + ended.err, runs=1)
        if "VM_UNKNOWN" not in ended.out:
            return Told(hit=True, code=ended.code, text=ended.out + ended.err, runs=1)
        return self._again(line, controller, host, clock=clock)

    def _again(
        self, line: tuple[str, ...], controller: Controller, host: str, clock: Path | None = None
    ) -> Told:
        for run in range(2, MOST_RUNS + 1):
            log = self.site.folder / f"{host}-again-{run}.points"
            with self.at_once, self._begun(line, controller, log=log, clock=clock) as running:
                ended = running.end()
            if "VM_UNKNOWN" not in ended.out:
                break
            Event().wait(SETTLE_S)
        return Told(hit=True, code=ended.code, text=ended.out + ended.err, runs=run)

    def _log(self, verb: Verb, host: str) -> Path:
        return self.site.folder / f"{host}-{verb.value}.points"

    @contextmanager
    def _begun(
        self,
        line: tuple[str, ...],
        controller: Controller,
        *,
        log: Path,
        case: Case | None = None,
        clock: Path | None = None,
    ) -> Iterator[Running]:
        stops = case is not None and case.way is Way.STOP_AND_GO_ON
        orders = Orders(
            log=str(log),
            at=str(case.point) if case else None,
            stop_with="SIGSTOP" if stops else "SIGKILL",
            clock=str(clock) if clock else None,
            patient=self.patient,
            member=controller.member,
        )
        out, err = log.with_suffix(".out"), log.with_suffix(".err")
        with out.open("wb") as to_out, err.open("wb") as to_err:
            child = self.nursery.start(
                orders,
                line,
                env={**self.site.env, **controller.env},
                out=to_out.fileno(),
                err=to_err.fileno(),
            )
        try:
            yield Running(child=child, out=out, err=err)
        finally:
            child.kill()

    @contextmanager
    def _slot(self) -> Iterator["_Slot"]:
        slot = _Slot(self.at_once)
        slot.take()
        try:
            yield slot
        finally:
            slot.give_back()


class _Slot:
    """A place among the processes that run, given back while its process is stopped."""

    def __init__(self, places: Semaphore) -> None:
        self._places = places
        self._taken = False

    def take(self) -> None:
        """Wait for a place."""
        if not self._taken:
            self._places.acquire()
            self._taken = True

    def give_back(self) -> None:
        """Let another one in."""
        if self._taken:
            self._taken = False
            self._places.release()


def _points(log: Path) -> tuple[Point, ...]:
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return tuple(Point.parse(line) for line in text.splitlines())


def steer(site: Site, clock: Path, seconds: float, *, lead_s: float) -> None:
    """Let so many seconds pass for the region and for the processes that follow ``clock``."""
    set_lead(clock, lead_s)
    site.lab.advance(seconds * site.lab.speed)
