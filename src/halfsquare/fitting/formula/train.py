"""Fits a formula: start or search, descend, and say what the data determine. In the user's own
units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import final

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows, Part, plain_rows
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.rows import Rows
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.errors import DataError, FitError, FormulaError, NotFiniteError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.formula.edges import near_columns
from halfsquare.fitting.formula.origin import Origin, OriginRows, find_origin
from halfsquare.fitting.formula.result import Ending
from halfsquare.fitting.formula.search import MANY_ROWS, Minimizer
from halfsquare.fitting.formula.start import sample_rows
from halfsquare.fitting.options import Request
from halfsquare.fitting.robust import robust_formula, with_beside
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import canonical
from halfsquare.models.rows import TargetRows
from halfsquare.models.terms.expand import only_columns
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.record import Training
from halfsquare.results.trained import FormulaFacts, Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import ProjectedMemory, VariableProjection
from halfsquare.sums import Moments

Bounds = Mapping[str, tuple[float | None, float | None]]
Start = Mapping[str, float] | Sequence[float]


def _named(formula: Formula, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in formula.names:
            raise OptionError(
                f"{what} for {name!r}, which is no parameter of {formula.text!r}; "
                f"the parameters are {', '.join(formula.names)}"
            )


def fixed_values(formula: Formula, fixed: Mapping[str, float] | None) -> dict[str, float]:
    """The values of the parameters that are held; refused if one is unknown or not finite, or none
    is left free.
    """
    fixed = fixed or {}
    _named(formula, list(fixed), "a fixed value")
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise OptionError(f"the fixed value of {name!r} is {value}; expected a finite number")
    if len(fixed) == len(formula.names):
        raise OptionError("every parameter is fixed: there is nothing to fit")
    return {name: float(value) for name, value in fixed.items()}


def bound_vectors(formula: Formula, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Lower and upper bounds (p,) each, infinite where there is none; refused if one is unknown or
    out of order.
    """
    bounds = bounds or {}
    _named(formula, list(bounds), "a bound")
    lower, upper = np.full(len(formula.names), -np.inf), np.full(len(formula.names), np.inf)
    for name, (low, high) in bounds.items():
        j = formula.names.index(name)
        lower[j] = -np.inf if low is None else low
        upper[j] = np.inf if high is None else high
        if not lower[j] < upper[j]:
            raise OptionError(
                f"the bounds of {name!r} are {low} and {high}; expected low < high (to hold "
                "it, fix it)"
            )
    return lower, upper


def start_vector(formula: Formula, start: Start | None, lower: Floats, upper: Floats) -> Floats:
    """The start (p,), NaN where none is given."""
    names = formula.names
    if start is None:
        return np.full(len(names), np.nan)
    if not isinstance(start, Mapping):
        if len(start) != len(names):
            raise OptionError(
                f"{len(start)} starting values for {len(names)} parameters; expected "
                f"{', '.join(names)}"
            )
        start = dict(zip(names, start, strict=True))
    _named(formula, list(start), "a start")
    given = np.full(len(names), np.nan)
    for name, value in start.items():
        j = names.index(name)
        if not np.isfinite(value):
            raise OptionError(f"the start of {name!r} is {value}; expected a finite number")
        if not lower[j] <= value <= upper[j]:
            raise OptionError(
                f"the start {value:g} of {name!r} lies outside its bounds {lower[j]:g} to "
                f"{upper[j]:g}"
            )
        given[j] = value
    return given


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
    lower, upper = bound_vectors(formula, bounds)
    given = start_vector(formula, start, lower, upper)
    fitted = rows if formula.target_function == "identity" else TargetRows(rows, formula)
    sums = _check_rows(fitted, formula, run.execution)
    p, weight = len(formula.names), sums.weight
    shift, origin = None, None
    if not profile:
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
        state = _relabelled(objective, solver, end.state, given)
        ending = Ending(full, objective, solver, rows, run, weight, sst, shift)
        trained = ending.trained(state, end.history, end.warnings, profile)
        if origin is None:
            return trained
        inner = fitted.rows if isinstance(fitted, OriginRows) else fitted
        return origin.restore(trained, inner, trained.facts.sse)


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


def _check_rows(rows: Rows, formula: Formula, execution: Execution) -> Moments:
    """Σw, mean and variation of the columns and, last, of the left side, which is finite in rows
    of positive weight.
    """

    def of(index: int) -> Moments:
        chunk = rows.chunk(index)
        target, weight = chunk.target, chunk.weight
        if weight is not None:
            target = target[weight > 0]
        if not np.isfinite(target.sum()) and not np.isfinite(target).all():
            _refuse_target(rows, index, formula)
        return Moments.of(np.hstack([chunk.design, chunk.target]), weight)

    none = Moments.zero(len(formula.columns) + 1)
    return execution.reduce(of, Moments.merge, rows.chunk_count, none)


def _refuse_target(rows: Rows, index: int, formula: Formula) -> None:
    chunk, first = rows.chunk(index), 1 + sum(rows.chunk_size(i) for i in range(index))
    bad = ~np.isfinite(chunk.target[:, 0]) & (True if chunk.weight is None else chunk.weight > 0)
    row = int(np.argmax(bad))
    if not isinstance(rows, TargetRows):
        raise NotFiniteError(
            f"{formula.target} is {chunk.target[row, 0]} in row {first + row}; expected a "
            "finite number"
        )
    given = rows.rows.chunk(index).target[row, 0]
    left = f"{formula.target_function}({formula.target})"
    raise NotFiniteError(
        f"{left} is no finite number in row {first + row}, where {formula.target} is {given:g}"
    )


@final
class FormulaFamily(Family):
    """The columns that the formula names, as they are; a row that lacks one of them is left out."""

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt"):
            raise OptionError(
                f"unknown method {self.options.method!r} for a formula: expected "
                "levenberg-marquardt"
            )
        if self.options.l2 != 0:
            raise OptionError("l2 is for the linear model; a formula is fitted without a penalty")
        ErrorsOption.read(self.options.errors)

    def roles(self, source: Source, request: Request) -> Roles:
        formula = self._formula(source.columns)
        if list(request.targets) not in ([], [formula.target]):
            raise OptionError(
                f"the formula is for {formula.target!r} and the target is "
                f"{', '.join(map(repr, request.targets))}: "
                "leave the target out"
            )
        roles = choose_roles(
            source,
            [formula.target],
            weight=request.weights,
            weighting=request.weighting,
            features=formula.columns,
        )
        by_name = {c.name: c for c in roles.features}
        for column in roles.features:
            if column.kind == "text":
                raise DataError(
                    f"column {column.name!r} of {source.name} is text; the formula needs numbers"
                )
        clusters = ErrorsOption.read(self.options.errors).columns
        return replace(
            with_beside(roles, source, clusters, "cluster"),
            features=tuple(by_name[c] for c in formula.columns),
            complete=bool(formula.columns),
        )

    def _formula(self, columns: Sequence[SourceColumn]) -> Formula:
        text, names = str(self.options.formula), [c.name for c in columns]
        if only_columns(text, names):
            raise FormulaError(
                f"{text!r} has no parameters: every name in it is a column. A model of terms is "
                "--model linear (model='linear' in Python); for a formula of your own write its "
                "parameters, such as b0 + b1*x"
            )
        return Formula.read(text, names)

    def rows(self, scanned: Scanned, part: Part, execution: Execution) -> EncodedRows:
        del execution
        return plain_rows(scanned, part)

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        options = self.options
        trained = train_formula(
            rows,
            self._formula(rows.scanned.roles.scanned),
            run,
            start=options.start,
            bounds=options.bounds,
            fixed=options.fix,
            profile=options.profile,
        )
        columns = list(rows.scanned.roles.reading.columns)
        near = near_columns(
            list(trained.model.parameter_names), trained.facts.undetermined, columns
        )
        trained = replace(trained, warnings=(*near, *trained.warnings))
        errors = ErrorsOption.read(options.errors)
        trained = robust_formula(trained, rows, errors, options.seed, run.execution)
        return self.fitted(rows, [trained], Training("formula", "levenberg-marquardt"))
