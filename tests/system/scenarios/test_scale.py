"""A full host."""

import pytest

from tests.system.scene import Scene

pytestmark = pytest.mark.full

SERVERS = 100


@pytest.mark.timeout(1200)
def test_a_hundred_servers_come_back(scene: Scene) -> None:
    """Each once, with at most three requests to Nova per server, polls included."""
    host = scene.take()
    servers = scene.boot(host, images=SERVERS)
    scene.lose(host)
    before = scene.nova_requests()

    ended = scene.recover(host, "--local-disks", "image")

    assert ended.code == 0, ended
    assert scene.nova_requests() - before <= 3 * SERVERS
    scene.came_back(servers, ended, source=host)
    scene.tell(ended)
