"""The sums that robust covariances are made of; each merges exactly, in one fixed tree.

The score of a row is s = e a, with a its row of the design and e its error; a row of weight w
stands w times. Sums over rows, over the rows of each cluster, and over pairs of rows that are some
lags apart are all of the same shape: they add, or join at their ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from halfsquare.errors import ShapeError
from halfsquare.loss import Floats

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ScoredRows:
    """Some rows at the fitted parameters, in their order.

    Attributes
    ----------
    a : (m, p)
        The design, a constant column included where there is one.
    error : (m,)
        o - t.
    weight : (m,) or None
    clusters : tuple of (m,) int64
        For each column that clusters are made by, a number for each of its values.
    effects : (m,) or None
        What absorbed effects, taken out of the design, add to the leverage of each row.
    """

    a: Floats
    error: Floats
    weight: Floats | None = None
    clusters: tuple[Keys, ...] = ()
    effects: Floats | None = None

    @property
    def scores(self) -> Floats:
        """e a for each row, (m, p)."""
        return self.a * self.error[:, None]

    def times_weight(self, values: Floats) -> Floats:
        """Each row times its weight."""
        return values if self.weight is None else values * self.weight[:, None]


def outer_sum(rows: ScoredRows, factor: Floats | None = None) -> Floats:
    """Σ w f s sᵀ (p, p), f a factor for each row."""
    scores = rows.scores
    scaled = scores if factor is None else scores * factor[:, None]
    return cast(Floats, rows.times_weight(scaled).T @ scores)


def leverages(rows: ScoredRows, inverse: Floats) -> Floats:
    """aᵀ(AᵀWA)⁻¹a of each row (m,), and what its absorbed effects add: of each of the w rows that a
    weight stands for.
    """
    own = cast(Floats, np.einsum("ij,ij->i", rows.a @ inverse, rows.a))
    return own if rows.effects is None else own + rows.effects


@dataclass(frozen=True)
class GroupSums:
    """Σ w v over the rows of each group: ``keys`` (g,) rising, ``values`` (g, …)."""

    keys: Keys
    values: Floats

    @classmethod
    def of(cls, keys: Keys, values: Floats) -> GroupSums:
        """Of rows with a key each; the rows of a group are added in their order."""
        unique, at = np.unique(keys, return_inverse=True)
        flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
        summed = np.empty((len(unique), flat.shape[1]))
        for j, column in enumerate(flat.T):
            summed[:, j] = np.bincount(at, weights=column, minlength=len(unique))
        return cls(unique, summed.reshape(len(unique), *values.shape[1:]))

    def merge(self, other: GroupSums) -> GroupSums:
        """Of the rows of both."""
        if self.values.shape[1:] != other.values.shape[1:]:
            raise ShapeError(
                f"sums of {self.values.shape[1:]} and {other.values.shape[1:]} do not add"
            )
        keys = np.union1d(self.keys, other.keys)
        values = np.zeros((len(keys), *self.values.shape[1:]))
        values[np.searchsorted(keys, self.keys)] += self.values
        values[np.searchsorted(keys, other.keys)] += other.values
        return GroupSums(keys, values)

    def outer(self) -> Floats:
        """Σ over the groups of the outer product of their sums, (p, p)."""
        return cast(Floats, self.values.T @ self.values)


def joint_key(first: Keys, second: Keys, count: int) -> Keys:
    """A number for each pair of values; those of ``second`` are below ``count``."""
    return first * np.int64(count) + second


@dataclass(frozen=True)
class LaggedSums:
    """Γ_l = Σ_t s_t s_{t-l}ᵀ for l = 0 … L over a stretch of rows, with what its ends still need.

    Attributes
    ----------
    gamma : (L+1, p, p)
    head, tail : (≤ L, p)
        The first and last scores of the stretch.
    rows : int
    """

    gamma: Floats
    head: Floats
    tail: Floats
    rows: int

    @classmethod
    def of(cls, scores: Floats, lags: int) -> LaggedSums:
        """Of scores (m, p) in the order of time."""
        m, p = scores.shape
        gamma = np.zeros((lags + 1, p, p))
        for lag in range(min(lags, m - 1) + 1):
            gamma[lag] = scores[lag:].T @ scores[: m - lag]
        return cls(gamma, scores[:lags], scores[max(0, m - lags) :] if lags else scores[:0], m)

    @classmethod
    def zero(cls, lags: int, columns: int) -> LaggedSums:
        none = np.zeros((0, columns))
        return cls(np.zeros((lags + 1, columns, columns)), none, none, 0)

    def merge(self, later: LaggedSums) -> LaggedSums:
        """Of this stretch and the one right after it."""
        lags = len(self.gamma) - 1
        gamma = self.gamma + later.gamma
        for lag in range(1, lags + 1):
            # Row i of the later stretch has its partner lag - i rows before the end of this one.
            first = max(0, lag - len(self.tail))
            stop = min(lag, len(later.head))
            if first < stop:
                at = len(self.tail) - lag
                gamma[lag] += later.head[first:stop].T @ self.tail[at + first : at + stop]
        head = np.vstack([self.head, later.head])[:lags]
        joined = np.vstack([self.tail, later.tail])
        return LaggedSums(gamma, head, joined[max(0, len(joined) - lags) :], self.rows + later.rows)

    def bartlett(self) -> Floats:
        """Γ_0 + Σ_l (1 - l/(L+1)) (Γ_l + Γ_lᵀ), (p, p) (Newey & West 1987, eq. 5)."""
        lags = len(self.gamma) - 1
        total: Floats = self.gamma[0].copy()
        for lag in range(1, lags + 1):
            total += (1.0 - lag / (lags + 1.0)) * (self.gamma[lag] + self.gamma[lag].T)
        return total
