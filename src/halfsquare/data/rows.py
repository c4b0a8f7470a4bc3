"""Encoded rows, a chunk at a time: what models and sums are given.

Chunk boundaries depend on the data alone, never on the number of threads or workers, so that sums
merged in chunk order have the same bits everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from halfsquare.data.splits import Units
from halfsquare.loss import Floats
from halfsquare.moments import Moments, weighted_mean
from halfsquare.normal_sums import NormalSums

# A chunk is the unit of parallel work: large enough that Python's overhead vanishes, small enough
# that a chunk per thread of a wide table stays in tens of megabytes.
CHUNK_ROWS = 16384


@dataclass(frozen=True)
class Chunk:
    """Some rows: design (m, d), target (m, k), weight (m,) or None for ones; float64.

    ``block``, where it is there, is [1 | design | target] transposed, (1+d+k, m): the other two are
    views of it.
    """

    design: Floats
    target: Floats
    weight: Floats | None
    block: Floats | None = None


class Rows(ABC):
    """A table of encoded rows that can be passed over any number of times, from any thread."""

    @property
    @abstractmethod
    def chunk_count(self) -> int: ...

    @property
    @abstractmethod
    def row_count(self) -> int: ...

    @abstractmethod
    def chunk(self, index: int) -> Chunk:
        """Chunk ``index``; the arrays may be views and are not to be written to."""

    @property
    @abstractmethod
    def weighted(self) -> bool:
        """Whether rows have weights; if not, each counts as one."""

    def chunk_size(self, index: int) -> int:
        """Rows of chunk ``index``."""
        return len(self.chunk(index).target)

    @property
    def offsets(self) -> Floats | None:
        """What was taken off the design's columns, in their units (d,): with it the size of the
        values as they were given, whose rounding no sum can undo. None for nothing.
        """
        return None

    @property
    def sums(self) -> NormalSums | None:
        """Those of [1 | design | target] over all rows, where they are known without a pass."""
        return None

    @property
    def units(self) -> Units | None:
        """Which rows are left out together where some are; None: each by itself."""
        return None


def spread_chunks(count: int, most: int) -> list[int]:
    """So many of ``count`` chunks at most, that lie evenly over the table."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def row_weights(rows: Rows) -> Floats | None:
    """The weight of every row (n,), in the order of the chunks; None where each counts as one."""
    if not rows.weighted:
        return None
    chunks = (rows.chunk(index).weight for index in range(rows.chunk_count))
    return np.concatenate([np.zeros(0), *(w for w in chunks if w is not None)])


@dataclass(frozen=True)
class ArrayRows(Rows):
    """Rows that lie in memory: design (n, d), target (n, k), weight (n,) or None."""

    design: Floats
    target: Floats
    weight: Floats | None = None

    @property
    def row_count(self) -> int:
        return len(self.design)

    @property
    def weighted(self) -> bool:
        return self.weight is not None

    @property
    def chunk_count(self) -> int:
        return -(-len(self.design) // CHUNK_ROWS)

    def chunk_size(self, index: int) -> int:
        return min(CHUNK_ROWS, len(self.design) - index * CHUNK_ROWS)

    def chunk(self, index: int) -> Chunk:
        at = slice(index * CHUNK_ROWS, (index + 1) * CHUNK_ROWS)
        return Chunk(
            self.design[at], self.target[at], None if self.weight is None else self.weight[at]
        )


@dataclass(frozen=True)
class ShiftedRows(Rows):
    """Arrays X (n, d) and t (n, k) less a shift of each column, so that no digits cancel in their
    sums.

    The shift is the weighted mean, or without weights near it: the mean of the first chunk. X may
    have any layout, and be float32; it is never copied as a whole.
    """

    x: Floats
    t: Floats
    weight: Floats | None
    x_shift: Floats
    t_shift: Floats
    chunk_rows: int
    x_scale: Floats | None = None

    @classmethod
    def of(cls, x: Floats, t: Floats, weight: Floats | None) -> ShiftedRows:
        """Shifted by the weighted mean; without weights by that of the first rows, which is good
        enough for sums and no pass of its own.
        """
        # A block of about two megabytes: its sums are taken while it is in the cache.
        chunk_rows = max(512, min(CHUNK_ROWS, (1 << 18) // (1 + x.shape[1] + t.shape[1])))
        some = slice(0, chunk_rows if weight is None else len(x))
        w = np.ones(len(x[some])) if weight is None else weight
        with np.errstate(over="ignore", invalid="ignore"):
            means = weighted_mean(x[some], w), weighted_mean(t[some], w)
            return cls(x, t, weight, *means, chunk_rows)

    def some(self, most: int) -> ShiftedRows:
        """At most so many of the rows, evenly spaced, copied."""
        every = max(1, -(-len(self.x) // most))
        weight = None if self.weight is None else self.weight[::every].copy()
        return replace(self, x=self.x[::every].copy(), t=self.t[::every].copy(), weight=weight)

    def standardized(self) -> ShiftedRows:
        """The same rows with columns of mean 0 and variance 1, as gradient methods need them."""
        of_x, of_t = Moments.of(self.x, self.weight), Moments.of(self.t, self.weight)
        return replace(self, x_shift=of_x.mean, t_shift=of_t.mean, x_scale=of_x.scale)

    @property
    def offsets(self) -> Floats | None:
        return self.x_shift if self.x_scale is None else self.x_shift / self.x_scale

    @property
    def row_count(self) -> int:
        return len(self.x)

    @property
    def weighted(self) -> bool:
        return self.weight is not None

    @property
    def chunk_count(self) -> int:
        return -(-len(self.x) // self.chunk_rows)

    def chunk_size(self, index: int) -> int:
        return min(self.chunk_rows, len(self.x) - index * self.chunk_rows)

    def chunk(self, index: int) -> Chunk:
        at = slice(index * self.chunk_rows, (index + 1) * self.chunk_rows)
        d, m = self.x.shape[1], len(self.x[at])
        block = np.empty((m, 1 + d + self.t.shape[1]))
        block[:, 0] = 1.0
        np.subtract(self.x[at], self.x_shift, out=block[:, 1 : 1 + d])
        if self.x_scale is not None:
            block[:, 1 : 1 + d] /= self.x_scale
        np.subtract(self.t[at], self.t_shift, out=block[:, 1 + d :])
        weight = None if self.weight is None else self.weight[at]
        return Chunk(block[:, 1 : 1 + d], block[:, 1 + d :], weight, block.T)


@dataclass(frozen=True)
class ChangedRows(Rows):
    """As many rows in as many chunks as ``rows``; a subclass says what a chunk of them becomes."""

    rows: Rows

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    @property
    def units(self) -> Units | None:
        return self.rows.units

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    @property
    def row_count(self) -> int:
        return self.rows.row_count

    def chunk_size(self, index: int) -> int:
        return self.rows.chunk_size(index)
