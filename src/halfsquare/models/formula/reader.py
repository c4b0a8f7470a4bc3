"""From the tree of a formula to its expression: what is not on the allow-list is refused where it
stands.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from halfsquare.errors import FormulaError
from halfsquare.models.formula.derivatives import Algebra
from halfsquare.models.formula.functions import ALSO_NAMES, CALLED, FUNCTIONS, takes
from halfsquare.models.formula.tokens import Source, locate

_CHOOSING = ("where", "piecewise")
_TWICE = (
    "{0!r} stands in square brackets, where it is read as levels, and as a number as well; give "
    "the levels a column of their own"
)
_COMPARISONS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


def syntax_tree(source: Source) -> ast.expr:
    """What Python's parser makes of the right side."""
    try:
        return ast.parse(source.code, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
        if isinstance(problem, SyntaxError) and problem.offset is not None:
            at = source.position(problem.offset - 1)
            locate(
                source.text,
                at,
                "the formula cannot be read from here: an operator, a name or a ')' is missing",
            )
        raise FormulaError(
            f"the formula {source.text[:60]!r} is nested too deeply; use fewer parentheses"
        ) from None


def listed(names: Sequence[str]) -> str:
    """Names for a message, of many the first."""
    shown = ", ".join(map(repr, list(names)[:12]))
    return shown + (", …" if len(names) > 12 else "")


def level_names(stem: str, column: str, levels: Sequence[str] | None) -> list[str]:
    """The parameters of ``stem[column]``: one for each level, or the one that stands for all."""
    return [f"{stem}[{level}]" for level in ([column] if levels is None else levels)]


class Reader:
    """Turns the tree into an expression; what is not on the allow-list is refused where it
    stands.
    """

    def __init__(
        self,
        source: Source,
        columns: frozenset[str],
        allowed: frozenset[str] | None,
        levels: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._source, self._known, self._allowed = source, columns, allowed
        self._algebra, self._levels = Algebra(), levels or {}
        self.grouped: dict[str, str] = {}  # parameters with levels, and the column that has these
        self.columns: dict[str, None] = {}
        self.parameters: dict[str, None] = {}
        self.felt: dict[str, None] = {}  # parameters outside of conditions
        self._deciding = False

    def build(self, node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp):
            return self._chain(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            value = self.build(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return self._algebra.number(node.value)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self._of_level(node)
        if isinstance(node, ast.Compare | ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            self._refuse(
                node,
                "a condition stands where a number should; write where(condition, value, other), "
                "and where(condition, 1, 0) for 1 where it holds",
            )
        if isinstance(node, ast.Tuple):
            self._refuse(
                node, "a comma is not allowed here; write one expression, and decimals with a point"
            )
        self._refuse(
            node, "this is not allowed in a formula; write numbers, names, + - * / ** and functions"
        )

    def _chain(self, node: ast.BinOp) -> Any:
        """A run of operators of one rank, read from the left without recursion: a long sum is not
        deep.
        """
        steps: list[tuple[ast.BinOp, str]] = []
        rank = _rank(node)
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and _rank(left) == rank:
            steps.append((left, _OPERATORS[type(left.op)]))
            left = left.left
            if rank == 2:
                break
        value = self.build(left)
        for step, operator in reversed(steps):
            if operator == "**":
                self._refuse_tower(step)
            value = self._checked(
                step, self._algebra.combine, operator, value, self.build(step.right)
            )
        return self._checked(node, self._algebra.close, value)

    def _refuse_tower(self, node: ast.BinOp) -> None:
        """``a**b**c`` is read from the right by some and from the left by others; higher towers
        help nobody.
        """
        right = node.right
        while isinstance(right, ast.UnaryOp):
            right = right.operand
        if not isinstance(right, ast.BinOp) or not isinstance(right.op, ast.Pow):
            return
        if "(" not in self._source.code[_end(node.left) : right.col_offset]:
            self._refuse(
                right, "a power tower a**b**c can be read in two ways; write a**(b**c) or (a**b)**c"
            )
        if _tower(right) > 2:
            self._refuse(right, "a power tower of this height is not allowed; at most a**(b**c)")

    def _name(self, node: ast.Name) -> Any:
        name = self._source.names[int(node.id[1:])]
        if name in self._known:
            if name in self.grouped.values():
                self._refuse(node, _TWICE.format(name))
            self.columns[name] = None
            return self._algebra.symbol(name)
        if name == "pi":
            return self._algebra.pi
        if name in FUNCTIONS and name not in ALSO_NAMES:
            self._refuse(node, f"{name} is a function: write {name}(…)")
        if name in self.grouped:
            self._refuse(node, f"{name!r} stands without levels here and with levels elsewhere")
        self._register(node, name)
        return self._algebra.symbol(name)

    def _register(self, node: ast.expr, name: str) -> None:
        """Count a name among the parameters."""
        if self._allowed is not None and name not in self._allowed:
            near = get_close_matches(name, [*self._known, *self._allowed], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._refuse(
                node, f"{name!r} is neither a column nor one of the parameters listed{hint}"
            )
        self.parameters[name] = None
        if not self._deciding:
            self.felt[name] = None

    def _of_level(self, node: ast.Subscript) -> Any:
        """``a[plant]``: one parameter for each level of a column, or one in place of all of them
        where the levels are not known.
        """
        assert isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Name)
        stem = self._source.names[int(node.value.id[1:])]
        column = self._source.names[int(node.slice.id[1:])]
        if column not in self._known:
            near = get_close_matches(column, self._known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._refuse(
                node.slice, f"{column!r} in {stem}[{column}] is no column of the data{hint}"
            )
        if column in self.columns and column not in self.grouped.values():
            self._refuse(node.slice, _TWICE.format(column))
        if stem in self._known or stem == "pi" or (stem in FUNCTIONS and stem not in ALSO_NAMES):
            self._refuse(node, f"{stem!r} is no parameter: it cannot have a value for each level")
        if self.grouped.setdefault(stem, column) != column or stem in self.parameters:
            self._refuse(
                node, f"{stem!r} stands here with other levels, or with none, than elsewhere"
            )
        names = level_names(stem, column, self._levels.get(column))
        for name in names:
            self._register(node, name)
        self.columns[column] = None
        if column in self._levels:
            return self._algebra.gather(column, names)
        return self._algebra.symbol(names[0])

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            return self._refuse(node, "a multiplication sign is missing before '('; write 2*(…)")
        name = self._source.names[int(node.func.id[1:])]
        if name not in FUNCTIONS:
            if name in self._known or len(name) <= 2:
                self._refuse(node, f"{name!r} is not a function; for a product write {name}*(…)")
            near = get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            self._refuse(
                node, f"unknown function {name!r}; {hint}allowed are: {', '.join(FUNCTIONS)}"
            )
        starred = any(isinstance(a, ast.Starred) for a in node.args)
        if node.keywords or starred or not takes(name, len(node.args)):
            called = CALLED.get(FUNCTIONS[name])
            self._refuse(
                node,
                f"{name} takes one argument: write {name}(x)"
                if called is None
                else f"write {name}{called[called.index('(') :]}",
            )
        decided = range(0, len(node.args) - 1, 2) if FUNCTIONS[name] in _CHOOSING else ()
        arguments = [
            self._condition(a) if i in decided else self.build(a) for i, a in enumerate(node.args)
        ]
        return self._checked(node, self._algebra.apply, name, *arguments)

    def _condition(self, node: ast.expr) -> Any:
        """An expression that is 1 where a condition holds, else 0."""
        if isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            return self._algebra.join(word, [self._condition(v) for v in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._algebra.join("not", [self._condition(node.operand)])
        if not isinstance(node, ast.Compare) or not {type(o) for o in node.ops} <= {*_COMPARISONS}:
            return self._refuse(node, "a condition is missing here; write such as x < 2")
        before, self._deciding = self._deciding, True
        values = [self.build(v) for v in (node.left, *node.comparators)]
        self._deciding = before
        each = [
            self._algebra.compare(_COMPARISONS[type(o)], a, b)
            for o, (a, b) in zip(node.ops, pairwise(values), strict=True)
        ]
        return self._algebra.join("and", each)

    def _checked(self, node: ast.expr, work: Callable[..., Any], *arguments: Any) -> Any:
        """``work``, with its complaint placed at ``node``."""
        try:
            return work(*arguments)
        except ArithmeticError as problem:
            self._refuse(node, str(problem))

    def _refuse(self, node: ast.expr, message: str) -> Any:
        locate(self._source.text, self._source.position(node.col_offset), message)


def _rank(node: ast.BinOp) -> int:
    return {"+": 0, "-": 0, "*": 1, "/": 1, "**": 2}[_OPERATORS[type(node.op)]]


def _end(node: ast.expr) -> int:
    return node.end_col_offset or 0


def _tower(node: ast.expr) -> int:
    """How many powers stand on each other in exponents."""
    height = 0
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        height += 1
        node = node.right
    return height + 1
