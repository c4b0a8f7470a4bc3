"""Where to start where parameters have a value for each level of a column.

The formula in which all levels share theirs is searched first. From there on each level is sought
by itself, on its own rows, with what all share held: two starts, of which the joint descent
decides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.formula.many_points import ManyPoints
from halfsquare.fitting.formula.ranges import ranges_of
from halfsquare.fitting.formula.sample import sample_rows, unit_points
from halfsquare.fitting.formula.start import Ends, search
from halfsquare.loss import Floats
from halfsquare.models.formula.levels import Pooled
from halfsquare.models.formula.model import Formula
from halfsquare.solvers.run import Run, Stream
from halfsquare.solvers.variable_projection import VariableProjection

_ROWS = 40  # for each parameter, of a sample
_POINTS, _BEST, _STEPS = 128, 8, 40  # tried for each level, descended from, and how far


def find_start(formula: Formula, rows: Rows, solver: VariableProjection, run: Run) -> Ends:
    """Where a search for the parameters ended, the lowest loss first."""
    if not formula.levels:
        return search(formula, rows, solver, run)
    pooled = Pooled(formula)
    lower, upper = pooled.bounds(solver.lower, solver.upper)
    bounded = np.isfinite(lower) | np.isfinite(upper)
    linear = tuple(j for j in pooled.formula.linear if not bounded[j])
    shared = search(
        pooled.formula, rows, replace(solver, linear=linear, lower=lower, upper=upper), run
    )
    points = [pooled.spread(point) for point in shared.points]
    if not points:
        return Ends(np.empty((0, len(formula.names))), np.empty(0))
    linear_alone = {formula.names[j] for j in solver.linear}
    own = [m for m, c in zip(pooled.members, pooled.columns, strict=True) if c is not None]
    if all(formula.names[j] in linear_alone for members in own for j in members):
        return Ends(np.array(points[:1]), shared.losses[:1])  # the descent solves for them
    sample = sample_rows(rows, max(2000, _ROWS * len(formula.names)), run)
    by_level = _by_level(pooled, sample, shared.points[0], lower, upper, run)
    # The losses of the pooled fit stand for both: the joint descents are what decides.
    return Ends(np.array([by_level, points[0]]), shared.losses[[0, 0]])


def _by_level(
    pooled: Pooled, sample: ArrayRows, shared: Floats, lower: Floats, upper: Floats, run: Run
) -> Floats:
    """The parameters (p,) with those of each level at their best while the others stay shared."""
    found = pooled.spread(shared)
    for column, levels in pooled.whole.levels:
        own = [j for j, c in enumerate(pooled.columns) if c == column]
        held = {n: v for j, (n, v) in enumerate(_named(pooled, shared)) if j not in own}
        codes = sample.design[:, pooled.whole.columns.index(column)]
        for code in range(len(levels)):
            here = codes == code
            if run.late or not own or np.count_nonzero(here) < len(own):
                continue
            weight = None if sample.weight is None else sample.weight[here]
            rows = ArrayRows(sample.design[here], sample.target[here], weight)
            best = _of_one(
                pooled.formula.with_fixed(held), rows, shared[own], lower[own], upper[own]
            )
            for j, value in zip(own, best, strict=True):
                at = _position(pooled, j, levels[code])
                if at is not None:
                    found[at] = value
    return found


def _named(pooled: Pooled, values: Floats) -> list[tuple[str, float]]:
    return [(n, float(v)) for n, v in zip(pooled.formula.names, values, strict=True)]


def _position(pooled: Pooled, j: int, level: str) -> int | None:
    """Where the whole formula has the parameter ``j`` of the pooled one for a level, if free."""
    name = f"{pooled.formula.names[j].partition('[')[0]}[{level}]"
    return pooled.whole.names.index(name) if name in pooled.whole.names else None


def _of_one(
    formula: Formula, rows: ArrayRows, shared: Floats, lower: Floats, upper: Floats
) -> Floats:
    """The best parameters (s,) on the rows of one level, or those shared."""
    bounded = np.isfinite(lower) | np.isfinite(upper)
    linear = tuple(j for j in formula.linear if not bounded[j])
    many = ManyPoints(formula, rows, linear, lower, upper)
    points = shared[None, :]
    if many.nonlinear:
        random = np.random.default_rng(Stream.SEARCH)
        unit = unit_points(_POINTS, 2 * len(many.nonlinear), random)
        ranges = ranges_of(formula, rows, lower, upper)
        points = np.vstack([points, ranges.points(unit, many.nonlinear)])
        losses = many.losses(points)
        points = points[np.unique([0, *np.argsort(losses, kind="stable")[:_BEST]])]
    ends, losses = many.descended(points, _STEPS)
    best = int(np.argmin(losses))
    return ends[best] if np.isfinite(losses[best]) else shared
