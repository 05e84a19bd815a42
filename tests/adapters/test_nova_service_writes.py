"""What is written to a compute service, and how that may end."""

from dataclasses import replace

from hacli.domain.servers import (
    NotSent,
    Rejected,
    Uncertain,
)
from tests.adapters.nova_records import SERVICE, force_down, yes
from tests.adapters.nova_server import Fault, NovaServer, Reply, Request, recorded


def test_disable_ends_at_its_own_limit() -> None:
    """A dead host that Nova calls up holds the answer for 60 s, but the database is written."""
    with NovaServer(answer=lambda _: Fault.HANG) as server:
        outcome = server.nova(write_limit_s=60).disable(SERVICE, reason="down", timeout_s=0.2)

        why = f"Nova {server.url}: connected, but no answer within 0.2 s"
        assert outcome == Uncertain(status=None, why=why)
        assert [r.body for r in server.changes] == [
            {"status": "disabled", "disabled_reason": "down"}
        ]


def test_force_down_and_disable_are_one_request() -> None:
    """In one PUT Nova asks no dead host by RPC (facts A.2)."""
    with NovaServer(answer=yes) as server:
        force_down(server.nova(), reason="hacli:r1 recover")

    assert server.changes == [
        Request(
            method="PUT",
            path=f"/os-services/{SERVICE.id}",
            query={},
            version="2.94",
            body={
                "forced_down": True,
                "status": "disabled",
                "disabled_reason": "hacli:r1 recover",
            },
        )
    ]


def test_force_down_without_a_reason_leaves_the_status_alone() -> None:
    """A host disabled by somebody else keeps their reason."""
    with NovaServer(answer=yes) as server:
        force_down(server.nova(), reason=None)

    assert [r.body for r in server.changes] == [{"forced_down": True}]


def test_a_long_reason_is_cut_to_what_nova_takes() -> None:
    """1 to 255 characters, else Nova refuses the whole request."""
    with NovaServer(answer=yes) as server:
        server.nova().disable(SERVICE, reason="x" * 300, timeout_s=5)

    assert [r.body for r in server.changes] == [
        {"status": "disabled", "disabled_reason": "x" * 255}
    ]


def test_enable_and_force_up_say_only_that() -> None:
    """Each changes one thing."""
    with NovaServer(answer=yes) as server:
        nova = server.nova()
        nova.enable(SERVICE)
        nova.force_up(SERVICE)

    assert [r.body for r in server.changes] == [{"status": "enabled"}, {"forced_down": False}]


def test_force_up_is_refused_while_done_evacuations_remain() -> None:
    """Nova's own words say what to do first."""
    no = Reply(status=400, body=recorded("os-services-force-up-refused-done-evacuations-2.95"))
    with NovaServer(answer=lambda _: no) as server:
        outcome = server.nova().force_up(SERVICE)

    assert outcome == Rejected(
        status=400,
        message="Unable to force up host compute-3 as `done` evacuation migration records remain "
        "associated with the host. Ensure the compute service has been restarted, allowing these "
        "records to move to `completed` before retrying this request.",
    )


def test_a_service_of_a_cell_that_is_down_cannot_be_written_to() -> None:
    """Nova shows no id of it, so there is nothing to address."""
    with NovaServer(answer=yes) as server:
        outcome = server.nova().enable(replace(SERVICE, id="", known=False))

    assert isinstance(outcome, NotSent)
    assert server.requests == []
