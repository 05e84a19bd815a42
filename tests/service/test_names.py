"""Names: the machine that is meant, or none."""

from collections.abc import Mapping

import pytest

from hacli.domain.hosts import HostNames
from hacli.errors import Refused, UsageError
from tests.fakes.world import Site
from tests.service.conftest import NewSite

ALIKE = ("compute-1", "compute-10", "compute-11", "compute-1b", "compute-2")
FQDN: Mapping[str, str] = {
    f"compute-{number}": f"compute-{number}.example.org" for number in (1, 2, 10)
}


@pytest.mark.parametrize("name", ["compute-1", "compute-10", "compute-1b"])
def test_recovering_a_host_touches_none_whose_name_begins_alike(build: NewSite, name: str) -> None:
    """compute-1 is neither compute-10 nor compute-1b, in no list, filter or xpath."""
    site = build(*ALIKE)
    ids = {host: site.seed(host, 3, prefix=f"on-{host}") for host in ALIKE}
    site.lose(name)

    result = site.operator().recover(name)

    assert {end.server.id for end in result.evacuated.verified} == set(ids[name])
    assert {call.server for call in site.log.evacuations()} == set(ids[name])
    for other in set(ALIKE) - {name}:
        assert set(site.running(*ids[other]).values()) == {(other,)}


@pytest.mark.parametrize("name", ["compute-1", "compute-1.example.org"])
def test_a_short_node_and_a_long_nova_host_are_one_machine(build: NewSite, name: str) -> None:
    """Joined by their unique short name, and called by either."""
    site = build("compute-1", "compute-2", "compute-10", aliases=FQDN)
    ids = site.seed("compute-1", 3)
    others = site.seed("compute-10", 2, prefix="other")
    site.lose("compute-1")

    result = site.operator().recover(name)

    assert {end.server.id for end in result.evacuated.verified} == set(ids)
    assert set(site.running(*others).values()) == {("compute-10",)}


def test_one_history_under_both_names(build: NewSite) -> None:
    """What a run by one name has recorded is found by a run that is given the other."""
    site = build("compute-1", "compute-2", aliases=FQDN)
    site.seed("compute-1", 2, stopped=1)
    site.lose("compute-1")
    site.operator().recover("compute-1.example.org")

    again = site.operator().recover("compute-1")

    assert again.already is not None
    assert {stored.host for stored in site.store.events} == {"compute-1.example.org"}


def test_the_configuration_joins_names_that_share_nothing(build: NewSite) -> None:
    """``[host.x] pacemaker=, nova=`` decides before any rule."""
    site = build(
        "compute-1",
        "compute-2",
        aliases={"compute-1": "hypervisor-a"},
        configured=(HostNames(label="a", pacemaker="compute-1", nova="hypervisor-a"),),
    )
    ids = site.seed("compute-1", 2)
    site.lose("compute-1")

    result = site.operator().recover("hypervisor-a")

    assert {end.server.id for end in result.evacuated.verified} == set(ids)


def test_an_ambiguous_short_name_is_refused(build: NewSite) -> None:
    """Two Nova hosts for one node: never a guess."""
    site = build(
        "compute-1",
        "compute-2",
        "compute-3",
        aliases={"compute-1": "compute-1.a.example.org", "compute-2": "compute-1.b.example.org"},
    )
    site.seed("compute-1", 2)
    site.lose("compute-1")

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1")

    assert refusal.value.code == "NAME_AMBIGUOUS"
    assert site.log.writes() == ()


def test_a_node_that_nova_does_not_know_is_refused(build: NewSite) -> None:
    """A name that joins nothing names what to configure."""
    site = build("compute-1", "compute-2", aliases={"compute-1": "hypervisor-a"})
    site.seed("compute-1", 2)
    site.lose("compute-1")

    with pytest.raises(Refused) as refusal:
        site.operator().recover("compute-1")

    assert refusal.value.code == "NAME_UNJOINED"
    assert "hacli.toml" in refusal.value.next_steps[0]
    assert site.log.writes() == ()


@pytest.mark.parametrize(
    ("typed", "similar"),
    [("compute-3l", "compute-3"), ("Compute-1", "compute-1"), ("COMPUTE-4", "compute-4")],
)
def test_a_wrong_name_is_answered_with_similar_ones(site: Site, typed: str, similar: str) -> None:
    """Wrong case is a wrong name; the guess is never run."""
    site.seed("compute-1", 1)
    site.lose("compute-1")

    with pytest.raises(UsageError) as error:
        site.operator().recover(typed)

    assert similar in error.value.why
    assert site.log.writes() == ()


def test_a_part_of_a_name_names_nobody(build: NewSite) -> None:
    """``compute`` is no host, though Nova would search by it."""
    site = build(*ALIKE)

    with pytest.raises(UsageError):
        site.operator().recover("compute")
