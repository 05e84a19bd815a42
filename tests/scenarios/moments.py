"""When something happens: the phrases behind ``when`` and ``after``."""

from collections.abc import Callable

from hacli.domain.events import StepDone, StepStarted
from hacli.lab.cloud_records import MigrationStatus
from tests.fakes.world import Operator
from tests.scenarios.scene import Scene
from tests.scenarios.vocabulary import Vocabulary, seconds

Ask = Callable[[], bool]
MOMENT = Vocabulary[Ask]("when it happens")
ARRIVED = (MigrationStatus.DONE, MigrationStatus.COMPLETED)


@MOMENT("after {time}")
def _later(scene: Scene, operator: Operator | None, time: str) -> Ask:
    """So long after the line before; `40 s`, `10 min`, `2 h`."""
    due = scene.site.now + seconds(time) - 1e-6
    return lambda: scene.site.now >= due


@MOMENT("Pacemaker has lost {host}")
def _lost(scene: Scene, operator: Operator | None, host: str) -> Ask:
    """The node is unclean, or its connection has failed."""
    node = scene.site.region.cluster.nodes[host]
    return lambda: node.unclean or not node.connected


@MOMENT("Pacemaker has fenced {host}")
def _fenced(scene: Scene, operator: Operator | None, host: str) -> Ask:
    """Its fence history has a success, and the CIB knows."""
    node = scene.site.region.cluster.nodes[host]
    return lambda: bool(node.node_fenced)


@MOMENT("Pacemaker is fencing {host}")
def _fencing(scene: Scene, operator: Operator | None, host: str) -> Ask:
    """An order is under way."""
    orders = scene.site.region.cluster.fencer
    return lambda: any(order.target == host for order in orders.orders)


@MOMENT("{host} has rejoined")
def _joined(scene: Scene, operator: Operator | None, host: str) -> Ask:
    """Pacemaker is connected to it."""
    node = scene.site.region.cluster.nodes[host]
    return lambda: node.connected


@MOMENT("Nova calls {host} down")
def _down(scene: Scene, operator: Operator | None, host: str) -> Ask:
    """Its heartbeat is older than a minute, or it is forced down."""
    tables = scene.site.region.cloud.tables
    service = tables.compute_service(host)
    assert service is not None
    return lambda: not tables.is_up(service)


@MOMENT("{number} servers are asked for")
def _asked(scene: Scene, operator: Operator | None, number: str) -> Ask:
    """So many evacuation requests of the story have reached Nova, whatever it answered."""
    return lambda: len(scene.site.log.evacuations()) >= int(number)


@MOMENT("{number} servers are rebuilt")
def _rebuilt(scene: Scene, operator: Operator | None, number: str) -> Ask:
    """So many evacuations of the story have arrived."""
    found = scene.site.region.cloud.tables.migrations
    return lambda: sum(m.status in ARRIVED for m in found) >= int(number)


@MOMENT("{server} is on its way to {host}")
def _flying(scene: Scene, operator: Operator | None, server: str, host: str) -> Ask:
    """An evacuation of it is open, with this destination."""
    key, found = scene.server(server), scene.site.region.cloud.tables.migrations
    return lambda: any(
        m.server == key and m.dest == host and m.status is MigrationStatus.PRE_MIGRATING
        for m in found
    )


@MOMENT("a rebuild has failed")
def _failed(scene: Scene, operator: Operator | None) -> Ask:
    """A record reads `failed` or `error`."""
    bad = (MigrationStatus.FAILED, MigrationStatus.ERROR)
    return lambda: any(m.status in bad for m in scene.site.region.cloud.tables.migrations)


@MOMENT("{step} begins")
def _begins(scene: Scene, operator: Operator | None, step: str) -> Ask:
    """A step of the command above this line: `fence`, `force-down`, `evacuate`, `chain`…"""
    assert operator is not None, "no command is running"
    return lambda: any(
        isinstance(e, StepStarted) and e.step == step for e in scene_events(operator)
    )


@MOMENT("{step} is done")
def _done(scene: Scene, operator: Operator | None, step: str) -> Ask:
    """A step of the command above this line has ended."""
    assert operator is not None, "no command is running"
    return lambda: any(isinstance(e, StepDone) and e.step == step for e in scene_events(operator))


def scene_events(operator: Operator) -> tuple[object, ...]:
    """What this command has recorded."""
    runs = operator.store.events
    newest = runs[-1].run if runs else None
    return tuple(stored.event for stored in runs if stored.run == newest)
