"""How large and how small numbers may be: their squares, and those of errors once more, have to fit in float64."""

from __future__ import annotations

import numpy as np

from halfsquare.data.columns import Roles
from halfsquare.data.statistics import TableStatistics
from halfsquare.errors import DataError, NotFiniteError
from halfsquare.loss import Floats

# Spreads are sums of squares of columns; the standard error of the MSE sums fourth powers of errors.
LARGEST = 1e140
LARGEST_TARGET = 1e70


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
        value, limit = max((low, high), key=abs), LARGEST_TARGET if j < len(roles.targets) else LARGEST
        if abs(value) > limit or 0 < abs(value) < 1 / limit:
            size = "large" if abs(value) > limit else "small"
            raise DataError(
                f"column {column.name!r} of {name} has values as {size} as {value:g}, and their squares are lost in "
                f"float64: expected numbers from {1 / limit:g} to {limit:g} in size. State it in another unit, "
                f"or leave it out (--exclude {column.name})"
            )


def require_finite(values: Floats, first_row: int, name: str, column: str) -> None:
    """Refuse an infinite or far too large number among (m,), naming its row; ``first_row`` counts from 0.

    Raises
    ------
    NotFiniteError
    """
    beyond = np.abs(values) > LARGEST
    if beyond.any():
        at = int(np.argmax(beyond))
        expected = "a finite number" if np.isinf(values[at]) else f"a number up to {LARGEST:g} in size"
        raise NotFiniteError(
            f"{name}, row {first_row + at + 1}, column {column!r}: found {values[at]}, expected {expected}"
        )
