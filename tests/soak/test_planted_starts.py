"""The checker finds what is wrong with a start in place, and with a run that was taken over."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from hacli.domain import start_in_place, start_moves
from hacli.domain.evacuation import End, Ended
from hacli.domain.policy import Policy
from hacli.domain.servers import Accepted, Guest, Server
from hacli.domain.start_in_place import Way
from hacli.domain.start_moves import StartMove, StartRun
from hacli.errors import HacliError
from hacli.lab.cib import RebootAction
from hacli.lab.cluster_facts import ClusterSettings
from hacli.lab.region import RegionSettings
from hacli.service import start_in_place as start_loop
from hacli.service.claim import HostClaim
from tests.fakes.world import Operator, Site, new_site
from tests.soak.planted import Alteration, Defect, planted

SYNCED_S = 120.0
"""After so long the power sync has stopped every dead server in Nova's books."""


@pytest.fixture
def site() -> Iterator[Site]:
    """One that Pacemaker fences by reboot; the laws are what the tests ask, not what they keep."""
    cluster = ClusterSettings(reboot_action=RebootAction.REBOOT)
    made = new_site(settings=RegionSettings(cluster=cluster))
    yield made
    made.stage.close()


def _back_from_an_outage(site: Site, *, stopped: int = 0) -> None:
    site.seed("compute-1", 6, stopped=stopped)
    site.pass_time(10)
    site.lose("compute-1")
    site.pass_time(SYNCED_S)


def _way(choose: Callable[[Server], object]) -> tuple[Alteration, ...]:
    """The decision about a server whose guest does not run, where it is asked for."""

    def way_to_start(server: Server, actions: Sequence[object], **_: object) -> object:
        return choose(server)

    return (
        (start_in_place, "way_to_start", way_to_start),
        (start_loop, "way_to_start", way_to_start),
    )


def _starts_all() -> tuple[Alteration, ...]:
    """Whatever does not run is started."""
    return _way(lambda s: Way.START if s.vm_state == "stopped" else Way.REBOOT)


def _leaves_the_stopped() -> tuple[Alteration, ...]:
    """What Nova calls stopped was stopped by somebody."""
    return _way(lambda s: Guest.NOT_RUNNING if s.vm_state == "stopped" else Way.REBOOT)


def _calls_it_started() -> tuple[Alteration, ...]:
    """Nova has said yes, so it runs."""
    true_next = start_moves.next_start

    def next_start(run: StartRun, *, now: float, policy: Policy) -> StartMove:
        if isinstance(run.answer, Accepted):
            return Ended(end=End.VERIFIED, text="accepted")
        return true_next(run, now=now, policy=policy)

    return ((start_loop, "next_start", next_start),)


STARTS = {
    "starts what was stopped": (Defect(law="L1", alter=_starts_all), "which has never run"),
    "leaves what the power sync stopped": (
        Defect(law="L1", alter=_leaves_the_stopped),
        "calls compute-1 recovered, and 4 are left on it",
    ),
    "calls an accepted one started": (
        Defect(law="L5", alter=_calls_it_started),
        "is called started on compute-1 and does not run",
    ),
}


@pytest.mark.parametrize(
    ("defect", "words"), [pytest.param(*case, id=name) for name, case in STARTS.items()]
)
def test_a_defect_of_the_start_in_place_is_found(site: Site, defect: Defect, words: str) -> None:
    """By the name of its law, and for what it is."""
    _back_from_an_outage(site, stopped=2)

    with planted(defect), suppress(HacliError):
        site.operator().recover("compute-1")

    found = site.violations()
    assert any(text.startswith(f"{defect.law}: ") and words in text for text in found), found


def _keeps_the_host() -> tuple[Alteration, ...]:
    """Once ours, always ours: what the CIB says later is not heard."""

    def hear(claim: HostClaim, text: str | None, *, counts: bool, at: float) -> None:
        return None

    return ((HostClaim, "hear", hear), (HostClaim, "is_known", lambda claim, now: True))


def _taken_over(site: Site, *, by_word: bool) -> list[str]:
    """A long recovery that another controller takes over in its middle, and the laws it broke."""
    site.seed("compute-1", 40)
    site.lose("compute-1")
    ends: list[bool] = []

    def play(operator: Operator, *, take_over: bool) -> None:
        with suppress(HacliError):
            operator.recover("compute-1", take_over=take_over)
        ends.append(take_over)

    first = site.operator()
    second = site.operator(store=site.other_controller(), at="controller-2")
    site.beside(0.0, first, lambda one: play(one, take_over=False))
    site.when(
        lambda: len(site.log.evacuations()) >= 4,
        lambda: site.beside(0.0, second, lambda one: play(one, take_over=True)),
    )
    site.until(lambda: len(ends) == 2, within=3000)
    told = site.errands[second.process.name]
    site.errands[second.process.name] = replace(told, takes_over=by_word)
    return site.violations()


@pytest.mark.parametrize(
    ("deaf", "by_word", "broken"),
    [
        pytest.param(False, True, False, id="it reads that it was taken over, and ends"),
        pytest.param(True, True, True, id="it never reads it"),
        pytest.param(False, False, True, id="hacli itself took a living run for dead"),
    ],
)
def test_what_a_run_may_send_that_was_taken_over(deaf: bool, by_word: bool, broken: bool) -> None:
    """Law L9: on its last look, for 10 s, and only where a person said that it is gone."""
    site = new_site()

    with planted(Defect(law="L9", alter=_keeps_the_host if deaf else tuple)):
        found = _taken_over(site, by_word=by_word)

    site.stage.close()
    assert any(text.startswith("L9: ") for text in found) is broken, found
