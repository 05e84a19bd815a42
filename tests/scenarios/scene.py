"""Where a story is played: the site, what is wrong with the ways to it, and its chronicle."""

from dataclasses import dataclass, field

from hacli.config import Settings
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.region import RegionSettings
from tests.fakes.journal import JournalStore
from tests.fakes.nova import WireFault
from tests.fakes.world import Operator, Site, new_site
from tests.scenarios.telling import Line

HOME = "controller-1"
"""Where a command is typed when the story does not say where."""


@dataclass
class Blueprint:
    """How the region is to be built."""

    hosts: int = 4
    full_names: bool = False
    region: RegionSettings = field(default_factory=RegionSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)

    @property
    def names(self) -> tuple[str, ...]:
        """Its machines."""
        return tuple(f"compute-{number}" for number in range(1, self.hosts + 1))


@dataclass
class Controller:
    """One machine on which hacli is run: its journal, its clock."""

    store: JournalStore = field(default_factory=JournalStore)
    ahead_s: float = 0.0


@dataclass
class Scene:
    """Everything that the lines of a story may change.

    ``accepted``: breaches of a law that the design accepts and the story shows.
    """

    blueprint: Blueprint
    site: Site
    settings: Settings = field(default_factory=Settings)
    controllers: dict[str, Controller] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    wires: list[WireFault] = field(default_factory=list)
    deaf: bool = False  # Pacemaker does not answer
    dated: bool = True  # Nova's answers have a Date
    brief: bool = False  # the chronicle leaves out what went well with a single server
    accepted: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def controller(self, name: str) -> Controller:
        """The machine of this name; each has run ids of its own."""
        if name not in self.controllers:
            store = JournalStore(runs=0x10000 * len(self.controllers))
            self.controllers[name] = Controller(store=store)
        return self.controllers[name]

    def set_deaf(self, *, deaf: bool) -> None:
        """Pacemaker answers nobody, or everybody again."""
        self.deaf = deaf
        for operator in self.operators:
            operator.pacemaker.silent = deaf

    def add_wire(self, fault: WireFault, *, for_s: float | None = None) -> None:
        """Something is wrong on the way to Nova, for so long."""
        self.wires.append(fault)
        if for_s is not None:
            self.site.after(for_s, lambda: self.wires.remove(fault))

    @property
    def names(self) -> dict[str, str]:
        """Every server's name by its id."""
        return {s.id: s.name for s in self.site.region.cloud.tables.servers.values()}

    def server(self, name: str) -> str:
        """The id of a server."""
        return next(key for key, known in self.names.items() if known == name)

    def tell(self, text: str, *names: str, who: str = "") -> None:
        """One more line of the chronicle."""
        self.lines.append(Line(who=who, text=text, names=names))


def build(blueprint: Blueprint) -> Scene:
    """A healthy region by this plan."""
    names = blueprint.names
    settings = RegionSettings(
        boot_seconds=blueprint.region.boot_seconds,
        off_seconds=blueprint.region.off_seconds,
        cloud=blueprint.region.cloud,
        cluster=blueprint.cluster,
    )
    aliases = {name: f"{name}.example.org" for name in names} if blueprint.full_names else {}
    return Scene(blueprint=blueprint, site=new_site(*names, settings=settings, aliases=aliases))
