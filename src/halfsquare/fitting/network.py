"""Training a network: an ensemble of members, each leaving out its own part of the rows.

Each member descends from its own random start, its penalties set by the evidence, on all rows but
those of its fold. An average of networks is best when each fits a little closer than it would if it
stood alone, so two stopping points are kept, the highest evidence and the end of the descent, and
the errors on the rows left out decide for all members together. Then each member takes a few more
steps on all rows.

    variance  =  noise + parameters + spread
    parameters: J C Jᵀ averaged;  spread: 1/M Σ (o_i - ō)²

The noise is what the error on rows left out has beyond the other two (see
:mod:`halfsquare.fitting.folds`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Literal, TypeVar, final

import numpy as np

from halfsquare.data.encoder import EncodedRows
from halfsquare.data.rows import Rows
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.ensemble import better, predictive, stopping_point, with_noise
from halfsquare.fitting.folds import Folds
from halfsquare.fitting.minibatch_member import ByMinibatches
from halfsquare.fitting.network_member import ByEvidence, Run, Way
from halfsquare.fitting.options import Recipe
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.trained import Trained
from halfsquare.solvers.base import State
from halfsquare.solvers.journal import NO_JOURNAL, Journal
from halfsquare.solvers.loop import Limits, Watch

__all__ = ["predictive", "train_network"]

T = TypeVar("T")
Method = Literal["auto", "levenberg-marquardt", "minibatch"]

_MANY_ROWS = 5000  # from here on both ways are tried, and fewer members suffice
_VERY_MANY_ROWS = 500_000
_MOST_PARAMETERS = 800  # of a member for Levenberg-Marquardt: its steps cost p² a row and p³ once
_MOST_WORK = 2e10  # of one of its iterations, n p²
# Hidden units of a layer, the first that fits: few enough for the method, and for the rows to have
# a say in each parameter. Below the least the rows have no vote, the penalties see to that.
_WIDTHS, _LEAST_WIDTH = (16, 14, 12, 10, 8, 6, 5, 4), 6
_SHARE = 0.6  # parameters for each number in the target, at most
_ITERATIONS = {"levenberg-marquardt": 85, "minibatch": 300}


def train_network(
    rows: Rows,
    *,
    input_groups: Sequence[int] | None = None,
    input_names: Sequence[str] = (),
    seed: int = 0,
    hidden: Sequence[int] | None = None,
    activation: str | None = None,
    method: Method = "auto",
    members: int | None = None,
    deadline: float | None = None,
    watch: Watch | None = None,
    journal: Journal = NO_JOURNAL,
    execution: Execution | None = None,
) -> list[Trained]:
    """Train an ensemble of networks on standardized rows.

    Parameters
    ----------
    rows : Rows
        Design (n, d) and target (n, k), both with mean about 0 and standard deviation about 1.
    input_groups : sequence of int, optional
        The group of each design column: columns of one input (one-hot levels, a missing indicator)
        share a penalty and a relevance. By default each column is its own.
    input_names : sequence of str
        Names of the design's columns.
    seed : int
        Fixes folds and starts; the result does not depend on the number of threads.
    hidden : sequence of int, optional
        Units of each hidden layer; by default members alternate between two and three layers, of
        fewer units where rows are few.
    activation : {"tanh", "silu", "softplus"}, optional
        By default tanh for Levenberg-Marquardt, SiLU for mini-batches.
    method : {"auto", "levenberg-marquardt", "minibatch"}
        By default Levenberg-Marquardt where rows and parameters are few enough; where rows are
        many, the first two members are trained one each way, and what predicts better on rows left
        out trains the rest.
    members : int, optional
        Networks in the ensemble, trained side by side on the cores; each leaves out a share of 2 /
        members of the rows (of many a tenth or less) until its stopping point is chosen. By default
        10, 6 where rows are many, and 4 where they are so many that members hardly differ.
    deadline : float, optional
        A reading of ``time.monotonic()``; members not begun by then are left out.
    watch : callable, optional
        Called with every state, ``notes["member"]`` telling whose; from several threads.
    journal : Journal
        Where the members' states are kept.
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
    if method not in ("auto", *_ITERATIONS):
        raise OptionError(
            f"unknown method {method!r} for a network: expected auto, levenberg-marquardt or "
            "minibatch"
        )
    many = n >= _MANY_ROWS
    members = members or (10 if not many else 6 if n < _VERY_MANY_ROWS else 4)
    first = rows.chunk(0)
    networks = _networks(
        n,
        first.design.shape[1],
        first.target.shape[1],
        hidden,
        activation,
        tuple(input_names),
        method,
    )
    ways: dict[str, Way] = {
        "levenberg-marquardt": ByEvidence(input_groups),
        "minibatch": ByMinibatches(seed),
    }
    lanes, threads = execution.lanes(members)
    folds = Folds.deal(n, members, seed, least=10 if many else 0)
    plan = _Plan(networks, ways, rows, folds, seed, members, lanes, deadline, threads, journal)

    ended = Event()  # by the one who watches: what has not begun by then is left out

    def train(name: str) -> Callable[[int, Event], Run | None]:
        def one(member: int, stop: Event) -> Run | None:
            return (
                None
                if ended.is_set()
                else plan.train(member, name, _relayed(watch, member, stop, ended))
            )

        return one

    names = list(networks)
    if len(names) == 1 or members < 4:
        runs = _side_by_side(train(names[0]), range(members), lanes)
    else:
        pilots = _side_by_side(lambda i, stop: train(names[i])(i, stop), range(2), lanes)
        tried, names = better([run for run in pilots if run is not None], names)
        rest = _side_by_side(
            lambda i, stop: train(names[i % len(names)])(i, stop), range(2, members), lanes
        )
        runs = [*tried, *rest]
    found = [run for run in runs if run is not None and np.isfinite(run.stops[0].state.loss)]
    if not found:
        raise FitError(
            "no network could be trained on these rows: the loss is not finite at any start"
        )
    stop_at, judgement = stopping_point(found, n)
    if folds is not None and not any(run.interrupted for run in found):
        found = _side_by_side(
            lambda i, stop: plan.finish(found[i], stop_at, _relayed(watch, i, stop, ended)),
            range(len(found)),
            lanes,
        )
    else:
        found = [
            replace(run, stops=(run.stops[min(stop_at, len(run.stops) - 1)],)) for run in found
        ]
    return with_noise([plan.trained(run, input_groups) for run in found], judgement)


def _networks(
    n: int,
    inputs: int,
    targets: int,
    hidden: Sequence[int] | None,
    activation: str | None,
    names: tuple[str, ...],
    method: Method,
) -> dict[str, tuple[Network, ...]]:
    """The networks that members of each method alternate between; the methods that are worth
    trying.
    """
    found: dict[str, tuple[Network, ...]] = {}
    if method != "minibatch":
        # Many rows have more to say than a very small network can: there mini-batches are the
        # better way.
        least = 8 if method == "auto" and n >= _MANY_ROWS else 1
        ladder = (
            [[(w, w), (3 * w // 4,) * 3] for w in _WIDTHS if w >= least]
            if hidden is None
            else [[tuple(hidden)]]
        )
        for shapes in ladder:
            made = tuple(
                Network(inputs, shape, targets, activation or "tanh", names) for shape in shapes
            )
            p = max(network.parameter_count for network in made)
            unsure = hidden is None and shapes[0][0] > _LEAST_WIDTH and p > _SHARE * n * targets
            dear = method == "auto" and (p > _MOST_PARAMETERS or n * targets * p**2 > _MOST_WORK)
            if not unsure and not dear:
                found["levenberg-marquardt"] = made
                break
    if method == "minibatch" or (method == "auto" and (n >= _MANY_ROWS or not found)):
        shape = (128,) * 3 if hidden is None else tuple(hidden)
        found["minibatch"] = (Network(inputs, shape, targets, activation or "silu", names),)
    return found


@dataclass(frozen=True)
class _Plan:
    """What every member is trained from."""

    networks: dict[str, tuple[Network, ...]]
    ways: dict[str, Way]
    rows: Rows
    folds: Folds | None
    seed: int
    members: int
    lanes: int
    deadline: float | None
    execution: Execution
    journal: Journal

    def train(self, member: int, name: str, watch: Watch) -> Run | None:
        """A member trained on the rows it may see; None if there is no time to begin."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline and member > 0:
            return None
        # What time is left is shared evenly among the members still to come on this lane; a part is
        # kept to finish.
        rounds = -(-(self.members - member) // self.lanes)
        deadline = None if self.deadline is None else now + 0.7 * (self.deadline - now) / rounds
        network = self.networks[name][member % len(self.networks[name])]
        start = network.initial_parameters(np.random.default_rng([self.seed, 1, member]))
        n = self.rows.row_count
        left_out = np.zeros(n, dtype=bool) if self.folds is None else self.folds.left_out(member)
        limits = Limits(_ITERATIONS[name], deadline)
        journal = self.journal.at(f"member {member}, {name}")
        return self.ways[name].train(
            member, network, start, self.rows, left_out, limits, watch, journal, self.execution
        )

    def finish(self, run: Run, stop_at: int, watch: Watch) -> Run:
        """The member after a few more steps on all rows, if there is time."""
        now = time.monotonic()
        late = self.deadline is not None and now >= self.deadline
        deadline = None if self.deadline is None else now + 0.5 * (self.deadline - now)
        if late:
            return replace(run, stops=(run.stops[min(stop_at, len(run.stops) - 1)],))
        journal = self.journal.at(f"member {run.member}, {run.way.name}, all rows")
        return run.way.finish(run, stop_at, self.rows, deadline, watch, journal, self.execution)

    def trained(self, run: Run, input_groups: Sequence[int] | None) -> Trained:
        facts = {
            "member": run.member,
            "method": run.way.name,
            "hidden": list(run.network.hidden),
            "relevance": _relevance(
                run.network, run.stops[0].state.parameters, self.rows, input_groups
            ),
        }
        return run.way.trained(run, facts)


def _relevance(
    network: Network, parameters: Floats, rows: Rows, groups: Sequence[int] | None
) -> list[float]:
    """The share of each input group in the mean square slope of the outputs over the first chunk's
    rows.
    """
    design = rows.chunk(0).design[:2048]
    squares = (network.input_jacobian(parameters, design) ** 2).mean(axis=(0, 1)) * design.var(
        axis=0
    )
    by_group = np.bincount(
        np.arange(network.inputs) if groups is None else np.asarray(groups), squares
    )
    total = float(by_group.sum())
    return [float(share) for share in (by_group / total if total > 0 else by_group)]


def _relayed(watch: Watch | None, member: int, stop: Event, ended: Event) -> Watch:
    """``watch`` told whose state it sees; an interruption of the ensemble ends the member's
    descent.
    """

    def relay(state: State) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        if watch is not None:
            try:
                watch(replace(state, notes={**state.notes, "member": float(member)}))
            except KeyboardInterrupt:
                ended.set()
                raise

    return relay


def _side_by_side(work: Callable[[int, Event], T], items: Sequence[int], lanes: int) -> list[T]:
    """``work(i, stop)`` for each item on ``lanes`` threads; Ctrl-C asks all to stop and returns
    what they have.
    """
    stop = Event()
    with one_blas_thread(), ThreadPoolExecutor(max(1, lanes)) as pool:
        waiting = [pool.submit(work, i, stop) for i in items]
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


@final
class NetworkRecipe(Recipe):
    """Standardized columns, small networks side by side, penalties set by the evidence."""

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt", "minibatch"):
            raise OptionError(
                f"unknown method {self.options.method!r} for a network: expected "
                "levenberg-marquardt or minibatch"
            )
        if self.options.l2 not in (0, "auto"):
            raise OptionError(
                "a network sets its penalties by the evidence; l2 is for the linear model"
            )

    def train(self, rows: EncodedRows) -> FittedModel:
        return self.train_sized(rows)[0]

    def train_sized(
        self,
        rows: EncodedRows,
        hidden: tuple[int, ...] | None = None,
        count: int | None = None,
        method: str | None = None,
    ) -> tuple[FittedModel, list[Trained]]:
        """The fitted model of an ensemble of that size (the default one if left out), and its
        members.
        """
        members = self._members(
            rows, hidden, count, method or self.options.method or self._any_method()
        )
        methods = " and ".join(dict.fromkeys(m.facts["method"] for m in members))
        return self.fitted(rows, members, "network", methods, **_described(members, rows)), members

    def _any_method(self) -> str:
        return "auto" if self.execution.serves_batches else "levenberg-marquardt"

    def _members(
        self, rows: EncodedRows, hidden: tuple[int, ...] | None, count: int | None, method: Any
    ) -> list[Trained]:
        encoder = rows.encoder
        groups = [
            g for g, (_, first, stop) in enumerate(encoder.groups) for _ in range(first, stop)
        ]
        return train_network(
            rows,
            input_groups=groups,
            input_names=encoder.names,
            seed=self.options.seed,
            hidden=hidden,
            members=count,
            method=method,
            deadline=self.deadline,
            watch=self.watch,
            journal=self.journal,
            execution=self.execution,
        )


def _described(members: list[Trained], rows: EncodedRows) -> dict[str, Any]:
    relevance = np.mean([m.facts["relevance"] for m in members], axis=0)
    columns = [column for column, _, _ in rows.encoder.groups]
    return {
        "members": [
            {
                "hidden": m.facts["hidden"],
                "reason": m.reason,
                "effective_parameters": m.effective_parameters,
                "parameters": len(m.parameters),
                "log_evidence": m.facts["log_evidence"],
            }
            for m in members
        ],
        "relevance": {c: float(r) for c, r in zip(columns, relevance, strict=True)},
    }
