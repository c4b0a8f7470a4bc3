"""Figures of a whole linear fit: R², F, likelihood, information criteria, collinearity."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, nan, pi

import numpy as np

from halfsquare.loss import Floats
from halfsquare.results.inference.linear import LinearInference
from halfsquare.results.inference.wald import Wald, wald
from halfsquare.sums import r_squared


@dataclass(frozen=True)
class Criteria:
    """What is said of the whole fit.

    Attributes
    ----------
    r2, adjusted_r2 : float
        About the mean where there is a constant, about 0 where there is none.
    f : Wald or None
        Of all coefficients but the constant, by the chosen covariance.
    log_likelihood : float
        Of normal errors at σ² = SSE/n, a row of weight w having σ²/w; at the σ of each row where it
        was measured. NaN where the weights of the rows are not known.
    aic, bic : float
        With σ counted among the parameters, as R counts; statsmodels does not: 2, and log n, less.
        A σ that was measured is no parameter.
    condition_number : float
        Largest over smallest singular value of X with columns of unit length (Belsley, Kuh & Welsch
        1980, section 3.2).
    """

    r2: float
    adjusted_r2: float
    f: Wald | None
    log_likelihood: float
    aic: float
    bic: float
    condition_number: float


def criteria(fit: LinearInference) -> Criteria:
    """All of them, from the sums alone."""
    n, p, sse = fit.weight, fit.rank, fit.sse
    constant = 1 if fit.intercept else 0
    total = fit.sse_of([0] if fit.intercept else [])
    base = n - (fit.absorbed or (1 if fit.intercept else 0))
    r2 = r_squared(sse, total)
    adjusted = 1.0 - (1.0 - r2) * base / (n - p) if n > p else nan
    slopes = list(range(constant, len(fit.names)))
    f = wald(fit, np.eye(len(fit.names))[slopes], np.zeros(len(slopes))) if slopes else None
    likelihood, estimated = _log_likelihood(fit), p + (fit.known_variance is None)
    return Criteria(
        r2,
        adjusted,
        f,
        likelihood,
        2.0 * estimated - 2.0 * likelihood,
        log(n) * estimated - 2.0 * likelihood,
        condition_number(fit),
    )


def _log_likelihood(fit: LinearInference) -> float:
    """-½ Σ (log 2πσ²/w + w e²/σ²), σ² measured or SSE/n."""
    n, sse = fit.weight, fit.sse
    if fit.known_variance is not None:
        v = fit.known_variance
        return 0.5 * (fit.log_weight - n * log(2.0 * pi * v) - sse / v)
    return 0.5 * (fit.log_weight - n * (log(2.0 * pi * sse / n) + 1.0)) if sse > 0 else nan


def condition_number(fit: LinearInference) -> float:
    """Of X with columns of unit length."""
    r = fit.triangle[:-1, :-1]
    values = np.linalg.svd(r / np.linalg.norm(r, axis=0), compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")


def variance_inflation(fit: LinearInference) -> Floats:
    """For each column 1/(1 - R²) of it on the others (p,); NaN for the constant.

    The variance of the coefficient is this many times what it would be were the column orthogonal
    to all others. Without a constant R² is about 0.
    """
    found = np.full(len(fit.names), nan)
    first = 1 if fit.intercept else 0
    r = fit.triangle[:-1, :-1]
    if fit.intercept:
        r = r[1:, 1:]  # what is left of the columns when their mean is taken off
    squares = np.einsum("ij,ij->j", r, r)
    found[first:] = np.diag(fit.inverse)[first:] * squares
    return found


def generalized_inflation(fit: LinearInference) -> dict[str, tuple[int, float]]:
    """For each term its columns q and the generalized factor (Fox & Monette 1992); VIF where q = 1.

    det C₁₁ det C₂₂ / det C, C the correlations of all columns but the constant.
    """
    if not fit.intercept:
        return {}
    r = fit.triangle[1:-1, 1:-1]
    unit = r / np.linalg.norm(r, axis=0)
    _, whole = np.linalg.slogdet(unit.T @ unit)
    found = {}
    for name, start, stop in fit.spans:
        if start == 0:
            continue
        mine = np.arange(start - 1, stop - 1)
        others = np.setdiff1d(np.arange(unit.shape[1]), mine)
        logs = [np.linalg.slogdet(unit[:, s].T @ unit[:, s])[1] for s in (mine, others) if len(s)]
        found[name] = (stop - start, float(np.exp(sum(logs) - whole)))
    return found
