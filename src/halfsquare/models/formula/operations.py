"""What a compiled formula can do to numbers and to columns: NumPy's and SciPy's calls, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

Ufunc = Callable[..., Any]


def _power(u: Any, v: Any, out: Any = None) -> Any:
    return np.power(u, v, out=out)


def _power_log(u: Any, v: Any, out: Any = None) -> Any:
    """u**v log u, and its limit 0 where u = 0 < v."""
    zero = (u == 0) & (np.asarray(v) > 0)
    result = np.multiply(np.power(u, v), np.log(u), out=out)
    if not np.any(zero):
        return result
    if out is None:
        return np.where(zero, 0.0, result)
    out[np.broadcast_to(zero, out.shape)] = 0.0
    return out


def _polygamma(order: Any, u: Any, out: Any = None) -> Any:
    """ψ of u > 0, or a derivative of it (an order that is a whole number)."""
    n = float(np.max(order))
    found = special.digamma(u) if n == 0 else special.polygamma(int(n), u)
    if out is None:
        return found
    out[...] = found
    return out


def _chosen(condition: Any, value: Any, out: Any = None) -> Any:
    found = np.where(condition != 0, value, 0.0)
    if out is None:
        return found
    out[...] = found
    return out


def _gather(codes: Any, *values: Any, out: Any = None) -> Any:
    """Of the values the one that each code, a whole number from 0, stands for; else NaN."""
    if all(np.ndim(value) == 0 for value in values):
        table = np.array([*values, np.nan])
        known = (codes >= 0) & (codes < len(values))
        found = table[np.where(known, codes, len(values)).astype(np.intp)]
    else:
        found = np.full(np.shape(codes), np.nan)
        for code, value in enumerate(values):
            found = np.where(codes == code, value, found)
    if out is None:
        return found
    out[...] = found
    return out


def _holds(compare: Ufunc) -> Ufunc:
    """A comparison as a number: 1 where it holds, else 0."""

    def number(u: Any, v: Any, out: Any = None) -> Any:
        return np.float64(compare(u, v)) if out is None else compare(u, v, out=out)

    return number


#: The operations of a program; each takes its arguments and ``out=``.
OPERATIONS: dict[str, Ufunc] = {
    **{"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "negative": np.negative},
    **{
        "square": np.square,
        "Power": _power,
        "PowerLog": _power_log,
        "sqrt": np.sqrt,
        "reciprocal": np.reciprocal,
    },
    **{
        name: getattr(np, name)
        for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")
    },
    **{
        f"a{name}": getattr(np, f"arc{name}")
        for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")
    },
    **{
        "erf": special.erf,
        "erfc": special.erfc,
        "gamma": special.gamma,
        "loggamma": special.gammaln,
        "polygamma": _polygamma,
        "atan2": np.arctan2,
        "besselj": special.jv,
        "bessely": special.yv,
        "besseli": special.iv,
        "besselk": special.kv,
        "Minimum": np.minimum,
        "Maximum": np.maximum,
        "Chosen": _chosen,
        "Gather": _gather,
        "Less": _holds(np.less),
        "LessEqual": _holds(np.less_equal),
        "Greater": _holds(np.greater),
        "GreaterEqual": _holds(np.greater_equal),
        "Equal": _holds(np.equal),
        "Unequal": _holds(np.not_equal),
        "log1p": np.log1p,
        "expm1": np.expm1,
        "Absolute": np.absolute,
        "Sign": np.sign,
    },
}
