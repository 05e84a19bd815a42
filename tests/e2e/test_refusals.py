"""What hacli refuses, by its exit code and problem code; nothing is ordered meanwhile."""

from contextlib import ExitStack

import pytest

from hacli.lab.commands import Return, SetCell
from hacli.lab.region import Region
from hacli.lab.seed import Population
from tests.e2e.conftest import NewSite
from tests.e2e.site import Site

ALIKE = ("compute-1", "compute-10", "compute-1.example.org", "compute-2", "compute-3")


@pytest.mark.parametrize("verb", ["recover", "evacuate", "fence"])
def test_a_healthy_host_is_refused(site: Site, verb: str) -> None:
    """Its connection is Started: nothing is ordered. `evacuate` calls it not proven off."""
    ended = site.hacli(verb, "compute-2", "--yes")

    wanted = (5, "NOT_FENCED") if verb == "evacuate" else (4, "HOST_HEALTHY")
    assert (ended.code, ended.problem) == wanted, ended.err
    assert site.lab.orders == ()


def test_a_question_without_a_terminal_is_refused_before_anything_is_asked(site: Site) -> None:
    """No terminal and no ``--yes``: exit 2, and not even a look at the cluster or the cloud."""
    site.lose("compute-1")

    with ExitStack() as opened:
        running = [
            opened.enter_context(site.begin(verb, "compute-1"))
            for verb in ("recover", "evacuate", "fence")
        ]
        ends = [one.end() for one in running]

    assert [ended.code for ended in ends] == [2, 2, 2]
    assert (site.requests, site.lab.tools) == ((), [])


def test_a_host_that_was_repaired_is_not_fenced_again(site: Site) -> None:
    """Recovered, returned, enabled; then the same command once more finds nothing (law L7)."""
    site.lose("compute-1")
    recovered = site.hacli("recover", "compute-1", "--yes")
    again = site.hacli("recover", "compute-1", "--yes", "-o", "json")
    site.do(Return(host="compute-1"))
    enabled = site.hacli("enable", "compute-1", "--timeout", "30s")
    before = site.lab.orders

    last = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert (recovered.code, again.code, enabled.code) == (0, 0, 0), enabled.err
    assert "recovered already" in again.document["already"]
    assert last.code == 0, last.err
    assert "none of its VMs waits" in last.document["already"]
    assert site.lab.orders == before
    assert not site.forced_down("compute-1")


def test_a_dry_run_only_looks(site: Site) -> None:
    """Every command that acts, with ``--dry-run``: GETs and a login, nothing else."""
    site.lose("compute-1")
    verbs = ("recover", "evacuate", "fence", "disable", "enable")

    with ExitStack() as opened:
        running = [
            opened.enter_context(site.begin(verb, "compute-1", "--dry-run")) for verb in verbs
        ]
        ends = [one.end() for one in running]

    assert [ended.code for ended in ends] == [0] * 5, [ended.err for ended in ends]
    assert site.lab.orders == ()
    assert {record.method for record in site.requests} == {"GET", "POST"}  # POST: the login


def test_who_is_no_administrator_is_told_so(site: Site) -> None:
    """Exit 8: Nova shows such a user no other project's servers, and that is not "none"."""
    site.lose("compute-1")

    ended = site.hacli("recover", "compute-1", "--yes", "--os-cloud", "lab-operator")

    assert (ended.code, ended.problem) == (8, "NOT_PERMITTED"), ended.err
    assert site.lab.orders == ()


def test_a_cell_that_is_down_is_not_an_empty_host(site: Site) -> None:
    """Nova leaves its servers out of the list without a word: never "0 VMs, recovered"."""
    site.lose("compute-1")
    site.do(SetCell(host="compute-1", down=True))

    ended = site.hacli("recover", "compute-1", "--yes")

    assert ended.code == 6, ended.err
    assert "RECOVERED" not in ended.out
    assert site.lab.orders == ()


@pytest.mark.parametrize("name", ["compute-1", "compute-1.example.org"])
def test_names_that_begin_alike_are_other_machines(build: NewSite, name: str) -> None:
    """All three are lost; one is recovered, and nothing is done to the two others."""
    site = build(population=Population(hosts=ALIKE, fill=_fill))
    for host in ALIKE[:3]:
        site.lose(host)
    orders = set(site.lab.bmc_orders)

    ended = site.hacli("recover", name, "--yes", "--allow-storm", "-o", "json")

    assert ended.code == 0, ended.err
    assert {host for host, _ in set(site.lab.bmc_orders) - orders} <= {name}
    changed = [record.target.host for record in site.requests if record.changed and record.target]
    assert set(changed) == {name}
    assert [host for host in ALIKE if site.forced_down(host)] == [name]
    assert site.violations(recovered=[name]) == ()


def test_two_recoveries_of_one_host_at_once(site: Site) -> None:
    """One works, the other ends with 9 and says who does."""
    site.lose("compute-1")

    with (
        site.begin("recover", "compute-1", "--yes") as one,
        site.begin("recover", "compute-1", "--yes") as other,
    ):
        first, second = sorted((one.end(), other.end()), key=lambda ended: ended.code)

    assert (first.code, second.code) == (0, 9), first.err + second.err
    assert second.problem == "LOCKED"
    assert f"pid {one.pid}" in second.err or f"pid {other.pid}" in second.err
    assert len(site.evacuations()) == 3


def _fill(region: Region) -> None:
    for host in ALIKE:
        for number in range(2):
            region.cloud.add_server(f"{host}-vm-{number}", host)
