"""Columns of float64 cut into slices of few bits, so that BLAS multiplies them without rounding.

Every finite float64 is a sum of whole numbers times powers of 2^21:

    x = Σ_level digit · 2^(21·level),   |digit| ≤ 2^20.

Products of two digits summed over 8192 rows stay within 2^(20 + 20 + 13) = 2^53, so a matrix
product of digits is exact in float64, in whatever order BLAS takes it. Ozaki, Ogita, Oishi & Rump
(2012), "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", section 3; here the grid is the same for all rows and columns,
so that slices of different blocks add as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

BITS = 21
BLOCK_ROWS = 8192
# Within these bounds neither a slice nor a product of two numbers leaves the range of normal
# float64.
_LARGE, _SMALL = 2.0**400, 2.0**-400
_BAND = 20  # levels


@dataclass(frozen=True)
class Slice:
    """Digits (c, m), whole numbers, of some columns at one level: they stand for digits ·
    2^(21·level).
    """

    level: int
    columns: npt.NDArray[np.intp]  # (c,) positions, each at most once
    digits: Floats


def slices(block: Floats) -> list[Slice]:
    """The slices of columns (q, m) of finite numbers; empty ones are left out.

    A column of whole numbers below 2^20 is one slice, one of decimals three or four.

    Examples
    --------
    >>> [(s.level, s.digits.tolist()) for s in slices(np.array([[3.0, -2.5]]))]
    [(0, [[3.0, -2.0]]), (-1, [[0.0, -1048576.0]])]
    """
    if _ordinary(block):
        return list(_cut(block))
    mantissa, exponent = np.frexp(block)
    return list(_cut_by_bands(mantissa, exponent))


def weighted_slices(block: Floats, weight: Floats) -> list[Slice]:
    """The slices of the exact products of columns (q, m) and weights (m,), which take up to 106
    bits.
    """
    if _ordinary(block) and _ordinary(weight):
        product, rest = _two_product(block, weight)
        return [*_cut(product), *_cut(rest)]
    (mantissa, exponent), (of_weight, its_exponent) = np.frexp(block), np.frexp(weight)
    product, rest = _two_product(mantissa, of_weight)
    together = exponent + its_exponent
    return [*_cut_by_bands(product, together), *_cut_by_bands(rest, together)]


def _ordinary(values: Floats) -> bool:
    """Whether all numbers that are not zero are of middling size."""
    size = np.abs(values)
    smallest = size.min(initial=_LARGE, where=size > 0)
    return bool(size.max(initial=0.0) < _LARGE and smallest > _SMALL)


def _cut(block: Floats, offset: int = 0) -> Iterator[Slice]:
    """Slices from the highest level down, until nothing is left; columns that begin at one level
    together.
    """
    _, exponent = np.frexp(np.abs(block).max(axis=1, initial=0.0))
    # Below 2^exponent ≤ 2^20 · 2^(21·level).
    tops = -((BITS - 1 - exponent) // BITS)
    for top in np.unique(tops):
        columns = np.flatnonzero(tops == top)
        left = block[columns]
        level = int(top)
        while len(columns):
            # Adding 1.5 · 2^52 units rounds to whole units; taking it off again is exact, and so is
            # what is left.
            unit = 2.0 ** (BITS * level)
            anchor = 1.5 * 2.0**52 * unit
            head = left + anchor
            head -= anchor
            left -= head
            head *= 1.0 / unit
            filled = head.any(axis=1)
            if filled.any():
                whole = filled.all()
                yield Slice(
                    level + offset,
                    columns if whole else columns[filled],
                    head if whole else head[filled],
                )
            going = left.any(axis=1)
            if not going.all():
                left, columns = left[going], columns[going]
            level -= 1


def _cut_by_bands(mantissa: Floats, exponent: Floats) -> Iterator[Slice]:
    """Slices of mantissa · 2^exponent of any size: numbers of like size together, scaled to the
    middle.
    """
    bands = exponent // (_BAND * BITS)
    for band in np.unique(bands[mantissa != 0]):
        inside = np.where(bands == band, mantissa, 0.0)
        scaled = np.ldexp(inside, np.where(bands == band, exponent - band * _BAND * BITS, 0))
        yield from _cut(scaled, int(band) * _BAND)


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """fl(a·b) and a·b - fl(a·b), exactly (Dekker 1971, "A floating-point technique", section 5)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, rest


def _halves(a: Floats) -> tuple[Floats, Floats]:
    """High and low 26 bits (Veltkamp)."""
    spread = (2.0**27 + 1.0) * a
    high = spread - (spread - a)
    return high, a - high
