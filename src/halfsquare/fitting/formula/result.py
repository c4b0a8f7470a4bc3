"""From the minimum to the result: the last digits, the covariance, what the data leave open."""

from __future__ import annotations

from dataclasses import dataclass

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
from halfsquare.fitting.formula.inexact import InexactObjective
from halfsquare.fitting.formula.inference import correlation, determined, free_warning
from halfsquare.fitting.formula.profile import profile_intervals
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.predictive import deviations
from halfsquare.results.trained import FormulaFacts, Trained
from halfsquare.solvers.base import Reason, Record, State, Termination
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import ProjectedMemory, VariableProjection, triangle_of


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
    solver: VariableProjection
    rows: Rows
    run: Run
    weight: float
    sst: float
    shift: Floats | None = None

    def trained(
        self,
        state: State[ProjectedMemory],
        history: list[Record],
        warnings: list[str],
        profile: bool,
    ) -> Trained[FormulaFacts]:
        """The fit at ``state``, with all that is to be said of it."""
        full, formula = self.full, self.objective.formula
        p, degrees = len(formula.names), self.weight - len(formula.names)
        refined = self._refined(state)
        best, sse = (state.parameters, None) if refined is None else refined
        if refined is None:
            triangle = triangle_of(state)
        else:
            triangle = self.objective.triangle(best, tuple(range(p)))
        bound = (best <= self.solver.lower) | (best >= self.solver.upper)
        known = determined(triangle, best, formula.names, bound)
        sse = known.sse if sse is None else sse
        variance = sse / degrees if degrees > 0 else np.nan
        held = dict(formula.fixed)
        at = [full.names.index(name) for name in formula.names]
        parameters = np.array([held.get(name, 0.0) for name in full.names])
        parameters[at] = best
        root = np.zeros((len(parameters), len(parameters)))
        root[np.ix_(at, at)] = known.half * (np.sqrt(variance) if degrees > 0 else 0.0)
        with np.errstate(over="ignore"):
            covariance = root @ root.T
        off = runaway(self.objective, self.solver, best, triangle, variance, bound)
        termination = self._termination(state, refined is not None)
        intervals = one_sided(triangle, best, variance, degrees, bound, self.solver)
        errors = deviations(root)[at]
        facts = FormulaFacts(
            degrees_of_freedom=degrees,
            formula=full.text,
            sse=sse,
            sigma=float(np.sqrt(variance)),
            iterations=state.iteration,
            undetermined=tuple(dict.fromkeys([*known.undetermined, *off])),
            fixed=held,
            on_bound={formula.names[j]: ends for j, ends in intervals.items()},
            linear=tuple(formula.names[j] for j in formula.linear),
            correlation=tuple(map(tuple, correlation(root).tolist())),
            extended_precision=refined is not None,
            profile=profile_intervals(self.objective, best, errors, sse, degrees, self.run)
            if profile
            else None,
        )
        said = [*warnings, *map(free_warning, known.free)]
        said += [runaway_warning(off)] if off else []
        said += [bound_warning(formula.names[j], float(best[j])) for j in intervals]
        said += poor_warning(sse, self.sst, self.solver.target_norm)
        said += [] if termination.converged else [f"the descent did not converge ({termination})"]
        return Trained(
            model=full,
            parameters=parameters,
            covariance=covariance if degrees > 0 else None,
            root=root if degrees > 0 else None,
            noise=np.array([variance]),
            effective_parameters=float(p - len(known.free)),
            history=tuple(history),
            termination=termination,
            warnings=tuple(said),
            facts=facts,
        )

    def _termination(self, state: State[ProjectedMemory], refined: bool) -> Termination:
        """Why the descent ended, and whether that was below the relative offset that is promised,
        or where the errors are rounding alone.
        """
        assert state.stopped is not None
        if refined:
            return Termination(Reason.EXTENDED_PRECISION)
        if state.stopped.reason is not Reason.OFFSET_ROUNDING:
            return state.stopped
        rounding = (64.0 * np.finfo(float).eps * self.solver.target_norm) ** 2
        if 2.0 * state.loss <= rounding:
            return Termination(Reason.ERRORS_ROUNDING)
        return Termination(Reason.OFFSET_ABOVE, state.stopped.detail)

    def _refined(self, state: State[ProjectedMemory]) -> tuple[Floats, float] | None:
        """Parameters and SSE in extended precision where float64 does not resolve the errors, or
        does not get below the relative offset that is promised.
        """
        formula, at = self.objective.formula, state.parameters
        if isinstance(self.objective, InexactObjective):
            return None
        if ((at <= self.solver.lower) | (at >= self.solver.upper)).any():
            return None
        level = state.stopped is not None and state.stopped.reason is Reason.OFFSET_ROUNDING
        if not level and not is_needed(2.0 * state.loss, self.solver.target_norm**2):
            return None
        if not is_possible(self.rows.row_count, len(formula.names)):
            return None
        return refine(formula, self.rows, at, self.shift)
