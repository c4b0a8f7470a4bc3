"""Sums in bins whose range need not be known before the rows are: they add, and neighbours merge
exactly.

A bin is a whole number i and stands for [i, i+1) · width. The width is a power of two; when values
fall outside, it doubles, bin i becomes ⌊i/2⌋, and the sums of two bins become those of one: nothing
is read twice and nothing is lost but resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

_LARGEST = 2.0**52  # a bin's number, so that it is exact


class Bins:
    """Sums of s columns by the value of one number; a builder: :meth:`add` changes it.

    Parameters
    ----------
    sums : int
        s; the first of them is the weight.
    most : int
        Bins at most.

    Examples
    --------
    >>> bins = Bins(sums=1, most=4)
    >>> for values in ([0.0, 1.0], [5.0]):  # the second batch lies outside: the bins grow wider
    ...     bins.add(np.array(values), np.ones((1, len(values))))
    >>> bins.width, bins.table[:, 0].tolist()
    (2.0, [2.0, 0.0, 1.0])
    """

    def __init__(self, sums: int, most: int = 4096) -> None:
        self.most = most
        self.width = 0.0
        self.start = 0
        self.table = np.zeros((0, sums))

    def add(self, values: Floats, columns: Floats) -> None:
        """Rows of ``values`` (m,) and what is summed of them, (s, m); values that are not finite
        are passed over.
        """
        keep = np.isfinite(values)
        if not keep.all():
            values, columns = values[keep], columns[:, keep]
        if not len(values):
            return
        low, high = float(values.min()), float(values.max())
        if not self.width:
            self.width = first_width(low, high, self.most // 4)
        while max(abs(low), abs(high)) / self.width >= _LARGEST:
            self._double()
        while True:
            before, end = math.floor(low / self.width), math.floor(high / self.width)
            if len(self.table):
                before, end = min(before, self.start), max(end, self.start + len(self.table) - 1)
            if end - before < self.most:
                break
            self._double()
        table = np.zeros((end - before + 1, self.table.shape[1]))
        if len(self.table):
            table[self.start - before : self.start - before + len(self.table)] = self.table
        at = np.floor(values / self.width).astype(np.int64) - before
        for j, column in enumerate(columns):
            table[:, j] += np.bincount(at, weights=column, minlength=len(table))
        self.start, self.table = before, table

    def groups(self, count: int) -> tuple[Floats, Floats]:
        """At most ``count`` neighbouring groups, edges (g+1,) and sums (g, s): narrow where rows
        are many, yet none
        so wide that it hides what goes on in a sparse stretch.
        """
        used = np.flatnonzero(self.table[:, 0] > 0)
        if not len(used):
            return np.zeros(1), np.zeros((0, self.table.shape[1]))
        table, index = self.table[used], used + self.start
        done = np.cumsum(table[:, 0])
        low, high = self.quantile(0.005), self.quantile(0.995)
        along = np.clip((index * self.width - low) / max(high - low, self.width), 0.0, 1.0)
        place = 0.6 * (done - 0.5 * table[:, 0]) / done[-1] + 0.4 * along
        group = np.minimum((place * count).astype(np.intp), count - 1)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        sums = np.add.reduceat(table, starts, axis=0)
        least = max(done[-1] / (20 * count), min(5.0, done[-1] / 8))
        kept, gathered = [0], 0.0  # a group of too few rows goes together with the next
        for g in range(1, len(starts)):
            gathered += float(sums[g - 1, 0])
            if gathered >= least:
                kept.append(g)
                gathered = 0.0
        edges = np.append(index[starts[kept]] * self.width, (index[-1] + 1) * self.width)
        return edges, np.add.reduceat(sums, kept, axis=0)

    def even(self, count: int, low: float, high: float) -> tuple[Floats, Floats]:
        """About ``count`` bins of equal width from ``low`` to ``high``: edges (g+1,) and sums (g,
        s).
        """
        each = max(1, math.ceil((high - low) / self.width / count))
        first, last = math.floor(low / self.width / each), math.floor(high / self.width / each)
        sums = np.zeros((last - first + 1, self.table.shape[1]))
        at = (np.arange(len(self.table)) + self.start) // each - first
        inside = (at >= 0) & (at < len(sums))
        np.add.at(sums, at[inside], self.table[inside])
        return np.arange(first, last + 2) * each * self.width, sums

    def outside(self, low: float, high: float) -> float:
        """The weight of what lies below ``low`` or above ``high``, to the width of a bin."""
        at = (np.arange(len(self.table)) + self.start) * self.width
        out = (at + self.width <= low) | (at > high)
        return float(self.table[out, 0].sum())

    def shares(self, count: int) -> tuple[Floats, Floats]:
        """So many neighbouring groups of about equal weight, edges (g+1,) and sums (g, s)."""
        used = np.flatnonzero(self.table[:, 0] > 0)
        if not len(used):
            return np.zeros(1), np.zeros((0, self.table.shape[1]))
        table, index = self.table[used], used + self.start
        done = np.cumsum(table[:, 0])
        group = np.minimum(
            ((done - 0.5 * table[:, 0]) / done[-1] * count).astype(np.intp), count - 1
        )
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        edges = np.append(index[starts] * self.width, (index[-1] + 1) * self.width)
        return edges, np.add.reduceat(table, starts, axis=0)

    def quantile(self, share: float) -> float:
        """The value below which this share of the weight lies, to the width of a bin."""
        done = np.cumsum(self.table[:, 0])
        if not len(done) or not done[-1] > 0:
            return math.nan
        wanted = share * done[-1]
        i = int(np.searchsorted(done, wanted))
        i = min(i, len(done) - 1)
        inside = self.table[i, 0]
        part = (wanted - (done[i] - inside)) / inside if inside > 0 else 0.5
        return float((self.start + i + min(max(part, 0.0), 1.0)) * self.width)

    def _double(self) -> None:
        self.width *= 2.0
        if len(self.table):
            at = (np.arange(len(self.table)) + self.start) // 2
            merged = np.zeros((int(at[-1] - at[0]) + 1, self.table.shape[1]))
            np.add.at(merged, at - at[0], self.table)
            self.start, self.table = int(at[0]), merged


def first_width(low: float, high: float, count: int) -> float:
    """A power of two of which about ``count`` reach from low to high."""
    size = max(abs(low), abs(high)) or 2.0**-20
    span = max((high - low) / count, size * 2.0**-40, 2.0**-1000)
    return float(2.0 ** math.ceil(math.log2(span)))


@dataclass
class Grid:
    """Weights on a square grid of two numbers in the same unit; it coarsens as :class:`Bins`
    does.
    """

    most: int = 512
    width: float = 0.0
    starts: npt.NDArray[np.int64] | None = None
    table: Floats | None = None

    def add(self, x: Floats, y: Floats, weight: Floats) -> None:
        """Rows (m,); those that are not finite are passed over."""
        both = np.vstack([x, y])
        keep = np.isfinite(both).all(axis=0)
        both, weight = both[:, keep], weight[keep]
        if not both.shape[1]:
            return
        low, high = both.min(axis=1), both.max(axis=1)
        if not self.width:
            self.width = first_width(float(low.min()), float(high.max()), self.most // 2)
        while float(np.abs(both).max()) / self.width >= _LARGEST:
            self._double()
        while True:
            first, last = (
                np.floor(low / self.width).astype(np.int64),
                np.floor(high / self.width).astype(np.int64),
            )
            if self.table is not None and self.starts is not None:
                first = np.minimum(first, self.starts)
                last = np.maximum(last, self.starts + self.table.shape - 1)
            if (last - first < self.most).all():
                break
            self._double()
        table = np.zeros(tuple(last - first + 1))
        if self.table is not None and self.starts is not None:
            a, b = self.starts - first
            table[a : a + self.table.shape[0], b : b + self.table.shape[1]] = self.table
        at = np.floor(both / self.width).astype(np.int64) - first[:, None]
        np.add.at(table, (at[0], at[1]), weight)
        self.starts, self.table = first, table

    def cells(
        self, count: int, x_range: tuple[float, float], y_range: tuple[float, float]
    ) -> list[dict[str, float]]:
        """The cells that hold rows, about ``count`` along the wider range: x, x2, y, y2 and
        weight.
        """
        if self.table is None or self.starts is None:
            return []
        wide = max(x_range[1] - x_range[0], y_range[1] - y_range[0])
        each = max(1, math.ceil(min(wide / self.width, max(self.table.shape)) / count))
        used = np.argwhere(self.table > 0)
        place = (used + self.starts) // each
        unique, where = np.unique(place, axis=0, return_inverse=True)
        weights = np.bincount(where.reshape(-1), weights=self.table[used[:, 0], used[:, 1]])
        size = each * self.width
        found = []
        for (i, j), weight in zip(unique, weights, strict=True):
            x, y = float(i * size), float(j * size)
            if x_range[0] - size < x < x_range[1] and y_range[0] - size < y < y_range[1]:
                found.append(
                    {"x": x, "x2": x + size, "y": y, "y2": y + size, "weight": float(weight)}
                )
        return found

    def _double(self) -> None:
        self.width *= 2.0
        if self.table is None or self.starts is None:
            return
        used = np.argwhere(self.table > 0)
        place = (used + self.starts) // 2
        first = place.min(axis=0)
        merged = np.zeros(tuple(place.max(axis=0) - first + 1))
        np.add.at(merged, tuple((place - first).T), self.table[used[:, 0], used[:, 1]])
        self.starts, self.table = first, merged
