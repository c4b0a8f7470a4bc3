"""Boosted trees behind scikit-learn's interface."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from halfsquare.data.rows import ArrayRows
from halfsquare.errors import OptionError
from halfsquare.fitting.blend import blended, members_of, some_design
from halfsquare.fitting.trees import train_trees
from halfsquare.loss import Floats, require_weights
from halfsquare.models.trees import Input, Trees
from halfsquare.parallel.threads import Local
from halfsquare.solvers.run import Run, Seed


class TreesRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Boosted trees with nothing to tune, each member stopped by rows it had not seen.

    A missing value (NaN) is as good as a number. See :mod:`halfsquare.fitting.trees`.

    Parameters
    ----------
    monotone : mapping of column name or number to 1 or -1, or sequence of d of 1, -1, 0, optional
        Columns with which the output must not fall (1), or not rise (-1).
    members : int, optional
        Of the two ensembles together; by default 10, or 6 where rows are many.
    rounds : int, optional
        Trees of a member, at most.
    time_limit : float, optional
        Seconds after which no round is begun.
    random_state : int
        Fixes folds and trees; the result does not depend on the number of threads.
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    members_ : list of Trained
        With their shares.
    ensembles_ : dict of str to float
        The weight of each ensemble.
    left_out_mse_, left_out_mse_se_ : float
        MSE on rows that the members had not seen, and its standard error, in the squared unit of y
        (of several columns of y, over their variances).
    n_iter_ : int
        Rounds of the longest descent.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.arange(60.0)[:, None]
    >>> model = TreesRegressor(members=4).fit(X, np.where(X[:, 0] < 30, 1.0, 5.0))
    >>> model.predict([[3.0], [50.0]]).round(1).tolist()
    [1.2, 4.8]
    """

    def __init__(
        self,
        *,
        monotone: Mapping[Any, int] | Sequence[int] | None = None,
        members: int | None = None,
        rounds: int | None = None,
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.monotone = monotone
        self.members = members
        self.rounds = rounds
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> TreesRegressor:
        """Fit to X (n, d), NaN where missing, and y (n,) or (n, k).

        ``sample_weight`` (n,) >= 0: a row of weight w stands w times.

        Raises
        ------
        ValueError
            If a value is infinite, or there are fewer than 2 rows.
        OptionError
            If ``monotone`` names a column that is not there.
        """
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=np.float64,
            ensure_min_samples=2, ensure_all_finite="allow-nan",
        )  # fmt: skip
        w = None
        if sample_weight is not None:
            w = _check_sample_weight(sample_weight, X, dtype=np.float64)
            require_weights(w)
        t = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        self._flat = np.ndim(y) == 1
        if w is not None:
            X, t, w = X[w > 0], t[w > 0], w[w > 0]
        self._mean = np.average(t, axis=0, weights=w)
        spread = np.sqrt(np.average((t - self._mean) ** 2, axis=0, weights=w))
        self._scale = np.where(spread > 4 * np.finfo(float).eps * np.abs(self._mean), spread, 1.0)
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(X.shape[1])])
        rows = ArrayRows(X, (t - self._mean) / self._scale, w)
        parts = train_trees(
            rows,
            [Input(str(name), "number", j, j + 1) for j, name in enumerate(names)],
            [f"y{j}" for j in range(t.shape[1])],
            Run(
                execution=Local(self.n_jobs),
                deadline=None if self.time_limit is None else time.monotonic() + self.time_limit,
                seed=Seed(0 if self.random_state is None else int(self.random_state)),
            ),
            members=self.members,
            rounds=self.rounds,
            monotone=self._signs([str(name) for name in names]),
        )
        blend = blended(parts, w)
        self.members_ = members_of(blend, some_design(rows))
        self.ensembles_ = {part.name: weight for part, weight in blend.used}
        unit = float(self._scale[0]) ** 2 if t.shape[1] == 1 else 1.0
        self.left_out_mse_, self.left_out_mse_se_ = blend.mse * unit, blend.mse_se * unit
        self.n_iter_ = max(m.history[-1].iteration for m in self.members_ if m.history)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) or (n, k) for X (n, d); with ``return_std`` also the standard deviation of a
        new target: noise and spread of the members.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite="allow-nan")
        total = sum(m.share for m in self.members_)
        outputs = [m.model.outputs(m.parameters, X) for m in self.members_]
        shares = [m.share / total for m in self.members_]
        mean: Floats = np.zeros_like(outputs[0])
        for output, share in zip(outputs, shares, strict=True):
            mean += share * output
        found = self._shaped(mean * self._scale + self._mean)
        if not return_std:
            return found
        variance = np.zeros_like(mean)
        for member, output, share in zip(self.members_, outputs, shares, strict=True):
            variance += share * ((output - mean) ** 2 + member.noise)
        return found, self._shaped(np.sqrt(variance) * self._scale)

    def contributions(self, X: Any) -> tuple[Any, Any]:
        """What adds up to the outputs: a constant (k,), and of each column (n, k, d).

        See :meth:`halfsquare.models.trees.Trees.contributions`; for y of one dimension a float and
        (n, d).
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite="allow-nan")
        total = sum(m.share for m in self.members_)
        constant: Floats = self._mean.copy()
        added: Floats = np.zeros((len(X), len(self._mean), X.shape[1]))
        for member in self.members_:
            assert isinstance(member.model, Trees)
            own, parts = member.model.contributions(member.parameters, X)
            constant += member.share / total * own * self._scale
            added += member.share / total * parts * self._scale[:, None]
        return (float(constant[0]), added[:, 0]) if self._flat else (constant, added)

    def _signs(self, names: Sequence[str]) -> dict[str, int]:
        if self.monotone is None:
            return {}
        if isinstance(self.monotone, Mapping):
            pairs = list(self.monotone.items())
        else:
            if len(self.monotone) != len(names):
                raise OptionError(
                    f"monotone has {len(self.monotone)} signs; expected one for each of the "
                    f"{len(names)} columns"
                )
            pairs = list(enumerate(self.monotone))
        found = {}
        for key, sign in pairs:
            if sign not in (1, -1, 0):
                raise OptionError(f"monotone of {key!r} is {sign!r}; expected 1, -1 or 0")
            whole = isinstance(key, int | np.integer)
            if whole and not -len(names) <= key < len(names):
                raise OptionError(f"monotone names column {key}; there are {len(names)}")
            found[names[key] if whole else str(key)] = int(sign)
        return {name: sign for name, sign in found.items() if sign}

    def _shaped(self, values: Floats) -> Floats:
        return values[:, 0] if self._flat else values
