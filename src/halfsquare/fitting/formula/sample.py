"""Rows and points that stand for all: drawn from the seed, alike for any number of threads."""

from __future__ import annotations

import numpy as np

from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.loss import Floats
from halfsquare.solvers.run import Run, Stream

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)
_FINE = 1e-9  # digits below this part of one are left out


def sample_rows(rows: Rows, most: int, run: Run) -> ArrayRows:
    """At most ``most`` rows, one at random from each of as many equal stretches of the table."""
    n = rows.row_count
    stretch = np.linspace(0, n, min(n, most) + 1)
    random = run.seed.generator(Stream.SAMPLE).random(len(stretch) - 1)
    at = np.floor(stretch[:-1] + random * np.diff(stretch)).astype(int)
    at = np.arange(n) if n <= most else np.unique(at)
    starts = np.cumsum([0, *(rows.chunk_size(i) for i in range(rows.chunk_count))])
    cuts = np.searchsorted(at, starts)

    def of(index: int) -> tuple[Floats, Floats, Floats]:
        here = at[cuts[index] : cuts[index + 1]] - starts[index]
        chunk = rows.chunk(index)
        if chunk.weight is not None:
            here = here[chunk.weight[here] > 0]
        weight = np.ones(len(here)) if chunk.weight is None else chunk.weight[here]
        return chunk.design[here], chunk.target[here], weight

    parts = zip(*run.execution.map(of, rows.chunk_count), strict=True)
    return ArrayRows(*(np.concatenate(part) for part in parts))


def unit_points(count: int, dimensions: int, random: np.random.Generator) -> Floats:
    """Points (count, dimensions) that fill the unit cube evenly: Halton's sequence with permuted
    digits (Owen 2017, "A randomized Halton algorithm in R", section 2); beyond 23 of them at
    random.

    Examples
    --------
    >>> points = unit_points(64, 2, np.random.default_rng(0))
    >>> np.histogram(points[:, 0], bins=8, range=(0, 1))[0].tolist()
    [8, 8, 8, 8, 8, 8, 8, 8]
    """
    points = random.random((count, dimensions))
    for j, base in enumerate(_PRIMES[:dimensions]):
        left, share = np.arange(count), 1.0 / base
        points[:, j] = 0.0
        while share > _FINE:
            points[:, j] += random.permutation(base)[left % base] * share
            left, share = left // base, share / base
    return points
