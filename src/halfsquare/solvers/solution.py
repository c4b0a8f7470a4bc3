"""What every way of solving linear least squares comes to: coefficients, inverse, rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from halfsquare.loss import Floats
from halfsquare.solvers.normal_system import System

Path = Literal["cholesky", "qr", "minimum norm", "exact"]


@dataclass(frozen=True)
class Solution:
    """The minimiser, in the units of Z and T.

    Attributes
    ----------
    coefficients : (1 + d, k)
        The intercept first.
    inverse : (1 + d, 1 + d)
        (AᵀWA + penalty)⁻¹ with A = [1 | Z]; times the noise variance it is the covariance of a
        column of ``coefficients``. Generalized inverse where the rank is deficient.
    rank : int
        Of the centred design.
    dependent : tuple of int
        Columns of Z that others determine (constant ones included).
    effective_parameters : float
        1 + tr C(C + λI)⁻¹; 1 + rank without a penalty.
    reciprocal_condition : float
        Of C (+ λI), 1-norm estimate.
    l2 : float
        λ, per row on standardized columns.
    path : str
        ``"cholesky"``, ``"qr"``, ``"minimum norm"``, or ``"exact"`` from exact sums.
    """

    coefficients: Floats
    inverse: Floats
    rank: int
    dependent: tuple[int, ...]
    effective_parameters: float
    reciprocal_condition: float
    l2: float
    path: Path


def symmetric(upper: Floats) -> Floats:
    """The whole of a symmetric matrix of which the upper triangle counts."""
    return np.triu(upper) + np.triu(upper, 1).T


def solution_of(
    system: System,
    standard: Floats,
    inverse: Floats,
    rank: int,
    dependent: tuple[int, ...],
    reciprocal: float,
    l2: float,
    path: Path,
) -> Solution:
    """From standardized coefficients and (C + λI)⁻¹ to those of Z with its intercept."""
    slopes = standard / system.scales[:, None]
    intercept = system.target_means - system.means @ slopes
    scaled = inverse / np.outer(system.scales, system.scales) / system.weight
    whole = np.empty((len(scaled) + 1, len(scaled) + 1))
    whole[1:, 1:] = scaled
    whole[0, 1:] = whole[1:, 0] = -(scaled @ system.means)
    whole[0, 0] = 1.0 / system.weight + system.means @ scaled @ system.means
    edf = 1.0 + (rank if not l2 else float(np.einsum("ij,ji->", inverse, system.correlation)))
    return Solution(
        np.vstack([intercept, slopes]), whole, rank, dependent, edf, reciprocal, l2, path
    )
