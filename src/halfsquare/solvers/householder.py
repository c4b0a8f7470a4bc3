"""Linear least squares without squaring the condition number: merged Householder R factors.

Golub & Van Loan, *Matrix Computations* (2013), 5.3.3; Demmel, Grigori, Hoemmen & Langou (2012),
"Communication-optimal parallel and sequential QR", section 2 (merging).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from scipy.linalg import qr, svd

from halfsquare.data.rows import Chunk, Rows
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.solvers.normal_system import System
from halfsquare.solvers.solution import Path, Solution, solution_of


def solve_by_qr(rows: Rows, execution: Execution, system: System, penalty: float) -> Solution:
    """Merged Householder R factors of the standardized [Z | T], then one correction step."""
    d, k = len(system.scales), len(system.target_means)
    nothing: Floats = np.zeros((0, d + k))
    factor = execution.reduce(
        lambda i: _r_factor(_standardized(rows.chunk(i), system)),
        lambda a, b: _r_factor(np.vstack([a, b])),
        rows.chunk_count,
        nothing,
    )
    factor = factor / np.sqrt(system.weight)
    if penalty:
        factor = _r_factor(
            np.vstack([factor, np.hstack([np.sqrt(penalty) * np.eye(d), np.zeros((d, k))])])
        )
    r = np.zeros((d, d))
    r[: len(factor)] = factor[:d, :d]
    u, values, vt = svd(r)
    dependent = _dependent_columns(r, max(system.resolution, d * np.finfo(float).eps))
    rank = min(d - len(dependent), int((values > 0).sum()))
    half = vt[:rank].T / values[:rank]
    rhs = np.zeros((d, k))
    rhs[: len(factor)] = factor[:d, d:]
    standard = half @ (u[:, :rank].T @ rhs)
    reciprocal = float(values[rank - 1] / values[0]) ** 2 if rank else 1.0
    path: Path = "qr" if rank == d else "minimum norm"
    solution = solution_of(
        system, standard, half @ half.T, rank, dependent, reciprocal, penalty, path
    )
    return solution if penalty else _corrected(rows, execution, system, solution, half)


def _corrected(
    rows: Rows, execution: Execution, system: System, solution: Solution, half: Floats
) -> Solution:
    """One Gauss-Newton step from the solution, its gradient summed from the errors themselves.

    The corrected semi-normal equations (Björck 1987, "Stability analysis of the method of
    seminormal equations", section 3): it takes off what rounding left in the coefficients.
    """
    b = solution.coefficients

    def of(index: int) -> Floats:
        chunk = rows.chunk(index)
        left = chunk.target - (chunk.design @ b[1:] + b[0])
        weighted = left if chunk.weight is None else left * chunk.weight[:, None]
        z = (chunk.design - system.means) / system.scales
        return np.vstack([weighted.sum(axis=0), z.T @ weighted])

    start: Floats = np.zeros_like(b)
    gradient = execution.reduce(of, np.add, rows.chunk_count, start) / system.weight
    change = (half @ (half.T @ gradient[1:])) / system.scales[:, None]
    shift = gradient[0] - system.means @ change
    return replace(solution, coefficients=np.vstack([b[0] + shift, b[1:] + change]))


def _standardized(chunk: Chunk, system: System) -> Floats:
    z = (chunk.design - system.means) / system.scales
    both = np.hstack([z, chunk.target - system.target_means])
    return both if chunk.weight is None else both * np.sqrt(chunk.weight)[:, None]


def _r_factor(matrix: Floats) -> Floats:
    return cast(Floats, np.linalg.qr(matrix, mode="r")) if len(matrix) else matrix


def _dependent_columns(r: Floats, cutoff: float) -> tuple[int, ...]:
    """Columns of R that those before them give, by QR with pivoting, to a share of their length."""
    _, diagonal, pivots = qr(r, mode="economic", pivoting=True)
    norms = np.linalg.norm(r, axis=0)[pivots]
    small = np.abs(np.diag(diagonal)) <= cutoff * np.where(norms > 0, norms, 1.0)
    return tuple(sorted(int(p) for p in pivots[small]))
