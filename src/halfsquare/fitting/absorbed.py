"""A linear model of terms whose rows also have effects of categories too many to be columns.

    singletons ─ left out → effects ─ taken out of [Z | t] → R → coefficients → effects of the
    levels

A row that is alone in a level says nothing of the coefficients: it is left out, and others with it
that are then alone. Degrees of freedom are counted as fixest does: the levels of each effect, less
one for each effect but the first; an effect nested in the clusters of the errors does not count,
but for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import Chunk, Rows
from halfsquare.errors import DataError
from halfsquare.fitting.robust import Scoring
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.scores import ScoredRows
from halfsquare.solvers.absorb import (
    Codes,
    GroupedRows,
    absorb,
    level_weights,
    row_rounds,
    singleton_rounds,
    taken_out,
)

_MOST_LEVELS = 5_000_000


@dataclass(frozen=True)
class AbsorbedRows(Rows):
    """Rows of [Z | t] without singletons and, once they are known, without the absorbed effects.

    Attributes
    ----------
    scoring : Scoring
        The rows, with the absorbed columns in the place of clusters.
    sizes : tuple of int
        How many levels each absorbed column has.
    rounds : tuple of (levels,)
        See :func:`halfsquare.solvers.absorb.singleton_rounds`; empty before they are known.
    alpha : (Σ levels, d+1) or None
    """

    scoring: Scoring
    sizes: tuple[int, ...]
    rounds: tuple[npt.NDArray[np.int64], ...] = ()
    alpha: Floats | None = field(default=None, repr=False)

    @property
    def chunk_count(self) -> int:
        return self.scoring.rows.chunk_count

    @property
    def row_count(self) -> int:
        return self.scoring.rows.row_count

    @property
    def weighted(self) -> bool:
        return self.scoring.rows.weighted

    def whole(self, index: int) -> GroupedRows:
        """Every row of a chunk: [Z | t] and its levels."""
        chunk = self.scoring.rows.chunk(index)
        target = self.scoring.model.transform_target(chunk.target)
        values = np.hstack([chunk.design, target])
        return GroupedRows(values, chunk.weight, self.scoring.clusters_of(index))

    def kept(self, index: int) -> npt.NDArray[np.bool_]:
        """Which rows of a chunk are no singletons."""
        codes = self.scoring.clusters_of(index)
        return np.asarray(row_rounds(codes, self.rounds) == 0)

    def grouped(self, index: int) -> GroupedRows:
        """The rows of a chunk that are no singletons."""
        rows = self.whole(index)
        if not self.rounds:
            return rows
        keep = row_rounds(rows.codes, self.rounds) == 0
        weight = None if rows.weight is None else rows.weight[keep]
        return GroupedRows(rows.values[keep], weight, tuple(c[keep] for c in rows.codes))

    def chunk(self, index: int) -> Chunk:
        rows = self.grouped(index)
        assert self.alpha is not None
        left = taken_out(rows, self.alpha, self.sizes)
        return Chunk(left[:, :-1], left[:, -1:], rows.weight)

    def singles(self, index: int) -> tuple[Floats, Codes, Codes]:
        """Of the rows left out: [Z | t], their levels (m, K), and the round of each."""
        rows = self.whole(index)
        turn = row_rounds(rows.codes, self.rounds)
        gone = turn > 0
        return rows.values[gone], np.stack(rows.codes, axis=1)[gone], turn[gone]


def absorbed_rows(
    rows: EncodedRows, model: Linear, columns: Sequence[str], seed: int, execution: Execution
) -> AbsorbedRows:
    """Look for singletons and take the effects of these columns out of the rows."""
    scoring = Scoring(rows, model, np.empty(0), seed=seed).with_clusters(columns, execution)
    roles, sizes = rows.scanned.roles, []
    for position, values in zip(scoring.positions, scoring.values, strict=True):
        name = roles.scanned[position].name
        size = len(rows.scanned.levels[name]) if values is None else len(values)
        if size > _MOST_LEVELS:
            raise DataError(
                f"absorbed column {name!r} has {size:,} levels; at most {_MOST_LEVELS:,}"
            )
        sizes.append(size)
    found = AbsorbedRows(scoring, tuple(sizes))
    count = found.chunk_count
    rounds = singleton_rounds(found.grouped, count, sizes, execution)
    found = replace(found, rounds=tuple(rounds))
    return replace(found, alpha=absorb(found.grouped, count, sizes, execution))


@dataclass(frozen=True)
class AbsorbedScoring:
    """The rows without effects at the fitted coefficients (d,), with the clusters of the errors.

    ``weights`` (levels,) are those of the levels of the one effect that is absorbed, where
    leverages are wanted. The projection on [D | Z] is that on D and that on what D leaves of Z
    (Frisch & Waugh 1933), and of a row of D it is one over the weight of its level.
    """

    rows: AbsorbedRows
    columns: tuple[int, ...]
    coefficients: Floats
    clusters: Scoring
    weights: Floats | None = None

    def __call__(self, index: int) -> ScoredRows:
        chunk = self.rows.chunk(index)
        a = chunk.design[:, list(self.columns)]
        error = (a * self.coefficients).sum(axis=1) - chunk.target[:, 0]
        keep = self.rows.kept(index)
        found = tuple(c[keep] for c in self.clusters.clusters_of(index))
        effects = None
        if self.weights is not None:
            effects = 1.0 / self.weights[self.rows.scoring.clusters_of(index)[0][keep]]
        return ScoredRows(a, error, chunk.weight, found, effects)


@dataclass(frozen=True)
class Counted:
    """How many levels of each absorbed column count, and which columns are nested in clusters."""

    levels: tuple[int, ...]
    nested: tuple[bool, ...]

    @property
    def freedom(self) -> int:
        """Σ levels less one for each column but the first."""
        return sum(self.levels) - (len(self.levels) - 1)

    @property
    def freedom_in_clusters(self) -> int:
        """The same without the columns nested in clusters, but one for each of these."""
        nested = sum(n for n, is_nested in zip(self.levels, self.nested, strict=True) if is_nested)
        return self.freedom - nested + sum(self.nested)


def level_weights_of(rows: AbsorbedRows, execution: Execution) -> list[Floats]:
    """Σ w of the rows of each level of each column."""
    return level_weights(rows.grouped, rows.chunk_count, rows.sizes, execution)


def counted(rows: AbsorbedRows, clusters: Scoring, execution: Execution) -> Counted:
    """Count the levels that rows have, and look which columns lie within clusters."""
    weights = level_weights_of(rows, execution)
    levels = [int(np.count_nonzero(w)) for w in weights]
    nested = [
        any(
            _pairs(rows, clusters, k, c, execution) == levels[k]
            for c in range(len(clusters.positions))
        )
        for k in range(len(levels))
    ]
    return Counted(tuple(levels), tuple(nested))


def _pairs(rows: AbsorbedRows, clusters: Scoring, k: int, c: int, execution: Execution) -> int:
    """How many pairs of a level of column k and a cluster of column c rows have."""

    def of(index: int) -> Codes:
        keep = rows.kept(index)
        own = rows.scoring.clusters_of(index)[k][keep]
        other = clusters.clusters_of(index)[c][keep]
        return np.unique(own * np.int64(1 << 32) + other)

    def merge(a: Codes, b: Codes) -> Codes:
        return np.union1d(a, b)

    none: Codes = np.empty(0, dtype=np.int64)
    return len(execution.reduce(of, merge, rows.chunk_count, none))


def level_effects(rows: AbsorbedRows, coefficients: Floats, execution: Execution) -> list[Floats]:
    """The effect of each level of each column; ``coefficients`` (d,), 0 where there is none.

    Levels of singletons have those that give their rows, which they alone explain.
    """
    assert rows.alpha is not None
    effects = rows.alpha[:, -1] - rows.alpha[:, :-1] @ coefficients
    found: list[Floats] = list(np.split(effects, np.cumsum(rows.sizes)[:-1]))

    def of(index: int) -> tuple[Floats, Codes, Codes]:
        return rows.singles(index)

    def merge(a: Any, b: Any) -> Any:
        return tuple(np.concatenate([x, y]) for x, y in zip(a, b, strict=True))

    empty = np.empty((0, len(rows.sizes)), dtype=np.int64)
    zero: Any = np.empty((0, rows.alpha.shape[1])), empty, np.empty(0, dtype=np.int64)
    values, codes, turns = execution.reduce(of, merge, rows.chunk_count, zero)
    left = values[:, -1] - values[:, :-1] @ coefficients
    # The last to be left alone is explained first: what it shares with others is known by then.
    for row in np.argsort(-turns, kind="stable"):
        level = [int(c) for c in codes[row]]
        mine = next(k for k, c in enumerate(level) if rows.rounds[k][c] == turns[row])
        others = sum(found[k][c] for k, c in enumerate(level) if k != mine)
        found[mine][level[mine]] = left[row] - others
    return found
