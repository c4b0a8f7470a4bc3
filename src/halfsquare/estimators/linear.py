"""scikit-learn estimators: the same fits, behind the interface of its pipelines and searches."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted

from halfsquare.data.rows import ShiftedRows
from halfsquare.data.statistics import LARGEST, require_array_range
from halfsquare.data.weighting import Weighting
from halfsquare.errors import NotFiniteError, OptionError, ShapeError
from halfsquare.estimators.rows import design_of, shift_of, training_rows
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem
from halfsquare.fitting.linear import LinearOptions, train_linear
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.run import Run, Seed


class LinearRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression by least squares, with standard errors.

    Parameters
    ----------
    method : {"least-squares", "gradient", "minibatch"}
        How to descend; the answer is the same.
    l2 : float >= 0 or "auto"
        λ of the penalty ½ λ Σw ‖b‖² on standardized columns, intercept excepted: scikit-learn's
        ``Ridge(alpha=λ n)`` on standardized columns. ``"auto"`` takes the λ of greatest evidence.
    weights : {"counts", "sigma", "precision"}
        What ``sample_weight`` holds: how many times a row stands, its measured standard deviation,
        or its inverse variance up to a factor; see :mod:`halfsquare.data.weighting`.
    random_state : int
        Of the shuffling of mini-batches.
    n_jobs : int, optional
        Threads; one a core if None. The result does not depend on it.

    Attributes
    ----------
    coef_ : (d,) or (k, d)
    intercept_ : float or (k,)
    coef_std_error_ : like ``coef_``
        Standard errors; NaN where no degrees of freedom are left, and for coefficients that the
        rows do not determine.
    intercept_std_error_ : like ``intercept_``
    sigma_ : float or (k,)
        Residual standard deviation √(SSE / degrees of freedom).
    rank_ : int
    l2_ : float
    n_iter_ : int
        Steps of the descent; 0 if solved directly.
    sums_ : ExactGram
        Of [1 | X | y], after ``partial_fit`` alone.
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
        weights: Weighting = "counts",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.l2 = l2
        self.weights = weights
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> LinearRegressor:
        """Fit to X (n, d) and y (n,) or (n, k); ``sample_weight`` (n,) >= 0, a row of weight w
        stands w times.

        Raises
        ------
        NotFiniteError
            (a ValueError) If a value is NaN or infinite, naming its row.
        OptionError, FitError
            (ValueErrors) As :func:`halfsquare.fit`.
        """
        options = LinearOptions(self.method, self.l2)
        run = Run(Local(self.n_jobs), seed=Seed(int(self.random_state or 0)))
        # Whether X is finite shows in the sums, for nothing; looking at every value first costs a
        # pass.
        given = training_rows(self, X, y, sample_weight, keep_float32=True)
        X, t, weight = given.x, given.t, given.weight
        names = [f"x{j}" for j in range(X.shape[1])]
        targets = [f"y{j}" for j in range(t.shape[1])]
        with np.errstate(over="ignore", invalid="ignore"):
            rows = ShiftedRows.of(X, t, weight)
            if self.method != "least-squares":
                _check_finite(X)
                rows = rows.standardized()
            trained = train_linear(rows, names, targets, options, run, check=lambda: _check(X))
        trained = given.trained(trained)
        self.__dict__.pop("sums_", None)  # these rows are not in them
        scale = np.ones(X.shape[1]) if rows.x_scale is None else rows.x_scale
        self._describe(trained, rows.x_shift, rows.t_shift, scale, flat=given.flat)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None
    ) -> LinearRegressor:
        """Fit to these rows and all that were given to ``partial_fit`` before; arguments as in
        :meth:`fit`.

        The sums over the rows are kept without rounding, so any batches in any order give the same
        bits, and the coefficients are those of least squares, rounded once. ``fit`` begins anew.
        ``method`` is not looked at.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0], [2.0], [4.0]]), np.array([0.1, 0.2, 0.4, 0.7])
        >>> whole = LinearRegressor().partial_fit(X, y)
        >>> parts = LinearRegressor().partial_fit(X[3:], y[3:]).partial_fit(X[:3], y[:3])
        >>> bool(whole.coef_[0] == parts.coef_[0]), whole.coef_.round(3).tolist()
        (True, [0.154])
        """
        first = not hasattr(self, "sums_")
        if self.weights != "counts":
            raise OptionError("partial_fit adds rows up, so its weights are counts")
        given = training_rows(self, X, y, sample_weight, first=first, exact=True)
        X, t, weight = given.x, given.t, given.weight
        block = np.vstack([np.ones(len(X)), X.T, t.T])
        sums: ExactGram = ExactGram.zero(len(block)) if first else self.sums_
        if sums.columns != len(block):
            raise ShapeError(
                f"y has {t.shape[1]} outputs; the rows before had {sums.columns - 1 - X.shape[1]}"
            )
        with one_blas_thread():
            sums = sums.add(block, weight)
        names, targets = (
            [f"{letter}{j}" for j in range(count)]
            for letter, count in (("x", X.shape[1]), ("y", t.shape[1]))
        )
        trained = train_exactly(ExactSystem.of_gram(sums, t.shape[1]), names, targets, l2=self.l2)
        self.sums_: ExactGram = sums
        shift, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self._describe(trained, shift, np.zeros(t.shape[1]), scale, flat=given.flat)
        return self

    def predict(self, X: Any) -> Floats:
        """Outputs (n,) or (n, k) for X (n, d)."""
        check_is_fitted(self)
        X = design_of(self, X, keep_float32=True)
        outputs: Floats = (X - self._center) @ self.coef_.T + self._middle
        return outputs

    def _describe(
        self,
        trained: Trained[LinearFacts],
        x_shift: Floats,
        t_shift: Floats,
        scale: Floats,
        *,
        flat: bool,
    ) -> None:
        """Set the fitted attributes, in the units of X and y, from a model of (X - x_shift) / scale
        and y - t_shift.
        """
        model = trained.model
        assert isinstance(model, Linear)
        k = model.outputs_count
        values = model.matrix(trained.parameters) / np.concatenate([[1.0], scale])[:, None]
        errors = np.full_like(values, np.nan)
        center, x_shift = x_shift, x_shift + shift_of(self)
        intercept = t_shift + values[0] - x_shift @ values[1:]
        if trained.covariance is not None:
            # From shifted columns to those of X the intercept changes by -shift·slopes.
            back, unit = np.concatenate([[1.0], -x_shift]), np.concatenate([[1.0], scale])
            for j in range(k):
                covariance = trained.covariance[j::k, j::k] / np.outer(unit, unit)
                errors[:, j] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
                errors[0, j] = np.sqrt(max(float(back @ covariance @ back), 0.0))
            open_names = getattr(trained.facts, "undetermined", ())
            for i, name in enumerate(model.parameter_names):
                if name in open_names:
                    errors.flat[i] = np.nan
        self.coef_ = values[1:, 0].copy() if flat else values[1:].T.copy()
        self.coef_std_error_ = errors[1:, 0].copy() if flat else errors[1:].T.copy()
        self.intercept_ = intercept[0] if flat else intercept
        self.intercept_std_error_ = errors[0, 0] if flat else errors[0]
        # Outputs are computed about the middle of the columns, where the digits of a column far
        # from 0 do not cancel.
        self._center = center
        self._middle = (t_shift + values[0])[0] if flat else t_shift + values[0]
        sigma = np.sqrt(trained.noise)
        self.sigma_ = sigma[0] if flat else sigma
        self.rank_, self.l2_ = int(trained.facts.rank), float(trained.facts.l2)
        self.n_iter_ = trained.history[-1].iteration if trained.history else 0


def _check_finite(X: Any) -> None:
    assert_all_finite(X, input_name="X", estimator_name="LinearRegressor")


def _check(X: Any) -> None:
    """Called when a sum is not finite: say which value is to blame, in scikit-learn's words."""
    _check_finite(X)
    require_array_range("X", X, LARGEST)
    raise NotFiniteError("the squares of X overflow float64; divide its columns by a power of ten")
