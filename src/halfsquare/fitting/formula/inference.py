"""What a least-squares fit says of its parameters: covariance, intervals, and what the data leave
open.

At the minimum, with [J | e] = Q R: σ² = SSE/(Σw - p), the covariance of the parameters is
σ² (R₁ᵀR₁)⁻¹ and that of an output gᵀ C g (Seber & Wild 1989, "Nonlinear Regression", eq. 5.6,
5.22).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.results.predictive import deviations

# Singular values of unit columns below this, relative to the largest: no digit of that direction is
# known.
_RANK = 1e-11


@dataclass(frozen=True)
class Determined:
    """What the R factor of [J | e] says.

    Attributes
    ----------
    half : (p, p)
        L with L Lᵀ = (JᵀWJ)⁻¹ over the directions that are determined; 0 along those that are not.
    sse : float
    free : list of dict of str to float
        For each direction along which the loss does not change: the relative move of the parameters
        in it.
    """

    half: Floats
    sse: float
    free: list[dict[str, float]]

    @property
    def undetermined(self) -> list[str]:
        """The parameters that some free direction moves."""
        return list(dict.fromkeys(name for direction in self.free for name in direction))


def determined(
    triangle: Floats,
    parameters: Floats,
    names: Sequence[str],
    held: npt.NDArray[np.bool_] | None = None,
) -> Determined:
    """Read the R factor (p+1, p+1) of [J | e] at the minimum, by the SVD of its unit columns.

    Parameters that are ``held`` (p,), on a bound, are taken for constants.
    """
    if held is not None and held.any():
        kept = np.flatnonzero(~held).tolist()
        within = determined(
            triangle[:, [*kept, len(held)]], parameters[kept], [names[j] for j in kept]
        )
        whole = np.zeros((len(held), len(held)))
        whole[np.ix_(kept, kept)] = within.half
        return Determined(whole, within.sse, within.free)
    r = triangle[:-1, :-1]
    norms = np.linalg.norm(r, axis=0)
    unit = np.where(norms > 0, norms, 1.0)
    _, s, vt = np.linalg.svd(r / unit, full_matrices=True)
    s = np.concatenate([s, np.zeros(len(vt) - len(s))])
    kept = s > _RANK * s.max(initial=0.0)
    half = np.zeros_like(vt)
    half[:, kept] = (vt[kept].T / s[kept]) / unit[:, None]
    free = [_direction(v / unit, parameters, names) for v in vt[~kept]]
    return Determined(half, float(triangle[:, -1] @ triangle[:, -1]), free)


def _direction(v: Floats, parameters: Floats, names: Sequence[str]) -> dict[str, float]:
    """The direction as moves relative to the parameters' values, the largest 1; small ones left
    out.
    """
    moves = v / np.where(parameters != 0, parameters, 1.0)
    moves = moves / moves[np.argmax(np.abs(moves))]
    return {name: float(move) for name, move in zip(names, moves, strict=True) if abs(move) > 1e-3}


def free_warning(direction: dict[str, float]) -> str:
    """The warning that names what is free."""
    if len(direction) == 1:
        return (
            f"parameter {next(iter(direction))} is not determined by the data: any value "
            "fits as well"
        )
    moves = ", ".join(f"{name} by {100 * move:+.3g} %" for name, move in direction.items())
    return (
        f"parameters {', '.join(direction)} are not determined by the data, only a "
        "combination of them is: "
        f"moved together ({moves}) they fit as well; fix one of them"
    )


def correlation(root: Floats) -> Floats:
    """The correlation matrix (p, p) of a covariance L Lᵀ; 0 beside a parameter without variance."""
    deviation = deviations(root)
    rows = root / np.where(deviation > 0, deviation, 1.0)[:, None]
    matrix = rows @ rows.T
    np.fill_diagonal(matrix, 1.0)
    return np.asarray(np.clip(matrix, -1.0, 1.0))
