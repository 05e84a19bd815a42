"""Each way a write to Nova can end, over real sockets; the server counts what it got."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import urllib3

from hacli.adapters.nova import Nova
from hacli.domain.evidence import FenceEvidence
from hacli.domain.servers import (
    Accepted,
    ComputeService,
    NotSent,
    Rejected,
    RequestOutcome,
    Uncertain,
)
from hacli.ports import Compute
from tests.adapters.certificates import certificate
from tests.adapters.nova_server import PASSWORD, Fault, NovaServer, Reply, Request, recorded

EVIDENCE = cast("FenceEvidence", object())  # the adapter only passes it through
SERVER = "3dc0b5bb-8e44-4bd8-bea4-3b2ac8a8ed26"
SERVICE = ComputeService(
    id="768a42e9-a847-45b1-9b45-36411dd29bf2",
    host="compute-3",
    known=True,
    enabled=True,
    up=False,
    forced_down=False,
    disabled_reason=None,
    updated_at=None,
)


def services(_: Request) -> Reply:
    """Yes to whatever is asked."""
    return Reply(body={"services": []})


@contextmanager
def full_listener(port: int) -> Iterator[None]:
    """A port whose queue is full: who comes next waits for a connection in vain."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        yield


def evacuate(nova: Compute, *, target: str | None = None) -> RequestOutcome:
    """Ask for the evacuation of one server."""
    return nova.evacuate(SERVER, EVIDENCE, target=target)


def test_an_accepted_evacuation_gives_novas_request_id() -> None:
    """200 with an empty body is Nova's yes; the id correlates with the instance action."""
    yes = Reply(headers={"x-compute-request-id": "req-1"})
    with NovaServer(answer=lambda _: yes) as server:
        outcome = evacuate(server.nova())

    assert outcome == Accepted(request_id="req-1")
    assert server.changes == [
        Request(
            method="POST",
            path=f"/servers/{SERVER}/action",
            query={},
            version="2.94",
            body={"evacuate": {}},
        )
    ]


def test_a_target_is_named_and_never_forced() -> None:
    """``force`` bypasses the scheduler, up to 2.67: it is never sent."""
    with NovaServer(answer=lambda _: Reply()) as server:
        evacuate(server.nova(), target="compute-1")

    assert [request.body for request in server.changes] == [{"evacuate": {"host": "compute-1"}}]


@pytest.mark.parametrize(
    ("highest", "sent"), [("2.53", "2.53"), ("2.93", "2.93"), ("2.95", "2.94")]
)
def test_evacuations_are_asked_for_below_2_95(highest: str, sent: str) -> None:
    """From 2.95 an evacuated server ends up stopped (facts A.4)."""
    with NovaServer(answer=lambda _: Reply(), versions=("2.1", highest)) as server:
        evacuate(server.nova())

    assert [request.version for request in server.changes] == [sent]


def test_a_refusal_carries_novas_own_words() -> None:
    """4xx: named with Nova's words, never repeated."""
    words = recorded("evacuate-error-host-still-up-2.95")
    with NovaServer(answer=lambda _: Reply(status=400, body=words)) as server:
        outcome = evacuate(server.nova())

    assert outcome == Rejected(status=400, message="Compute service of compute-3 is still in use.")
    assert len(server.changes) == 1


@pytest.mark.parametrize("status", [404, 406, 409, 413, 429])
def test_every_4xx_is_a_refusal_sent_once(status: int) -> None:
    """Too many requests is a refusal as well: whoever sends decides, not a library below."""
    no = Reply(status=status, headers={"Retry-After": "0"}, text="<html>no</html>")
    with NovaServer(answer=lambda _: no) as server:
        outcome = evacuate(server.nova())

    assert outcome == Rejected(status=status, message=f"HTTP {status}")
    assert len(server.changes) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_is_uncertain_and_sent_once(status: int) -> None:
    """A proxy or Nova gave up; the request may be carried out. Retry-After changes nothing."""
    no = Reply(status=status, headers={"Retry-After": "0"}, text="<html>sorry</html>")
    with NovaServer(answer=lambda _: no) as server:
        outcome = evacuate(server.nova())

    assert outcome == Uncertain(status=status, why=f"Nova {server.url} answers with HTTP {status}")
    assert len(server.changes) == 1


def test_a_redirect_is_uncertain_and_not_followed() -> None:
    """A write that is sent on elsewhere would be a second request."""
    away = Reply(status=307, headers={"Location": "/compute/v2.1/elsewhere"})
    with NovaServer(answer=lambda _: away) as server:
        outcome = evacuate(server.nova())

    assert outcome == Uncertain(status=307, why=f"Nova {server.url} answers with HTTP 307")
    assert len(server.changes) == 1


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.CLOSE, "the connection was closed before an answer came"),
        (Fault.RESET, "the connection was closed before an answer came"),
        (Fault.HANG, "connected, but no answer within 0.5 s"),
        (Fault.HALF, "the answer broke off in the middle"),
    ],
)
@pytest.mark.parametrize("keep_alive", [True, False], ids=["reused", "fresh"])
def test_a_request_without_a_whole_answer_is_uncertain_and_sent_once(
    fault: Fault, why: str, *, keep_alive: bool
) -> None:
    """Once it has been written, silence says nothing about whether it is carried out."""
    with NovaServer(answer=lambda _: fault, keep_alive=keep_alive) as server:
        outcome = evacuate(server.nova())

        assert outcome == Uncertain(status=None, why=f"Nova {server.url}: {why}")
        assert len(server.changes) == 1


def test_a_connection_closed_before_it_was_read_is_uncertain() -> None:
    """The bytes may have been written: only the other side knows whether they were read."""
    with NovaServer(answer=lambda _: Reply(), keep_alive=False) as server:
        nova = server.nova()
        nova.read_caller()
        server.drop_connections = True
        before = server.connections
        outcome = evacuate(nova)

    assert isinstance(outcome, Uncertain)
    assert outcome.status is None
    assert server.connections - before == 1


def test_a_refused_connection_means_not_sent() -> None:
    """Not a byte was written."""
    with NovaServer(answer=lambda _: Reply(body={"services": []}), keep_alive=False) as server:
        nova = server.nova()
        nova.read_caller()
        server.stop()
        outcome = evacuate(nova)

    assert outcome == NotSent(why=f"Nova {server.url}: no connection: Connection refused")


def test_no_connection_in_time_means_not_sent() -> None:
    """A connection that was never made carried nothing."""
    with NovaServer(answer=lambda _: Reply(body={"services": []}), keep_alive=False) as server:
        nova = server.nova()
        nova.read_caller()
        server.stop()
        with full_listener(server.port):
            outcome = nova.disable(SERVICE, reason="test", timeout_s=0.2)

    assert outcome == NotSent(why=f"Nova {server.url}: no connection within 0.2 s")


def test_an_older_failure_does_not_make_a_request_not_sent() -> None:
    """Only what happened to this very request counts, not an error that is being handled."""
    with NovaServer(answer=lambda _: Fault.CLOSE) as server:
        nova = server.nova()
        try:
            urllib3.PoolManager(retries=False).request("GET", "http://127.0.0.1:1/")
        except urllib3.exceptions.NewConnectionError:
            outcome = evacuate(nova)

    assert isinstance(outcome, Uncertain)


def test_a_certificate_that_is_not_accepted_means_not_sent(tmp_path: Path) -> None:
    """TLS failed before a byte of the request was written."""
    old, new = certificate(tmp_path, "old"), certificate(tmp_path, "new")
    with NovaServer(answer=services, keep_alive=False, tls=old.context()) as server:
        nova = Nova(lambda: server.cloud(verify=str(old.path)))
        nova.read_caller()
        server.tls = new.context()
        outcome = evacuate(nova)

    why = f"Nova {server.url}: its TLS certificate is not accepted: self-signed certificate"
    assert outcome == NotSent(why=why)
    assert server.changes == []


def test_a_tls_handshake_that_fails_means_not_sent(tmp_path: Path) -> None:
    """Whatever answers does not speak TLS; the request was never written."""
    own = certificate(tmp_path, "own")
    with NovaServer(answer=services, keep_alive=False, tls=own.context()) as server:
        nova = Nova(lambda: server.cloud(verify=str(own.path)))
        nova.read_caller()
        url, server.tls = server.url, None
        outcome = evacuate(nova)

    assert outcome == NotSent(why=f"Nova {url}: no TLS connection: the handshake failed")


def test_a_handshake_that_is_cut_off_means_not_sent(tmp_path: Path) -> None:
    """Closed at once, with TLS: the client waits for the handshake before it writes."""
    own = certificate(tmp_path, "own")
    with NovaServer(answer=services, keep_alive=False, tls=own.context()) as server:
        nova = Nova(lambda: server.cloud(verify=str(own.path)))
        nova.read_caller()
        server.drop_connections = True
        outcome = evacuate(nova)

    assert isinstance(outcome, NotSent)
    assert server.changes == []


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET, Fault.HANG, Fault.HALF])
def test_a_request_lost_behind_tls_is_uncertain(fault: Fault, tmp_path: Path) -> None:
    """After the handshake TLS is as silent as a plain connection."""
    own = certificate(tmp_path, "own")
    with NovaServer(answer=lambda _: fault, tls=own.context()) as server:
        nova = Nova(lambda: server.cloud(verify=str(own.path)), write_limit_s=0.5)
        outcome = evacuate(nova)

        assert isinstance(outcome, Uncertain)
        assert len(server.changes) == 1


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_login_that_fails_means_not_sent(status: int) -> None:
    """Without a token nothing reaches Nova."""
    with NovaServer(answer=lambda _: Reply(), keystone_status=status) as server:
        outcome = evacuate(server.nova())

    assert isinstance(outcome, NotSent)
    assert outcome.why.startswith(f"Keystone {server.url}: ")
    assert PASSWORD not in outcome.why
    assert server.changes == []


def test_a_token_refused_in_the_middle_is_replaced_and_the_request_accepted_once() -> None:
    """Nova refuses a token (401) before it looks at the request: the repeat is the first."""
    with NovaServer(answer=services) as server:
        nova = server.nova()
        nova.read_caller()
        server.revoke_tokens()
        outcome = evacuate(nova)

    assert outcome == Accepted(request_id=None)
    assert server.logins == 2
    assert [r.method for r in server.requests] == ["GET", "POST"]
    assert [r.method for r in server.refused] == ["POST"]


def test_a_token_refused_while_keystone_fails_means_not_sent() -> None:
    """The one request that reached Nova was refused; no other could be made."""
    with NovaServer(answer=services) as server:
        nova = server.nova()
        nova.read_caller()
        server.revoke_tokens()
        server.keystone_status = 503
        outcome = evacuate(nova)

    assert outcome == NotSent(why=f"Keystone {server.url}: answers with HTTP 503")
    assert [r.method for r in server.refused] == ["POST"]
    assert [r.method for r in server.requests] == ["GET"]


def test_a_new_token_that_is_refused_too_ends_it() -> None:
    """Two requests at most, neither accepted."""
    with NovaServer(answer=services) as server:
        nova = server.nova()
        nova.read_caller()
        server.accept_tokens = False
        outcome = evacuate(nova)

    assert outcome == Rejected(status=401, message="token expired")
    assert len(server.changes) == 2


def test_a_token_near_its_end_is_replaced_before_the_request() -> None:
    """Below 120 s left keystoneauth logs in anew; the request goes out once."""
    with NovaServer(answer=services, token_life_s=60) as server:
        outcome = evacuate(server.nova())

    assert outcome == Accepted(request_id=None)
    assert len(server.changes) == 1


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
    with NovaServer(answer=services) as server:
        server.nova().force_down(SERVICE, EVIDENCE, disable_reason="hacli:r1 recover")

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
    with NovaServer(answer=services) as server:
        server.nova().force_down(SERVICE, EVIDENCE, disable_reason=None)

    assert [r.body for r in server.changes] == [{"forced_down": True}]


def test_a_long_reason_is_cut_to_what_nova_takes() -> None:
    """1 to 255 characters, else Nova refuses the whole request."""
    with NovaServer(answer=services) as server:
        server.nova().disable(SERVICE, reason="x" * 300, timeout_s=5)

    assert [r.body for r in server.changes] == [
        {"status": "disabled", "disabled_reason": "x" * 255}
    ]


def test_enable_and_force_up_say_only_that() -> None:
    """Each changes one thing."""
    with NovaServer(answer=services) as server:
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
    with NovaServer(answer=services) as server:
        outcome = server.nova().enable(replace(SERVICE, id="", known=False))

    assert isinstance(outcome, NotSent)
    assert server.requests == []


def test_many_threads_share_one_login_and_each_request_is_sent_once() -> None:
    """The window of an evacuation is several workers on one adapter."""
    with NovaServer(answer=services) as server:
        nova = server.nova(write_limit_s=10)
        with ThreadPoolExecutor(30) as workers:
            outcomes = list(workers.map(lambda _: evacuate(nova), range(60)))

    assert outcomes == [Accepted(request_id=None)] * 60
    assert len(server.changes) == 60
    assert server.logins == 1


def test_many_threads_replace_a_refused_token_once() -> None:
    """Whoever comes second finds the new token and uses it."""
    with NovaServer(answer=services) as server:
        nova = server.nova(write_limit_s=10)
        nova.read_caller()
        server.revoke_tokens()
        with ThreadPoolExecutor(16) as workers:
            outcomes = list(workers.map(lambda _: evacuate(nova), range(16)))

    assert outcomes == [Accepted(request_id=None)] * 16
    assert len([r for r in server.requests if r.method == "POST"]) == 16
    assert server.logins == 2
