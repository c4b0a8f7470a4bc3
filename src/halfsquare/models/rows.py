"""Rows as a model with a function on its left side is compared with them."""

from __future__ import annotations

from dataclasses import dataclass

from halfsquare.data.rows import Chunk, Rows
from halfsquare.models.base import Model


@dataclass(frozen=True)
class TargetRows(Rows):
    """Rows whose target is the left side of a model: log(y) instead of y."""

    rows: Rows
    model: Model

    @property
    def weighted(self) -> bool:
        return self.rows.weighted

    @property
    def chunk_count(self) -> int:
        return self.rows.chunk_count

    @property
    def row_count(self) -> int:
        return self.rows.row_count

    def chunk_size(self, index: int) -> int:
        return self.rows.chunk_size(index)

    def chunk(self, index: int) -> Chunk:
        chunk = self.rows.chunk(index)
        return Chunk(chunk.design, self.model.transform_target(chunk.target), chunk.weight)
