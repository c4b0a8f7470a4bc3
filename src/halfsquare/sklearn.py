"""scikit-learn estimators: the same fits, behind the interface of its pipelines and searches."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from halfsquare.data.rows import ShiftedRows
from halfsquare.errors import NotFiniteError
from halfsquare.execution.local import Local
from halfsquare.loss import Floats, require_weights
from halfsquare.models.linear import Linear
from halfsquare.trainers.base import Trained
from halfsquare.trainers.linear import LinearOptions, train_linear


class LinearRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression by least squares, with standard errors.

    Parameters
    ----------
    method : {"least-squares", "gradient", "minibatch"}
        How to descend; the answer is the same.
    l2 : float >= 0 or "auto"
        λ of the penalty ½ λ Σw |b|² on standardized columns, intercept excepted: scikit-learn's
        ``Ridge(alpha=λ n)`` on standardized columns. ``"auto"`` takes the λ of greatest evidence.
    random_state : int
        Of the shuffling of mini-batches.
    n_jobs : int, optional
        Threads; one a core if None. The result does not depend on it.

    Attributes
    ----------
    coef_ : (d,) or (k, d)
    intercept_ : float or (k,)
    coef_std_error_ : like ``coef_``
        Standard errors; NaN where no degrees of freedom are left.
    intercept_std_error_ : like ``intercept_``
    sigma_ : float or (k,)
        Residual standard deviation √(SSE / degrees of freedom).
    rank_ : int
    l2_ : float
    n_iter_ : int
        Steps of the descent; 0 if solved directly.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = LinearRegressor().fit(X, [1.0, 3.0, 5.0, 7.5])
    >>> model.coef_.round(3).tolist(), round(float(model.intercept_), 3)
    ([2.15], 0.9)
    """

    def __init__(
        self,
        *,
        method: Literal["least-squares", "gradient", "minibatch"] = "least-squares",
        l2: float | Literal["auto"] = 0.0,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.l2 = l2
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> LinearRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w stands w times.

        Raises
        ------
        NotFiniteError
            (a ValueError) If a value is NaN or infinite, naming its row.
        OptionError, FitError
            (ValueErrors) As :func:`halfsquare.fit`.
        """
        options = LinearOptions(self.method, self.l2, 0 if self.random_state is None else int(self.random_state))
        # Whether X is finite shows in the sums, for nothing; looking at every value first costs a pass.
        X, y = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        if weight is not None:
            require_weights(weight)
        t = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        names = [f"x{j}" for j in range(X.shape[1])]
        targets = [f"y{j}" for j in range(t.shape[1])]
        with np.errstate(over="ignore", invalid="ignore"):
            rows = ShiftedRows.of(X, t, weight)
            if self.method != "least-squares":
                _check_finite(X)
                rows = rows.standardized()
            trained = train_linear(rows, names, targets, options, execution=Local(self.n_jobs), check=lambda: _check(X))
        self._describe(trained, rows, flat=np.ndim(y) == 1)
        return self

    def predict(self, X: Any) -> Floats:
        """Outputs (n,) or (n, k) for X (n, d)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        outputs: Floats = X @ self.coef_.T + self.intercept_
        return outputs

    def _describe(self, trained: Trained, rows: ShiftedRows, *, flat: bool) -> None:
        model = trained.model
        assert isinstance(model, Linear)
        k = model.outputs_count
        scale = np.ones(len(rows.x_shift)) if rows.x_scale is None else rows.x_scale
        values = model.matrix(trained.parameters) / np.concatenate([[1.0], scale])[:, None]
        errors = np.full_like(values, np.nan)
        intercept = rows.t_shift + values[0] - rows.x_shift @ values[1:]
        if trained.covariance is not None:
            # From shifted columns to those of X the intercept changes by -shift·slopes.
            back, unit = np.concatenate([[1.0], -rows.x_shift]), np.concatenate([[1.0], scale])
            for j in range(k):
                covariance = trained.covariance[j::k, j::k] / np.outer(unit, unit)
                errors[:, j] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
                errors[0, j] = np.sqrt(max(float(back @ covariance @ back), 0.0))
        self.coef_ = values[1:, 0].copy() if flat else values[1:].T.copy()
        self.coef_std_error_ = errors[1:, 0].copy() if flat else errors[1:].T.copy()
        self.intercept_ = intercept[0] if flat else intercept
        self.intercept_std_error_ = errors[0, 0] if flat else errors[0]
        sigma = np.sqrt(trained.noise)
        self.sigma_ = sigma[0] if flat else sigma
        self.rank_, self.l2_ = int(trained.facts["rank"]), float(trained.facts["l2"])
        self.n_iter_ = trained.history[-1].iteration if trained.history else 0


def _check_finite(X: Any) -> None:
    assert_all_finite(X, input_name="X", estimator_name="LinearRegressor")


def _check(X: Any) -> None:
    """Called when a sum is not finite: say which value is to blame, in scikit-learn's words."""
    _check_finite(X)
    raise NotFiniteError("the squares of X overflow float64; divide its columns by a power of ten")
