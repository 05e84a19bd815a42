"""Which cells of the tables of docs/safety.md a run has come through.

A cell is a question to a pure function and its answer. It is reached when the same function gave
the same answer in the run (of a doubt: for the same first reason), and took every branch on which
the cell comes to it. Questions that look alike are traced once.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any

from hacli.domain import evacuation, evidence
from hacli.domain.servers import Migration, Server
from hacli.service import deathwatch
from hacli.service import evacuation as evacuation_loop
from tests.domain.cells import Cell
from tests.domain.judge_cells import JUDGE_CELLS
from tests.domain.move_cells import MOVE_CELLS

Function = Callable[..., Any]
Branch = tuple[str, int, int]
"""A step from one line of a function to another."""

ASKED_BY = {
    "judge": (evidence, (deathwatch,)),
    "next_move": (evacuation, (evacuation_loop,)),
    "observe_records": (evacuation, (evacuation_loop,)),
    "verify_server": (evacuation, (evacuation_loop,)),
    "asked": (evacuation, (evacuation_loop,)),
    "answered": (evacuation, (evacuation_loop,)),
    "looked": (evacuation, (evacuation_loop,)),
}
"""The functions of the tables, and the modules of the product that ask them."""


@dataclass
class Reached:
    """The branches of the functions of the tables that a run has taken, by function and answer."""

    ways: dict[tuple[str, object], set[Branch]] = field(default_factory=dict)
    seen: set[object] = field(default_factory=set)
    asked: int = 0

    @classmethod
    def joined(cls, parts: Iterable["Reached"]) -> "Reached":
        """What several runs have reached together."""
        whole = cls()
        for part in parts:
            whole.asked += part.asked
            for way, branches in part.ways.items():
                whole.ways.setdefault(way, set()).update(branches)
        return whole

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Trace what the product asks, in all threads, as long as this lasts."""
        originals = []
        for name, (module, askers) in ASKED_BY.items():
            function = getattr(module, name)
            for asker in askers:
                originals.append((asker, name, getattr(asker, name)))
                setattr(asker, name, self._watched(name, function, module))
        try:
            yield
        finally:
            for asker, name, original in originals:
                setattr(asker, name, original)

    def _watched(self, name: str, function: Function, module: ModuleType) -> Function:
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the function says
            answer = function(*args, **kwargs)
            self.asked += 1
            words = _words(answer)
            look = (name, *map(_look, args), words)
            if look not in self.seen:  # the functions are pure: asking again changes nothing
                self.seen.add(look)
                branches, _ = _traced(lambda: function(*args, **kwargs), module)
                self.ways.setdefault((name, words), set()).update(branches)
            return answer

        return watched

    def cells(self, cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """The cells that were reached, and those that were not."""
        reached: list[Cell] = []
        missed: list[Cell] = []
        for cell in cells:
            ways = _ways_of(cell)
            hit = all(branches <= self.ways.get(way, set()) for way, branches in ways)
            (reached if ways and hit else missed).append(cell)
        return reached, missed

    def summary(self) -> str:
        """Both tables in one line each."""
        return "\n".join(
            self._line(title, cells)
            for title, cells in (("judge()", JUDGE_CELLS), ("asking Nova", MOVE_CELLS))
        )

    def _line(self, title: str, cells: Sequence[Cell]) -> str:
        reached, _ = self.cells(cells)
        rows = {cell.row for cell in cells}
        met = {cell.row for cell in reached}
        never = " ".join(sorted(rows - met, key=lambda row: (row[0], int(row[1:]))))
        return (
            f"cells of {title}: {len(reached)} of {len(cells)}, "
            f"in {len(met)} of {len(rows)} rows; never reached: {never or 'none'}"
        )


def _ways_of(cell: Cell) -> list[tuple[tuple[str, object], set[Branch]]]:
    """Which functions a cell asks, what each answers, through which branches."""
    ways: list[tuple[tuple[str, object], set[Branch]]] = []

    def recorder(name: str, module: ModuleType) -> Function:
        def ask(*args: object, **kwargs: object) -> object:
            function = getattr(module, name)
            branches, answer = _traced(lambda: function(*args, **kwargs), module)
            ways.append(((name, _words(answer)), branches))
            return answer

        return ask

    modules = {module for module, _ in ASKED_BY.values()}
    stand_in = SimpleNamespace(**{k: v for m in modules for k, v in vars(m).items()})
    for name, (module, _) in ASKED_BY.items():
        setattr(stand_in, name, recorder(name, module))
    cell.ask(stand_in)  # type: ignore[arg-type]
    return ways


def _traced(call: Callable[[], object], module: ModuleType) -> tuple[set[Branch], object]:
    """The steps from line to line that the call takes in the module, and its answer."""
    taken: set[Branch] = set()
    file = module.__file__

    def enter(frame: FrameType, event: str, _: object) -> Function | None:
        if frame.f_code.co_filename != file:
            return None
        name, last = frame.f_code.co_qualname, frame.f_code.co_firstlineno

        def step(frame: FrameType, event: str, _: object) -> Function:
            nonlocal last
            if event == "line":
                taken.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        answer = call()
    finally:
        sys.settrace(before)
    return taken, answer


def _words(answer: object) -> object:
    """What an answer says, without its numbers and names."""
    if isinstance(answer, evidence.FenceEvidence):
        return answer.witness
    if isinstance(answer, evidence.Doubt):
        return _plain((answer.signs_of_life + answer.missing)[0])
    if isinstance(answer, evacuation.Ended):
        return answer.end
    return type(answer)


def _plain(text: str) -> str:
    return re.sub(r"[0-9]+", "", text)


def _look(value: object) -> object:
    """What a question looks like: its states in their order, without numbers, times and names."""
    match value:
        case evidence.Readings():
            return _look_of_readings(value)
        case evacuation.ServerRun():
            return _look_of_run(value)
        case Migration():
            return value.status, value.destination is None
        case Server():
            return value.status, value.task_state, value.vm_state
        case tuple() | list():
            return tuple(map(_look, value))
        case _:
            return type(value)


def _look_of_readings(said: evidence.Readings) -> object:
    return (
        said.clustered,
        tuple(order.by for order in said.off_orders),
        _in_brief(getattr(word, "state", None) for word in said.power),
        _in_brief(_look_of_node(word) for word in said.node),
        _in_brief(getattr(word, "writes", None) for word in said.heartbeat),
        bool(said.vanished),
        said.attestation is None,
    )


def _look_of_node(word: evidence.NodeReading | evidence.Silence) -> object:
    if isinstance(word, evidence.Silence):
        return None
    fence = word.newest_fence
    return (
        word.quorate,
        word.opinion_counts,
        word.connected,
        word.fence_pending,
        fence is None or (fence.action, fence.executed),
        bool(word.node_fenced),
    )


def _look_of_run(run: evacuation.ServerRun) -> object:
    return (
        run.in_flight,
        type(run.answer),
        getattr(run.answer, "status", None) is None,
        _look(run.migration),
        min(run.asked, 3),
        run.unsent,
        run.looked,
        run.seen_action,
        run.may_ask_at is None,
        run.target is None,
        len(run.maybe_at),
        run.was,
    )


def _in_brief(words: Iterable[object]) -> object:
    """The words in their order; what is said again and again is said twice."""
    brief: list[object] = []
    for word in words:
        if brief[-2:] != [word, word]:
            brief.append(word)
    return tuple(brief)
