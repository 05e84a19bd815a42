"""What one invocation of hacli carries: the global options, and the world once it is needed."""

import os
import sys
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hacli.domain.events import StoredEvent
    from hacli.service.recovery import Context
    from hacli.wiring import Connection


class Output(Enum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class App:
    """One invocation. ``open_connection`` is replaced by tests that bring their own world.

    A plain class: ``hacli --help`` does not pay for what it does not use (dataclasses, pathlib).
    """

    def __init__(self, open_connection: "Callable[[App], Connection] | None" = None) -> None:
        self.arguments: tuple[str, ...] = ()
        self.config: str | None = None
        self.os_cloud: str | None = None
        self.output = Output.TABLE
        self.verbosity = 0
        self.quiet = False
        self.debug = False
        self.color = "auto"
        self.ascii = False
        self.no_input = False
        self.timeout_s: float | None = None
        self.without_cluster = False
        self.command = ""
        self.host: str | None = None  # the host that the command works on, for error screens
        self.run: str | None = None
        self.result_shown = False
        self.listeners: list[Callable[[StoredEvent], None]] = []
        self._open_connection = open_connection
        self._connection: Connection | None = None

    def connect(self) -> "Connection":
        """The world, built on first use from configuration and environment."""
        if self._connection is None:
            _quiet_libraries()
            if self._open_connection is None:
                from hacli.wiring import connect

                self._connection = connect(
                    config=self.config,
                    os_cloud=self.os_cloud,
                    without_cluster=self.without_cluster,
                    listeners=self.listeners,
                    timeout_s=self.timeout_s,
                )
            else:
                self._connection = self._open_connection(self)
        return self._connection

    def close(self) -> None:
        """Give helper processes and files back."""
        if self._connection is not None:
            self._connection.close()

    @property
    def asks(self) -> bool:
        """Whether a question may be asked: on a terminal, unless told otherwise."""
        if self.no_input or os.environ.get("HACLI_NO_INPUT", "") not in ("", "0"):
            return False
        return sys.stdin is not None and sys.stdin.isatty()

    @property
    def plain(self) -> bool:
        """Only ASCII may be written: asked for, or a locale that has nothing else."""
        encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
        return self.ascii or not encoding.startswith("utf")

    def colored(self, stream: object) -> bool:
        """Whether colour codes may be written to this stream (``ux.md`` 7.2)."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("CLICOLOR_FORCE", "") not in ("", "0"):
            return True
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return bool(getattr(stream, "isatty", lambda: False)())

    def context(self, message: str | None, *, take_over: bool = False) -> "Context":
        """Who runs this, for the journal."""
        import getpass
        import platform

        from hacli.service.recovery import Context

        return Context(
            user=os.environ.get("SUDO_USER") or getpass.getuser(),
            controller=platform.node(),
            version=version(),
            arguments=self.arguments,
            message=message,
            take_over=take_over,
        )


def _quiet_libraries() -> None:
    """What libraries log is not for the operator's screen: errors arrive there as errors."""
    import logging

    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def version() -> str:
    """The installed version."""
    from importlib.metadata import version as installed

    return installed("hacli")
