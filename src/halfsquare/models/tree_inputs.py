"""What trees ask of a row: each input turned into a small whole number, its *code*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

Codes = npt.NDArray[np.uint8]


MOST_CODES = 256


@final
@dataclass(frozen=True)
class Input:
    """What trees ask of a row: a number or a category, read from its columns of the design.

    Attributes
    ----------
    name : str
    kind : {"number", "category"}
    first, stop : int
        Its design columns; of a category one for each level but the first.
    indicator : int
        The design column that is positive where a number is missing; -1 if there is none.
    """

    name: str
    kind: Literal["number", "category"]
    first: int
    stop: int
    indicator: int = -1

    def values(self, design: Floats) -> Floats:
        """Numbers (n,) or the level codes of a category; NaN where missing or unseen."""
        own = design[:, self.first : self.stop]
        if self.kind == "number":
            gone = design[:, self.indicator] > 0 if self.indicator >= 0 else False
            return np.where(gone, np.nan, own[:, 0])
        on = own > 0
        code = np.where(on.any(axis=1), on.argmax(axis=1) + 1.0, 0.0)
        # The encoder writes an unseen level as the average row, which is 0 in every column.
        return np.where((own == 0).all(axis=1), np.nan, code)

    def codes(self, design: Floats, cuts: Floats) -> Codes:
        """The code (n,) of each row; ``count(cuts) - 1`` is that of a missing value."""
        values = self.values(design)
        code = values if self.kind == "category" else np.searchsorted(cuts, values, side="left")
        missing = np.isnan(values)
        return np.where(missing, self.count(cuts) - 1, code).astype(np.uint8)

    def count(self, cuts: Floats) -> int:
        """How many codes there are, the missing value's included."""
        return 2 + (self.stop - self.first if self.kind == "category" else len(cuts))
