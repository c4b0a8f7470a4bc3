"""Sums of products of raw columns, made while they are read: what linear least squares needs.

Every chunk is summed about its own means, so that nothing cancels; two of them are brought to the
means of both before they are added (Chan, Golub & LeVeque 1979, eq. 2.1, of matrices). A
standardized number is a linear map of the raw one, and so are its sums: no other pass over the rows
is needed for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.buffers import Buffers
from halfsquare.loss import Floats

MOST_COLUMNS = 2000  # of which products are summed before it is known which of them count


@dataclass(frozen=True)
class Products:
    """Σ w a aᵀ over rows a = [1 | x - centre, 0 where it is missing | whether it is missing].

    Attributes
    ----------
    rows : int
    weight : float
        Σw.
    centre : (c,)
    gaps : tuple of int
        The columns that lack values in some row, in order: the last entries of a are theirs.
    gram : (1 + c + gaps, 1 + c + gaps)
        Symmetric.
    """

    rows: int
    weight: float
    centre: Floats
    gaps: tuple[int, ...]
    gram: Floats

    @classmethod
    def zero(cls, columns: int) -> Products:
        return cls(0, 0.0, np.zeros(columns), (), np.zeros((1 + columns, 1 + columns)))

    @classmethod
    def of(cls, raw: Floats, weight: Floats | None, buffers: Buffers) -> Products:
        """Of the raw rows (c, m), whose NaNs are missing values; weights (m,) or None."""
        c, m = raw.shape
        if not m:
            return cls.zero(c)
        total = float(m) if weight is None else float(weight.sum())
        share = None if weight is None else weight / total
        centre = np.add.reduce(raw, axis=1) / m if share is None else raw @ share
        gone = {
            int(j): lacks
            for j in np.flatnonzero(~np.isfinite(centre))
            if (lacks := np.isnan(raw[j])).any()
        }
        block = buffers.empty(1 + c + len(gone), m)
        block[0] = 1.0
        for at, (column, lacks) in enumerate(gone.items(), 1 + c):
            centre[column] = _mean(raw[column][~lacks], None if weight is None else weight[~lacks])
            block[at] = lacks
        np.subtract(raw, centre[:, None], out=block[1 : 1 + c])
        for column, lacks in gone.items():
            block[1 + column][lacks] = 0.0
        if weight is not None:
            block *= np.sqrt(weight)
        # NumPy multiplies a matrix by its own transpose with one symmetric product (dsyrk).
        return cls(m, total, centre, tuple(gone), block @ block.T)

    @property
    def known(self) -> Floats:
        """The weight (c,) of the values of each column that are there."""
        known = np.full(len(self.centre), self.weight)
        known[list(self.gaps)] -= self.gram[0, 1 + len(self.centre) :]
        return known

    @property
    def means(self) -> Floats:
        """Of the values that are there, (c,); 0 where there are none."""
        known, sums = self.known, self.gram[0, 1 : 1 + len(self.centre)]
        there = known > 0
        moved = np.divide(sums, known, out=np.zeros_like(sums), where=there)
        return np.where(there, self.centre + moved, 0.0)

    @property
    def variances(self) -> Floats:
        """Of the values that are there, (c,); 0 where there are none."""
        c, known = len(self.centre), self.known
        there = known > 0
        sums, squares = self.gram[0, 1 : 1 + c], np.diag(self.gram)[1 : 1 + c]
        mean, square = (
            np.divide(s, known, out=np.zeros_like(s), where=there) for s in (sums, squares)
        )
        return np.asarray(np.maximum(square - mean * mean, 0.0))

    def about(self, centre: Floats, gaps: tuple[int, ...]) -> Floats:
        """The Gram matrix about another centre (c,), with entries for ``gaps``, those of these rows
        and perhaps more.
        """
        c, moved = len(self.centre), self.centre - centre
        places = [*range(1 + c), *(1 + c + gaps.index(column) for column in self.gaps)]
        gram: Floats = np.zeros((1 + c + len(gaps), 1 + c + len(gaps)))
        gram[np.ix_(places, places)] = self.gram
        # x - centre is more by what the centre moved, but where x is missing: there it stays 0.
        for _ in range(2):  # the rows, and then the columns
            gram[1 : 1 + c] += np.outer(moved, gram[0])
            for at, column in enumerate(gaps, 1 + c):
                gram[1 + column] -= moved[column] * gram[at]
            gram = np.asarray(gram.T, dtype=np.float64)
        return gram

    @np.errstate(over="ignore", invalid="ignore")  # too large numbers are refused afterwards
    def merge(self, other: Products) -> Products:
        """Over the rows of both."""
        if not self.rows or not other.rows:
            return other if not self.rows else self
        own, theirs = self.known, other.known
        both = own + theirs
        share = np.divide(theirs, both, out=np.zeros_like(both), where=both > 0)
        means = self.means, other.means
        # A column that has values on one side alone keeps their mean.
        first, second = np.where(own > 0, *means), np.where(theirs > 0, *means[::-1])
        centre = first + share * (second - first)
        gaps = tuple(sorted({*self.gaps, *other.gaps}))
        gram = self.about(centre, gaps) + other.about(centre, gaps)
        return Products(self.rows + other.rows, self.weight + other.weight, centre, gaps, gram)


def _mean(values: Floats, weight: Floats | None) -> float:
    if not len(values):
        return 0.0
    return float(values.mean() if weight is None else values @ (weight / weight.sum()))
