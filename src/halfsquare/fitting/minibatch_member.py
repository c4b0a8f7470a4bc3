"""A member of an ensemble of networks trained by mini-batches, its output layer solved at the
end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.folds import HeldOutErrors, KeptRows, Mask, some_rows
from halfsquare.fitting.network_member import Run, Stop, Way
from halfsquare.fitting.output_layer import solve_output_layer
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.parallel.base import Execution
from halfsquare.results.trained import Trained
from halfsquare.solvers.adam import Stochastic, passes
from halfsquare.solvers.journal import Journal
from halfsquare.solvers.loop import INTERRUPTED, Limits, Watch, descend
from halfsquare.solvers.objective import Objective

# Of mini-batch descent; the stopping rule does most of the work, so its value matters little.
_PENALTY = 0.1


@final
@dataclass(frozen=True)
class ByMinibatches(Way):
    """Adam on mini-batches, stopped by the rows left out; then the output layer is solved, which
    gives its covariance.
    """

    seed: int
    name: str = "minibatch"

    def train(
        self,
        member: int,
        network: Network,
        start: Floats,
        rows: Rows,
        left_out: Mask,
        limits: Limits,
        watch: Watch,
        journal: Journal,
        execution: Execution,
    ) -> Run:
        if not left_out.any():  # no folds, yet something has to say when to stop
            left_out = some_rows(len(left_out), [self.seed, 3, member])
        aside = KeptRows.of(rows, left_out).gathered(execution)
        seen = KeptRows.of(rows, ~left_out)
        objective = Objective(network, seen, execution, np.full(network.parameter_count, _PENALTY))
        method = Stochastic(Objective(network, aside, execution), seed=self.seed + member)
        limits = replace(limits, iterations=passes(limits.iterations, seen.row_count))
        state, history = descend(
            method, objective, start, limits=limits, watch=watch, journal=journal
        )
        stop = Stop(state, HeldOutErrors.of(network, state.parameters, None, aside, left_out))
        if state.stopped != INTERRUPTED and np.isfinite(state.parameters).all():
            stop = self._solved(network, stop, seen, aside, left_out, limits.deadline, execution)
        return Run(member, self, network, (stop,), history)

    def finish(
        self,
        run: Run,
        stop: int,
        rows: Rows,
        deadline: float | None,
        watch: Watch,
        journal: Journal,
        execution: Execution,
    ) -> Run:
        chosen = run.stops[min(stop, len(run.stops) - 1)]
        if chosen.layer is not None:
            layer = solve_output_layer(
                run.network, chosen.state.parameters, rows, _noise(chosen), execution, deadline
            )
            if np.isfinite(layer.loss):
                chosen = chosen.with_layer(layer, solved=chosen.solved)
        return replace(run, stops=(chosen,))

    def trained(self, run: Run, facts: dict[str, Any]) -> Trained:
        stop = run.stops[0]
        assert stop.held_out is not None
        return Trained(
            model=run.network,
            parameters=stop.state.parameters,
            covariance=stop.covariance,
            noise=np.mean(stop.held_out.error**2, axis=0),
            effective_parameters=float(run.network.parameter_count),
            history=run.history,
            reason=run.reason,
            converged=stop.state.converged,
            facts={**facts, "log_evidence": None},
        )

    def _solved(
        self,
        network: Network,
        stop: Stop,
        seen: Rows,
        aside: ArrayRows,
        left_out: Mask,
        deadline: float | None,
        execution: Execution,
    ) -> Stop:
        """The stop with its output layer solved on the rows seen if that predicts those left out no
        worse.
        """
        layer = solve_output_layer(
            network, stop.state.parameters, seen, _noise(stop), execution, deadline
        )
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


def _noise(stop: Stop) -> float:
    """The mean square error on the rows left out."""
    assert stop.held_out is not None
    return float(np.average((stop.held_out.error**2).mean(axis=1), weights=stop.held_out.weight))
