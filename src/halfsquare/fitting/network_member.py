"""One member of an ensemble of networks: trained by Levenberg-Marquardt with the evidence, or by
mini-batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.folds import HeldOutErrors, KeptRows, Mask
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.parallel.base import Execution
from halfsquare.results.trained import Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.evidence import Evidence, belief_of, covariance_of, highest_evidence
from halfsquare.solvers.journal import Journal
from halfsquare.solvers.loop import INTERRUPTED, Limits, Record, Watch, descend
from halfsquare.solvers.objective import Objective

_PRECISIONS = (1e6, 10.0)


@dataclass(frozen=True)
class Stop:
    """A point at which a descent may be stopped, and its errors on the rows left out.

    Attributes
    ----------
    layer : State or None
        Of a descent by mini-batches: the output layer (q,), solved; see
        :mod:`halfsquare.fitting.output_layer`.
    solved : bool
        Whether its parameters stand in the state's, or those of the descent were better.
    """

    state: State
    held_out: HeldOutErrors | None
    layer: State | None = None
    solved: bool = False

    def with_layer(self, layer: State, *, solved: bool) -> Stop:
        """This stop with an output layer solved anew."""
        parameters = self.state.parameters
        if solved:
            parameters = np.concatenate([parameters[: -len(layer.parameters)], layer.parameters])
        return replace(
            self, state=replace(self.state, parameters=parameters), layer=layer, solved=solved
        )

    @property
    def covariance(self) -> Floats | None:
        """Of the output layer's parameters (q, q), if it was solved."""
        return None if self.layer is None else covariance_of(self.layer)


@dataclass(frozen=True)
class Run:
    """A member that has been trained on the rows it may see.

    Attributes
    ----------
    stops : tuple of Stop
        Where it may be stopped: first the end of its descent.
    """

    member: int
    way: Way
    network: Network
    stops: tuple[Stop, ...]
    history: list[Record]

    @property
    def reason(self) -> str:
        return self.stops[0].state.stopped or ""

    @property
    def interrupted(self) -> bool:
        return self.reason == INTERRUPTED


class Way(ABC):
    """A way of training a member."""

    name: str

    @abstractmethod
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
        """Train on the rows that are not ``left_out`` (n,), from parameters ``start``."""

    @abstractmethod
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
        """A few more steps on all rows from one of its stopping points, which is then the only
        one.
        """

    @abstractmethod
    def trained(self, run: Run, facts: dict[str, Any]) -> Trained:
        """The member at its first stopping point."""


@final
@dataclass(frozen=True)
class ByEvidence(Way):
    """Levenberg-Marquardt; penalties, noise and the parameters' covariance come from the evidence.

    Attributes
    ----------
    input_groups : sequence of int or None
        See :meth:`halfsquare.models.network.Network.groups`.
    last_iterations : int
        Steps on all rows.
    """

    input_groups: Sequence[int] | None
    last_iterations: int = 10
    name: str = "levenberg-marquardt"

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
        seen = KeptRows.of(rows, ~left_out) if left_out.any() else rows
        objective = Objective(network, seen, execution)
        method = self._method(network, member)
        end, history = descend(
            method, objective, start, limits=limits, watch=watch, journal=journal
        )
        aside = KeptRows.of(rows, left_out).gathered(execution) if left_out.any() else None
        stops = tuple(
            Stop(s, self._held_out(network, s, aside, left_out))
            for s in (end, highest_evidence(end))
        )
        return Run(member, self, network, stops, history)

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
        chosen, method = run.stops[stop], self._method(run.network, run.member)
        objective = Objective(run.network, rows, execution)
        begun = method.resume(objective, chosen.state.parameters, belief_of(chosen.state))
        limits = Limits(self.last_iterations, deadline)
        state, history = descend(
            method, objective, begun, limits=limits, watch=watch, journal=journal
        )
        done = chosen.state.iteration
        history = [replace(record, iteration=done + record.iteration) for record in history]
        if state.stopped != INTERRUPTED:
            state = replace(state, stopped=chosen.state.stopped, converged=chosen.state.converged)
        state = replace(state, iteration=done + state.iteration)
        return replace(run, stops=(replace(chosen, state=state),), history=[*run.history, *history])

    def trained(self, run: Run, facts: dict[str, Any]) -> Trained:
        state = run.stops[0].state
        belief = belief_of(state)
        planned = run.reason.startswith("stopped: the limit of ")
        return Trained(
            model=run.network,
            parameters=state.parameters,
            covariance=covariance_of(state),
            noise=np.full(run.network.targets, belief.noise),
            effective_parameters=float(belief.effective.sum()),
            history=run.history,
            reason="stopped: where the rows left out favour it" if planned else run.reason,
            converged=planned or state.converged,
            facts={**facts, "log_evidence": belief.log_evidence},
        )

    def _method(self, network: Network, member: int) -> Evidence:
        # Of each two pairs one may switch inputs off: where that is right it wins, elsewhere the
        # members differ more.
        most = _PRECISIONS[member // 2 % len(_PRECISIONS)]
        return Evidence(network.groups(self.input_groups), most_precision=most)

    def _held_out(
        self, network: Network, state: State, aside: ArrayRows | None, left_out: Mask
    ) -> HeldOutErrors | None:
        if aside is None or not np.isfinite(state.loss):
            return None
        return HeldOutErrors.of(network, state.parameters, covariance_of(state), aside, left_out)
