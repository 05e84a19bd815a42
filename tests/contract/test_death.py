"""A compute host dies, is fenced by OFF, its servers are evacuated, and it returns."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from hacli.domain.cluster import Role
from hacli.domain.evidence import FenceEvidence, Witness
from hacli.domain.hosts import connected
from hacli.domain.power import PowerState
from hacli.domain.servers import (
    Accepted,
    MigrationStatus,
    Rejected,
    RequestOutcome,
    Server,
    Uncertain,
)
from tests.contract.looks import (
    LOST_WITHIN_S,
    RETURNED_WITHIN_S,
    ended,
    evacuate,
    force_down,
    is_connected,
    is_whole,
    node,
    prove_dead,
    records,
    roles,
    server,
    service,
)
from tests.contract.site import Crash, Disk, PressPower, Site, Standing

ORDER = tuple(MigrationStatus(text) for text in ("accepted", "pre-migrating", "done", "completed"))
EVACUABLE = ("image", "locked", "shutoff", "error")
REFUSED = {
    "paused": 409,
    "suspended": 409,
    "rescued": 409,
    "verify resize": 409,
    "soft deleted": 409,
    "shelved offloaded": 400,
}


@dataclass
class Story:
    """What is kept from one stage to the next."""

    host: str
    servers: dict[str, str]
    disks: dict[str, str | None]
    crashed_at: float = 0.0
    fencings: int = 0  # in the history before
    heartbeat: datetime | None = None
    proof: FenceEvidence | None = None
    asked: dict[str, RequestOutcome] = field(default_factory=dict)

    @property
    def evidence(self) -> FenceEvidence:
        """The proof, once it is there."""
        assert self.proof is not None
        return self.proof


@pytest.fixture(scope="class")
def story(site: Site) -> Story:
    """Servers of every standing on the host that is going to die."""
    host = site.hosts[2]
    on_volumes = tuple(Standing)[:4]
    on_images = tuple(Standing)[4:]
    ids = site.boot(host, *on_volumes)
    image, *others = site.boot(host, Standing.ACTIVE, *on_images, disk=Disk.IMAGE)
    names = [kind.value for kind in (*on_volumes, *on_images)]
    servers = dict(zip(names, (*ids, *others), strict=True)) | {"image": image}
    disks = {name: site.disk(id_, host) for name, id_ in servers.items()}
    return Story(host, servers, disks)


class TestDeathOfAHost:
    """The stages of one outage."""

    def test_a_crash_is_not_seen_at_once(self, site: Site, story: Story) -> None:
        """The guests are dead; Pacemaker and Nova still call everything fine."""
        story.crashed_at = site.now
        site.do(Crash(story.host))

        found = node(site, story.host)
        story.fencings = len(found.fence_events)
        assert site.running(story.servers["active"]) == ()
        assert (found.online, found.unclean, roles(found)) == (True, False, (Role.STARTED,) * 3)
        assert service(site, story.host).up
        assert server(site, story.servers["active"]).status == "ACTIVE"

    def test_disabling_a_dead_host_that_nova_calls_up_gets_no_answer_and_is_done(
        self, site: Site, story: Story
    ) -> None:
        """Nova asks the dead nova-compute for 60 s; its database is written before."""
        outcome = site.compute.disable(service(site, story.host), reason="contract", timeout_s=5.0)

        after = service(site, story.host)
        assert isinstance(outcome, Uncertain)
        assert (after.enabled, after.disabled_reason, after.up) == (False, "contract", True)

    def test_a_silent_host_becomes_unclean(self, site: Site, story: Story) -> None:
        """Offline and unclean; its services still read Started, the connection does not count."""
        site.until(lambda: node(site, story.host).unclean, within_s=LOST_WITHIN_S)

        found = node(site, story.host)
        assert (found.online, found.lost_at is not None) == (False, True)
        assert not connected(found)
        assert site.now - story.crashed_at > 20.0
        story.heartbeat = service(site, story.host).updated_at

    def test_its_fencing_is_pending_first(self, site: Site, story: Story) -> None:
        """Before all others in the list, with neither end nor delegate."""
        site.until(
            lambda: len(node(site, story.host).fence_events) > story.fencings,
            within_s=LOST_WITHIN_S,
        )
        newest = node(site, story.host).fence_events[0]

        assert newest.target == story.host
        assert newest.status in ("pending", "success")
        assert (newest.completed is None) == (newest.status == "pending")

    def test_fenced_by_off_it_is_clean_and_off(self, site: Site, story: Story) -> None:
        """The event may say reboot; who did it, and when, agrees with the CIB to the second."""
        site.until(lambda: bool(node(site, story.host).node_fenced), within_s=LOST_WITHIN_S)
        site.until(lambda: bool(ended(node(site, story.host))), within_s=10.0)

        found = node(site, story.host)
        newest = ended(found)[0]
        assert newest.executed
        assert newest.action in ("reboot", "off")
        assert newest.completed is not None
        assert int(newest.completed.timestamp()) == found.node_fenced
        assert (found.unclean, found.in_cluster) == (False, False)
        assert set(roles(found)) == {Role.STOPPED}
        assert site.switch(story.host).read_state() is PowerState.OFF
        assert site.cluster.read_node_state(story.host).node_fenced == found.node_fenced

    def test_before_nova_calls_it_down_an_evacuation_is_refused(
        self, site: Site, story: Story
    ) -> None:
        """400, however dead the host is."""
        outcome = evacuate(site, story.servers["active"])

        nova = site.nova_host(story.host)
        assert outcome == Rejected(
            status=400, message=f"Compute service of {nova} is still in use."
        )
        assert service(site, story.host).up

    def test_while_the_cluster_reconnects_the_dead_node_reads_online(
        self, site: Site, story: Story
    ) -> None:
        """Its connection is Starting, then Started; ``in_ccm`` alone tells that it is not."""
        for role in (Role.STARTING, Role.STARTED):
            _wait_for_role(site, story.host, role)

            found = node(site, story.host)
            assert (found.online, found.unclean, found.in_cluster) == (True, False, False)
            assert not connected(found)
            assert not site.cluster.read_node_state(story.host).in_cluster

    def test_nova_calls_it_down_a_minute_after_its_last_heartbeat(
        self, site: Site, story: Story
    ) -> None:
        """``updated_at`` has been still since the crash but for our own write."""
        site.until(lambda: not service(site, story.host).up, within_s=LOST_WITHIN_S)

        after = service(site, story.host)
        assert 45.0 < site.now - story.crashed_at < 85.0
        assert after.updated_at == story.heartbeat
        assert not after.forced_down

    def test_the_witnesses_prove_its_death(self, site: Site, story: Story) -> None:
        """Ordered off once more through Pacemaker, read OFF twice: ``judge`` takes their word."""
        story.proof = prove_dead(site, story.host)

        assert story.proof.witness is Witness.BMC
        assert ended(node(site, story.host))[0].action == "off"

    def test_forcing_it_down_moves_updated_at(self, site: Site, story: Story) -> None:
        """A write of ours looks like a heartbeat; the reason of the disable is kept."""
        outcome = force_down(site, story.host, story.evidence)

        after = service(site, story.host)
        assert isinstance(outcome, Accepted)
        assert (after.forced_down, after.up, after.enabled) == (True, False, False)
        assert after.disabled_reason == "contract"
        assert after.updated_at is not None
        assert story.heartbeat is not None
        assert after.updated_at > story.heartbeat

    def test_one_evacuation_goes_through_its_states_in_order(
        self, site: Site, story: Story
    ) -> None:
        """A record is ``done`` only when the server is counted to its new host."""
        wanted = story.servers["active"]
        outcome = story.asked["active"] = evacuate(site, wanted, story.evidence)
        seen: list[tuple[MigrationStatus, Server]] = []

        def ended_well() -> bool:
            status = records(site, story.host, wanted)[0].status
            seen.append((status, server(site, wanted)))
            return status is MigrationStatus.DONE

        site.until(ended_well, within_s=60.0)

        statuses = [status for status, _ in seen]
        nova = site.nova_host(story.host)
        assert isinstance(outcome, Accepted)
        assert statuses == sorted(statuses, key=ORDER.index)
        assert {found.host == nova for status, found in seen if status in ORDER[2:]} == {False}
        assert all(found.task_state for _, found in seen[:1])

    def test_the_record_names_source_and_destination(self, site: Site, story: Story) -> None:
        """And the action log has the request's own id."""
        wanted = story.servers["active"]
        (record,) = records(site, story.host, wanted)
        newest = site.compute.read_actions(wanted)[0]
        outcome = story.asked["active"]

        assert (record.type, record.source) == ("evacuation", site.nova_host(story.host))
        assert record.destination == server(site, wanted).host
        assert isinstance(outcome, Accepted)
        assert (newest.action, newest.request_id) == ("evacuate", outcome.request_id)
        assert newest.message is None
        assert site.compute.read_evacuations_of(wanted) == (record,)

    def test_what_an_evacuation_has_changed_is_listed_as_changed(
        self, site: Site, story: Story
    ) -> None:
        """One list shows all that have arrived, as each alone; later than that there is nothing."""
        wanted = story.servers["active"]
        (record,) = records(site, story.host, wanted)

        changed = site.compute.read_changed((wanted,), since=record.created_at)
        later = site.compute.read_changed((wanted,), since=record.created_at + timedelta(days=1))

        assert changed == (server(site, wanted),)
        assert later == ()

    def test_a_resize_that_waits_for_confirmation_is_an_unfinished_move(
        self, site: Site, story: Story
    ) -> None:
        """It counts to its destination; the source of the move lives."""
        moves = site.compute.read_moves(site.nova_host(story.host))

        (move,) = [move for move in moves if move.server == story.servers["verify resize"]]
        assert (move.type, move.raw_status) == ("migration", "finished")
        assert move.destination == site.nova_host(story.host) != move.source

    @pytest.mark.parametrize("kind", EVACUABLE)
    def test_nova_evacuates_what_is_active_stopped_or_in_error(
        self, site: Site, story: Story, kind: str
    ) -> None:
        """Locks do not count."""
        outcome = story.asked[kind] = evacuate(site, story.servers[kind], story.evidence)

        assert isinstance(outcome, Accepted)

    @pytest.mark.parametrize("kind", REFUSED)
    def test_nova_refuses_every_other_standing(self, site: Site, story: Story, kind: str) -> None:
        """And leaves it as it is, without a record."""
        before = server(site, story.servers[kind])

        outcome = evacuate(site, story.servers[kind], story.evidence)

        assert isinstance(outcome, Rejected)
        assert outcome.status == REFUSED[kind]
        assert server(site, story.servers[kind]) == before
        assert records(site, story.host, story.servers[kind]) == ()

    @pytest.mark.parametrize("kind", ["active", *EVACUABLE])
    def test_each_ends_as_it_was_and_an_error_ends_running(
        self, site: Site, story: Story, kind: str
    ) -> None:
        """Below 2.95; verified by the record, the host and the guest itself."""
        wanted = story.servers[kind]
        site.until(
            lambda: records(site, story.host, wanted)[0].status is MigrationStatus.DONE,
            within_s=120.0,
        )

        found = server(site, wanted)
        (record,) = records(site, story.host, wanted)
        runs = kind != "shutoff"
        assert (found.status, found.power_state) == (("ACTIVE", 1) if runs else ("SHUTOFF", 4))
        assert (found.task_state, found.host) == (None, record.destination)
        assert found.locked == (kind == "locked")
        assert [site.nova_host(host) for host in site.running(wanted)] == [found.host] * runs

    def test_a_disk_survives_on_a_volume_and_not_on_the_dead_host(
        self, site: Site, story: Story
    ) -> None:
        """Nova says nothing of it: the image-backed server has a new, empty root disk."""
        now = {
            name: site.disk(story.servers[name], site.running(story.servers[name])[0])
            for name in ("active", "image")
        }

        assert now["active"] == story.disks["active"]
        assert now["image"] != story.disks["image"]

    def test_records_are_listed_newest_first(self, site: Site, story: Story) -> None:
        """All evacuations of this source."""
        found = site.compute.read_evacuations(site.nova_host(story.host))

        ours = [record for record in found if record.server in story.servers.values()]
        assert {record.server for record in ours} == {
            story.servers[kind] for kind in ("active", *EVACUABLE)
        }
        assert [r.id for r in ours] == sorted((r.id for r in ours), reverse=True)

    def test_asking_again_after_the_end_is_refused(self, site: Site, story: Story) -> None:
        """Its new host is up."""
        outcome = evacuate(site, story.servers["active"], story.evidence)

        assert isinstance(outcome, Rejected)
        assert outcome.status == 400

    def test_forcing_up_is_refused_while_done_records_remain(
        self, site: Site, story: Story
    ) -> None:
        """400, and the host stays down."""
        outcome = site.compute.force_up(service(site, story.host))

        assert isinstance(outcome, Rejected)
        assert outcome.status == 400
        assert "evacuation migration records remain" in outcome.message
        assert service(site, story.host).forced_down

    def test_switched_on_it_rejoins_and_starts_its_chain_in_order(
        self, site: Site, story: Story
    ) -> None:
        """No service is Started before the one it stands on."""
        story.heartbeat = service(site, story.host).updated_at
        site.do(PressPower(story.host))
        seen: list[tuple[Role, ...]] = []

        def whole() -> bool:
            seen.append(roles(node(site, story.host)))
            return is_whole(site, story.host)

        site.until(whole, within_s=RETURNED_WITHIN_S)

        started = [[role is Role.STARTED for role in chain] for chain in seen]
        assert all(chain == sorted(chain, reverse=True) for chain in started)

    def test_back_in_the_cluster_it_no_longer_counts_as_fenced(
        self, site: Site, story: Story
    ) -> None:
        """``node_fenced`` is 0; the history keeps the events."""
        found = node(site, story.host)

        assert found.node_fenced == 0
        assert (found.in_cluster, found.unclean) == (True, False)
        assert [event.status for event in ended(found)][:2] == ["success", "success"]

    def test_its_heartbeat_advances_while_nova_still_calls_it_down(
        self, site: Site, story: Story
    ) -> None:
        """The force-down stays until somebody takes it away."""
        site.until(lambda: service(site, story.host).updated_at != story.heartbeat, within_s=60.0)

        after = service(site, story.host)
        assert (after.up, after.forced_down, after.enabled) == (False, True, False)

    def test_the_returning_nova_compute_completes_the_records(
        self, site: Site, story: Story
    ) -> None:
        """It destroys what is left of the evacuated guests; each still runs where it went."""
        nova = site.nova_host(story.host)
        site.until(
            lambda: (
                {record.status for record in site.compute.read_evacuations(nova)}
                <= {MigrationStatus.COMPLETED, MigrationStatus.ERROR, MigrationStatus.FAILED}
            ),
            within_s=60.0,
        )

        wanted = story.servers["active"]
        assert records(site, story.host, wanted)[0].status is MigrationStatus.COMPLETED
        assert [site.nova_host(host) for host in site.running(wanted)] == [
            server(site, wanted).host
        ]
        assert site.disk(wanted, story.host) is None

    def test_what_was_not_evacuated_is_still_the_hosts(self, site: Site, story: Story) -> None:
        """The refused ones are on it as before."""
        listed = site.compute.read_servers(site.nova_host(story.host)).servers

        left = {story.servers[kind] for kind in REFUSED} - {
            story.servers["shelved offloaded"],
            story.servers["soft deleted"],
        }
        assert {found.id for found in listed} & set(story.servers.values()) == left

    def test_now_it_can_be_forced_up_and_is_up_at_once(self, site: Site, story: Story) -> None:
        """Still disabled, with its reason, until it is enabled."""
        outcome = site.compute.force_up(service(site, story.host))
        up = service(site, story.host)
        enabled = site.compute.enable(up)

        assert (isinstance(outcome, Accepted), isinstance(enabled, Accepted)) == (True, True)
        assert (up.forced_down, up.up, up.enabled) == (False, True, False)
        assert up.disabled_reason == "contract"
        assert service(site, story.host).enabled
        assert is_connected(site, story.host)


def _wait_for_role(site: Site, host: str, role: Role) -> None:
    """Until crm_mon prints it of the host's connection."""

    def reads() -> bool:
        connection = node(site, host).connection
        return connection is not None and connection.role is role

    site.until(reads, within_s=60.0)
