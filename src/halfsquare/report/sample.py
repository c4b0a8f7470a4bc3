"""Some rows, chosen by a hash of their number: the same whatever the batches, and in step with
nothing that repeats in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.report.learning import mixed


@dataclass(frozen=True)
class Sample:
    """At most ``most`` rows: those whose numbers have the smallest hashes.

    Attributes
    ----------
    most : int
    seen : int
        Rows that it was taken from.
    rows : (m,)
        Their numbers, from 1.
    design : (m, d)
    target, output : (m, k)
    weight : (m,)
    """

    most: int
    seen: int
    rows: npt.NDArray[np.intp]
    design: Floats
    target: Floats
    output: Floats
    weight: Floats

    @classmethod
    def zero(cls, most: int, d: int, k: int) -> Sample:
        """No rows yet, of d design columns and k targets."""
        none = np.empty((0, k))
        return cls(most, 0, np.empty(0, dtype=np.intp), np.empty((0, d)), none, none, np.empty(0))

    def add(
        self,
        rows: npt.NDArray[np.intp],
        design: Floats,
        target: Floats,
        output: Floats,
        weight: Floats,
    ) -> Sample:
        """With these rows seen too; those without weight count for nothing."""
        counts = np.flatnonzero(weight > 0)
        first = counts[_first(rows[counts], self.most)]
        numbers = np.concatenate([self.rows, rows[first]])
        keep = _first(numbers, self.most)
        pairs = (
            (self.design, design),
            (self.target, target),
            (self.output, output),
            (self.weight, weight),
        )
        kept = (np.concatenate([old, new[first]])[keep] for old, new in pairs)
        return Sample(self.most, self.seen + len(counts), numbers[keep], *kept)


def _first(rows: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """The places of the rows with the smallest hashes, in the order of their numbers."""
    if len(rows) <= most:
        return np.argsort(rows, kind="stable")
    chosen = np.argsort(mixed(rows.astype(np.uint64)), kind="stable")[:most]
    return np.asarray(chosen[np.argsort(rows[chosen], kind="stable")])
