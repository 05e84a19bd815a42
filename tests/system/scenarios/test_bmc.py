"""A BMC that does not do what it is told, or not at once."""

import pytest

from tests.system.scene import Scene
from tests.system.stack.bmc import Mode

pytestmark = pytest.mark.full


@pytest.mark.parametrize("mode", [Mode.DEAD, Mode.WRONG_PASSWORD, Mode.ERROR])
def test_a_host_whose_bmc_does_not_serve_is_left_alone(scene: Scene, mode: Mode) -> None:
    """No proof, no evacuation (L2): exit 5, and the guests run where they ran."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.bmc(host, mode)
    scene.cut(host)
    scene.wait_until_unclean(host)

    refused = scene.recover(host)

    assert refused.code == 5, refused
    scene.untouched(servers, host=host)


def test_a_stuck_bmc_that_reads_on_proves_nothing(scene: Scene) -> None:
    """It acknowledges OFF and goes on to say ON."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.bmc(host, Mode.STUCK)
    scene.cut(host)
    scene.wait_until_unclean(host)

    refused = scene.recover(host)

    assert refused.code == 5, refused
    scene.untouched(servers, host=host)


def test_a_bmc_that_lies_is_outvoted_by_the_heartbeat(scene: Scene) -> None:
    """It reads OFF for a host whose nova-compute still reports: a sign of life vetoes (L1)."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.bmc(host, Mode.LIAR)

    refused = scene.recover(host, "--allow-healthy")

    assert refused.code == 5, refused
    scene.untouched(servers, host=host)


def test_a_slow_bmc_is_waited_for(scene: Scene) -> None:
    """It acknowledges at once and switches off 8 s later: OFF counts when it is read."""
    host = scene.take()
    servers = scene.boot(host, volumes=2)
    scene.bmc(host, Mode.SLOW, seconds=8)
    scene.mark("lost")
    scene.cut(host)
    scene.wait_until_unclean(host)

    ended = scene.recover(host)

    assert ended.code == 0, ended
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)
