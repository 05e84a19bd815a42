"""A recovery that is stopped in the middle: by Ctrl-C, or by the host's return."""

import signal
import time
from dataclasses import replace

from hacli.lab.commands import Return
from hacli.lab.request_log import Deed
from hacli.lab.seed import Population, small
from tests.e2e.conftest import NewSite
from tests.e2e.site import CONFIGURATION

PROMPT_S = 1.0
"""Ctrl-C to prompt (``ux.md`` 7.4)."""
BUSY_S = 1.0
"""What a machine that is busy with other tests may add until the process is gone."""
SERVERS = 8


def slow_spawns(seconds: float) -> Population:
    """Eight servers on each of four hosts, whose hypervisors take so long to start a guest."""
    population = small(4, 4 * SERVERS)
    settings = population.settings
    cloud = replace(settings.cloud, spawn_seconds=seconds)
    return replace(population, settings=replace(settings, cloud=cloud))


def test_ctrl_c_gives_the_prompt_back_and_the_same_command_goes_on(build: NewSite) -> None:
    """Within a second, 130, and in words what goes on; nothing is asked for twice."""
    site = build(population=slow_spawns(20.0))
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes") as running:
        site.wait_for(Deed.EVACUATE, running)
        pressed = time.monotonic()
        running.send(signal.SIGINT)
        stopped = running.end()
        took_s = time.monotonic() - pressed
    claims = site.claims

    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert (stopped.code, stopped.problem) == (130, "INTERRUPTED"), stopped.err
    assert took_s < PROMPT_S + BUSY_S
    assert claims == ()
    assert "in flight in Nova" in " ".join(stopped.err.split())
    assert ended.code == 0, ended.err
    assert [len(site.evacuations(name)) for name in ended.servers] == [1] * SERVERS
    assert site.violations(recovered=["compute-1"]) == ()


def test_a_host_that_returns_in_the_middle_ends_the_requests(build: NewSite) -> None:
    """Four are in flight when it boots: no fifth is asked for, and the four are named."""
    site = build(
        population=slow_spawns(400.0), configuration=CONFIGURATION + "window = 4\n", speed=20.0
    )
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes") as running:
        site.wait_for(Deed.EVACUATE, running, times=4)
        site.do(Return(host="compute-1"))
        ended = running.end()

    assert (ended.code, ended.problem) == (1, "SIGN_OF_LIFE"), ended.err
    assert len(site.evacuations()) == 4
    told = " ".join(ended.err.split())
    assert "4 are in flight in Nova (server-01" in told
    assert "4 were not asked for (server-17" in told
