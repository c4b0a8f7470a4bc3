"""Rows of arrays, whose columns count as they are, with their encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import final

import numpy as np

from halfsquare.data.encoded_rows import DesignRows
from halfsquare.data.encoder import ColumnEncoder
from halfsquare.data.features import Number
from halfsquare.data.rows import ChangedRows, Chunk, ShiftedRows
from halfsquare.data.weighting import Weighting
from halfsquare.loss import Floats


@final
@dataclass(frozen=True)
class EncodedArrays(ChangedRows, DesignRows):
    """Arrays, their columns less a shift: what is left of encoding where nothing is to be decided.

    Attributes
    ----------
    rows : ShiftedRows
        Weights that are no counts multiplied by ``factor``.
    encoder : ColumnEncoder
        Of numbers; the range of a column is not known, NaN.
    """

    rows: ShiftedRows
    encoder: ColumnEncoder
    weight_name: str
    weighting: Weighting = "counts"
    factor: float = 1.0

    def chunk(self, index: int) -> Chunk:
        return self.rows.chunk(index)

    @property
    def offsets(self) -> Floats | None:
        return self.rows.offsets

    @property
    def weighed(self) -> tuple[str, Weighting] | None:
        return (self.weight_name, self.weighting) if self.rows.weighted else None

    @property
    def weight_factor(self) -> float:
        return self.factor

    @property
    def total_weight(self) -> float:
        weight = self.rows.weight
        return float(self.row_count if weight is None else weight.sum() / self.factor)

    @property
    def whole_weights(self) -> bool:
        if self.rows.weight is None:
            return True
        given = self.rows.weight / self.factor
        return bool((given == np.floor(given)).all())


def array_encoder(
    names: Sequence[str],
    targets: Sequence[str],
    means: Floats,
    scales: Floats | None = None,
    target_means: Floats | None = None,
) -> ColumnEncoder:
    """Numbers less ``means`` (d,), over ``scales``; targets less theirs."""
    widths = np.ones(len(names)) if scales is None else scales
    return ColumnEncoder(
        tuple(
            Number(name, (mean,), (scale,), nan, nan, indicator=False)
            for name, mean, scale in zip(names, means.tolist(), widths.tolist(), strict=True)
        ),
        tuple(targets),
        np.zeros(len(targets)) if target_means is None else target_means,
        np.ones(len(targets)),
        left_out={},
    )
