"""Rows without some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows, Chunk, Rows
from halfsquare.data.splits import Units
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KeptRows(Rows):
    """Those of ``rows`` where ``kept`` (n,) is true, chunk by chunk."""

    rows: Rows
    kept: Mask
    starts: tuple[int, ...]  # the first row of each chunk, and n

    @classmethod
    def of(cls, rows: Rows, kept: Mask) -> KeptRows:
        sizes = [rows.chunk_size(i) for i in range(rows.chunk_count)]
        return cls(rows, kept, tuple(np.cumsum([0, *sizes]).tolist()))

    @property
    def row_count(self) -> int:
        return int(self.kept.sum())

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    @property
    def offsets(self) -> Floats | None:
        return self.rows.offsets

    @property
    def units(self) -> Units | None:
        units = self.rows.units
        return None if units is None else units.at(self.kept)

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    def chunk_size(self, index: int) -> int:
        return int(np.count_nonzero(self.kept[self.starts[index] : self.starts[index + 1]]))

    def chunk(self, index: int) -> Chunk:
        whole = self.rows.chunk(index)
        kept = self.kept[self.starts[index] : self.starts[index + 1]]
        return Chunk(
            whole.design[kept],
            whole.target[kept],
            None if whole.weight is None else whole.weight[kept],
        )

    def gathered(self, execution: Execution) -> ArrayRows:
        """These rows in memory: few out of many, that are wanted often."""
        chunks = list(execution.map(self.chunk, self.chunk_count))
        weights = [chunk.weight for chunk in chunks if chunk.weight is not None]
        return ArrayRows(
            np.concatenate([chunk.design for chunk in chunks]),
            np.concatenate([chunk.target for chunk in chunks]),
            np.concatenate(weights) if weights else None,
        )
