"""Fits a formula: start or search, descend, and say what the data determine. In the user's own units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.descent.base import State
from halfsquare.descent.journal import NO_JOURNAL, Journal
from halfsquare.descent.loop import Limits, Watch
from halfsquare.descent.triangular import FormulaObjective
from halfsquare.descent.variable_projection import VariableProjection
from halfsquare.errors import FitError, NotFiniteError
from halfsquare.execution.base import Execution
from halfsquare.execution.local import Local
from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.models.formula_symmetry import canonical
from halfsquare.sums import Moments
from halfsquare.trainers.base import Trained
from halfsquare.trainers.formula_options import Bounds, Start, bound_vectors, fixed_values, start_vector
from halfsquare.trainers.formula_result import Ending
from halfsquare.trainers.formula_ways import MANY_ROWS, Ways

_ALL_THREADS, _NO_LIMITS = Local(), Limits()
# Up to this many numbers in the Jacobian every R factor comes from Householder's QR.
_QR_NUMBERS = 1 << 19
_TOLERANCE = 1e-10
_BATES_WATTS = 1e-3  # the offset they call converged


@dataclass(frozen=True)
class TargetRows(Rows):
    """Rows whose target is the left side of a formula: log(y) instead of y."""

    rows: Rows
    formula: Formula

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    @property
    def row_count(self) -> int:
        return self.rows.row_count

    def chunk_size(self, index: int) -> int:
        return self.rows.chunk_size(index)

    def chunk(self, index: int) -> Chunk:
        chunk = self.rows.chunk(index)
        return Chunk(chunk.design, self.formula.transform_target(chunk.target), chunk.weight)


def train_formula(
    rows: Rows,
    formula: Formula,
    *,
    start: Start | None = None,
    bounds: Bounds | None = None,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    execution: Execution = _ALL_THREADS,
    limits: Limits = _NO_LIMITS,
    watch: Watch | None = None,
    journal: Journal = NO_JOURNAL,
    profile: bool = False,
) -> Trained:
    """Fit a formula by least squares.

    Parameters
    ----------
    rows : Rows
        design (n, d) with the formula's columns in its order, target (n, 1) as in the data (before
        the left side's function), weights: an integer weight w means the row stands w times.
    formula : Formula
        What to fit.
    start : mapping of name to number, or numbers in the order of the free parameters, optional
        Where to begin; parameters left out of a mapping are searched for. Without it, all are.
    bounds : mapping of name to (low, high), optional
        None for no bound on that side.
    fixed : mapping of name to number, optional
        Parameters that are held.
    seed : int
        Of the search for a start.
    execution, limits, watch, journal
        Where sums are computed, when to stop, who is told of every state, and where states are kept.
    profile : bool
        Add profile-likelihood intervals to ``facts["profile"]``.

    Raises
    ------
    OptionError
        A start, bound or fixed value for no parameter, or a start outside its bounds.
    FitError
        Fewer rows than parameters, or the formula is finite nowhere.
    FormulaError
        The formula is not finite at the start; names row, column and operation.
    """
    full = formula
    formula = formula.with_fixed(fixed_values(formula, fixed))
    lower, upper = bound_vectors(formula, bounds)
    given = start_vector(formula, start, lower, upper)
    fitted = rows if formula.target_function == "identity" else TargetRows(rows, formula)
    sums = _check_rows(fitted, formula, execution)
    p, weight = len(formula.names), sums.weight
    if weight < p:
        raise FitError(f"{weight:g} rows for {p} parameters; a fit needs at least as many rows as parameters")
    objective = FormulaObjective(formula, fitted, execution, exact=rows.row_count * (p + 1) <= _QR_NUMBERS)
    linear = tuple(j for j in formula.linear if not np.isfinite([lower[j], upper[j]]).any())
    # Distance from the minimum in standard errors; these are themselves small where there are many rows.
    tolerance = min(_TOLERANCE * max(1.0, weight / 1000.0) ** 1.5, 1e-5)
    target_norm = sqrt(float(sums.m2[0] + weight * sums.mean[0] ** 2))
    unseen = _BATES_WATTS if rows.row_count > MANY_ROWS else 0.0
    method = VariableProjection(linear, lower, upper, tolerance, weight - p, target_norm, unseen)
    with np.errstate(all="ignore"):  # what is not finite is refused as a step, with no warning
        ways = Ways(objective, method, limits, watch, journal, seed, float(sums.m2[0]))
        end = ways.best(given)
        state = _relabelled(objective, method, end.state, given)
        ending = Ending(full, objective, method, rows, limits, weight)
        return ending.trained(state, end.history, end.warnings, profile)


def _relabelled(objective: FormulaObjective, method: VariableProjection, state: State, given: Floats) -> State:
    """Of the fits that are the same, the one labelled as the start is, or in ascending order."""
    like = given if np.isfinite(given).all() else None
    parameters = canonical(objective.formula, state.parameters, like)
    within = ((method.lower <= parameters) & (parameters <= method.upper)).all()
    if not within or np.array_equal(parameters, state.parameters):
        return state
    return replace(state, parameters=parameters, memory=None)


def _check_rows(rows: Rows, formula: Formula, execution: Execution) -> Moments:
    """Σw, mean and variation of the left side; it is finite in rows of positive weight."""

    def of(index: int) -> Moments:
        chunk = rows.chunk(index)
        target, weight = chunk.target, chunk.weight
        if weight is not None:
            target, weight = target[weight > 0], weight[weight > 0]
        if not np.isfinite(target.sum()) and not np.isfinite(target).all():
            _refuse_target(rows, index, formula)
        return Moments.of(target, weight)

    return execution.reduce(of, Moments.merge, rows.chunk_count, Moments.zero(1))


def _refuse_target(rows: Rows, index: int, formula: Formula) -> None:
    chunk, first = rows.chunk(index), sum(rows.chunk_size(i) for i in range(index))
    bad = ~np.isfinite(chunk.target[:, 0]) & (True if chunk.weight is None else chunk.weight > 0)
    row = int(np.argmax(bad))
    if not isinstance(rows, TargetRows):
        raise NotFiniteError(
            f"{formula.target} is {chunk.target[row, 0]} in row {first + row}; expected a finite number"
        )
    given = rows.rows.chunk(index).target[row, 0]
    left = f"{formula.target_function}({formula.target})"
    raise NotFiniteError(f"{left} is no finite number in row {first + row}, where {formula.target} is {given:g}")
