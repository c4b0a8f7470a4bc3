"""Absorbed effects: those of the levels of a column, which have no columns of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.loss import Floats

#: The name of the column that holds the absorbed effects of a row.
ABSORBED = "absorbed effects"


@dataclass(frozen=True)
class Absorbed:
    """The effects of the levels of one column, which have no columns of their own.

    Attributes
    ----------
    column : str
    is_text : bool
    levels : tuple of str
        Of a text column, in the order of their codes.
    values : tuple of float
        Of a number column, rising.
    effects : tuple of float
    """

    column: str
    is_text: bool
    levels: tuple[str, ...]
    values: tuple[float, ...]
    effects: tuple[float, ...]

    def codes(self, raw: Floats) -> Floats:
        """The level of each raw value (m,); NaN where it is missing, -1 where it is none."""
        if self.is_text:
            return np.where(np.isnan(raw) | (raw == -1), np.nan, np.where(raw < -1, -1.0, raw))
        known = np.array(self.values)
        at = np.clip(np.searchsorted(known, raw), 0, len(known) - 1)
        return np.where(np.isnan(raw), np.nan, np.where(known[at] == raw, at, -1.0))

    def of(self, raw: Floats) -> Floats:
        """The effect of each raw value (m,); NaN where there is none."""
        codes = self.codes(raw)
        gone = np.isnan(codes) | (codes < 0)
        found = np.array(self.effects)[np.where(gone, 0, codes).astype(np.intp)]
        return np.where(gone, np.nan, found)
