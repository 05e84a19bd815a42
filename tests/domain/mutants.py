"""A small mutation tester: break one line of a pure module at a time, and see a cell object.

A mutant is the module with one function or class replaced; the values stay the module's own, so
that the same cells can be asked of it. Everything happens in this process.
"""

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import CodeType, ModuleType

from tests.domain.cells import Cell

ORDER: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SWAPS = {"min": "max", "max": "min", "any": "all", "all": "any"}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NUDGE = 0.01
"""A number with a name is moved by this share of itself; a plain integer by one."""

Change = tuple[str, ast.AST]
"""What was done, and what stands there instead."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: where, on which line of the source, and what was done to it."""

    function: str
    line: str
    change: str
    definition: ast.stmt

    @property
    def key(self) -> tuple[str, str, str]:
        """Names it in a list of equivalents; survives changes elsewhere in the file."""
        return (self.function, self.line, self.change)


def mutants_of(module: ModuleType) -> list[Mutant]:
    """Every mutant of the functions, the classes with methods and the numbers of a module."""
    source = _source(module)
    lines = source.splitlines()
    found: list[Mutant] = []
    for definition in ast.parse(source).body:
        name = _name(definition)
        if name is None:
            continue
        for node in _walk(definition):
            for change, new in _changes(node, named=isinstance(definition, ast.Assign)):
                mutated = _with(definition, node, new)
                line = lines[getattr(node, "lineno", definition.lineno) - 1].strip()
                found.append(Mutant(function=name, line=line, change=change, definition=mutated))
    return found


def survivors(module: ModuleType, mutants: Iterable[Mutant], cells: Sequence[Cell]) -> list[Mutant]:
    """The mutants that no cell tells from the module."""
    functions = functions_of(module)
    return [m for m in mutants if not _is_killed(_mutate(module, functions, m), cells)]


def _is_killed(mutant: ModuleType | None, cells: Sequence[Cell]) -> bool:
    return mutant is None or any(not _agrees(cell, mutant) for cell in cells)


def _agrees(cell: Cell, mutant: ModuleType) -> bool:
    try:
        return cell.ask(mutant) == cell.says
    except Exception:  # noqa: BLE001 - whatever a broken function raises, it is not the answer
        return False


def _source(module: ModuleType) -> str:
    assert module.__file__ is not None
    return Path(module.__file__).read_text(encoding="utf-8")


def _name(definition: ast.stmt) -> str | None:
    """What can be mutated: functions, classes with methods, and constants."""
    if isinstance(definition, ast.FunctionDef):
        return definition.name
    if isinstance(definition, ast.ClassDef):
        has_methods = any(isinstance(part, ast.FunctionDef) for part in definition.body)
        return definition.name if has_methods else None
    if isinstance(definition, ast.Assign) and isinstance(definition.targets[0], ast.Name):
        return definition.targets[0].id
    return None


def functions_of(module: ModuleType) -> CodeType:
    """All functions of the module, compiled."""
    tree = ast.parse(_source(module))
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef)]
    return compile(tree, str(module.__file__), "exec")


def twin_of(module: ModuleType, functions: CodeType) -> ModuleType:
    """The module's own values, and its functions anew: they find each other in the twin."""
    twin = ModuleType(f"twin_of_{module.__name__.rpartition('.')[2]}")
    twin.__dict__.update({k: v for k, v in vars(module).items() if not k.startswith("__")})
    exec(functions, twin.__dict__)  # noqa: S102
    return twin


def _mutate(module: ModuleType, functions: CodeType, mutant: Mutant) -> ModuleType | None:
    """The module with this mutant in it; None when it cannot even be defined."""
    broken = twin_of(module, functions)
    tree = ast.fix_missing_locations(ast.Module(body=[mutant.definition], type_ignores=[]))
    try:
        exec(compile(tree, "mutant", "exec"), broken.__dict__)  # noqa: S102
    except Exception:  # noqa: BLE001 - a mutant that cannot be defined is dead
        return None
    return broken


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All that is executed when it works: neither annotations nor decorators."""
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield from _walk(part)


def _with(definition: ast.stmt, old: ast.AST, new: ast.AST) -> ast.stmt:
    """A copy of the definition in which ``new`` stands for ``old``."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old else self.generic_visit(_shallow(node))

    replaced = Replace().visit(definition)
    assert isinstance(replaced, ast.stmt)
    return replaced


def _shallow(node: ast.AST) -> ast.AST:
    """A copy whose lists may be changed."""
    twin = copy.copy(node)
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(twin, field, list(value))
    return twin


def _changes(node: ast.AST, *, named: bool) -> Iterator[Change]:
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BoolOp():
            yield from _bool_op(node)
        case ast.UnaryOp(op=ast.Not()):
            yield "drop not", node.operand
        case ast.BinOp() if type(node.op) in OPERATORS:
            new = OPERATORS[type(node.op)]
            yield f"{new.__name__}", ast.BinOp(node.left, new(), node.right)
        case ast.Constant(value=bool() | int() | float() as value):
            yield from _constant(value, named=named)
        case ast.Call():
            yield from _call(node)
        case ast.stmt() | ast.IfExp() | ast.comprehension():
            yield from _branch(node)


def _compare(node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        for other in ORDER[type(operator)]:
            ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield (
                f"{type(operator).__name__} -> {other.__name__}",
                ast.Compare(node.left, ops, node.comparators),
            )


def _bool_op(node: ast.BoolOp) -> Iterator[Change]:
    swapped: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield f"{type(swapped).__name__.lower()}", ast.BoolOp(swapped, node.values)
    for index in range(len(node.values)):
        left = [*node.values[:index], *node.values[index + 1 :]]
        new = ast.BoolOp(node.op, left) if len(left) > 1 else left[0]
        yield f"drop operand {index + 1}", new


def _constant(value: float, *, named: bool) -> Iterator[Change]:
    if isinstance(value, bool):
        news: tuple[float, ...] = (not value,)
    elif not value:
        news = (value + 1,)
    elif isinstance(value, int):
        news = (value - 1, value + 1) if named else (value + 1,)
    else:
        news = (value * (1 - NUDGE), value * (1 + NUDGE))
    for new in news:
        yield f"{value} -> {new}", ast.Constant(new)


def _call(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in SWAPS:
        swapped = SWAPS[node.func.id]
        yield swapped, ast.Call(ast.Name(swapped, ast.Load()), node.args, node.keywords)
    for index, keyword in enumerate(node.keywords):
        left = [*node.keywords[:index], *node.keywords[index + 1 :]]
        yield f"drop {keyword.arg}=", ast.Call(node.func, node.args, left)


def _branch(node: ast.stmt | ast.IfExp | ast.comprehension) -> Iterator[Change]:
    match node:
        case ast.If():
            for value in (True, False):
                yield f"if {value}", ast.If(ast.Constant(value), node.body, node.orelse)
        case ast.IfExp():
            for value in (True, False):
                yield f"if {value}", ast.IfExp(ast.Constant(value), node.body, node.orelse)
        case ast.comprehension():
            for index in range(len(node.ifs)):
                left = [*node.ifs[:index], *node.ifs[index + 1 :]]
                new = ast.comprehension(node.target, node.iter, left, node.is_async)
                yield f"drop if {index + 1}", new
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()) | ast.Return() | ast.Break():
            yield "drop the statement", ast.Pass()


def named(mutants: Iterable[Mutant]) -> str:
    """One line per mutant, for the message of a failed test."""
    return "\n".join(chain([""], (f"{m.function}: `{m.line}`  {m.change}" for m in mutants)))
