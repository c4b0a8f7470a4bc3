"""What the estimators are given, X, y and sample_weight, as one table that ``fit`` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import _check_sample_weight, _check_y, validate_data

from halfsquare.arrays import require_finite, require_weights
from halfsquare.data.frames import arrow_table
from halfsquare.data.spec import DataSpec
from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError
from halfsquare.estimators.whole_numbers import base_of, goes_beyond, less
from halfsquare.loss import Floats

# No name that a formula could call a parameter.
_WEIGHT = "sample weight"


@dataclass(frozen=True)
class Given:
    """Rows to fit.

    Attributes
    ----------
    table : Arrow table
        The columns of X, then the targets, then the weight.
    features, targets : tuple of str
    weight : str or None
    weighting : str
        What the weight says of its rows.
    flat : bool
        Whether y was of shape (n,).
    """

    table: Any
    features: tuple[str, ...]
    targets: tuple[str, ...]
    weight: str | None
    weighting: Weighting
    flat: bool

    @property
    def numbers(self) -> tuple[str, ...]:
        """The features that are numbers by their type."""
        import pyarrow.types as types

        kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        return tuple(
            name
            for name in self.features
            if any(is_of(self.table.schema.field(name).type) for is_of in kinds)
        )

    @property
    def spec(self) -> DataSpec:
        """The table, with the column that weighs its rows in its role."""
        role = "weights" if self.weighting == "counts" else self.weighting
        named: dict[str, Any] = {role: self.weight}  # the name of the field is the role
        return replace(DataSpec(self.table), **named)


def given(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: npt.ArrayLike | None,
    *,
    single: bool = False,
    least: int = 1,
    shift: bool = True,
    first: bool = True,
) -> Given:
    """X (n, d), y (n,) or (n, k) and weights (n,), as scikit-learn checks them.

    Parameters
    ----------
    single : bool
        Whether there may be one target alone.
    least : int
        The fewest rows.
    shift : bool
        Whether whole numbers of an array beyond 2⁵³ may be taken less the first row's.
    first : bool
        Whether this is the first call; later ones must have as many columns.

    Raises
    ------
    ValueError
        As scikit-learn does; DataError of a column that mixes types, or of two with one name.
    OptionError
        If ``weights`` is none of the three readings of ``sample_weight``.
    """
    weighting = weighting_of(estimator)
    if y is None:
        validate_data(estimator, X, y)  # refuses it
    features = columns_of(estimator, X, reset=first, least=least, shift=shift)
    t, flat = target_of(estimator, y, single=single)
    check_consistent_length(features, t)
    names = tuple(features.column_names)
    targets = target_names(y, t.shape[1], names)
    table = features
    for name, values in zip(targets, t.T, strict=True):
        table = table.append_column(name, [np.ascontiguousarray(values)])
    weight = None
    if sample_weight is not None:
        weight = _distinct(_WEIGHT, (*names, *targets))
        values = weights_of(sample_weight, t, weighting)
        table = table.append_column(weight, [values])
    return Given(table, names, targets, weight, weighting, flat)


def weighting_of(estimator: BaseEstimator) -> Weighting:
    """What ``sample_weight`` says of the rows, by the estimator's ``weights``."""
    weighting: Weighting = estimator.weights
    if weighting not in get_args(Weighting):
        raise OptionError(
            f"weights is {weighting!r}; expected one of {', '.join(get_args(Weighting))}"
        )
    return weighting


def target_of(estimator: BaseEstimator, y: Any, *, single: bool) -> tuple[Floats, bool]:
    """y as (n, k), and whether it was (n,)."""
    y = _check_y(y, multi_output=not single, y_numeric=True, estimator=estimator)
    t = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    require_finite("y", t)  # a long double may be beyond float64
    return t, np.ndim(y) == 1


def weights_of(sample_weight: npt.ArrayLike, rows: Any, weighting: Weighting) -> Floats:
    """The weights (n,) of ``rows``, as given."""
    weight: Floats = _check_sample_weight(
        sample_weight, rows, dtype=np.float64, ensure_non_negative=False
    )
    require_finite("weight", weight)
    if weighting == "counts":
        require_weights(weight)
    return weight


def is_frame(X: Any) -> bool:
    """Whether X has named columns: of pandas, Polars or Arrow, or a mapping of names to columns."""
    if isinstance(X, Mapping):
        return not issparse(X)
    framed = hasattr(X, "__arrow_c_stream__") or hasattr(X, "iloc") or hasattr(X, "collect_schema")
    return framed and len(getattr(X, "shape", (0, 0))) == 2


def only_numbers(X: Any) -> bool:
    """Whether a frame of pandas or Polars has named columns of NumPy's numbers alone, so that it is
    as good as an array. Whole numbers beyond 2⁵³ are left to the reading of tables.
    """
    if hasattr(X, "iloc"):
        kinds = {t.kind if isinstance(t, np.dtype) else "" for t in X.dtypes}
        named = all(isinstance(name, str) for name in X.columns)
        if not named or not kinds or not kinds <= set("fiu"):
            return False
        return not any(goes_beyond(X.iloc[:, j]) for j, t in enumerate(X.dtypes) if t.kind in "iu")
    if hasattr(X, "collect_schema") and hasattr(X, "get_columns"):
        columns = X.get_columns()
        whole = [c for c in columns if c.dtype.is_integer()]
        return bool(columns) and (
            all(c.dtype.is_float() or c.dtype.is_integer() for c in columns)
            and all(c.null_count() == 0 and not goes_beyond(c) for c in whole)
        )
    return False


def columns_of(
    estimator: BaseEstimator, X: Any, *, reset: bool, least: int = 1, shift: bool = True
) -> Any:
    """X as an Arrow table; with ``reset`` its columns are remembered, else they must be those of
    the fit. Columns of an array are called as those of the fit, or x1, x2, ….

    Raises
    ------
    ValueError, TypeError
        As scikit-learn does.
    """
    import pyarrow as pa

    if is_frame(X):
        table = arrow_table(X, "X")
        if hasattr(X, "iloc") and not all(isinstance(name, str) for name in X.columns):
            # As for scikit-learn, such columns have no names.
            table = table.rename_columns(_numbered(table.num_columns))
        named = X if hasattr(X, "iloc") or hasattr(X, "get_columns") else table
        validate_data(estimator, named, reset=reset, skip_check_array=True)
        if table.num_rows < least:
            raise ValueError(f"n_samples={table.num_rows} in X; at least {least} are needed")
        if reset:
            estimator._base = None
        return table if reset else table.rename_columns(list(estimator._names))
    x = array_of(estimator, X, reset=reset, least=least, shift=shift)
    names = getattr(estimator, "_names", None) if not reset else None
    names = names or _numbered(x.shape[1])
    columns = (np.ascontiguousarray(x[:, j]) for j in range(x.shape[1]))
    return pa.table({name: _readable(c) for name, c in zip(names, columns, strict=True)})


def array_of(
    estimator: BaseEstimator, X: Any, *, reset: bool, least: int = 1, shift: bool = True
) -> npt.NDArray[Any]:
    """X (n, d) that is no frame, in float64 where it holds numbers: NaN where one is missing."""
    checks = {"reset": reset, "ensure_min_samples": least}
    if holds_texts(X):
        if reset:
            estimator._base = None
        found: npt.NDArray[Any] = validate_data(
            estimator, X, dtype=None, ensure_all_finite=False, **checks
        )
        return found
    if reset:
        estimator._base = base_of(X) if shift else None
    numbers: npt.NDArray[Any] = validate_data(
        estimator,
        less(X, estimator._base),
        dtype=np.float64,
        ensure_all_finite="allow-nan",
        **checks,
    )
    return numbers


def holds_texts(X: Any) -> bool:
    """Whether X, which is no frame, may hold other things than numbers."""
    if isinstance(X, np.ndarray):
        return X.dtype.kind in "OUSMm"
    if not isinstance(X, list | tuple):
        return False
    return any(isinstance(v, str) for row in X if isinstance(row, list | tuple) for v in row)


def _numbered(count: int) -> list[str]:
    return [f"x{j + 1}" for j in range(count)]


def _readable(column: npt.NDArray[Any]) -> Any:
    """A column as Arrow takes it: objects as numbers if all are, else as texts."""
    if column.dtype.kind not in "OUS":
        return column
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        return [None if v is None or v != v else str(v) for v in column.tolist()]


def target_names(y: Any, count: int, taken: Sequence[str]) -> tuple[str, ...]:
    """Names for the targets: their own, or y, or y1, y2, …."""
    own = [str(c) for c in getattr(y, "columns", ())] or [getattr(y, "name", None) or ""]
    if len(own) != count or not all(isinstance(n, str) and n for n in own) or {*own} & {*taken}:
        own = ["y"] if count == 1 else [f"y{j + 1}" for j in range(count)]
    return tuple(_distinct(name, taken) for name in own)


def _distinct(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name
