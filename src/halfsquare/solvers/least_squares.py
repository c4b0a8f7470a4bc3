"""Linear least squares, directly: from the merged sums where they are good enough, else by QR.

The sums give the correlation matrix C of the design and its products c with the targets; then
(C + λI) b = c. Forming C squares the condition number: where it is too large, a second pass over
the rows merges the R factors of Householder QR decompositions, which does not. Golub & Van Loan,
*Matrix Computations* (2013), 5.3.2 (normal equations) and 5.3.3 (QR); Demmel, Grigori, Hoemmen &
Langou (2012), "Communication-optimal parallel and sequential QR", section 2 (merging).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.linalg import eigh, lapack

from halfsquare.data.rows import Rows
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.solvers.householder import solve_by_qr
from halfsquare.solvers.normal_system import System
from halfsquare.solvers.solution import Solution, solution_of, symmetric

# Solving the normal equations loses about log10 cond(C) digits of 16: up to here 10 remain.
GOOD_RECIPROCAL_CONDITION = 1e-6

# A pivot 1 - R² of C is resolved down to its rounding, some 1e-13 for hundreds of columns.
_PIVOT = 1e-12
_AS_PROBABLE = 1e-3  # of -2 log p

_LOOK = 1e-12  # what looking at the rows resolves at best


def solve(
    rows: Rows, execution: Execution, system: System, *, l2: float | Literal["auto"] = 0.0
) -> Solution:
    """The least-squares solution, by the cheapest path that keeps its digits.

    ``l2`` is λ; ``"auto"`` takes the λ of greatest evidence, from the sums alone.
    """
    with one_blas_thread():
        penalty = evidence_l2(system) if l2 == "auto" else float(l2)
        d = len(system.scales)
        curvature = system.correlation + penalty * np.eye(d)
        factor, info = lapack.dpotrf(curvature, lower=0)
        reciprocal = (
            float(lapack.dpocon(factor, np.abs(curvature).sum(axis=0).max(initial=0.0))[0])
            if d and not info
            else 0.0
        )
        # With a penalty the answer is an estimate either way, and fewer digits of it are wanted.
        good = GOOD_RECIPROCAL_CONDITION * (1e-3 if penalty else 1.0)
        if d == 0 or (info == 0 and reciprocal >= good):
            inverse = symmetric(lapack.dpotri(factor)[0]) if d else curvature
            standard = lapack.dpotrs(factor, system.products)[0] if d else system.products
            return solution_of(
                system, standard, inverse, d, (), reciprocal if d else 1.0, penalty, "cholesky"
            )
        suspects = _suspects(curvature)
        if suspects and _truly_dependent(rows, execution, system, suspects):
            values, vectors = eigh(curvature)
            large = values > _PIVOT * len(values)
            inverse = (vectors[:, large] / values[large]) @ vectors[:, large].T
            least = float(values[large].min(initial=1.0) / values.max(initial=1.0))
            if least >= GOOD_RECIPROCAL_CONDITION:
                return solution_of(
                    system,
                    inverse @ system.products,
                    inverse,
                    int(large.sum()),
                    suspects,
                    least,
                    penalty,
                    "minimum norm",
                )
        return solve_by_qr(rows, execution, system, penalty)


def evidence_l2(system: System) -> float:
    """The λ that makes the targets most probable under b ~ N(0, σ²/(λΣw)), from the sums alone.

    MacKay (1992), "Bayesian interpolation", section 3: with σ² at its own maximum,
    -2 log p(t|λ) = Σ_outputs (Σw - 1) log(min_b SSE + λ Σw b²) + k Σ_j log(1 + Λ_j/λ) + const,
    Λ the eigenvalues of C.
    """
    from scipy.optimize import brentq

    if not len(system.scales):
        return 0.0
    values, vectors = eigh(system.correlation)
    # Directions in which the columns do not vary hold rounding alone.
    own = values > len(values) * np.finfo(float).eps * values.max()
    values, vectors = values[own], vectors[:, own]
    explained = (vectors.T @ system.products) ** 2 / values[:, None]
    per_row = np.maximum(system.target_squares / system.weight, np.finfo(float).tiny)
    # What no coefficients explain; not as min_b SSE less what each explains, whose digits cancel.
    left = per_row - explained.sum(axis=0)
    tiny = len(values) * np.finfo(float).eps * per_row
    left = np.where(left > tiny, left, 0.0)
    freedom = max(system.weight - 1.0, 0.0)

    def least(l2: float) -> Floats:
        found: Floats = np.maximum(left + (l2 / (values + l2)) @ explained, 1e-6 * tiny)
        return found

    def cost(log_l2: float) -> float:
        l2 = np.exp(log_l2)
        return float(freedom * np.log(least(l2)).sum() + len(per_row) * np.log1p(values / l2).sum())

    def slope(log_l2: float) -> float:
        l2 = np.exp(log_l2)
        grown = (values * l2 / (values + l2) ** 2) @ explained
        return float(
            freedom * (grown / least(l2)).sum() - len(per_row) * (values / (values + l2)).sum()
        )

    grid = np.linspace(np.log(1e-10), np.log(1e4), 57)
    costs = np.array([cost(g) for g in grid])
    # Where more columns than rows fit exactly, small penalties are as probable as each other.
    best = int(np.flatnonzero(costs <= costs.min() + _AS_PROBABLE)[-1])
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    if not slope(low) < 0.0 < slope(high):
        return float(np.exp(grid[best]))
    return float(np.exp(brentq(slope, low, high, xtol=1e-14, rtol=1e-14)))


def _suspects(curvature: Floats) -> tuple[int, ...]:
    """Columns that others seem to determine, by Cholesky with pivoting."""
    _, pivots, rank, _ = lapack.dpstrf(curvature, tol=_PIVOT * len(curvature), lower=0)
    return tuple(sorted(int(p) - 1 for p in pivots[rank:]))


def _truly_dependent(
    rows: Rows, execution: Execution, system: System, suspects: tuple[int, ...]
) -> bool:
    """Look at the rows: is what the other columns leave of the suspects rounding, or small but
    real?
    """
    others = [j for j in range(len(system.scales)) if j not in suspects]
    s = list(suspects)
    weights = np.linalg.lstsq(
        system.correlation[np.ix_(others, others)],
        system.correlation[np.ix_(others, s)],
        rcond=None,
    )[0]

    def of(index: int) -> Floats:
        chunk = rows.chunk(index)
        z = (chunk.design - system.means) / system.scales
        left: Floats = z[:, s] - z[:, others] @ weights
        weighted = left if chunk.weight is None else left * chunk.weight[:, None]
        squares: Floats = np.einsum("ij,ij->j", left, weighted)
        return squares

    zero: Floats = np.zeros(len(s))
    squares = execution.reduce(of, np.add, rows.chunk_count, zero)
    return bool(np.all(squares <= max(system.resolution, _LOOK) ** 2 * system.weight))
