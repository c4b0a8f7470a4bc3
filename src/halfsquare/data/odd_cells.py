"""Texts in a column of numbers or dates that are none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from halfsquare.data.columns import ColumnReading
from halfsquare.data.findings import Odd, TextColumn
from halfsquare.data.shapes import Run
from halfsquare.data.sql import is_one_of
from halfsquare.errors import DataError, NotFiniteError

_MOST_WORDS = 1000


def odd_cells(
    run: Run, relation: str, column: TextColumn, reading: ColumnReading, words: Sequence[str]
) -> tuple[Odd, ...]:
    """What is no value in that reading, with the row of the first."""
    none = is_one_of("trim(v)", ("", *words))
    rows = run(
        f"SELECT v, count(*), min(i) FROM (SELECT row_number() OVER () AS i, {column.sql} AS v "
        f"FROM {relation}) WHERE v IS NOT NULL AND NOT {none} "
        f"AND ({reading.parsed('v')}) IS NULL GROUP BY v ORDER BY 2 DESC, 3 LIMIT {_MOST_WORDS + 1}"
    )
    return tuple(Odd(str(v), int(n), int(i)) for v, n, i in rows)


def with_words(reading: ColumnReading, odd: Sequence[Odd], name: str) -> ColumnReading:
    """The reading with these texts as words for "no value".

    Raises
    ------
    DataError
        If there are too many.
    NotFiniteError
        If one is an infinity.
    """
    if len(odd) > _MOST_WORDS and not reading.lenient:
        raise DataError(
            f"column {name!r} holds numbers and more than {_MOST_WORDS} different texts, such as "
            f"{odd[0].text!r} in row {odd[0].row}: --number {name} takes texts for missing values, "
            f"--category {name} takes all for levels"
        )
    for one in odd:
        if one.text.strip().lower().lstrip("+-") in ("inf", "infinity") and not reading.lenient:
            raise NotFiniteError(
                f"row {one.row}, column {name!r}: found {one.text}, expected a finite number. "
                "Correct it, or leave it empty if it is not known"
            )
    words = dict.fromkeys((*reading.missing, *(o.text.strip() for o in odd)))
    return replace(reading, missing=() if reading.lenient else tuple(w for w in words if w))
