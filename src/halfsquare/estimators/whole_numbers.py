"""Whole numbers beyond 2⁵³, which float64 does not hold: taken less those of the first row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from halfsquare.data.columns import ColumnReading, Reading
from halfsquare.errors import ShapeError
from halfsquare.loss import Floats

# Whole numbers up to here are float64 as they are.
_EXACT = 1 << 53


def shift_of(estimator: BaseEstimator) -> Floats:
    """What is taken off the columns of X (d,), in float64."""
    base = estimator._base
    return np.zeros(estimator.n_features_in_) if base is None else base.astype(np.float64)


def base_of(X: Any) -> npt.NDArray[np.object_] | None:
    """The first row of X where columns of whole numbers go beyond 2⁵³, else 0; None for none."""
    columns = _columns(X)
    if not columns or not len(columns[0]):
        return None
    base = [_first(c) for c in columns]
    return np.array(base, dtype=object) if any(base) else None


def _first(column: Any) -> int:
    return int(column[0]) if column.dtype.kind in "iu" and goes_beyond(column) else 0


def goes_beyond(column: Any) -> bool:
    """Whether whole numbers, an array or a column of a frame, go beyond what float64 is sure to
    hold.
    """
    return len(column) > 0 and max(abs(int(column.min())), abs(int(column.max()))) > _EXACT


def less(X: Any, base: npt.NDArray[np.object_] | None) -> Any:
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


def target_bases(y: Any) -> list[int] | None:
    """The first of each target of whole numbers beyond 2⁵³, else 0; None for none."""
    found = _targets(y)
    if found is None or not len(found):
        return None
    bases = [int(t[0]) if goes_beyond(t) else 0 for t in found.T]
    return bases if any(bases) else None


def whole_targets(y: Any, bases: list[int]) -> list[npt.NDArray[Any]] | None:
    """Each target, in whole numbers less its base; None where they are no whole numbers, or other
    ones in number.
    """
    found = _targets(y)
    if found is None or found.shape[1] != len(bases):
        return None
    return [(t.astype(object) - b).astype(np.float64) for t, b in zip(found.T, bases, strict=True)]


def targets_read(names: Sequence[str], bases: list[int] | None) -> Reading:
    """That targets were taken less their bases."""
    pairs = zip(names, bases or (), strict=False)
    return Reading({n: ColumnReading("number", "BIGINT", base=str(b)) for n, b in pairs if b})


def _targets(y: Any) -> npt.NDArray[Any] | None:
    """y as (n, k), if it holds whole numbers."""
    found = np.asarray(y)
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2):
        return None
    return found.reshape(len(found), -1)


def _columns(X: Any) -> list[npt.NDArray[Any]]:
    """The columns of an array or frame of numbers; none of anything else."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        found = [np.asarray(X.iloc[:, j]) for j in range(X.shape[1])]
        return found if all(c.dtype.kind in "iufb" for c in found) else []
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "iuf":
        return list(X.T)
    return []
