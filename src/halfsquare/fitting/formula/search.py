"""The ways to the minimum of a formula: from a start, from a search, from a sample of the rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np

from halfsquare.errors import FormulaError
from halfsquare.fitting.formula.groups import find_start
from halfsquare.fitting.formula.inference import determined
from halfsquare.fitting.formula.sample import sample_rows
from halfsquare.loss import Floats
from halfsquare.models.formula.diagnosis import why_not_finite, why_nowhere
from halfsquare.moments import Moments
from halfsquare.parallel.threads import Local
from halfsquare.solvers.base import Reason, Record, State
from halfsquare.solvers.loop import descend
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run
from halfsquare.solvers.variable_projection import ProjectedMemory, VariableProjection, triangle_of

# Of many rows a sample of this many is fitted first: from there a few passes over all rows are
# enough.
_SAMPLE = 8192
MANY_ROWS = 8 * _SAMPLE
_POOR = 0.1  # of the variation left unexplained: worth a second look
_FAR_BETTER = 0.5


@dataclass(frozen=True)
class End:
    """Where a descent ended, and how it went."""

    state: State[ProjectedMemory]
    history: list[Record]
    warnings: list[str] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        """Whether the formula was finite where it began."""
        stopped = self.state.stopped
        return stopped is None or stopped.reason is not Reason.FORMULA_NOT_FINITE


@dataclass(frozen=True)
class Minimizer:
    """The ways to a minimum of ``objective`` by ``solver``.

    Attributes
    ----------
    sst : float
        Variation of the target about its mean: what the worst sensible fit leaves.
    """

    objective: FormulaObjective
    solver: VariableProjection
    run: Run
    sst: float

    def best(self, given: Floats) -> End:
        """The best end that is found, from the start ``given`` (p,), NaN where it says nothing.

        Raises
        ------
        FormulaError
            If the formula is not finite at the start, or nowhere that was searched.
        """
        if self.objective.rows.row_count > MANY_ROWS:
            sampled = self._on_sample().best(given)
            end = self._descend("from a sample", self.solver, sampled.state.parameters)
            if end.state.converged and not self._worse(end.state, given):
                return replace(end, warnings=sampled.warnings)
        if np.isnan(given).all():
            return self._searched()
        end = self._from_start(given)
        if self._worse(end.state, given):
            end = self._descend("from the start alone", replace(self.solver, linear=()), given)
        return end

    def _worse(self, state: State[ProjectedMemory], given: Floats) -> bool:
        """Whether the fit is worse than the start, where that is a whole one."""
        if not np.isfinite(given).all():
            return False
        return bool(state.loss > self.objective.half_sse(given) * (1.0 + 1e-12))

    def _on_sample(self) -> Minimizer:
        rows = sample_rows(self.objective.rows, _SAMPLE, self.run)
        sums = Moments.of(rows.target, rows.weight)
        solver = replace(
            self.solver, degrees=max(sums.weight - len(self.solver.lower), 1.0), tolerance=1e-6
        )
        objective = replace(self.objective, rows=rows, execution=Local(1))
        run = replace(self.run.at("sample"), callback=None)
        return Minimizer(objective, solver, run, float(sums.m2[0]))

    def _searched(self) -> End:
        """The lowest of the descents from where the search ended."""
        formula = self.objective.formula
        found = find_start(formula, self.objective.rows, self.solver, self.run)
        close = found.points[:3][found.losses[:3] <= 1.5 * found.losses[:1]]
        ends = [
            self._descend(f"from place {i}", self.solver, point) for i, point in enumerate(close)
        ]
        ends = [end for end in ends if end.finite]
        if not ends:
            self._refuse_everywhere()
        return min(ends, key=lambda end: end.state.loss)

    def _from_start(self, given: Floats) -> End:
        """The descent from the start; others only where that one ended badly, and then the
        lowest.
        """
        given = self._completed(given)
        end = self._descend("from the start", self.solver, given)
        if not end.finite:
            self._refuse(given)
        if self._good(end.state):
            return end
        ends = [end]
        if self.solver.linear:
            ends.append(self._descend("of all parameters", replace(self.solver, linear=()), given))
        if not self._good(ends[-1].state):
            found = self._searched()
            warning = (
                "the descent from the start given ended in a poor fit; a search found a better one"
            )
            ends.append(replace(found, warnings=[warning]))
        lowest = min(ends, key=lambda other: other.state.loss)
        # A minimum that the start led to is left only for one that is far better: the start says
        # which is meant.
        worth = _FAR_BETTER if self._determined(end.state) else 0.999
        return (
            lowest if lowest.state.loss < worth * end.state.loss or not end.state.converged else end
        )

    def _descend(self, name: str, solver: VariableProjection, parameters: Floats) -> End:
        return End(*descend(solver, self.objective, parameters, self.run.at(name)))

    def _good(self, state: State[ProjectedMemory]) -> bool:
        """At a minimum that explains most of the variation, with every parameter determined."""
        return 2.0 * state.loss <= _POOR * self.sst and self._determined(state)

    def _determined(self, state: State[ProjectedMemory]) -> bool:
        names = self.objective.formula.names
        return state.converged and not determined(triangle_of(state), state.parameters, names).free

    def _completed(self, given: Floats) -> Floats:
        """The start, with what it leaves out searched for while the rest is held."""
        missing = np.isnan(given)
        if not missing.any():
            return given
        formula = self.objective.formula
        held = {
            name: float(v) for name, v in zip(formula.names, given, strict=True) if not np.isnan(v)
        }
        rest = formula.with_fixed(held)
        linear = tuple(rest.names.index(formula.names[j]) for j in self.solver.linear if missing[j])
        solver = replace(
            self.solver,
            linear=linear,
            lower=self.solver.lower[missing],
            upper=self.solver.upper[missing],
        )
        found = find_start(rest, self.objective.rows, solver, self.run)
        completed = given.copy()
        completed[missing] = found.points[0] if len(found.points) else 1.0
        return completed

    def _refuse_everywhere(self) -> NoReturn:
        """Name the row and the operation that no parameters mend, or else those of one point."""
        formula, rows = self.objective.formula, self.objective.rows
        random = np.random.default_rng(0).lognormal(size=(6, len(formula.names)))
        points = np.vstack([np.ones(len(formula.names)), random, -random])
        why = why_nowhere(formula, rows, points)
        if why is not None:
            raise FormulaError(
                f"the formula {formula.text!r} cannot be computed: {why}. Leave such rows out, or "
                "write the formula so that it is finite there"
            )
        why = why_not_finite(formula, rows, points[0])
        raise FormulaError(
            f"no parameters were found for which {formula.text!r} is finite in every "
            "row; give a start" + (f". With every parameter 1, {why}" if why else "")
        )

    def _refuse(self, start: Floats) -> None:
        formula = self.objective.formula
        values = ", ".join(
            f"{name} = {value:g}" for name, value in zip(formula.names, start, strict=True)
        )
        why = why_not_finite(formula, self.objective.rows, start)
        if why is not None:
            raise FormulaError(
                f"the formula {formula.text!r} is not finite at the start {values}: {why}"
            )
        raise FormulaError(
            f"the squared error or a derivative of {formula.text!r} is not finite at the "
            f"start {values}; start elsewhere"
        )
