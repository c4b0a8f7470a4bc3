"""Bases of splines: B-splines, natural splines, and cardinal natural cubic splines.

B-splines after de Boor (1978, "A Practical Guide to Splines", chapter X), as SciPy computes them.
The natural basis is that of R's ``splines::ns``: cubic B-splines without the first, on which a
second derivative of zero at both ends is imposed. The cardinal basis has the value 1 at one knot
and 0 at the others (Lancaster & Salkauskas 1986, chapter 4), as mgcv's and patsy's ``cr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from halfsquare.loss import Floats


def b_spline(x: Floats, knots: Sequence[float], low: float, high: float, degree: int) -> Floats:
    """All B-splines (m, len(knots) + degree + 1) at x (m,); beyond the ends the outer polynomials
    go on.

    Parameters
    ----------
    knots : sequence of float
        The inner ones, between low and high.
    """
    return _at(x, _padded(knots, low, high, degree), degree)


def _padded(knots: Sequence[float], low: float, high: float, degree: int) -> Floats:
    return np.array([low] * (degree + 1) + sorted(knots) + [high] * (degree + 1), dtype=np.float64)


def _at(x: Floats, padded: Floats, degree: int, derivative: int = 0) -> Floats:
    from scipy.interpolate import BSpline

    count = len(padded) - degree - 1
    spline = BSpline(padded, np.eye(count), degree, extrapolate=True)
    return cast(Floats, spline(x, nu=derivative))


def natural_spline(
    x: Floats, knots: Sequence[float], low: float, high: float, intercept: bool = False
) -> Floats:
    """The natural cubic basis (m, len(knots) + 1, one more with the intercept); linear beyond
    the ends.
    """
    padded = _padded(knots, low, high, 3)
    first = 0 if intercept else 1
    ends = np.array([low, high])
    curvature = _at(ends, padded, 3, derivative=2)[:, first:]
    # The columns of Q after the first two span what has no second derivative at either end.
    q, _ = np.linalg.qr(curvature.T, mode="complete")
    inside = np.clip(x, low, high)
    basis = _at(inside, padded, 3)[:, first:]
    value, slope = _at(ends, padded, 3)[:, first:], _at(ends, padded, 3, derivative=1)[:, first:]
    for end, beyond in enumerate((x < low, x > high)):
        if beyond.any():
            basis[beyond] = value[end] + np.outer(x[beyond] - ends[end], slope[end])
    return row_by_row(basis, q[:, 2:])


def row_by_row(values: Floats, matrix: Floats) -> Floats:
    """The product of (m, p) and (p, q) in one order of additions: a row's bits do not depend on
    the others.
    """
    out: Floats = np.zeros((len(values), matrix.shape[1]))
    for column, coefficients in zip(values.T, matrix, strict=True):
        out += column[:, None] * coefficients
    return out


def cardinal_spline(x: Floats, knots: Sequence[float]) -> Floats:
    """Natural cubic splines (m, len(knots)) that are 1 at one knot and 0 at the others; linear
    beyond.
    """
    from scipy.interpolate import CubicSpline

    at = np.asarray(knots, dtype=np.float64)
    spline = CubicSpline(at, np.eye(len(at)), bc_type="natural")
    basis = spline(np.clip(x, at[0], at[-1]))
    for end, beyond in ((at[0], x < at[0]), (at[-1], x > at[-1])):
        if beyond.any():
            basis[beyond] = spline(end) + np.outer(x[beyond] - end, spline(end, 1))
    return cast(Floats, basis)
