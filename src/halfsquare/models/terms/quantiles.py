"""Exact quantiles of rows too many to sort: order statistics found digit by digit of the numbers'
bits.

A float64 with its bits suitably flipped orders as an unsigned integer. Four passes count, for each
wanted rank, the next 16 bits of the values that share the bits found so far. The counts add, so the
answer is exact and does not depend on how the rows are cut. A row of weight w stands w times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

_BITS = 16
_SIGN = np.uint64(1 << 63)
_Keys = npt.NDArray[np.uint64]


def weighted_quantiles(
    column: Callable[[int], tuple[Floats, Floats | None]],
    count: int,
    execution: Execution,
    shares: Sequence[float],
) -> list[float]:
    """The quantiles at ``shares``, interpolated linearly between order statistics (R's type 7).

    Parameters
    ----------
    column : callable
        Values (m,), all finite, and weights (m,) or None, of chunk 0 … count-1.
    """
    total = execution.reduce(lambda i: _weight(*column(i)), lambda a, b: a + b, count, 0.0)
    places = [(total - 1.0) * share for share in shares]
    ranks = sorted({r for h in places for r in (np.floor(h), np.ceil(h))})
    values = dict(zip(ranks, _order_statistics(column, count, execution, ranks), strict=True))
    found = []
    for h in places:
        low, high = values[np.floor(h)], values[np.ceil(h)]
        found.append(low + (h - float(np.floor(h))) * (high - low))
    return found


def _weight(x: Floats, w: Floats | None) -> float:
    return float(len(x)) if w is None else float(w.sum())


def _order_statistics(
    column: Callable[[int], tuple[Floats, Floats | None]],
    count: int,
    execution: Execution,
    ranks: Sequence[float],
) -> list[float]:
    """The least values with more than ``rank`` of the weight up to them."""
    prefixes = [0] * len(ranks)
    before = [0.0] * len(ranks)
    for step in range(64 // _BITS):
        shift = np.uint64(64 - _BITS * (step + 1))
        wanted = sorted(set(prefixes))

        def counts(
            i: int, wanted: list[int] = wanted, shift: np.uint64 = shift, step: int = step
        ) -> Floats:
            x, w = column(i)
            keys = _keys(x)
            found = np.zeros((len(wanted), 1 << _BITS))
            for row, prefix in enumerate(wanted):
                here = (
                    np.ones(len(keys), dtype=bool)
                    if step == 0
                    else (keys >> (shift + np.uint64(_BITS))) == np.uint64(prefix)
                )
                digits = ((keys[here] >> shift) & np.uint64((1 << _BITS) - 1)).astype(np.intp)
                weights = None if w is None else w[here]
                found[row] = np.bincount(digits, weights=weights, minlength=1 << _BITS)
            return found

        zero: Floats = np.zeros((len(wanted), 1 << _BITS))
        table = execution.reduce(counts, np.add, count, zero)
        for j, rank in enumerate(ranks):
            row = table[wanted.index(prefixes[j])]
            summed = before[j] + np.cumsum(row)
            digit = int(np.searchsorted(summed, rank, side="right"))
            # Rounding of weights that are no whole numbers may leave the last rank just out of
            # reach.
            digit = min(digit, int(np.flatnonzero(row)[-1]))
            before[j] += float(row[:digit].sum())
            prefixes[j] = (prefixes[j] << _BITS) | digit
    return [_value(p) for p in prefixes]


def _keys(x: Floats) -> _Keys:
    bits = np.ascontiguousarray(x + 0.0).view(np.uint64)  # + 0.0: there is one zero
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _value(key: int) -> float:
    bits = np.uint64(key)
    bits = bits & ~_SIGN if bits & _SIGN else ~bits
    return float(np.array([bits], dtype=np.uint64).view(np.float64)[0])
