"""Linear least squares, directly: from the merged sums where they are good enough, else by QR.

The sums give the correlation matrix C of the design and its products c with the targets; then
(C + λI) b = c. Forming C squares the condition number: where it is too large, a second pass over
the rows merges the R factors of Householder QR decompositions, which does not. Golub & Van Loan,
*Matrix Computations* (2013), 5.3.2 (normal equations) and 5.3.3 (QR); Demmel, Grigori, Hoemmen &
Langou (2012), "Communication-optimal parallel and sequential QR", section 2 (merging).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from scipy.linalg import eigh, lapack, qr, svd

from halfsquare.data.rows import Chunk, Rows
from halfsquare.errors import FitError
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.sums import NormalSums, varies


@dataclass(frozen=True)
class System:
    """The standardized normal equations of [1 | Z | T], made from sums.

    Z may have any shift and scale; C and c are those of columns with mean 0 and variance 1.

    Attributes
    ----------
    weight : float
        Σw.
    means, scales : (d,)
        Of Z; a column that does not vary has scale 1 and zeros in C.
    correlation : (d, d)
        C.
    products : (d, k)
        c, in the targets' unit.
    target_means : (k,)
    target_squares : (k,)
        Σ w (t - mean)².
    resolution : float
        A column that others give to this error, in standard deviations, is determined by them: what
        is left is the rounding of the values themselves. See :func:`resolution`.
    """

    rows: int
    weight: float
    means: Floats
    scales: Floats
    correlation: Floats
    products: Floats
    target_means: Floats
    target_squares: Floats
    resolution: float = 0.0

    @classmethod
    def of(cls, sums: NormalSums, outputs: int, offsets: Floats | None = None) -> System:
        """From the sums of blocks [1 | Z | T]ᵀ with ``outputs`` targets; ``offsets`` (d,) as
        :attr:`halfsquare.data.rows.Rows.offsets`.

        Raises
        ------
        FitError
            If there is no row of positive weight.
        """
        if not sums.weight > 0:
            raise FitError("there are no rows of positive weight to fit")
        gram, _, _ = sums.finish()
        d = len(gram) - 1 - outputs
        mean = gram[0, 1:] / sums.weight
        central = gram[1:, 1:] - sums.weight * np.outer(mean, mean)
        squares = np.maximum(np.diag(central), 0.0)
        # What is left of the squares after the mean is taken off may be rounding alone.
        noise = 8 * np.finfo(float).eps * np.diag(gram)[1:]
        given = mean[:d] if offsets is None else mean[:d] + offsets
        varied = (squares[:d] > noise[:d]) & varies(squares[:d] / sums.weight, given)
        scales = np.where(varied, np.sqrt(squares[:d] / sums.weight), 1.0)
        correlation = central[:d, :d] / sums.weight / np.outer(scales, scales)
        correlation[~varied], correlation[:, ~varied] = 0.0, 0.0
        np.fill_diagonal(correlation, np.where(varied, 1.0, 0.0))
        products = np.where(varied[:, None], central[:d, d:] / sums.weight / scales[:, None], 0.0)
        return cls(
            sums.rows,
            sums.weight,
            mean[:d],
            scales,
            correlation,
            products,
            mean[d:],
            squares[d:],
            resolution(given[varied], scales[varied]),
        )


def resolution(means: Floats, scales: Floats) -> float:
    """To what error, in its standard deviation, a column can be told from what others make of it.

    Values are rounded to ε of their size, which is √(mean² + variance): relative to the standard
    deviation that is much where the mean is far from 0. The largest of all columns counts, with a
    margin for the arithmetic; exact and rounded sums judge by this one number.
    """
    far = float(np.abs(means / scales).max(initial=0.0))
    return _MARGIN * float(np.finfo(float).eps) * float(np.hypot(1.0, far))


def linear_sums(rows: Rows, execution: Execution) -> NormalSums:
    """The sums of [1 | Z | T] over all rows: known already, or one BLAS-3 product a chunk."""
    known = rows.sums
    if known is not None:
        return known

    def of(index: int) -> NormalSums:
        chunk = rows.chunk(index)
        block, count, weight = block_of(chunk), len(chunk.target), float(len(chunk.target))
        if chunk.weight is not None:
            block = block * np.sqrt(chunk.weight)
            count, weight = int(np.count_nonzero(chunk.weight)), float(chunk.weight.sum())
        return NormalSums.zero(len(block), 0).add_block(block, count, weight)

    return execution.reduce(of, NormalSums.merge, rows.chunk_count, NormalSums.zero(0, 0))


def block_of(chunk: Chunk) -> Floats:
    """[1 | Z | T]ᵀ of a chunk, (1+d+k, m)."""
    if chunk.block is not None:
        return chunk.block
    return np.vstack([np.ones(len(chunk.target)), chunk.design.T, chunk.target.T])


Path = Literal["cholesky", "qr", "minimum norm", "exact"]
# Solving the normal equations loses about log10 cond(C) digits of 16: up to here 10 remain.
GOOD_RECIPROCAL_CONDITION = 1e-6
# A pivot 1 - R² of C is resolved down to its rounding, some 1e-13 for hundreds of columns.
_PIVOT = 1e-12
# How many roundings of a value are no difference; and what looking at the rows resolves at best.
_MARGIN, _LOOK = 64.0, 1e-12


@dataclass(frozen=True)
class Solution:
    """The minimiser, in the units of Z and T.

    Attributes
    ----------
    coefficients : (1 + d, k)
        The intercept first.
    inverse : (1 + d, 1 + d)
        (AᵀWA + penalty)⁻¹ with A = [1 | Z]; times the noise variance it is the covariance of a
        column of ``coefficients``. Generalized inverse where the rank is deficient.
    rank : int
        Of the centred design.
    dependent : tuple of int
        Columns of Z that others determine (constant ones included).
    effective_parameters : float
        1 + tr C(C + λI)⁻¹; 1 + rank without a penalty.
    reciprocal_condition : float
        Of C (+ λI), 1-norm estimate.
    l2 : float
        λ, per row on standardized columns.
    path : str
        ``"cholesky"``, ``"qr"``, ``"minimum norm"``, or ``"exact"`` from exact sums.
    """

    coefficients: Floats
    inverse: Floats
    rank: int
    dependent: tuple[int, ...]
    effective_parameters: float
    reciprocal_condition: float
    l2: float
    path: Path


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
        return _by_qr(rows, execution, system, penalty)


def evidence_l2(system: System) -> float:
    """The λ that makes the targets most probable under b ~ N(0, σ²/(λΣw)), from the sums alone.

    MacKay (1992), "Bayesian interpolation", section 3: with σ² at its own maximum,
    -2 log p(t|λ) = Σ_outputs (Σw - 1) log(min_b SSE + λ Σw b²) + k Σ_j log(1 + Λ_j/λ) + const,
    Λ the eigenvalues of C.
    """
    from scipy.optimize import minimize_scalar

    if not len(system.scales):
        return 0.0
    values, vectors = eigh(system.correlation)
    values = np.maximum(values, 0.0)
    projected = (vectors.T @ system.products) ** 2
    per_row = system.target_squares / system.weight
    tiny = np.finfo(float).eps * np.maximum(per_row, np.finfo(float).tiny)

    def cost(log_l2: float) -> float:
        l2 = np.exp(log_l2)
        least = np.maximum(per_row - (projected / (values + l2)[:, None]).sum(axis=0), tiny)
        return float(
            (system.weight - 1.0) * np.log(least).sum() + len(least) * np.log1p(values / l2).sum()
        )

    grid = np.linspace(np.log(1e-10), np.log(1e4), 57)
    best = int(np.argmin([cost(g) for g in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(
        np.exp(
            minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x
        )
    )


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


def _by_qr(rows: Rows, execution: Execution, system: System, penalty: float) -> Solution:
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


def symmetric(upper: Floats) -> Floats:
    """The whole of a symmetric matrix of which the upper triangle counts."""
    return np.triu(upper) + np.triu(upper, 1).T


def solution_of(
    system: System,
    standard: Floats,
    inverse: Floats,
    rank: int,
    dependent: tuple[int, ...],
    reciprocal: float,
    l2: float,
    path: Path,
) -> Solution:
    """From standardized coefficients and (C + λI)⁻¹ to those of Z with its intercept."""
    slopes = standard / system.scales[:, None]
    intercept = system.target_means - system.means @ slopes
    scaled = inverse / np.outer(system.scales, system.scales) / system.weight
    whole = np.empty((len(scaled) + 1, len(scaled) + 1))
    whole[1:, 1:] = scaled
    whole[0, 1:] = whole[1:, 0] = -(scaled @ system.means)
    whole[0, 0] = 1.0 / system.weight + system.means @ scaled @ system.means
    edf = 1.0 + (rank if not l2 else float(np.einsum("ij,ji->", inverse, system.correlation)))
    return Solution(
        np.vstack([intercept, slopes]), whole, rank, dependent, edf, reciprocal, l2, path
    )
