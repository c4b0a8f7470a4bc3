"""The wild cluster bootstrap, for few clusters: p-values of single coefficients, the null imposed.

Cameron, Gelbach & Miller (2008, "Bootstrap-based improvements for inference with clustered
errors"): the restricted errors of each cluster are turned by a random weight, and the
cluster-robust t is taken each time. All of it follows from X_gᵀX_g and X_gᵀt of each cluster
(Roodman et al. 2019, section 5), so rows are passed over once and any number of draws costs
nothing more.

With G clusters there are 2^G patterns of signs; where they are no more than the draws, all of them
are taken. Webb's six weights (Webb 2023, "Reworking wild bootstrap-based inference for clustered
errors") tell p-values apart that few signs cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np

from halfsquare.errors import FitError, OptionError
from halfsquare.loss import Floats

MOST_CLUSTERS = 2_000
_BLOCK = 1024  # draws at a time
_MOST_DRAWS = 10_000_000
Weights = Literal["rademacher", "webb"]
_WEBB = np.sqrt([1.5, 1.0, 0.5, 0.5, 1.0, 1.5]) * [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]


@dataclass(frozen=True)
class WildBootstrap:
    """The p-value of one coefficient.

    Attributes
    ----------
    t : float
        Cluster-robust, for the null value: of :func:`wild_cluster` without a small-sample factor,
        of a model (:func:`.wild_of_model.wild_bootstrap`) with the one of its standard errors.
    p : float
        Share of the draws whose |t| is at least as large.
    draws : int
    enumerated : bool
        Whether the draws are all 2^G sign patterns.
    clusters : int
    weights : {"rademacher", "webb"}
    coefficient : str
    null : float
    """

    t: float
    p: float
    draws: int
    enumerated: bool
    clusters: int = 0
    weights: str = "rademacher"
    coefficient: str = ""
    null: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {k: None if v != v else v for k, v in vars(self).items()}


def wild_cluster(
    squares: Floats,
    products: Floats,
    coefficient: int,
    *,
    null: float = 0.0,
    draws: int = 9999,
    seed: int = 0,
    weights: str = "rademacher",
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
        Where 2^G patterns of signs are no more, these are taken one by one.
    weights : {"rademacher", "webb"}

    Raises
    ------
    FitError
        If there are fewer than two clusters, or too many to be held.
    OptionError
        If there are no such weights, or as many draws cannot be.
    """
    count = len(squares)
    if not 2 <= count <= MOST_CLUSTERS:
        raise FitError(f"{count} clusters; the wild cluster bootstrap takes 2 to {MOST_CLUSTERS:,}")
    if weights not in get_args(Weights):
        raise OptionError(f"wild weights {weights!r}; expected {' or '.join(get_args(Weights))}")
    if not 1 <= draws <= _MOST_DRAWS:
        raise OptionError(f"{draws} draws; expected 1 to {_MOST_DRAWS:,}")
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
    if not isfinite(t):
        raise FitError("the errors of every cluster are 0: there is nothing to draw from")
    scores = products - squares @ restricted  # X_gᵀũ_g
    drawn, enumerated = _drawn(count, draws, seed, weights)
    at_least = 0
    for block in np.array_split(drawn, max(1, len(drawn) // _BLOCK)):
        moves = block @ scores @ inverse  # β* - β̃ of each draw
        turned = block[:, :, None] * scores - np.einsum("gij,bj->bgi", squares, moves)
        projected = turned @ inverse[:, coefficient]
        spread = np.sqrt(np.einsum("bg,bg->b", projected, projected))
        with np.errstate(divide="ignore", invalid="ignore"):
            stars = np.abs(moves[:, coefficient]) / spread
        # Two sign patterns that mirror each other have the same |t| but for rounding.
        at_least += int(np.count_nonzero(stars >= abs(t) * (1.0 - 1e-10)))
    return WildBootstrap(
        float(t), at_least / len(drawn), len(drawn), enumerated, count, weights, null=null
    )


def _t(inverse: Floats, distance: float, scores: Floats, coefficient: int) -> float:
    """Without a small-sample factor: it would be the same in every draw."""
    projected = scores @ inverse[:, coefficient]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(distance / np.sqrt(projected @ projected))


def _drawn(count: int, draws: int, seed: int, weights: str) -> tuple[Floats, bool]:
    """What the errors of each cluster are multiplied with, (draws, G)."""
    random = np.random.default_rng(seed)
    if weights == "webb":
        return random.choice(_WEBB, size=(draws, count)), False
    if count < 62 and 1 << count <= draws:
        patterns = np.arange(1 << count)[:, None] >> np.arange(count)
        return 1.0 - 2.0 * (patterns & 1), True
    return random.choice([-1.0, 1.0], size=(draws, count)), False
