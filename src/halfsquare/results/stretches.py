"""How much wider an interval is where a column has no rows: between its values, and beyond them.

A model is not contradicted where there are no rows, so that neither its noise nor what is known of
its parameters says how wrong it may be there. What it does where a stretch of rows is left out
does: its squared error grows with the distance to the nearest value, as the square of an increment
of a random walk does. To the variance of the output are added

    Σ_c r_c d_c(x)

d_c the distance of column c to the nearest value that the rows have, in the design's unit, and r_c
learnt by :mod:`halfsquare.fitting.stretches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfsquare.loss import Floats


@dataclass(frozen=True)
class Stretches:
    """Where one column has no rows, and what that costs.

    Attributes
    ----------
    column : int
        Of the design.
    low, high : float
        The least and the greatest value.
    starts, ends : (s,)
        Of each empty stretch between them, rising.
    rates : (k,)
        r_c for each target, in the design's units.
    """

    column: int
    low: float
    high: float
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        edges = np.array([self.low, *np.ravel([*zip(self.starts, self.ends, strict=True)])])
        edges = np.append(edges, self.high)
        if not np.isfinite(edges).all() or np.any(np.diff(edges) < 0):
            raise ValueError("stretches that do not rise")
        if not np.isfinite(self.rates).all() or min(self.rates, default=0.0) < 0:
            raise ValueError("stretches of negative variance")

    def distance(self, values: Floats) -> Floats:
        """From each of the values (m,) to the nearest that is no stretch."""
        found = np.maximum(np.maximum(self.low - values, values - self.high), 0.0)
        if self.starts:
            starts, ends = np.array(self.starts), np.array(self.ends)
            at = np.maximum(np.searchsorted(starts, values, side="right") - 1, 0)
            inside = np.minimum(values - starts[at], ends[at] - values)
            found = np.maximum(found, inside)
        return np.asarray(found)


def variance_of_stretches(stretches: Sequence[Stretches], design: Floats, targets: int) -> Floats:
    """What is added to the variance (m, k) of the outputs of encoded rows (m, d)."""
    found = np.zeros((len(design), targets))
    for one in stretches:
        found += one.distance(design[:, one.column])[:, None] * np.array(one.rates)
    return found


def require_stretches(found: Sequence[Stretches], columns: int, targets: int) -> None:
    """Refuse stretches that are not of a model with so many design columns and targets.

    Raises
    ------
    ValueError
    """
    for one in found:
        if not 0 <= one.column < columns or len(one.rates) != targets:
            raise ValueError(f"stretches of column {one.column} of {columns}, {targets} targets")
