"""Parts of different kinds judged together, on rows that none of them saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.results.trained import Trained
from halfsquare.sums import MeanSums

# What chance alone passes once in forty times.
_Z = 1.96


@dataclass(frozen=True)
class Part:
    """Members of one kind, and their errors (2, n, k) on rows they had not seen; NaN where there
    are none.
    """

    name: str
    members: list[Trained[Any]]
    errors: Floats

    @property
    def mean_error(self) -> Floats:
        """ē (n, k)."""
        return np.asarray(0.5 * (self.errors[0] + self.errors[1]))

    @property
    def correction(self) -> Floats:
        """V (½ - 1/M) (n, k): what the mean square of ē has more than that of all members."""
        spread = 0.5 * (self.errors[0] - self.errors[1]) ** 2
        return np.asarray(spread * (0.5 - 1.0 / max(len(self.members), 2)))

    @property
    def judged(self) -> Any:
        """The rows (n,) with errors."""
        return ~np.isnan(self.errors).any(axis=(0, 2))


@dataclass(frozen=True)
class Judged:
    """What the rows left out say of the parts together.

    Attributes
    ----------
    errors, corrections : (q, m, k)
        Of the q parts on the m rows that all of them left out.
    row_weight : (m,)
        Weights of these rows.
    """

    errors: Floats
    corrections: Floats
    row_weight: Floats

    @classmethod
    def of(cls, parts: Sequence[Part], weight: Floats | None) -> Judged | None:
        """None where no row was left out by all."""
        both = np.all([part.judged for part in parts], axis=0)
        w = both.astype(np.float64) if weight is None else np.where(both, weight, 0.0)
        both = w > 0
        if not float(w.sum()) > 1.0:
            return None
        return cls(
            np.array([part.mean_error[both] for part in parts]),
            np.array([part.correction[both] for part in parts]),
            w[both],
        )

    @property
    def weight(self) -> Floats:
        """Row weights (m,) over their sum."""
        return np.asarray(self.row_weight / self.row_weight.sum())

    @property
    def products(self) -> Floats:
        """C (q, q), averaged over the outputs."""
        k = self.errors.shape[2]
        found = np.einsum("pmk,m,qmk->pq", self.errors, self.weight, self.errors, optimize=True) / k
        less = np.einsum("pmk,m->p", self.corrections, self.weight) / k
        return np.asarray(found - np.diag(less))

    def squares(self, weights: Floats) -> Floats:
        """The squared error of each row and output (m, k) for these weights (q,)."""
        whole = np.einsum("p,pmk->mk", weights, self.errors) ** 2
        return np.asarray(whole - np.einsum("p,pmk->mk", weights**2, self.corrections))

    def losses(self, weights: Floats) -> Floats:
        """The squared error of each row (m,), averaged over the outputs."""
        losses: Floats = self.squares(weights).mean(axis=1)
        return losses

    def mean(self, values: Floats) -> tuple[float, float]:
        """Weighted mean of values (m,) and its standard error."""
        sums = MeanSums.of(values, self.row_weight)
        return sums.mean, sums.standard_error

    def certainty(self, weights: Floats) -> Floats:
        """Each weight (q,) over its standard error, 0 where it is not in use.

        With a part r as reference the others' weights are coefficients of a regression of e_r on
        e_r - e_p, whose covariance by White (1980), "A heteroskedasticity-consistent covariance
        matrix estimator", is (DᵀD)⁻¹ Dᵀ diag(u²) D (DᵀD)⁻¹.
        """
        used = np.flatnonzero(weights > 0)
        found = np.zeros(len(weights))
        if len(used) == 1:
            found[used] = np.inf
            return found
        errors = self.errors[used].transpose(1, 2, 0).reshape(-1, len(used))
        own = self.weight
        # A row of weight 2 is two rows of weight 1; other weights say how much a row matters.
        whole = bool((self.row_weight == np.floor(self.row_weight)).all())
        twice = np.repeat(own / self.row_weight.sum() if whole else own * own, self.errors.shape[2])
        w = np.repeat(own, self.errors.shape[2])
        left = errors @ weights[used]
        for i in range(len(used)):
            r = (i + 1) % len(used)
            others = [j for j in range(len(used)) if j != r]
            d = errors[:, [r]] - errors[:, others]
            inverse = np.linalg.pinv(d.T @ (w[:, None] * d))
            middle = d.T @ ((twice * left**2)[:, None] * d)
            variance = (inverse @ middle @ inverse)[others.index(i), others.index(i)]
            found[used[i]] = weights[used[i]] / np.sqrt(variance) if variance > 0 else np.inf
        return found


def may_gain(known: Floats, new: Floats, weight: Floats | None) -> float:
    """The share of the MSE of ``known`` that blending ``new`` with it may take off, at most.

    With weights 1 - v and v the error is e - v d, d = e - e_new, and the least-squares v is that of
    a regression of e on d. Taken is the upper end of its interval of 95 % (White 1980): what chance
    hides counts as gained.

    Parameters
    ----------
    known, new : (m, k)
        Errors on the same rows, unseen by both; rows without either are passed over.
    weight : (m,) or None

    Examples
    --------
    >>> e = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    >>> may_gain(e, -e, None), may_gain(e, e, None)
    (1.0, 0.0)
    """
    there = np.asarray(~np.isnan(known + new).any(axis=1))
    e, d = known[there], (known - new)[there]
    w = (np.ones(len(known)) if weight is None else weight)[there][:, None]
    square, spread = float((w * e * e).sum()), float((w * d * d).sum())
    if not (square > 0 and spread > 0):
        return 0.0
    share = float((w * e * d).sum()) / spread
    doubt = float(np.sqrt((w * (d * (e - share * d)) ** 2).sum())) / spread
    most = max(share + _Z * doubt, 0.0)
    taken = min(most, 1.0)
    return min(taken * (2.0 * most - taken) * spread / square, 1.0)
