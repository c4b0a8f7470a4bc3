"""Rows of a batch on their way to a chunk: views of its columns, copied once, to where they stand
in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Piece:
    """Some rows of a batch.

    Attributes
    ----------
    columns : list of (m,)
        Of the batch; not to be written to.
    first : int
        The number of the batch's first row in the source, from 0.
    size : int
        How many rows count.
    kept : (size,) int, or None
        Where these stand in the batch; None for all of it.
    """

    columns: Sequence[Floats]
    first: int
    size: int
    kept: Indices | None

    def __len__(self) -> int:
        return self.size

    def values(self, column: int) -> Floats:
        """Those of the rows that count, (size,)."""
        found = self.columns[column]
        return found if self.kept is None else found[self.kept]


def gathered(pieces: Sequence[Piece], order: Indices | None, out: Floats) -> None:
    """Write the rows of all pieces to ``out`` (columns, m) in an ``order`` (m,) that rises but for
    one place: first those of one part, then those of another. None for the order they have.
    """
    m = out.shape[1]
    # Places in the chunk that rise, and where in ``out`` they begin.
    parts: list[tuple[Indices | None, int]] = [(None, 0)]
    if order is not None:
        falls = np.flatnonzero(np.diff(order) < 0) + 1
        parts = [
            (part, int(at)) for part, at in zip(np.split(order, falls), [0, *falls], strict=True)
        ]
    begin = 0
    for piece in pieces:
        end = begin + len(piece)
        for part, at in parts:
            first, stop = (begin, end) if part is None else np.searchsorted(part, (begin, end))
            own = None if part is None else part[first:stop] - begin
            if piece.kept is not None:
                own = piece.kept if own is None else piece.kept[own]
            to = slice(at + int(first), at + int(stop))
            for values, row in zip(piece.columns, out, strict=True):
                if own is None:
                    row[to] = values
                else:
                    np.take(values, own, out=row[to], mode="clip")
        begin = end
    assert begin == m
