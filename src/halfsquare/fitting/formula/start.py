"""Where to start when nobody says: a global search over the nonlinear parameters.

Units say how large a parameter can be: in exp(-b*x), b is so many per unit of x; in x - b it lies
where x lies. So every nonlinear parameter is given a range from the spread of the columns, a Sobol
set fills these ranges, the linear parameters are solved for at each point, and descent from the
best points decides. Everything follows from the data and the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import symmetry
from halfsquare.models.formula.units import places, unit_exponents, unit_numbers
from halfsquare.parallel.threads import Local
from halfsquare.solvers.base import Reason, State
from halfsquare.solvers.loop import descend
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run, Seed, Stream
from halfsquare.solvers.variable_projection import ProjectedMemory, VariableProjection

_SAMPLE_ROWS = 500
_POINTS = 512  # for each nonlinear parameter, up to 4096 in all
_TRIED, _REFINED = 40, 6
_TURNS = 64  # parts sought anew at most
_LONG = 300  # steps of a descent from the best points
_FEW = 4  # parts of which two at once are sought anew
_AGAIN = 8  # descents to the same lowest minimum: others are no longer expected to be lower
_ROUNDS = ((3, 0.5), (9, 0.25), (20, 0.0))  # iterations, and the share that goes on after them
_AT_ONCE = 1 << 18  # rows times points whose formula is computed at once


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


def sample_rows(rows: Rows, most: int, run: Run) -> ArrayRows:
    """At most ``most`` rows, one at random from each of as many equal stretches of the table."""
    n = rows.row_count
    stretch = np.linspace(0, n, min(n, most) + 1)
    random = run.seed.generator(Stream.SAMPLE).random(len(stretch) - 1)
    at = np.floor(stretch[:-1] + random * np.diff(stretch)).astype(int)
    at = np.arange(n) if n <= most else np.unique(at)
    starts = np.cumsum([0, *(rows.chunk_size(i) for i in range(rows.chunk_count))])
    cuts = np.searchsorted(at, starts)

    def of(index: int) -> tuple[Floats, Floats, Floats]:
        here = at[cuts[index] : cuts[index + 1]] - starts[index]
        chunk = rows.chunk(index)
        if chunk.weight is not None:
            here = here[chunk.weight[here] > 0]
        weight = np.ones(len(here)) if chunk.weight is None else chunk.weight[here]
        return chunk.design[here], chunk.target[here], weight

    parts = zip(*run.execution.map(of, rows.chunk_count), strict=True)
    return ArrayRows(*(np.concatenate(part) for part in parts))


def ranges_of(formula: Formula, sample: ArrayRows, lower: Floats, upper: Floats) -> Ranges:
    """The ranges of the free parameters, from their units and the columns' spread."""
    exponents = unit_exponents(formula)  # (p, d + 1): columns, then target
    values = np.hstack([sample.design, sample.target])
    spread = np.ptp(values, axis=0)
    size = np.median(np.abs(values), axis=0)
    unit = np.where(spread > 0, spread, np.where(size > 0, size, 1.0))
    scale = np.exp(np.clip(exponents @ np.log(unit) + unit_numbers(formula), -600.0, 600.0))
    place = np.full((len(exponents), 2), np.nan)
    for name, column in places(formula).items():
        place[formula.names.index(name)] = values[:, column].min(), values[:, column].max()
    pure = np.abs(exponents).max(axis=1, initial=0.0) < 1e-6  # such as exponents
    place[pure] = np.outer(scale[pure], (-4.0, 4.0))
    flipped = {flip[0] for flip in symmetry(formula).flips}
    return Ranges(scale, place, tuple(j in flipped for j in range(len(scale))), lower, upper)


def search(
    formula: Formula, rows: Rows, solver: VariableProjection, run: Run
) -> list[State[ProjectedMemory]]:
    """The ends of the most promising descents on a sample of rows, the lowest loss first.

    Descend a little from the best points, and further from the best of those. Where the formula is
    a sum of parts with parameters of their own (peaks, decays), the best fit is then improved part
    by part: one part is sought anew while the others stay, until that helps no more.
    """
    sample = sample_rows(rows, max(_SAMPLE_ROWS, 40 * len(formula.names)), run)
    run = Run(Local(1), run.deadline, seed=run.seed)  # in memory; nobody is told, nothing is kept
    objective = FormulaObjective(formula, sample, run.execution)
    nonlinear = [j for j in range(len(formula.names)) if j not in solver.linear]
    cube = _sobol(2 * len(nonlinear), run.seed)
    ranges = ranges_of(formula, sample, solver.lower, solver.upper)
    points = ranges.points(cube, nonlinear)
    states = _tried(solver, objective, points, _TRIED, run)
    blocks = [[j for j in block if j in nonlinear] for block in symmetry(formula).blocks]
    blocks = [block for block in blocks if block]
    if states and len(blocks) > 1:
        states = _by_parts(solver, objective, points, blocks, states, run)
    ends = [_further(solver, objective, state, run, _LONG) for state in states[:_REFINED]]
    return _distinct(sorted(ends, key=lambda state: ranges.distance(state.parameters, nonlinear)))


def _by_parts(
    solver: VariableProjection,
    objective: FormulaObjective,
    points: Floats,
    blocks: list[list[int]],
    states: list[State[ProjectedMemory]],
    run: Run,
) -> list[State[ProjectedMemory]]:
    """``states`` with better ones found by seeking one block of nonlinear parameters at a time."""
    # One part alone, then two at once: a broad peak over two narrow ones is only left by moving
    # both.
    groups = [
        *blocks,
        *(first + second for first, second in combinations(blocks, 2) if 2 < len(blocks) <= _FEW),
    ]
    at, turns = 0, 0
    while at < len(groups) and turns < min(8 * len(blocks), _TURNS) and not run.late:
        best, group = states[0], groups[at]
        mixed = np.tile(best.parameters, (min(len(points), _POINTS * len(group) // 2), 1))
        mixed[:, group] = points[: len(mixed), group]
        states = _distinct([*states, *_tried(solver, objective, mixed, 6 * len(group), run)])
        at = 0 if states[0].loss < best.loss * (1.0 - 1e-3) else at + 1
        turns += 1
    return states


def _tried(
    solver: VariableProjection,
    objective: FormulaObjective,
    points: Floats,
    count: int,
    run: Run,
) -> list[State[ProjectedMemory]]:
    """Short descents from half as many of the best points as ``count``, and from others down the
    ranking.
    """
    losses = settled_losses(objective, points, solver.linear)
    order = [int(i) for i in np.argsort(losses, kind="stable") if np.isfinite(losses[i])]
    half = count // 2
    chosen = order[:half] + order[half :: max(1, len(order) // half)]
    states = [solver.begin(objective, solver.settle(objective, points[i])[0]) for i in chosen]
    for iterations, share in _ROUNDS:
        states = [_further(solver, objective, state, run, iterations) for state in states]
        states.sort(key=lambda state: state.loss)
        # Short descents rank their starts; only the better ones are worth long ones.
        kept = max(count // _REFINED, round(share * len(chosen)))
        going = [state for state in states[:kept] if np.isfinite(state.loss)]
        if share == 0.0 or _found_again(going) >= _AGAIN:
            break
        states = going
    return _distinct(states)


def _further(
    solver: VariableProjection,
    objective: FormulaObjective,
    state: State[ProjectedMemory],
    run: Run,
    iterations: int,
) -> State[ProjectedMemory]:
    """The descent taken up where its limit had ended it."""
    if state.stopped is not None and state.stopped.reason is not Reason.ITERATION_LIMIT:
        return state
    state = replace(state, stopped=None)
    return descend(solver, objective, state, run, iterations=iterations)[0]


def _found_again(states: list[State[ProjectedMemory]]) -> int:
    """How many of the descents ended at the lowest minimum there is among them."""
    best = min(states, key=lambda state: state.loss, default=None)
    if best is None or not best.converged:
        return 0
    return sum(state.loss <= best.loss * (1.0 + 1e-6) for state in states)


def settled_losses(objective: FormulaObjective, points: Floats, linear: tuple[int, ...]) -> Floats:
    """½SSE (m,) at each of ``points`` (m, p) with the best linear parameters; infinite where the
    formula is not finite.

    All points at once: a nonlinear parameter is one more column of the formula, which is then
    linear in what is left.
    """
    formula, chunk = objective.formula, objective.rows.chunk(0)
    nonlinear = [j for j in range(len(formula.names)) if j not in linear]
    program, held = formula.at_points(linear), [value for _, value in formula.fixed]
    n, q = len(chunk.target), len(linear)
    root = None if chunk.weight is None else np.sqrt(chunk.weight)
    losses = np.empty(len(points))
    step = max(1, _AT_ONCE // n)
    for first in range(0, len(points), step):
        some = points[first : first + step][:, nonlinear]
        design = np.hstack([np.tile(chunk.design, (len(some), 1)), np.repeat(some, n, axis=0)])
        block = np.empty((q + 1, len(design)))
        program.run(np.concatenate([np.zeros(q), held]), design, list(block))
        table = block.reshape(q + 1, len(some), n).transpose(1, 2, 0).copy()
        table[:, :, q] -= chunk.target[:, 0]
        if root is not None:
            table *= root[:, None]
        losses[first : first + step] = 0.5 * _left_over(table)
    return losses


def _left_over(tables: Floats) -> Floats:
    """The squared length (m,) that the others leave of the last column of each table
    (m, n, q+1).
    """
    q = tables.shape[2] - 1
    finite = np.isfinite(tables).all(axis=(1, 2))
    left = np.full(len(tables), np.inf)
    tables = tables[finite]
    with np.errstate(over="ignore", invalid="ignore"):
        last = tables[:, :, q].copy()
        if q and len(tables):
            norms = np.linalg.norm(tables[:, :, :q], axis=1)
            u, s, _ = np.linalg.svd(
                tables[:, :, :q] / np.where(norms > 0, norms, 1.0)[:, None, :], full_matrices=False
            )
            kept = s > 1e-11 * s[:, :1]
            within = np.einsum("mnq,mn->mq", u, last) * kept
            last -= np.einsum("mnq,mq->mn", u, within)
        squares = np.einsum("mn,mn->m", last, last)
    left[finite] = np.where(np.isfinite(squares), squares, np.inf)
    return left


def _distinct(states: list[State[ProjectedMemory]]) -> list[State[ProjectedMemory]]:
    """By loss; of those with the same loss the first that was given."""
    kept: list[State[ProjectedMemory]] = []
    for state in states:
        if np.isfinite(state.loss) and all(
            abs(state.loss - other.loss) > 1e-6 * other.loss for other in kept
        ):
            kept.append(state)
    return sorted(kept, key=lambda state: state.loss)


def _sobol(dimensions: int, seed: Seed) -> Any:
    from scipy.stats import qmc

    if dimensions == 0:
        return np.zeros((1, 0))
    count, random = min(4096, _POINTS * dimensions // 2), seed.generator(Stream.SEARCH)
    return qmc.Sobol(dimensions, scramble=True, rng=random).random_base2(
        int(np.ceil(np.log2(count)))
    )
