"""Linear least squares from exact sums: every coefficient is the exact one, rounded once.

Forming the normal equations squares the condition number; where nothing is rounded that costs
nothing. They are solved by Cholesky in float64 and refined with gradients computed exactly
(Wilkinson 1963, *Rounding Errors in Algebraic Processes*, chapter 3, section 32: each round gains
the digits that Cholesky keeps), or where float64 keeps too few, factored in whole numbers of 384
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ldexp
from typing import Any, Literal

import numpy as np
from scipy.linalg import lapack

from halfsquare.errors import FitError
from halfsquare.exact.gram import nearest
from halfsquare.exact.integer_solver import BITS, Factors, Wholes
from halfsquare.exact.normal_equations import ExactSystem, half_bits, in_range, ratio
from halfsquare.fitting.linear import (
    LinearOptions,
    freedom_warnings,
    linear_facts,
    linear_warnings,
)
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.base import Reason, Termination
from halfsquare.solvers.least_squares import GOOD_RECIPROCAL_CONDITION, evidence_l2
from halfsquare.solvers.normal_system import System
from halfsquare.solvers.solution import Solution, solution_of, symmetric

# Refinement ends below 2^-240 of a coefficient's natural unit σ_t/σ_z; what is below 2^-200 of it
# is 0.
_REFINED, _NOTHING = 2.0**-240, 1 << (BITS - 200)
_ROUNDS = 100


@dataclass(frozen=True)
class _Scaled:
    """Curvature · slopes = right in whole numbers, and powers of two that bring everything near 1.

    Slopes are kept as whole numbers y (d,), for one output: slope_j = y_j · 2^(t - s_j - BITS).
    """

    curvature: Wholes  # (d, d)
    right: Wholes  # (d, k)
    s: list[int]
    t: list[int]

    @classmethod
    def of(cls, exact: ExactSystem, l2: float) -> _Scaled:
        """With λ times its diagonal added to the curvature."""
        d = exact.size
        top, bottom = l2.as_integer_ratio()
        whole = exact.centred * bottom
        curvature, right = whole[:d, :d], whole[:d, d:]
        t = half_bits(whole[d:, d:])
        if top:
            curvature[np.diag_indices(d)] += top * np.diag(exact.centred)[:d]
        return cls(curvature, right, half_bits(curvature), t)

    def whole_slopes(self, y: Wholes, output: int) -> tuple[Wholes, int]:
        """The slopes as whole multiples (d,) of 2^base, and that base ≤ 0."""
        exponents = [self.t[output] - s - BITS for s in self.s]
        base = min([0, *exponents])
        return np.array(
            [int(v) << (e - base) for v, e in zip(y, exponents, strict=True)], dtype=object
        ), base

    def left_over(self, y: Wholes, output: int) -> Floats:
        """right - curvature · slopes (d,) in scaled units: computed exactly, then rounded."""
        slopes, base = self.whole_slopes(y, output)
        left = (self.right[:, output] << -base) - self.curvature @ slopes
        return np.array(
            [nearest(int(r), base - s - self.t[output]) for r, s in zip(left, self.s, strict=True)]
        )

    def fixed_point(self) -> tuple[Wholes, Wholes]:
        """Curvature and right side in scaled units, as whole multiples of 2^-BITS."""
        s, t = np.array(self.s, dtype=object), np.array(self.t, dtype=object)
        return (self.curvature << BITS) >> np.add.outer(s, s), (self.right << BITS) >> np.add.outer(
            s, t
        )


def solve_exactly(
    exact: ExactSystem, system: System, l2: float | Literal["auto"] = 0.0
) -> tuple[Solution, Floats]:
    """The least-squares solution and the SSE of each output (k,) at it, rounded once in all but
    rare cases.

    ``system`` is ``exact.rounded()``. Where columns are determined by others, the answer is the one
    of smallest norm on standardized columns, to rounding. ``l2`` as in
    :func:`halfsquare.solvers.least_squares.solve`.

    Raises
    ------
    FitError
        If a coefficient is beyond float64.
    """
    with one_blas_thread():
        penalty = evidence_l2(system) if l2 == "auto" else float(l2)
        d = exact.size
        scaled = _Scaled.of(exact, penalty)
        matrix = system.correlation + penalty * np.eye(d)
        factor, reciprocal = _cholesky(matrix)
        if reciprocal >= GOOD_RECIPROCAL_CONDITION * (1e-3 if penalty else 1.0):
            units = _units(np.diag(in_range(scaled.curvature)[0]), penalty)
            y = [_refined(scaled, factor, units, j) for j in range(exact.outputs)]
            inverse = symmetric(lapack.dpotri(factor)[0]) if d else matrix
            made = solution_of(
                system, np.zeros_like(system.products), inverse, d, (), reciprocal, penalty, "exact"
            )
        else:
            y, made = _by_factors(scaled, system, matrix, penalty)
        try:
            found = [_finished(exact, scaled, y[j], j) for j in range(exact.outputs)]
        except OverflowError:
            raise FitError(
                "a coefficient is beyond float64: state the columns in other units"
            ) from None
        coefficients = np.array([c for c, _ in found]).T
        return replace(made, coefficients=coefficients), np.array([sse for _, sse in found])


def _units(diagonal: Floats, penalty: float) -> Floats:
    """The spread of each column in scaled units; 1 for a column that does not vary."""
    return np.where(diagonal > 0, np.sqrt(diagonal / (1.0 + penalty)), 1.0)


def _cholesky(matrix: Floats) -> tuple[Floats, float]:
    """Its upper factor and its reciprocal condition number; 0 where float64 finds it not positive
    definite.
    """
    if not len(matrix):
        return matrix, 1.0
    factor, info = lapack.dpotrf(matrix, lower=0)
    return factor, 0.0 if info else float(
        lapack.dpocon(factor, np.abs(matrix).sum(axis=0).max())[0]
    )


def _refined(scaled: _Scaled, factor: Floats, units: Floats, output: int) -> Wholes:
    """Slopes y (d,) of one output by Cholesky's factor of the correlation matrix, refined until
    nothing moves.
    """
    y: Any = np.zeros(len(units), dtype=object)
    for _ in range(_ROUNDS):
        left = scaled.left_over(y, output)
        if not left.any():
            break
        step = lapack.dpotrs(factor, left / units)[0] / units
        y = y + np.array([int(ldexp(v, BITS)) for v in step], dtype=object)
        if np.abs(step).max() < _REFINED:
            break
    return np.array([v if abs(v) >= _NOTHING else 0 for v in y], dtype=object)


def _by_factors(
    scaled: _Scaled, system: System, matrix: Floats, penalty: float
) -> tuple[list[Wholes], Solution]:
    """By factors in whole numbers; of columns that others determine, the solution of smallest
    norm.
    """
    curvature, right = scaled.fixed_point()
    d, k = right.shape
    # Pivots are squares; a column that others give to its own rounding is determined by them.
    factors = Factors.of(curvature, int(system.resolution**-2.0) if d else 1)
    kept, left = list(factors.kept), list(factors.left)
    units = _units(np.diag(_rounded(curvature)), penalty)
    on_kept = factors.solve(right[kept])
    inverse = np.zeros((d, d))
    factor, reciprocal = _cholesky(matrix[np.ix_(kept, kept)])
    inverse[np.ix_(kept, kept)] = (
        symmetric(lapack.dpotri(factor)[0])
        if reciprocal >= GOOD_RECIPROCAL_CONDITION and kept
        else _rounded(factors.inverse()) * np.multiply.outer(units[kept], units[kept])
    )
    every = [np.zeros(d, dtype=object) for _ in range(k)]
    for j in range(k):
        every[j][kept] = on_kept[:, j]
    if left:
        # Left columns are kept ones times M; of b_kept + M b_left = b the shortest solution is [I
        # M]ᵀ (I + M Mᵀ)⁻¹ b.
        between = (
            _rounded(factors.solve(curvature[np.ix_(kept, left)]))
            * units[kept][:, None]
            / units[left]
        )
        spread = np.zeros((d, len(kept)))
        spread[kept], spread[left] = np.eye(len(kept)), between.T
        shortest = spread @ np.linalg.inv(spread.T @ spread)
        inverse = shortest @ inverse[np.ix_(kept, kept)] @ shortest.T
        standard = shortest @ (_rounded(on_kept) * units[kept][:, None]) / units[:, None]
        every = [
            np.array([int(ldexp(v, BITS)) for v in column], dtype=object) for column in standard.T
        ]
    values = np.linalg.eigvalsh(inverse)[d - len(kept) :]
    reciprocal = float(values.min(initial=1.0) / values.max(initial=1.0)) if len(kept) else 1.0
    path: Literal["exact", "minimum norm"] = "minimum norm" if left else "exact"
    none = np.zeros_like(system.products)
    return every, solution_of(
        system, none, inverse, len(kept), tuple(sorted(left)), max(reciprocal, 0.0), penalty, path
    )


def _rounded(fixed: Wholes) -> Floats:
    return np.array([nearest(int(v), -BITS) for v in fixed.flat], dtype=np.float64).reshape(
        fixed.shape
    )


def _finished(
    exact: ExactSystem, scaled: _Scaled, y: Wholes, output: int
) -> tuple[list[float], float]:
    """Intercept and slopes of one output, and the SSE there, each rounded once."""
    d, numbers, at = exact.size, exact.numbers, exact.size + output
    slopes, base = scaled.whole_slopes(y, output)
    intercept = ratio(
        (int(numbers[0, 1 + at]) << -base) - int(numbers[0, 1 : 1 + d] @ slopes),
        int(numbers[0, 0]),
        base,
    )
    products, square = exact.centred[:d, at], int(exact.centred[at, at])
    sse = (
        (square << -2 * base)
        - (2 * int(products @ slopes) << -base)
        + int(slopes @ exact.centred[:d, :d] @ slopes)
    )
    if sse < (square << -2 * base) >> 200:
        sse = 0  # an exact fit, but for what refinement left
    error = ratio(sse, int(numbers[0, 0]), 2 * base + exact.exponent)
    return [intercept, *(nearest(int(b), base) for b in slopes)], error


def _covariance(inverse: Floats, noise: Floats) -> Floats:
    """σ² (AᵀWA)⁻¹ of each output."""
    with np.errstate(over="ignore"):
        found = np.kron(inverse, np.diag(noise))
    if not np.isfinite(found).all():
        raise FitError("a variance is beyond float64: state the columns in other units")
    return found


def train_exactly(
    exact: ExactSystem,
    names: Sequence[str],
    targets: Sequence[str],
    *,
    l2: float | Literal["auto"] = 0.0,
) -> Trained[LinearFacts]:
    """Train on the exact sums of [1 | design | targets]; what
    :func:`halfsquare.fitting.linear.train_linear` returns.

    Examples
    --------
    >>> from halfsquare.exact.gram import ExactGram
    >>> gram = ExactGram.zero(3).add(np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 4.0], [1.0, 2.0, 3.0]]))
    >>> train_exactly(ExactSystem.of_gram(gram, 1), ["x"], ["y"]).parameters.tolist()
    [0.5, 0.6428571428571429]

    Raises
    ------
    OptionError
        If ``l2`` is no penalty.
    FitError
        If no row has weight, or a number is beyond float64.
    """
    options = LinearOptions(l2=l2)
    system = exact.rounded()
    solution, sse = solve_exactly(exact, system, options.l2)
    freedom = system.weight - solution.effective_parameters
    known = freedom > 1e-9
    noise = sse / freedom if known else np.full(len(targets), np.nan)
    termination = Termination(Reason.SOLVED_EXACTLY, solution.path)
    return Trained(
        Linear(tuple(names), tuple(targets)),
        solution.coefficients.reshape(-1),
        _covariance(solution.inverse, noise) if known else None,
        noise,
        solution.effective_parameters,
        termination,
        linear_facts(solution, freedom, system, Linear(tuple(names), tuple(targets))),
        (
            *linear_warnings(solution, names, system, termination),
            *freedom_warnings(system, freedom, solution.l2),
        ),
    )
