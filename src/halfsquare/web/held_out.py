"""The loss on the rows set apart, beside a descent that does not see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.kept_rows import KeptRows
from halfsquare.data.rows import ChangedRows, Chunk, Rows, spread_chunks
from halfsquare.fitting.formula.origin import OriginRows
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.models.rows import TargetRows
from halfsquare.report.learning import mixed
from halfsquare.solvers.objective import Objective

MOST_ROWS = 1000
_MOST_CHUNKS = 8


def half_mse(model: Model, parameters: Floats, rows: Chunk) -> float:
    """½ MSE of some rows, in the unit that the model is trained in; NaN where it overflows."""
    with np.errstate(all="ignore"):
        e = error(rows.target, model.outputs(parameters, rows.design))
        squares = (e * e).mean(axis=1)
        weight = rows.weight
        return 0.5 * float(
            squares.mean() if weight is None else weight @ squares / max(weight.sum(), 1e-300)
        )


def table_of(rows: Rows) -> EncodedRows | None:
    """The encoded table that a descent's rows are a part of."""
    while isinstance(rows, (KeptRows, ChangedRows)):
        rows = rows.rows
    return rows if isinstance(rows, EncodedRows) else None


def set_apart(rows: Rows) -> Rows | None:
    """The rows of the same table that are set apart, changed as these are; None where there are
    none.
    """
    if isinstance(rows, KeptRows):
        return set_apart(rows.rows)
    if isinstance(rows, (TargetRows, OriginRows)):
        inner = set_apart(rows.rows)
        return None if inner is None else replace(rows, rows=inner)
    if not isinstance(rows, EncodedRows) or rows.part != "train":
        return None
    apart = rows.of("test")
    return apart if apart.row_count else None


def gathered(rows: Rows, most: int = MOST_ROWS) -> Chunk:
    """At most so many of the rows, in memory: from a few chunks all over the table, and there
    chosen by a hash of their place.
    """
    count = rows.chunk_count
    places = [i for i in spread_chunks(count, _MOST_CHUNKS) if rows.chunk_size(i)] or list(
        range(count)
    )
    chunks: list[Chunk] = []
    for done, index in enumerate(places):
        room = -(-(most - sum(len(c.target) for c in chunks)) // (len(places) - done))
        chunks.append(some_of(rows.chunk(index), room))
    weights = [c.weight for c in chunks if c.weight is not None]
    return Chunk(
        np.concatenate([c.design for c in chunks]),
        np.concatenate([c.target for c in chunks]),
        np.concatenate(weights) if weights else None,
    )


def some_of(chunk: Chunk, most: int) -> Chunk:
    """At most so many of these rows, copied: a view would keep all of them in memory."""
    at = sample(len(chunk.target), most)
    weight = None if chunk.weight is None else chunk.weight[at]
    return Chunk(chunk.design[at], chunk.target[at], weight)


def sample(count: int, most: int) -> npt.NDArray[np.intp]:
    """At most so many of ``count`` places, chosen by a hash: every k-th would fall into step with
    whatever repeats in the table.
    """
    if count <= most:
        return np.arange(count)
    order = np.argsort(mixed(np.arange(count, dtype=np.uint64)), kind="stable")
    return np.sort(order[:most])


class HeldOut:
    """Losses on the rows set apart; those of the table that was asked for last are kept."""

    def __init__(self) -> None:
        self._known: tuple[EncodedRows, Chunk | None] | None = None

    def loss(self, objective: Objective, parameters: Floats) -> float | None:
        """½ MSE on rows set apart; None where there are none, or it is not finite."""
        rows = self._rows(objective.rows)
        if rows is None:
            return None
        found = half_mse(objective.model, parameters, rows)
        return found if np.isfinite(found) else None

    def forget(self) -> None:
        """Let go of the rows."""
        self._known = None

    def _rows(self, rows: Rows) -> Chunk | None:
        table = table_of(rows)
        if table is None:
            return None
        if self._known is None or self._known[0] is not table:
            apart = set_apart(rows)
            self._known = table, None if apart is None else gathered(apart)
        return self._known[1]
