"""Linear least squares with more columns than rows: p columns and n rows cost n²p, not p³.

With A the standardized design (n, p), QR of its transpose, A.T = Q R, leaves an (n, n) triangle
whose singular values are those of A; the coefficients of smallest norm are Q times those of R.
Golub & Van Loan, *Matrix Computations* (2013), 5.6.2 (underdetermined systems, by QR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import svd

from halfsquare.data.rows import Rows
from halfsquare.errors import FitError
from halfsquare.loss import Floats
from halfsquare.moments import varies
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.solvers.normal_system import resolution

# Fewer columns are solved from their sums, whatever the number of rows.
_LEAST = 200
# Of which the matrix of products, or the inverse, is still made: so many squared are 800 MB.
MOST_COLUMNS = 10_000
_MOST_NUMBERS = 1 << 28  # of the design, 2 GB


@dataclass(frozen=True)
class WideSolution:
    """The minimiser of smallest norm, in the units of the design and the targets.

    Attributes
    ----------
    coefficients : (1 + p, k)
        The intercept first.
    weight : float
        Σw.
    rank : int
        Of the centred design, at most n - 1.
    reciprocal_condition : float
        Of AᵀA on its range.
    sse : (k,)
    """

    coefficients: Floats
    weight: float
    rank: int
    reciprocal_condition: float
    sse: Floats


def is_wide(rows: Rows, columns: int) -> bool:
    """Whether there are many columns and fewer rows than columns."""
    return columns >= _LEAST and rows.row_count < columns


def require_columns(rows: Rows, columns: int, *, wide: bool) -> None:
    """Refuse at once what would take hours, or more memory than there is.

    Raises
    ------
    FitError
        With what it would cost.
    """
    n = rows.row_count
    if wide and n * columns > _MOST_NUMBERS:
        raise FitError(
            f"{columns:,} columns on {n:,} rows are too many: solving for them takes "
            f"{8e-9 * 3 * n * columns:,.1f} GB and {2e-9 * n * n * columns:,.0f} thousand million "
            "operations. Name the columns that matter with --features"
        )
    if not wide and columns > MOST_COLUMNS:
        raise FitError(
            f"{columns:,} columns are too many: their matrix of products takes "
            f"{8e-9 * columns**2:,.1f} GB, and solving with it {3e-10 * columns**3:,.0f} thousand "
            f"million operations; at most {MOST_COLUMNS:,} are taken. Name the columns that matter "
            "with --features"
        )


def solve_wide(rows: Rows, execution: Execution) -> WideSolution:
    """The least-squares solution of smallest norm, on standardized columns.

    Raises
    ------
    FitError
        If there is no row of positive weight.
    """
    chunks = list(execution.map(rows.chunk, rows.chunk_count))
    z = np.vstack([chunk.design for chunk in chunks])
    t = np.vstack([chunk.target for chunk in chunks])
    w = np.concatenate([np.ones(len(c.target)) if c.weight is None else c.weight for c in chunks])
    weight = float(w.sum())
    if not weight > 0:
        raise FitError("there are no rows of positive weight to fit")
    with one_blas_thread():
        mean, middle = w @ z / weight, w @ t / weight
        root = np.sqrt(w / weight)[:, None]
        a = (z - mean) * root
        variances = np.einsum("ij,ij->j", a, a)
        given = mean if rows.offsets is None else mean + rows.offsets
        varied = varies(variances, given)
        scales = np.where(varied, np.sqrt(variances), 1.0)
        a = np.where(varied, a / scales, 0.0)
        q, r = np.linalg.qr(a.T)
        u, values, vt = svd(r)
        cutoff = max(resolution(given[varied], scales[varied]), len(r) * np.finfo(float).eps)
        rank = int((values > cutoff * values.max(initial=0.0)).sum())
        within = (vt[:rank] @ ((t - middle) * root)) / values[:rank, None]
        slopes = np.where(varied, (q @ (u[:, :rank] @ within)).T / scales, 0.0).T
        intercept = middle - mean @ slopes
        e = z @ slopes + intercept - t
    return WideSolution(
        np.vstack([intercept, slopes]),
        weight,
        rank,
        float(values[rank - 1] / values[0]) ** 2 if rank else 1.0,
        w @ (e * e),
    )
