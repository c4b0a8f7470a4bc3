"""Training a network: an ensemble of members, each leaving out its own part of the rows.

Member i is trained on all rows but those of fold i, from its own random start, its penalties set by the
evidence. The folds do three things at once: members differ, so their average is better than each; the errors
on the rows a member has not seen give an honest noise; and they are the cross-validated error that models are
compared by.

    ensemble mean     ō = 1/M Σ o_i
    ensemble MSE      1/M Σ MSE_i - spread          (Krogh & Vedelsby 1995, eq. 5: the ambiguity decomposition)
    variance          noise + parameters + spread,  parameters: J C Jᵀ averaged,  spread: 1/M Σ (o_i - ō)²
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import Chunk, Rows
from halfsquare.descent.base import State
from halfsquare.descent.evidence import Evidence, belief_of, covariance_of
from halfsquare.descent.loop import Limits, Watch, descend
from halfsquare.errors import FitError
from halfsquare.execution.local import Local, one_blas_thread
from halfsquare.loss import Floats, error
from halfsquare.models.network import Network
from halfsquare.objective import Objective
from halfsquare.trainers.base import Trained

Mask = npt.NDArray[np.bool_]

# With fewer rows than this for each member, nothing is left out: a fold would be too few rows to judge by.
_LEAST_ROWS_IN_FOLD = 4
_ITERATIONS = 300


@dataclass(frozen=True)
class KeptRows(Rows):
    """Those of ``rows`` where ``kept`` (n,) is true, chunk by chunk."""

    rows: Rows
    kept: Mask
    starts: tuple[int, ...]  # the first row of each chunk

    @classmethod
    def of(cls, rows: Rows, kept: Mask) -> KeptRows:
        lengths = [len(rows.chunk(i).target) for i in range(rows.chunk_count)]
        return cls(rows, kept, tuple(np.cumsum([0, *lengths]).tolist()))

    @property
    def row_count(self) -> int:
        return int(self.kept.sum())

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    def chunk(self, index: int) -> Chunk:
        whole = self.rows.chunk(index)
        kept = self.kept[self.starts[index] : self.starts[index + 1]]
        return Chunk(whole.design[kept], whole.target[kept], None if whole.weight is None else whole.weight[kept])


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
        Units of each hidden layer.
    activation : {"tanh", "silu", "softplus"}
    members : int
        Networks in the ensemble, trained side by side on the cores.
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
    first = rows.chunk(0)
    network = Network(
        first.design.shape[1],
        tuple(hidden) if hidden is not None else (16, 16),
        first.target.shape[1],
        activation,
        tuple(input_names),
    )
    folds = _folds(n, members, seed)
    lanes = min(execution.workers, members)
    plan = _Plan(network, rows, folds, seed, deadline, Local(max(1, execution.workers // lanes)), input_groups)
    finished = _side_by_side(lambda i, stop: plan.train(i, members, lanes, _relayed(watch, i, stop)), members, lanes)
    ensemble = [trained for trained in finished if trained is not None]
    if not ensemble:
        raise FitError("no network could be trained on these rows: the loss is not finite at any start")
    return _with_held_out(ensemble, rows, folds)


def predictive(members: Sequence[Trained], design: Floats) -> tuple[Floats, Floats]:
    """Mean (n, k) and variance (n, k) of the target: noise + parameters + spread of the members."""
    outputs, parameters = zip(*(_outputs_and_variance(m, design) for m in members), strict=True)
    mean = np.mean(outputs, axis=0)
    noise = np.mean([m.noise for m in members], axis=0)
    return mean, noise + np.mean(parameters, axis=0) + np.var(outputs, axis=0)


@dataclass(frozen=True)
class _Plan:
    """What every member is trained from."""

    network: Network
    rows: Rows
    folds: npt.NDArray[np.intp] | None
    seed: int
    deadline: float | None
    execution: Local
    input_groups: Sequence[int] | None

    def train(self, member: int, members: int, lanes: int, watch: Watch) -> Trained | None:
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline and member > 0:
            return None
        # What time is left is shared evenly among the members still to come on this lane.
        rounds = -(-(members - member) // lanes)
        deadline = None if self.deadline is None else now + (self.deadline - now) / rounds
        rows = self.rows if self.folds is None else KeptRows.of(self.rows, self.folds != member)
        method = Evidence(self.network.groups(self.input_groups))
        objective = Objective(self.network, rows, self.execution)
        start = self.network.initial_parameters(np.random.default_rng([self.seed, member]))
        state, history = descend(method, objective, start, limits=Limits(_ITERATIONS, deadline), watch=watch)
        if not np.isfinite(state.loss):
            return None
        belief = belief_of(state)
        return Trained(
            model=self.network,
            parameters=state.parameters,
            covariance=covariance_of(state),
            noise=np.full(self.network.targets, belief.noise),
            effective_parameters=float(belief.effective.sum()),
            history=history,
            reason=state.stopped or "",
            converged=state.converged,
            facts={
                "member": member,
                "hidden": list(self.network.hidden),
                "log_evidence": belief.log_evidence,
                "relevance": _relevance(self.network, state.parameters, self.rows, self.input_groups),
            },
        )


def _folds(n: int, members: int, seed: int) -> npt.NDArray[np.intp] | None:
    """The member (n,) that each row is left out of, or None where there are too few rows to leave any out."""
    if members < 2 or n < _LEAST_ROWS_IN_FOLD * members:
        return None
    return np.random.default_rng(seed).permutation(n) % members


def _with_held_out(ensemble: list[Trained], rows: Rows, folds: npt.NDArray[np.intp] | None) -> list[Trained]:
    """The members with the noise that makes the ensemble's variance right on the rows left out."""
    if folds is None:
        return ensemble
    start, sums = 0, np.zeros((3, ensemble[0].model.outputs_count))
    weight = 0.0
    for index in range(rows.chunk_count):
        chunk = rows.chunk(index)
        fold = folds[start : start + len(chunk.target)]
        start += len(chunk.target)
        outputs = np.array([m.model.outputs(m.parameters, chunk.design) for m in ensemble])
        spread = outputs.var(axis=0)
        for m, o in zip(ensemble, outputs, strict=True):
            out = fold == m.facts["member"]
            w = np.ones(int(out.sum())) if chunk.weight is None else chunk.weight[out]
            squares = error(chunk.target[out], o[out]) ** 2
            sums += [w @ squares, w @ spread[out], w @ _outputs_and_variance(m, chunk.design[out])[1]]
            weight += float(w.sum())
    if not weight > 0:
        return ensemble
    mse, spread, parameters = sums / weight
    # The ensemble's MSE is mse - spread; of it the noise is what parameters and spread do not explain.
    least = 0.5 * np.mean([m.noise for m in ensemble], axis=0)
    noise = np.maximum(mse - 2.0 * spread - parameters, least)
    held_out = {"held_out_mse": float(np.mean(mse)), "held_out_spread": float(np.mean(spread))}
    return [replace(m, noise=noise, facts={**m.facts, **held_out}) for m in ensemble]


def _outputs_and_variance(member: Trained, design: Floats, block: int = 1024) -> tuple[Floats, Floats]:
    """A member's outputs (n, k) and their variance J C Jᵀ (n, k) from the uncertainty of its parameters."""
    if member.covariance is None:
        known = member.model.outputs(member.parameters, design)
        return known, np.zeros_like(known)
    outputs: list[Floats] = []
    variances: list[Floats] = []
    for start in range(0, max(len(design), 1), block):
        o, j = member.model.outputs_and_jacobian(member.parameters, design[start : start + block])
        variances.append(np.einsum("nkp,nkp->nk", j @ member.covariance, j))
        outputs.append(o)
    return np.concatenate(outputs), np.concatenate(variances)


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


def _side_by_side(work: Callable[[int, Event], Any], count: int, lanes: int) -> list[Any]:
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
