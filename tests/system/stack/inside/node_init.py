#!/usr/bin/python3 -IS
"""node_init.py BOOT.json: pid 1 of a node.

Starts in fresh mount, pid, uts and ipc namespaces, in the node's network namespace. Makes the node
its own world out of the machine's files, starts its daemons and then collects what ends, for ever.
BOOT.json is what ``node.Node.prepare`` has written.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

# <sys/mount.h>
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
MACHINE_ETC = Path("/run/machine/etc")
NODE = Path("/run/node")
OWN_TREES = {"/run": "755", "/tmp": "1777", "/dev/shm": "1777", "/var/tmp": "1777"}
READY_LIMIT_S = 10.0


def main() -> None:
    """Boot, and never end: the kernel ends the node's processes when pid 1 does."""
    boot = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(boot["folder"])
    write_record(folder / "init.pid")
    build_files(folder, boot)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the kernel keeps from a pid 1
    socket.sethostname(boot["name"])
    os.environ.clear()
    os.environ.update(boot["environment"])
    Event().wait(boot["boot_s"])
    subprocess.run(["ip", "link", "set", boot["interface"], "up"], check=True)
    start_daemons(folder / "log", boot["daemons"], boot["ready"])
    (folder / "ready").touch()
    collect()


def write_record(record: Path) -> None:
    """Pid and start time as the machine sees them: ``/proc`` still is the machine's."""
    pid = Path("/proc/self").readlink()
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    new = record.with_suffix(".new")
    new.write_text(f"{pid} {started}\n")
    new.rename(record)


def build_files(folder: Path, boot: Mapping[str, Any]) -> None:
    """A world that shares the machine's files and cannot write them."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    # An open folder can still be mounted when another mount has hidden it.
    visible = {path: handle_of(path) for path in sorted(boot["visible"])}
    disk = handle_of(folder / "disk")
    for tree, mode in OWN_TREES.items():
        mount("tmpfs", tree, "tmpfs", 0, f"mode={mode}")
    for part in ("lib", "log", "cache"):
        bind(disk / part, f"/var/{part}")
    for path, handle in visible.items():
        show_again(Path(path), handle)
    NODE.mkdir()
    bind(folder, NODE)  # not a link: Pacemaker's user may not be allowed to walk to the folder
    Path("/run/lock").mkdir()
    build_etc()
    bind(boot["writable"], boot["writable"])  # before what is laid over a part of it
    for place, files in boot["overlays"].items():
        lay_over(place, files)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    mount(None, "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    mount("proc", "/proc", "proc")


def handle_of(path: str | Path) -> Path:
    """A way to a folder that stays open when it is hidden."""
    return Path(f"/proc/self/fd/{os.open(path, os.O_PATH)}")


def show_again(path: Path, handle: Path) -> None:
    """Mount a folder where it was, unless it still is there."""
    if not (path.exists() and path.samefile(handle)):
        path.mkdir(parents=True, exist_ok=True)
        bind(handle, path)


def build_etc() -> None:
    """The machine's ``/etc`` with the node's entries in place of its own.

    Links and no overlay: a file that an overlay's lower folder gets later is not always seen.
    """
    MACHINE_ETC.mkdir(parents=True)
    mount("/etc", MACHINE_ETC, None, MS_BIND | MS_REC)
    mount("tmpfs", "/etc", "tmpfs", 0, "mode=755")
    own = {entry.name: entry for entry in (NODE / "etc").iterdir()}
    machine = {entry.name: entry for entry in MACHINE_ETC.iterdir()}
    for name, entry in {**machine, **own}.items():
        Path("/etc", name).symlink_to(entry.readlink() if entry.is_symlink() else entry)


def lay_over(place: str, files: Mapping[str, str]) -> None:
    """Files on top of a folder; both stay as they are while the node runs."""
    top = Path(f"/run/overlay{place}")
    for name, file in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, top / name)
    mount("overlay", place, "overlay", 0, f"lowerdir={top}:{place}")


def bind(source: str | Path, target: str | Path) -> None:
    """Show a folder at a second place."""
    mount(source, target, None, MS_BIND)


def mount(
    source: str | Path | None,
    target: str | Path,
    kind: str | None,
    flags: int = 0,
    options: str | None = None,
) -> None:
    """``mount(2)``: twenty calls of the program would take longer than all the rest.

    Raises:
        OSError: The kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    words = [None if word is None else str(word).encode() for word in (source, target, kind)]
    if libc.mount(*words, flags, options.encode() if options else None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def start_daemons(
    logs: Path, daemons: Mapping[str, Sequence[str]], ready: Mapping[str, Sequence[str]]
) -> None:
    """One after another, each in a session of its own."""
    for name, argv in daemons.items():
        with (logs / f"{name}.log").open("ab") as log:
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if name in ready:
            wait_until_succeeds(ready[name])


def wait_until_succeeds(argv: Sequence[str]) -> None:
    """Run a command again and again; end the node when it never succeeds."""
    pause = Event()
    for _ in range(int(READY_LIMIT_S / 0.05)):
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            return
        pause.wait(0.05)
    sys.exit(f"not within {READY_LIMIT_S:g} s: {' '.join(argv)}")


def collect() -> None:
    """Take the exit code of whatever the node's daemons leave behind."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


main()
