"""Fits a formula: start or search, descend, and say what the data determine. In the user's own units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.descent.base import State
from halfsquare.descent.loop import Limits, Record, Watch, descend
from halfsquare.descent.triangular import FormulaObjective
from halfsquare.descent.variable_projection import VariableProjection
from halfsquare.errors import FitError, FormulaError, NotFiniteError
from halfsquare.execution.local import Local
from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.models.formula_diagnosis import why_not_finite
from halfsquare.models.formula_symmetry import canonical
from halfsquare.sums import Moments
from halfsquare.trainers.base import Trained
from halfsquare.trainers.formula_options import Bounds, Start, bound_vectors, fixed_values, start_vector
from halfsquare.trainers.formula_result import Ending
from halfsquare.trainers.formula_start import search
from halfsquare.trainers.inference import determined

_ALL_THREADS, _NO_LIMITS = Local(), Limits()
# Up to this many numbers in the Jacobian every R factor comes from Householder's QR.
_QR_NUMBERS = 1 << 19


@dataclass(frozen=True)
class TargetRows(Rows):
    """Rows whose target is the left side of a formula: log(y) instead of y."""

    rows: Rows
    formula: Formula

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
    execution: Local = _ALL_THREADS,
    limits: Limits = _NO_LIMITS,
    watch: Watch | None = None,
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
    execution, limits, watch
        Where sums are computed, when to stop, and who is told of every state.
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
    method = VariableProjection(linear, lower, upper, degrees=weight - p)
    with np.errstate(all="ignore"):  # what is not finite is refused as a step, with no warning
        ways = _Ways(objective, method, limits, watch, seed, float(sums.m2[0]))
        state, history, warnings = ways.searched() if np.isnan(given).all() else ways.from_start(given)
        state = _relabelled(objective, method, state, given)
        inner = bool(((lower < state.parameters) & (state.parameters < upper)).all())
        return Ending(full, objective, rows, limits, weight, sums).trained(state, history, warnings, profile, inner)


@dataclass(frozen=True)
class _Ways:
    """The ways to a minimum: from a start, and from the search for one."""

    objective: FormulaObjective
    method: VariableProjection
    limits: Limits
    watch: Watch | None
    seed: int
    sst: float  # of the target about its mean

    def searched(self) -> tuple[State, list[Record], list[str]]:
        """The lowest of the descents from where the search ended."""
        formula = self.objective.formula
        found = search(formula, self.objective.rows, self.method, self.limits, self.seed)
        close = [state for state in found[:3] if state.loss <= 1.5 * found[0].loss]
        ends = [self._descend(self.method, state.parameters) for state in close]
        ends = [end for end in ends if end[0].iteration or end[0].converged]
        if not ends:
            why = why_not_finite(formula, self.objective.rows, np.ones(len(formula.names)))
            raise FormulaError(
                f"no parameters were found for which {formula.text!r} is finite in every row"
                + (f"; with every parameter 1, {why}" if why else "")
            )
        return (*min(ends, key=lambda end: end[0].loss), [])

    def from_start(self, given: Floats) -> tuple[State, list[Record], list[str]]:
        """The descent from the start; others only where that one ended badly, and then the lowest."""
        given = self._completed(given)
        self._check(given)
        end = self._descend(self.method, given)
        if self._good(end[0]):
            return (*end, [])
        others = [self._descend(replace(self.method, linear=()), given)] if self.method.linear else []
        if not any(self._good(other[0]) for other in others):
            others.append(self.searched()[:2])
        best = min([end, *others], key=lambda other: other[0].loss)
        if best[0].loss < 0.999 * end[0].loss and best is others[-1]:
            return (*best, ["the descent from the start given ended in a poor fit; a search found a better one"])
        return (*(best if best[0].loss < 0.999 * end[0].loss or not end[0].converged else end), [])

    def _descend(self, method: VariableProjection, parameters: Floats) -> tuple[State, list[Record]]:
        return descend(method, self.objective, parameters, limits=self.limits, watch=self.watch)

    def _good(self, state: State) -> bool:
        """At a minimum that explains most of the variation, with every parameter determined."""
        if not state.converged or 2.0 * state.loss > 0.1 * self.sst:
            return False
        triangle = self.objective.triangle(state.parameters, tuple(range(len(state.parameters))))
        return not determined(triangle, state.parameters, self.objective.formula.names).free

    def _completed(self, given: Floats) -> Floats:
        """The start, with what it leaves out searched for."""
        missing = np.isnan(given)
        if not missing.any():
            return given
        formula = self.objective.formula
        held = {name: float(v) for name, v in zip(formula.names, given, strict=True) if not np.isnan(v)}
        rest = formula.with_fixed(held)
        linear = tuple(rest.names.index(formula.names[j]) for j in self.method.linear if missing[j])
        method = replace(self.method, linear=linear, lower=self.method.lower[missing], upper=self.method.upper[missing])
        found = search(rest, self.objective.rows, method, self.limits, self.seed)
        completed = given.copy()
        completed[missing] = found[0].parameters if found else 1.0
        return completed

    def _check(self, start: Floats) -> None:
        formula = self.objective.formula
        values = ", ".join(f"{name} = {value:g}" for name, value in zip(formula.names, start, strict=True))
        why = why_not_finite(formula, self.objective.rows, start)
        if why is not None:
            raise FormulaError(f"the formula {formula.text!r} is not finite at the start {values}: {why}")
        if not np.isfinite(self.objective.half_sse(start)):
            raise FormulaError(f"the squared error overflows at the start {values}; start nearer to the data")


def _relabelled(objective: FormulaObjective, method: VariableProjection, state: State, given: Floats) -> State:
    """Of the fits that are the same, the one labelled as the start is, or in ascending order."""
    like = given if np.isfinite(given).all() else None
    parameters = canonical(objective.formula, state.parameters, like)
    within = ((method.lower <= parameters) & (parameters <= method.upper)).all()
    return replace(state, parameters=parameters) if within else state


def _check_rows(rows: Rows, formula: Formula, execution: Local) -> Moments:
    """Σw, mean and variation of the left side; it is finite in rows of positive weight."""

    def of(index: int) -> Moments:
        chunk = rows.chunk(index)
        used = slice(None) if chunk.weight is None else chunk.weight > 0
        if not np.isfinite(chunk.target[used]).all():
            _refuse_target(chunk, sum(rows.chunk_size(i) for i in range(index)), formula)
        return Moments.of(chunk.target[used], None if chunk.weight is None else chunk.weight[used])

    return execution.reduce(of, Moments.merge, rows.chunk_count, Moments.zero(1))


def _refuse_target(chunk: Chunk, first: int, formula: Formula) -> None:
    bad = ~np.isfinite(chunk.target[:, 0]) & (True if chunk.weight is None else chunk.weight > 0)
    row = int(np.argmax(bad))
    left = formula.target if formula.target_function == "identity" else f"{formula.target_function}({formula.target})"
    raise NotFiniteError(f"{left} is {chunk.target[row, 0]} in row {first + row}; expected a finite number")
