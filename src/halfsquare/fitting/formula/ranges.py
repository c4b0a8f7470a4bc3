"""How large a parameter can be: its unit says so.

In exp(-b*x), b is so many per unit of x; in x - b it lies where x lies. So every nonlinear
parameter has a range from the spread of the columns, which points of the unit cube fill.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.rows import ArrayRows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import symmetry
from halfsquare.models.formula.units import location_parameters, unit_exponents, unit_numbers


@dataclass(frozen=True)
class Ranges:
    """Where the parameters may lie: scales (p,), and for those that lie among a column's values,
    its ends (p, 2).
    """

    scale: Floats
    place: Floats  # NaN where the parameter is no place on a column
    positive: tuple[bool, ...]  # where the sign does not matter
    lower: Floats
    upper: Floats

    def distance(self, parameters: Floats, nonlinear: list[int]) -> float:
        """How far, in decades, the sizes are from the scales: of a frequency and its aliases the
        nearest is meant.
        """
        sizes = np.abs(parameters[nonlinear]) / self.scale[nonlinear]
        return float(np.sum(np.abs(np.log10(np.maximum(sizes, 1e-300)))))

    def points(self, unit: Floats, nonlinear: list[int]) -> Floats:
        """Parameters (m, p) from points of the unit cube (m, 2s); linear parameters are 0."""
        points = np.zeros((len(unit), len(self.scale)))
        for column, j in enumerate(nonlinear):
            u, mode = unit[:, 2 * column], unit[:, 2 * column + 1]
            sign = 1.0 if self.positive[j] else np.where(u < 0.5, -1.0, 1.0)
            v = 2.0 * u - 1.0 if self.positive[j] else 4.0 * np.abs(u - 0.5) - 1.0
            # Sizes over five decades, most of them near the scale itself.
            values = sign * self.scale[j] * 10.0 ** (-0.3 + 2.4 * v * np.sqrt(np.abs(v)))
            low, high = self.place[j]
            near = low + (high - low) * (1.2 * u - 0.1)
            values = np.where((mode < 0.75) & np.isfinite(near), near, values)
            lower, upper = self.lower[j], self.upper[j]
            if np.isfinite(lower) and np.isfinite(upper):
                by_factor = lower > 0 and upper > 100 * lower
                between = lower * (upper / lower) ** u if by_factor else lower + (upper - lower) * u
                values = np.where((values < lower) | (values > upper), between, values)
            elif np.isfinite(lower):
                values = np.where(values < lower, lower + np.abs(values - lower), values)
            elif np.isfinite(upper):
                values = np.where(values > upper, upper - np.abs(values - upper), values)
            points[:, j] = values
        return points


def ranges_of(formula: Formula, sample: ArrayRows, lower: Floats, upper: Floats) -> Ranges:
    """The ranges of the free parameters, from their units and the columns' spread."""
    exponents = unit_exponents(formula)  # (p, d + 1): columns, then target
    values = np.hstack([sample.design, sample.target])
    spread = np.ptp(values, axis=0)
    size = np.median(np.abs(values), axis=0)
    unit = np.where(spread > 0, spread, np.where(size > 0, size, 1.0))
    scale = np.exp(np.clip(exponents @ np.log(unit) + unit_numbers(formula), -600.0, 600.0))
    place = np.full((len(exponents), 2), np.nan)
    for name, column in location_parameters(formula).items():
        place[formula.names.index(name)] = values[:, column].min(), values[:, column].max()
    pure = np.abs(exponents).max(axis=1, initial=0.0) < 1e-6  # such as exponents
    place[pure] = np.outer(scale[pure], (-4.0, 4.0))
    flipped = {flip[0] for flip in symmetry(formula).flips}
    return Ranges(scale, place, tuple(j in flipped for j in range(len(scale))), lower, upper)
