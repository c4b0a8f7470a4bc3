"""Mean and variance of columns, merged without cancellation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.arrays import Floats


def weighted_mean(values: Floats, weight: Floats) -> Floats:
    """Σ w x / Σw of the columns of ``values`` (n, k), weights (n,) with a sum > 0.

    The mean of what a first mean leaves is added to it: so equal values have exactly that mean.

    Examples
    --------
    >>> weighted_mean(np.full((7, 1), 0.1), np.ones(7)).tolist()
    [0.1]
    """
    share = weight / weight.sum()  # no product of a weight and a value overflows
    mean = share @ values
    return np.asarray(mean + share @ (values - mean))


def varies(variance: Floats, mean: Floats) -> npt.NDArray[np.bool_]:
    """Which columns vary by more than the rounding of their values: the one rule for all doors.

    Values that differ by a unit in the last place do not vary.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(variance) > np.finfo(float).eps * np.abs(mean))


@dataclass(frozen=True)
class Moments:
    """Weight, mean and variance Σ w (x - mean)² / Σw of k columns, merged without cancellation.

    Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
    variances", eq. 2.1, divided by W = Wa + Wb: V = Va Wa/W + Vb Wb/W + δ² (Wa/W) (Wb/W) with
    δ = mean_b - mean_a. No weight multiplies a square: the product may be beyond float64 where both
    are not.
    """

    weight: float
    mean: Floats
    variance: Floats

    @classmethod
    def zero(cls, columns: int) -> Moments:
        return cls(0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, values: Floats, weight: Floats | None = None) -> Moments:
        """Moments of the columns of ``values`` (n, k) with row weights (n,)."""
        if weight is not None and not weight.all():
            values, weight = values[weight > 0], weight[weight > 0]
        total = float(len(values)) if weight is None else float(weight.sum())
        if not total > 0:
            return cls.zero(values.shape[1])
        if weight is None:
            sums = np.add.reduce(values, axis=0)
            if np.isfinite(sums).all():
                mean = sums / total
                centred = values - mean
                left = np.add.reduce(centred, axis=0) / total  # what rounding left in the mean
                centred -= left
                return cls(total, mean + left, np.einsum("ij,ij->j", centred, centred) / total)
            mean = weighted_mean(values, np.ones(len(values)))
            return cls(total, mean, ((values - mean) ** 2).sum(axis=0) / total)
        mean = weighted_mean(values, weight)
        return cls(total, mean, (weight / total) @ (values - mean) ** 2)

    @property
    def m2(self) -> Floats:
        """Σ w (x - mean)² (k,)."""
        return np.asarray(self.variance * self.weight)

    @property
    def varies(self) -> npt.NDArray[np.bool_]:
        """Which columns (k,) vary by more than the rounding of their values."""
        return varies(self.variance, self.mean)

    @property
    def scale(self) -> Floats:
        """The standard deviations (k,), 1 where a column does not vary: what columns are divided
        by, behind every door.
        """
        return np.where(self.varies, np.sqrt(self.variance), 1.0)

    def merge(self, other: Moments) -> Moments:
        total = self.weight + other.weight
        if not self.weight or not other.weight:
            return other if not self.weight else self
        delta = other.mean - self.mean
        own, share = self.weight / total, other.weight / total
        variance = own * self.variance + share * other.variance + delta**2 * (own * share)
        return Moments(total, self.mean + delta * share, variance)
