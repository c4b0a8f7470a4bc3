"""Arrow batches as raw rows, float64: text as codes into its levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsquare.data.arrow import floats_of, integers_of
from halfsquare.data.columns import level_of
from halfsquare.data.source_column import SourceColumn
from halfsquare.loss import Floats

MISSING, UNSEEN = -1, -2
MAX_LEVELS = 100_000


@dataclass
class LevelCoder:
    """Numbers the levels of a text column in the order in which they turn up, or by a given
    list.
    """

    levels: list[str] = field(default_factory=list)
    frozen: bool = False

    def __post_init__(self) -> None:
        self._code = {level_of(level): code for code, level in enumerate(self.levels)}
        self._of_text: dict[str, int] = {}

    def encode(self, texts: Any) -> Floats:
        """Codes (m,) of an Arrow string array, as float64; -1 missing, -2 unseen."""
        encoded = texts.dictionary_encode()
        codes = np.append(self.codes(encoded.dictionary.to_pylist()), MISSING)
        return codes[integers_of(encoded.indices, len(codes) - 1)]

    def codes(self, texts: Sequence[str | None]) -> Floats:
        """Codes (m,) of some texts."""
        return np.array([self._of(text) for text in texts], dtype=np.float64)

    def _of(self, text: str | None) -> int:
        if text is None:
            return MISSING
        known = self._of_text.get(text)
        if known is None:
            known = self._code_of(level_of(text))
            if len(self._of_text) < MAX_LEVELS:
                self._of_text[text] = known
        return known

    def _code_of(self, text: str) -> int:
        if text not in self._code and not self.frozen and len(self.levels) < MAX_LEVELS:
            self._code[text] = len(self.levels)
            self.levels.append(text)
        return self._code.get(text, UNSEEN)


def batch_columns(
    batch: Any,
    columns: Sequence[SourceColumn],
    coders: dict[str, LevelCoder],
    out: Floats | None = None,
) -> Floats:
    """An Arrow batch as raw rows (columns, m), float64, missing values NaN (in text: -1); written
    to ``out`` where that is given.
    """
    raw = np.empty((len(columns), batch.num_rows)) if out is None else out
    for j, column in enumerate(columns):
        values = batch.column(j)
        if column.kind == "text":
            raw[j] = coders[column.name].encode(values)
        else:
            floats_of(values, raw[j])
    return raw
