"""Networks, and the automatic choice, behind scikit-learn's interface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import nan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from halfsquare.data.rows import ArrayRows
from halfsquare.errors import FitError, ShapeError
from halfsquare.estimators.rows import design_of, training_rows
from halfsquare.fitting.network import predictive, train_network
from halfsquare.loss import Floats, error
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.adam import Adam, AdamMemory
from halfsquare.solvers.base import Reason, State, Termination
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run, Seed, Stream
from halfsquare.sums import Moments


class NetworkRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
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
    time_limit : float, optional
        Seconds; members not begun by then are left out.
    random_state : int
        Fixes starts and folds; the result does not depend on the number of threads.
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    members_ : list of Trained
    relevance_ : (d,)
        Of each input, averaged over the members.
    n_iter_ : int
        Steps of the longest descent.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.linspace(-2, 2, 60)[:, None]
    >>> model = NetworkRegressor(hidden=(5,), members=3).fit(X, np.sin(2 * X[:, 0]))
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> round(float(mean[0]), 1), bool(std[0] < 0.2)
    (0.8, True)
    """

    _state: State[AdamMemory]  # where partial_fit stands
    _network: Network

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        members: int | None = None,
        method: Literal["auto", "levenberg-marquardt", "minibatch"] = "auto",
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.members = members
        self.method = method
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> NetworkRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w
        stands w times.

        Raises
        ------
        ValueError
            If a value is NaN or infinite, or there are fewer than 2 rows.
        """
        given = training_rows(self, X, y, sample_weight)
        X, t, weight = given.x, given.t, given.weight
        if len(X) < 2:
            raise FitError(f"n_samples={len(X)} of positive weight; a network needs at least 2")
        self.__dict__.pop("_state", None)  # of partial_fit
        self._flat = given.flat
        self._x = _standard(X, weight)
        self._t = _standard(t, weight)
        self.members_ = self._train(
            ArrayRows((X - self._x[0]) / self._x[1], (t - self._t[0]) / self._t[1], weight)
        )
        self.relevance_ = np.mean([m.facts.relevance for m in self.members_], axis=0)
        self.n_iter_ = max(m.history[-1].iteration for m in self.members_)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> NetworkRegressor:
        """One pass of mini-batch descent over some rows, going on from where the last call ended.

        The first call fixes columns, units (its means and spreads) and the network, a single one:
        ``hidden`` or (128, 128, 128), SiLU unless ``activation`` is set. The noise is what each
        call's rows show before they are learnt from. A call of ``fit`` begins anew.

        Raises
        ------
        ValueError
            If a value is NaN or infinite, or the number of columns differs from the first call's.
        """
        first = not hasattr(self, "_state")
        given = training_rows(self, X, y, sample_weight, first=first)
        X, t, weight = given.x, given.t, given.weight
        if not first and t.shape[1] != self._network.outputs_count:
            raise ShapeError(
                f"y has {t.shape[1]} outputs; the rows before had {self._network.outputs_count}"
            )
        if first:
            self._flat, self._x, self._t = (
                given.flat,
                _standard(X, weight),
                _standard(t, weight),
            )
            shape = (128,) * 3 if self.hidden is None else tuple(self.hidden)
            self._network = Network(X.shape[1], shape, t.shape[1], self.activation or "silu")
            self._seen, self._noise = 0.0, np.zeros(t.shape[1])
        rows = ArrayRows((X - self._x[0]) / self._x[1], (t - self._t[0]) / self._t[1], weight)
        penalty = np.full(self._network.parameter_count, 0.1)
        seed = Seed(int(self.random_state or 0)).child(Stream.MEMBER, 0)
        run = Run(Local(1), seed=seed)
        objective = Objective(self._network, rows, run.execution, penalty)
        solver = Adam(objective, seed=seed)
        if first:
            start = self._network.initial_parameters(seed.generator(Stream.START))
            state = solver.begin(objective, start)
        else:
            state = solver.resume(objective, self._state)
        self._learn_noise(rows, state.parameters)
        self._state, history = descend(
            solver, objective, state, run, iterations=state.iteration + 1
        )
        self.n_iter_ = self._state.iteration
        self.members_ = [
            Trained(
                self._network,
                self._state.parameters,
                None,
                self._noise,
                float(penalty.size),
                self._state.stopped or Termination(Reason.ITERATION_LIMIT, self.n_iter_),
                NetworkFacts(
                    member=0,
                    method="minibatch",
                    hidden=self._network.hidden,
                    relevance=(nan,) * X.shape[1],
                ),
                history=tuple(history),
            )
        ]
        return self

    def _learn_noise(self, rows: ArrayRows, parameters: Floats) -> None:
        """Add the errors on rows not yet learnt from to the running mean square."""
        w = np.ones(len(rows.target)) if rows.weight is None else rows.weight
        e = error(rows.target, self._network.outputs(parameters, rows.design))
        # Errors of long ago are those of a worse network: each call forgets a tenth of what came
        # before.
        kept = 0.9 * self._seen
        self._seen = kept + float(w.sum())
        self._noise = (kept * self._noise + w @ (e * e)) / max(self._seen, np.finfo(float).tiny)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) or (n, k) for X (n, d); with ``return_std`` also the standard deviation of a
        new target.

        The standard deviation holds noise, uncertainty of the parameters and spread of the members.
        """
        check_is_fitted(self)
        X = design_of(self, X)
        design = (X - self._x[0]) / self._x[1]
        if not return_std:
            outputs = np.mean(
                [m.model.outputs(m.parameters, design) for m in self.members_], axis=0
            )
            return self._shaped(outputs * self._t[1] + self._t[0])
        mean, variance = predictive(self.members_, design)
        return self._shaped(mean * self._t[1] + self._t[0]), self._shaped(
            np.sqrt(variance) * self._t[1]
        )

    def _train(self, rows: ArrayRows) -> list[Trained[NetworkFacts]]:
        run = Run(
            Local(self.n_jobs),
            None if self.time_limit is None else time.monotonic() + self.time_limit,
            seed=Seed(int(self.random_state or 0)),
        )
        return train_network(
            rows,
            run,
            hidden=self.hidden,
            activation=self.activation,
            members=self.members,
            method=self.method,
        )

    def _shaped(self, values: Floats) -> Floats:
        return values[:, 0] if self._flat else values


class AutoRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear model, trees and networks, blended by their errors on rows that they had not seen.

    The choice is that of ``halfsquare fit --model auto``; see :mod:`halfsquare.fitting.auto`.

    Parameters
    ----------
    prefer : {"accurate", "simple"}
        The blend, or the simplest single model that is not significantly worse.
    time_limit : float, optional
        Seconds.
    random_state : int
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    fitted_ : halfsquare.FittedModel
    chosen_ : str
        ``"linear"``, ``"network"``, ``"trees"``, or what is blended, as ``"network + trees"``.
    tried_ : list of dict
        What was tried, with its MSE ± standard error on rows it had not seen.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.arange(10.0)[:, None]
    >>> AutoRegressor().fit(X, 2 * X[:, 0] + 1).predict([[20.0]]).round(6).tolist()
    [41.0]
    """

    def __init__(
        self,
        *,
        prefer: Literal["accurate", "simple"] = "accurate",
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.prefer = prefer
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> AutoRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w
        stands w times.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        from halfsquare.fitting.fit import fit

        given = training_rows(self, X, y, sample_weight)
        X, t, self._flat = given.x, given.t, given.flat
        table = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {
            f"y{j}": t[:, j] for j in range(t.shape[1])
        }
        if given.weight is not None:
            table["weight"] = given.weight
        self.fitted_ = fit(
            table,
            [f"y{j}" for j in range(t.shape[1])],
            weights=None if sample_weight is None else "weight",
            test_fraction=0.0,
            prefer=self.prefer,
            seed=0 if self.random_state is None else int(self.random_state),
            threads=self.n_jobs,
            time_limit=self.time_limit,
        )
        self.chosen_, self.tried_ = self.fitted_.info["chosen"], self.fitted_.info["tried"]
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) or (n, k) for X (n, d); with ``return_std`` also the standard deviation of a
        new target.
        """
        check_is_fitted(self)
        X = design_of(self, X)
        found = self.fitted_.predict(
            {f"x{j}": X[:, j] for j in range(X.shape[1])}, return_std=return_std
        )
        outputs, std = found if return_std else (found, None)
        if not self._flat:
            outputs = outputs.reshape(len(X), -1)
            std = None if std is None else std.reshape(len(X), -1)
        return (outputs, std) if return_std else outputs


def _standard(values: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Means and standard deviations (1 where a column does not vary) of the columns."""
    moments = Moments.of(values, weight)
    return moments.mean, moments.scale
