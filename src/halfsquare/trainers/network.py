"""Training a network: an ensemble of members, each leaving out its own part of the rows.

Each member descends from its own random start, its penalties set by the evidence, on all rows but those of its
fold. An average of networks is best when each fits a little closer than it would if it stood alone, so two
stopping points are kept, the highest evidence and the end of the descent, and the errors on the rows left out
decide for all members together. Then each member takes a few more steps on all rows.

    variance  =  noise + parameters + spread;  parameters: J C Jᵀ averaged;  spread: 1/M Σ (o_i - ō)²

The noise is what the error on rows left out has beyond the other two (see :mod:`halfsquare.trainers.folds`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import TypeVar

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.descent.base import State
from halfsquare.descent.evidence import Evidence, belief_of, covariance_of, highest_evidence
from halfsquare.descent.loop import Limits, Record, Watch, descend
from halfsquare.errors import FitError
from halfsquare.execution.local import Local, one_blas_thread
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.objective import Objective
from halfsquare.trainers.base import Trained
from halfsquare.trainers.folds import Folds, HeldOutErrors, Judgement, KeptRows, outputs_and_variance

T = TypeVar("T")

_SHAPES = ((16, 16), (12, 12, 12))
_ITERATIONS = 100
_LAST_ITERATIONS = 10  # on all rows


def train_network(
    rows: Rows,
    *,
    input_groups: Sequence[int] | None = None,
    input_names: Sequence[str] = (),
    seed: int = 0,
    hidden: Sequence[int] | None = None,
    activation: str = "tanh",
    members: int = 10,
    deadline: float | None = None,
    watch: Watch | None = None,
    execution: Local | None = None,
) -> list[Trained]:
    """Train an ensemble of networks on standardized rows.

    Parameters
    ----------
    rows : Rows
        Design (n, d) and target (n, k), both with mean about 0 and standard deviation about 1.
    input_groups : sequence of int, optional
        The group of each design column: columns of one input (one-hot levels, a missing indicator) share a
        penalty and a relevance. By default each column is its own.
    input_names : sequence of str
        Names of the design's columns.
    seed : int
        Fixes folds and starts; the result does not depend on the number of threads.
    hidden : sequence of int, optional
        Units of each hidden layer; by default members alternate between two and three layers.
    activation : {"tanh", "silu", "softplus"}
    members : int
        Networks in the ensemble, trained side by side on the cores; each leaves out a share of 2 / members of the
        rows until its stopping point is chosen.
    deadline : float, optional
        A reading of ``time.monotonic()``; members not begun by then are left out.
    watch : callable, optional
        Called with every state, ``notes["member"]`` telling whose; from several threads.
    execution : Local, optional
        The threads to use.

    Returns
    -------
    list of Trained
        At least one; their ``noise`` is the same, measured on rows left out.

    Raises
    ------
    FitError
        If there are no rows, or no member could be trained.

    Examples
    --------
    >>> from halfsquare.data.rows import ArrayRows
    >>> x = np.linspace(-2, 2, 60)[:, None]
    >>> trained = train_network(ArrayRows(x, np.sin(2 * x)), members=3, hidden=(5,))
    >>> mean, variance = predictive(trained, np.array([[0.5]]))
    >>> mean.round(2).tolist()
    [[0.84]]
    """
    execution = execution or Local()
    n = rows.row_count
    if n < 2:
        raise FitError(f"a network needs at least 2 rows, found {n}")
    lanes = min(execution.workers, members)
    first = rows.chunk(0)
    inputs, targets = first.design.shape[1], first.target.shape[1]
    shapes = (tuple(hidden),) if hidden is not None else _SHAPES
    networks = tuple(Network(inputs, shape, targets, activation, tuple(input_names)) for shape in shapes)
    folds = Folds.deal(n, members, seed)
    threads = Local(max(1, execution.workers // lanes))
    plan = _Plan(networks, rows, folds, seed, members, lanes, deadline, threads, input_groups)
    runs = _side_by_side(lambda i, stop: plan.descend(i, _relayed(watch, i, stop)), members, lanes)
    begun = [run for run in runs if run is not None and np.isfinite(run.state.loss)]
    if not begun:
        raise FitError("no network could be trained on these rows: the loss is not finite at any start")
    chosen, judgement = _stopping_point(begun, plan)
    if folds is not None and not any(run.interrupted for run in begun):

        def finish(i: int, stop: Event) -> _Run:
            return plan.finish(chosen[i], _relayed(watch, i, stop))

        chosen = _side_by_side(finish, len(chosen), lanes)
    return _with_noise([plan.trained(run) for run in chosen], judgement)


def predictive(members: Sequence[Trained], design: Floats) -> tuple[Floats, Floats]:
    """Mean (n, k) and variance (n, k) of the target: noise + parameters + spread of the members."""
    each = [outputs_and_variance(m.model, m.parameters, m.covariance, design) for m in members]
    outputs, parameters = (np.array(part) for part in zip(*each, strict=True))
    noise = np.mean([m.noise for m in members], axis=0)
    return outputs.mean(axis=0), noise + parameters.mean(axis=0) + outputs.var(axis=0)


@dataclass(frozen=True)
class _Run:
    """A member on its way."""

    member: int
    network: Network
    state: State
    history: list[Record]

    @property
    def interrupted(self) -> bool:
        return self.state.stopped == "stopped: interrupted"

    @property
    def planned(self) -> bool:
        """Whether all the steps there were to take have been taken."""
        return (self.state.stopped or "").startswith("stopped: the limit of ")


@dataclass(frozen=True)
class _Plan:
    """What every member is trained from."""

    networks: tuple[Network, ...]
    rows: Rows
    folds: Folds | None
    seed: int
    members: int
    lanes: int
    deadline: float | None
    execution: Local
    input_groups: Sequence[int] | None

    def descend(self, member: int, watch: Watch) -> _Run | None:
        """A member trained on the rows it may see; None if there is no time to begin."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline and member > 0:
            return None
        # What time is left is shared evenly among the members still to come on this lane; a part is kept to finish.
        rounds = -(-(self.members - member) // self.lanes)
        deadline = None if self.deadline is None else now + 0.7 * (self.deadline - now) / rounds
        network = self.networks[member % len(self.networks)]
        start = network.initial_parameters(np.random.default_rng([self.seed, 1, member]))
        objective = Objective(network, self.seen_by(member), self.execution)
        limits = Limits(_ITERATIONS, deadline)
        state, history = descend(self.method(network), objective, start, limits=limits, watch=watch)
        return _Run(member, network, state, history)

    def finish(self, run: _Run, watch: Watch) -> _Run:
        """The member after a few more steps on all rows, with the penalties it has found."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return run
        method = self.method(run.network)
        objective = Objective(run.network, self.rows, self.execution)
        begun = method.resume(objective, run.state.parameters, belief_of(run.state))
        now = time.monotonic()
        deadline = None if self.deadline is None else now + 0.5 * (self.deadline - now)
        limits = Limits(_LAST_ITERATIONS, deadline)
        state, history = descend(method, objective, begun, limits=limits, watch=watch)
        done = run.state.iteration
        history = [replace(record, iteration=done + record.iteration) for record in history]
        if state.stopped != "stopped: interrupted":
            state = replace(state, stopped=run.state.stopped, converged=run.state.converged)
        return replace(run, state=replace(state, iteration=done + state.iteration), history=[*run.history, *history])

    def method(self, network: Network) -> Evidence:
        return Evidence(network.groups(self.input_groups))

    def seen_by(self, member: int) -> Rows:
        return self.rows if self.folds is None else KeptRows.of(self.rows, ~self.folds.left_out(member))

    def held_out(self, run: _Run) -> HeldOutErrors | None:
        if self.folds is None:
            return None
        state, left_out = run.state, self.folds.left_out(run.member)
        return HeldOutErrors.of(run.network, state.parameters, covariance_of(state), self.rows, left_out)

    def judge(self, runs: Sequence[_Run]) -> Judgement | None:
        found = _side_by_side(lambda i, _: self.held_out(runs[i]), len(runs), self.lanes)
        return Judgement.of([errors for errors in found if errors is not None], self.rows.row_count)

    def trained(self, run: _Run) -> Trained:
        belief = belief_of(run.state)
        return Trained(
            model=run.network,
            parameters=run.state.parameters,
            covariance=covariance_of(run.state),
            noise=np.full(run.network.targets, belief.noise),
            effective_parameters=float(belief.effective.sum()),
            history=run.history,
            reason="stopped: where the rows left out favour it" if run.planned else run.state.stopped or "",
            converged=run.planned or run.state.converged,
            facts={
                "member": run.member,
                "hidden": list(run.network.hidden),
                "log_evidence": belief.log_evidence,
                "relevance": _relevance(run.network, run.state.parameters, self.rows, self.input_groups),
            },
        )


def _stopping_point(ends: list[_Run], plan: _Plan) -> tuple[list[_Run], Judgement | None]:
    """The members at the end of their descents, or where their evidence was highest: what held-out rows favour."""
    at_end = plan.judge(ends)
    if at_end is None:
        return [replace(run, state=highest_evidence(run.state)) for run in ends], None
    peaks = [replace(run, state=highest_evidence(run.state)) for run in ends]
    at_peak = plan.judge(peaks)
    if at_peak is not None and at_peak.ensemble.sum() < at_end.ensemble.sum():
        return peaks, at_peak
    return ends, at_end


def _with_noise(ensemble: list[Trained], judgement: Judgement | None) -> list[Trained]:
    """The members with the noise, and if need be the covariance, that make the ensemble's variance right."""
    if judgement is None:
        return ensemble
    mse = np.maximum(judgement.ensemble, 0.1 * judgement.single) + judgement.between / len(ensemble)
    noise = np.maximum(mse - judgement.between - judgement.parameters, 0.5 * mse)
    # Where spread and parameters alone explain more than there is, the parameters are surer than they claim.
    room = float(np.mean((mse - noise - judgement.between) / np.maximum(judgement.parameters, 1e-300)))
    share = min(max(room, 0.0), 1.0)
    facts = {
        "held_out_mse": float(judgement.single.mean()),
        "held_out_ensemble_mse": float(mse.mean()),
        "held_out_rows": judgement.rows,
    }
    return [
        replace(
            m,
            noise=noise,
            covariance=None if m.covariance is None else share * m.covariance,
            held_out=judgement.held_out(len(ensemble)),
            facts={**m.facts, **facts},
        )
        for m in ensemble
    ]


def _relevance(network: Network, parameters: Floats, rows: Rows, groups: Sequence[int] | None) -> list[float]:
    """The share of each input group in the mean square slope of the outputs over the first chunk's rows."""
    design = rows.chunk(0).design[:2048]
    squares = (network.input_jacobian(parameters, design) ** 2).mean(axis=(0, 1)) * design.var(axis=0)
    by_group = np.bincount(np.arange(network.inputs) if groups is None else np.asarray(groups), squares)
    total = float(by_group.sum())
    return [float(share) for share in (by_group / total if total > 0 else by_group)]


def _relayed(watch: Watch | None, member: int, stop: Event) -> Watch:
    """``watch`` told whose state it sees; an interruption of the ensemble ends the member's descent."""

    def relay(state: State) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        if watch is not None:
            watch(replace(state, notes={**state.notes, "member": float(member)}))

    return relay


def _side_by_side(work: Callable[[int, Event], T], count: int, lanes: int) -> list[T]:
    """``work(i, stop)`` for each i on ``lanes`` threads; Ctrl-C asks all to stop and returns what they have."""
    stop = Event()
    with one_blas_thread(), ThreadPoolExecutor(lanes) as pool:
        waiting = [pool.submit(work, i, stop) for i in range(count)]
        try:
            return [task.result() for task in waiting]
        except KeyboardInterrupt:
            stop.set()
            for task in waiting[1:]:
                task.cancel()
            return [task.result() for task in waiting if not task.cancelled()]
        except BaseException:
            stop.set()
            raise
