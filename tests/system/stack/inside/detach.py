#!/usr/bin/python3 -IS
"""detach.py LOG PROGRAM [ARG...]: start PROGRAM as a daemon, and print its pid as seen from here.

It gets a session of its own, no input, and LOG for its words. Its parent ends, so it belongs to
pid 1 of the namespace in which this runs.
"""

import subprocess
import sys


def main() -> None:
    """Start it; a program that cannot be started is an error here and not a line in its log."""
    log, *argv = sys.argv[1:]
    with open(log, "ab") as words:  # noqa: PTH123  starting is often: pathlib takes longer
        daemon = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    sys.stdout.write(f"{daemon.pid}\n")


main()
