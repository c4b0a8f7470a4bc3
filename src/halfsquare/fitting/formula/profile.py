"""Profile-likelihood intervals: how far a parameter can go before the best fit of all others is too
bad.

The profile t of parameter j at value v is τ(v) = sign(v - θ_j) √((S(v) - S) / σ²), with S(v) the
least SSE when θ_j = v. The interval holds all v with |τ| below Student's quantile (Bates & Watts
1988, "Nonlinear Regression Analysis and Its Applications", section 6.1.2). It follows the curvature
of the model, which the standard error does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite, nan, sqrt

import numpy as np

from halfsquare.fitting.formula.inexact import InexactObjective
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.solvers.loop import descend
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import VariableProjection

_FURTHEST = 50  # standard errors: beyond that the data set no end


def profile_intervals(
    objective: FormulaObjective,
    parameters: Floats,
    standard_errors: Floats,
    sse: float,
    degrees: float,
    run: Run,
) -> dict[str, tuple[float, float]]:
    """(low, high) of 95 % for each free parameter; infinite where the data set no end on that side.

    Parameters
    ----------
    objective : FormulaObjective
        The formula and its rows.
    parameters, standard_errors : (p,)
        At the minimum.
    sse, degrees : float
        SSE there, and Σw - p.
    run : Run
        Its deadline is that of each of the fits; nobody is told of them, and nothing is kept.
    """
    from scipy.special import stdtrit

    run = Run(run.execution, run.deadline)
    names = objective.formula.names
    if degrees <= 0 or not sse > 0:
        return dict.fromkeys(names, (nan, nan))
    wanted = float(stdtrit(degrees, 0.975))
    result = {}
    for j, name in enumerate(names):
        if not isfinite(standard_errors[j]) or not standard_errors[j] > 0:
            result[name] = (-inf, inf)
            continue
        tau = _Profile(objective, parameters, j, sse, sse / degrees, run)
        low, high = (
            _end(tau, parameters[j], sign * standard_errors[j], wanted) for sign in (-1.0, 1.0)
        )
        result[name] = (float(low), float(high))
    return result


class _Profile:
    """τ as a function of the value of one parameter; each fit starts where the last one ended."""

    def __init__(
        self,
        objective: FormulaObjective,
        parameters: Floats,
        j: int,
        sse: float,
        variance: float,
        run: Run,
    ) -> None:
        self._objective, self._j, self._run = objective, j, run
        self._sse, self._variance = sse, variance
        self._others = np.delete(parameters, j)

    def __call__(self, value: float) -> float:
        """|τ|, infinite where no fit is finite."""
        objective = self._objective
        name = objective.formula.names[self._j]
        formula = objective.formula.with_fixed({name: value})
        if not formula.names:
            sse = 2.0 * replace(objective, model=formula).half_sse(np.zeros(0))
        else:
            sse = self._fit(replace(objective, model=formula), formula)
        return sqrt(max(sse - self._sse, 0.0) / self._variance) if isfinite(sse) else inf

    def _fit(self, objective: FormulaObjective, formula: Formula) -> float:
        none = np.full(len(formula.names), inf)
        # What the columns' errors leave is not linear in any parameter.
        linear = () if isinstance(objective, InexactObjective) else formula.linear
        solver = VariableProjection(linear, -none, none, tolerance=1e-6)
        state, _ = descend(solver, objective, self._others, self._run)
        if isfinite(state.loss):
            self._others = state.parameters
        return 2.0 * state.loss


def _end(tau: Callable[[float], float], center: float, step: float, wanted: float) -> float:
    """Where |τ| reaches ``wanted``, going from ``center`` in the direction of ``step``; infinite if
    it never does.
    """
    inside, outside = 0.0, wanted
    while (reached := tau(center + outside * step)) < wanted:
        inside, outside = outside, 1.6 * outside
        if outside > _FURTHEST:
            return inf if step > 0 else -inf
    # Regula falsi on |τ|, which is nearly a straight line through 0; bisection where it is not.
    low_value = tau(center + inside * step) if inside else 0.0
    for _ in range(40):
        share = (wanted - low_value) / (reached - low_value) if isfinite(reached) else 0.5
        middle = inside + (outside - inside) * min(max(share, 0.05), 0.95)
        value = tau(center + middle * step)
        if abs(value - wanted) < 1e-6 * wanted:
            return center + middle * step
        if value < wanted:
            inside, low_value = middle, value
        else:
            outside, reached = middle, value
    return center + 0.5 * (inside + outside) * step
