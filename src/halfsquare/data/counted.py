"""Which rows are set apart where weights say how often each stands: a share of what they count.

A row of weight w is w rows. Where rows stand often, as in a table of categories with their numbers,
each is a sample of its setting, and some of the w are set apart: drawn without replacement from all
that the table counts. Where they stand seldom they are copies, which on both sides of a split would
tell of each other: the row is set apart as a whole, and counts as one cluster in the standard error
of the MSE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.recut import NewOrder, reordered
from halfsquare.data.scan import Scanned
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

OFTEN = 10.0  # a row that stands more often than that on average is a sample, not a copy
_MOST = 1e9  # so many are drawn from exactly; of more, each row's share is binomial


def of_counts(scanned: Scanned, fraction: float, seed: int, execution: Execution) -> Scanned:
    """The scan with ``fraction`` of what its rows count set apart; as it was where no weights are
    counted, or nothing is set apart.

    ``seed``: also that by which rows were set apart before.
    """
    roles, every = scanned.roles, scanned.train.merge(scanned.test)
    counts = roles.weight is not None and roles.weighting == "counts" and every.whole
    if not counts or not fraction or every.weight == every.rows:
        return scanned
    whole, k = every.weight <= OFTEN * every.rows, len(roles.targets)
    before = 0.0

    def of(index: int) -> NewOrder:
        nonlocal before
        w = scanned.table.read(index)[k]
        total = float(w.sum())
        wanted = round(fraction * (before + total)) - round(fraction * before)
        before += total
        random = np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=(1,)))
        apart = (_whole_rows if whole else some_of_each)(w, wanted, random)
        train, test = np.flatnonzero(w > apart), np.flatnonzero(apart > 0)
        weights = np.concatenate([(w - apart)[train], apart[test]])
        return NewOrder(np.concatenate([train, test]), len(train), weights)

    return replace(reordered(scanned, of, seed, execution).scanned, rows_whole=whole)


def some_of_each(counts: Floats, wanted: int, random: np.random.Generator) -> Floats:
    """How many (m,) of the ``counts`` (m,) are among ``wanted`` drawn from all."""
    total = float(counts.sum())
    if total < _MOST:
        drawn = random.multivariate_hypergeometric(
            counts.astype(np.int64), wanted, method="marginals"
        )
        return np.asarray(drawn, dtype=np.float64)
    return np.minimum(random.poisson(counts * (wanted / total)).astype(np.float64), counts)


def _whole_rows(counts: Floats, wanted: int, random: np.random.Generator) -> Floats:
    """The counts (m,) of the first rows in a random order, as many as come nearest to ``wanted``,
    but not all; 0 of the others.
    """
    order = random.permutation(len(counts))
    apart = np.zeros(len(counts))
    if wanted and len(counts) > 1:
        sums = np.cumsum(counts[order])[:-1]
        some = order[: 1 + int(np.argmin(np.abs(sums - wanted)))]
        apart[some] = counts[some]
    return apart
