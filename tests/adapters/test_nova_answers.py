"""Reads whose answers break, are late, or are not what was asked for."""

import pytest

from hacli.errors import NotPermitted, Unreachable, Unreadable
from tests.adapters.nova_records import migration, service
from tests.adapters.nova_server import (
    Answerer,
    Fault,
    NovaServer,
    Reply,
    Request,
    in_pages,
    recorded,
)


def in_turn(*replies: Reply | Fault) -> Answerer:
    """One answer after the other."""
    waiting = iter(replies)
    return lambda _: next(waiting)


@pytest.mark.parametrize(
    "first",
    [Fault.CLOSE, Fault.RESET, Fault.HALF, Reply(status=503), Reply(status=429)],
    ids=["closed", "reset", "half", "503", "429"],
)
def test_a_read_is_repeated(first: Reply | Fault) -> None:
    """A read that came to nothing may be asked again."""
    answer = in_turn(first, Reply(body={"services": [service("compute-3")]}))
    with NovaServer(answer=answer) as nova:
        found = nova.nova().read_services()

    assert [s.host for s in found.services] == ["compute-3"]


def test_a_read_is_repeated_twice_and_no_more() -> None:
    """Then nothing is known, in plain words."""
    with NovaServer(answer=lambda _: Fault.CLOSE) as nova, pytest.raises(Unreachable) as caught:
        nova.nova().read_services()

    assert len(nova.requests) == 3
    assert caught.value.source == f"Nova {nova.url}"
    assert caught.value.why == "the connection was closed before an answer came"


def test_a_read_without_an_answer_in_time_is_not_repeated() -> None:
    """The caller's time is up: the limit is of the whole read, not of each try."""
    with (
        NovaServer(answer=lambda _: Fault.HANG) as nova,
        pytest.raises(Unreachable, match=r"connected, but no answer within 0\.3 s"),
    ):
        nova.nova(read_limit_s=0.3).read_services()

    assert len(nova.requests) == 1


def test_a_server_cannot_make_us_wait_for_an_hour() -> None:
    """Retry-After is capped; the repeat comes within the test's own limit."""
    later = Reply(status=503, headers={"Retry-After": "3600"})
    answer = in_turn(later, Reply(body={"services": []}))
    with NovaServer(answer=answer) as nova:
        assert nova.nova().read_services().services == ()


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(status=401), NotPermitted, "answers with HTTP 401"),
        (Reply(status=403), NotPermitted, "answers with HTTP 403"),
        (Reply(status=500, text="<html>"), Unreachable, "answers with HTTP 500"),
        (Reply(status=502, text="<html>"), Unreachable, "answers with HTTP 502"),
        (Reply(status=404), Unreadable, "answers with HTTP 404"),
        (Reply(text="<html>hello</html>"), Unreadable, "the answer is not a JSON object"),
        (Reply(text='{"services": ['), Unreadable, "the answer is not a JSON object"),
        (Reply(body={"other": []}), Unreadable, "services is missing"),
    ],
)
def test_an_answer_that_is_no_answer_has_its_own_error(
    reply: Reply, error: type[Exception], why: str
) -> None:
    """Refused, not there, or not understood: three different things to do next."""
    with NovaServer(answer=lambda _: reply) as nova, pytest.raises(error) as caught:
        nova.nova().read_services()

    assert str(caught.value) == f"Nova {nova.url}: {why}"


def test_a_microversion_that_is_refused_after_all_is_named() -> None:
    """Behind one address there may be an older Nova too (recorded from Zed)."""
    no = Reply(status=406, body=recorded("zed-evacuate-error-2.95-unsupported"))
    with (
        NovaServer(answer=lambda _: no) as nova,
        pytest.raises(Unreadable, match=r"Version 2\.95 is not supported by the API"),
    ):
        nova.nova().read_services()


def test_a_token_that_ends_between_two_pages_is_replaced() -> None:
    """The list goes on where it was."""
    with NovaServer() as nova:
        pages = in_pages([migration(n) for n in range(1500, 0, -1)], "migrations", id_key="uuid")

        def answer(request: Request) -> Reply | Fault:
            if "marker" not in request.query:
                nova.revoke_tokens()
            return pages(request)

        nova.answer = answer
        found = nova.nova().read_evacuations("compute-3")

    assert len(found) == 1500
    assert nova.logins == 2
