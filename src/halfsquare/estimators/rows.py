"""The one door of the estimators: what X, y and weights have to be, and which rows count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, validate_data

from halfsquare.data.statistics import LARGEST, LARGEST_TARGET, require_array_range
from halfsquare.data.weighting import Weighting, as_weights
from halfsquare.errors import FitError, OptionError, ShapeError
from halfsquare.fitting.weighed import with_known_noise
from halfsquare.loss import Floats, require_finite, require_weights
from halfsquare.results.trained import Trained

# Whole numbers up to here are float64 as they are.
_EXACT = 1 << 53
_LOOKED_AT = 1024


@dataclass(frozen=True)
class TrainingRows:
    """Rows of positive weight: x (n, d), t (n, k), weight (n,) or None; ``flat``: y was (n,).

    ``factor``: weights that are no counts were multiplied by it, so that they sum to n.
    """

    x: Floats
    t: Floats
    weight: Floats | None
    flat: bool
    factor: float = 1.0
    known_noise: bool = False

    def trained(self, trained: Trained[Any], scales: Floats | float = 1.0) -> Trained[Any]:
        """The model with the noise that ``sample_weight`` states, where it is measured; ``scales``
        are the units of its targets.
        """
        if not self.known_noise:
            return trained
        known = self.factor / np.broadcast_to(np.square(scales), (self.t.shape[1],))
        return with_known_noise(trained, np.asarray(known, dtype=np.float64))


def training_rows(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: npt.ArrayLike | None,
    *,
    first: bool = True,
    single: bool = False,
    shift: bool = True,
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
    single : bool
        Whether there may be one output alone.
    shift : bool
        Whether whole numbers beyond 2⁵³ may be shifted; a formula's may not.
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
    weighting: Weighting = getattr(estimator, "weights", "counts")
    if weighting not in get_args(Weighting):
        raise OptionError(
            f"weights is {weighting!r}; expected one of {', '.join(get_args(Weighting))}"
        )
    if first:
        estimator._base = _base_of(X) if shift else None
    X = _less(X, estimator._base)
    X, y = validate_data(
        estimator,
        X,
        y,
        multi_output=not single,
        y_numeric=True,
        dtype=[np.float64, np.float32] if keep_float32 else np.float64,
        ensure_all_finite=not keep_float32,
        reset=first,
    )
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=False)
        require_finite("weight", weight)
        if weighting == "counts":
            require_weights(weight)
        weight = as_weights(weight, weighting, -1, "sample_weight", "sample_weight")
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
    known = weighting == "sigma" and weight is not None
    return TrainingRows(X, t, weight, np.ndim(y) == 1, factor, known)


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
        _less(X, estimator._base),
        dtype=[np.float64, np.float32] if keep_float32 else np.float64,
        reset=False,
    )
    return design


def shift_of(estimator: BaseEstimator) -> Floats:
    """What is taken off the columns of X (d,), in float64."""
    base = estimator._base
    return np.zeros(estimator.n_features_in_) if base is None else base.astype(np.float64)


def _base_of(X: Any) -> npt.NDArray[np.object_] | None:
    """The first row of X where columns of whole numbers go beyond 2⁵³, else 0; None for none."""
    columns = _columns(X)
    if not columns or not len(columns[0]):
        return None
    base = [_first(c) for c in columns]
    return np.array(base, dtype=object) if any(base) else None


def _first(column: Any) -> int:
    if column.dtype.kind not in "iu":
        return 0
    return int(column[0]) if max(abs(int(column.min())), int(column.max())) > _EXACT else 0


def _less(X: Any, base: npt.NDArray[np.object_] | None) -> Any:
    """X less the base of its columns, in whole numbers where both are; X itself where that is 0."""
    if base is None:
        return X
    columns = _columns(X)
    if len(columns) != len(base):
        raise ShapeError(f"X has another number of columns than {len(base)}, or none of numbers")
    # In Python's whole numbers: the difference of two 64-bit ones may not fit.
    shifted = [
        (c.astype(object) - b).astype(np.float64) if c.dtype.kind in "iu" and b else c - float(b)
        for c, b in zip(columns, base, strict=True)
    ]
    table = np.column_stack(shifted)
    return type(X)(table, columns=X.columns, index=X.index) if hasattr(X, "iloc") else table


def _columns(X: Any) -> list[npt.NDArray[Any]]:
    """The columns of an array or frame of numbers; none of anything else."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        found = [np.asarray(X.iloc[:, j]) for j in range(X.shape[1])]
        return found if all(c.dtype.kind in "iufb" for c in found) else []
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "iuf":
        return list(X.T)
    return []
