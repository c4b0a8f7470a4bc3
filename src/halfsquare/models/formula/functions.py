"""What a formula may call, and what it means: SymPy's functions, and a few of our own.

Ours have derivatives that stay real and finite where they should. ∂(u**v)/∂v = u**v log u is 0 at
u = 0. A condition is 1 or 0 and has the derivative 0 almost everywhere; ``chosen(c, u)`` is u where
c holds and 0 elsewhere, whatever u is there (0 · log 0 would be no number), and so are its
derivatives.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

_ONE = (
    *("exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "abs"),
    *("log10", "log2", "log1p", "expm1", "gamma", "lgamma", "digamma"),
)
#: Every function a formula may call, and the name of what is behind it.
FUNCTIONS = {
    **{name: name for name in _ONE},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{"ln": "log", "fabs": "abs", "gammaln": "lgamma"},
    **{name: name for name in ("atan2", "besselj", "bessely", "besseli", "besselk")},
    **{"arctan2": "atan2", "min": "min", "max": "max"},
    **{"where": "where", "if": "where", "ifelse": "where", "piecewise": "piecewise"},
}
#: How they are called, where it is not name(x).
CALLED = {
    "atan2": "atan2(y, x)",
    **{f"bessel{kind}": f"bessel{kind}(order, x)" for kind in "jyik"},
    **{"min": "min(a, b, …)", "max": "max(a, b, …)", "where": "where(condition, a, b)"},
    "piecewise": "piecewise(condition, value, condition, value, …, value)",
}
#: Functions whose names may be parameters or columns as well: what is not called is none of them.
ALSO_NAMES = frozenset({"gamma", "min", "max", "digamma", "where", "ifelse", "piecewise"})

COMPARISONS = {
    "<": "Less", "<=": "LessEqual", ">": "Greater", ">=": "GreaterEqual", "==": "Equal",
    "!=": "Unequal",
}  # fmt: skip


def takes(name: str, arguments: int) -> bool:
    """Whether a function can be called with so many arguments."""
    meant = FUNCTIONS[name]
    if meant in ("min", "max"):
        return arguments >= 2
    if meant == "piecewise":
        return arguments >= 3 and arguments % 2 == 1
    return arguments == (3 if meant == "where" else 2 if meant in CALLED else 1)


@lru_cache(maxsize=1)
def tools() -> Any:
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

    class Condition(sympy.Function):  # type: ignore[misc]
        """1 where it holds, else 0."""

        nargs = 2

        def _eval_derivative(self, symbol: Any) -> Any:
            del symbol
            return sympy.Integer(0)

    class Chosen(sympy.Function):  # type: ignore[misc]
        """u where the condition c holds, else 0."""

        nargs = 2

        @classmethod
        def eval(cls, condition: Any, value: Any) -> Any:
            del condition
            return sympy.Integer(0) if value.is_zero else None

        def _eval_derivative(self, symbol: Any) -> Any:
            condition, value = self.args
            return Chosen(condition, value.diff(symbol))

    class Gather(sympy.Function):  # type: ignore[misc]
        """Of the arguments behind the first the one whose number, from 0, the first is."""

        def _eval_derivative(self, symbol: Any) -> Any:
            column, *values = self.args
            slopes = [
                (i, value.diff(symbol)) for i, value in enumerate(values) if value.has(symbol)
            ]
            return sympy.Add(*(conditions["Equal"](column, i) * slope for i, slope in slopes))

    def extreme(kind: str, below: str) -> Any:
        def slope(self: Any, symbol: Any) -> Any:
            u, v = self.args
            first = conditions[below](u, v)
            return Chosen(first, u.diff(symbol)) + Chosen(1 - first, v.diff(symbol))

        return type(kind, (sympy.Function,), {"nargs": 2, "_eval_derivative": slope})

    conditions = {name: type(name, (Condition,), {}) for name in COMPARISONS.values()}
    known = {
        "abs": Absolute,
        "log1p": log1p,
        "expm1": expm1,
        "log10": lambda u: sympy.log(u) / sympy.log(10),
        "log2": lambda u: sympy.log(u) / sympy.log(2),
        "lgamma": sympy.loggamma,
        "digamma": lambda u: sympy.polygamma(0, u),
        "min": extreme("Minimum", "LessEqual"),
        "max": extreme("Maximum", "GreaterEqual"),
    }
    meant = {*FUNCTIONS.values()} - {"where", "piecewise"}
    functions = {name: known.get(name) or getattr(sympy, name) for name in sorted(meant)}
    return SimpleNamespace(
        sp=sympy,
        functions=functions,
        conditions=conditions,
        Power=Power,
        Chosen=Chosen,
        Gather=Gather,
    )
