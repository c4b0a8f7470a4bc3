"""How sure the mean of some losses is: rows that are skewed, that come in clusters, or in time.

Independent rows: the losses of few rows are skewed, so that mean ± 1.96 standard errors misses too
often from above. The interval is Hall's (1992, "On the removal of skewness by transformation",
eq. 1.4): the studentized mean less its skewness is close to Student's t.

Clusters: rows of a cluster may depend on each other, S_g = Σ (q - q̄) over it, and the variance of
the mean is G/(G-1) Σ S_g² / n², with Student's t on G - 1 degrees (Liang & Zeger 1986).

Time: the variance of the mean takes in the covariances of rows up to L apart, with Bartlett's
weights (Newey & West 1987); L by the rule of Andrews (1991, eq. 6.2 and 6.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats


@dataclass(frozen=True)
class LossMoments:
    """Weight, mean and central sums of the second and third power of losses; merged exactly.

    Pébay (2008), "Formulas for robust, one-pass parallel computation of covariances and
    arbitrary-order statistical moments", eq. 2.1.
    """

    weight: float = 0.0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0

    @classmethod
    def of(cls, losses: Floats, weight: Floats | None = None) -> LossMoments:
        """Of losses (n,) with weights (n,)."""
        w = np.ones(len(losses)) if weight is None else weight
        total = float(w.sum())
        if not total > 0:
            return cls()
        mean = float(w @ losses / total)
        away = losses - mean
        squares = away * away
        # Not away**3: NumPy calls a power function for each number, which is twenty times slower.
        return cls(total, mean, float(w @ squares), float(w @ (squares * away)))

    def merge(self, other: LossMoments) -> LossMoments:
        """Those of both."""
        if not self.weight or not other.weight:
            return other if not self.weight else self
        a, b = self.weight, other.weight
        n, d = a + b, other.mean - self.mean
        return LossMoments(
            n,
            self.mean + d * b / n,
            self.m2 + other.m2 + d**2 * a * b / n,
            self.m3
            + other.m3
            + d**3 * a * b * (a - b) / n**2
            + 3.0 * d * (a * other.m2 - b * self.m2) / n,
        )

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends between which the mean of all such rows lies; NaN of fewer than three rows."""
        from scipy.special import stdtrit

        n = self.weight
        if n < 3 or not self.m2 > 0:
            end = self.mean if n >= 3 else np.nan
            return end, end
        deviation = np.sqrt(self.m2 / (n - 1))
        skew = self.m3 / n / (self.m2 / n) ** 1.5 / np.sqrt(n)
        reach = float(stdtrit(min(n - 1, 1e9), 0.5 + level / 2))

        def unskewed(t: float) -> float:
            if abs(skew) < 1e-6:
                return t
            return float(3.0 / skew * (np.cbrt(1.0 + skew * (t - skew / 6.0)) - 1.0))

        error = deviation / np.sqrt(n)
        low, high = (self.mean - unskewed(t) * error for t in (reach, -reach))
        return max(float(low), 0.0), float(high)


@dataclass(frozen=True)
class MeanError:
    """The standard error of a mean, and how it was found.

    Attributes
    ----------
    degrees_of_freedom : float
        Of Student's t for the mean over it.
    method : str
        In words.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    method: str

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends by Student's t."""
        from scipy.special import stdtrit

        if not self.degrees_of_freedom >= 1:
            return np.nan, np.nan
        reach = float(stdtrit(min(self.degrees_of_freedom, 1e9), 0.5 + level / 2))
        return self.mean - reach * self.standard_error, self.mean + reach * self.standard_error


def by_cluster(losses: Floats, weight: Floats | None, clusters: Any, name: str) -> MeanError:
    """The mean of losses (n,) whose rows depend on each other within ``clusters`` (n,).

    Raises
    ------
    OptionError
        If there is one cluster alone.
    """
    w = np.ones(len(losses)) if weight is None else weight
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    which = which[w > 0]
    count = len(np.unique(which))
    if count < 2:
        raise OptionError(
            f"the rows are one cluster of {name!r}: at least two are needed for a standard error"
        )
    losses, w = losses[w > 0], w[w > 0]
    mean = float(w @ losses / w.sum())
    sums = np.bincount(which, weights=w * (losses - mean)).astype(np.float64)
    error = np.sqrt(count / (count - 1) * float(sums @ sums)) / w.sum()
    return MeanError(mean, float(error), count - 1.0, f"{count:,} clusters of {name}")


def in_time(losses: Floats, weight: Floats | None) -> MeanError:
    """The mean of losses (n,) in the order of time, where neighbours depend on each other."""
    w = np.ones(len(losses)) if weight is None else weight
    losses, w = losses[w > 0], w[w > 0]
    n, total = len(losses), float(w.sum())
    mean = float(w @ losses / total)
    u = w * (losses - mean)
    squares = float(u @ u)
    if n < 3 or not squares > 0:
        return MeanError(mean, np.nan if n < 3 else 0.0, n - 1.0, "rows in time, Newey-West")
    rho = min(max(float(u[1:] @ u[:-1]) / squares, -0.97), 0.97)
    alpha = 4.0 * rho**2 / ((1.0 - rho) ** 2 * (1.0 + rho) ** 2)
    lags = min(int(1.1447 * (alpha * n) ** (1 / 3)), n - 2)
    variance = squares + 2.0 * sum(
        (1.0 - lag / (lags + 1.0)) * float(u[lag:] @ u[:-lag]) for lag in range(1, lags + 1)
    )
    error = np.sqrt(max(variance, 0.0) * n / (n - 1)) / total
    # A window of L lags leaves about 3n / 2L independent pieces (Priestley 1981, table 6.2).
    freedom = n - 1.0 if not lags else min(n - 1.0, max(1.5 * n / lags, 1.0))
    return MeanError(mean, float(error), freedom, f"rows in time, Newey-West with {lags} lags")
