"""What may happen to the region: the phrases of *When*."""

from hacli.lab.api_faults import ApiEffect, ApiFault
from hacli.lab.bmcs import BmcFault
from hacli.lab.cloud_records import MigrationStatus, Service
from hacli.lab.commands import (
    BeginColdMove,
    BeginLiveMigration,
    BreakBmc,
    Crash,
    Cut,
    FailNovaApi,
    FailSpawns,
    Hang,
    Join,
    KillCompute,
    PowerOff,
    PowerOn,
    Return,
    SetBackend,
    SetCell,
    SetConductor,
    StickEvacuation,
)
from hacli.lab.rebuild import EvacuationOrder
from tests.fakes.nova import Wire, WireFault
from tests.fakes.world import Operator
from tests.scenarios.givens import add_server
from tests.scenarios.scene import Scene
from tests.scenarios.vocabulary import Vocabulary, seconds

DEED = Vocabulary[None]("what happens")
ACTION = r"servers/[^/]+/action"


@DEED("{host} panics")
def _panics(scene: Scene, operator: Operator | None, host: str) -> None:
    """Its kernel; guests end, the chassis stays on."""
    scene.site.region.apply(Crash(host=host))


@DEED("{host} hangs")
def _hangs(scene: Scene, operator: Operator | None, host: str) -> None:
    """Nothing on it executes, nothing ends; it may go on any time."""
    scene.site.region.apply(Hang(host=host))


@DEED("{host} goes on")
def _goes_on(scene: Scene, operator: Operator | None, host: str) -> None:
    """The hang is over, with all that it held."""
    scene.site.region.apply(Join(host=host))


@DEED("{host} loses power")
def _loses_power(scene: Scene, operator: Operator | None, host: str) -> None:
    """Its power supply; the BMC lives on standby power and reads OFF."""
    scene.site.region.apply(PowerOff(host=host))


@DEED("{host} loses its mains")
def _loses_mains(scene: Scene, operator: Operator | None, host: str) -> None:
    """Both power cords: the BMC is gone with it."""
    scene.site.region.apply(PowerOff(host=host))
    scene.site.region.apply(BreakBmc(host=host, fault=BmcFault.SILENT))


@DEED("{host} has mains again")
def _has_mains(scene: Scene, operator: Operator | None, host: str) -> None:
    """The BMC answers; the chassis stays off."""
    scene.site.region.apply(BreakBmc(host=host, fault=BmcFault.OK))


@DEED("{host} is switched on")
def _switched_on(scene: Scene, operator: Operator | None, host: str) -> None:
    """Somebody presses the button."""
    scene.site.region.apply(PowerOn(host=host))


@DEED("{host} is repaired")
def _repaired(scene: Scene, operator: Operator | None, host: str) -> None:
    """Network joined, and booted anew unless it executes well."""
    scene.site.region.apply(Return(host=host))


@DEED("{host} loses its network")
def _loses_network(scene: Scene, operator: Operator | None, host: str) -> None:
    """Guests run on, unheard; the BMC has a network of its own."""
    scene.site.region.apply(Cut(host=host))


@DEED("{host} loses its network and its BMC")
def _loses_both(scene: Scene, operator: Operator | None, host: str) -> None:
    """The switch of the rack is dead; guests run on."""
    scene.site.region.apply(Cut(host=host))
    scene.site.region.apply(BreakBmc(host=host, fault=BmcFault.SILENT))


@DEED("{host} has its network again")
def _has_network(scene: Scene, operator: Operator | None, host: str) -> None:
    """The cable is back; what executes is heard again."""
    scene.site.region.apply(Join(host=host))


@DEED("{host} loses its management network")
def _loses_management(scene: Scene, operator: Operator | None, host: str) -> None:
    """Pacemaker hears it no more; Nova, guests and storage do not notice."""
    scene.site.region.machines.stop_process(scene.site.region.machines[host], "pacemaker-remoted")


@DEED("nova-compute of {host} dies")
def _compute_dies(scene: Scene, operator: Operator | None, host: str) -> None:
    """Guests run on; Pacemaker starts it again, if it may."""
    scene.site.region.apply(KillCompute(host=host))


def _bmc(words: str, fault: BmcFault, meaning: str) -> None:
    def break_it(scene: Scene, operator: Operator | None, host: str) -> None:
        scene.site.region.apply(BreakBmc(host=host, fault=fault))

    break_it.__doc__ = meaning
    DEED(f"the BMC of {{host}} {words}")(break_it)


for _words, _fault, _meaning in (
    ("falls silent", BmcFault.SILENT, "It answers nobody."),
    ("becomes slow", BmcFault.SLOW, "It answers after 10 s, later than anybody waits."),
    ("lies", BmcFault.LIAR, "It acknowledges off, does nothing, and reads OFF."),
    ("is stuck", BmcFault.STUCK, "It acknowledges off, does nothing, and reads ON."),
    ("refuses the password", BmcFault.DENIED, "Every login fails."),
    ("works again", BmcFault.OK, "And has forgotten its lies."),
):
    _bmc(_words, _fault, _meaning)


@DEED("the BMC of {host} is silent for {time}")
def _bmc_pause(scene: Scene, operator: Operator | None, host: str, time: str) -> None:
    """A firmware update; then it works again."""
    scene.site.region.apply(BreakBmc(host=host, fault=BmcFault.SILENT))
    scene.site.after(
        seconds(time), lambda: scene.site.region.apply(BreakBmc(host=host, fault=BmcFault.OK))
    )


@DEED("Pacemaker does not answer for {time}")
def _deaf(scene: Scene, operator: Operator | None, time: str) -> None:
    """crm_mon and cibadmin hang on every controller; what the cluster does goes on."""
    scene.set_deaf(deaf=True)
    scene.site.after(seconds(time), lambda: scene.set_deaf(deaf=False))


@DEED("quorum is lost")
def _no_quorum(scene: Scene, operator: Operator | None) -> None:
    """The controllers' partition is a minority."""
    scene.site.region.cluster.set_quorum(quorum=False)


@DEED("quorum is back")
def _quorum(scene: Scene, operator: Operator | None) -> None:
    """The partition is whole again."""
    scene.site.region.cluster.set_quorum(quorum=True)


@DEED("the DC moves")
def _dc(scene: Scene, operator: Operator | None) -> None:
    """For 6 s none is elected."""
    cluster = scene.site.region.cluster
    cluster.elected = False

    def elect() -> None:
        cluster.elected = True
        cluster.configuration_changed()

    scene.site.after(6.0, elect)


def _option(name: str, value: str, scene: Scene) -> None:
    scene.site.region.cluster.cib.set_option(name, value)
    scene.site.region.cluster.configuration_changed()


@DEED("the cluster is put into maintenance")
def _maintenance(scene: Scene, operator: Operator | None) -> None:
    """`maintenance-mode=true`: Pacemaker watches and does nothing."""
    _option("maintenance-mode", "true", scene)


@DEED("the cluster leaves maintenance")
def _no_maintenance(scene: Scene, operator: Operator | None) -> None:
    """`maintenance-mode=false`."""
    _option("maintenance-mode", "false", scene)


@DEED("fencing is switched off in Pacemaker")
def _no_fencing(scene: Scene, operator: Operator | None) -> None:
    """`stonith-enabled=false`."""
    _option("stonith-enabled", "false", scene)


@DEED("{host} is put into maintenance")
def _node_maintenance(scene: Scene, operator: Operator | None, host: str) -> None:
    """The node's attribute `maintenance=true`."""
    scene.site.region.cluster.cib.set_attribute(host, "maintenance", "true")
    scene.site.region.cluster.configuration_changed()


@DEED("{host} leaves maintenance")
def _node_no_maintenance(scene: Scene, operator: Operator | None, host: str) -> None:
    """And the attribute goes."""
    scene.site.region.cluster.cib.drop_attribute(host, "maintenance")
    scene.site.region.cluster.configuration_changed()


@DEED("{host} is put into standby")
def _standby(scene: Scene, operator: Operator | None, host: str) -> None:
    """Pacemaker's own word for "run nothing here"; says nothing about life."""
    scene.site.region.cluster.cib.set_attribute(host, "standby", "on")
    scene.site.region.cluster.configuration_changed()


@DEED("the connection to {host} is unmanaged")
def _unmanaged(scene: Scene, operator: Operator | None, host: str) -> None:
    """`is-managed=false` on its remote resource."""
    scene.site.region.cluster.cib.set_meta(host, "is-managed", "false")
    scene.site.region.cluster.configuration_changed()


@DEED("the connection to {host} is stopped by hand")
def _stopped(scene: Scene, operator: Operator | None, host: str) -> None:
    """`pcs resource disable`: looks like a fenced node, and is alive."""
    scene.site.region.cluster.cib.set_target_role(host, "Stopped")
    scene.site.region.cluster.configuration_changed()


@DEED("somebody tells Pacemaker that {host} is off")
def _confirm(scene: Scene, operator: Operator | None, host: str) -> None:
    """`stonith_admin --confirm`, without a look."""
    scene.site.region.cluster.confirm_off(host)


@DEED("Pacemaker is restarted on the controllers")
def _restarted(scene: Scene, operator: Operator | None) -> None:
    """The fencers forget their history."""
    scene.site.region.cluster.set_running(running=False)
    scene.site.region.cluster.set_running(running=True)


@DEED("nova-api is away for {time}")
def _away(scene: Scene, operator: Operator | None, time: str) -> None:
    """Connections are refused: a restart."""
    scene.add_wire(WireFault(Wire.NOT_SENT), for_s=seconds(time))


@DEED("nova-api is silent for {time}")
def _silent(scene: Scene, operator: Operator | None, time: str) -> None:
    """It takes every connection and answers none; nothing is done."""
    scene.add_wire(WireFault(Wire.DROPPED), for_s=seconds(time))


@DEED("nova-api answers 503 for {time}")
def _unavailable(scene: Scene, operator: Operator | None, time: str) -> None:
    """To everything, and nothing is done."""
    for method in ("GET", "POST", "PUT"):
        fault = ApiFault(method=method, path=".*", effect=ApiEffect.UNAVAILABLE, times=None)
        scene.site.region.apply(FailNovaApi(fault=fault))
    scene.site.after(seconds(time), lambda: scene.site.region.apply(FailNovaApi(fault=None)))


@DEED("the next {number} evacuation requests get 503 and are not done")
def _refused_requests(scene: Scene, operator: Operator | None, number: str) -> None:
    """A proxy without a backend."""
    fault = ApiFault(method="POST", path=ACTION, effect=ApiEffect.UNAVAILABLE, times=int(number))
    scene.site.region.apply(FailNovaApi(fault=fault))


@DEED("the next {number} evacuation requests are done and get 502")
def _lost_by_proxy(scene: Scene, operator: Operator | None, number: str) -> None:
    """A proxy that loses the answer."""
    fault = ApiFault(method="POST", path=ACTION, effect=ApiEffect.LOST_ANSWER, times=int(number))
    scene.site.region.apply(FailNovaApi(fault=fault))


@DEED("the next {number} evacuation requests are done and not answered")
def _lost_answers(scene: Scene, operator: Operator | None, number: str) -> None:
    """The way back is cut: a time-out after Nova took it."""
    scene.add_wire(WireFault(Wire.LOST, "POST", ACTION, times=int(number)))


@DEED("the next {number} evacuation requests are lost")
def _lost_requests(scene: Scene, operator: Operator | None, number: str) -> None:
    """The way there is cut after the connection: a time-out, and Nova never saw it."""
    scene.add_wire(WireFault(Wire.DROPPED, "POST", ACTION, times=int(number)))


@DEED("the next force-down is done and not answered")
def _lost_force_down(scene: Scene, operator: Operator | None) -> None:
    """A time-out after Nova wrote it."""
    scene.add_wire(WireFault(Wire.LOST, "PUT", times=1))


@DEED("nova-conductor dies")
def _conductor(scene: Scene, operator: Operator | None) -> None:
    """No heartbeat and no step of an evacuation is written; requests stay `accepted`."""
    scene.site.region.apply(SetConductor(alive=False))


@DEED("nova-conductor is back")
def _conductor_back(scene: Scene, operator: Operator | None) -> None:
    """And works off its queue."""
    scene.site.region.apply(SetConductor(alive=True))


@DEED("RabbitMQ dies")
def _rabbit(scene: Scene, operator: Operator | None) -> None:
    """As if the conductor died: every heartbeat of every service stands still."""
    scene.site.region.apply(SetConductor(alive=False))


@DEED("RabbitMQ is back")
def _rabbit_back(scene: Scene, operator: Operator | None) -> None:
    """And its queues are whole."""
    scene.site.region.apply(SetConductor(alive=True))


@DEED("the cell of {host} is down")
def _cell(scene: Scene, operator: Operator | None, host: str) -> None:
    """Nova shows its services and servers in part or not at all."""
    scene.site.region.apply(SetCell(host=host, down=True))


@DEED("the cell of {host} is up")
def _cell_up(scene: Scene, operator: Operator | None, host: str) -> None:
    """Nova shows all of it again."""
    scene.site.region.apply(SetCell(host=host, down=False))


@DEED("the volume backend dies")
def _backend(scene: Scene, operator: Operator | None) -> None:
    """No volume can be attached anywhere."""
    scene.site.region.apply(SetBackend(backend="lab@fake", up=False))


@DEED("the volume backend is back")
def _backend_back(scene: Scene, operator: Operator | None) -> None:
    """Volumes can be attached."""
    scene.site.region.apply(SetBackend(backend="lab@fake", up=True))


@DEED("guests do not start on {host}")
def _spawn(scene: Scene, operator: Operator | None, host: str) -> None:
    """Every rebuild there fails before its guest starts."""
    scene.site.region.apply(FailSpawns(host=host))


@DEED("rebuilds on {host} fail after the guest has started")
def _late_failure(scene: Scene, operator: Operator | None, host: str) -> None:
    """The guest runs there, and Nova calls it failed."""
    scene.site.region.apply(FailSpawns(host=host, after_start=True))


@DEED("guests start on {host} again")
def _spawn_again(scene: Scene, operator: Operator | None, host: str) -> None:
    """Rebuilds there succeed."""
    scene.site.region.apply(FailSpawns(host=host, on=False))
    scene.site.region.apply(FailSpawns(host=host, on=False, after_start=True))


@DEED("evacuations of {server} stay {status}")
def _stick(scene: Scene, operator: Operator | None, server: str, status: str) -> None:
    """`accepted` or `pre-migrating`, for ever."""
    scene.site.region.apply(
        StickEvacuation(server=scene.server(server), at=MigrationStatus(status))
    )


@DEED("a live migration of {server} to {host} is under way")
def _live(scene: Scene, operator: Operator | None, server: str, host: str) -> None:
    """It copies memory; the guest still runs where it was."""
    scene.site.region.apply(BeginLiveMigration(server=scene.server(server), dest=host))


@DEED("a live migration of {server} to {host} has just switched over")
def _switched(scene: Scene, operator: Operator | None, server: str, host: str) -> None:
    """The guest runs there already; Nova still names the old host."""
    scene.site.region.apply(
        BeginLiveMigration(server=scene.server(server), dest=host, switched=True)
    )


@DEED("a cold migration of {server} to {host} is under way")
def _cold(scene: Scene, operator: Operator | None, server: str, host: str) -> None:
    """The guest is shut down, its disk is being copied."""
    scene.site.region.apply(BeginColdMove(server=scene.server(server), dest=host))


@DEED("{server} appears on {host}")
def _appears(scene: Scene, operator: Operator | None, server: str, host: str) -> None:
    """A server that no list showed before; its guest has not been started."""
    add_server(scene, server, host, ("not running",))


@DEED("somebody evacuates {server} by hand")
def _by_hand(scene: Scene, operator: Operator | None, server: str) -> None:
    """`openstack server evacuate`, past hacli."""
    cloud = scene.site.region.cloud
    row = cloud.tables.servers[scene.server(server)]
    action = cloud.tables.record_action(
        row, "evacuate", request_id=f"req-{cloud.tables.new_uuid('request')}"
    )
    order = EvacuationOrder(server=row, action=action, former=row.vm_state)
    cloud.evacuations.accept(order)


def _service(scene: Scene, host: str) -> Service:
    service = scene.site.region.cloud.tables.compute_service(host)
    assert service is not None
    return service


@DEED("somebody disables {host} in Nova, saying {reason}")
def _disabled(scene: Scene, operator: Operator | None, host: str, reason: str) -> None:
    """`openstack compute service set --disable`."""
    service = _service(scene, host)
    service.disabled, service.disabled_reason = True, reason.strip('"')


@DEED("somebody enables {host} in Nova")
def _enabled(scene: Scene, operator: Operator | None, host: str) -> None:
    """`openstack compute service set --enable`, whatever the reason was."""
    service = _service(scene, host)
    service.disabled, service.disabled_reason = False, None


@DEED("somebody forces {host} down in Nova")
def _forced(scene: Scene, operator: Operator | None, host: str) -> None:
    """`openstack compute service set --down`."""
    _service(scene, host).forced_down = True


@DEED("somebody takes the force-down of {host} away")
def _unforced(scene: Scene, operator: Operator | None, host: str) -> None:
    """`openstack compute service set --up`."""
    _service(scene, host).forced_down = False


@DEED("the clock of {controller} is set right")
def _clock(scene: Scene, operator: Operator | None, controller: str) -> None:
    """It leaps, for the commands that are typed from now on."""
    scene.controller(controller).ahead_s = 0.0


@DEED("Ctrl-C is pressed")
def _ctrl_c(scene: Scene, operator: Operator | None) -> None:
    """At the command above this line."""
    assert operator is not None, "no command is running"
    operator.clock.interrupt_at = operator.clock.monotonic()


@DEED("the command is killed")
def _killed(scene: Scene, operator: Operator | None) -> None:
    """SIGKILL for the command above this line."""
    assert operator is not None, "no command is running"
    operator.process.kill()
