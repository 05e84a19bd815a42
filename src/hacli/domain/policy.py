"""The numbers and choices that an operator may set (``hacli.toml``), with their defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Storage(Enum):
    """Where a host keeps the disks that are not Cinder volumes."""

    SHARED = "shared"
    LOCAL = "local"


class LocalDisks(Enum):
    """What to do with servers whose disk would be rebuilt from the image."""

    SKIP = "skip"
    IMAGE = "image"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What services decide by. Times in seconds."""

    fence_order: tuple[str, ...] = ("pacemaker", "ipmi")
    fence_deadline_s: float = 60.0
    first_read_limit_s: float = 6.0
    evidence_max_age_s: float = 10.0
    silence_limit_s: float = 60.0
    early_disable_limit_s: float = 5.0
    window: int = 32
    per_destination: int = 10  # as many builds as Nova lets a host do at once by default
    retries: int = 1
    poll_s: float = 1.0
    look_s: float = 180.0  # how long to look for a trace of an uncertain request
    settle_s: float = 600.0  # how old an untraced intent must be before it may be asked again
    stuck_s: float = 600.0
    storm_share: float = 0.5
    max_hosts: int = 1
    ephemeral: Storage = Storage.LOCAL
    host_storage: Mapping[str, Storage] = field(default_factory=dict)  # by any name of the host
    aggregate_storage: Mapping[str, Storage] = field(default_factory=dict)  # by aggregate's name

    def unshared(self, hosts: Iterable[str]) -> tuple[str, ...]:
        """Those of the hosts whose storage is not declared shared."""
        return tuple(host for host in hosts if self.storage_of(host) is not Storage.SHARED)

    def storage_of(self, *names: str) -> Storage:
        """Declared storage of the host known by these names; undeclared is local."""
        return next(
            (self.host_storage[name] for name in names if name in self.host_storage),
            self.ephemeral,
        )

    def declared(self, names: Iterable[str], aggregates: Iterable[str]) -> Storage | None:
        """What the configuration says of a host; None: nothing but the safe default.

        The host's own word counts first, then its aggregates', of which a local one wins.
        """
        of_host = [self.host_storage[name] for name in names if name in self.host_storage]
        of_group = [self.aggregate_storage[a] for a in aggregates if a in self.aggregate_storage]
        if of_host:
            return of_host[0]
        if of_group:
            return Storage.LOCAL if Storage.LOCAL in of_group else Storage.SHARED
        return Storage.SHARED if self.ephemeral is Storage.SHARED else None
