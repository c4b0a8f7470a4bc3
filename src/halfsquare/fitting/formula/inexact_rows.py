"""Rows with the variances of columns that have errors, read beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import ChangedRows, Chunk
from halfsquare.errors import DataError
from halfsquare.loss import Floats


@dataclass(frozen=True)
class InexactRows(ChangedRows):
    """The design has s = σ_x²/g for each of ``columns`` behind its own, g being what weights 1/σ²
    are multiplied by.
    """

    table: EncodedRows
    columns: tuple[str, ...]
    sigmas: tuple[str, ...]

    @classmethod
    def of(cls, rows: EncodedRows, sigmas: Mapping[str, str]) -> InexactRows:
        """Of rows whose roles have the columns of standard deviations beside their features."""
        return cls(rows, rows, tuple(sigmas), tuple(sigmas.values()))

    def chunk(self, index: int) -> Chunk:
        chunk, factor = self.rows.chunk(index), self.table.weight_factor
        variances = [self._sigma(index, name) ** 2 / factor for name in self.sigmas]
        return replace(chunk, design=np.column_stack([chunk.design, *variances]), block=None)

    def _sigma(self, index: int, name: str) -> Floats:
        roles, table = self.table.scanned.roles, self.table.scanned.table
        position = [c.name for c in roles.scanned].index(name)
        raw, cut = table.read(index)[position], table.train_sizes[index]
        part = self.table.part
        sigma: Floats = raw if part == "all" else raw[:cut] if part == "train" else raw[cut:]
        if (sigma < 0).any():
            raise DataError(
                f"sigma_x column {name!r} holds {sigma[sigma < 0][0]:g}; expected standard "
                "deviations, numbers from 0"
            )
        return sigma
