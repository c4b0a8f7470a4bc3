"""From the scale on which a target was fitted back to its own unit: the mean, and how far from it.

With u = g(t) fitted, g⁻¹ of the output is near the median of t: its mean is larger where g bends
down. The mean is taken over the errors themselves, whatever their distribution (Duan 1983,
"Smearing estimate: a nonparametric retransformation method"):

    E[t | x] = Σ_i w_i g⁻¹(o(x) + s(x) z_i)

z_i are the errors t - o of rows left out on the fitted scale, each over its standard deviation s;
s(x) is the noise of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfsquare.loss import Floats

_BINS = 160
_BLOCK = 4096


@dataclass(frozen=True)
class Smearing:
    """Scores of rows left out, thinned: many in one by their mean where they are dense.

    Attributes
    ----------
    scores, weights : (m,)
        Weights sum to 1.
    """

    scores: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.weights):
            raise ValueError("scores of rows left out and their weights differ in number")
        if not np.isfinite([*self.scores, *self.weights]).all():
            raise ValueError("a score of a row left out is not finite")

    @classmethod
    def of(cls, scores: Floats, weight: Floats) -> Smearing:
        """Of scores (n,) and row weights (n,)."""
        from scipy.special import ndtri

        order = np.argsort(scores, kind="stable")
        z, w = scores[order], weight[order] / weight.sum()
        # Evenly in normal quantiles: at the ends every score stands by itself.
        at = np.clip(np.cumsum(w) - 0.5 * w, 1e-12, 1.0 - 1e-12)
        bins = np.floor((ndtri(at) + 5.0) * _BINS / 10.0).astype(np.intp)
        _, own = np.unique(bins, return_inverse=True)
        weights = np.bincount(own, w)
        means = np.bincount(own, w * z) / weights
        return cls(tuple(means.tolist()), tuple(weights.tolist()))

    @classmethod
    def normal(cls) -> Smearing:
        """Where no errors are known: those of a normal distribution."""
        from scipy.special import ndtri

        at = (np.arange(_BINS) + 0.5) / _BINS
        return cls(tuple(ndtri(at).tolist()), (1.0 / _BINS,) * _BINS)

    def moments(
        self, back: Callable[[Floats], Floats], u: Floats, s: Floats
    ) -> tuple[Floats, Floats]:
        """Mean and standard deviation (m, k) of t = back(u) where u is fitted with the noise s."""
        z, w = np.array(self.scores), np.array(self.weights)
        mean, second = np.empty_like(u), np.empty_like(u)
        for start in range(0, len(u), _BLOCK):
            at = slice(start, start + _BLOCK)
            t = back(u[at, :, None] + s[at, :, None] * z)
            mean[at] = t @ w
            second[at] = (t - mean[at, :, None]) ** 2 @ w
        return mean, np.sqrt(second)
