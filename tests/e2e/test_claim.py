"""Law L9 with real processes: two commands at once, from two machines as far as files go."""

import signal
from dataclasses import replace

from hacli.lab.request_log import Deed
from tests.e2e.conftest import NewSite
from tests.e2e.site import Ended, Site
from tests.e2e.test_stop import slow_spawns

SERVERS = 8
LONG_S = 10_000.0


def _elsewhere(site: Site, *words: str) -> Ended:
    """A command at another machine, as far as files go: its own locks, its own journal."""
    folder = site.folder / "elsewhere"
    return site.hacli(
        *words, HACLI_STATE_DIR=str(folder / "state"), HACLI_RUN_DIR=str(folder / "run")
    )


def _finish_spawns(site: Site) -> None:
    with site.lab.lock:
        tables = site.lab.region.cloud.tables
        tables.settings = replace(tables.settings, spawn_seconds=1.0)
    site.lab.advance(LONG_S)


def test_two_commands_at_once_are_one_recovery_and_one_refusal(build: NewSite) -> None:
    """Neither shares a lock with the other: the CIB alone tells. Exit 9 names the first.

    The first one's rebuilds take until both others have ended.
    """
    site = build(population=slow_spawns(LONG_S))
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes", "-o", "json") as first:
        site.wait_for(Deed.EVACUATE, first)
        held = site.claims
        second = _elsewhere(site, "recover", "compute-1", "--yes")
        forced = _elsewhere(site, "recover", "compute-1", "--yes", "--take-over")
        _finish_spawns(site)
        ended = first.end()

    told = " ".join(second.err.split())
    assert held == ("compute-1",)
    assert (second.code, second.problem) == (9, "LOCKED"), second.err
    assert f"pid {first.pid}, since" in told
    assert "Another run works on compute-1" in told
    assert "its process runs on this machine" in told
    assert (forced.code, forced.problem) == (9, "LOCKED"), forced.err
    assert ended.code == 0, ended.err
    assert [len(site.evacuations(name)) for name in ended.servers] == [1] * SERVERS
    assert site.claims == ()


def test_the_claim_of_a_killed_run_is_taken_over_by_the_same_command(build: NewSite) -> None:
    """SIGKILL leaves it. Its process is seen to be dead, and it had not asked for anything yet.

    The second command has another journal: nothing but the world tells it so.
    """
    site = build()
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes") as first:
        site.wait_for(Deed.SERVICE, first)
        first.send(signal.SIGKILL)
        first.end()
    left = site.claims

    ended = _elsewhere(site, "recover", "compute-1", "--yes", "-o", "json")

    assert left == ("compute-1",)
    assert ended.code == 0, ended.err
    assert [len(site.evacuations(name)) for name in ended.servers] == [1] * len(ended.servers)
    assert site.claims == ()
