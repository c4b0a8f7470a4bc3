"""What factors learn from the rows: levels, means, polynomials and knots, by sums that merge.

Levels come from all rows, whatever looks at values from the training rows alone. A factor whose
argument learns something itself (``poly(center(x), 2)``) waits for it: one round of passes for each
depth of such nesting. Every pass works chunk by chunk and is merged in one fixed tree, so that the
states have the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from halfsquare.errors import DataError
from halfsquare.loss import Floats
from halfsquare.models.terms.arithmetic import evaluate, learning_calls
from halfsquare.models.terms.chunks import RawChunk, values_at
from halfsquare.models.terms.factors import Basis, Factor, Numeric, legendre_values
from halfsquare.models.terms.levels import learn_levels
from halfsquare.models.terms.quantiles import weighted_quantiles
from halfsquare.models.terms.syntax import Call, Node, unparse
from halfsquare.moments import Moments
from halfsquare.parallel.base import Execution


@dataclass(frozen=True)
class _Task:
    """One state to be learnt: of ``argument``, for the factor or call of that text."""

    text: str
    argument: Node
    owner: Basis | Call


@dataclass(frozen=True)
class _Spread:
    """Range and moments of the values of one argument."""

    moments: Moments
    low: float
    high: float

    def merge(self, other: _Spread) -> _Spread:
        return _Spread(
            self.moments.merge(other.moments), min(self.low, other.low), max(self.high, other.high)
        )


_NO_SPREAD = _Spread(Moments.zero(1), np.inf, -np.inf)


def learn(
    factors: Sequence[Factor],
    texts: Mapping[str, Sequence[str]],
    chunk: Callable[[int], RawChunk],
    count: int,
    execution: Execution,
) -> dict[str, Any]:
    """The states of all factors, as JSON values.

    Parameters
    ----------
    texts : mapping of text column to its levels
        In the order of their codes, all of them present.
    chunk : callable
        Chunk 0 … count-1 of the rows, any number of times.

    Raises
    ------
    DataError
        If a column does not have what its factor needs; it is named.
    """
    states: dict[str, Any] = {}
    learn_levels(factors, texts, chunk, count, execution, states)
    for tasks in _rounds(factors):
        _one_round(tasks, states, chunk, count, execution)
    return states


def _rounds(factors: Sequence[Factor]) -> list[list[_Task]]:
    """The tasks by the depth of their nesting, innermost first."""
    by_text: dict[str, tuple[int, _Task]] = {}

    def depth(node: Node) -> int:
        inner = learning_calls(node)
        for call in inner:
            text = unparse(call)
            if text not in by_text:
                by_text[text] = (depth(call.arguments[0]) + 1, _Task(text, call.arguments[0], call))
        return max((by_text[unparse(call)][0] for call in inner), default=0)

    for factor in factors:
        if isinstance(factor, Numeric):
            depth(factor.node)
        elif isinstance(factor, Basis) and factor.learns and factor.text not in by_text:
            below = depth(factor.argument)
            by_text[factor.text] = (below + 1, _Task(factor.text, factor.argument, factor))
    deepest = max((d for d, _ in by_text.values()), default=0)
    return [[t for d, t in by_text.values() if d == level] for level in range(1, deepest + 1)]


def _one_round(
    tasks: list[_Task],
    states: dict[str, Any],
    chunk: Callable[[int], RawChunk],
    count: int,
    execution: Execution,
) -> None:
    def values(task: _Task, rows: RawChunk) -> tuple[Floats, Floats | None]:
        found = evaluate(task.argument, rows.columns, states)
        found = np.broadcast_to(found, (rows.train,))
        _require_finite(task, found, rows)
        return found, rows.weight

    def spreads(index: int) -> list[_Spread]:
        rows = chunk(index).training()
        found = []
        for task in tasks:
            x, w = values(task, rows)
            low, high = (float(x.min()), float(x.max())) if len(x) else (np.inf, -np.inf)
            found.append(_Spread(Moments.of(x[:, None], w), low, high))
        return found

    def merge(a: list[_Spread], b: list[_Spread]) -> list[_Spread]:
        return [x.merge(y) for x, y in zip(a, b, strict=True)]

    found = execution.reduce(spreads, merge, count, [_NO_SPREAD] * len(tasks))
    for task, spread in zip(tasks, found, strict=True):
        if isinstance(task.owner, Call):
            states[task.text] = _moments(task, task.owner.function, spread)
            continue

        def column(index: int, task: _Task = task) -> tuple[Floats, Floats | None]:
            return values(task, chunk(index).training())

        if task.owner.kind == "poly":
            states[task.text] = _polynomials(task.owner, spread, column, count, execution)
        else:
            states[task.text] = _knots(task.owner, spread, column, count, execution)


def _require_finite(task: _Task, found: Floats, rows: RawChunk) -> None:
    bad = ~np.isfinite(found)
    if bad.any():
        where = values_at(rows.columns, task.argument, int(np.argmax(bad)))
        raise DataError(
            f"{unparse(task.argument)} in {task.text} is no finite number where {where}: "
            "correct these rows, or use a function that is defined there"
        )


def _moments(task: _Task, function: str, spread: _Spread) -> dict[str, float]:
    moments = spread.moments
    mean = float(moments.mean[0])
    if function == "center":
        return {"mean": mean, "scale": 1.0}
    freedom = moments.weight - (1.0 if function == "scale" else 0.0)
    scale = float(np.sqrt(moments.variance[0] * (moments.weight / freedom))) if freedom > 0 else 0.0
    if not scale > 0:
        raise DataError(
            f"{task.text}: {unparse(task.argument)} does not vary, so it cannot be scaled"
        )
    return {"mean": mean, "scale": scale}


Column = Callable[[int], tuple[Floats, "Floats | None"]]


def _polynomials(
    basis: Basis, spread: _Spread, column: Column, count: int, execution: Execution
) -> dict[str, Any]:
    """Orthonormal over the training rows: the columns of Q in L = QR, L the Legendre polynomials.

    R is merged from that of the chunks, so no digits are lost to a Gram matrix. R's ``poly`` has
    the same polynomials: they are unique up to their sign, and the leading coefficient is positive.
    """
    low, high, width = spread.low, spread.high, basis.degree + 1
    if not low < high:
        raise DataError(f"{basis.text}: {unparse(basis.argument)} does not vary")

    def of(index: int) -> Floats:
        x, w = column(index)
        legendre = legendre_values(x, low, high, basis.degree)
        return _r_factor(legendre if w is None else legendre * np.sqrt(w)[:, None])

    zero: Floats = np.zeros((0, width))
    r = _r_factor(execution.reduce(of, lambda a, b: _r_factor(np.vstack([a, b])), count, zero))
    diagonal = np.abs(np.diag(r))
    if len(r) < width or diagonal.min() <= 1e-12 * diagonal.max():
        raise DataError(
            f"{basis.text}: a polynomial of degree {basis.degree} needs more than {basis.degree} "
            f"different "
            f"values of {unparse(basis.argument)}"
        )
    inverse = np.linalg.solve(r, np.eye(width))
    coefficients = (inverse * np.sign(np.diag(r)))[:, 1:]
    return {"low": low, "high": high, "coefficients": coefficients.tolist()}


def _r_factor(matrix: Floats) -> Floats:
    return cast(Floats, np.linalg.qr(matrix, mode="r")) if len(matrix) else matrix


def _knots(
    basis: Basis, spread: _Spread, column: Column, count: int, execution: Execution
) -> dict[str, Any]:
    low = spread.low if basis.bounds[0] is None else basis.bounds[0]
    high = spread.high if basis.bounds[1] is None else basis.bounds[1]
    if not low < high:
        raise DataError(f"{basis.text}: {unparse(basis.argument)} does not vary between its bounds")
    knots = list(basis.knots or ())
    inner = basis.inner_knots()
    if inner:
        shares = np.linspace(0.0, 1.0, inner + 2)[1:-1]
        knots = weighted_quantiles(column, count, execution, [float(s) for s in shares])
    if any(not low < knot < high for knot in knots) or len(set(knots)) < len(knots):
        shown = ", ".join(f"{k:g}" for k in knots)
        raise DataError(
            f"{basis.text}: its knots are {shown}; expected different values between {low:g} and "
            f"{high:g}. "
            "Give fewer, or list them: knots=[…]"
        )
    return {"knots": knots, "low": low, "high": high}
