"""The Gram matrix of columns as exact integers: it merges in any order to the same bits, and takes
rows away again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.errors import DataError, NotFiniteError, ShapeError
from halfsquare.exact.slices import BITS, BLOCK_ROWS, Slice, slices, weighted_slices
from halfsquare.loss import Floats

_HALF = 1 << (BITS - 1)
Limbs = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ExactGram:
    """Σ w a aᵀ over rows a of q columns, without rounding.

    Each entry is Σ_i limbs[i] · 2^(21·(low + i)) with digits -2^20 ≤ limbs[i] < 2^20: every number
    that float64 products can sum to has exactly one such form, so equal sums are equal bits,
    however they were added up.

    Attributes
    ----------
    rows : int
    low : int
        Level of the first limb.
    limbs : (l, q, q) int32, symmetric

    Examples
    --------
    >>> part = ExactGram.zero(2).add(np.array([[1.0, 1.0], [0.1, 1e300]]))
    >>> more = ExactGram.zero(2).add(np.array([[1.0], [-1e300]]))
    >>> part.merge(more).subtract(part) == more
    True
    >>> part.merge(more).entry(0, 1)  # 0.1 + 1e300 - 1e300
    0.1
    """

    rows: int
    low: int
    limbs: Limbs

    @classmethod
    def zero(cls, columns: int) -> ExactGram:
        """No rows yet, of q ``columns``."""
        return cls(0, 0, np.zeros((0, columns, columns), dtype=np.int32))

    @classmethod
    def of_integers(cls, rows: int, numbers: npt.NDArray[np.object_], exponent: int) -> ExactGram:
        """From what :meth:`integers` gives: the sums are numbers · 2^exponent.

        Examples
        --------
        >>> gram = ExactGram.zero(2).add(np.array([[1.0, 1.0], [0.1, 1e300]]))
        >>> ExactGram.of_integers(2, *gram.integers()) == gram
        True
        """
        low, more = divmod(exponent, BITS)
        left: Any = numbers * (1 << more)
        digits: list[Limbs] = []
        while left.any():
            above = (left + _HALF) >> BITS
            digits.append((left - (above << BITS)).astype(np.int32))
            left = above
        stack = np.stack(digits) if digits else np.zeros((0, *numbers.shape), dtype=np.int32)
        return cls(rows, *_carried(low, stack))

    @property
    def columns(self) -> int:
        """q."""
        return int(self.limbs.shape[1])

    def add(self, block: Floats, weight: Floats | None = None) -> ExactGram:
        """These sums with the rows of ``block`` (q, m), a row a column, added; weights (m,) > 0.

        Raises
        ------
        ShapeError
            If the block has another number of columns.
        NotFiniteError
            If a value is NaN or infinite.
        """
        if (
            block.ndim != 2
            or len(block) != self.columns
            or (weight is not None and len(weight) != block.shape[1])
        ):
            raise ShapeError(
                f"these rows have the shape {block.shape}; the sums hold {self.columns} columns"
            )
        if not np.isfinite(block).all() or (weight is not None and not np.isfinite(weight).all()):
            raise NotFiniteError("a value is NaN or infinite; exact sums need finite numbers")
        total = self
        for start in range(0, block.shape[1], BLOCK_ROWS):
            at = slice(start, start + BLOCK_ROWS)
            right = slices(block[:, at])
            left = right if weight is None else weighted_slices(block[:, at], weight[at])
            low, limbs = _products(left, right, self.columns)
            part = ExactGram(block[:, at].shape[1], *_carried(low, limbs))
            total = total.merge(part)
        return total

    def merge(self, other: ExactGram) -> ExactGram:
        """The sums over the rows of both; the order does not matter."""
        return self._combined(other, 1)

    def subtract(self, other: ExactGram) -> ExactGram:
        """The sums without the rows of ``other``; no digit is lost.

        Raises
        ------
        DataError
            If these rows cannot have been in the sums: more rows than there are, or a sum of
            squares below 0.
        """
        rest = self.without(other)
        at = rest.impossible()
        if at is not None:
            found = (
                "there are more of them"
                if rest.rows < 0
                else f"column {at} would be left with squares below 0"
            )
            raise DataError(f"these rows were not in the sums: {found}")
        return rest

    def without(self, other: ExactGram) -> ExactGram:
        """The sums less those of ``other``, whether rows could have them or not; see
        :meth:`impossible`.
        """
        return self._combined(other, -1)

    def impossible(self) -> int | None:
        """The first column that sums of rows cannot look like: its squares or its variance
        negative; else None.
        """
        numbers, _ = self.integers()
        weight = numbers[0, 0] if len(numbers) else 0
        for j in range(len(numbers)):
            square = numbers[j, j]
            if (
                self.rows < 0
                or square < 0
                or weight * square < numbers[0, j] ** 2
                or (not self.rows and square)
            ):
                return j
        return None

    def placed(self, columns: int, positions: Sequence[int]) -> ExactGram:
        """The same sums among ``columns`` columns, these at ``positions``, the others 0 in every
        row.
        """
        limbs = np.zeros((len(self.limbs), columns, columns), dtype=np.int32)
        at = np.asarray(positions, dtype=np.intp)
        limbs[:, at[:, None], at] = self.limbs
        return ExactGram(self.rows, self.low, limbs)

    def taken(self, positions: Sequence[int]) -> ExactGram:
        """The sums of some of the columns."""
        at = np.asarray(positions, dtype=np.intp)
        return ExactGram(self.rows, *_carried(self.low, self.limbs[:, at[:, None], at]))

    def plus(self, column: int, factors: Mapping[int, int]) -> ExactGram:
        """The sums with a column replaced by itself and whole multiples of others."""
        numbers, _ = self.integers()
        for factor_of, factor in factors.items():
            numbers[column] += factor * numbers[factor_of]
        for factor_of, factor in factors.items():
            numbers[:, column] += factor * numbers[:, factor_of]
        limbs: list[Limbs] = []
        while numbers.any():
            digits = (numbers + _HALF) % (1 << BITS) - _HALF
            limbs.append(digits.astype(np.int32))
            numbers = (numbers - digits) >> BITS
        none: Limbs = np.zeros((0, *self.limbs.shape[1:]), dtype=np.int32)
        return ExactGram(self.rows, *_carried(self.low, np.stack(limbs) if limbs else none))

    def integers(self) -> tuple[npt.NDArray[np.object_], int]:
        """Whole numbers N (q, q), as Python has them, and an exponent e: the sums are N · 2^e."""
        total: Any = np.zeros(self.limbs.shape[1:], dtype=object)
        for limb in self.limbs[::-1]:
            total = total * (1 << BITS) + limb.astype(object)
        return total, self.low * BITS

    def entry(self, i: int, j: int) -> float:
        """Σ w a_i a_j, correctly rounded."""
        total = 0
        for limb in self.limbs[::-1, i, j]:
            total = (total << BITS) + int(limb)
        return nearest(total, self.low * BITS)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactGram):
            return NotImplemented
        same = self.rows == other.rows and self.low == other.low
        return same and np.array_equal(self.limbs, other.limbs)

    __hash__ = None  # type: ignore[assignment]

    def _combined(self, other: ExactGram, sign: int) -> ExactGram:
        if self.columns != other.columns:
            raise ShapeError(
                f"sums over {self.columns} and over {other.columns} columns do not add"
            )
        filled = [g for g in (self, other) if len(g.limbs)]
        low = min((g.low for g in filled), default=0)
        high = max((g.low + len(g.limbs) for g in filled), default=0)
        limbs = np.zeros((high - low, self.columns, self.columns), dtype=np.int64)  # room to carry
        for gram, factor in ((self, 1), (other, sign)):
            if len(gram.limbs):
                at = gram.low - low
                limbs[at : at + len(gram.limbs)] += factor * gram.limbs
        return ExactGram(self.rows + sign * other.rows, *_carried(low, limbs))


def nearest(whole: int, exponent: int) -> float:
    """whole · 2^exponent, correctly rounded.

    Raises
    ------
    OverflowError
        If it is beyond float64.
    """
    return float(whole << exponent) if exponent >= 0 else whole / (1 << -exponent)


def _products(
    left: list[Slice], right: list[Slice], columns: int
) -> tuple[int, npt.NDArray[np.int64]]:
    """Sums of left times right by level, not carried yet: one matrix product of all digits, dealt
    out.
    """
    if not left or not right:
        return 0, np.zeros((0, columns, columns), dtype=np.int64)
    rows = np.concatenate([s.digits for s in left])
    product = rows @ (rows if left is right else np.concatenate([s.digits for s in right])).T
    low = min(s.level for s in left) + min(s.level for s in right)
    high = max(s.level for s in left) + max(s.level for s in right)
    limbs = np.zeros((high - low + 1, columns, columns), dtype=np.int64)
    whole = product.astype(np.int64)
    i = 0
    for a in left:
        j = 0
        for b in right:
            part = whole[i : i + len(a.columns), j : j + len(b.columns)]
            limbs[a.level + b.level - low, a.columns[:, None], b.columns] += part
            j += len(b.columns)
        i += len(a.columns)
    return low, limbs


def _carried(low: int, sums: npt.NDArray[np.integer]) -> tuple[int, Limbs]:
    """Digits -2^20 ≤ digit < 2^20 of sums by level, by carrying upwards; empty ones at both ends
    are left out.
    """
    digits: list[Limbs] = []
    carry: npt.NDArray[np.int64] = np.zeros(sums.shape[1:], dtype=np.int64)
    level = 0
    while level < len(sums) or carry.any():
        whole = carry + sums[level] if level < len(sums) else carry
        carry = (whole + _HALF) >> BITS
        digits.append((whole - (carry << BITS)).astype(np.int32))
        level += 1
    while digits and not digits[-1].any():
        digits.pop()
    if not digits:
        return 0, np.zeros((0, *sums.shape[1:]), dtype=np.int32)
    first = next(i for i, digit in enumerate(digits) if digit.any())
    return low + first, np.stack(digits[first:])
