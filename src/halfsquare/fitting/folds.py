"""Which rows each member of an ensemble leaves out: two rounds of folds.

In each round the rows are dealt into folds, and each member leaves one fold out. So every row has
two errors of members that have not seen it; :mod:`halfsquare.fitting.judgement` says what these
tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.counted import OFTEN, some_of_each
from halfsquare.data.kept_rows import KeptRows, Mask
from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.data.splits import Units, dealt, folds_of
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

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


def stand_often(weight: Floats | None) -> bool:
    """Whether rows are samples of what they count, by their weights (n,), and not too many to deal
    that out.
    """
    if weight is None or not 0 < len(weight) <= _MOST_ROWS:
        return False
    often = float(weight.sum()) > OFTEN * len(weight)
    return often and bool((weight == np.floor(weight)).all())


def counts_dealt(
    weight: Floats, count: int, random: np.random.Generator, blocks: int
) -> tuple[npt.NDArray[np.intp], Floats]:
    """What rows of whole ``weight`` (n,) count, dealt into the first ``count`` of so many blocks of
    one size: of each row the block of one of them, drawn at random, and how many (count, n) are in
    each.
    """
    apart, rest = np.zeros((count, len(weight))), weight
    for f in range(count):
        apart[f] = some_of_each(rest, round(float(rest.sum()) / (blocks - f)), random)
        rest = rest - apart[f]
    drawn = random.random(len(weight)) * weight
    return (np.cumsum(apart, axis=0) <= drawn).sum(axis=0), apart


@dataclass(frozen=True)
class LeftOut:
    """What a member is not to see: whole rows, or where these stand often some of what they count.

    Attributes
    ----------
    mask : (n,)
        Rows of which anything is left out.
    counts, total : (n,) or None
        How many of each row, and as how many it stands; None where it is left out as a whole.
    judged : (n,) or None
        Which of them the member's errors are told of, where many members leave out a part of each.
    """

    mask: Mask
    counts: Floats | None = None
    total: Floats | None = None
    judged: Mask | None = None

    @property
    def told_of(self) -> Mask:
        """The rows (n,) that the member's errors are told of."""
        return self.mask if self.judged is None else self.judged

    @property
    def rest(self) -> Floats | None:
        """As how many each row (n,) stays; None where rows are left out as a whole."""
        return None if self.counts is None or self.total is None else self.total - self.counts

    @classmethod
    def none(cls, rows: int) -> LeftOut:
        """Nothing of so many rows."""
        return cls(np.zeros(rows, dtype=bool))

    def seen(self, rows: Rows) -> Rows:
        """What is left to learn from."""
        if not self.mask.any():
            return rows
        rest = self.rest
        return KeptRows.of(rows, ~self.mask if rest is None else rest > 0, rest)

    def aside(self, rows: Rows, execution: Execution) -> ArrayRows:
        """What is left out, in memory."""
        return KeptRows.of(rows, self.mask, self.counts).gathered(execution)


@dataclass(frozen=True)
class Folds:
    """Which fold each row is in, in each round; fold f of round r is left out by member r · folds +
    f.

    Two bytes a row. Rows that no member leaves out are in fold ``count``. Where rows stand often,
    as in a table of categories with their numbers, what they count is dealt into the folds as
    repeated rows would be, and ``fold`` says which of them a row is judged by.
    """

    fold: npt.NDArray[np.uint8]  # (2, n)
    count: int  # folds of a round that a member leaves out
    apart: Floats | None = None  # (2, count, n), of what rows count
    total: Floats | None = None  # (n,)

    @classmethod
    def deal(
        cls,
        rows: int,
        members: int,
        random: np.random.Generator,
        least: int = 0,
        units: Units | None = None,
        weight: Floats | None = None,
    ) -> Folds | None:
        """Two rounds of ``members`` / 2 folds, of the same rows; where these stand often by their
        ``weight`` (n,), of what they count.

        A member leaves out no more than one row in ``least``; and of very many rows some ten
        thousand are enough to judge by. Units stay whole. None where there are too few members,
        rows or units to leave any out.
        """
        count = members // _ROUNDS
        if weight is not None and count >= 2 and stand_often(weight):
            return cls.of_counts(weight, count, random, max(count, least))
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
    def of_counts(
        cls, weight: Floats, count: int, random: np.random.Generator, blocks: int
    ) -> Folds:
        """Two rounds of folds of what rows of whole ``weight`` (n,) count; each is one of so many
        blocks of one size.
        """
        rounds = [counts_dealt(weight, count, random, blocks) for _ in range(_ROUNDS)]
        fold = np.array([judged for judged, _ in rounds], dtype=np.uint8)
        return cls(fold, count, np.array([apart for _, apart in rounds]), weight)

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

    def left_out(self, member: int) -> LeftOut:
        """What ``member`` is not to see; nothing beyond the last of the folds."""
        round_, fold = divmod(member, self.count)
        if round_ >= _ROUNDS:
            return LeftOut.none(self.fold.shape[1])
        mine = np.asarray(self.fold[round_] == fold)
        if self.apart is None:
            return LeftOut(mine)
        counts = self.apart[round_, fold]
        return LeftOut(counts > 0, counts, self.total, mine)
