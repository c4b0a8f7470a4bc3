"""Fits a formula: start or search, descend, and say what the data determine. In the user's own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.descent.base import State
from halfsquare.descent.loop import Limits, Record, Watch, descend
from halfsquare.descent.triangular import FormulaObjective
from halfsquare.descent.variable_projection import VariableProjection
from halfsquare.errors import FitError, FormulaError, NotFiniteError, OptionError
from halfsquare.execution.local import Local
from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.trainers.base import Trained
from halfsquare.trainers.formula_start import search
from halfsquare.trainers.inference import correlation, determined, free_warning

Bounds = Mapping[str, tuple[float | None, float | None]]
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
    start: Mapping[str, float] | Sequence[float] | None = None,
    bounds: Bounds | None = None,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
    execution: Local = Local(),
    limits: Limits = Limits(),
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
    start : mapping of name to number, or numbers in the order of the free parameters, optional
        Where to begin; parameters left out of a mapping are searched for. Without it, all are.
    bounds : mapping of name to (low, high), optional
        None for no bound on that side.
    fixed : mapping of name to number, optional
        Parameters that are held.
    seed : int
        Of the search for a start.
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
    formula = formula.with_fixed(_fixed(formula, fixed))
    lower, upper = _bounds(formula, bounds)
    given = _start(formula, start, lower, upper)
    rows = rows if formula.target_function == "identity" else TargetRows(rows, formula)
    weight = _check_rows(rows, formula, execution)
    p = len(formula.names)
    if weight < p:
        raise FitError(f"{weight:g} rows for {p} parameters; a fit needs at least as many rows as parameters")
    objective = FormulaObjective(formula, rows, execution, exact=rows.row_count * (p + 1) <= _QR_NUMBERS)
    linear = tuple(j for j in formula.linear if not np.isfinite([lower[j], upper[j]]).any())
    method = VariableProjection(linear, lower, upper, degrees=weight - p)
    state, history, warnings = _best_descent(objective, method, given, limits, watch, seed)
    return _trained(full, objective, state, history, warnings, weight)


def _best_descent(
    objective: FormulaObjective,
    method: VariableProjection,
    given: Floats,
    limits: Limits,
    watch: Watch | None,
    seed: int,
) -> tuple[State, list[Record], list[str]]:
    """From the start if there is one, else from the ends of the search; the lowest loss wins."""
    formula = objective.formula
    if np.isfinite(given).all() and len(given):
        _check_start(objective, given)
        return (*descend(method, objective, given, limits=limits, watch=watch), [])
    states = []
    for found in search(formula, objective.rows, method, limits, seed):
        states.append(descend(method, objective, found.parameters, limits=limits, watch=watch))
        if len(states) == 3:
            break
    if not states:
        raise FitError(f"the formula {formula.text!r} is finite nowhere that was searched; give a start")
    best = min(states, key=lambda s: s[0].loss)
    return (*best, [])


def _trained(
    full: Formula, objective: FormulaObjective, state: State, history: list[Record], warnings: list[str], weight: float
) -> Trained:
    formula = objective.formula
    p = len(formula.names)
    triangle = objective.exactly().triangle(state.parameters, tuple(range(p)))
    known = determined(triangle, state.parameters, formula.names)
    degrees = weight - p
    variance = known.sse / degrees if degrees > 0 else np.nan
    held = dict(formula.fixed)
    at = [full.names.index(name) for name in formula.names]
    parameters = np.array([held.get(name, 0.0) for name in full.names])
    parameters[at] = state.parameters
    covariance = np.zeros((len(parameters), len(parameters)))
    covariance[np.ix_(at, at)] = known.inverse * (variance if degrees > 0 else 0.0)
    facts: dict[str, Any] = {
        "formula": full.text,
        "degrees_of_freedom": degrees,
        "sse": known.sse,
        "sigma": float(np.sqrt(variance)),
        "iterations": state.iteration,
        "undetermined": known.undetermined,
        "fixed": held,
        "linear": [formula.names[j] for j in formula.linear],
        "correlation": correlation(covariance).tolist(),
    }
    warnings = [*warnings, *map(free_warning, known.free)]
    return Trained(
        model=full,
        parameters=parameters,
        covariance=covariance if degrees > 0 else None,
        noise=np.array([variance]),
        effective_parameters=float(p - len(known.free)),
        history=history,
        reason=state.stopped or "",
        converged=state.converged,
        warnings=warnings,
        facts=facts,
    )


def _named(formula: Formula, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in formula.names:
            raise OptionError(
                f"{what} for {name!r}, which is no parameter of {formula.text!r}; the parameters are {', '.join(formula.names)}"
            )


def _fixed(formula: Formula, fixed: Mapping[str, float] | None) -> dict[str, float]:
    fixed = fixed or {}
    _named(formula, list(fixed), "a fixed value")
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise OptionError(f"the fixed value of {name!r} is {value}; expected a finite number")
    if len(fixed) == len(formula.names):
        raise OptionError("every parameter is fixed: there is nothing to fit")
    return {name: float(value) for name, value in fixed.items()}


def _bounds(formula: Formula, bounds: Bounds | None) -> tuple[Floats, Floats]:
    bounds = bounds or {}
    _named(formula, list(bounds), "a bound")
    lower, upper = np.full(len(formula.names), -np.inf), np.full(len(formula.names), np.inf)
    for name, (low, high) in bounds.items():
        j = formula.names.index(name)
        lower[j] = -np.inf if low is None else low
        upper[j] = np.inf if high is None else high
        if not lower[j] < upper[j]:
            raise OptionError(f"the bounds of {name!r} are {low} and {high}; expected low < high (to hold it, fix it)")
    return lower, upper


def _start(
    formula: Formula, start: Mapping[str, float] | Sequence[float] | None, lower: Floats, upper: Floats
) -> Floats:
    """The start (p,), NaN where none is given."""
    names = formula.names
    if start is None:
        return np.full(len(names), np.nan)
    if not isinstance(start, Mapping):
        if len(start) != len(names):
            raise OptionError(f"{len(start)} starting values for {len(names)} parameters; expected {', '.join(names)}")
        start = dict(zip(names, start, strict=True))
    _named(formula, list(start), "a start")
    given = np.full(len(names), np.nan)
    for name, value in start.items():
        j = names.index(name)
        if not np.isfinite(value):
            raise OptionError(f"the start of {name!r} is {value}; expected a finite number")
        if not lower[j] <= value <= upper[j]:
            raise OptionError(f"the start {value:g} of {name!r} lies outside its bounds {lower[j]:g} to {upper[j]:g}")
        given[j] = value
    return given


def _check_rows(rows: Rows, formula: Formula, execution: Local) -> float:
    """Σw; every number in rows of positive weight is finite."""

    def of(index: int) -> float:
        chunk = rows.chunk(index)
        used = slice(None) if chunk.weight is None else chunk.weight > 0
        if not np.isfinite(chunk.target[used]).all():
            _refuse_target(chunk, sum(rows.chunk_size(i) for i in range(index)), formula)
        return float(len(chunk.target) if chunk.weight is None else chunk.weight.sum())

    return execution.reduce(of, lambda a, b: a + b, rows.chunk_count, 0.0)


def _refuse_target(chunk: Chunk, first: int, formula: Formula) -> None:
    bad = ~np.isfinite(chunk.target[:, 0]) & (True if chunk.weight is None else chunk.weight > 0)
    row = int(np.argmax(bad))
    left = formula.target if formula.target_function == "identity" else f"{formula.target_function}({formula.target})"
    raise NotFiniteError(f"{left} is {chunk.target[row, 0]} in row {first + row}; expected a finite number")


def _check_start(objective: FormulaObjective, start: Floats) -> None:
    if np.isfinite(objective.half_sse(start)):
        return
    formula = objective.formula
    values = ", ".join(f"{name}={value:g}" for name, value in zip(formula.names, start, strict=True))
    raise FormulaError(f"the formula {formula.text!r} is not finite at the start {values}")
