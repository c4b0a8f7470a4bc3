"""Expressions and their derivatives: SymPy, built node by node, with nothing left to run away.

Two things are ours. Powers with a variable exponent and absolute values are functions of their own,
with derivatives that stay real and finite where they should: ∂(u**v)/∂v = u**v log u is 0 at u = 0.
And numbers stay small: SymPy would compute 9**(9**9) to the last digit.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from types import SimpleNamespace
from typing import Any

#: Every function a formula may call, and the name of the operation behind it.
FUNCTIONS = {
    **{
        name: name
        for name in (
            "exp",
            "log",
            "sqrt",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "erf",
            "abs",
        )
    },
    **{
        name: name
        for name in (
            "asin",
            "acos",
            "atan",
            "asinh",
            "acosh",
            "atanh",
            "log10",
            "log2",
            "log1p",
            "expm1",
        )
    },
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{"ln": "log", "fabs": "abs", "erfc": "erfc"},
}
_SEARCHED = 20  # names among which the largest linear set is sought: the search grows exponentially
_LARGEST_EXPONENT = 64  # of a whole-number power kept exact; (2*x)**n makes SymPy compute 2**n


@lru_cache(maxsize=1)
def _sympy() -> Any:
    """SymPy, our own functions and what the allowed names mean; loaded when the first formula is
    read.
    """
    import sympy
    from sympy.codegen.cfunctions import expm1, log1p

    class Sign(sympy.Function):  # type: ignore[misc]
        nargs = 1

        def fdiff(self, argindex: int = 1) -> Any:
            return sympy.Integer(0)

    class Absolute(sympy.Function):  # type: ignore[misc]
        nargs = 1

        def fdiff(self, argindex: int = 1) -> Any:
            return Sign(self.args[0])

    class PowerLog(sympy.Function):  # type: ignore[misc]
        """u**v log u, the derivative of u**v by v; 0 where u = 0 < v."""

        nargs = 2

        def fdiff(self, argindex: int = 1) -> Any:
            u, v = self.args
            if argindex == 1:
                return v * PowerLog(u, v - 1) + Power(u, v - 1)
            return PowerLog(u, v) * sympy.log(u)

    class Power(sympy.Function):  # type: ignore[misc]
        nargs = 2

        def fdiff(self, argindex: int = 1) -> Any:
            u, v = self.args
            return v * Power(u, v - 1) if argindex == 1 else PowerLog(u, v)

    known = {
        "abs": Absolute,
        "log1p": log1p,
        "expm1": expm1,
        "log10": lambda u: sympy.log(u) / sympy.log(10),
        "log2": lambda u: sympy.log(u) / sympy.log(2),
        "erfc": lambda u: 1 - sympy.erf(u),
    }
    functions = {name: known.get(name) or getattr(sympy, name) for name in FUNCTIONS.values()}
    return SimpleNamespace(
        sp=sympy, functions=functions, Power=Power, PowerLog=PowerLog, Sign=Sign, Absolute=Absolute
    )


class Algebra:
    """Builds expressions; raises ArithmeticError, in words for the user, where a number gets out of
    hand.
    """

    def __init__(self) -> None:
        self._tools = _sympy()

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

    def apply(self, name: str, argument: Any) -> Any:
        return self._real(self._tools.functions[FUNCTIONS[name]](argument))

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
    tools = _sympy()
    return [expression.diff(tools.sp.Symbol(name)) for name in names]


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
