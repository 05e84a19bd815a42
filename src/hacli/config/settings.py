"""What may be configured, and what it means to the domain."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from hacli.config import values
from hacli.config.secrets import read_secret
from hacli.config.tables import Table, Tables
from hacli.domain.hosts import HostNames
from hacli.domain.policy import Policy, Storage
from hacli.domain.power import Bmc

IPMI_PORT = 623
DAY_S = 86400.0
PROBE_TIMEOUT_S = 10.0


class Interface(Enum):
    """Which of a service's endpoints to use, as the catalogue calls it."""

    PUBLIC = "public"
    INTERNAL = "internal"
    ADMIN = "admin"


class Driver(Enum):
    """How a BMC is spoken to."""

    IPMI = "ipmi"


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """Which cloud of clouds.yaml; None leaves it to clouds.yaml and ``OS_*``."""

    name: str | None = None
    interface: str | None = None
    region: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """How the cluster's commands are reached: the first prefix that works is used."""

    prefixes: tuple[tuple[str, ...], ...] = ((),)
    command_timeout_s: float = 20.0


@dataclass(frozen=True, kw_only=True)
class BmcSettings:
    """One BMC. The password stays in its file until somebody asks for the login."""

    driver: str
    address: str
    port: int
    user: str = field(repr=False)
    password_file: Path

    def with_password(self) -> Bmc:
        """The whole login; raises ``Misconfigured`` when the file is missing or others read it."""
        return Bmc(
            driver=self.driver,
            address=self.address,
            port=self.port,
            user=self.user,
            password=read_secret(self.password_file),
            origin="configuration",
        )


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What the configuration says of one host, under the name it uses for it."""

    name: str
    nova: str | None = None
    pacemaker: str | None = None
    storage: Storage | None = None
    bmc: BmcSettings | None = None


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How a node is asked for its own storage; ``{host}`` in the command is its Nova name."""

    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """Directories set by the configuration; None leaves them where they belong."""

    state: Path | None = None
    run: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration. ``files`` are those it was read from, the strongest last."""

    cloud: CloudSettings = field(default_factory=CloudSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    policy: Policy = field(default_factory=Policy)
    probe: ProbeSettings | None = None
    hosts: tuple[HostSettings, ...] = ()
    paths: PathSettings = field(default_factory=PathSettings)
    files: tuple[Path, ...] = ()

    def host_names(self) -> tuple[HostNames, ...]:
        """The hosts with the logins of their BMCs: reads every password file.

        Raises:
            Misconfigured: A password file is missing, empty or readable by others.
        """
        return tuple(
            HostNames(
                label=host.name,
                pacemaker=host.pacemaker,
                nova=host.nova,
                bmc=host.bmc.with_password() if host.bmc else None,
            )
            for host in self.hosts
        )


def read_settings(files: Iterable[Path]) -> Settings:
    """Settings from these files; what a later file says of a key counts. No file: the defaults.

    Raises:
        Misconfigured: A file is missing, is not TOML, or has mistakes: all of them are named.
        NotPermitted: This user may not read one of the files.
    """
    paths = tuple(files)
    tables = Tables(paths)
    hosts = tuple(_read_host(name, table) for name, table in tables.hosts())
    storage = tables.table("storage")
    settings = Settings(
        cloud=_read_cloud(tables.table("cloud")),
        cluster=_read_cluster(tables.table("cluster")),
        probe=_read_probe(storage),
        policy=_read_policy(tables, storage, hosts),
        hosts=hosts,
        paths=_read_paths(tables.table("paths")),
        files=paths,
    )
    storage.complain_of_unknown_keys()
    tables.complain_of_unknown_tables()
    tables.complaints.raise_if_any()
    return settings


def _read_cloud(table: Table) -> CloudSettings:
    interface = table.read("interface", None, values.choice(Interface))
    cloud = CloudSettings(
        name=table.read("name", None, values.text),
        interface=interface.value if interface else None,
        region=table.read("region", None, values.text),
    )
    table.complain_of_unknown_keys()
    return cloud


def _read_cluster(table: Table) -> ClusterSettings:
    default = ClusterSettings()
    cluster = ClusterSettings(
        prefixes=table.read("prefixes", default.prefixes, values.commands),
        command_timeout_s=table.read(
            "command_timeout", default.command_timeout_s, values.duration(1, 600)
        ),
    )
    table.complain_of_unknown_keys()
    return cluster


def _read_probe(storage: Table) -> ProbeSettings | None:
    command = storage.read("probe", None, values.command_for("{host}"))
    timeout_s = storage.read("probe_timeout", PROBE_TIMEOUT_S, values.duration(1, 60))
    return None if command is None else ProbeSettings(command=command, timeout_s=timeout_s)


def _read_policy(tables: Tables, storage: Table, hosts: Iterable[HostSettings]) -> Policy:
    fencing, evacuation = tables.table("fencing"), tables.table("evacuation")
    limits = tables.table("limits")
    if fencing.read("after", "off", values.text) != "off":
        # Accepting "reboot" and leaving the host off all the same would be a lie.
        fencing.complain("after", 'this version knows only "off", the safe state')
    default = Policy()
    policy = Policy(
        fence_order=fencing.read("order", default.fence_order, values.order(default.fence_order)),
        fence_deadline_s=fencing.read(
            "deadline", default.fence_deadline_s, values.duration(5, 3600)
        ),
        evidence_max_age_s=fencing.read(
            # law L3: no older, whoever configures it
            "max_age",
            default.evidence_max_age_s,
            values.duration(1, default.evidence_max_age_s),
        ),
        window=evacuation.read("window", default.window, values.count(1, 256)),
        per_destination=evacuation.read(
            "per_destination", default.per_destination, values.count(1, 64)
        ),
        retries=evacuation.read("retries", default.retries, values.count(0, 10)),
        poll_s=evacuation.read("poll", default.poll_s, values.duration(0.1, 60)),
        stuck_s=evacuation.read("stuck_after", default.stuck_s, values.duration(10, DAY_S)),
        storm_share=limits.read("storm_share", default.storm_share, values.share),
        max_hosts=limits.read("max_hosts", default.max_hosts, values.count(1, 1000)),
        ephemeral=storage.read("ephemeral", default.ephemeral, values.choice(Storage)),
        aggregate_storage=storage.read("aggregates", {}, values.choices(Storage)),
        host_storage={name: kind for host in hosts for name, kind in _storage_by_name(host)},
    )
    for table in (fencing, evacuation, limits):
        table.complain_of_unknown_keys()
    return policy


def _storage_by_name(host: HostSettings) -> Iterator[tuple[str, Storage]]:
    if host.storage is not None:
        for name in (host.name, host.nova, host.pacemaker):
            if name is not None:
                yield name, host.storage


def _read_host(name: str, table: Table) -> HostSettings:
    bmcs = table.tables("bmc")
    if len(bmcs) > 1:
        table.complain("bmc", "this version reads one BMC for each host")
    host = HostSettings(
        name=name,
        nova=table.read("nova", None, values.text),
        pacemaker=table.read("pacemaker", None, values.text),
        storage=table.read("storage", None, values.choice(Storage)),
        bmc=_read_bmc(bmcs[0]) if bmcs else None,
    )
    table.complain_of_unknown_keys()
    return host


def _read_bmc(table: Table) -> BmcSettings:
    for key in ("address", "user", "password_file"):
        if key not in table:
            table.complain(key, "is missing")
    bmc = BmcSettings(
        driver=table.read("driver", Driver.IPMI, values.choice(Driver)).value,
        address=table.read("address", "", values.text),
        port=table.read("port", IPMI_PORT, values.count(1, 65535)),
        user=table.read("user", "", values.text),
        password_file=table.path("password_file") or Path(),
    )
    table.complain_of_unknown_keys()
    return bmc


def _read_paths(table: Table) -> PathSettings:
    paths = PathSettings(state=table.path("state"), run=table.path("run"))
    table.complain_of_unknown_keys()
    return paths
