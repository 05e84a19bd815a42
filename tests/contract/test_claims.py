"""The claim of a host in the CIB, by hacli's adapter; design section 5."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.site import Site

MINE = "v1 run=r-000001 user=alice since=2026-11-22T05:46:08Z"
OTHER = "v1 run=r-000002 user=b%27ob since=2026-11-22T05:46:09Z"
RACERS = 6


@pytest.fixture
def host(site: Site) -> Iterator[str]:
    """A host that nobody has, before and after."""
    name = site.nova_host(site.hosts[0])
    yield name
    left = site.cluster.read_claim(name).text
    if left is not None:
        site.cluster.delete_claim(name, left, timeout_s=20.0)


class TestClaims:
    """Created once, swapped if unchanged, deleted if ours."""

    def test_exactly_one_of_several_gets_the_host(self, site: Site, host: str) -> None:
        """And all of them then read the same holder, in a CIB that counts."""
        texts = [f"v1 run=r-00000{number}" for number in range(RACERS)]
        with ThreadPoolExecutor(RACERS) as racers:
            made = list(racers.map(lambda text: site.cluster.create_claim(host, text), texts))

        state = site.cluster.read_claim(host)

        assert made.count(True) == 1
        assert state.text == texts[made.index(True)]
        assert state.counts

    def test_a_claim_is_seen_in_every_read(self, site: Site, host: str) -> None:
        """In the whole view, and beside the state of a node."""
        assert site.cluster.create_claim(host, MINE)

        view = site.cluster.read_view()
        state = site.cluster.read_node_state(site.hosts[0], claim=host)

        assert view.claims == {host: MINE}
        assert (state.claim, state.in_cluster, state.with_quorum) == (MINE, True, True)

    def test_a_claim_is_replaced_only_if_it_is_the_one_that_was_read(
        self, site: Site, host: str
    ) -> None:
        """The second one who read the same old claim comes too late."""
        site.cluster.create_claim(host, MINE)

        first = site.cluster.replace_claim(host, MINE, OTHER)
        second = site.cluster.replace_claim(host, MINE, "v1 run=r-000003")

        assert (first, second) == (True, False)
        assert site.cluster.read_claim(host).text == OTHER

    def test_a_claim_that_was_taken_over_is_not_deleted_by_its_old_holder(
        self, site: Site, host: str
    ) -> None:
        """What is there then is told."""
        site.cluster.create_claim(host, MINE)
        site.cluster.replace_claim(host, MINE, OTHER)

        left = site.cluster.delete_claim(host, MINE, timeout_s=20.0)

        assert left == OTHER
        assert site.cluster.read_claim(host).text == OTHER

    def test_a_deleted_claim_leaves_nothing(self, site: Site, host: str) -> None:
        """The host may be claimed again; deleting what is not there is fine."""
        site.cluster.create_claim(host, MINE)

        first = site.cluster.delete_claim(host, MINE, timeout_s=20.0)
        second = site.cluster.delete_claim(host, MINE, timeout_s=20.0)

        assert (first, second) == (None, None)
        assert site.cluster.read_view().claims == {}
        assert site.cluster.create_claim(host, OTHER)

    def test_a_claim_changes_nothing_else(self, site: Site, host: str) -> None:
        """The CIB is valid with it, and the options of the cluster are as before."""
        before = site.cluster.read_view()
        site.cluster.create_claim(host, MINE)

        after = site.cluster.read_view()

        assert (after.name, after.fencing_enabled, after.maintenance_mode) == (
            before.name,
            before.fencing_enabled,
            before.maintenance_mode,
        )
        assert [node.chain for node in after.nodes] == [node.chain for node in before.nodes]

    def test_members_are_told_from_compute_nodes(self, site: Site, host: str) -> None:
        """Every controller is online, in the cluster, and expected to be."""
        members = site.cluster.read_view().controllers

        assert members
        assert all(m.online and m.in_cluster and not (m.left or m.unclean) for m in members)
        assert not {member.name for member in members} & {host, *site.hosts}
