"""Many examples: SSE adds, MSE estimates, mini-batches scatter, copies teach nothing.

A straight line that is not yet at its best is looked at on growing parts of one data set. All sums
are :class:`~halfsquare.sums.ErrorSums`, merged from part to part. Conventions: see
:mod:`halfsquare.loss`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats, error
from halfsquare.normal_sums import NormalSums
from halfsquare.sums import ErrorSummary, ErrorSums

#: Numbers of rows, four to each doubling from 8 to 4,096.
SIZES = sorted({round(8 * 2 ** (i / 4)) for i in range(37)})


@dataclass(frozen=True)
class LineSample:
    """Rows (x, t) and a line o = intercept + slope · x to judge them by.

    Attributes
    ----------
    x, target : (n,)
    intercept, slope : float
        Of the line; in general not the best one.
    typical : float or None
        The expected loss (MSE) of one new row, where it is known.
    """

    x: Floats
    target: Floats
    intercept: float
    slope: float
    typical: float | None = None

    @property
    def output(self) -> Floats:
        """The line's outputs (n,)."""
        return self.intercept + self.slope * self.x

    @property
    def row_gradients(self) -> Floats:
        """(n, 2): each row's gradient of ½(o-t)² by intercept and slope, (o-t)·(1, x)."""
        e = error(self.target, self.output)
        return np.column_stack([e, e * self.x])

    def first(self, rows: int) -> LineSample:
        """The first rows of this sample."""
        return LineSample(
            self.x[:rows], self.target[:rows], self.intercept, self.slope, self.typical
        )


def built_in_sample(rows: int = 4096, seed: int = 5, noise: float = 1.0) -> LineSample:
    """t = 2 + 1.5 x + noise, x uniform on [-2, 2], noise normal with that standard deviation; the
    line is 1.5 + x.

    The expected loss is the noise plus the line's own fault: noise² + 0.5² + 0.5² · Var(x) =
    noise² + ¼ + ⅓.
    """
    random = np.random.default_rng(seed)
    x = random.uniform(-2.0, 2.0, rows)
    target = 2.0 + 1.5 * x + noise * random.standard_normal(rows)
    return LineSample(x, target, 1.5, 1.0, typical=noise**2 + 0.25 + 1.0 / 3.0)


def growth(sample: LineSample, sizes: list[int], copies: int = 1) -> list[ErrorSummary]:
    """The errors on the first n rows for each n of ``sizes`` (ascending), every row ``copies``
    times.

    Examples
    --------
    >>> few, many = growth(built_in_sample(), [64, 4096])
    >>> many.sse > 30 * few.sse, many.mse_se < few.mse_se / 5
    (True, True)
    """
    t, o = sample.target, sample.output
    sums, start, found = ErrorSums.zero(), 0, []
    for stop in sizes:
        part = ErrorSums.zero().add(t[start:stop], o[start:stop])
        for _ in range(copies):
            sums = sums.merge(part)
        found.append(sums.finish())
        start = stop
    return found


@dataclass(frozen=True)
class BatchScatter:
    """Gradients of ½MSE on mini-batches, and where the variance over rows expects them.

    Attributes
    ----------
    full : (2,)
        The gradient over all rows, by intercept and slope.
    batches : (draws, 2)
        The gradients of the batches.
    ellipse : (m, 2)
        Within it 95 % of the batches are expected.
    inside : float
        The share of the batches that are.
    scatter, expected : float
        Root mean square distance of the batches from ``full``, and what the rows' variance
        predicts.
    """

    full: Floats
    batches: Floats
    ellipse: Floats
    inside: float
    scatter: float
    expected: float


def batch_scatter(
    sample: LineSample, batch: int, *, draws: int = 300, seed: int = 1
) -> BatchScatter:
    """Draw mini-batches without replacement and compare their gradients with the full one.

    The mean of B of n rows has covariance S/B · (n-B)/n with S the rows' sample covariance
    (Cochran 1977, "Sampling Techniques", theorem 2.2).

    Raises
    ------
    OptionError
        If a batch has no row, or not fewer rows than the sample.
    """
    rows = len(sample.x)
    if not 1 <= batch < rows:
        raise OptionError(f"batch is {batch}; expected 1 to {rows - 1}, fewer than the {rows} rows")
    gradients = sample.row_gradients
    random = np.random.default_rng([seed, batch, rows])
    chosen = (
        np.argsort(random.random((draws, rows)), axis=1)[:, :batch]
        if batch > 1
        else random.integers(rows, size=(draws, 1))
    )
    means = gradients[chosen].mean(axis=1)
    full = gradients.mean(axis=0)
    covariance = np.cov(gradients, rowvar=False) / batch * (rows - batch) / rows
    root = np.linalg.cholesky(covariance)
    reach = sqrt(
        -2.0 * log(0.05)
    )  # the 95 % point of a χ² with two degrees of freedom is -2 ln 0.05
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    away = means - full
    inside = np.sum(np.linalg.solve(root, away.T) ** 2, axis=0) <= reach**2
    return BatchScatter(
        full=full,
        batches=means,
        ellipse=full + reach * np.column_stack([np.cos(angle), np.sin(angle)]) @ root.T,
        inside=float(inside.mean()),
        scatter=sqrt(float(np.sum(away**2)) / draws),
        expected=sqrt(float(np.trace(covariance))),
    )


def best_line(sample: LineSample, copies: int = 1) -> tuple[float, float]:
    """Intercept and slope that make the squared error of these rows least (all ``copies`` of
    them).
    """
    block = np.vstack([np.ones_like(sample.x), sample.x, sample.target])
    sums = NormalSums.zero(2, 1)
    for _ in range(copies):
        sums = sums.add_block(block, len(sample.x), float(len(sample.x)))
    gram, cross, _ = sums.finish()
    intercept, slope = np.linalg.solve(gram, cross[:, 0])
    return float(intercept), float(slope)
