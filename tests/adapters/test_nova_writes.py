"""Each way a write to Nova can end, over real sockets; the server counts what it got."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import urllib3

from hacli.adapters.nova import Nova
from hacli.domain.servers import (
    Accepted,
    NotSent,
    Rejected,
    Uncertain,
)
from tests.adapters.certificates import certificate
from tests.adapters.nova_records import SERVER, SERVICE, evacuate, yes
from tests.adapters.nova_server import Fault, NovaServer, Reply, Request, recorded


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


def test_an_accepted_evacuation_gives_novas_request_id() -> None:
    """200 with an empty body is Nova's yes; the id correlates with the instance action."""
    accepted = Reply(headers={"x-compute-request-id": "req-1"})
    with NovaServer(answer=lambda _: accepted) as server:
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


def test_a_server_is_started_or_rebooted_hard_and_nothing_else() -> None:
    """One POST each, at the version of all writes."""
    with NovaServer(answer=lambda _: Reply(status=202)) as server:
        nova = server.nova()
        outcomes = [
            nova.start(SERVER, may_send=lambda: True),
            nova.hard_reboot(SERVER, may_send=lambda: True),
            nova.hard_reboot(SERVER, may_send=lambda: False),
        ]

    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, True, False]
    assert isinstance(outcomes[2], NotSent)
    assert [change.body for change in server.changes] == [
        {"os-start": None},
        {"reboot": {"type": "HARD"}},
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


def test_an_idle_connection_that_was_closed_is_replaced_before_the_request() -> None:
    """Proxies close idle connections; the close is seen before anything is written."""
    with NovaServer(answer=yes) as server:
        nova = server.nova()
        nova.read_caller()
        server.close_idle()
        outcome = evacuate(nova)

    assert outcome == Accepted(request_id=None)
    assert len(server.changes) == 1


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
    with NovaServer(answer=yes, keep_alive=False, tls=old.context()) as server:
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
    with NovaServer(answer=yes, keep_alive=False, tls=own.context()) as server:
        nova = Nova(lambda: server.cloud(verify=str(own.path)))
        nova.read_caller()
        url, server.tls = server.url, None
        outcome = evacuate(nova)

    assert outcome == NotSent(why=f"Nova {url}: no TLS connection: the handshake failed")


def test_a_handshake_that_is_cut_off_means_not_sent(tmp_path: Path) -> None:
    """Closed at once, with TLS: the client waits for the handshake before it writes."""
    own = certificate(tmp_path, "own")
    with NovaServer(answer=yes, keep_alive=False, tls=own.context()) as server:
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
