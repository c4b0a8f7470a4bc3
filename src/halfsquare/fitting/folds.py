"""Rows left out, in two rounds of folds, and what the errors on them say about an ensemble.

In each of two rounds the rows are dealt into folds, and each member leaves one fold out. So every
row has two errors e₁, e₂ of members that have not seen it and share nothing but the data:

    mean square of one member           ½ (e₁² + e₂²)
    variance between members            V = ½ (e₁ - e₂)²
    mean square of an endless ensemble  e₁ e₂             (the product: the average keeps it)
    mean square of M members            e₁ e₂ + V / M       (Krogh & Vedelsby 1995, eq. 5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows, Chunk, Rows
from halfsquare.data.splits import Units, dealt, folds_of
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.parallel.base import Execution
from halfsquare.results.predictive import outputs_and_variance

Mask = npt.NDArray[np.bool_]

_ROUNDS = 2
# Below this many rows in a fold nothing is left out: too few to judge by, too many to do without.
_LEAST_ROWS = 5
# Above, rows are better learnt from: an MSE over three times as many has a standard error of half a
# per cent.
_MOST_ROWS = 32768


@dataclass(frozen=True)
class KeptRows(Rows):
    """Those of ``rows`` where ``kept`` (n,) is true, chunk by chunk."""

    rows: Rows
    kept: Mask
    starts: tuple[int, ...]  # the first row of each chunk, and n

    @classmethod
    def of(cls, rows: Rows, kept: Mask) -> KeptRows:
        sizes = [rows.chunk_size(i) for i in range(rows.chunk_count)]
        return cls(rows, kept, tuple(np.cumsum([0, *sizes]).tolist()))

    @property
    def row_count(self) -> int:
        return int(self.kept.sum())

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    @property
    def offsets(self) -> Floats | None:
        return self.rows.offsets

    @property
    def units(self) -> Units | None:
        units = self.rows.units
        return None if units is None else units.at(self.kept)

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    def chunk_size(self, index: int) -> int:
        return int(np.count_nonzero(self.kept[self.starts[index] : self.starts[index + 1]]))

    def chunk(self, index: int) -> Chunk:
        whole = self.rows.chunk(index)
        kept = self.kept[self.starts[index] : self.starts[index + 1]]
        return Chunk(
            whole.design[kept],
            whole.target[kept],
            None if whole.weight is None else whole.weight[kept],
        )

    def gathered(self, execution: Execution) -> ArrayRows:
        """These rows in memory: few out of many, that are wanted often."""
        chunks = list(execution.map(self.chunk, self.chunk_count))
        weights = [chunk.weight for chunk in chunks if chunk.weight is not None]
        return ArrayRows(
            np.concatenate([chunk.design for chunk in chunks]),
            np.concatenate([chunk.target for chunk in chunks]),
            np.concatenate(weights) if weights else None,
        )


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


@dataclass(frozen=True)
class HeldOutErrors:
    """The errors (m, k) of one member on the rows it left out, their parameter variance (m, k), and
    which rows.
    """

    rows: npt.NDArray[np.intp]
    error: Floats
    variance: Floats
    weight: Floats

    @classmethod
    def of(
        cls,
        model: Model,
        parameters: Floats,
        covariance: Floats | None,
        out: ArrayRows,
        left_out: Mask,
    ) -> HeldOutErrors:
        """On the rows ``out``, gathered from where ``left_out`` (n,) is true."""
        outputs, variance = outputs_and_variance(model, parameters, covariance, out.design)
        weight = np.ones(len(outputs)) if out.weight is None else out.weight
        return cls(np.flatnonzero(left_out), error(out.target, outputs), variance, weight)


@dataclass(frozen=True)
class Judgement:
    """Means over the rows that two members left out; each (k,), but for ``rows``.

    Attributes
    ----------
    rows : int
        Rows judged.
    single, ensemble : (k,)
        Mean square error of one member, and of the endless ensemble.
    between : (k,)
        V, the variance between members.
    parameters : (k,)
        The variance that the uncertainty of a member's parameters gives its outputs.
    products : (rows, k)
        e₁ e₂ of each row, times its weight over the mean weight.
    which : (rows,)
        The rows judged.
    pairs : (2, rows, k)
        e₁ and e₂ of each.
    row_count : int
        n, of the rows judged and not.
    """

    rows: int
    single: Floats
    ensemble: Floats
    between: Floats
    parameters: Floats
    products: Floats
    which: npt.NDArray[np.intp]
    pairs: Floats
    row_count: int

    def held_out(self, members: int) -> Floats:
        """What the squared error of each row (n,) is for the mean of that many members, none of
        which saw it.
        """
        first, second = self.pairs
        losses: Floats = np.full(self.row_count, np.nan)
        losses[self.which] = (first * second + 0.5 * (first - second) ** 2 / members).mean(axis=1)
        return losses

    @property
    def by_row(self) -> Floats:
        """e₁ and e₂ (2, n, k) of every row; NaN where it was not judged."""
        errors: Floats = np.full((2, self.row_count, self.pairs.shape[2]), np.nan)
        errors[:, self.which] = self.pairs
        return errors

    @classmethod
    def of(cls, errors: Sequence[HeldOutErrors], row_count: int) -> Judgement | None:
        """None where no row was left out by two of the members."""
        if not errors:
            return None
        k = errors[0].error.shape[1]
        rows = np.unique(np.concatenate([one.rows for one in errors]))
        m = len(rows)
        seen = np.zeros(m, dtype=np.intp)
        pair, variance, weight = np.zeros((2, m, k)), np.zeros((m, k)), np.zeros(m)
        for one in errors:
            at = np.searchsorted(rows, one.rows)
            # Members that choose for themselves what to leave out may leave out the same row; two
            # of them are enough.
            wanted = seen[at] < _ROUNDS
            at = at[wanted]
            pair[seen[at], at] = one.error[wanted]
            variance[at] += 0.5 * one.variance[wanted]
            weight[at] = one.weight[wanted]
            seen[at] += 1
        both = seen == 2
        total = float(weight[both].sum())
        if not total > 0:
            return None
        w, (first, second) = weight[both] / total, pair[:, both]
        return cls(
            rows=int(both.sum()),
            single=w @ (0.5 * (first**2 + second**2)),
            ensemble=w @ (first * second),
            between=w @ (0.5 * (first - second) ** 2),
            parameters=w @ variance[both],
            products=(w * both.sum())[:, None] * first * second,
            which=rows[both],
            pairs=pair[:, both],
            row_count=row_count,
        )
