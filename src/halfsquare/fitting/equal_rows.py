"""Rows that are equal to others: copies, or repeated measurements of the same thing.

A copy on either side of a split makes the error on the rows set apart that of rows that were
learnt. So rows that are equal in all features are kept together, wherever some are left out. Where
a few settings stand very often, as in a table of categories, equal rows are no copies but a sample
of each setting, and are left as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from halfsquare.data.scan import Scanned
from halfsquare.data.splits import Units
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

_MOST_ROWS = 5_000_000  # of which the hashes are kept
_FEWEST = 10  # different rows
_OFTEN = 10.0  # a setting that stands more often than that on average is sampled, not copied
_ALL = 1.1  # so near to one target a setting, the rows of a setting are copies
# The fraction of the golden ratio in 64 bits (Knuth 1998, volume 3, section 6.4).
_ODD = np.uint64(0x9E3779B97F4A7C15)

Hashes = npt.NDArray[np.uint64]


def equal_rows(scanned: Scanned, execution: Execution) -> Units | None:
    """The rows that are equal in all features, in the order of the table; None where there are
    none that belong together.
    """
    roles, table = scanned.roles, scanned.table
    n = table.rows
    varying = [c for c in roles.features if c.kind in ("number", "timestamp", "time")]
    if not varying or n > _MOST_ROWS:
        return None
    k, first = len(roles.targets), len(roles.scanned) - len(roles.features)

    def of(index: int) -> tuple[Hashes, Hashes]:
        raw = table.read(index)
        features = hashed(raw[first:])
        return features, hashed(raw[:k], features)

    found = list(execution.map(of, len(table.sizes)))
    features = np.concatenate([f for f, _ in found])
    different = _different(features)
    if different == n or different < _FEWEST:
        return None
    if n > _OFTEN * different:
        whole = np.concatenate([w for _, w in found])
        if _different(whole) > _ALL * different:
            return None
    unit = np.unique(features, return_inverse=True)[1]
    return Units(np.asarray(unit, dtype=np.intp))


def _different(hashes: Hashes) -> int:
    ordered = np.sort(hashes)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0


def hashed(raw: Floats, before: Hashes | None = None) -> Hashes:
    """64 bits (m,) of each column of values (c, m), going on from ``before``; equal values have
    equal bits, and NaN is a value.
    """
    found = np.zeros(raw.shape[1], dtype=np.uint64) if before is None else before.copy()
    for values in raw:
        # -0 becomes 0, and every NaN the same one.
        bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)
        found ^= bits ^ (bits >> np.uint64(32))
        found *= _ODD
        found ^= found >> np.uint64(29)
    return found
