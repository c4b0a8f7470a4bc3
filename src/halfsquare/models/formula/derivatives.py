"""Expressions and their derivatives: SymPy, built node by node, with nothing left to run away.

Numbers stay small: SymPy would compute 9**(9**9) to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import isfinite
from typing import Any

from halfsquare.models.formula.functions import COMPARISONS, FUNCTIONS, tools

_SEARCHED = 20  # names among which the largest linear set is sought: the search grows exponentially
_LARGEST_EXPONENT = 64  # of a whole-number power kept exact; (2*x)**n makes SymPy compute 2**n


class Algebra:
    """Builds expressions; raises ArithmeticError, in words for the user, where a number gets out of
    hand.
    """

    def __init__(self) -> None:
        self._tools = tools()

    @property
    def pi(self) -> Any:
        return self._tools.sp.pi

    def symbol(self, name: str) -> Any:
        return self._tools.sp.Symbol(name)

    def number(self, value: float) -> Any:
        """Whole and simple dyadic numbers exactly (x**0.5 is a square root), others as float64."""
        numerator, denominator = float(value).as_integer_ratio()
        if denominator <= 64 and abs(numerator) < 10**6:
            return self._tools.sp.Rational(numerator, denominator)
        return self._tools.sp.Float(value)

    def combine(self, operator: str, left: Any, right: Any) -> Any:
        """``left operator right``; sums and products may come back as plain lists until
        :meth:`close`.
        """
        if operator == "**":
            return self._power(left, right)
        group = "+" if operator in "+-" else "*"
        terms = (
            left
            if isinstance(left, _Run) and left.operator == group
            else _Run(group, [self.close(left)])
        )
        if operator == "/" and right.is_zero:
            raise ArithmeticError("a division by zero")
        terms.items.append(right if operator in "+*" else -right if operator == "-" else 1 / right)
        return terms

    def close(self, value: Any) -> Any:
        """The expression of a run of terms or factors, checked."""
        if isinstance(value, _Run):
            value = (self._tools.sp.Add if value.operator == "+" else self._tools.sp.Mul)(
                *value.items
            )
        return self._real(value)

    def apply(self, name: str, *arguments: Any) -> Any:
        """A function of expressions; conditions among them are those of :meth:`compare`."""
        meant = FUNCTIONS[name]
        if meant in ("where", "piecewise"):
            return self._real(self._piecewise(arguments))
        function = self._tools.functions[meant]
        if meant in ("min", "max"):
            return reduce(function, arguments)
        if meant.startswith("bessel") and arguments[0].free_symbols:
            raise ArithmeticError("the order of a Bessel function is a number; an expression")
        return self._real(function(*arguments))

    def gather(self, column: str, names: Sequence[str]) -> Any:
        """The parameter of a row's level: ``names`` are those of each, ``column`` holds codes."""
        return self._tools.Gather(self.symbol(column), *map(self.symbol, names))

    def _piecewise(self, arguments: Sequence[Any]) -> Any:
        """The value after the first condition that holds; the last value where none does."""
        if len(arguments) == 1:
            return arguments[0]
        condition, value, *others = arguments
        chosen = self._tools.Chosen
        return chosen(condition, value) + chosen(1 - condition, self._piecewise(others))

    def compare(self, operator: str, left: Any, right: Any) -> Any:
        """1 where the comparison holds, else 0."""
        return self._tools.conditions[COMPARISONS[operator]](left, right)

    @staticmethod
    def join(word: str, conditions: Sequence[Any]) -> Any:
        """All of them (``and``), one of them (``or``), or the opposite of one (``not``)."""
        if word == "not":
            return 1 - conditions[0]
        if word == "and":
            return reduce(lambda a, b: a * b, conditions)
        return 1 - reduce(lambda a, b: a * b, [1 - c for c in conditions])

    def _power(self, base: Any, exponent: Any) -> Any:
        base, exponent = self.close(base), self.close(exponent)
        if not exponent.is_number:
            return self._tools.Power(base, exponent)
        size = float(exponent)
        if base.is_number:
            if base.is_zero and size < 0:
                raise ArithmeticError("a division by zero")
            try:
                value = float(base) ** size
            except OverflowError:
                raise ArithmeticError("a power of numbers that is too large for float64") from None
            if isinstance(value, complex):
                raise ArithmeticError("a number that is not real")
            if not exponent.is_Integer or abs(size) > _LARGEST_EXPONENT:
                return self.number(value)
        elif exponent.is_Integer and abs(size) > _LARGEST_EXPONENT:
            exponent = self._tools.sp.Float(size)
        return self._real(base**exponent)

    def _real(self, value: Any) -> Any:
        sp = self._tools.sp
        if value.has(sp.I, sp.zoo, sp.nan, sp.oo, -sp.oo):
            raise ArithmeticError("a number that is not real and finite")
        coefficient = value.as_coeff_Mul()[0] if not value.is_number else value
        try:
            sound = isfinite(float(coefficient))
        except (TypeError, OverflowError):
            sound = False
        if not sound:
            raise ArithmeticError("a number that is not real, or too large for float64")
        return value


class _Run:
    """The terms of a sum or the factors of a product, put together at once: one by one costs n²."""

    def __init__(self, operator: str, items: list[Any]) -> None:
        self.operator, self.items = operator, items


def derivatives(expression: Any, names: tuple[str, ...]) -> list[Any]:
    """∂expression/∂name for each name."""
    symbol = tools().sp.Symbol
    return [expression.diff(symbol(name)) for name in names]


def jointly_linear(expression: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """The largest set of names in which the expression is linear all together; the first of equals.

    Name a and b go together if ∂²f/∂a∂b = 0: here, if b does not occur in ∂f/∂a.
    """
    occurring = [
        {symbol.name for symbol in slope.free_symbols} for slope in derivatives(expression, names)
    ]
    alone = [i for i, name in enumerate(names) if name not in occurring[i]]
    clash = {
        i: {j for j in alone if names[j] in occurring[i] or names[i] in occurring[j]} for i in alone
    }
    best: list[int] = []
    for i in alone:  # what fits with all before it; for most formulas that is the largest set
        if not clash[i] & set(best):
            best.append(i)

    def grow(chosen: list[int], rest: list[int]) -> None:
        nonlocal best
        if len(chosen) > len(best):
            best = chosen
        if len(chosen) + len(rest) <= len(best):
            return
        for at, i in enumerate(rest):
            grow([*chosen, i], [j for j in rest[at + 1 :] if j not in clash[i]])

    if len(alone) <= _SEARCHED:
        grow([], alone)
    return tuple(names[i] for i in sorted(best))
