"""Over real wires: a host that was fenced and switched on again gets its servers back, in place."""

from hacli.lab.commands import PowerOn
from hacli.lab.request_log import RequestRecord
from tests.e2e.site import Site

BOOTED_S = 60.0


def _starts(site: Site) -> list[RequestRecord]:
    """The requests that start or reboot a server."""
    return [r for r in site.requests if {"reboot", "os-start"} & (r.body or {}).keys()]


def test_a_host_that_came_back_runs_what_ran_before(site: Site) -> None:
    """Status says it, the dry run shows it, recover does it once, and again finds nothing."""
    site.lose("compute-1")
    site.do(PowerOn(host="compute-1"))
    site.lab.advance(BOOTED_S)

    seen = site.hacli("status", "compute-1", "-o", "json")
    planned = site.hacli("recover", "compute-1", "--dry-run", "-o", "json")
    before = _starts(site)
    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json")
    again = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert seen.document["hosts"][0]["codes"] == ["VMS_STOPPED"]
    assert before == []
    assert (ended.code, again.code) == (0, 0), ended.err + again.err
    assert ended.document["in_place"] is True
    assert [r["name"] for r in planned.document["servers"]] == list(ended.servers)
    assert len(_starts(site)) == len(ended.servers) > 0
    assert again.document["servers"] == []
    with site.lab.lock:
        truth = site.lab.region.truth()
    lost = [server for server in truth if "compute-1" in server.defined_on]
    assert all(("compute-1" in s.running_on) == s.originally_running for s in lost)
    assert site.violations() == ()
