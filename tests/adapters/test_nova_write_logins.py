"""A token that is refused, missing or near its end, in the middle of a write to Nova."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from hacli.domain.servers import (
    Accepted,
    NotSent,
    Rejected,
)
from tests.adapters.nova_records import evacuate, yes
from tests.adapters.nova_server import PASSWORD, NovaServer, Reply


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
    with NovaServer(answer=yes) as server:
        nova = server.nova()
        nova.read_caller()
        server.revoke_tokens()
        outcome = evacuate(nova)

    assert outcome == Accepted(request_id=None)
    assert server.logins == 2
    assert [r.method for r in server.requests] == ["GET", "POST"]
    assert [r.method for r in server.refused] == ["POST"]


def test_nothing_is_sent_when_a_login_has_outlasted_the_evidence() -> None:
    """Law L3: whether the request may go is asked when the token is at hand, for each token."""
    asked: list[int] = []

    with NovaServer(answer=yes) as server:
        nova = server.nova()
        nova.read_caller()
        server.revoke_tokens()

        def may_send() -> bool:
            asked.append(server.logins)
            return server.logins == 1

        outcome = evacuate(nova, may_send=may_send)

    assert outcome == NotSent(why=f"Nova {server.url}: not sent: its evidence of death is too old")
    assert asked == [1, 2]
    assert [r.method for r in server.refused] == ["POST"]
    assert [r.method for r in server.requests] == ["GET"]


def test_a_token_refused_while_keystone_fails_means_not_sent() -> None:
    """The one request that reached Nova was refused; no other could be made."""
    with NovaServer(answer=yes) as server:
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
    with NovaServer(answer=yes) as server:
        nova = server.nova()
        nova.read_caller()
        server.accept_tokens = False
        outcome = evacuate(nova)

    assert outcome == Rejected(status=401, message="token expired")
    assert len(server.changes) == 2


def test_a_token_near_its_end_is_replaced_before_the_request() -> None:
    """Below 120 s left keystoneauth logs in anew; the request goes out once."""
    with NovaServer(answer=yes, token_life_s=60) as server:
        outcome = evacuate(server.nova())

    assert outcome == Accepted(request_id=None)
    assert len(server.changes) == 1


def test_many_threads_share_one_login_and_each_request_is_sent_once() -> None:
    """The window of an evacuation is several workers on one adapter."""
    with NovaServer(answer=yes) as server:
        nova = server.nova(write_limit_s=10)
        with ThreadPoolExecutor(30) as workers:
            outcomes = list(workers.map(lambda _: evacuate(nova), range(60)))

    assert outcomes == [Accepted(request_id=None)] * 60
    assert len(server.changes) == 60
    assert server.logins == 1


def test_many_threads_replace_a_refused_token_once() -> None:
    """Whoever comes second finds the new token and uses it."""
    with NovaServer(answer=yes) as server:
        nova = server.nova(write_limit_s=10)
        nova.read_caller()
        server.revoke_tokens()
        with ThreadPoolExecutor(16) as workers:
            outcomes = list(workers.map(lambda _: evacuate(nova), range(16)))

    assert outcomes == [Accepted(request_id=None)] * 16
    assert len([r for r in server.requests if r.method == "POST"]) == 16
    assert server.logins == 2
