"""Where to start when nobody says: a global search over the nonlinear parameters.

Units say how large a parameter can be, and a periodogram which frequencies there are
(:mod:`~halfsquare.fitting.formula.ranges`, :mod:`~halfsquare.fitting.formula.periodogram`). Points
fill these ranges evenly, the linear parameters are solved for at each, and descent from the best
points decides. Everything follows from the data and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.formula.many_points import ManyPoints
from halfsquare.fitting.formula.periodogram import frequencies, periodic_parameters
from halfsquare.fitting.formula.ranges import Ranges, ranges_of
from halfsquare.fitting.formula.sample import sample_rows, unit_points
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import symmetry
from halfsquare.solvers.run import Run, Seed, Stream
from halfsquare.solvers.variable_projection import VariableProjection

_SAMPLE_ROWS = 500
_POINTS = 512  # for each nonlinear parameter, up to 4096 in all
_TRIED, _REFINED = 40, 6
_TURNS = 64  # parts sought anew at most
_LONG = 300  # steps of a descent from the best points
_FEW = 4  # parts of which two at once are sought anew
_AGAIN = 8  # descents to the same lowest minimum: others are no longer expected to be lower
_ROUNDS = ((3, 0.5), (9, 0.25), (20, 0.0))  # iterations, and the share that goes on after them
_EVEN = 1.5  # largest over smallest gap
_PERIODIC = 0.5  # of the points take their frequencies from the periodogram


@dataclass(frozen=True)
class Ends:
    """Where descents ended: points (m, p) and ½SSE (m,), the lowest first."""

    points: Floats
    losses: Floats

    @classmethod
    def of(cls, points: Floats, losses: Floats) -> Ends:
        """By loss; of those with the same loss the first that was given."""
        kept: list[int] = []
        for i in np.argsort(losses, kind="stable").tolist():
            known = losses[kept]
            if np.isfinite(losses[i]) and (np.abs(losses[i] - known) > 1e-6 * known).all():
                kept.append(i)
        return cls(points[kept], losses[kept])

    def joined(self, other: Ends) -> Ends:
        """All of both."""
        return Ends.of(
            np.concatenate([self.points, other.points]), np.concatenate([self.losses, other.losses])
        )


def search(formula: Formula, rows: Rows, solver: VariableProjection, run: Run) -> Ends:
    """The ends of the most promising descents on a sample of rows, the lowest loss first.

    Descend a little from the best points, and further from the best of those. Where the formula is
    a sum of parts with parameters of their own (peaks, decays), the best fit is then improved part
    by part: one part is sought anew while the others stay, until that helps no more.
    """
    sample = sample_rows(rows, max(_SAMPLE_ROWS, 40 * len(formula.names)), run)
    many = ManyPoints(formula, sample, solver.linear, solver.lower, solver.upper)
    ranges = ranges_of(formula, sample, solver.lower, solver.upper)
    points = _points(many, ranges, rows.row_count, run.seed)
    ends = _tried(many, points, _TRIED)
    blocks = [[j for j in block if j in many.nonlinear] for block in symmetry(formula).blocks]
    blocks = [block for block in blocks if block]
    if len(ends.losses) and len(blocks) > 1:
        ends = _by_parts(many, points, blocks, ends, run)
    points, losses = many.descended(ends.points[:_REFINED], _LONG)
    near = np.argsort([ranges.distance(point, many.nonlinear) for point in points], kind="stable")
    return Ends.of(points[near], losses[near])


def _points(many: ManyPoints, ranges: Ranges, rows: int, seed: Seed) -> Floats:
    """Points (m, p) that fill the ranges; some of them with frequencies that the data have."""
    count, dimensions = len(many.nonlinear), 2 * len(many.nonlinear)
    number = min(4096, 1 << (_POINTS * count - 1).bit_length()) if count else 1
    random = seed.generator(Stream.SEARCH)
    points = ranges.points(unit_points(number, dimensions, random), many.nonlinear)
    periodic = periodic_parameters(many.formula)
    some = slice(0, int(_PERIODIC * number))
    for one in periodic:
        found = _periods(many.rows, one.column, rows, len(periodic))
        if len(found):
            values = one.values(found)
            inside = (many.lower[one.parameter] <= values) & (values <= many.upper[one.parameter])
            if inside.any():
                drawn = random.choice(values[inside], len(points[some]))
                points[some, one.parameter] = drawn
    return points


def _periods(sample: ArrayRows, column: int, rows: int, count: int) -> Floats:
    x = sample.design[:, column]
    gaps = np.diff(np.unique(x))
    # Half a turn between rows that are evenly spaced; others tell faster ones from slower ones too.
    even = rows > len(x) or not len(gaps) or gaps.max() < _EVEN * gaps.min()
    return frequencies(x, sample, (0.5 if even else 2.0) * rows, count + 2)


def _by_parts(
    many: ManyPoints, points: Floats, blocks: list[list[int]], ends: Ends, run: Run
) -> Ends:
    """``ends`` with better ones found by seeking one block of nonlinear parameters at a time."""
    # One part alone, then two at once: a broad peak over two narrow ones is only left by moving
    # both.
    groups = [
        *blocks,
        *(first + second for first, second in combinations(blocks, 2) if 2 < len(blocks) <= _FEW),
    ]
    at, turns = 0, 0
    while at < len(groups) and turns < min(8 * len(blocks), _TURNS) and not run.late:
        best, group = ends.losses[0], groups[at]
        mixed = np.tile(ends.points[0], (min(len(points), _POINTS * len(group)), 1))
        mixed[:, group] = points[: len(mixed), group]
        ends = ends.joined(_tried(many, mixed, 6 * len(group)))
        at = 0 if ends.losses[0] < best * (1.0 - 1e-3) else at + 1
        turns += 1
    return ends


def _tried(many: ManyPoints, points: Floats, count: int) -> Ends:
    """Short descents from half as many of the best points as ``count``, and from others down the
    ranking.
    """
    losses = many.losses(points)
    order = [int(i) for i in np.argsort(losses, kind="stable") if np.isfinite(losses[i])]
    half = count // 2
    chosen = order[:half] + order[half :: max(1, len(order) // half)]
    ends, losses = points[chosen], losses[chosen]
    for iterations, share in _ROUNDS:
        ends, losses = many.descended(ends, iterations)
        # Short descents rank their starts; only the better ones are worth long ones.
        kept = max(count // _REFINED, round(share * len(chosen)))
        best = np.argsort(losses, kind="stable")
        if share == 0.0 or _found_again(losses[best[:kept]]) >= _AGAIN:
            break
        ends, losses = ends[best[:kept]], losses[best[:kept]]
    return Ends.of(ends, losses)


def _found_again(losses: Floats) -> int:
    """How many of the descents ended at the lowest minimum there is among them."""
    finite = losses[np.isfinite(losses)]
    return int(np.count_nonzero(finite <= finite.min(initial=np.inf) * (1.0 + 1e-6)))
