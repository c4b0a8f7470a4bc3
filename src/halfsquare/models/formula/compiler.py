"""From SymPy expressions to a program: every distinct subexpression becomes one instruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsquare.errors import FormulaError
from halfsquare.models.formula.operations import OPERATIONS
from halfsquare.models.formula.program import Program, Step


def compile_program(
    expressions: list[Any], parameters: Sequence[str], columns: Sequence[str]
) -> Program:
    """The program of these SymPy expressions; every symbol in them is a parameter or a column."""
    builder = _Builder(parameters, columns)
    results = [builder.place(expression) for expression in expressions]
    return builder.finish(results)


class _Builder:
    """Numbers the distinct subexpressions and writes down the calls that compute them."""

    def __init__(self, parameters: Sequence[str], columns: Sequence[str]) -> None:
        self._symbols: dict[str, int] = {}
        self._nodes: dict[Any, int] = {}
        self._sources: list[tuple[str, float]] = []
        self._steps: list[tuple[str, tuple[int, ...]] | None] = []
        self._varies: list[bool] = []
        self._known: dict[Any, int] = {}
        for i, name in enumerate(parameters):
            self._symbols[name] = self._source("parameter", i)
        for j, name in enumerate(columns):
            self._symbols[name] = self._source("column", j)

    def _source(self, kind: str, value: float) -> int:
        key = (kind, value)
        if key not in self._known:
            self._known[key] = len(self._varies)
            self._sources.append((kind, value))
            self._steps.append(None)
            self._varies.append(kind == "column")
        return self._known[key]

    def _step(self, operation: str, *operands: int) -> int:
        key = (operation, operands)
        if key not in self._known:
            self._known[key] = len(self._varies)
            self._steps.append((operation, operands))
            self._varies.append(any(self._varies[i] for i in operands))
        return self._known[key]

    def place(self, node: Any) -> int:
        """Where the value of ``node`` stands."""
        if node not in self._nodes:
            self._nodes[node] = self._placed(node)
        return self._nodes[node]

    def _placed(self, node: Any) -> int:
        if node.is_Symbol:
            return self._symbols[node.name]
        if node.is_Rational or node.is_Float or node.is_NumberSymbol:
            return self._source("number", float(node.evalf(30)))
        if not node.free_symbols:
            value = node.evalf(30)
            if value.is_Float or value.is_Rational:
                return self._source("number", float(value))
        if not node.args:
            raise FormulaError(f"{str(node)[:60]} is no number of a formula")
        if node.is_Add or node.is_Mul:
            return self._product(node.args if node.is_Mul else (node,))
        if node.is_Pow:
            return self._power(node.base, node.exp)
        name = type(node).__name__
        if name not in OPERATIONS:
            raise FormulaError(
                f"no derivative is known of a part of this formula: {str(node)[:60]}"
            )
        return self._step(name, *(self.place(argument) for argument in node.args))

    def _sum(self, terms: Sequence[Any]) -> int:
        plus = [self.place(term) for term in terms if not term.could_extract_minus_sign()]
        minus = [self.place(-term) for term in terms if term.could_extract_minus_sign()]
        if not plus:
            return self._step("negative", self._fold("+", minus))
        total = self._fold("+", plus)
        return self._step("-", total, self._fold("+", minus)) if minus else total

    def _product(self, factors: Sequence[Any]) -> int:
        """A product as (columns) * (numbers): derivatives share the first, and the second costs one
        pass.
        """
        above: list[int] = []
        below: list[int] = []
        number = 1.0
        for factor in factors:
            if factor.is_Rational:
                number *= float(factor)
            elif factor.is_Add:  # 2*x - 2*b is 2*(x - b), which stands elsewhere too
                content, rest = _content(factor)
                number *= content
                above.append(self._sum(rest.args))
            elif factor.is_Pow and factor.exp.is_number and factor.exp.could_extract_minus_sign():
                below.append(self._power(factor.base, -factor.exp))
            else:
                above.append(self.place(factor))
        numbers = [i for i in above if not self._varies[i]]
        numbers += [self._step("reciprocal", i) for i in below if not self._varies[i]]
        columns, divisors = ([i for i in part if self._varies[i]] for part in (above, below))
        if abs(number) != 1.0 or not (numbers or columns or divisors):
            numbers.append(self._source("number", number))
        scalar = self._fold("*", numbers) if numbers else None
        if number == -1.0 and scalar is not None:
            scalar = self._step("negative", scalar)
        value = self._fold("*", columns) if columns else scalar
        if divisors:
            divisor = self._fold("*", divisors)
            value = (
                self._step("reciprocal", divisor)
                if value is None
                else self._step("/", value, divisor)
            )
        if value is None:
            return self._source("number", number)
        if columns and scalar is not None:
            value = self._step("*", scalar, value)
        return self._step("negative", value) if number == -1.0 and scalar is None else value

    def _fold(self, operation: str, places: list[int]) -> int:
        """Numbers first, then columns in the order in which they were made, so that beginnings are
        shared.
        """
        ordered = sorted(places, key=lambda place: (self._varies[place], place))
        total = ordered[0]
        for place in ordered[1:]:
            total = self._step(operation, total, place)
        return total

    def _power(self, base: Any, exponent: Any) -> int:
        if exponent.is_number and exponent.could_extract_minus_sign():
            return self._step("reciprocal", self._power(base, -exponent))
        if exponent == 1:
            return self.place(base)
        if exponent.is_Rational and exponent.q == 2 and exponent.p == 1:
            return self._step("sqrt", self.place(base))
        if exponent.is_Integer and exponent <= 8:
            if exponent % 2 == 0 and base.could_extract_minus_sign():
                base = -base
            half = self._power(base, exponent // 2)
            even = self._step("square", half)
            return even if exponent % 2 == 0 else self._step("*", even, self.place(base))
        return self._step("Power", self.place(base), self.place(exponent))

    def finish(self, results: list[int]) -> Program:
        """Sources, then number steps, then array steps; buffers are reused once nothing needs
        them.
        """
        order = [i for i, step in enumerate(self._steps) if step is None]
        order += [
            i for i, step in enumerate(self._steps) if step is not None and not self._varies[i]
        ]
        numbers_end = len(order)
        order += [i for i, step in enumerate(self._steps) if step is not None and self._varies[i]]
        place = {old: new for new, old in enumerate(order)}
        steps = [
            Step(step[0], tuple(place[i] for i in step[1]), place[old])
            for old in order
            if (step := self._steps[old]) is not None
        ]
        scalar = tuple(steps[: numbers_end - len(self._sources)])
        array = tuple(steps[len(scalar) :])
        final = tuple(place[i] for i in results)
        return Program(tuple(self._sources), scalar, array, final, _buffers(array, final))


def _content(total: Any) -> tuple[float, Any]:
    """A sum as a number times a sum without one, of a sign that is the same for a - b and b - a."""
    content, rest = total.primitive()
    return (-float(content), -rest) if rest.could_extract_minus_sign() else (float(content), rest)


def _buffers(steps: tuple[Step, ...], results: tuple[int, ...]) -> tuple[int, ...]:
    """A buffer for each step: a row of the result (-1 - row), or the lowest that is free by
    then.
    """
    rows = {place: -1 - row for row, place in reversed(list(enumerate(results)))}
    last = {operand: at for at, step in enumerate(steps) for operand in step.operands}
    free: list[int] = []
    made, chosen, held = 0, [], {}
    for at, step in enumerate(steps):
        if step.place in rows:
            chosen.append(rows[step.place])
        else:
            if not free:
                free.append(made)
                made += 1
            free.sort()
            held[step.place] = free.pop(0)
            chosen.append(held[step.place])
        for operand in set(step.operands):
            if last.get(operand) == at and operand in held:
                free.append(held.pop(operand))
    return tuple(chosen)
