"""One member of an ensemble of networks, trained by Levenberg-Marquardt with the evidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.fitting.folds import LeftOut
from halfsquare.fitting.judgement import HeldOutErrors
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.base import Reason, Record, State, Termination
from halfsquare.solvers.evidence import Evidence, belief_of, covariance_of, highest_evidence
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run

_PRECISIONS = (1e6, 10.0)
# Steps on all rows, and on those that were set apart as well.
_LAST_ITERATIONS, _MORE_ITERATIONS = 10, 20
# A descent is over when five steps change the log evidence by less than this for each number in the
# target, in nats; measured in docs/accuracy.md.
_CALM = 0.004


@dataclass(frozen=True)
class StoppingPoint:
    """A point at which a descent may be stopped, and its errors on the rows left out.

    Attributes
    ----------
    layer : State or None
        Of a descent by mini-batches: the output layer (q,), solved; see
        :mod:`halfsquare.fitting.output_layer`.
    solved : bool
        Whether its parameters stand in the state's, or those of the descent were better.
    """

    state: State[Any]
    held_out: HeldOutErrors | None
    layer: State[Any] | None = None
    solved: bool = False

    def with_layer(self, layer: State[Any], *, solved: bool) -> StoppingPoint:
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
class MemberFit:
    """A member that has been trained on the rows it may see.

    Attributes
    ----------
    stops : tuple of StoppingPoint
        Where it may be stopped: first the end of its descent.
    """

    member: int
    trainer: MemberTrainer
    network: Network
    stops: tuple[StoppingPoint, ...]
    history: list[Record]

    @property
    def termination(self) -> Termination:
        """Why its descent ended."""
        stopped = self.stops[0].state.stopped
        assert stopped is not None
        return stopped

    @property
    def interrupted(self) -> bool:
        """Whether somebody ended it."""
        return self.termination.reason is Reason.INTERRUPTED

    def facts(self, relevance: Floats, log_evidence: float | None = None) -> NetworkFacts:
        """What is to be known of it."""
        return NetworkFacts(
            member=self.member,
            method=self.trainer.name,
            hidden=tuple(self.network.hidden),
            relevance=tuple(relevance.tolist()),
            log_evidence=log_evidence,
        )

    def only(self, stop: int) -> MemberFit:
        """The same with one of its stopping points alone."""
        return replace(self, stops=(self.stops[min(stop, len(self.stops) - 1)],))


class MemberTrainer(ABC):
    """A method by which members are trained."""

    name: ClassVar[str]

    @abstractmethod
    def train(
        self, member: int, network: Network, start: Floats, rows: Rows, left_out: LeftOut, run: Run
    ) -> MemberFit:
        """Train on the rows that are not ``left_out``, from parameters ``start``."""

    @abstractmethod
    def finish(self, fit: MemberFit, stop: int, rows: Rows, run: Run) -> MemberFit:
        """A few more steps on all rows from one of its stopping points, which is then the only
        one.
        """

    @abstractmethod
    def trained(self, fit: MemberFit, relevance: Floats) -> Trained[NetworkFacts]:
        """The member at its first stopping point, with the relevance of each input group."""


@final
@dataclass(frozen=True)
class EvidenceTrainer(MemberTrainer):
    """Levenberg-Marquardt; penalties, noise and the parameters' covariance come from the evidence.

    Attributes
    ----------
    input_groups : sequence of int or None
        See :meth:`halfsquare.models.network.Network.groups`.
    iterations : int
        Steps at most.
    """

    input_groups: Sequence[int] | None
    iterations: int = 85
    name = "levenberg-marquardt"

    def train(
        self, member: int, network: Network, start: Floats, rows: Rows, left_out: LeftOut, run: Run
    ) -> MemberFit:
        objective = Objective(network, left_out.seen(rows), run.execution)
        end, history = descend(
            self._solver(network, member, objective),
            objective,
            start,
            run,
            iterations=self.iterations,
        )
        aside = left_out.aside(rows, run.execution) if left_out.mask.any() else None
        stops = tuple(
            StoppingPoint(s, self._held_out(network, s, aside, left_out))
            for s in (end, highest_evidence(end))
        )
        return MemberFit(member, self, network, stops, history)

    def finish(self, fit: MemberFit, stop: int, rows: Rows, run: Run) -> MemberFit:
        chosen, objective = fit.stops[stop], Objective(fit.network, rows, run.execution)
        solver = self._solver(fit.network, fit.member, objective)
        begun = solver.resume(objective, chosen.state)
        state, history = descend(solver, objective, begun, run, iterations=_LAST_ITERATIONS)
        return self._longer(fit, chosen, state, history)

    def again(self, member: Trained[NetworkFacts], rows: Rows, run: Run) -> MemberFit:
        """A few more steps on more rows, from where a member was trained to."""
        network, facts = member.model, member.facts
        assert isinstance(network, Network)
        objective = Objective(network, rows, run.execution)
        solver = self._solver(network, facts.member, objective)
        begun = solver.begin_with(
            objective, member.parameters, float(member.noise.mean()), np.array(facts.penalties)
        )
        state, history = descend(solver, objective, begun, run, iterations=_MORE_ITERATIONS)
        done = member.history[-1].iteration if member.history else 0
        before = replace(begun, iteration=done, stopped=member.termination)
        fit = MemberFit(facts.member, self, network, (), list(member.history))
        return self._longer(fit, StoppingPoint(before, None), state, history)

    @staticmethod
    def _longer(
        fit: MemberFit, chosen: StoppingPoint, state: State[Any], history: Sequence[Record]
    ) -> MemberFit:
        """The fit with more steps after one of its stopping points."""
        done = chosen.state.iteration
        history = [replace(record, iteration=done + record.iteration) for record in history]
        if state.stopped != Termination(Reason.INTERRUPTED):
            state = replace(state, stopped=chosen.state.stopped)
        state = replace(state, iteration=done + state.iteration)
        return replace(fit, stops=(replace(chosen, state=state),), history=[*fit.history, *history])

    def trained(self, fit: MemberFit, relevance: Floats) -> Trained[NetworkFacts]:
        state = fit.stops[0].state
        belief = belief_of(state)
        planned = fit.termination.reason is Reason.ITERATION_LIMIT
        return Trained(
            model=fit.network,
            parameters=state.parameters,
            covariance=covariance_of(state),
            noise=np.full(fit.network.targets, belief.noise),
            effective_parameters=float(belief.effective.sum()),
            termination=Termination(Reason.HELD_OUT_BEST) if planned else fit.termination,
            facts=replace(
                fit.facts(relevance, belief.log_evidence),
                penalties=tuple(belief.penalties.tolist()),
            ),
            history=tuple(fit.history),
        )

    def _solver(self, network: Network, member: int, objective: Objective) -> Evidence:
        # Of each two pairs one may switch inputs off: where that is right it wins, elsewhere the
        # members differ more.
        most = _PRECISIONS[member // 2 % len(_PRECISIONS)]
        calm = max(Evidence.tolerance, _CALM * objective.numbers)
        return Evidence(network.groups(self.input_groups), most_precision=most, tolerance=calm)

    def _held_out(
        self, network: Network, state: State[Any], aside: ArrayRows | None, left_out: LeftOut
    ) -> HeldOutErrors | None:
        if aside is None or not np.isfinite(state.loss):
            return None
        return HeldOutErrors.of(network, state.parameters, covariance_of(state), aside, left_out)
