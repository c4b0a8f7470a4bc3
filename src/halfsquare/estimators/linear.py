"""scikit-learn estimators: the same fits, behind the interface of its pipelines and searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import MultiOutputMixin

from halfsquare.data.encoded_arrays import EncodedArrays, array_encoder
from halfsquare.data.rows import ShiftedRows
from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError, ShapeError
from halfsquare.estimators.base import TableRegressor
from halfsquare.estimators.rows import GapError, check_finite, check_sums, design_of, training_rows
from halfsquare.estimators.table import Given, holds_texts, is_frame, only_numbers
from halfsquare.estimators.whole_numbers import shift_of
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem
from halfsquare.fitting.calibrate import MOST_ROWS, calibrated
from halfsquare.fitting.family import Family
from halfsquare.fitting.linear import LinearFamily
from halfsquare.fitting.stretches import with_stretches
from halfsquare.loss import Floats
from halfsquare.moments import Moments
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Training, error_of_sums
from halfsquare.solvers.run import Run, Seed


class LinearRegressor(MultiOutputMixin, TableRegressor):  # type: ignore[misc]
    """Linear regression by least squares, with standard errors.

    Parameters
    ----------
    method : {"least-squares", "gradient", "minibatch"}
        How to descend; the answer is the same.
    l2 : float >= 0 or "auto"
        λ of the penalty ½ λ Σw ‖b‖² on standardized columns, intercept excepted: scikit-learn's
        ``Ridge(alpha=λ n)`` on standardized columns. ``"auto"`` takes the λ of greatest evidence.
    errors : str, optional
        Standard errors: ``"classical"`` (the default), ``"hc0"`` … ``"hc3"``, ``"cluster:COL"``, …,
        as of :func:`halfsquare.fit`.
    target_transform : {"none", "log", "sqrt", "yeo-johnson", "auto"}
        What is fitted in place of y; outputs are means of y. See :func:`halfsquare.fit`.
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
        Of each column of numbers; in its place, of each level of a category but the most frequent,
        of each part of a date, and of the indicator of missing values. They are named by
        ``coef_names_``. A column that does not vary has 0.
    coef_names_ : list of str
    fitted_ : FittedModel
        What :func:`halfsquare.fit` returns; of an array without gaps with what sums alone say of
        the errors.
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

    _fitted: FittedModel
    _sample: ShiftedRows | None

    def __init__(
        self,
        *,
        method: Literal["least-squares", "gradient", "minibatch"] = "least-squares",
        l2: float | Literal["auto"] = 0.0,
        errors: str | None = None,
        target_transform: str = "none",
        weights: Weighting = "counts",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.l2 = l2
        self.errors = errors
        self.target_transform = target_transform
        self.weights = weights
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Fit to X (n, d) and y (n,) or (n, k); see :meth:`TableRegressor.fit`.

        An array, or a frame of numbers alone, without gaps is summed as it lies in memory.

        Raises
        ------
        NotFiniteError
            (a ValueError) If a value is infinite, naming its row.
        DataError, OptionError, FitError
            (ValueErrors) As :func:`halfsquare.fit`.
        """
        self.__dict__.pop("sums_", None)  # these rows are not in them
        self._center: Floats | None = None
        plain = self.errors is None and self.target_transform == "none"
        if plain and (only_numbers(X) if is_frame(X) else not holds_texts(X)):
            # Whether X is finite shows in the sums, for nothing; looking at every value first
            # costs a pass.
            with suppress(GapError):
                self._fit_array(X, y, sample_weight)
                return self
        return super().fit(X, y, sample_weight)

    def _fit_array(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None) -> None:
        given = training_rows(self, X, y, sample_weight, keep_float32=True)
        family = self._linear()
        family.check()
        with np.errstate(over="ignore", invalid="ignore"):
            rows = ShiftedRows.of(given.x, given.t, given.weight)
            if self.method != "least-squares":
                check_finite(given.x)
                rows = rows.standardized()
            self._names = given.names
            self._numbers = self._names
            encoder = array_encoder(
                self._names,
                given.targets,
                rows.x_shift + shift_of(self),
                rows.x_scale,
                rows.t_shift,
            )
            weighing = "sample_weight", given.weighting, given.factor
            encoded = EncodedArrays(rows, encoder, *weighing)
            run = Run(Local(family.options.threads), seed=Seed(family.options.seed))
            fitted = family.train_arrays(encoded, run, lambda: check_sums(given.x))
        # Outputs are computed about the middle of the columns, where the digits of a column far
        # from 0 do not cancel.
        self._center, self._scale = rows.x_shift, encoder.scales
        self._flat = given.flat
        self._keep(self._recorded(fitted, encoded))
        self._sample = rows.some(MOST_ROWS) if given.weighting == "counts" else None

    def _recorded(self, fitted: FittedModel, rows: EncodedArrays) -> FittedModel:
        """With what the sums say of the errors on the rows of the fit."""
        member, k = fitted.members[0], len(fitted.encoder.targets)
        freedom = member.facts.degrees_of_freedom or 0.0
        estimated = freedom > 0 and not member.facts.noise_known
        sse = float(np.sum(member.noise)) * freedom if estimated else float("nan")
        sst = float(Moments.of(rows.rows.t, rows.rows.weight).m2.sum())
        train = error_of_sums(rows.row_count, rows.total_weight, k, sse, sst, float("nan"))
        record = self._record(fitted.record.training, fitted.encoder.targets, rows.weighted, train)
        return replace(fitted, members=(member.bare(),), record=record)

    @property
    def fitted_(self) -> FittedModel:
        """What :func:`halfsquare.fit` returns."""
        if self._sample is not None:  # intervals are calibrated when they are asked for
            sample, self._sample = self._sample, None
            fitted = calibrated(self._fitted, sample, None)
            self._fitted = with_stretches(fitted, sample, self._linear().stand_in)
        return self._fitted

    @fitted_.setter
    def fitted_(self, fitted: FittedModel) -> None:
        self._fitted, self._sample = fitted, None

    def partial_fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
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
        if self.target_transform != "none":
            raise OptionError("partial_fit adds y up as it is: leave target_transform out")
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
        if first:
            self._names = self._numbers = given.names
        encoder = array_encoder(self._names, given.targets, shift_of(self))
        k = t.shape[1]
        system = ExactSystem.of_gram(sums, k)
        trained = train_exactly(system, encoder.names, encoder.targets, l2=self.l2)
        self.sums_: ExactGram = sums
        self._center, self._scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        self._flat = given.flat
        b = trained.parameters.reshape(-1, k)
        sse, sst = (float(each.sum()) for each in (system.sse(b), system.target_squares))
        mean_error = float(system.error_total(b).sum()) / (k * system.weight)
        errors = error_of_sums(sums.rows, system.weight, k, sse, sst, mean_error)
        training = Training("linear", "exact sums", trained.warnings)
        weighted = system.weight != sums.rows
        record = self._record(training, encoder.targets, weighted, errors)
        self._keep(FittedModel(encoder, (trained,), record))
        return self

    def _designs(self, X: Any) -> Iterator[Floats]:
        if self._center is None:
            return super()._designs(X)
        x = design_of(self, X, keep_float32=True)
        return iter([(x - self._center) / self._scale])

    def _fit_table(self, rows: Given) -> None:
        self._numbers = rows.numbers
        super()._fit_table(rows)

    def _family(self) -> Family:
        return self._of_transform(self._linear())

    def _linear(self) -> LinearFamily:
        return LinearFamily(
            self._options("linear", method=self.method, l2=self.l2, errors=self.errors)
        )

    def _predicted(
        self, design: Floats, return_std: bool, interval: float | None
    ) -> tuple[Floats, ...]:
        if return_std or interval is not None:
            return super()._predicted(design, return_std, interval)
        return (self._fitted.outputs_of(design)[0],)

    def _describe(self) -> None:
        fitted, encoder = self._fitted, self._fitted.encoder
        table, k = fitted.parameters, len(encoder.targets)
        values, errors = (
            np.array([getattr(p, what) for p in table]).reshape(-1, k)
            for what in ("value", "standard_error")
        )
        spans = {column: range(start, stop) for column, start, stop in encoder.groups}
        none, names, coef, doubt = np.full(k, np.nan), [], [], []
        for name in self._names:
            for i in spans.get(name, ()):
                names.append(encoder.names[i])
                coef.append(values[1 + i])
                doubt.append(errors[1 + i])
            if name in self._numbers and name not in spans:  # it does not vary
                names.append(name)
                coef.append(np.zeros(k))
                doubt.append(none)
        self.coef_names_ = names
        self.coef_, self.coef_std_error_ = (
            self._of_outputs(np.array(each).reshape(len(names), k).T) for each in (coef, doubt)
        )
        self.intercept_ = self._of_outputs(values[0])
        self.intercept_std_error_ = self._of_outputs(errors[0])
        self.sigma_ = self._of_outputs(np.array(fitted.residual_standard_deviation))
        facts, history = fitted.members[0].facts, fitted.record.training.history
        self.rank_, self.l2_ = int(facts.rank), float(facts.l2)
        self.n_iter_ = history[-1].iteration if history else 0

    def _of_outputs(self, values: Floats) -> Any:
        return values[0] if self._flat else values.copy()
