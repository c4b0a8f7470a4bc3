"""Arrays that are summed as they lie in memory: what they have to be, and which rows count."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from halfsquare.arrays import require_finite
from halfsquare.data.ranges import LARGEST, LARGEST_TARGET, require_array_range
from halfsquare.data.weighting import Weighting, as_weights
from halfsquare.errors import FitError, NotFiniteError
from halfsquare.estimators.table import target_names, weighting_of, weights_of
from halfsquare.estimators.whole_numbers import base_of, less
from halfsquare.loss import Floats

_LOOKED_AT = 1024


@dataclass(frozen=True)
class TrainingRows:
    """Rows of positive weight: x (n, d), t (n, k), weight (n,) or None; ``flat``: y was (n,).

    ``names`` of the columns, and ``targets``. ``factor``: weights that are no counts were
    multiplied by it, so that they sum to n.
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    x: Floats
    t: Floats
    weight: Floats | None
    flat: bool
    weighting: Weighting = "counts"
    factor: float = 1.0


def training_rows(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: npt.ArrayLike | None,
    *,
    first: bool = True,
    exact: bool = False,
    keep_float32: bool = False,
) -> TrainingRows:
    """X (n, d), y (n,) or (n, k) and weights (n,) as scikit-learn checks them, in float64.

    A row of weight 0 is no row, whatever finite numbers it holds. Whole numbers of X beyond 2⁵³
    are taken less the first row's, which is kept for :func:`design_of`.

    Parameters
    ----------
    first : bool
        Whether this is the first call; later ones must have as many columns.
    exact : bool
        Whether sums are going to be exact: then numbers of any size do.
    keep_float32 : bool
        Leave X in float32 where it is, and to the caller to find values that are not finite or
        too large: a pass over all numbers costs as much as the fit.

    Raises
    ------
    DataError, ValueError
        A value that is missing, not finite, or of a size whose square float64 does not hold.
    FitError
        If no row has a positive weight.
    """
    weighting = weighting_of(estimator)
    if first:
        estimator._base = base_of(X)
    named, X = y, less(X, estimator._base)
    X, y = validate_data(
        estimator,
        X,
        y,
        multi_output=True,
        y_numeric=True,
        dtype=[np.float64, np.float32] if keep_float32 else np.float64,
        ensure_all_finite=not keep_float32,
        reset=first,
    )
    weight = None
    if sample_weight is not None:
        given = weights_of(sample_weight, X, weighting)
        weight = as_weights(given, weighting, -1, "sample_weight", "sample_weight")
    t = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
    require_finite("y", t)  # a long double may be beyond float64
    if weight is not None and not weight.all():
        X, t, weight = X[weight > 0], t[weight > 0], weight[weight > 0]
        if not len(X):
            raise FitError("there are no rows of positive weight to fit")
    factor = 1.0
    if weight is not None:
        if weighting != "counts":
            factor = len(weight) / float(weight.sum())
            weight = weight * factor
        require_array_range("sample_weight", weight[:, None], LARGEST_TARGET)
    if not exact:
        _require_sizes(X, t, all_of_x=not keep_float32)
    columns = getattr(estimator, "feature_names_in_", ())
    names = tuple(map(str, columns)) or tuple(f"x{j + 1}" for j in range(X.shape[1]))
    targets = target_names(named, t.shape[1], names)
    return TrainingRows(names, targets, X, t, weight, np.ndim(y) == 1, weighting, factor)


def _require_sizes(X: Floats, t: Floats, *, all_of_x: bool) -> None:
    """Refuse sizes whose squares float64 does not hold, as the door of tables does."""
    require_array_range("y", t, LARGEST_TARGET)
    if not all_of_x:  # a number too large shows in the sums; for too small ones a few rows will do
        with np.errstate(invalid="ignore"):
            tiny = np.abs(X[:_LOOKED_AT]).max(axis=0, initial=0.0) < 1.0 / LARGEST
        X = X[:, tiny]
    require_array_range("X", X, LARGEST)


def design_of(estimator: BaseEstimator, X: Any, *, keep_float32: bool = False) -> Floats:
    """X (n, d) of a prediction, with what the first row of the fit had taken off."""
    design: Floats = validate_data(
        estimator,
        less(X, estimator._base),
        dtype=[np.float64, np.float32] if keep_float32 else np.float64,
        reset=False,
    )
    return design


class GapError(Exception):
    """Values are missing in an array: a table is made of it."""


def check_finite(X: Any) -> None:
    """Refuse an array with values that are infinite.

    Raises
    ------
    GapError
        If values are missing.
    ValueError
        In scikit-learn's words, if a value is infinite.
    """
    with suppress(ValueError):
        assert_all_finite(X)
        return
    if np.isnan(X).any():
        raise GapError
    assert_all_finite(X, input_name="X", estimator_name="LinearRegressor")


def check_sums(X: Any) -> None:
    """Say which value is to blame for a sum that is not finite.

    Raises
    ------
    GapError, ValueError
        As :func:`check_finite`.
    NotFiniteError
        If squares overflow.
    """
    check_finite(X)
    require_array_range("X", X, LARGEST)
    raise NotFiniteError("the squares of X overflow float64; divide its columns by a power of ten")
