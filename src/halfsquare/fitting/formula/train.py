"""Fits a formula: start or search, descend, and say what the data determine. In the user's own
units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.errors import FitError, FormulaError
from halfsquare.fitting.formula.checked_rows import check_rows
from halfsquare.fitting.formula.find_origin import find_origin
from halfsquare.fitting.formula.inexact import InexactObjective
from halfsquare.fitting.formula.inexact_rows import InexactRows
from halfsquare.fitting.formula.origin import Origin, OriginRows
from halfsquare.fitting.formula.result import Ending
from halfsquare.fitting.formula.sample import sample_rows
from halfsquare.fitting.formula.search import MANY_ROWS, End, Minimizer
from halfsquare.fitting.formula.settings import (
    Bounds,
    Start,
    bound_vectors,
    fixed_values,
    start_vector,
)
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import canonical
from halfsquare.models.rows import TargetRows
from halfsquare.moments import Moments
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.trained import FormulaFacts, Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.loop import descend
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import ProjectedMemory, VariableProjection

# Up to this many numbers in the Jacobian every R factor comes from Householder's QR.
_QR_NUMBERS = 1 << 19

_TOLERANCE = 1e-10

_ORIGIN_ROWS = 200

_BATES_WATTS = 1e-3  # the offset they call converged


def train_formula(
    rows: Rows,
    formula: Formula,
    run: Run | None = None,
    *,
    start: Start | None = None,
    bounds: Bounds | None = None,
    fixed: Mapping[str, float] | None = None,
    profile: bool = False,
    inexact: InexactRows | None = None,
) -> Trained[FormulaFacts]:
    """Fit a formula by least squares.

    Parameters
    ----------
    rows : Rows
        design (n, d) with the formula's columns in its order, target (n, 1) as in the data (before
        the left side's function), weights: an integer weight w means the row stands w times.
    formula : Formula
        What to fit.
    run : Run, optional
        Its seed is that of the search for a start.
    start : mapping of name to number, or numbers in the order of the free parameters, optional
        Where to begin; parameters left out of a mapping are searched for. Without it, all are.
    bounds : mapping of name to (low, high), optional
        None for no bound on that side.
    fixed : mapping of name to number, optional
        Parameters that are held.
    profile : bool
        Add profile-likelihood intervals, to ``facts.profile``.
    inexact : InexactRows, optional
        These rows with the variances of columns that have errors: the fit begins where that
        without such errors ended.

    Raises
    ------
    OptionError
        A start, bound or fixed value for no parameter, or a start outside its bounds.
    FitError
        Fewer rows than parameters, or the formula is finite nowhere.
    FormulaError
        The formula is not finite at the start; names row, column and operation.
    """
    run, full = run or Run(), formula
    formula = formula.with_fixed(fixed_values(formula, fixed))
    for name in formula.parsed.deciding:
        if name in formula.names:
            raise FormulaError(
                f"the parameter {name!r} of {formula.text!r} only decides where a condition holds: "
                "the outputs do not change with it but in jumps, so that no descent finds it. Fix "
                f"it to a number, or let the outputs feel it, such as max(0, x - {name})"
            )
    if formula.grouped and not formula.levels:
        raise FormulaError(
            f"the levels of {formula.text!r} are not known: give them by with_levels"
        )
    lower, upper = bound_vectors(formula, bounds)
    given = start_vector(formula, start, lower, upper)
    fitted = rows if formula.target_function == "identity" else TargetRows(rows, formula)
    sums = check_rows(fitted, formula, run.execution)
    p, weight = len(formula.names), sums.weight
    shift, origin = None, None
    if not profile and not formula.levels and inexact is None:
        sample = sample_rows(fitted, _ORIGIN_ROWS, run).design
        origin = _origin(formula, sums, lower, upper, given, sample)
    if origin is not None:
        shift = np.append(origin.columns, origin.target)
        fitted = OriginRows(fitted, origin.columns, origin.target)
        given = origin.shifted(given) if np.isfinite(given).all() else given
        sums = replace(sums, mean=sums.mean - shift)
    if weight < p:
        raise FitError(
            f"{weight:g} rows for {p} parameters; a fit needs at least as many rows as parameters"
        )
    objective = FormulaObjective(
        formula, fitted, run.execution, exact=rows.row_count * (p + 1) <= _QR_NUMBERS
    )
    linear = tuple(j for j in formula.linear if not np.isfinite([lower[j], upper[j]]).any())
    # Distance from the minimum in standard errors; these are themselves small where there are many
    # rows.
    tolerance = min(_TOLERANCE * max(1.0, weight / 1000.0) ** 1.5, 1e-5)
    target_norm = sqrt(float(sums.m2[-1] + weight * sums.mean[-1] ** 2))
    sst = float(sums.m2[-1])
    unseen = _BATES_WATTS if rows.row_count > MANY_ROWS else 0.0
    solver = VariableProjection(linear, lower, upper, tolerance, weight - p, target_norm, unseen)
    # What is not finite is refused as a step, with no warning.
    with one_blas_thread(), np.errstate(all="ignore"):
        end = Minimizer(objective, solver, run, sst).best(given)
        if inexact is not None:
            objective, solver, end = _with_errors_in_x(objective, solver, end, inexact, run)
        state = _relabelled(objective, solver, end.state, given)
        ending = Ending(full, objective, solver, rows, run, weight, sst, shift)
        trained = ending.trained(state, end.history, end.warnings, profile)
        if origin is None:
            return trained
        inner = fitted.rows if isinstance(fitted, OriginRows) else fitted
        return origin.restore(trained, inner, trained.facts.sse)


def _with_errors_in_x(
    objective: FormulaObjective,
    solver: VariableProjection,
    end: End,
    inexact: InexactRows,
    run: Run,
) -> tuple[FormulaObjective, VariableProjection, End]:
    """The descent on from where the columns were taken for exact."""
    formula = objective.formula
    rows = replace(inexact, rows=objective.rows)
    columns = tuple(formula.columns.index(name) for name in inexact.columns)
    orthogonal = InexactObjective(formula, rows, run.execution, columns=columns)
    solver = replace(solver, linear=(), unseen=0.0)
    found = descend(solver, orthogonal, end.state.parameters, run.at("errors in x"))
    return orthogonal, solver, End(*found, end.warnings)


def _origin(
    formula: Formula, sums: Moments, lower: Floats, upper: Floats, given: Floats, sample: Floats
) -> Origin | None:
    """Where the columns and the target are to be counted from, if they lie far from 0.

    Nothing is moved under a start that names some of the parameters, or under bounds.
    """
    if np.isnan(given).any() and not np.isnan(given).all():
        return None
    held = np.isfinite(lower) | np.isfinite(upper)
    bounded = [formula.names[j] for j in np.flatnonzero(held)]
    return find_origin(formula, sums.mean, sums.scale, bounded, sample)


def _relabelled(
    objective: FormulaObjective,
    solver: VariableProjection,
    state: State[ProjectedMemory],
    given: Floats,
) -> State[ProjectedMemory]:
    """Of the fits that are the same, the one labelled as the start is, or in ascending order."""
    like = given if np.isfinite(given).all() else None
    parameters = canonical(objective.formula, state.parameters, like)
    within = ((solver.lower <= parameters) & (parameters <= solver.upper)).all()
    if not within or np.array_equal(parameters, state.parameters):
        return state
    order = tuple(range(len(parameters)))
    triangle = objective.triangle(parameters, order)
    memory = replace(state.memory, triangle=triangle, order=order)
    return replace(state, parameters=parameters, memory=memory)
