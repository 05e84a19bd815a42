"""This machine and its processes, by the kernel's own files (proc(5), pid_namespaces(7))."""

import os
from pathlib import Path

from hacli.domain.claim import ProcessId

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE, _STARTED = 3 - 3, 22 - 3
"""``state`` and ``starttime`` are fields 3 and 22 of ``stat``; the third is the first behind the
name's bracket.
"""


class LinuxMachine:
    """The machine on which this process runs. Fits ``ports.Machine``."""

    def own_process(self) -> ProcessId:
        """This process."""
        pid = os.getpid()
        fields = _stat(pid)
        return ProcessId(
            boot=_BOOT_ID.read_text(encoding="ascii").strip(),
            namespace=str(Path("/proc/self/ns/pid").stat().st_ino),
            pid=pid,
            started=int(fields[_STARTED]) if fields is not None else 0,
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
        fields = _stat(process.pid)
        if fields is None:
            return True
        if fields[_STATE] in "ZX":  # dead, and nobody has asked for its end yet
            return False
        return process.started in (0, int(fields[_STARTED]))


def _stat(pid: int) -> list[str] | None:
    """Its ``stat`` from the third field on; None when that cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
