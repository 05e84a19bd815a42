"""A node: a controller, the operating system of a compute host, or the cloud's services.

It is a pid, mount, uts and ipc namespace in a network namespace of its own. Its pid 1 is
``inside/node_init.py``; when that is killed the kernel ends every process of the node.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.system.stack import processes
from tests.system.stack.network import NAMESPACES, Net, Network
from tests.system.stack.plan import Plan
from tests.system.stack.processes import PLAIN_ENVIRONMENT, Process
from tests.system.stack.waiting import wait_until

INSIDE = Path(__file__).parent / "inside"
CHECKOUT = Path(__file__).parents[3]
PYTHON = ("/usr/bin/python3", "-I", "-S")
"""The machine's own, bare: what runs inside nodes needs no environment."""


class NotRunning(Exception):
    """The node, or a daemon of it, is not running."""


Overlays = Mapping[str, Mapping[str, str]]
"""Files that a folder has in a node only, or that stand there in place of the machine's:
folder -> (name -> file)."""


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What a node does when it boots.

    Args:
        boot_s: Between power-on and its network.
        daemons: Programs started in this order, by name; each with the words to start it.
        env: Of the daemons, on top of the plain environment.
        ready: By daemon: a command that succeeds when the next daemon may start.
    """

    boot_s: float = 0.0
    overlays: Overlays = field(default_factory=dict)
    daemons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the stack, running or not.

    Inside: ``/run``, ``/tmp`` and ``/dev/shm`` are new at each boot; ``/var/lib``, ``/var/log`` and
    ``/var/cache`` are on the node's disk (``plan.disk(name)/{lib,log,cache}``); ``/run/node`` is
    ``folder``; an entry of ``folder/etc`` stands in place of the machine's in ``/etc``, and what is
    written into it later is seen at once. The machine's own files can be read and not written.
    """

    plan: Plan
    name: str

    @property
    def folder(self) -> Path:
        """Its disk, its records, its logs."""
        return self.plan.node_folder(self.name)

    @property
    def pid(self) -> int:
        """Of its pid 1, as the machine sees it.

        Raises:
            NotRunning: It is off, or has crashed.
        """
        init = self._init
        if init is None or not init.alive:
            raise NotRunning(f"{self.name} is not running")
        return init.pid

    @property
    def running(self) -> bool:
        """Its pid 1 lives."""
        init = self._init
        return init is not None and init.alive

    def processes(self) -> tuple[Process, ...]:
        """All that live in its pid namespace, its pid 1 first. Raises as ``pid``."""
        space = processes.namespace_of(self.pid, "pid")
        found = (p for p in processes.everyone() if processes.namespace_of(p.pid, "pid") == space)
        return tuple(sorted(found, key=lambda process: process.pid != self.pid))

    def command(self, *argv: str) -> tuple[str, ...]:
        """The words that run ``argv`` inside all of the node's namespaces. Raises as ``pid``."""
        enter = ("nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p")
        plain = (f"{name}={value}" for name, value in PLAIN_ENVIRONMENT.items())
        return (*enter, "--", "env", *plain, *argv)

    def run(
        self,
        *argv: str,
        timeout_s: float = 60,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, to its end.

        Raises:
            NotRunning: The node is off.
            CommandFailed: Its exit code is not 0 (``check``).
            subprocess.TimeoutExpired: It was ended after ``timeout_s``.
        """
        words = self.command(*_environment(env), *argv)
        return processes.run(words, timeout_s=timeout_s, stdin=stdin, check=check)

    def start(
        self,
        name: str,
        *argv: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start a daemon inside; its words go to ``folder/log/NAME.log``.

        Raises:
            NotRunning: The node is off, or the daemon has ended at once.
        """
        log = self.folder / "log" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        place = _environment(env, cwd)
        started = processes.run(self.command(*processes.detached(log, *place, *argv)))
        process = self._seen_from_outside(int(started.stdout))
        if process is None:
            raise NotRunning(f"{name} in {self.name} ended at once: {tail(log)}")
        process.write(self._record(name))

    def is_alive(self, name: str) -> bool:
        """Whether a daemon started by ``start`` lives."""
        process = processes.read_record(self._record(name))
        return process is not None and process.alive

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to a daemon started by ``start``; nothing when it is gone."""
        process = processes.read_record(self._record(name))
        if process is not None:
            process.signal(signum)

    def stop(self, name: str, *, within_s: float = 30) -> None:
        """Ask a daemon to end (SIGTERM), and end it when it has not after ``within_s``."""
        process = processes.read_record(self._record(name))
        if process is not None:
            process.end(within_s=within_s)

    def prepare(self, boot: Boot, *, etc: Mapping[str, str | bytes]) -> None:
        """Write down what the node does at each boot, and make its disk.

        Args:
            etc: Files by their name below ``/etc``; what else is in the folder of one
                (``hacli/hacli.toml``: in ``/etc/hacli``) is not seen inside.
        """
        for part in ("lib", "log", "cache"):
            (self.plan.disk(self.name) / part).mkdir(parents=True, exist_ok=True)
        for part in ("log", "daemons", "etc"):
            (self.folder / part).mkdir(exist_ok=True)
        for name, content in etc.items():
            file = self.folder / "etc" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        visible = (
            CHECKOUT,
            sys.prefix,
            sys.base_prefix,
            self.plan.folder,
            self.plan.cache.resolve(),
        )
        words = {
            **asdict(boot),
            "name": self.name,
            "folder": str(self.folder),
            "writable": str(self.plan.folder),
            "visible": sorted({str(folder) for folder in visible}),
            "interface": Net.MANAGEMENT.interface,
            "environment": {**PLAIN_ENVIRONMENT, **boot.env},
        }
        (self.folder / "boot.json").write_text(json.dumps(words, indent=1))

    def boot(self) -> None:
        """Start it, and return when its pid 1 exists; nothing when it runs.

        Its network comes up ``boot_s`` later, unless it is cut off.

        Raises:
            TimedOut: It has no pid 1 after 10 s; its console says why.
        """
        if self.running:
            return
        for stale in ("init.pid", "ready"):
            (self.folder / stale).unlink(missing_ok=True)
        self._network.switch_interface(self.name, Net.MANAGEMENT, on=False)
        if not self.is_cut_off:
            self._network.plug(self.name, Net.MANAGEMENT)
        console = self.folder / "console.log"
        processes.start(
            console,
            *("nsenter", f"--net={NAMESPACES / self.plan.namespace(self.name)}"),
            *("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child=SIGKILL"),
            *(*PYTHON, str(INSIDE / "node_init.py"), str(self.folder / "boot.json")),
        )
        wait_until(
            lambda: self.running,
            f"pid 1 of {self.name}, see {console}",
            within_s=10,
            every_s=0.005,
        )

    def wait_until_ready(self, *, within_s: float = 30) -> None:
        """Return when it has booted: its network is up and its daemons are started.

        Raises:
            NotRunning: It has died meanwhile; the text has the end of its console.
            TimedOut: It has not booted within ``within_s``.
        """
        console = self.folder / "console.log"

        def ready() -> bool:
            if not self.running:
                raise NotRunning(f"{self.name} died while it booted:\n{tail(console)}")
            return (self.folder / "ready").exists()

        wait_until(ready, f"boot of {self.name}, see {console}", within_s=within_s, every_s=0.02)

    def kill(self) -> None:
        """End every process of it at once, as a crash or the loss of power does.

        Silence comes first: a host that dies cannot close its connections.
        """
        self._network.unplug(self.name, Net.MANAGEMENT)
        processes.kill_recorded(self.folder / "init.pid")

    @property
    def is_cut_off(self) -> bool:
        """Its network cable is out, whether it runs or not."""
        return (self.folder / "cut").exists()

    def cut(self) -> None:
        """Pull its network cable; everything in it runs on."""
        (self.folder / "cut").touch()
        self._network.unplug(self.name, Net.MANAGEMENT)

    def join(self) -> None:
        """Put its network cable back."""
        (self.folder / "cut").unlink(missing_ok=True)
        if self.running:
            self._network.plug(self.name, Net.MANAGEMENT)

    @property
    def _network(self) -> Network:
        return Network(plan=self.plan)

    @property
    def _init(self) -> Process | None:
        return processes.read_record(self.folder / "init.pid")

    def _record(self, daemon: str) -> Path:
        return self.folder / "daemons" / f"{daemon}.pid"

    def _seen_from_outside(self, pid: int) -> Process | None:
        return next((p for p in self.processes() if processes.pid_inside(p.pid) == pid), None)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log; empty when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _environment(env: Mapping[str, str] | None, cwd: Path | None = None) -> tuple[str, ...]:
    place = () if cwd is None else (f"--chdir={cwd}",)
    variables = tuple(f"{name}={value}" for name, value in (env or {}).items())
    return ("env", *place, *variables) if place or variables else ()
