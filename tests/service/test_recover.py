"""`recover`: from a lost host to verified servers."""

from tests.fakes.world import Site


def test_every_server_of_a_lost_host_comes_back_as_it_was(site: Site) -> None:
    """Running servers run elsewhere, stopped ones stay stopped, each exactly once."""
    ids = site.seed("compute-1", 24, stopped=3)
    site.lose("compute-1")

    result = site.operator().recover("compute-1")

    assert result.complete
    assert len(result.evacuated.verified) == 24
    homes = site.running(*ids)
    assert all(len(homes[key]) == 1 for key in ids[:21])
    assert all(homes[key] == () for key in ids[21:])
