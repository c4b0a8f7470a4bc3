"""A member of an ensemble of networks trained by mini-batches, its output layer solved at the
end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from halfsquare.data.kept_rows import KeptRows, Mask
from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.folds import some_rows
from halfsquare.fitting.judgement import HeldOutErrors
from halfsquare.fitting.member import MemberFit, MemberTrainer, StoppingPoint
from halfsquare.fitting.output_layer import solve_output_layer
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.adam import Adam, passes
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run, Stream

# Of mini-batch descent; the stopping rule does most of the work, so its value matters little.
_PENALTY = 0.1


@final
@dataclass(frozen=True)
class MinibatchTrainer(MemberTrainer):
    """Adam on mini-batches, stopped by the rows left out; then the output layer is solved, which
    gives its covariance.
    """

    iterations: int = 300
    name: str = "minibatch"

    def train(
        self, member: int, network: Network, start: Floats, rows: Rows, left_out: Mask, run: Run
    ) -> MemberFit:
        if not left_out.any():  # no folds, yet something has to say when to stop
            random = run.seed.generator(Stream.LEFT_OUT)
            left_out = some_rows(len(left_out), random, rows.units)
        aside = KeptRows.of(rows, left_out).gathered(run.execution)
        seen = KeptRows.of(rows, ~left_out)
        penalty = np.full(network.parameter_count, _PENALTY)
        objective = Objective(network, seen, run.execution, penalty)
        solver = Adam(Objective(network, aside, run.execution), seed=run.seed)
        iterations = passes(self.iterations, seen.row_count)
        state, history = descend(solver, objective, start, run, iterations=iterations)
        held_out = HeldOutErrors.of(network, state.parameters, None, aside, left_out)
        fit = MemberFit(member, self, network, (StoppingPoint(state, held_out),), history)
        if fit.interrupted or not np.isfinite(state.parameters).all():
            return fit
        return replace(fit, stops=(self._solved(fit, seen, aside, left_out, run),))

    def finish(self, fit: MemberFit, stop: int, rows: Rows, run: Run) -> MemberFit:
        fit = fit.only(stop)
        (chosen,) = fit.stops
        if chosen.layer is not None:
            layer = solve_output_layer(
                fit.network, chosen.state.parameters, rows, _noise(chosen), run
            )
            if np.isfinite(layer.loss):
                chosen = chosen.with_layer(layer, solved=chosen.solved)
        return replace(fit, stops=(chosen,))

    def trained(self, fit: MemberFit, relevance: Floats) -> Trained[NetworkFacts]:
        stop = fit.stops[0]
        assert stop.held_out is not None
        return Trained(
            model=fit.network,
            parameters=stop.state.parameters,
            covariance=stop.covariance,
            noise=np.mean(stop.held_out.error**2, axis=0),
            effective_parameters=float(fit.network.parameter_count),
            termination=fit.termination,
            facts=fit.facts(relevance),
            history=tuple(fit.history),
        )

    def _solved(
        self, fit: MemberFit, seen: Rows, aside: ArrayRows, left_out: Mask, run: Run
    ) -> StoppingPoint:
        """The stop with its output layer solved on the rows seen if that predicts those left out no
        worse.
        """
        network, (stop,) = fit.network, fit.stops
        layer = solve_output_layer(network, stop.state.parameters, seen, _noise(stop), run)
        if not np.isfinite(layer.loss):
            return stop
        found = []
        for solved in (True, False):
            one = stop.with_layer(layer, solved=solved)
            errors = HeldOutErrors.of(
                network, one.state.parameters, one.covariance, aside, left_out
            )
            found.append(replace(one, held_out=errors))
        return min(found, key=_noise)


def _noise(stop: StoppingPoint) -> float:
    """The mean square error on the rows left out."""
    assert stop.held_out is not None
    return float(np.average((stop.held_out.error**2).mean(axis=1), weights=stop.held_out.weight))
