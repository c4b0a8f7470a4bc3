"""Whether numbers are as skewed and as peaked as normal ones: D'Agostino & Pearson's K².

Own code for one test, because the library that has it takes longer to be imported than most fits.
"""

from __future__ import annotations

from math import asinh, cbrt, copysign, exp, log, sqrt

import numpy as np

from halfsquare.loss import Floats


def chance_of_normal(values: Floats) -> float:
    """The probability that normal numbers (n,), n >= 20, are as far from the normal distribution's
    skewness and kurtosis.

    K² = Z(√b₁)² + Z(b₂)², which is χ² of two degrees: D'Agostino & Pearson (1973), "Tests for
    departure from normality". Z(√b₁): D'Agostino (1970), "Transformation to normality of the null
    distribution of g₁"; Z(b₂): Anscombe & Glynn (1983), "Distribution of the kurtosis statistic b₂
    for normal samples", eq. 4 to 6. NaN where the numbers do not vary.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> chance_of_normal(random.normal(size=500)) > 0.1
    True
    >>> chance_of_normal(random.exponential(size=500)) < 1e-20
    True
    """
    n = len(values)
    away = values - values.mean()
    variance = float(np.mean(away**2))
    if not variance > 0.0:
        return float("nan")
    skewness = float(np.mean(away**3)) / variance**1.5
    kurtosis = float(np.mean(away**4)) / variance**2
    return exp(-0.5 * (_of_skewness(skewness, n) ** 2 + _of_kurtosis(kurtosis, n) ** 2))


def _of_skewness(root_b1: float, n: int) -> float:
    """A standard normal deviate from the skewness of n normal numbers."""
    y = root_b1 * sqrt((n + 1) * (n + 3) / (6.0 * (n - 2)))
    beta2 = 3.0 * (n * n + 27 * n - 70) * (n + 1) * (n + 3)
    beta2 /= (n - 2.0) * (n + 5) * (n + 7) * (n + 9)
    w2 = sqrt(2.0 * (beta2 - 1.0)) - 1.0
    return asinh(y / sqrt(2.0 / (w2 - 1.0))) / sqrt(0.5 * log(w2))


def _of_kurtosis(b2: float, n: int) -> float:
    """The same from their kurtosis (3 of the normal distribution)."""
    mean = 3.0 * (n - 1) / (n + 1)
    variance = 24.0 * n * (n - 2) * (n - 3) / ((n + 1.0) ** 2 * (n + 3) * (n + 5))
    x = (b2 - mean) / sqrt(variance)
    third = 6.0 * (n * n - 5 * n + 2) / ((n + 7.0) * (n + 9))
    third *= sqrt(6.0 * (n + 3) * (n + 5) / (n * (n - 2.0) * (n - 3)))
    a = 6.0 + 8.0 / third * (2.0 / third + sqrt(1.0 + 4.0 / third**2))
    denominator = 1.0 + x * sqrt(2.0 / (a - 4.0))
    ratio = copysign(cbrt((1.0 - 2.0 / a) / abs(denominator)), denominator)
    return (1.0 - 2.0 / (9.0 * a) - ratio) / sqrt(2.0 / (9.0 * a))
