"""Networks behind scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import MultiOutputMixin

from halfsquare.data.encoder import Encoder
from halfsquare.data.reading import open_for, read_encoded
from halfsquare.data.rows import ArrayRows
from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError, ShapeError
from halfsquare.estimators.base import TableRegressor
from halfsquare.estimators.table import Given, given
from halfsquare.fitting.blend import some_design
from halfsquare.fitting.family import Family
from halfsquare.fitting.fit_family import scanned_rows
from halfsquare.fitting.network import NetworkFamily, groups_of_inputs
from halfsquare.fitting.options import Request
from halfsquare.fitting.train_network import relevance_of
from halfsquare.loss import Floats, error
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Training
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.adam import Adam, AdamMemory
from halfsquare.solvers.base import Reason, State, Termination
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run, Seed, Stream
from halfsquare.sums import ErrorSummary, ErrorSums


class NetworkRegressor(MultiOutputMixin, TableRegressor):  # type: ignore[misc]
    """An ensemble of small networks with nothing to tune, trained by second-order descent.

    Penalties are set by the evidence, one for each input; see :mod:`halfsquare.fitting.network`.

    Parameters
    ----------
    hidden : sequence of int, optional
        Units of each hidden layer; by default members alternate between two and three layers.
    activation : {"tanh", "silu", "softplus"}, optional
        By default tanh for Levenberg-Marquardt, SiLU for mini-batches.
    members : int, optional
        Networks in the ensemble; by default 10, or 6 where rows are many.
    method : {"auto", "levenberg-marquardt", "minibatch"}
        See :func:`halfsquare.fitting.network.train_network`.
    target_transform : {"none", "log", "sqrt", "yeo-johnson", "auto"}
        What is fitted in place of y; outputs are means of y. See :func:`halfsquare.fit`.
    weights : {"counts", "sigma", "precision"}
        What ``sample_weight`` holds; see :mod:`halfsquare.data.weighting`.
    time_limit : float, optional
        Seconds; members not begun by then are left out.
    random_state : int
        Fixes starts and folds; the result does not depend on the number of threads.
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    fitted_ : FittedModel
        What :func:`halfsquare.fit` returns; after ``partial_fit`` its errors are those on the
        rows of the last call, before they were learnt from.
    members_ : list of Trained
    relevance_ : (d,)
        The share of each column in what moves the output, averaged over the members.
    n_iter_ : int
        Steps of the first member's descent.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-2, 2, 60)[:, None]
    >>> model = NetworkRegressor(hidden=(5,), members=3).fit(X, np.sin(2 * X[:, 0]))
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> round(float(mean[0]), 1), bool(std[0] < 0.2)
    (0.8, True)
    """

    _fewest = 2

    _state: State[AdamMemory]  # where partial_fit stands
    _encoder: Encoder
    _network: Network

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        members: int | None = None,
        method: Literal["auto", "levenberg-marquardt", "minibatch"] = "auto",
        target_transform: str = "none",
        weights: Weighting = "counts",
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.members = members
        self.method = method
        self.target_transform = target_transform
        self.weights = weights
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _family(self) -> Family:
        return self._of_transform(self._network_family())

    def _network_family(self) -> NetworkFamily:
        method = None if self.method == "auto" else self.method
        hidden = None if self.hidden is None else tuple(self.hidden)
        options = self._options("network", method=method)
        return NetworkFamily(options, hidden, self.activation, self.members)

    def _fit_table(self, rows: Given) -> None:
        self.__dict__.pop("_state", None)  # of partial_fit
        super()._fit_table(rows)

    def _describe(self) -> None:
        training = self.fitted_.record.training
        self.members_ = list(self.fitted_.members)
        self.relevance_ = self._by_column(training.relevance)
        self.n_iter_ = training.history[-1].iteration

    def partial_fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """One pass of mini-batch descent over some rows, going on from where the last call ended.

        The first call fixes how columns are read and encoded, units (its means and spreads) and the
        network, a single one: ``hidden`` or (128, 128, 128), SiLU unless ``activation`` is set. The
        noise is what each call's rows show before they are learnt from. A call of ``fit`` begins
        anew.

        Raises
        ------
        ValueError
            If a value is infinite, or the columns are others than the first call's.
        """
        first = not hasattr(self, "_state")
        if self.target_transform != "none":
            raise OptionError("partial_fit learns y as it is: leave target_transform out")
        if self.weights != "counts":
            raise OptionError("partial_fit adds rows up, so its weights are counts")
        new = given(self, X, y, sample_weight, first=first)
        if first:
            self._begin(new)
        encoder, network = self._encoder, self._network
        if len(new.targets) != network.outputs_count:
            raise ShapeError(
                f"y has {len(new.targets)} outputs; the rows before had {network.outputs_count}"
            )
        rows = _encoded(encoder, new)
        seed = Seed(self._seed()).child(Stream.MEMBER, 0)
        run = Run(Local(1), seed=seed)
        objective = Objective(network, rows, run.execution, np.full(network.parameter_count, 0.1))
        solver = Adam(objective, seed=seed)
        if first:
            start = network.initial_parameters(seed.generator(Stream.START))
            state = solver.begin(objective, start)
        else:
            state = solver.resume(objective, self._state)
        errors = self._learn_noise(rows, state.parameters)
        self._state, history = descend(
            solver, objective, state, run, iterations=state.iteration + 1
        )
        iteration, parameters = self._state.iteration, self._state.parameters
        relevance = relevance_of(network, parameters, some_design(rows), groups_of_inputs(encoder))
        member = Trained(
            network,
            parameters,
            None,
            self._noise,
            float(network.parameter_count),
            self._state.stopped or Termination(Reason.ITERATION_LIMIT, iteration),
            NetworkFacts(
                member=0,
                method="minibatch",
                hidden=network.hidden,
                relevance=tuple(relevance.tolist()),
            ),
        )
        columns = [column for column, _, _ in encoder.groups]
        shares = dict(zip(columns, relevance.tolist(), strict=True))
        training = Training("network", "minibatch", history=tuple(history), relevance=shares)
        record = self._record(training, encoder.targets, rows.weighted, errors)
        self._keep(FittedModel(encoder, (member,), record))
        return self

    def _begin(self, rows: Given) -> None:
        """Fix what the rows of the first call decide."""
        self._names, self._flat = rows.features, rows.flat
        request = Request(rows.targets, rows.weight, rows.weighting)
        encoder = scanned_rows(self._family(), rows.spec, request).encoder
        shape = (128,) * 3 if self.hidden is None else tuple(self.hidden)
        outputs = len(rows.targets)
        self._encoder = encoder
        self._network = Network(len(encoder.names), shape, outputs, self.activation or "silu")
        self._seen, self._noise = 0.0, np.zeros(outputs)

    def _learn_noise(self, rows: ArrayRows, parameters: Floats) -> ErrorSummary:
        """Add the errors on rows not yet learnt from to the running mean square; what they come to
        by themselves, in the unit of the target.
        """
        w = np.ones(len(rows.target)) if rows.weight is None else rows.weight
        output, scales = self._network.outputs(parameters, rows.design), self._encoder.target_scales
        e = error(rows.target, output)
        # Errors of long ago are those of a worse network: each call forgets a tenth of what came
        # before.
        kept = 0.9 * self._seen
        self._seen = kept + float(w.sum())
        self._noise = (kept * self._noise + w @ (e * e)) / max(self._seen, np.finfo(float).tiny)
        sums = ErrorSums.zero(e.shape[1])
        return sums.add(rows.target * scales, output * scales, rows.weight).finish()


def _encoded(encoder: Encoder, rows: Given) -> ArrayRows:
    """The rows as the encoder takes them, in memory; their targets may have other names."""
    called = dict(zip(rows.targets, encoder.targets, strict=True))
    table = rows.table.rename_columns([called.get(n, n) for n in rows.table.column_names])
    source = open_for(encoder, table)
    batches = list(read_encoded(source, encoder, with_target=True, weight=rows.weight))
    x = np.concatenate([b.design for b in batches])
    t = np.concatenate([b.target for b in batches if b.target is not None])
    t = (t - encoder.target_means) / encoder.target_scales
    weights = [b.weight for b in batches if b.weight is not None]
    if not weights:
        return ArrayRows(x, t)
    weight = np.concatenate(weights)
    return ArrayRows(x[weight > 0], t[weight > 0], weight[weight > 0])
