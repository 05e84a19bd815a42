"""A lab behind its real doors, and the hacli processes that operators start at it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hacli.lab.commands import Crash
from hacli.lab.invariants import Story, check, check_recovery
from hacli.lab.region import Command
from hacli.lab.request_log import Deed, RequestRecord
from hacli.lab.seed import Population, small
from tests.e2e.impatient import HASTE
from tests.e2e.watched_lab import WatchedLab
from tests.eventually import eventually

HACLI = (sys.executable, "-m", "hacli")
IMPATIENT = (sys.executable, "-m", "tests.e2e.impatient")
ROOT = Path(__file__).parents[2]
SPEED = 20.0
LIMIT_S = 110.0
LOST_AFTER_S = 120.0
"""By then a dead host is down for Nova (60 s) and fenced by Pacemaker, if its BMC lets it."""
CONFIGURATION = """
[evacuation]
poll = "0.2s"
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one hacli process ended."""

    code: int
    out: str
    err: str
    took_s: float
    cpu_s: float

    @property
    def document(self) -> dict[str, Any]:
        """The one document of ``-o json``."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def servers(self) -> dict[str, str]:
        """Each server's name and its code, or its status where it has none."""
        rows = self.document["servers"]
        return {row["name"]: row["code"] or row["status"] for row in rows}

    @property
    def problem(self) -> str:
        """The problem code of the error screen, the last word of its first line."""
        titles = [line for line in self.err.splitlines() if line.endswith("]") and "[" in line]
        return titles[-1].rpartition("[")[2].rstrip("]") if titles else ""


class Site:
    """One lab and its operators.

    Args:
        folder: Where everything is written.
        population: Hosts and servers; four hosts by default, with a few servers each.
        speed: The region's seconds for one of hacli's.
        configuration: More of hacli.toml.
        token_life_s: How long a token is good, in the region's seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        population: Population | None = None,
        speed: float = SPEED,
        configuration: str = CONFIGURATION,
        token_life_s: float = 3600.0,
    ) -> None:
        self.lab = WatchedLab(
            population or small(4, 12),
            speed=speed,
            folder=folder / "lab",
            token_life_s=token_life_s,
        )
        self.folder = folder
        self.touched: set[str] = set()
        self.rebuilt: tuple[str, ...] | None = ()
        self.haste = 1.0
        self._configuration = configuration

    def start(self) -> None:
        """Open the doors."""
        self.lab.start()
        own = self.folder / "hacli.toml"
        own.touch(mode=0o600)
        theirs = Path(self.lab.env["HACLI_CONFIG"]).read_text(encoding="utf-8")
        own.write_text(theirs + self._configuration, encoding="utf-8")
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            **self.lab.env,
            "HACLI_CONFIG": str(own),
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }

    def stop(self) -> None:
        """Close the doors; then the laws are held against what has happened."""
        broken = self.violations()
        self.lab.stop()
        assert broken == ()

    def violations(self, *, recovered: Collection[str] = ()) -> tuple[str, ...]:
        """Every breach of the laws so far, and of the promise to the hosts ``recovered``."""
        with self.lab.lock:
            truth = self.lab.region.truth()
            ledger = tuple(self.lab.region.machines.ledger)
            requests = tuple(self.lab.requests.records)
        names = {server.id: server.name for server in truth}
        given_up = (
            None
            if self.rebuilt is None
            else frozenset(key for key, name in names.items() if name in self.rebuilt)
        )
        story = Story(
            ledger=ledger,
            requests=requests,
            names=names,
            hosts=self.touched,
            rebuilt=given_up,
            speed=self.lab.speed / self.haste,
        )
        found = check(story)
        for host in recovered:
            found += check_recovery(host, ledger, truth)
        return tuple(f"{violation.law}: {violation.text}" for violation in found)

    def do(self, command: Command) -> None:
        """Do a deed or cause a fault."""
        self.lab.apply(command)

    def lose(self, host: str) -> None:
        """Its kernel panics, and two of the region's minutes pass."""
        self.touched.add(host)
        self.do(Crash(host=host))
        self.lab.advance(LOST_AFTER_S)

    def id_of(self, name: str) -> str:
        """The id of the server of this name."""
        with self.lab.lock:
            return next(s.id for s in self.lab.region.truth() if s.name == name)

    def evacuations(self, name: str | None = None) -> tuple[RequestRecord, ...]:
        """The requests for an evacuation, of this server or of all, in order."""
        wanted = None if name is None else self.id_of(name)
        return tuple(
            record
            for record in self.requests
            if record.target is not None
            and record.target.deed is Deed.EVACUATE
            and wanted in (None, record.target.server)
        )

    def wait_for(self, deed: Deed, running: "Running", *, times: int = 1) -> None:
        """Wait until hacli has asked for so many such deeds, or has ended."""

        def asked() -> bool:
            deeds = [r.target.deed for r in self.requests if r.target is not None]
            return deeds.count(deed) >= times or not running.running

        eventually(asked, within_s=20)

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request to every service so far."""
        with self.lab.lock:
            return tuple(self.lab.requests.records)

    @property
    def claims(self) -> tuple[str, ...]:
        """The hosts that a run has claimed in the CIB."""
        with self.lab.lock:
            sets = tuple(self.lab.region.cluster.cib.root.iter("cluster_property_set"))
        prefix = "hacli-claim-"
        names = (each.get("id", "") for each in sets)
        return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def forced_down(self, host: str) -> bool:
        """Whether Nova was told that the host is down."""
        with self.lab.lock:
            service = self.lab.region.cloud.tables.compute_service(host)
        assert service is not None
        return service.forced_down

    def hacli(self, *words: str, program: tuple[str, ...] = HACLI, **env: str) -> Ended:
        """Run one command to its end."""
        with self.begin(*words, program=program, **env) as process:
            return process.end()

    @contextmanager
    def begin(
        self,
        *words: str,
        program: tuple[str, ...] = HACLI,
        **env: str,
    ) -> Iterator["Running"]:
        """A command that runs, killed at the end if it still does."""
        if program is IMPATIENT:
            self.haste = HASTE
        running = Running((*program, *words), env={**self.env, **env}, folder=self.folder)
        try:
            yield running
        finally:
            running.kill()


@dataclass
class Running:
    """A hacli process. What it writes goes to files, so that it never waits for a reader."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    _ended: Ended | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        stem = f"{time.monotonic_ns():x}"
        self.out, self.err = self.folder / f"{stem}.out", self.folder / f"{stem}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(self.env),
                cwd=ROOT,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self._ended is None and self.running:
            self.process.kill()
            self.process.wait()

    def end(self) -> Ended:
        """Wait until it has ended by itself."""
        if self._ended is None:
            waited = os.times()
            self.process.wait(timeout=LIMIT_S)
            took_s = time.monotonic() - self.began
            after = os.times()
            self._ended = Ended(
                code=self.process.returncode,
                out=self.out.read_text(encoding="utf-8"),
                err=self.err.read_text(encoding="utf-8"),
                took_s=took_s,
                cpu_s=(after.children_user + after.children_system)
                - (waited.children_user + waited.children_system),
            )
        return self._ended
