"""Law L9 with real processes: two commands at once, from two machines as far as files go."""

import signal

from hacli.lab.request_log import Deed
from tests.e2e.conftest import NewSite
from tests.e2e.site import Ended, Site
from tests.e2e.test_stop import slow_spawns

SERVERS = 8


def _elsewhere(site: Site, *words: str) -> Ended:
    """A command at another machine, as far as files go: its own locks, its own journal."""
    folder = site.folder / "elsewhere"
    return site.hacli(
        *words, HACLI_STATE_DIR=str(folder / "state"), HACLI_RUN_DIR=str(folder / "run")
    )


def test_two_commands_at_once_are_one_recovery_and_one_refusal(build: NewSite) -> None:
    """Neither shares a lock with the other: the CIB alone tells. Exit 9 names the first."""
    site = build(population=slow_spawns(20.0))
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes", "-o", "json") as first:
        site.wait_for(Deed.EVACUATE, first)
        held = site.claims
        second = _elsewhere(site, "recover", "compute-1", "--yes")
        forced = _elsewhere(site, "recover", "compute-1", "--yes", "--take-over")
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
    """SIGKILL leaves it; its process is seen to be dead, and the journal knows what it asked."""
    site = build(population=slow_spawns(20.0))
    site.lose("compute-1")
    with site.begin("recover", "compute-1", "--yes") as first:
        site.wait_for(Deed.EVACUATE, first)
        first.send(signal.SIGKILL)
        first.end()
    left = site.claims

    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert left == ("compute-1",)
    assert ended.code == 0, ended.err
    assert [len(site.evacuations(name)) for name in ended.servers] == [1] * SERVERS
    assert site.claims == ()
