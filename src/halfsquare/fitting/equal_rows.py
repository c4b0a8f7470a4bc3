"""Rows that are equal to others: copies, or repeated measurements of the same thing.

A copy on either side of a split makes the error on the rows set apart that of rows that were
learnt. So rows that are equal in all features are kept together, wherever some are left out, where
it is no coincidence that they are equal: a column of numbers by itself tells most of the different
rows apart, or equal rows have equal targets more often than not. Where columns have few values, as
in a table of categories and whole minutes, equal rows are a sample of each setting and are left as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsquare.data.hashes import MOST_ROWS, VARYING, Hashes, all_differ, hashed
from halfsquare.data.scan import Scanned
from halfsquare.data.splits import Units
from halfsquare.parallel.base import Execution

_FEWEST = 10  # different rows
_OFTEN = 10.0  # a setting that stands more often than that on average is sampled, not copied
_TELLS_APART = 0.5  # so many values a different row
_AGREE = 0.5  # of equal rows with equal targets, beyond chance (Cohen 1960, kappa)


def equal_rows(scanned: Scanned, execution: Execution) -> Units | None:
    """The rows that are equal in all features, in the order of the table; None where there are
    none that belong together.
    """
    roles, table = scanned.roles, scanned.table
    n = table.rows
    varying = [c for c in roles.features if c.kind in VARYING]
    if not varying or n > MOST_ROWS:
        return None
    if scanned.hashes is not None and all_differ(scanned.hashes, execution):
        return None
    k, first = len(roles.targets), len(roles.scanned) - len(roles.features)

    def of(index: int) -> tuple[Hashes, Hashes]:
        raw = table.read(index)
        features = hashed(raw[first:])
        return features, hashed(raw[:k], features)

    found = list(execution.map(of, len(table.sizes)))
    features = np.concatenate([f for f, _ in found])
    different, pairs = _different(features)
    if different == n or different < _FEWEST:
        return None
    places = [first + j for j, c in enumerate(roles.features) if c in varying]
    every = scanned.train.merge(scanned.test)
    counted = roles.weight is not None and roles.weighting == "counts" and every.whole
    stand = every.weight if counted else n
    if not (stand <= _OFTEN * different and _tells_apart(scanned, places, different)):
        agreeing = _different(np.concatenate([w for _, w in found]))[1]
        targets = [hashed(table.read(i)[:k]) for i in range(len(table.sizes))]
        by_chance = _different(np.concatenate(targets))[1] / (0.5 * n * (n - 1.0))
        if agreeing / pairs - by_chance < _AGREE * (1.0 - by_chance):
            return None
    unit = np.unique(features, return_inverse=True)[1]
    return Units(np.asarray(unit, dtype=np.intp))


def _different(hashes: Hashes) -> tuple[int, float]:
    """How many are different, and how many pairs are equal."""
    ordered = np.sort(hashes)
    ends = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    sizes = np.diff(np.concatenate([[0], ends, [len(ordered)]])).astype(np.float64)
    return len(sizes), float(sizes @ (sizes - 1.0)) / 2.0


def _tells_apart(scanned: Scanned, places: Sequence[int], different: int) -> bool:
    """Whether one of these columns has about as many values as there are different rows."""
    table = scanned.table
    for place in places:
        values = np.concatenate([table.read(i)[place] for i in range(len(table.sizes))])
        ordered = np.sort(values)
        if 1 + np.count_nonzero(ordered[1:] != ordered[:-1]) >= _TELLS_APART * different:
            return True
    return False
