"""From the minimum to the result: the last digits, the covariance, what the data leave open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.fitting.formula.extended_precision import is_needed, refine
from halfsquare.fitting.formula.inference import correlation, determined, free_warning
from halfsquare.fitting.formula.profile import profile_intervals
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.trained import FormulaFacts, Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.loop import Record
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import (
    ProjectedMemory,
    VariableProjection,
    triangle_of,
)


@dataclass(frozen=True)
class Ending:
    """From the minimum to the result."""

    full: Formula
    objective: FormulaObjective
    solver: VariableProjection
    rows: Rows  # the target as in the data
    run: Run
    weight: float

    def trained(
        self,
        state: State[ProjectedMemory],
        history: list[Record],
        warnings: list[str],
        profile: bool,
    ) -> Trained[FormulaFacts]:
        assert state.stopped is not None
        full, formula = self.full, self.objective.formula
        p, degrees = len(formula.names), self.weight - len(formula.names)
        refined = self._refined(state)
        best, sse = (state.parameters, None) if refined is None else refined
        if refined is None:
            triangle = triangle_of(state)
        else:
            triangle = self.objective.triangle(best, tuple(range(p)))
        known = determined(triangle, best, formula.names)
        sse = known.sse if sse is None else sse
        variance = sse / degrees if degrees > 0 else np.nan
        held = dict(formula.fixed)
        at = [full.names.index(name) for name in formula.names]
        parameters = np.array([held.get(name, 0.0) for name in full.names])
        parameters[at] = best
        covariance = np.zeros((len(parameters), len(parameters)))
        covariance[np.ix_(at, at)] = known.inverse * (variance if degrees > 0 else 0.0)
        errors = np.sqrt(np.diag(covariance))[at]
        facts = FormulaFacts(
            degrees_of_freedom=degrees,
            formula=full.text,
            sse=sse,
            sigma=float(np.sqrt(variance)),
            iterations=state.iteration,
            undetermined=tuple(known.undetermined),
            fixed=held,
            linear=tuple(formula.names[j] for j in formula.linear),
            correlation=tuple(map(tuple, correlation(covariance).tolist())),
            extended_precision=refined is not None,
            profile=profile_intervals(self.objective, best, errors, sse, degrees, self.run)
            if profile
            else None,
        )
        return Trained(
            model=full,
            parameters=parameters,
            covariance=covariance if degrees > 0 else None,
            noise=np.array([variance]),
            effective_parameters=float(p - len(known.free)),
            history=tuple(history),
            termination=state.stopped,
            warnings=(*warnings, *map(free_warning, known.free)),
            facts=facts,
        )

    def _refined(self, state: State[ProjectedMemory]) -> tuple[Floats, float] | None:
        """Parameters and SSE in extended precision where float64 does not resolve the errors."""
        formula, at = self.objective.formula, state.parameters
        if ((at <= self.solver.lower) | (at >= self.solver.upper)).any():
            return None
        if not is_needed(
            2.0 * state.loss, self.solver.target_norm**2, self.rows.row_count, len(formula.names)
        ):
            return None
        return refine(formula, self.rows, at)
