"""What the wild cluster bootstrap needs of the rows: squares and scores of each cluster.

They are kept with a fit whose errors are clustered by one column, where they are few numbers; few
clusters are what the bootstrap is for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.scores import GroupSums, ScoredRows

MOST_NUMBERS = 50_000  # that are kept in a model file


@dataclass(frozen=True)
class ClusterSums:
    """Of G clusters of rows a (p,), a constant included, with errors e = o - t at the fit.

    Attributes
    ----------
    squares : G tuples of p(p+1)/2
        The upper triangle of Σ w a aᵀ of each, row by row.
    scores : G tuples of p
        Σ w (t - o) a of each.
    """

    squares: tuple[tuple[float, ...], ...]
    scores: tuple[tuple[float, ...], ...]

    def whole(self) -> tuple[Floats, Floats]:
        """Σ w a aᵀ (G, p, p) and Σ w (t - o) a (G, p)."""
        scores = np.array(self.scores)
        count, p = scores.shape
        found = np.zeros((count, p, p))
        upper = np.triu_indices(p)
        found[:, upper[0], upper[1]] = found[:, upper[1], upper[0]] = np.array(self.squares)
        return found, scores


def cluster_sums(
    rows: Callable[[int], ScoredRows], count: int, clusters: int, execution: Execution
) -> ClusterSums | None:
    """From one more pass over the chunks; None where they would be more than MOST_NUMBERS."""
    p = rows(0).a.shape[1]
    each = p * (p + 1) // 2 + p
    if clusters * each > MOST_NUMBERS:
        return None
    i, j = np.triu_indices(p)

    def of(index: int) -> GroupSums:
        part = rows(index)
        products = np.hstack([part.a[:, i] * part.a[:, j], -part.scores])
        return GroupSums.of(part.clusters[0], part.times_weight(products))

    none = GroupSums(np.empty(0, dtype=np.int64), np.empty((0, each)))
    found = execution.reduce(of, GroupSums.merge, count, none).values
    return ClusterSums(_tuples(found[:, : len(i)]), _tuples(found[:, len(i) :]))


def _tuples(values: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values.tolist()))
