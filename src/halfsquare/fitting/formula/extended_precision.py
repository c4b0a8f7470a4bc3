"""The last digits of a fit whose errors are smaller than the rounding of its outputs.

Where a formula fits to ten digits, o - t in float64 has only six left, and neither SSE nor standard
errors are known any better. So the errors are formed with 50 digits, from the decimals that the
data were written in (the shortest that read back as the same float64), and the Gauss-Newton step,
which needs no such care, in float64: iterative refinement (Björck 1996, "Numerical Methods for
Least Squares Problems", section 2.9).
"""

from __future__ import annotations

import operator
from functools import partial, reduce
from operator import add, mul
from typing import Any

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula

_DIGITS = 50
_MOST = 20_000  # rows times parameters: each costs microseconds in this arithmetic
# Of errors below this part of the targets float64 has less than nine digits.
_SMALL = 1e-7
# A step that moves the outputs by less than this part of the errors is the last; and how many.
_SETTLED, _STEPS = 1e-11, 30


def is_needed(sse: float, target_squares: float) -> bool:
    """Whether the errors are so small beside the targets that float64 does not resolve them."""
    return 0.0 < sse < _SMALL**2 * target_squares


def is_possible(rows: int, parameters: int) -> bool:
    """Whether that many numbers can be computed in this arithmetic."""
    return rows * parameters <= _MOST


def refine(
    formula: Formula, rows: Rows, parameters: Floats, shift: Floats | None = None
) -> tuple[Floats, float] | None:
    """Parameters and SSE at the minimum near ``parameters``; None if refinement does not settle.

    ``rows`` hold the target as in the data, before the left side's function. ``shift`` (d+1,) is
    taken off the columns and the left side.
    """
    import mpmath  # type: ignore[import-untyped]

    with mpmath.workdps(_DIGITS):
        chunks = [rows.chunk(i) for i in range(rows.chunk_count)]
        shift = np.zeros(len(formula.columns) + 1) if shift is None else shift
        sizes = sum(float(np.sum((c.target * _root(c)[:, None]) ** 2)) for c in chunks)
        theta = [mpmath.mpf(float(value)) for value in parameters]
        previous = np.inf
        for _ in range(_STEPS):
            error = np.concatenate([_errors(formula, c, theta, shift, mpmath) for c in chunks])
            at = np.array([float(value) for value in theta])
            jacobian = np.concatenate(
                [
                    formula.outputs_and_jacobian(at, c.design - shift[:-1])[1][:, 0]
                    * _root(c)[:, None]
                    for c in chunks
                ]
            )
            norms = np.linalg.norm(jacobian, axis=0)
            norms[norms == 0] = 1.0
            delta = -np.linalg.lstsq(jacobian / norms, error, rcond=1e-13)[0] / norms
            sse = float(error @ error)
            # What the step changes of the outputs: beside the errors, and beside the target.
            moved = float(np.linalg.norm(jacobian @ delta))
            size = moved / max(np.sqrt(sse), 1e-40 * np.sqrt(sizes), 1e-300)
            if not np.isfinite(size) or (size >= previous and size > _SETTLED):
                return None
            if size < 1e-16 or size >= previous:
                return at, sse
            theta = [
                value + mpmath.mpf(float(step)) for value, step in zip(theta, delta, strict=True)
            ]
            previous = size
    return None


def _root(chunk: Chunk) -> Floats:
    return np.ones(len(chunk.target)) if chunk.weight is None else np.sqrt(chunk.weight)


def _errors(formula: Formula, chunk: Chunk, theta: list[Any], shift: Floats, mp: Any) -> Floats:
    """√w (o-t), correct to the last digit of float64."""
    values: dict[str, Any] = dict(zip(formula.names, theta, strict=True))
    values |= {name: mp.mpf(repr(float(value))) for name, value in formula.fixed}
    values |= {
        name: _decimals(chunk.design[:, j], mp) - mp.mpf(float(shift[j]))
        for j, name in enumerate(formula.columns)
    }
    target = _decimals(chunk.target[:, 0], mp)
    if formula.target_function != "identity":
        target = _apply(formula.target_function, mp, target)
    target = target - mp.mpf(float(shift[-1]))
    return np.asarray(
        evaluate(formula.parsed.expression, values, mp) - target, dtype=np.float64
    ) * _root(chunk)


def _decimals(column: Floats, mp: Any) -> Any:
    """The numbers as they were written: as an array of extended numbers."""
    return np.array([mp.mpf(repr(float(value))) for value in column], dtype=object)


def evaluate(node: Any, values: dict[str, Any], mp: Any) -> Any:
    """The value of an expression, in extended precision; arrays of numbers where it holds a
    column.
    """
    if node.is_Symbol:
        return values[node.name]
    if node.is_Rational:
        return mp.mpf(int(node.p)) / int(node.q)
    if node.is_Float:
        return mp.mpf(repr(float(node)))
    if not node.free_symbols and not node.args:
        return mp.mpf(str(node.evalf(_DIGITS)))
    parts = [evaluate(argument, values, mp) for argument in node.args]
    name = type(node).__name__
    if node.is_Add or node.is_Mul:
        return reduce(add if node.is_Add else mul, parts)
    if name in ("Pow", "Power"):
        return parts[0] ** parts[1]
    return _apply(name, mp, *parts)


_COMPARED = {
    "Less": operator.lt, "LessEqual": operator.le, "Greater": operator.gt,
    "GreaterEqual": operator.ge, "Equal": operator.eq, "Unequal": operator.ne,
}  # fmt: skip


def _holds(compare: Any, mp: Any, u: Any, v: Any) -> Any:
    return mp.mpf(1 if compare(u, v) else 0)


def _apply(name: str, mp: Any, *arguments: Any) -> Any:
    own: dict[str, Any] = {
        "Absolute": abs,
        "log2": lambda u: mp.log(u, 2),
        "Chosen": lambda c, u: u if c else mp.mpf(0),
        "Gather": lambda code, *values: values[int(code)],
        "Minimum": min,
        "Maximum": max,
        **{name: partial(_holds, compare, mp) for name, compare in _COMPARED.items()},
    }
    function = own.get(name) or getattr(mp, name)
    return np.frompyfunc(function, len(arguments), 1)(*arguments)
