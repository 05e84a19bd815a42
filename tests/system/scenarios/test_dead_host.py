"""A host dies, in each of the ways in which hosts die, and hacli brings its servers back."""

import pytest

from tests.system.scene import Scene
from tests.system.stack.bmc import Mode
from tests.system.stack.machine import Operation, Outcome


def test_a_host_that_pacemaker_fenced_is_recovered_and_enabled_again(scene: Scene) -> None:
    """The whole way: loss, fencing by off, five steps, power on, enable.

    Servers on volumes come back; those on the host's own disks are left alone and named (L6)
    until the operator gives their disks up.
    """
    host = scene.take()
    volumes, images = scene.boot(host, volumes=4), scene.boot(host, images=2)

    scene.lose(host)
    first = scene.recover(host)
    assert first.code == 3, first
    scene.came_back(volumes, first, source=host)
    assert {server: first.ends[server][0] for server in images} == dict.fromkeys(images, "skipped")
    assert scene.running(images) == dict.fromkeys(images, ())

    second = scene.recover(host, "--local-disks", "image", "--power-on")
    assert second.code == 0, second
    scene.came_back(images, second, source=host)
    assert set(second.ends) == set(images), "nobody is asked for twice"

    enabled = scene.hacli("enable", host, "-o", "jsonl")
    assert enabled.code == 0, enabled
    service = scene.api.services()[scene.plan.nova_name(host)]
    assert (service["state"], service["status"], service["forced_down"]) == ("up", "enabled", False)
    scene.tell(first)


def test_a_host_with_a_full_name_in_nova_is_recovered(scene: Scene) -> None:
    """Pacemaker says compute-4 and Nova compute-4.site.example; the operator may say either."""
    host = scene.take(scene.plan.host_names[-1])
    servers = scene.boot(host, volumes=2)

    scene.lose(host)
    ended = scene.recover(scene.plan.nova_name(host))

    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


def test_a_host_whose_fencing_failed_is_fenced_by_hacli(scene: Scene) -> None:
    """Pacemaker could not reach the BMC. While nobody can, nothing is done (exit 5); once it
    answers, hacli orders the power off and proves it.
    """
    host = scene.take()
    servers = scene.boot(host, volumes=3)
    scene.bmc(host, Mode.UNREACHABLE)
    scene.mark("lost")
    scene.machine(host).crash()
    scene.wait_until_unclean(host)

    refused = scene.recover(host)
    assert refused.code == 5, refused
    assert scene.api.services()[scene.plan.nova_name(host)]["forced_down"] is False
    assert scene.api.evacuations(scene.plan.nova_name(host)) == ()

    scene.bmc(host, Mode.NORMAL)
    ended = scene.recover(host)
    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


def test_a_cut_off_host_never_runs_a_guest_beside_its_copy(scene: Scene) -> None:
    """The guests run on behind a dead network and a dead BMC: nothing is asked for, whatever
    Pacemaker and Nova think. When the BMC answers the host is fenced, and its guests come back.
    """
    host = scene.take()
    servers = scene.boot(host, volumes=3, images=1)
    scene.bmc(host, Mode.UNREACHABLE)
    scene.mark("lost")
    scene.cut(host)
    scene.wait_until_unclean(host)

    refused = scene.recover(host)
    assert refused.code == 5, refused
    scene.untouched(servers, host=host)

    scene.bmc(host, Mode.NORMAL)
    ended = scene.recover(host, "--local-disks", "image")
    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


def test_a_host_whose_service_cannot_be_stopped_is_fenced_and_recovered(scene: Scene) -> None:
    """A failed stop fences (on-fail=fence): the guests were running until then."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.machine(host).service("nova-compute", Operation.STOP, Outcome.FAIL)
    scene.mark("lost")
    scene.facts.kill_compute(host)
    scene.wait_until_fenced(host)

    ended = scene.recover(host)

    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


def test_nova_compute_that_died_alone_is_no_dead_host(scene: Scene) -> None:
    """Law L7: Nova misses its heartbeat, the guests run, and hacli refuses to touch the host.

    One that was fenced before and is back would be asked what it has to start: nothing (exit 0).
    """
    host = scene.take()
    scene.facts.forget_fencing(host)
    servers = scene.boot(host, volumes=2)
    scene.facts.kill_compute(host)

    refused = scene.recover(host)

    assert refused.code == 4, refused
    scene.untouched(servers, host=host)


@pytest.mark.full
def test_a_hung_host_is_fenced_and_recovered(scene: Scene) -> None:
    """Every process stands still, guests included: they are dead only when the power is off."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.mark("lost")
    scene.machine(host).hang()
    scene.wait_until_fenced(host)

    ended = scene.recover(host)

    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)


@pytest.mark.full
def test_a_host_that_lost_its_mains_needs_a_persons_word(scene: Scene) -> None:
    """Host and BMC are dark: no witness is left, and exit 5 says so."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.mark("lost")
    scene.machine(host).lose_power()
    scene.wait_until_unclean(host)

    refused = scene.recover(host)

    assert refused.code == 5, refused
    assert scene.api.evacuations(scene.plan.nova_name(host)) == ()
    assert scene.running(servers) == dict.fromkeys(servers, ())
