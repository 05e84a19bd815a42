"""The checker of the laws: each law with a story that breaks it, and one that does not."""

from dataclasses import replace

from hacli.lab.invariants import Law, Story, Violation, check, check_recovery, sum_up_recovery
from hacli.lab.machines import LedgerEntry
from hacli.lab.region import ServerTruth
from hacli.lab.request_log import Deed, RequestRecord, Target

NAMES = {"s1": "web-01", "s2": "db-01"}


def did(
    at: float, machine: str, what: str, server: str | None = None, disk: str = "d1"
) -> LedgerEntry:
    """One line of a ledger."""
    return LedgerEntry(
        at=at, machine=machine, what=what, server=server, disk=disk if server else None
    )


def asked(at: float, target: Target, *, sent: int | None = 200) -> RequestRecord:
    """One request to Nova and its answer."""
    return RequestRecord(
        at=at,
        service="nova",
        method="POST",
        path="/v2.1/servers/s1/action",
        status=sent,
        sent=sent,
        changed=target.migration is not None,
        target=target,
    )


EVACUATE = Target(deed=Deed.EVACUATE, host="compute-3", server="s1", migration=1)
FORCE_DOWN = Target(deed=Deed.FORCE_DOWN, host="compute-3")
SEEDED = (did(0, "compute-3", "guest-started", "s1"),)
DIED = (*SEEDED, did(10, "compute-3", "power-off"), did(10, "compute-3", "guest-ended", "s1"))
REBUILT = (*DIED, did(24, "compute-1", "guest-started", "s1"))


def story(
    *requests: RequestRecord,
    ledger: tuple[LedgerEntry, ...] = REBUILT,
    hosts: tuple[str, ...] | None = None,
    rebuilt: tuple[str, ...] = (),
) -> Story:
    """A run in which compute-3 died and web-01 came back on compute-1."""
    return Story(ledger=ledger, requests=requests, names=NAMES, hosts=hosts, rebuilt=rebuilt)


def test_a_recovery_that_keeps_the_laws_breaks_none() -> None:
    """Off, then force-down, then one evacuation, on the named host only."""
    good = story(asked(20, FORCE_DOWN), asked(21, EVACUATE), hosts=("compute-3",))

    assert check(good) == ()


def test_a_restart_of_a_guest_that_runs_is_found() -> None:
    """A hard reboot takes its memory; of one that died with its host it takes nothing."""
    reboot = replace(
        asked(5, Target(deed=Deed.SERVER, host="compute-3", server="s1")),
        body={"reboot": {"type": "HARD"}},
    )

    found = check(story(reboot, ledger=DIED))

    assert [violation.law for violation in found] == [Law.CUT_OFF]
    assert check(story(replace(reboot, at=15), ledger=DIED)) == ()


def test_a_server_that_runs_on_two_machines_is_found() -> None:
    """Also when it was for a moment only and nothing is left to see of it."""
    ledger = (
        *SEEDED,
        did(20, "compute-1", "guest-started", "s1"),
        did(22.5, "compute-3", "guest-ended", "s1"),
    )

    assert check(story(ledger=ledger)) == (
        Violation(law=Law.TWICE, text="web-01 ran on compute-1 and compute-3 for 2.5 s"),
    )


def test_a_server_that_still_runs_on_two_machines_is_found() -> None:
    """The story may end in the middle of it."""
    ledger = (*SEEDED, did(20, "compute-1", "guest-started", "s1"))

    assert check(story(ledger=ledger)) == (
        Violation(law=Law.TWICE, text="web-01 ran on compute-1 and compute-3 still"),
    )


def test_a_guest_that_changes_machines_in_one_instant_runs_once() -> None:
    """A live migration switches over: no time passes with both."""
    ledger = (
        *SEEDED,
        did(20, "compute-1", "guest-started", "s1"),
        did(20, "compute-3", "guest-ended", "s1"),
    )

    assert check(story(ledger=ledger)) == ()


def test_evacuating_from_a_machine_with_power_is_found() -> None:
    """Also when the kernel has crashed: off is the safe state."""
    ledger = (
        *SEEDED,
        did(10, "compute-3", "crashed"),
        did(10, "compute-3", "guest-ended", "s1"),
    )

    assert check(story(asked(20, EVACUATE), ledger=ledger)) == (
        Violation(law=Law.EVIDENCE, text="evacuate of web-01 was asked while compute-3 had power"),
    )


def test_a_force_down_of_a_machine_that_was_switched_on_again_is_found() -> None:
    """What counts is the moment of the request."""
    ledger = (*DIED, did(15, "compute-3", "power-on"))

    assert check(story(asked(20, FORCE_DOWN), ledger=ledger)) == (
        Violation(law=Law.EVIDENCE, text="force-down was asked while compute-3 had power"),
    )


def test_asking_while_the_first_evacuation_is_unfinished_is_found() -> None:
    """Nova accepts it, and the guest can then run on two machines."""
    second = replace(EVACUATE, open_evacuations=(1,), migration=2)

    assert check(story(asked(21, EVACUATE), asked(22, second))) == (
        Violation(
            law=Law.ONCE,
            text="evacuation of web-01 was asked while evacuation 1 of it was unfinished",
        ),
    )


def test_asking_again_soon_after_a_lost_answer_is_found() -> None:
    """Nobody knows yet whether the first request will come true."""
    untraced = replace(EVACUATE, migration=None)
    requests = (asked(21, untraced, sent=None), asked(100, untraced))

    assert check(story(*requests, ledger=DIED)) == (
        Violation(
            law=Law.ONCE,
            text="evacuation of web-01 was asked 79.0 s after a request of unknown fate",
        ),
    )


def test_asking_again_is_right_when_the_first_request_left_no_trace_for_long() -> None:
    """180 s after a 5xx, 600 s after silence; at once after a refusal."""
    untraced = replace(EVACUATE, migration=None)

    for sent, pause in ((503, 180.0), (None, 600.0), (400, 1.0)):
        requests = (asked(21, untraced, sent=sent), asked(21 + pause, untraced))
        assert check(story(*requests, ledger=DIED)) == (), sent


def test_evacuating_a_server_that_executes_elsewhere_is_found() -> None:
    """A failed migration may have left the guest running at its destination."""
    failed = (asked(21, EVACUATE), asked(60, replace(EVACUATE, migration=2)))

    assert check(story(*failed)) == (
        Violation(law=Law.ONCE, text="evacuation of web-01 was asked while it ran on compute-1"),
    )


def test_a_new_disk_is_found_unless_it_was_given_up() -> None:
    """The API says ACTIVE and done either way."""
    ledger = (*DIED, did(24, "compute-1", "guest-started", "s1", disk="new"))

    assert check(story(ledger=ledger)) == (
        Violation(law=Law.DISKS, text="web-01 started on compute-1 with a new disk"),
    )
    assert check(story(ledger=ledger, rebuilt=("s1",))) == ()


def test_switching_off_a_host_that_nobody_named_is_found() -> None:
    """The wrong box."""
    ledger = (*REBUILT, did(30, "compute-2", "power-off"))

    assert check(story(ledger=ledger, hosts=("compute-3",))) == (
        Violation(law=Law.NAMED_ONLY, text="compute-2 was powered off"),
    )


def test_changing_another_hosts_server_or_service_is_found() -> None:
    """A server that lived on the named host is still ours where it went."""
    other = Target(deed=Deed.SERVER, host="compute-2", server="s2")
    service = Target(deed=Deed.SERVICE, host="compute-2")
    ours = Target(deed=Deed.SERVER, host="compute-1", server="s1")
    requests = tuple(replace(asked(30, target), changed=True) for target in (other, service, ours))

    assert check(story(*requests, hosts=("compute-3",))) == (
        Violation(law=Law.NAMED_ONLY, text="POST server changed db-01 of compute-2"),
        Violation(law=Law.NAMED_ONLY, text="POST service changed compute-2 of compute-2"),
    )


def truth(
    *,
    running_on: tuple[str, ...],
    defined_on: tuple[str, ...],
    disk: str = "d1",
    originally_running: bool = True,
) -> ServerTruth:
    """How it ended for web-01."""
    return ServerTruth(
        id="s1",
        name="web-01",
        running_on=running_on,
        defined_on=defined_on,
        disks=(disk,),
        original_disk="d1",
        originally_running=originally_running,
    )


HERE, THERE, BOTH = ("compute-3",), ("compute-1",), ("compute-1", "compute-3")


def test_a_recovered_server_runs_once_elsewhere_from_its_own_disk() -> None:
    """Its old definition may still be on the dead host."""
    right = truth(running_on=THERE, defined_on=BOTH)
    stopped = truth(running_on=(), defined_on=THERE, originally_running=False)

    assert check_recovery("compute-3", SEEDED, [right]) == ()
    assert check_recovery("compute-3", SEEDED, [stopped]) == ()


def test_a_server_that_did_not_come_back_as_it_was_is_found() -> None:
    """Down, twice, in the old place, on another disk, or running though it was stopped."""
    cases = {
        truth(running_on=(), defined_on=THERE): "runs on no machine",
        truth(running_on=BOTH, defined_on=BOTH): "runs on compute-1 and compute-3",
        truth(running_on=THERE, defined_on=THERE, disk="new"): "is not on its own disk d1",
        truth(running_on=THERE, defined_on=THERE, originally_running=False): (
            "was stopped, and runs on compute-1"
        ),
        truth(running_on=(), defined_on=HERE, originally_running=False): (
            "is on no machine but compute-3"
        ),
    }

    for wrong, text in cases.items():
        found = check_recovery("compute-3", SEEDED, [wrong])
        assert Violation(law=Law.BACK, text=f"web-01: {text}") in found


def test_a_server_left_behind_must_be_as_it_was() -> None:
    """Nothing else may have it, and its local disk is the old one."""
    left = truth(running_on=(), defined_on=HERE)
    moved = truth(running_on=THERE, defined_on=BOTH, disk="new")

    assert check_recovery("compute-3", SEEDED, [left], left=("s1",)) == ()
    assert check_recovery("compute-3", SEEDED, [moved], left=("s1",)) == (
        Violation(
            law=Law.BACK,
            text="web-01: is on compute-1 and compute-3, and was to be left on compute-3",
        ),
        Violation(law=Law.BACK, text="web-01: lost its local disk"),
    )


def test_servers_of_other_hosts_are_no_concern_of_a_recovery() -> None:
    """compute-1's own server is down for reasons of its own."""
    down = truth(running_on=(), defined_on=THERE)

    assert check_recovery("compute-1", SEEDED, [down]) == ()


def test_the_summary_counts_what_came_back_and_names_what_was_left() -> None:
    """One sentence for the end of a demonstration."""
    back = truth(running_on=THERE, defined_on=THERE)

    assert sum_up_recovery("compute-3", SEEDED, [back]) == (
        "compute-3: running once, elsewhere, from their own disks: 1; "
        "stopped as before, elsewhere: 0; left alone: none."
    )
    assert sum_up_recovery("compute-3", SEEDED, [back], left=("s1",)) == (
        "compute-3: running once, elsewhere, from their own disks: 0; "
        "stopped as before, elsewhere: 0; left alone: web-01."
    )


def test_a_copy_may_be_asked_for_where_it_runs() -> None:
    """A failure may have left a running copy: only its own host may be asked again, by name."""
    failed = (*DIED, did(24, "compute-1", "guest-started", "s1"))
    again = replace(EVACUATE, migration=2)
    there = replace(asked(30, again), body={"evacuate": {"host": "compute-1"}})
    elsewhere = replace(asked(30, again), body={"evacuate": {"host": "compute-2"}})

    assert check(story(there, ledger=failed)) == ()
    assert [found.law for found in check(story(elsewhere, ledger=failed))] == [Law.ONCE]


def test_power_that_has_just_come_back_is_within_the_age_of_evidence() -> None:
    """Law L3 leaves ten seconds between a proof and the request; a story may allow for them."""
    back = (*DIED, did(15, "compute-3", "power-on"))
    soon, late = asked(24, FORCE_DOWN), asked(26, FORCE_DOWN)

    found = check(replace(story(soon, late, ledger=back), grace_s=10.0))

    assert [violation.law for violation in found] == [Law.EVIDENCE]
    assert len(check(story(soon, late, ledger=back))) == 2


def test_power_that_nobody_can_read_shows_when_the_system_is_up() -> None:
    """Without a BMC nothing tells of a machine that boots; its old guests are dead as before."""
    back = (*DIED, did(15, "compute-3", "power-on"), did(40, "compute-3", "booted"))
    booting, soon, late = asked(39, FORCE_DOWN), asked(49, FORCE_DOWN), asked(51, FORCE_DOWN)
    told = replace(story(booting, soon, late, ledger=back), grace_s=10.0)

    assert len(check(told)) == 3
    assert len(check(replace(told, unread=("compute-3",)))) == 1
