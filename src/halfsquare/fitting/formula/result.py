"""From the minimum to the result: the last digits, the covariance, what the data leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.fitting.formula.edges import (
    bound_warning,
    one_sided,
    poor_warning,
    runaway,
    runaway_warning,
)
from halfsquare.fitting.formula.extended_precision import is_needed, is_possible, refine
from halfsquare.fitting.formula.inference import correlation, determined, free_warning
from halfsquare.fitting.formula.profile import profile_intervals
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.trained import Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.loop import Limits, Record
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.variable_projection import LEVEL, VariableProjection, triangle_of


@dataclass(frozen=True)
class Ending:
    """From the minimum to the result.

    Attributes
    ----------
    rows : Rows
        The target as in the data.
    shift : (d+1,) or None
        What was taken off the columns and the left side before the fit.
    weight, sst : float
        Σw, and the variation of the left side about its mean.
    """

    full: Formula
    objective: FormulaObjective
    method: VariableProjection
    rows: Rows
    limits: Limits
    weight: float
    sst: float
    shift: Floats | None = None

    def trained(
        self, state: State, history: list[Record], warnings: list[str], profile: bool
    ) -> Trained:
        """The fit at ``state``, with all that is to be said of it."""
        full, formula = self.full, self.objective.formula
        p, degrees = len(formula.names), self.weight - len(formula.names)
        refined = self._refined(state)
        best, sse = (state.parameters, None) if refined is None else refined
        if refined is None and state.memory is not None:
            triangle = triangle_of(state)
        else:
            triangle = self.objective.triangle(best, tuple(range(p)))
        bound = (best <= self.method.lower) | (best >= self.method.upper)
        known = determined(triangle, best, formula.names, bound)
        sse = known.sse if sse is None else sse
        variance = sse / degrees if degrees > 0 else np.nan
        held = dict(formula.fixed)
        at = [full.names.index(name) for name in formula.names]
        parameters = np.array([held.get(name, 0.0) for name in full.names])
        parameters[at] = best
        covariance = np.zeros((len(parameters), len(parameters)))
        covariance[np.ix_(at, at)] = known.inverse * (variance if degrees > 0 else 0.0)
        off = runaway(self.objective, self.method, best, triangle, variance, bound)
        reason, converged = self._reason(state, refined is not None)
        intervals = one_sided(triangle, best, variance, degrees, bound, self.method)
        facts: dict[str, Any] = {
            "formula": full.text,
            "degrees_of_freedom": degrees,
            "sse": sse,
            "sigma": float(np.sqrt(variance)),
            "iterations": state.iteration,
            "undetermined": list(dict.fromkeys([*known.undetermined, *off])),
            "fixed": held,
            "on_bound": {formula.names[j]: list(ends) for j, ends in intervals.items()},
            "linear": [formula.names[j] for j in formula.linear],
            "correlation": correlation(covariance).tolist(),
            "extended_precision": refined is not None,
        }
        if profile:
            errors = np.sqrt(np.diag(covariance))[at]
            facts["profile"] = profile_intervals(
                self.objective, best, errors, sse, degrees, limits=self.limits
            )
        said = [*warnings, *map(free_warning, known.free)]
        said += [runaway_warning(off)] if off else []
        said += [bound_warning(formula.names[j], float(best[j])) for j in intervals]
        said += [poor_warning(sse, self.sst)] if sse > self.sst > 0 else []
        said += [] if converged else [f"the descent did not converge ({reason})"]
        return Trained(
            model=full,
            parameters=parameters,
            covariance=covariance if degrees > 0 else None,
            noise=np.array([variance]),
            effective_parameters=float(p - len(known.free)),
            history=history,
            reason=reason,
            converged=converged,
            warnings=said,
            facts=facts,
        )

    def _reason(self, state: State, refined: bool) -> tuple[str, bool]:
        """Why the descent ended, and whether that was below the relative offset that is promised,
        or where the errors are rounding alone.
        """
        reason = state.stopped or ""
        if refined:
            return "converged: in extended precision", True
        if not reason.startswith(LEVEL):
            return reason, state.converged
        rounding = (64.0 * np.finfo(float).eps * self.method.target_norm) ** 2
        if 2.0 * state.loss <= rounding:
            return "converged: the errors are the rounding of float64", True
        return reason.replace(LEVEL, "stopped", 1), False

    def _refined(self, state: State) -> tuple[Floats, float] | None:
        """Parameters and SSE in extended precision where float64 does not resolve the errors, or
        does not get below the relative offset that is promised.
        """
        formula, at = self.objective.formula, state.parameters
        if ((at <= self.method.lower) | (at >= self.method.upper)).any():
            return None
        level = (state.stopped or "").startswith(LEVEL)
        if not level and not is_needed(2.0 * state.loss, self.method.target_norm**2):
            return None
        if not is_possible(self.rows.row_count, len(formula.names)):
            return None
        return refine(formula, self.rows, at, self.shift)
