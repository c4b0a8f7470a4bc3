"""Networks, and the automatic choice, behind scikit-learn's interface."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from halfsquare.data.rows import ArrayRows
from halfsquare.execution.local import Local
from halfsquare.loss import Floats, require_weights
from halfsquare.trainers.base import Trained
from halfsquare.trainers.network import predictive, train_network


class NetworkRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An ensemble of small networks with nothing to tune, trained by second-order descent.

    Penalties are set by the evidence, one for each input; see :mod:`halfsquare.trainers.network`.

    Parameters
    ----------
    hidden : sequence of int, optional
        Units of each hidden layer; by default members alternate between two and three layers.
    activation : {"tanh", "silu", "softplus"}
    members : int
        Networks in the ensemble.
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

    def __init__(
        self,
        *,
        hidden: Sequence[int] | None = None,
        activation: str = "tanh",
        members: int = 10,
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.members = members
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> NetworkRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w stands w times.

        Raises
        ------
        ValueError
            If a value is NaN or infinite, or there are fewer than 2 rows.
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        t = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        self._flat = np.ndim(y) == 1
        if weight is not None:
            require_weights(weight)
            X, t, weight = X[weight > 0], t[weight > 0], weight[weight > 0]
        self._x = _standard(X, weight)
        self._t = _standard(t, weight)
        self.members_ = self._train(ArrayRows((X - self._x[0]) / self._x[1], (t - self._t[0]) / self._t[1], weight))
        self.relevance_ = np.mean([m.facts["relevance"] for m in self.members_], axis=0)
        self.n_iter_ = max(m.history[-1].iteration for m in self.members_)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) or (n, k) for X (n, d); with ``return_std`` also the standard deviation of a new target.

        The standard deviation holds noise, uncertainty of the parameters and spread of the members.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        design = (X - self._x[0]) / self._x[1]
        if not return_std:
            outputs = np.mean([m.model.outputs(m.parameters, design) for m in self.members_], axis=0)
            return self._shaped(outputs * self._t[1] + self._t[0])
        mean, variance = predictive(self.members_, design)
        return self._shaped(mean * self._t[1] + self._t[0]), self._shaped(np.sqrt(variance) * self._t[1])

    def _train(self, rows: ArrayRows) -> list[Trained]:
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        return train_network(
            rows,
            hidden=self.hidden,
            activation=self.activation,
            members=self.members,
            seed=0 if self.random_state is None else int(self.random_state),
            deadline=deadline,
            execution=Local(self.n_jobs),
        )

    def _shaped(self, values: Floats) -> Floats:
        return values[:, 0] if self._flat else values


class AutoRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The simplest model that is not significantly worse: linear, or networks of growing size.

    The choice is that of ``halfsquare fit --model auto``; see :mod:`halfsquare.recipes.auto`.

    Parameters
    ----------
    time_limit : float, optional
        Seconds.
    random_state : int
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    fitted_ : halfsquare.FittedModel
    chosen_ : str
        ``"linear"``, ``"small network"``, ``"medium network"`` or ``"network"``.
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

    def __init__(self, *, time_limit: float | None = None, random_state: int = 0, n_jobs: int | None = None) -> None:
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> AutoRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w stands w times.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        from halfsquare.fitting import fit

        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        t = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        self._flat = np.ndim(y) == 1
        table = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {f"y{j}": t[:, j] for j in range(t.shape[1])}
        if sample_weight is not None:
            table["weight"] = _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.fitted_ = fit(
            table,
            [f"y{j}" for j in range(t.shape[1])],
            weights=None if sample_weight is None else "weight",
            test_fraction=0.0,
            seed=0 if self.random_state is None else int(self.random_state),
            threads=self.n_jobs,
            time_limit=self.time_limit,
        )
        self.chosen_, self.tried_ = self.fitted_.info["chosen"], self.fitted_.info["tried"]
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) or (n, k) for X (n, d); with ``return_std`` also the standard deviation of a new target."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        found = self.fitted_.predict({f"x{j}": X[:, j] for j in range(X.shape[1])}, return_std=return_std)
        outputs, std = found if return_std else (found, None)
        if not self._flat:
            outputs = outputs.reshape(len(X), -1)
            std = None if std is None else std.reshape(len(X), -1)
        return (outputs, std) if return_std else outputs


def _standard(values: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Means and standard deviations (1 where a column does not vary) of the columns."""
    w = np.ones(len(values)) if weight is None else weight
    total = max(float(w.sum()), np.finfo(float).tiny)
    mean = w @ values / total
    deviation = np.sqrt(w @ np.square(values - mean) / total)
    return mean, np.where(deviation > 4 * np.finfo(float).eps * np.abs(mean), deviation, 1.0)
