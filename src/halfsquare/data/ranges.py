"""Which numbers are too large or too small for sums of their squares."""

from __future__ import annotations

import numpy as np

from halfsquare.data.roles import Roles
from halfsquare.data.statistics import TableStatistics
from halfsquare.errors import DataError, NotFiniteError
from halfsquare.loss import Floats

# Spreads are sums of squares of columns; the standard error of the MSE sums fourth powers of
# errors.
LARGEST = 1e140
LARGEST_TARGET = 1e70


def out_of_range(what: str, value: float, limit: float) -> str:
    """The sentence on a column whose largest value in size is ``value``."""
    size = "large" if abs(value) > limit else "small"
    return (
        f"{what} has values as {size} as {value:g}, and their squares are lost in float64: "
        f"expected numbers from {1 / limit:g} to {limit:g} in size. State it in another unit"
    )


def require_array_range(what: str, values: Floats, limit: float) -> None:
    """As :func:`require_range`, of the columns of an array (n, c); NaN and infinity are others'
    to refuse.

    Raises
    ------
    DataError
        Naming the column's number and its largest value.
    """
    if not values.size:
        return
    low, high = (np.asarray(v, dtype=np.float64) for v in (values.min(axis=0), values.max(axis=0)))
    value = np.where(np.abs(low) > np.abs(high), low, high)
    with np.errstate(invalid="ignore"):
        bad = np.isfinite(value) & (np.abs(value) > limit)
        bad |= (value != 0) & (np.abs(value) < 1 / limit)
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(out_of_range(f"{what}, column {at},", float(value[at]), limit))


def require_range(statistics: TableStatistics, roles: Roles, name: str) -> None:
    """Refuse columns whose numbers are so large or so small that their squares are lost.

    Raises
    ------
    DataError
        Naming the column and its largest value.
    """
    for j, column in enumerate(roles.scanned):
        if column.kind not in ("number", "boolean") or not statistics.numbers.weight[j] > 0:
            continue
        low, high = float(statistics.numbers.minimum[j]), float(statistics.numbers.maximum[j])
        value = max((low, high), key=abs)
        limit = LARGEST_TARGET if j < len(roles.targets) else LARGEST
        if abs(value) > limit or 0 < abs(value) < 1 / limit:
            hint = f", or leave it out (--exclude {column.name})"
            raise DataError(out_of_range(f"column {column.name!r} of {name}", value, limit) + hint)


def require_finite(values: Floats, first_row: int, name: str, column: str) -> None:
    """Refuse an infinite or far too large number among (m,), naming its row; ``first_row`` counts
    from 0.

    Raises
    ------
    NotFiniteError
    """
    if not len(values) or (values.min() >= -LARGEST and values.max() <= LARGEST):
        return
    beyond = np.abs(values) > LARGEST
    if beyond.any():
        at = int(np.argmax(beyond))
        expected = (
            "a finite number" if np.isinf(values[at]) else f"a number up to {LARGEST:g} in size"
        )
        raise NotFiniteError(
            f"{name}, row {first_row + at + 1}, column {column!r}: found {values[at]}, "
            f"expected {expected}"
        )
