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


def raw_columns(
    batch: Any, columns: Sequence[SourceColumn], coders: dict[str, LevelCoder]
) -> list[Floats]:
    """The columns of an Arrow batch as raw values (m,), float64, missing values NaN (in text: -1):
    views where they can be, not to be written to.
    """
    return [
        coders[column.name].encode(batch.column(j))
        if column.kind == "text"
        else floats_of(batch.column(j))
        for j, column in enumerate(columns)
    ]


def batch_columns(
    batch: Any, columns: Sequence[SourceColumn], coders: dict[str, LevelCoder], out: Floats
) -> None:
    """Write an Arrow batch to ``out`` (columns, m) as :func:`raw_columns` has it."""
    for values, row in zip(raw_columns(batch, columns, coders), out, strict=True):
        row[:] = values
