"""This machine and its processes, by the kernel's own files (proc(5), pid_namespaces(7))."""

import os
from pathlib import Path

from hacli.domain.claim import ProcessId

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED = 22 - 3
"""``starttime`` is field 22 of ``stat``; the third is the first behind the name's bracket."""


class LinuxMachine:
    """The machine on which this process runs. Fits ``ports.Machine``."""

    def own_process(self) -> ProcessId:
        """This process."""
        pid = os.getpid()
        started = _started(pid)
        return ProcessId(
            boot=_BOOT_ID.read_text(encoding="ascii").strip(),
            namespace=str(Path("/proc/self/ns/pid").stat().st_ino),
            pid=pid,
            started=started if started is not None else 0,
        )

    def runs(self, process: ProcessId) -> bool:
        """Whether it runs: its pid is in use, and not by one that was started at another time.

        The signal is asked, not /proc, which may hide the processes of others (hidepid).
        """
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        started = _started(process.pid)
        return started is None or process.started in (0, started)


def _started(pid: int) -> int | None:
    """When it was started, in clock ticks since boot; None when that cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[_STARTED])
