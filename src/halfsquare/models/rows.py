"""Rows as a model with a function on its left side is compared with them."""

from __future__ import annotations

from dataclasses import dataclass

from halfsquare.data.rows import ChangedRows, Chunk
from halfsquare.models.base import Model


@dataclass(frozen=True)
class TargetRows(ChangedRows):
    """Rows whose target is the left side of a model: log(y) instead of y."""

    model: Model

    def chunk(self, index: int) -> Chunk:
        chunk = self.rows.chunk(index)
        return Chunk(chunk.design, self.model.transform_target(chunk.target), chunk.weight)
