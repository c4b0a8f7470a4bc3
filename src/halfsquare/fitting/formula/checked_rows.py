"""The rows of a fit, passed over once: moments, and a left side that is finite."""

from __future__ import annotations

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.errors import NotFiniteError
from halfsquare.models.formula.model import Formula
from halfsquare.models.rows import TargetRows
from halfsquare.moments import Moments
from halfsquare.parallel.base import Execution


def check_rows(rows: Rows, formula: Formula, execution: Execution) -> Moments:
    """Σw, mean and variation of the columns and, last, of the left side, which is finite in rows
    of positive weight.
    """

    def of(index: int) -> Moments:
        chunk = rows.chunk(index)
        target, weight = chunk.target, chunk.weight
        if weight is not None:
            target = target[weight > 0]
        if not np.isfinite(target.sum()) and not np.isfinite(target).all():
            _refuse_target(rows, index, formula)
        return Moments.of(np.hstack([chunk.design, chunk.target]), weight)

    none = Moments.zero(len(formula.columns) + 1)
    return execution.reduce(of, Moments.merge, rows.chunk_count, none)


def _refuse_target(rows: Rows, index: int, formula: Formula) -> None:
    chunk, first = rows.chunk(index), 1 + sum(rows.chunk_size(i) for i in range(index))
    bad = ~np.isfinite(chunk.target[:, 0]) & (True if chunk.weight is None else chunk.weight > 0)
    row = int(np.argmax(bad))
    if not isinstance(rows, TargetRows):
        raise NotFiniteError(
            f"{formula.target} is {chunk.target[row, 0]} in row {first + row}; expected a "
            "finite number"
        )
    given = rows.rows.chunk(index).target[row, 0]
    left = f"{formula.target_function}({formula.target})"
    raise NotFiniteError(
        f"{left} is no finite number in row {first + row}, where {formula.target} is {given:g}"
    )
