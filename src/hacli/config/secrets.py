"""Secrets: from files of one owner, and nowhere else."""

import shlex
import stat
from pathlib import Path

from hacli.errors import Misconfigured, NotPermitted

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(file: Path) -> str:
    """The one line of a secret's file, without its end of line.

    Raises:
        Misconfigured: It is missing, empty, no plain file, or open to others.
        NotPermitted: This user may not read it.
    """
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Misconfigured(f"The secret {file} is not a plain file.")
        if status.st_mode & OTHERS:
            raise Misconfigured(
                f"The secret {file} is open to others.",
                why=f"its mode is {stat.S_IMODE(status.st_mode):04o}; it must be 0600",
                next_steps=(f"chmod 600 {shlex.quote(str(file))}",),
            )
        secret = file.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise Misconfigured(f"The secret {file} does not exist.") from None
    except PermissionError as error:
        raise NotPermitted(source=f"secret {file}", why="permission denied") from error
    except UnicodeDecodeError:
        raise Misconfigured(f"The secret {file} is not UTF-8 text.") from None
    if not secret:
        raise Misconfigured(f"The secret {file} is empty.")
    return secret
