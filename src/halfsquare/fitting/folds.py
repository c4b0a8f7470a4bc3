"""Which rows each member of an ensemble leaves out: two rounds of folds.

In each round the rows are dealt into folds, and each member leaves one fold out. So every row has
two errors of members that have not seen it; :mod:`halfsquare.fitting.judgement` says what these
tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.kept_rows import Mask
from halfsquare.data.splits import Units, dealt, folds_of

_ROUNDS = 2
# Below this many rows in a fold nothing is left out: too few to judge by, too many to do without.
_LEAST_ROWS = 5
# Above, rows are better learnt from: an MSE over three times as many has a standard error of half a
# per cent.
_MOST_ROWS = 32768


def some_rows(rows: int, random: np.random.Generator, units: Units | None = None) -> Mask:
    """One row in ten (n,), but at least one and of very many some ten thousand; units stay whole,
    and of rows in an order it is the last ones.
    """
    if units is not None:
        fold = folds_of(rows, 10, random, units)
        last = fold == fold.max()
        return last if not last.all() else np.zeros(rows, dtype=bool)
    chosen = random.choice(rows, max(1, min(rows // 10, _MOST_ROWS)), replace=False)
    mask = np.zeros(rows, dtype=bool)
    mask[chosen] = True
    return mask


@dataclass(frozen=True)
class Folds:
    """Which fold each row is in, in each round; fold f of round r is left out by member r · folds +
    f.

    Two bytes a row. Rows that no member leaves out are in fold ``count``.
    """

    fold: npt.NDArray[np.uint8]  # (2, n)
    count: int  # folds of a round that a member leaves out

    @classmethod
    def deal(
        cls,
        rows: int,
        members: int,
        random: np.random.Generator,
        least: int = 0,
        units: Units | None = None,
    ) -> Folds | None:
        """Two rounds of ``members`` / 2 folds, of the same rows.

        A member leaves out no more than one row in ``least``; and of very many rows some ten
        thousand are enough to judge by. Units stay whole. None where there are too few members,
        rows or units to leave any out.
        """
        count = members // _ROUNDS
        if count < 2 or rows < _LEAST_ROWS * count:
            return None
        judged = min(rows * count // max(count, least), _MOST_ROWS * count)
        if units is not None:
            return cls._of_units(rows, count, judged, random, units)
        chosen = (
            slice(None)
            if judged == rows
            else random.choice(rows, judged, replace=False, shuffle=False)
        )
        fold = np.full((_ROUNDS, rows), count, dtype=np.uint8)
        for own in fold:
            own[chosen] = random.permutation((np.arange(judged) % count).astype(np.uint8))
        return cls(fold, count)

    @classmethod
    def _of_units(
        cls, rows: int, count: int, judged: int, random: np.random.Generator, units: Units
    ) -> Folds | None:
        """The same of whole units; of those in an order stretches, in the second round shifted by
        half of one.
        """
        blocks = max(1, -(-rows * count // judged))  # as many as would hold all rows
        if len(np.unique(units.of_row)) < 2:
            return None
        fold = np.full((_ROUNDS, rows), count, dtype=np.uint8)
        if not units.in_order:
            _, unit, sizes = np.unique(units.of_row, return_inverse=True, return_counts=True)
            room = np.full(blocks, rows / blocks)
            first = dealt(sizes, room, random)
            second = first.copy()
            own = np.flatnonzero(first < count)
            each = np.full(count, sizes[own].sum() / count)
            second[own] = dealt(sizes[own], each, random)
            for dealt_to, of_unit in zip(fold, (first, second), strict=True):
                dealt_to[:] = np.minimum(of_unit, count)[unit]
            return cls(fold, count)
        # The stretches that are left out lie evenly over the whole.
        stretch = folds_of(rows, blocks, random, units)
        out = np.unique(np.linspace(0, blocks - 1, count).round().astype(np.intp))
        number = np.full(blocks, count)
        number[out] = np.arange(len(out))
        fold[0] = number[stretch]
        chosen = np.flatnonzero(fold[0] < count)
        half = folds_of(len(chosen), 2 * count, random, units.at(chosen))
        fold[1][chosen] = ((half + 1) // 2) % count
        return cls(fold, count)

    def left_out(self, member: int) -> Mask:
        """The rows (n,) that ``member`` is not to see; none beyond the last of the folds."""
        round_, fold = divmod(member, self.count)
        if round_ >= _ROUNDS:
            return np.zeros(self.fold.shape[1], dtype=bool)
        return np.asarray(self.fold[round_] == fold)
