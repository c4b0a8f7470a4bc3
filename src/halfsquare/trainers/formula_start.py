"""Where to start when nobody says: a global search over the nonlinear parameters.

Units say how large a parameter can be: in exp(-b*x), b is so many per unit of x; in x - b it lies
where x lies. So every nonlinear parameter is given a range from the spread of the columns, a Sobol
set fills these ranges, the linear parameters are solved for at each point, and descent from the best
points decides. Everything follows from the data and the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.descent.base import State
from halfsquare.descent.loop import Limits, descend
from halfsquare.descent.triangular import FormulaObjective
from halfsquare.descent.variable_projection import VariableProjection
from halfsquare.execution.local import Local
from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.models.formula_units import unit_exponents

_SAMPLE_ROWS = 500
_POINTS = 512  # for each nonlinear parameter, up to 4096 in all
_TRIED, _REFINED = 40, 6


@dataclass(frozen=True)
class Ranges:
    """Where the parameters may lie: scales (p,), and for those that lie among a column's values, its ends (p, 2)."""

    scale: Floats
    place: Floats  # NaN where the parameter is no place on a column
    lower: Floats
    upper: Floats

    def points(self, unit: Floats, nonlinear: list[int]) -> Floats:
        """Parameters (m, p) from points of the unit cube (m, 2s); linear parameters are 0."""
        points = np.zeros((len(unit), len(self.scale)))
        for column, j in enumerate(nonlinear):
            u, mode = unit[:, 2 * column], unit[:, 2 * column + 1]
            sign = np.where(u < 0.5, -1.0, 1.0)
            share = np.abs(2.0 * u - 1.0)  # of the way from the smallest size to the largest
            values = sign * self.scale[j] * 10.0 ** (4.5 * share - 2.25)
            low, high = self.place[j]
            near = low + (high - low) * (1.3 * u - 0.15)
            values = np.where((mode < 0.5) & np.isfinite(near), near, values)
            lower, upper = self.lower[j], self.upper[j]
            if np.isfinite(lower) and np.isfinite(upper):
                between = lower * (upper / lower) ** u if lower > 0 and upper > 100 * lower else lower + (upper - lower) * u
                values = np.where((values < lower) | (values > upper), between, values)
            elif np.isfinite(lower):
                values = np.where(values < lower, lower + np.abs(values - lower), values)
            elif np.isfinite(upper):
                values = np.where(values > upper, upper - np.abs(values - upper), values)
            points[:, j] = values
        return points


def sample_rows(rows: Rows, most: int, seed: int) -> ArrayRows:
    """At most ``most`` rows, one at random from each of as many equal stretches of the table."""
    n = rows.row_count
    stretch = np.linspace(0, n, min(n, most) + 1)
    at = np.floor(stretch[:-1] + np.random.default_rng(seed).random(len(stretch) - 1) * np.diff(stretch)).astype(int)
    at = np.arange(n) if n <= most else np.unique(at)
    designs, targets, weights, begin = [], [], [], 0
    for index in range(rows.chunk_count):
        size = rows.chunk_size(index)
        here = at[(at >= begin) & (at < begin + size)] - begin
        begin += size
        if len(here):
            chunk = rows.chunk(index)
            designs.append(chunk.design[here])
            targets.append(chunk.target[here])
            weights.append(np.ones(len(here)) if chunk.weight is None else chunk.weight[here])
    return ArrayRows(np.concatenate(designs), np.concatenate(targets), np.concatenate(weights))


def ranges_of(formula: Formula, sample: ArrayRows, lower: Floats, upper: Floats) -> Ranges:
    """The ranges of the free parameters, from their units and the columns' spread."""
    exponents = unit_exponents(formula)  # (p, d + 1): columns, then target
    values = np.hstack([sample.design, sample.target])
    spread = np.ptp(values, axis=0)
    size = np.median(np.abs(values), axis=0)
    unit = np.where(spread > 0, spread, np.where(size > 0, size, 1.0))
    scale = np.exp(np.clip(exponents @ np.log(unit), -300.0, 300.0))
    place = np.full((len(exponents), 2), np.nan)
    for j, row in enumerate(exponents):
        column = int(np.argmax(np.abs(row)))
        if abs(row[column] - 1.0) < 1e-6 and np.abs(np.delete(row, column)).max(initial=0.0) < 1e-6:
            place[j] = values[:, column].min(), values[:, column].max()
        elif np.abs(row).max(initial=0.0) < 1e-6:  # a pure number, such as an exponent
            place[j] = -4.0, 4.0
    return Ranges(scale, place, lower, upper)


def search(
    formula: Formula, rows: Rows, method: VariableProjection, limits: Limits, seed: int
) -> Iterator[State]:
    """The ends of the most promising descents on a sample of rows, the lowest loss first."""
    most = max(_SAMPLE_ROWS, 40 * len(formula.names))
    sample = sample_rows(rows, most, seed)
    objective = FormulaObjective(formula, sample, Local(1))
    nonlinear = [j for j in range(len(formula.names)) if j not in method.linear]
    points = ranges_of(formula, sample, method.lower, method.upper).points(_sobol(2 * len(nonlinear), seed), nonlinear)
    settled = [method.settle(objective, point) for point in points]
    losses = np.array([loss if np.isfinite(loss) else np.inf for _, loss in settled])
    order = [int(i) for i in np.argsort(losses, kind="stable") if np.isfinite(losses[i])]
    chosen = order[: _TRIED // 2] + order[_TRIED // 2 :: max(1, len(order) // (_TRIED // 2))]
    quick = Limits(15, limits.deadline)
    first = [descend(method, objective, settled[i][0], limits=quick)[0] for i in chosen]
    long = Limits(300, limits.deadline)
    best = [_resumed(method, objective, state, long) for state in _distinct(first)[:_REFINED]]
    yield from _distinct(best)


def _resumed(method: VariableProjection, objective: FormulaObjective, state: State, limits: Limits) -> State:
    if state.converged:
        return state
    return descend(method, objective, state.parameters, limits=limits)[0]


def _distinct(states: list[State]) -> list[State]:
    """By loss, without those that reached the same place, known by the same loss."""
    kept: list[State] = []
    for state in sorted((s for s in states if np.isfinite(s.loss)), key=lambda s: s.loss):
        if not kept or state.loss > kept[-1].loss * (1.0 + 1e-6):
            kept.append(state)
    return kept


def _sobol(dimensions: int, seed: int) -> Any:
    from scipy.stats import qmc

    if dimensions == 0:
        return np.zeros((1, 0))
    count = min(4096, _POINTS * dimensions // 2)
    return qmc.Sobol(dimensions, scramble=True, rng=seed).random_base2(int(np.ceil(np.log2(count))))
