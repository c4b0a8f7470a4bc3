"""Rows that are totals of the others, by the word that stands in a column of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import is_one_of, quote_text

_WORDS = (
    "total", "totals", "subtotal", "sum", "grand total", "summe", "gesamt", "totale",
    "insgesamt", "somme", "mean", "average", "all", "opening balance", "closing balance",
)  # fmt: skip
_MOST_LEVELS = 1000
# Larger tables are not read once more for columns of which nothing else is wanted.
_MOST_ROWS = 1_000_000
_MOST_FOUND = 100  # rows: a word that stands in more is a level like others


def is_total(text: str) -> bool:
    """Whether a label names a total, or a mean."""
    return text.strip().lower().rstrip(":") in _WORDS


def total_among(
    source: Source, column: SourceColumn, levels: Sequence[str], weights: Any
) -> list[str]:
    """A level of one row that names a total of the others."""
    if weights is None or len(levels) > _MOST_LEVELS:
        return []
    found = [v for v, n in zip(levels, weights[2:], strict=False) if is_total(v) and n == 1]
    rows = [first_row(source, f"{column.text} = {quote_text(v)}") for v in found]
    return [_told(row, v) for row, v in zip(rows, found, strict=True)]


def totals_beside(source: Source, columns: Sequence[SourceColumn], rows: int) -> list[str]:
    """The same of columns of a table of so many rows that are not read for the model: the labels of
    its rows may be among them.
    """
    read = {column.name for column in columns}
    texts = [c.text for c in source.columns if c.is_text and c.name not in read]
    if not texts or rows > _MOST_ROWS:
        return []
    bare = [f"rtrim(lower(trim({text})), ':')" for text in texts]
    named = [f"coalesce({is_one_of(text, _WORDS)}, false)" for text in bare]
    found = source.run(
        f"SELECT * FROM (SELECT row_number() OVER () AS i, {', '.join(texts)} "
        f"FROM {source.relation} QUALIFY {' OR '.join(named)}) ORDER BY 1 LIMIT {_MOST_FOUND}"
    )
    said = []
    for own in zip(*(row[1:] for row in found), strict=True):
        labels = [(row[0], str(v)) for row, v in zip(found, own, strict=True) if is_total(str(v))]
        every = [v for _, v in labels]
        said += [_told(row, v) for row, v in labels if every.count(v) == 1]
    return list(dict.fromkeys(said))


def first_row(source: Source, condition: str) -> int:
    """The first row, from 1, of which some SQL is true."""
    ((row,),) = source.run(
        f"SELECT min(i) FROM (SELECT row_number() OVER () AS i, {condition} AS v "
        f"FROM {source.relation}) WHERE v"
    )
    return int(row or 0)


def _told(row: int, label: str) -> str:
    return f"Row {row} looks like a total of the others ({label!r})."
