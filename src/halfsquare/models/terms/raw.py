"""The columns of a scanned table as the factors of terms read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfsquare.data.encoder_decision import Recoding
from halfsquare.data.scan import Scanned
from halfsquare.data.statistics import TableStatistics
from halfsquare.data.table import Table
from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk


@dataclass(frozen=True)
class RawTerms:
    """The chunks of a scanned table as factors read them.

    Attributes
    ----------
    names : tuple of str
        Of the columns that are needed.
    positions : tuple of int
        Where they are among the scanned ones.
    recoding : Recoding
        From the codes of the scan to levels in their order, by the place among ``names``.
    weight : int or None
        Where the weight is among the scanned columns.
    whole : bool
        Whether all rows are for training.
    """

    table: Table
    names: tuple[str, ...]
    positions: tuple[int, ...]
    recoding: Recoding
    weight: int | None
    whole: bool

    def chunk(self, index: int) -> RawChunk:
        """Chunk ``index``, the rows for training first."""
        raw = self.table.read(index)
        train = raw.shape[1] if self.whole else self.table.train_sizes[index]
        columns = self.recoding.apply(raw[list(self.positions)], self.table.buffers)
        return RawChunk(
            dict(zip(self.names, columns, strict=True)),
            None if self.weight is None else raw[self.weight],
            train,
        )


def raw_terms(scanned: Scanned, names: Sequence[str], *, whole: bool) -> RawTerms:
    """The chunks of a scan, reduced to some columns; text levels in the order of their letters."""
    roles = scanned.roles
    every = [c.name for c in roles.scanned]
    first = len(every) - len(roles.features)
    positions = tuple(every.index(name, first) for name in names)
    statistics = scanned.train.merge(scanned.test)
    tables = {}
    for j, position in enumerate(positions):
        if roles.scanned[position].kind == "text":
            tables[j] = _table(scanned.levels[every[position]], statistics, position)
    weight = len(roles.targets) if roles.weight is not None else None
    return RawTerms(scanned.table, tuple(names), positions, Recoding(tables), weight, whole)


def text_levels(scanned: Scanned, name: str) -> list[str]:
    """The levels of a text column that rows of the fit have, in the order of their letters."""
    roles = scanned.roles
    first = len(roles.scanned) - len(roles.features)
    position = [c.name for c in roles.scanned].index(name, first)
    weights = scanned.train.merge(scanned.test).levels[position][2:]
    levels = scanned.levels[name]
    return sorted(levels[c] for c in range(len(weights)) if weights[c] > 0)


def _table(levels: Sequence[str], statistics: TableStatistics, position: int) -> Floats:
    """From the codes of a scan, shifted by 2, to places in the order of letters."""
    weights = statistics.levels[position][2:]
    present = sorted(levels[c] for c in range(len(weights)) if weights[c] > 0)
    place = {level: float(i) for i, level in enumerate(present)}
    return np.array([-2.0, -1.0, *(place.get(level, -2.0) for level in levels)])
