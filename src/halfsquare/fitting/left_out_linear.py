"""The errors of a linear model on rows left out in folds, all folds from one pass over the rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.kept_rows import KeptRows, Mask
from halfsquare.data.rows import Rows
from halfsquare.data.splits import folds_of
from halfsquare.loss import Floats, error
from halfsquare.normal_sums import NormalSums
from halfsquare.solvers.least_squares import solve
from halfsquare.solvers.normal_system import System, block_of
from halfsquare.solvers.run import Run, Stream

_FOLDS = 5


def left_out_linear(rows: EncodedRows, l2: Any, run: Run) -> Floats:
    """The errors o - t (n, k) of each row by a linear model of the rows of the other folds.

    The sums of a fold are those of all rows but its own: one pass gives the sums of every fold. NaN
    where rows, or units of them, are too few.
    """
    n, k = rows.row_count, len(rows.encoder.targets)
    units = rows.units
    if n < 2 * _FOLDS or (units is not None and len(np.unique(units.of_row)) < 2):
        return np.full((n, k), np.nan)
    fold = folds_of(n, _FOLDS, run.seed.generator(Stream.LINEAR_FOLDS), units)
    starts = np.cumsum([0, *(rows.chunk_size(i) for i in range(rows.chunk_count))])
    size = 1 + len(rows.encoder.names) + k
    errors = np.empty((n, k))

    def of(index: int) -> list[NormalSums]:
        chunk, mine = rows.chunk(index), fold[starts[index] : starts[index + 1]]
        block = block_of(chunk)
        found = []
        for f in range(_FOLDS):
            kept = mine != f
            w = None if chunk.weight is None else chunk.weight[kept]
            part = block[:, kept] if w is None else block[:, kept] * np.sqrt(w)
            weight = float(kept.sum()) if w is None else float(w.sum())
            found.append(NormalSums.zero(size, 0).add_block(part, int(kept.sum()), weight))
        return found

    zero = [NormalSums.zero(size, 0) for _ in range(_FOLDS)]
    sums = run.execution.reduce(of, _merged, rows.chunk_count, zero)
    for f in range(_FOLDS):
        kept = KeptRows.of(rows, fold != f)
        system = System.of(sums[f], k, rows.offsets)
        b = solve(kept, run.execution, system, l2=l2).coefficients
        judged = run.execution.map(partial(_judged, rows, fold == f, starts, b), rows.chunk_count)
        errors[fold == f] = np.concatenate(list(judged))
    return errors


def _merged(a: list[NormalSums], b: list[NormalSums]) -> list[NormalSums]:
    return [x.merge(y) for x, y in zip(a, b, strict=True)]


def _judged(
    rows: Rows, left_out: Mask, starts: npt.NDArray[np.intp], b: Floats, index: int
) -> Floats:
    """The errors of the rows of a chunk that are left out, by the coefficients b of the others."""
    chunk = rows.chunk(index)
    mine = left_out[starts[index] : starts[index + 1]]
    return error(chunk.target[mine], chunk.design[mine] @ b[1:] + b[0])
