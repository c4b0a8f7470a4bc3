"""What one pass learns of each column, as sums that merge: the encoder is made from these alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.buffers import Buffers
from halfsquare.data.levels import UNSEEN
from halfsquare.data.products import Products
from halfsquare.data.roles import Roles
from halfsquare.data.times import PARTS, time_parts
from halfsquare.loss import Floats


@dataclass(frozen=True)
class NumberStatistics:
    """Weight, mean and variance of c columns over their values that are not missing.

    All arrays are (c,). ``missing`` is the weight of missing values. Merged after Chan, Golub &
    LeVeque (1979), eq. 2.1, as :class:`halfsquare.moments.Moments`, with a weight for each column.
    """

    weight: Floats
    mean: Floats
    variance: Floats
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

    @classmethod
    def of_products(cls, products: Products, block: Floats) -> NumberStatistics:
        """The same of rows whose products are summed already."""
        if not block.shape[1]:
            return cls.zero(len(block))
        known = products.known
        low, high = np.fmin.reduce(block, axis=1), np.fmax.reduce(block, axis=1)
        return cls(
            known,
            products.means,
            products.variances,
            products.weight - known,
            np.where(known > 0, low, np.inf),
            np.where(known > 0, high, -np.inf),
        )

    @np.errstate(
        over="ignore", invalid="ignore"
    )  # numbers that are too large for it are refused afterwards
    def merge(self, other: NumberStatistics) -> NumberStatistics:
        """Of the rows of both."""
        total = self.weight + other.weight
        own, share = (
            np.divide(s.weight, total, out=np.zeros_like(total), where=total > 0)
            for s in (self, other)
        )
        delta = other.mean - self.mean
        return NumberStatistics(
            total,
            self.mean + delta * share,
            own * self.variance + share * other.variance + own * share * delta * delta,
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
    variance = np.add.reduce(centred) / n
    return float(n), mean + left, variance, float(gone), values.min(), values.max()


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
    variance = np.add.reduce(share * centred * centred)
    return float(total), mean, variance, gone, values.min(), values.max()


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
    whole : bool
        Whether all weights are whole numbers, as counts are.
    products : Products or None
        Of all scanned columns, where they were asked for.
    """

    rows: int
    weight: float
    numbers: NumberStatistics
    time_parts: dict[int, NumberStatistics]
    levels: dict[int, Floats]
    whole: bool = True
    products: Products | None = None

    def merge(self, other: TableStatistics) -> TableStatistics:
        return TableStatistics(
            self.rows + other.rows,
            self.weight + other.weight,
            self.numbers.merge(other.numbers),
            {j: s.merge(other.time_parts[j]) for j, s in self.time_parts.items()},
            {j: _add_ragged(a, other.levels[j]) for j, a in self.levels.items()},
            self.whole and other.whole,
            None
            if self.products is None or other.products is None
            else self.products.merge(other.products),
        )


def _add_ragged(a: Floats, b: Floats) -> Floats:
    """a + b, the shorter one filled up with zeros: levels that turned up later."""
    total = np.zeros(max(len(a), len(b)))
    total[: len(a)] += a
    total[: len(b)] += b
    return total


# Of the rows to train on, and of those set apart.
Pair = tuple[TableStatistics, TableStatistics]


def merged(a: Pair, b: Pair) -> Pair:
    """The statistics of both, part by part."""
    return a[0].merge(b[0]), a[1].merge(b[1])


def statistics_of(part: Floats, roles: Roles, products: Buffers | None = None) -> TableStatistics:
    """Of raw rows (columns, m) in the order of ``roles.scanned``; with ``products`` of columns
    where there is memory for them.
    """
    weight = part[len(roles.targets)] if roles.weight is not None else None
    times, levels = {}, {}
    for j, column in enumerate(roles.scanned):
        if column.kind in ("timestamp", "time"):
            parts = np.empty((len(PARTS), part.shape[1]))
            time_parts(part[j], parts)
            times[j] = NumberStatistics.of(parts, weight)
        elif column.kind == "text":
            levels[j] = np.bincount(
                (part[j] - UNSEEN).astype(np.intp), weights=weight, minlength=2
            ).astype(float)
    total = float(part.shape[1]) if weight is None else float(weight.sum())
    whole = weight is None or bool((weight == np.floor(weight)).all())
    summed = None if products is None else Products.of(part, weight, products)
    numbers = (
        NumberStatistics.of(part, weight)
        if summed is None
        else NumberStatistics.of_products(summed, part)
    )
    return TableStatistics(part.shape[1], total, numbers, times, levels, whole, summed)
