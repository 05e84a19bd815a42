"""The main job over real wires: a host dies, its servers come back elsewhere, once."""

from tests.e2e.site import Site


def test_a_dead_host_is_recovered(site: Site) -> None:
    """Fenced with proof, forced down, every server asked for once and verified."""
    site.lose("compute-1")

    ended = site.hacli("recover", "compute-1", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert site.violations(recovered=["compute-1"]) == ()
    assert site.forced_down("compute-1")
    assert [len(site.evacuations(name)) for name in ended.servers] == [1, 1, 1]
