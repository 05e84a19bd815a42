"""The table "Which servers are asked for" of docs/safety.md, cell by cell; the window, too."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import TypedDict, Unpack

from hacli.domain.evacuation import Past, Reason, Records, ServerRun, Wishes
from hacli.domain.policy import LocalDisks, Storage
from hacli.domain.servers import Migration, Server, ServerGroup
from tests.domain.cells import Cell
from tests.domain.moves import EARLIER, POLICY, T0, record, run, server

Planned = tuple[tuple[ServerRun, ...], tuple[tuple[str, Reason, str], ...]]
NOW = 50.0
NO_WISHES = Wishes()
NO_PAST: Mapping[str, Past] = {}


class RecordChanges(TypedDict, total=False):
    """What Nova's records may say."""

    evacuations: tuple[Migration, ...]
    moves: tuple[Migration, ...]
    groups: tuple[ServerGroup, ...]
    storage: Storage
    arrived: tuple[Server, ...]


def plan(
    name: str,
    servers: tuple[Server, ...],
    runs: tuple[ServerRun, ...] = (),
    skips: tuple[tuple[str, Reason, str], ...] = (),
    *,
    wishes: Wishes = NO_WISHES,
    past: Mapping[str, Past] = NO_PAST,
    **changes: Unpack[RecordChanges],
) -> Cell:
    """The plan for these servers: who is brought back, how far, and who is left alone."""
    empty = Records(servers=servers, evacuations=(), moves=(), groups=(), storage=Storage.LOCAL)
    records = replace(empty, **changes)

    def ask(module: ModuleType) -> Planned:
        made = module.plan_evacuation(records, wishes, past, now=NOW, policy=POLICY)
        said = tuple((skip.server.id, skip.reason, skip.text) for skip in made.skips)
        return (made.runs, said)

    return Cell(name, ask, (runs, skips))


def fresh(of: Server, known: frozenset[int] = frozenset()) -> ServerRun:
    """A server that is to be asked for, and has not been."""
    return run(server=of, was=of.vm_state, known_ids=known, changed_at=NOW)


def follow(of: Migration, known: frozenset[int] = frozenset()) -> ServerRun:
    """A server whose evacuation is on its way, or has failed, already."""
    return replace(fresh(VM, known), migration=of, asked=1)


VM = server()
IMAGE = server(image="image-1")
LEFT = "vm-1"
STATES = ("paused", "suspended", "rescued", "resized", "shelved_offloaded", "building")
MOVING = (
    "migrating",
    "resize_prep",
    "resize_migrating",
    "resize_migrated",
    "resize_finish",
    "resize_reverting",
)
LIVE = record(3, "running", "compute-1", kind="live-migration")
INTO = replace(LIVE, source="compute-1", destination="compute-3")
AFFINITY = ServerGroup(id="g", policy="affinity", members=("vm-1", "vm-2"))


def no(reason: Reason, text: str) -> tuple[tuple[str, Reason, str], ...]:
    """The one server is left alone."""
    return ((LEFT, reason, text),)


def state(name: str, of: Server, what: str) -> Cell:
    """Nova refuses such a server."""
    return plan(
        name, (of,), (), no(Reason.STATE, f"Nova does not evacuate a server that is {what}")
    )


DELETED = no(Reason.DELETING, "it was being deleted; Nova would bring it back")
LOCAL_ROOT = no(Reason.LOCAL_DISK, "its root disk is local: Nova would rebuild it from the image")
LOCAL_EPHEMERAL = no(
    Reason.LOCAL_DISK, "its ephemeral disk is local: Nova would make it anew, empty"
)
UNFINISHED = "its live-migration is unfinished: it may run on compute-1"
HELD = no(Reason.AFFINITY, "its server group (affinity) allows no other host")
EPHEMERAL = server(ephemeral_gb=1)
STOPPED, BROKEN = server(vm_state="stopped"), server(vm_state="error")

CHOICES = [
    plan("C1-active", (VM,), (fresh(VM),)),
    plan("C1-stopped", (STOPPED,), (fresh(STOPPED),)),
    plan("C1-error", (BROKEN,), (fresh(BROKEN),)),
    *(state(f"C2-{name}", server(vm_state=name), name) for name in STATES),
    state("C2-never-launched", server(launched_at=None), "not built yet"),
    plan("C2-never-launched-and-failed", (server(launched_at=None),), (),
         no(Reason.STATE, "Nova does not evacuate a server that is not built yet"),
         evacuations=(record(7, "failed", "compute-1"),)),
    *(plan(f"C3-{task}", (server(task_state=task),), (), DELETED)
      for task in ("deleting", "soft-deleting")),
    plan("C3-another-task", (server(task_state="rebooting"),),
         (fresh(server(task_state="rebooting")),)),
    plan("C4-from", (VM,), (), no(Reason.MIGRATING, UNFINISHED), moves=(LIVE,)),
    plan("C4-to", (VM,), (), no(Reason.MIGRATING, UNFINISHED), moves=(INTO,)),
    plan("C4-second-record", (VM,), (), no(Reason.MIGRATING, UNFINISHED),
         moves=(replace(LIVE, destination=None), LIVE)),
    plan("C4-of-another-server", (VM,), (fresh(VM),), moves=(replace(LIVE, server="vm-2"),)),
    *(plan(f"C4-{task}", (server(task_state=task),), (),
           no(Reason.MIGRATING, f"it was in the middle of a move ({task})")) for task in MOVING),
    plan("C5-no-destination", (VM,), (fresh(VM),), moves=(replace(LIVE, destination=None),)),
    plan("C6-by-id", (VM,), (fresh(VM),), moves=(LIVE,),
         wishes=Wishes(migration_checked=frozenset({"vm-1"}))),
    plan("C6-by-name", (VM,), (fresh(VM),), moves=(LIVE,),
         wishes=Wishes(migration_checked=frozenset({"web-1"}))),
    plan("C6-another", (VM,), (), no(Reason.MIGRATING, UNFINISHED), moves=(LIVE,),
         wishes=Wishes(migration_checked=frozenset({"vm-2"}))),
    plan("C7", (VM,), (), HELD, groups=(AFFINITY,)),
    plan("C7-soft", (VM,), (fresh(VM),), groups=(replace(AFFINITY, policy="soft-affinity"),)),
    plan("C7-not-a-member", (VM,), (fresh(VM),), groups=(replace(AFFINITY, members=("vm-2",)),)),
    plan("C8-image", (IMAGE,), (), LOCAL_ROOT),
    plan("C8-image-and-ephemeral", (replace(IMAGE, ephemeral_gb=1),), (), LOCAL_ROOT),
    plan("C8-ephemeral", (EPHEMERAL,), (), LOCAL_EPHEMERAL),
    plan("C8-other-flag", (IMAGE,), (), LOCAL_ROOT, wishes=Wishes(local_disks=LocalDisks.SKIP)),
    plan("C9-shared", (IMAGE,), (fresh(IMAGE),), storage=Storage.SHARED),
    plan("C9-flag", (IMAGE,),
         (replace(fresh(IMAGE),
                  loses="its root disk is local: Nova would rebuild it from the image"),),
         wishes=Wishes(local_disks=LocalDisks.IMAGE)),
    plan("C10-id", (VM,), (fresh(VM),), wishes=Wishes(only=frozenset({"vm-1"}))),
    plan("C10-name", (VM,), (fresh(VM),), wishes=Wishes(only=frozenset({"web-1"}))),
    plan("C10-another", (VM,), (),
         no(Reason.NOT_CHOSEN, "not among the servers named with --server"),
         wishes=Wishes(only=frozenset({"vm-2"}))),
    plan("C10-target", (VM,), (replace(fresh(VM), target="compute-2"),),
         wishes=Wishes(target="compute-2")),
]  # fmt: skip

FIRST, SECOND = server(id="b", name="a"), server(id="a", name="b")
URGENT = server(id="z", name="z", metadata={"hacli:priority": "10"})
HIGH = server(id="y", name="y", metadata={"hacli:priority": "9"})
LAST = server(id="c", name="A", metadata={"hacli:priority": "-1"})
JUNK = server(id="d", name="a", metadata={"hacli:priority": "soon"})
SIGNS = server(id="e", name="a", metadata={"hacli:priority": "--5"})
POWER = server(id="f", name="a", metadata={"hacli:priority": "²"})
SORTED = (URGENT, HIGH, FIRST, JUNK, SIGNS, POWER, SECOND, LAST)

ORDER = [
    plan("C11", tuple(reversed(SORTED)), tuple(fresh(vm) for vm in SORTED)),
]

OPEN = record(7, "accepted")
AT_1 = frozenset({"compute-1"})
OLD = record(4, "failed", "compute-2", seconds=-90000)
SPAWNED_SINCE = server(launched_at=T0 + timedelta(seconds=1))
WAS_STOPPED = {"vm-1": Past(was="stopped")}
INTENT = Past(was="active", known_ids=frozenset({4}), intent_age_s=200.0)
TAKEN = replace(INTENT, accepted=True)


def crashed(of: ServerRun, may_ask_at: float) -> ServerRun:
    """An intent without a trace."""
    return replace(of, asked=1, answer=EARLIER, answered_at=NOW, may_ask_at=may_ask_at)


HISTORY = [
    plan("H1-accepted", (VM,), (follow(OPEN),), evacuations=(OPEN,)),
    plan("H1-unknown-state", (VM,), (follow(record(7, "queued")),),
         evacuations=(record(7, "queued"),)),
    plan("H1-although-not-chosen", (IMAGE,), (replace(follow(OPEN), server=IMAGE),),
         evacuations=(OPEN,), wishes=Wishes(only=frozenset({"vm-2"}))),
    plan("H1-older-is-open", (VM,), (follow(OPEN, frozenset({9})),),
         evacuations=(record(9, "error"), OPEN)),
    plan("H1-two-are-open", (VM,), (follow(record(9, "accepted"), frozenset({4})),),
         evacuations=(record(9, "accepted"), OPEN, OLD)),
    plan("H1-beside-an-intent", (VM,), (crashed(follow(OPEN), 450.0),),
         evacuations=(OPEN,), past={"vm-1": replace(INTENT, known_ids=frozenset({7}))}),
    plan("H1-of-another-server", (VM,), (fresh(VM),),
         evacuations=(record(7, "accepted", of="vm-2"),)),
    plan("H2", (VM,), (replace(follow(record(7, "done", "compute-1")), maybe_at=AT_1),),
         evacuations=(record(7, "done", "compute-1"),)),
    plan("H2-beside-an-intent", (VM,),
         (crashed(replace(follow(record(7, "done", "compute-1")), maybe_at=AT_1), 450.0),),
         evacuations=(record(7, "done", "compute-1"),),
         past={"vm-1": replace(INTENT, known_ids=frozenset({7}))}),
    plan("H3", (VM,), (fresh(VM, frozenset({7})),),
         evacuations=(record(7, "completed", "compute-1"),)),
    plan("H4", (VM,), (fresh(VM, frozenset({7})),), evacuations=(record(7, "error"),)),
    plan("H4-after-an-intent", (VM,), (fresh(VM, frozenset({7})),),
         evacuations=(record(7, "error"),), past={"vm-1": TAKEN}),
    plan("H4-may-be-anothers", (VM,), (crashed(fresh(VM, frozenset({7})), 450.0),),
         evacuations=(record(7, "error"),), past={"vm-1": INTENT}),
    plan("H5", (VM,), (replace(follow(record(7, "failed", "compute-1")), maybe_at=AT_1),),
         evacuations=(record(7, "failed", "compute-1"),)),
    plan("H5-error-names-a-host", (VM,),
         (replace(follow(record(7, "error", "compute-1")), maybe_at=AT_1),),
         evacuations=(record(7, "error", "compute-1"),)),
    plan("H5-and-local-disk", (IMAGE,), (), LOCAL_ROOT,
         evacuations=(record(7, "failed", "compute-1"),)),
    plan("H5-error-since", (VM,),
         (replace(follow(record(7, "failed", "compute-1"), frozenset({9})), maybe_at=AT_1),),
         evacuations=(record(9, "error"), record(7, "failed", "compute-1"))),
    plan("H5-second-host", (VM,),
         (replace(follow(record(9, "failed", "compute-2"), frozenset({7})),
                  maybe_at=frozenset({"compute-1", "compute-2"})),),
         evacuations=(record(9, "failed", "compute-2"), record(7, "failed", "compute-1"))),
    plan("H5-done-elsewhere", (VM,),
         (replace(follow(record(9, "failed", "compute-2"), frozenset({7})),
                  maybe_at=frozenset({"compute-1", "compute-2"})),),
         evacuations=(record(9, "failed", "compute-2"), record(7, "done", "compute-1"))),
    plan("H5-unnamed", (VM,),
         (replace(follow(record(7, "failed")), maybe_at=frozenset({None})),),
         evacuations=(record(7, "failed"),)),
    plan("H5-no-time", (VM,),
         (replace(follow(UNTIMED := replace(record(7, "failed", "compute-1"), updated_at=None)),
                  maybe_at=AT_1),),
         evacuations=(UNTIMED,)),
    plan("H6", (SPAWNED_SINCE,), (fresh(SPAWNED_SINCE, frozenset({7})),),
         evacuations=(record(7, "failed", "compute-1"),)),
    plan("H6-long-ago", (VM,), (fresh(VM, frozenset({4})),), evacuations=(OLD,)),
    plan("H6-same-second", (server(launched_at=T0),),
         (replace(follow(record(7, "failed", "compute-1")), server=server(launched_at=T0),
                  maybe_at=AT_1),),
         evacuations=(record(7, "failed", "compute-1"),)),
    plan("H7", (VM,), (crashed(fresh(VM), 450.0),),
         past={"vm-1": replace(INTENT, known_ids=frozenset())}),
    plan("H7-known-records", (VM,), (crashed(fresh(VM, frozenset({4})), 450.0),),
         evacuations=(OLD,), past={"vm-1": INTENT}),
    plan("H7-old-intent", (VM,), (crashed(fresh(VM), NOW),),
         past={"vm-1": Past(was="active", known_ids=frozenset(), intent_age_s=700.0)}),
    plan("H7-after-a-failure", (VM,),
         (crashed(replace(fresh(VM, frozenset({7})), maybe_at=AT_1), 450.0),),
         evacuations=(record(7, "failed", "compute-1"),),
         past={"vm-1": replace(INTENT, known_ids=frozenset({7}))}),
    plan("H7-after-a-failure-and-an-error", (VM,),
         (replace(fresh(VM, frozenset({7, 9})), maybe_at=AT_1),),
         evacuations=(record(9, "error"), record(7, "failed", "compute-1")),
         past={"vm-1": replace(TAKEN, known_ids=frozenset({7}))}),
    plan("H7-accepted", (VM,), (crashed(fresh(VM), 450.0),),
         past={"vm-1": replace(TAKEN, known_ids=frozenset())}),
    plan("H8", (VM,), (follow(OPEN, frozenset({4})),), evacuations=(OPEN, OLD),
         past={"vm-1": TAKEN}),
    plan("H8-may-be-anothers", (VM,), (crashed(follow(OPEN, frozenset({4})), 450.0),),
         evacuations=(OPEN, OLD), past={"vm-1": INTENT}),
    plan("H8-failed", (VM,),
         (replace(follow(record(7, "failed", "compute-1"), frozenset({4})), maybe_at=AT_1),),
         evacuations=(record(7, "failed", "compute-1"), OLD), past={"vm-1": TAKEN}),
    plan("H9-stopped", (BROKEN,), (replace(fresh(BROKEN), was="stopped"),), past=WAS_STOPPED),
    plan("H9-not-known", (BROKEN,), (fresh(BROKEN),)),
]  # fmt: skip

GONE = server(host="compute-1")
DONE = record(7, "done", "compute-1")


def arrived(of: Migration, known: frozenset[int], was: str = "unknown") -> ServerRun:
    """A server that an earlier run brought to its new host."""
    return run(server=GONE, was=was, known_ids=known, asked=1, migration=of)


ARRIVALS = [
    plan("H10", (), (arrived(DONE, frozenset()),), arrived=(GONE,), evacuations=(DONE,)),
    plan("H10-was-active", (), (arrived(DONE, frozenset(), "active"),), arrived=(GONE,),
         evacuations=(DONE,), past={"vm-1": Past(was="active")}),
    plan("H10-newest", (), (arrived(DONE, frozenset({4, 5})),), arrived=(GONE,),
         evacuations=(DONE, record(5, "completed", "compute-2"), OLD)),
    plan("H10-one-is-open", (), (arrived(DONE, frozenset({4})),), arrived=(GONE,),
         evacuations=(record(9, "failed", "compute-2"), DONE, record(5, "accepted"), OLD)),
    plan("H10-of-another-server", (), (arrived(DONE, frozenset()),), arrived=(GONE,),
         evacuations=(record(9, "done", "compute-2", of="vm-2"), DONE)),
]  # fmt: skip


def sizes(name: str, into: tuple[int, ...], *took: float, **start: int) -> Cell:
    """How the window grows and shrinks with these arrivals."""

    def ask(module: ModuleType) -> tuple[int, ...]:
        window = module.Window.start(**start)
        found = [window.size]
        for seconds in took:
            window = window.after_arrival(seconds)
            found.append(window.size)
        return tuple(found)

    return Cell(name, ask, into)


WINDOW = [
    sizes("W1", (16,), limit=16, destinations=10, per_destination=2),
    sizes("W1-limit", (3,), limit=3, destinations=10, per_destination=2),
    sizes("W1-destinations", (2,), limit=16, destinations=1, per_destination=2),
    sizes("W1-none", (1,), limit=16, destinations=0, per_destination=2),
    sizes("W2", (6, 6, 5, 4, 5, 6, 6), 10.0, 17.0, 17.0, 9.0, 9.0, 9.0,
          limit=6, destinations=9, per_destination=2),
    sizes("W3", (6, 6, 5, 4, 4), 10.0, 16.005, 17.0, 99.0,
          limit=6, destinations=9, per_destination=2),
    sizes("W3-not-yet", (6, 6, 6), 10.0, 16.0, limit=6, destinations=9, per_destination=2),
    sizes("W3-quickest", (6, 6, 6, 5), 10.0, 4.0, 7.25,
          limit=6, destinations=9, per_destination=2),
    sizes("W3-never-none", (1, 1, 1, 1), 10.0, 99.0, 99.0,
          limit=1, destinations=9, per_destination=2),
]  # fmt: skip


def paces(name: str, into: tuple[int, ...], *took: float, most: int = 6) -> Cell:
    """How many requests may be on their way, with answers that take so long."""

    def ask(module: ModuleType) -> tuple[int, ...]:
        pace = module.Pace(most=most)
        found = [pace.size]
        for seconds in took:
            pace = pace.after_answer(seconds)
            found.append(pace.size)
        return tuple(found)

    return Cell(name, ask, into)


PACE = [
    paces("W5", (4, 5, 6, 6), 0.2, 0.3, 0.45),
    paces("W5-quickest", (4, 5, 6, 5, 6), 0.4, 0.2, 0.5, 0.4),
    paces("W6", (4, 5, 4, 3, 2, 1, 1, 2), 0.2, 0.4502, 9.0, 60.0, 9.0, 9.0, 0.2),
    paces("W6-not-yet", (4, 5, 6), 0.2, 0.45),
]


def clash(name: str, others: tuple[str, ...], **changes: object) -> Cell:
    """Whether vm-1 must wait for these; a hard group that both are in says so."""
    group = ServerGroup(id="g", policy="anti-affinity", members=("vm-1", "vm-2"))
    groups = (replace(group, id="h", members=()), replace(group, **changes))  # type: ignore[arg-type]
    answer = not changes and "vm-2" in others
    return Cell(name, lambda module: module.anti_affinity_clash("vm-1", others, groups), answer)


CLASHES = [
    clash("W4", ("vm-9", "vm-2")),
    clash("W4-others", ("vm-9",)),
    clash("W4-nobody", ()),
    clash("W4-soft", ("vm-2",), policy="soft-anti-affinity"),
    clash("W4-not-a-member", ("vm-2",), members=("vm-2", "vm-3")),
]


def loses(name: str, of: Server, on: Storage, *unshared: str, says: str | None) -> Cell:
    """Which disk of this server an evacuation makes anew, and why."""
    records = Records(
        servers=(of,), evacuations=(), moves=(), groups=(), storage=on, unshared=unshared
    )
    return Cell(f"C8-loses-{name}", lambda module: module.what_is_lost(of, records), says)


LOSES = [
    loses(
        "image",
        IMAGE,
        Storage.LOCAL,
        "compute-1",
        says="its root disk is local: Nova would rebuild it from the image",
    ),
    loses(
        "ephemeral",
        EPHEMERAL,
        Storage.LOCAL,
        says="its ephemeral disk is local: Nova would make it anew, empty",
    ),
    loses("volume", VM, Storage.LOCAL, "compute-1", says=None),
    loses("shared", IMAGE, Storage.SHARED, says=None),
    loses(
        "unshared",
        IMAGE,
        Storage.SHARED,
        "compute-1",
        "compute-9",
        says="its root disk is not shared by compute-1, compute-9: "
        "Nova would rebuild it from the image there",
    ),
    loses(
        "unshared-ephemeral",
        EPHEMERAL,
        Storage.SHARED,
        "compute-1",
        says="its ephemeral disk is not shared by compute-1: Nova would make it anew, empty there",
    ),
]

PLAN_CELLS = [*CHOICES, *ORDER, *HISTORY, *ARRIVALS, *WINDOW, *PACE, *CLASHES, *LOSES]
