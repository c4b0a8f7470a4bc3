"""Combining outputs by least squares, with weights ≥ 0 that sum to 1, from sums alone.

The errors of a combination are the combination of the errors, since the weights sum to 1. So its
mean square is wᵀ C w with C the mean products of the errors, and the best weights solve

    min wᵀ C w   subject to  w ≥ 0,  Σ w = 1

Breiman (1996), "Stacked regressions"; the active set moves as in Lawson & Hanson (1974), "Solving
least squares problems", chapter 23.
"""

from __future__ import annotations

import numpy as np

from halfsquare.loss import Floats

_TOLERANCE = 1e-10


def combination_weights(products: Floats) -> Floats:
    """The weights (q,) for mean products of errors C (q, q), symmetric.

    Examples
    --------
    >>> combination_weights(np.array([[1.0, 0.0], [0.0, 3.0]])).round(6).tolist()
    [0.75, 0.25]
    >>> combination_weights(np.array([[1.0, 1.0], [1.0, 3.0]])).round(6).tolist()
    [1.0, 0.0]
    """
    q = len(products)
    weights: Floats = np.zeros(q)
    weights[int(np.argmin(np.diag(products)))] = 1.0
    scale = float(np.abs(products).max())
    for _ in range(10 * q):
        slope = products @ weights
        gain = float(weights @ slope) - slope
        gain[weights > 0] = -np.inf
        entering = int(np.argmax(gain))
        if not gain[entering] > _TOLERANCE * scale:
            break
        before = float(weights @ slope)
        moved = _settled(products, weights, entering)
        if not float(moved @ products @ moved) < before:
            break
        weights = moved
    return weights


def _settled(products: Floats, weights: Floats, entering: int) -> Floats:
    """The best weights of those in use and the one entering; what would fall below 0 leaves."""
    used = weights > 0
    used[entering] = True
    weights = weights.copy()
    while True:
        at = np.flatnonzero(used)
        aim = np.zeros_like(weights)
        aim[at] = _equality(products[np.ix_(at, at)])
        if (aim[at] > 0).all():
            return aim
        # As far towards the aim as all stay ≥ 0; one that reaches 0 leaves.
        falling = at[aim[at] <= 0]
        steps = weights[falling] / np.maximum(weights[falling] - aim[falling], 1e-300)
        share = float(steps.min())
        weights = weights + share * (aim - weights)
        gone = falling[steps <= share]
        weights[gone], used[gone] = 0.0, False
        if used.sum() == 1:
            return np.where(used, 1.0, 0.0)


def _equality(products: Floats) -> Floats:
    """The best weights that sum to 1, whatever their sign."""
    q = len(products)
    system = np.block([[products, np.ones((q, 1))], [np.ones((1, q)), np.zeros((1, 1))]])
    right = np.append(np.zeros(q), 1.0)
    solution: Floats = np.linalg.lstsq(system, right, rcond=None)[0][:q]
    return solution
