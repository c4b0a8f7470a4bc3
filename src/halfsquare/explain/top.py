"""The rows of greatest absolute value in each of several streams of numbers; all others are let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats


@dataclass(frozen=True)
class Top:
    """For each of q streams the ``kept`` rows of greatest |value|, hardest first; of equals the first row.

    Attributes
    ----------
    rows, values, beside : (q, up to kept)
        Row number, its value, and a number kept beside it.
    """

    kept: int
    rows: npt.NDArray[np.intp]
    values: Floats
    beside: Floats

    @classmethod
    def zero(cls, count: int, kept: int) -> Top:
        return cls(kept, np.zeros((count, 0), dtype=np.intp), np.zeros((count, 0)), np.zeros((count, 0)))

    def add(self, rows: npt.NDArray[np.intp], values: Floats, beside: Sequence[Floats]) -> Top:
        """With rows (m,) of values (m, q) added; ``beside`` has for each stream the numbers (m,) kept beside."""
        if not self.kept or not len(rows):
            return self
        size = np.abs(values.T)
        if len(rows) > self.kept:
            first = np.sort(np.argpartition(-size, self.kept - 1, axis=1)[:, : self.kept], axis=1)
        else:
            first = np.broadcast_to(np.arange(len(rows)), size.shape)
        next_to = np.array([b[at] for b, at in zip(beside, first, strict=True)]).reshape(first.shape)
        all_rows = np.hstack([self.rows, rows[first]])
        all_values = np.hstack([self.values, np.take_along_axis(values.T, first, axis=1)])
        all_beside = np.hstack([self.beside, next_to])
        order = np.argsort(-np.abs(all_values), axis=1, kind="stable")[:, : self.kept]
        taken = (np.take_along_axis(a, order, axis=1) for a in (all_rows, all_values, all_beside))
        return Top(self.kept, *taken)

    def of(self, stream: int) -> list[tuple[int, float, float]]:
        """Row, value and what is beside it, of a stream; rows whose value is 0 left out."""
        found = zip(self.rows[stream], self.values[stream], self.beside[stream], strict=True)
        return [(int(r), float(v), float(b)) for r, v, b in found if v]
