"""Hashes of rows, by which equal ones are found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

Hashes = npt.NDArray[np.uint64]

MOST_ROWS = 5_000_000  # of which hashes are kept
VARYING = ("number", "timestamp", "time")  # kinds of columns that can tell very many rows apart
FEW_COLUMNS = 4  # of these tell rows apart, mostly
# The fraction of the golden ratio in 64 bits (Knuth 1998, volume 3, section 6.4).
_ODD = np.uint64(0x9E3779B97F4A7C15)
_PARTS, _SHIFT = 4, np.uint64(62)


def hashed(raw: Floats, before: Hashes | None = None) -> Hashes:
    """64 bits (m,) of each column of values (c, m), going on from ``before``; equal values have
    equal bits, and NaN is a value.
    """
    m = raw.shape[1]
    found = np.zeros(m, dtype=np.uint64) if before is None else before.copy()
    plain, mixed = np.empty(m), np.empty(m, dtype=np.uint64)
    for values in raw:
        np.add(values, 0.0, out=plain)  # -0 becomes 0
        gone = np.isnan(plain)
        if gone.any():
            plain[gone] = np.nan  # and every NaN the same one
        bits = plain.view(np.uint64)
        np.right_shift(bits, np.uint64(32), out=mixed)
        mixed ^= bits
        found ^= mixed
        found *= _ODD
        np.right_shift(found, np.uint64(29), out=mixed)
        found ^= mixed
    return found


def all_differ(hashes: Sequence[Hashes], execution: Execution) -> bool:
    """Whether no two of all these are equal."""

    def differ(part: int) -> bool:
        own = np.concatenate([h[h >> _SHIFT == np.uint64(part)] for h in hashes])
        own.sort()
        return not bool((own[1:] == own[:-1]).any())

    return all(execution.map(differ, _PARTS))
