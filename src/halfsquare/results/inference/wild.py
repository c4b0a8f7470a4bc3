"""The wild cluster bootstrap, for few clusters: p-values of single coefficients, the null imposed.

Cameron, Gelbach & Miller (2008, "Bootstrap-based improvements for inference with clustered
errors"): the restricted errors of each cluster are kept or turned, and the cluster-robust t is
taken each time. All of it follows from X_gᵀX_g and X_gᵀt of each cluster (Roodman et al. 2019,
section 5), so rows are passed over once and any number of draws costs nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.errors import FitError
from halfsquare.loss import Floats

MOST_CLUSTERS = 2_000
_ENUMERATED = 12  # up to this number of clusters all 2^G sign patterns are taken


@dataclass(frozen=True)
class WildBootstrap:
    """The p-value of one coefficient.

    Attributes
    ----------
    t : float
        Cluster-robust, for the null value.
    p : float
        Share of the draws whose |t| is at least as large.
    draws : int
    enumerated : bool
        Whether the draws are all 2^G sign patterns.
    """

    t: float
    p: float
    draws: int
    enumerated: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return dict(vars(self))


def wild_cluster(
    squares: Floats,
    products: Floats,
    coefficient: int,
    *,
    null: float = 0.0,
    draws: int = 9999,
    seed: int = 0,
) -> WildBootstrap:
    """Test that a coefficient has the value ``null``.

    Parameters
    ----------
    squares : (G, p, p)
        X_gᵀWX_g of each cluster.
    products : (G, p)
        X_gᵀWt of each cluster.
    coefficient : int
    draws : int
        Of Rademacher signs, if G > 12.

    Raises
    ------
    FitError
        If there are fewer than two clusters, or too many to be held.
    """
    count = len(squares)
    if not 2 <= count <= MOST_CLUSTERS:
        raise FitError(f"{count} clusters; the wild cluster bootstrap takes 2 to {MOST_CLUSTERS:,}")
    inverse = np.linalg.pinv(squares.sum(axis=0), hermitian=True)
    free = np.delete(np.arange(squares.shape[1]), coefficient)
    beta = inverse @ products.sum(axis=0)
    restricted = np.zeros(len(beta))
    restricted[coefficient] = null
    left = products.sum(axis=0)[free] - squares.sum(axis=0)[free, coefficient] * null
    restricted[free] = (
        np.linalg.pinv(squares.sum(axis=0)[np.ix_(free, free)], hermitian=True) @ left
    )
    t = _t(inverse, beta[coefficient] - null, products - squares @ beta, coefficient)
    scores = products - squares @ restricted  # X_gᵀũ_g
    signs, enumerated = _signs(count, draws, seed)
    at_least = 0
    for block in np.array_split(signs, max(1, len(signs) // 1024)):
        moves = block @ scores @ inverse  # β* - β̃ of each draw
        turned = block[:, :, None] * scores - np.einsum("gij,bj->bgi", squares, moves)
        projected = turned @ inverse[:, coefficient]
        spread = np.sqrt(np.einsum("bg,bg->b", projected, projected))
        with np.errstate(divide="ignore", invalid="ignore"):
            stars = np.abs(moves[:, coefficient]) / spread
        # Two sign patterns that mirror each other have the same |t| but for rounding.
        at_least += int(np.count_nonzero(stars >= abs(t) * (1.0 - 1e-10)))
    return WildBootstrap(float(t), at_least / len(signs), len(signs), enumerated)


def _t(inverse: Floats, distance: float, scores: Floats, coefficient: int) -> float:
    """Without a small-sample factor: it would be the same in every draw."""
    projected = scores @ inverse[:, coefficient]
    return float(distance / np.sqrt(projected @ projected))


def _signs(count: int, draws: int, seed: int) -> tuple[Floats, bool]:
    if count <= _ENUMERATED:
        patterns = np.arange(1 << count)[:, None] >> np.arange(count)
        return 1.0 - 2.0 * (patterns & 1), True
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, count)), False
