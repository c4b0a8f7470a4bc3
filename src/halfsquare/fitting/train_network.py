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

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Literal

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.blend import Sample, some_design
from halfsquare.fitting.ensemble import better, stopping_point, with_noise
from halfsquare.fitting.folds import Folds
from halfsquare.fitting.member import EvidenceTrainer, MemberFit, MemberTrainer
from halfsquare.fitting.member_minibatch import MinibatchTrainer
from halfsquare.fitting.network_sizes import MANY_ROWS, VERY_MANY_ROWS, networks_to_try
from halfsquare.fitting.side_by_side import of_member, side_by_side
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.moments import Moments
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.run import Run, Stream

Method = Literal["auto", "levenberg-marquardt", "minibatch"]


@one_blas_thread()
def train_network(
    rows: Rows,
    run: Run | None = None,
    *,
    input_groups: Sequence[int] | None = None,
    input_names: Sequence[str] = (),
    hidden: Sequence[int] | None = None,
    activation: str | None = None,
    method: Method = "auto",
    members: int | None = None,
    passes: int | None = None,
) -> list[Trained[NetworkFacts]]:
    """Train an ensemble of networks on standardized rows.

    Parameters
    ----------
    rows : Rows
        Design (n, d) and target (n, k), both with mean about 0 and standard deviation about 1.
    run : Run, optional
        Its seed fixes folds and starts; the result does not depend on the number of threads.
        Members not begun by its deadline are left out; ``notes["member"]`` tells its callback whose
        state it sees, from several threads.
    input_groups : sequence of int, optional
        The group of each design column: columns of one input (one-hot levels, a missing indicator)
        share a penalty and a relevance. By default each column is its own.
    input_names : sequence of str
        Names of the design's columns.
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
    passes : int, optional
        Passes of mini-batches over the rows, at most.

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
    >>> from halfsquare.results.predictive import predictive
    >>> mean, variance = predictive(trained, np.array([[0.5]]))
    >>> mean.round(2).tolist()
    [[0.84]]
    """
    run = run or Run()
    n = rows.row_count
    if n < 2:
        raise FitError(f"a network needs at least 2 rows, found {n}")
    batches = MinibatchTrainer() if passes is None else MinibatchTrainer(iterations=passes)
    each: tuple[MemberTrainer, ...] = (EvidenceTrainer(input_groups), batches)
    trainers = {trainer.name: trainer for trainer in each}
    if method not in ("auto", *trainers):
        raise OptionError(
            f"unknown method {method!r} for a network: expected auto, levenberg-marquardt or "
            "minibatch"
        )
    many = n >= MANY_ROWS
    members = members or (10 if not many else 6 if n < VERY_MANY_ROWS else 4)
    networks = networks_to_try(rows, hidden, activation, tuple(input_names), method)
    lanes, threads = run.execution.lanes(members)
    random, least = run.seed.generator(Stream.FOLDS), 10 if many else 0
    folds = Folds.deal(n, members, random, least, rows.units)
    plan = _Plan(networks, trainers, rows, folds, members, lanes, replace(run, execution=threads))

    methods = list(networks)
    if len(methods) == 1 or members < 4:
        fits = plan.train(range(members), methods)
    else:
        tried, methods = better(plan.train(range(2), methods), methods)
        fits = [*tried, *plan.train(range(2, members), methods)]
    found = [fit for fit in fits if np.isfinite(fit.stops[0].state.loss)]
    if not found:
        raise FitError(
            "no network could be trained on these rows: the loss is not finite at any start"
        )
    stop_at, judgement = stopping_point(found, n)
    if folds is not None and not any(fit.interrupted for fit in found):
        found = plan.finish(found, stop_at)
    else:
        found = [fit.only(stop_at) for fit in found]
    trained = [fit.trainer.trained(fit, _relevance(fit, rows, input_groups)) for fit in found]
    return with_noise(trained, judgement)


@one_blas_thread()
def train_longer(
    members: Sequence[Trained[NetworkFacts]], rows: Rows, run: Run, groups: Sequence[int] | None
) -> list[Trained[NetworkFacts]]:
    """Members that were trained by Levenberg-Marquardt a few more steps on more rows.

    What the rows left out said of the noise stands: the new rows are like them, and more of them
    only make it a little smaller.
    """
    trainer = EvidenceTrainer(groups)
    lanes, threads = run.execution.lanes(len(members))
    plan = _Plan({}, {}, rows, None, len(members), lanes, replace(run, execution=threads))

    def one(at: int, stop: Event) -> Trained[NetworkFacts]:
        member = members[at]
        if plan.run.late or plan.ended.is_set():
            return member
        number = member.facts.member
        fit = trainer.again(member, rows, plan.of(number, stop).at(f"member {number}, more rows"))
        found = trainer.trained(fit, _relevance(fit, rows, groups))
        assert found.covariance is not None
        facts = replace(
            member.facts, relevance=found.facts.relevance, penalties=found.facts.penalties,
            log_evidence=found.facts.log_evidence,
        )  # fmt: skip
        covariance = facts.covariance_share * found.covariance
        return replace(found, noise=member.noise, covariance=covariance, facts=facts)

    return side_by_side(one, range(len(members)), lanes)


@dataclass(frozen=True)
class _Plan:
    """What every member is trained from.

    Attributes
    ----------
    run : Run
        Of one lane.
    ended : Event
        Set by a callback: what has not begun by then is left out.
    """

    networks: dict[str, tuple[Network, ...]]
    trainers: dict[str, MemberTrainer]
    rows: Rows
    folds: Folds | None
    members: int
    lanes: int
    run: Run
    ended: Event = field(default_factory=Event)

    def train(self, members: Sequence[int], methods: Sequence[str]) -> list[MemberFit]:
        """The members trained by each method in turn; without those there was no time to begin."""

        def one(member: int, stop: Event) -> MemberFit | None:
            if self.ended.is_set():
                return None
            return self._train(member, methods[member % len(methods)], stop)

        return [fit for fit in side_by_side(one, members, self.lanes) if fit is not None]

    def _train(self, member: int, method: str, stop: Event) -> MemberFit | None:
        """A member trained on the rows it may see; None if there is no time to begin."""
        if self.run.late and member > 0:
            return None
        # What time is left is shared evenly among the members still to come on this lane; a part is
        # kept to finish.
        run = self.of(member, stop).share(0.7 / -(-(self.members - member) // self.lanes))
        network = self.networks[method][member % len(self.networks[method])]
        start = network.initial_parameters(run.seed.generator(Stream.START))
        n = self.rows.row_count
        left_out = np.zeros(n, dtype=bool) if self.folds is None else self.folds.left_out(member)
        return self.trainers[method].train(
            member, network, start, self.rows, left_out, run.at(f"member {member}, {method}")
        )

    def finish(self, fits: Sequence[MemberFit], stop_at: int) -> list[MemberFit]:
        """The members after a few more steps on all rows, if there is time."""

        def one(at: int, stop: Event) -> MemberFit:
            fit = fits[at]
            if self.run.late:
                return fit.only(stop_at)
            run = self.of(fit.member, stop).share(0.5)
            run = run.at(f"member {fit.member}, {fit.trainer.name}, all rows")
            return fit.trainer.finish(fit, stop_at, self.rows, run)

        return side_by_side(one, range(len(fits)), self.lanes)

    def of(self, member: int, stop: Event) -> Run:
        """The run of a member: its own random streams, and a callback that is told whose states
        it sees.
        """
        return replace(
            self.run,
            seed=self.run.seed.child(Stream.MEMBER, member),
            callback=of_member(self.run.callback, member, stop, self.ended),
        )


def _relevance(fit: MemberFit, rows: Rows, groups: Sequence[int] | None) -> Floats:
    parameters = fit.stops[0].state.parameters
    return relevance_of(fit.network, parameters, some_design(rows), groups)


def relevance_of(
    network: Network, parameters: Floats, some: Sample, groups: Sequence[int] | None
) -> Floats:
    """The share of each input group in the mean square slope of the outputs over some rows."""
    slopes = some.share @ (network.input_jacobian(parameters, some.design) ** 2).mean(axis=1)
    variances = Moments.of(some.design, some.share).variance
    by_group: Floats = np.bincount(
        np.arange(network.inputs) if groups is None else np.asarray(groups), slopes * variances
    ).astype(np.float64)
    total = float(by_group.sum())
    return by_group / total if total > 0 else by_group
