"""What one pass learns of each column, as sums that merge: the encoder is made from these alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.roles import Roles
from halfsquare.errors import DataError, NotFiniteError
from halfsquare.loss import Floats


@dataclass(frozen=True)
class NumberStatistics:
    """Weight, mean and Σ w (x - mean)² of c columns over their values that are not missing.

    All arrays are (c,). ``missing`` is the weight of missing values. Merged after Chan, Golub &
    LeVeque (1979), eq. 2.1, as :class:`halfsquare.sums.Moments`, with a weight for each column.
    """

    weight: Floats
    mean: Floats
    m2: Floats
    missing: Floats
    minimum: Floats
    maximum: Floats

    @classmethod
    def zero(cls, columns: int) -> NumberStatistics:
        none, far = np.zeros(columns), np.full(columns, np.inf)
        return cls(none, none, none, none, far, -far)

    @classmethod
    def of(cls, block: Floats, weight: Floats | None) -> NumberStatistics:
        """Of the rows of ``block`` (c, m), whose NaNs are missing values; weights (m,)."""
        c, m = block.shape
        if not m:
            return cls.zero(c)
        found, spare = np.empty((c, 6)), np.empty(m)
        # One column after the other: the passes over it find it in the cache.
        for values, of_it in zip(block, found, strict=True):
            of_it[:] = _counted(values, spare) if weight is None else _weighed(values, weight)
        return cls(*np.ascontiguousarray(found.T))

    @np.errstate(
        over="ignore", invalid="ignore"
    )  # numbers that are too large for it are refused afterwards
    def merge(self, other: NumberStatistics) -> NumberStatistics:
        """Of the rows of both."""
        total = self.weight + other.weight
        share = np.divide(other.weight, total, out=np.zeros_like(total), where=total > 0)
        delta = other.mean - self.mean
        return NumberStatistics(
            total,
            self.mean + delta * share,
            self.m2 + other.m2 + self.weight * share * delta * delta,
            self.missing + other.missing,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
        )


_Six = tuple[float, float, float, float, float, float]
_NOTHING = (0.0, 0.0, 0.0)


def _counted(values: Floats, spare: Floats) -> _Six:
    """The six of a column (m,) in which every row counts as one; ``spare`` (m,) is written to."""
    total, gone = np.add.reduce(values), 0
    if not np.isfinite(total):
        values, all_of_them = values[~np.isnan(values)], len(values)
        gone = all_of_them - len(values)
        if gone == all_of_them:
            return (*_NOTHING, float(gone), np.inf, -np.inf)
        total = np.add.reduce(values)
    n = len(values)
    mean = total / n if np.isfinite(total) else np.add.reduce(values / n)
    centred = np.subtract(values, mean, out=spare[:n])
    # What rounding left in the mean, which for numbers far from zero is many spreads.
    left = np.add.reduce(centred) / n
    np.subtract(centred, left, out=centred)
    np.multiply(centred, centred, out=centred)
    squares = np.add.reduce(centred)
    return float(n), mean + left, squares, float(gone), values.min(), values.max()


def _weighed(values: Floats, weight: Floats) -> _Six:
    """The six of a column (m,) with weights (m,); a row of weight 0 is no row."""
    missing = np.isnan(values)
    gone, here = float(weight[missing].sum()), ~missing & (weight > 0)
    if not here.any():
        return (*_NOTHING, gone, np.inf, -np.inf)
    values, w = values[here], weight[here]
    total = w.sum()
    share = w / total  # no product of a weight and a value overflows
    mean = np.add.reduce(share * values)
    mean += np.add.reduce(share * (values - mean))
    centred = values - mean
    squares = np.add.reduce(w * centred * centred)
    return float(total), mean, squares, gone, values.min(), values.max()


@dataclass(frozen=True)
class TableStatistics:
    """Statistics of one part of a table: its number columns and time parts, and its text levels.

    Attributes
    ----------
    rows : int
    weight : float
    numbers : NumberStatistics
        Of all scanned columns in order (a text column's entries are those of its codes).
    time_parts : dict of column position to NumberStatistics
    levels : dict of column position to array
        Weight of [unseen, missing, level 0, level 1, …].
    """

    rows: int
    weight: float
    numbers: NumberStatistics
    time_parts: dict[int, NumberStatistics]
    levels: dict[int, Floats]

    def merge(self, other: TableStatistics) -> TableStatistics:
        return TableStatistics(
            self.rows + other.rows,
            self.weight + other.weight,
            self.numbers.merge(other.numbers),
            {j: s.merge(other.time_parts[j]) for j, s in self.time_parts.items()},
            {j: _add_ragged(a, other.levels[j]) for j, a in self.levels.items()},
        )


def _add_ragged(a: Floats, b: Floats) -> Floats:
    """a + b, the shorter one filled up with zeros: levels that turned up later."""
    total = np.zeros(max(len(a), len(b)))
    total[: len(a)] += a
    total[: len(b)] += b
    return total


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
