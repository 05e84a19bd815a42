"""Evacuations that fail, collide, and meet a returning host, fenced for a stop that failed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hacli.domain.cluster import Role
from hacli.domain.evidence import FenceEvidence
from hacli.domain.servers import Accepted, Migration, MigrationStatus
from tests.contract.looks import (
    LOST_WITHIN_S,
    RETURNED_WITHIN_S,
    ended,
    evacuate,
    force_down,
    is_whole,
    node,
    prove_dead,
    records,
    server,
    service,
)
from tests.contract.site import (
    Disk,
    FailStop,
    MendStop,
    PressPower,
    ShareDisks,
    Site,
    SpawnFails,
    SpawnTakes,
    Standing,
)
from tests.contract.test_administration import drop_attribute, set_attribute

ENDED_WITHIN_S = 90.0
SETTLED_S = 12.0
"""Two rebuilds of one server that have collided stay as they are after that."""


@dataclass
class Story:
    """What is kept from one stage to the next."""

    host: str
    nowhere: str  # no host is left for it
    broken: str  # its spawn fails
    twice: str  # asked for twice, 1.5 s apart
    at_once: str  # asked for twice at once
    shared: str  # its disk is on storage that all hosts share
    disk: str | None
    proof: FenceEvidence | None = None

    @property
    def evidence(self) -> FenceEvidence:
        """The proof, once it is there."""
        assert self.proof is not None
        return self.proof


@pytest.fixture(scope="class")
def story(site: Site) -> Story:
    """Four servers on volumes, one on shared storage."""
    host = site.hosts[1]
    site.do(ShareDisks())
    (shared,) = site.boot(host, Standing.ACTIVE, disk=Disk.IMAGE)
    nowhere, broken, twice, at_once = site.boot(host, *[Standing.ACTIVE] * 4)
    return Story(host, nowhere, broken, twice, at_once, shared, disk=site.disk(shared, host))


class TestFailingEvacuations:
    """The stages of one outage."""

    def test_a_stop_that_fails_makes_a_connected_node_unclean(
        self, site: Site, story: Story
    ) -> None:
        """Online and unclean: about to be fenced, and no longer a sign of life."""
        site.do(FailStop(story.host, "nova-compute"))
        assert set_attribute(site, story.host, "standby", "on") == 0

        site.until(lambda: node(site, story.host).unclean, within_s=LOST_WITHIN_S)

        assert service(site, story.host).up

    def test_it_is_fenced_at_once(self, site: Site, story: Story) -> None:
        """No monitor had to time out first; Nova still calls the host up."""
        site.until(lambda: bool(node(site, story.host).node_fenced), within_s=LOST_WITHIN_S)

        found = node(site, story.host)
        assert ended(found)[0].executed
        assert {link.role for link in found.chain} == {Role.STOPPED}
        assert site.running(story.twice) == ()
        site.do(MendStop(story.host, "nova-compute"))
        assert drop_attribute(site, story.host, "standby") == 0

    def test_forced_down_it_is_down_at_once(self, site: Site, story: Story) -> None:
        """No need to wait for the heartbeat to age."""
        story.proof = prove_dead(site, story.host)
        before = service(site, story.host)

        outcome = force_down(site, story.host, story.evidence, disable_reason="contract")

        after = service(site, story.host)
        assert isinstance(outcome, Accepted)
        assert (before.forced_down, after.forced_down, after.up) == (False, True, False)
        assert (after.enabled, after.disabled_reason) == (False, "contract")

    def test_without_a_valid_host_the_server_ends_in_error_where_it_was(
        self, site: Site, story: Story
    ) -> None:
        """200 all the same; the record ends in ``error`` without a destination, then the server."""
        target = site.hosts[0]
        site.compute.disable(service(site, target), reason="contract", timeout_s=10.0)
        nova = site.nova_host(target)

        outcome = evacuate(site, story.nowhere, story.evidence, target=nova)
        site.until(
            lambda: _newest(site, story, story.nowhere).status is MigrationStatus.ERROR,
            within_s=ENDED_WITHIN_S,
        )
        site.until(lambda: server(site, story.nowhere).vm_state == "error", within_s=10.0)

        found = server(site, story.nowhere)
        assert isinstance(outcome, Accepted)
        assert _newest(site, story, story.nowhere).destination == nova
        assert (found.vm_state, found.task_state) == ("error", None)
        assert found.host == site.nova_host(story.host)
        assert "No valid host was found" in (found.fault or "")
        assert site.compute.read_actions(story.nowhere)[0].message == "Error"
        site.compute.enable(service(site, target))

    def test_asked_again_when_hosts_are_back_it_ends_running(
        self, site: Site, story: Story
    ) -> None:
        """Also what was stopped before would: the error has hidden it."""
        _evacuate_to_the_end(site, story, story.nowhere)

        found = server(site, story.nowhere)
        assert (found.status, found.fault) == ("ACTIVE", None)
        assert [site.nova_host(host) for host in site.running(story.nowhere)] == [found.host]

    def test_a_spawn_that_fails_leaves_an_error_and_a_record_with_its_destination(
        self, site: Site, story: Story
    ) -> None:
        """``failed``, not ``error``: the copy may be there. The record ends first, then the server;
        the fault has the exception's text.
        """
        site.do(SpawnFails(tuple(host for host in site.hosts if host != story.host)))

        evacuate(site, story.broken, story.evidence)
        site.until(
            lambda: _newest(site, story, story.broken).status is MigrationStatus.FAILED,
            within_s=ENDED_WITHIN_S,
        )
        site.until(lambda: server(site, story.broken).vm_state == "error", within_s=10.0)

        found = server(site, story.broken)
        assert _newest(site, story, story.broken).destination is not None
        assert (found.vm_state, found.task_state) == ("error", None)
        assert found.host == site.nova_host(story.host)
        assert found.fault
        assert site.running(story.broken) == ()

    def test_after_a_failed_spawn_another_evacuation_works(self, site: Site, story: Story) -> None:
        """Once the hypervisors do; to the very host that it is sent to."""
        site.do(SpawnFails(()))

        _evacuate_to_the_end(site, story, story.broken, target=site.hosts[0])

        assert site.running(story.broken) == (site.hosts[0],)
        assert [record.status for record in records(site, story.host, story.broken)] == [
            MigrationStatus.DONE,
            MigrationStatus.FAILED,
        ]

    def test_a_disk_on_shared_storage_survives(self, site: Site, story: Story) -> None:
        """Nova finds out by itself; the API says nothing of it before or after."""
        _evacuate_to_the_end(site, story, story.shared)

        (now,) = site.running(story.shared)
        assert now != story.host
        assert story.disk is not None
        assert site.disk(story.shared, now) == story.disk

    def test_a_second_request_is_accepted_while_the_first_runs(
        self, site: Site, story: Story
    ) -> None:
        """Nothing in Nova stops it: 200 and a second record, 1.5 s apart and at once."""
        site.do(SpawnTakes(2.0))

        first = evacuate(site, story.twice, story.evidence)
        site.pass_time(1.5)
        second = evacuate(site, story.twice, story.evidence)
        pair = [evacuate(site, story.at_once, story.evidence) for _ in range(2)]

        assert all(isinstance(answer, Accepted) for answer in (first, second, *pair))
        assert len(records(site, story.host, story.twice)) == 2
        assert len(records(site, story.host, story.at_once)) == 2

    def test_two_evacuations_of_one_server_end_badly(self, site: Site, story: Story) -> None:
        """One is in error with a record that failed, at least; a record may be stuck for ever, and
        the guest may run on two hosts. Which it is depends on who of the two comes first.
        """
        pair = (story.twice, story.at_once)
        site.until(lambda: _have_collided(site, story, pair), within_s=ENDED_WITHIN_S)
        site.until(lambda: _is_quiet(site, story), within_s=ENDED_WITHIN_S)

        assert _have_collided(site, story, pair)
        assert all(len(site.running(wanted)) in (0, 1, 2) for wanted in pair)
        site.do(SpawnTakes(0.0))

    def test_the_returning_host_completes_every_record_that_has_not_failed(
        self, site: Site, story: Story
    ) -> None:
        """Also one that is stuck in ``accepted``: it is taken for a finished evacuation."""
        site.do(PressPower(story.host))
        site.until(lambda: is_whole(site, story.host), within_s=RETURNED_WITHIN_S)

        nova = site.nova_host(story.host)
        kept = {MigrationStatus.COMPLETED, MigrationStatus.FAILED, MigrationStatus.ERROR}
        site.until(
            lambda: {record.status for record in site.compute.read_evacuations(nova)} <= kept,
            within_s=ENDED_WITHIN_S,
        )

        site.compute.force_up(service(site, story.host))
        site.compute.enable(service(site, story.host))
        site.until(lambda: service(site, story.host).up, within_s=30.0)
        after = service(site, story.host)
        assert (after.enabled, after.forced_down) == (True, False)


def _newest(site: Site, story: Story, wanted: str) -> Migration:
    return records(site, story.host, wanted)[0]


def _is_quiet(site: Site, story: Story) -> bool:
    """Nova writes no record of this source any more: what is not ended by now is stuck."""
    nova = site.nova_host(story.host)
    before = site.compute.read_evacuations(nova)
    site.pass_time(SETTLED_S)
    return site.compute.read_evacuations(nova) == before


def _have_collided(site: Site, story: Story, pair: Sequence[str]) -> bool:
    return any(
        MigrationStatus.FAILED in {record.status for record in records(site, story.host, wanted)}
        and server(site, wanted).vm_state == "error"
        for wanted in pair
    )


def _evacuate_to_the_end(
    site: Site, story: Story, wanted: str, *, target: str | None = None
) -> None:
    nova = None if target is None else site.nova_host(target)
    assert isinstance(evacuate(site, wanted, story.evidence, target=nova), Accepted)
    site.until(
        lambda: _newest(site, story, wanted).status is MigrationStatus.DONE,
        within_s=ENDED_WITHIN_S,
    )
