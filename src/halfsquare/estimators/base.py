"""What the scikit-learn estimators have in common: ``fit`` goes through a family of models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from halfsquare.data.reading import encoded_array
from halfsquare.errors import OptionError
from halfsquare.estimators.table import Given, array_of, columns_of, given, holds_texts, is_frame
from halfsquare.fitting.family import Family
from halfsquare.fitting.fit_family import fit_family
from halfsquare.fitting.options import FitOptions, Request, options_as_json
from halfsquare.loss import Floats
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.results.record import DataSummary, FitRecord, Measurement, Training
from halfsquare.sums import ErrorSummary


class TableRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The base of the estimators.

    X is an array of numbers, NaN where one is missing, or of texts; or a frame (pandas, Polars,
    Arrow, or a mapping of names to columns) of numbers, texts, categories and dates, which is read
    as :func:`halfsquare.fit` reads it: the model is the one that ``fit`` makes of the same frame.
    Columns of a prediction stand in the order of the fit, under the same names.

    Attributes
    ----------
    fitted_ : FittedModel
        What :func:`halfsquare.fit` returns: with intervals, reports, files.
    warnings_ : tuple of str
    n_features_in_, feature_names_in_
        As in scikit-learn.
    """

    _fewest: ClassVar[int] = 1  # rows
    _single: ClassVar[bool] = False  # one target alone
    _shift: ClassVar[bool] = True  # whole numbers beyond 2⁵³ may be shifted

    fitted_: FittedModel
    _names: tuple[str, ...]
    _flat: bool

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Fit to X (n, d) and y (n,) or (n, k).

        Parameters
        ----------
        X : array or frame
        y : (n,) or (n, k)
        sample_weight : (n,), optional
            What it says of the rows is told by the parameter ``weights``: by default a row of
            weight w stands w times.

        Raises
        ------
        DataError, OptionError, FitError
            (ValueErrors) As :func:`halfsquare.fit`.
        """
        self._fit_table(self._given(X, y, sample_weight))
        return self

    def predict(self, X: Any, return_std: bool = False, interval: float | None = None) -> Any:
        """Outputs for the rows of X.

        Parameters
        ----------
        X : array or frame (n, d)
        return_std : bool
            Whether to add the standard deviation of a new target about the output: noise,
            parameters and spread of the members.
        interval : float, optional
            A probability, such as 0.95: then the bounds between which a new target lies with it
            are added.

        Returns
        -------
        outputs : (n,) or (n, k)
            Alone, or as ``(outputs, std)``, or as ``(outputs, low, high)``, of one shape.

        Raises
        ------
        OptionError
            If the probability is none, or both additions are asked for at once.
        DataError
            If a column is missing or mistyped.
        """
        check_is_fitted(self)
        if interval is not None and return_std:
            raise OptionError("return_std and interval are given together; ask for one of them")
        parts = [self._predicted(d, return_std, interval) for d in self._designs(X)]
        found = [self._shaped(np.concatenate(each)) for each in zip(*parts, strict=True)]
        return found[0] if len(found) == 1 else tuple(found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    @abstractmethod
    def _family(self) -> Family:
        """The family of models, with the options of the estimator."""

    @abstractmethod
    def _describe(self) -> None:
        """Set the fitted attributes from ``fitted_``."""

    def _of_transform(self, family: Family) -> Family:
        """The family on the transformed target that the estimator asks for."""
        wanted = getattr(self, "target_transform", "none")
        if wanted == "none":
            return family
        from halfsquare.fitting.transformed import TransformedFamily

        return TransformedFamily(replace(family.options, target_transform=wanted), family)

    def _options(self, model: str, **options: Any) -> FitOptions:
        """Those of all estimators, with some of a family."""
        options.setdefault("time_limit", getattr(self, "time_limit", None))
        threads = self.n_jobs if self.n_jobs is None or self.n_jobs > 0 else None
        return FitOptions(model, test_fraction=0.0, seed=self._seed(), threads=threads, **options)

    def _seed(self) -> int:
        state = self.random_state
        if state is None or isinstance(state, int | np.integer):
            return int(state or 0)
        return int(check_random_state(state).randint(np.iinfo(np.int32).max))

    def _given(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None) -> Given:
        return given(
            self,
            X,
            y,
            sample_weight,
            single=self._single,
            least=self._fewest,
            shift=self._shift,
        )

    def _fit_table(self, rows: Given) -> None:
        self._names, self._flat = rows.features, rows.flat
        family = self._family()
        family.check()
        request = Request(rows.targets, rows.weight, rows.weighting)
        self._keep(fit_family(family, rows.spec, request))

    def _keep(self, fitted: FittedModel) -> None:
        self.fitted_ = fitted
        self.warnings_ = fitted.record.training.warnings
        self._describe()

    def _record(
        self, training: Training, targets: Sequence[str], weighted: bool, errors: ErrorSummary
    ) -> FitRecord:
        """That of a model that was not made by :func:`fit_family`."""
        weights = "sample_weight" if weighted else None
        data = DataSummary("arrays", tuple(targets), weights, errors.rows, 0, 0, 0)
        options = options_as_json(self._family().options)
        return FitRecord(training, data, Measurement(errors), options, version("halfsquare"))

    def _designs(self, X: Any) -> Iterator[Floats]:
        """The rows of X as the model takes them, some at a time."""
        if not is_frame(X) and not holds_texts(X):
            x = array_of(self, X, reset=False)
            found = encoded_array(self.fitted_.encoder, x, self._names)
            if found is not None:
                return found
        return (batch.design for batch in self.fitted_.batches(self._table(X)))

    def _table(self, X: Any) -> Any:
        """The columns of X as an Arrow table."""
        return columns_of(self, X, reset=False, shift=self._shift)

    def _predicted(
        self, design: Floats, return_std: bool, interval: float | None
    ) -> tuple[Floats, ...]:
        if interval is not None:
            outputs, (low, high) = self.fitted_.whole_quantiles_of(design, ends_of(interval))
            return outputs, low, high
        outputs, std = self.fitted_.outputs_of(design, with_std=return_std)
        outputs = self.fitted_.whole(outputs)
        return (outputs, std) if return_std else (outputs,)

    def _shaped(self, values: Floats) -> Floats:
        return values[:, 0] if self._flat else values

    def _by_column(self, shares: dict[str, float] | None) -> Floats:
        """Shares of columns (d,) in the order of X, 0 for those left out."""
        return np.array([(shares or {}).get(name, 0.0) for name in self._names])
