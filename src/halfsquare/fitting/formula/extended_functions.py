"""The functions that linear parameters multiply, and what these must be, in extended precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsquare.fitting.formula.extended_precision import evaluate
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula

DIGITS = 50


def values_of(formula: Formula, theta: Sequence[Any]) -> dict[str, Any]:
    """The numbers that the names stand for, those held among them."""
    import mpmath  # type: ignore[import-untyped]

    held = {name: mpmath.mpf(repr(float(value))) for name, value in formula.fixed}
    return held | dict(zip(formula.names, theta, strict=True))


def rows_of(formula: Formula, points: Floats, shifts: Floats) -> dict[str, Any]:
    """The columns of some rows (m, d) plus shifts (d,), in extended precision."""
    import mpmath

    return {
        name: np.array(
            [mpmath.mpf(float(v)) + float(shifts[j]) for v in points[:, j]], dtype=object
        )
        for j, name in enumerate(formula.columns)
    }


def functions_of(
    formula: Formula, theta: Sequence[Any], x: dict[str, Any], linear: tuple[int, ...], mp: Any
) -> tuple[Any, Any]:
    """What is left of the outputs with the linear parameters 0 (m, 1), and what each multiplies
    (m, q).
    """
    columns = []
    for one in (None, *linear):
        some = [
            mp.mpf(1) if j == one else mp.mpf(0) if j in linear else v for j, v in enumerate(theta)
        ]
        values = evaluate(formula.parsed.expression, {**values_of(formula, some), **x}, mp)
        count = len(next(iter(x.values()))) if x else 1
        columns.append(np.broadcast_to(np.asarray(values, dtype=object), (count,)))
    base = columns[0]
    left = mp.matrix(list(base))
    return left, mp.matrix([[c[i] - base[i] for c in columns[1:]] for i in range(len(base))])


def solved(matrix: Any, right: Any, mp: Any) -> list[Any]:
    """The least-squares solution of matrix · a = right, its columns brought to one size."""
    sizes = [mp.norm(matrix[:, j]) or mp.mpf(1) for j in range(matrix.cols)]
    scaled = matrix.copy()
    for j, size in enumerate(sizes):
        for i in range(matrix.rows):
            scaled[i, j] = matrix[i, j] / size
    solution = mp.qr_solve(scaled, right)[0]
    return [solution[j] / size for j, size in enumerate(sizes)]
