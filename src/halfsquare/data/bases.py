"""Columns of whole numbers that float64 rounds to each other, and what is taken off them."""

from __future__ import annotations

from dataclasses import replace

from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.whole_numbers import EXACT, exact_type, exactly


def merged_numbers(source: Source, column: SourceColumn) -> tuple[int, int] | None:
    """How many different whole numbers a column holds, and how many float64 makes of them; None
    where it tells all of them apart.
    """
    found = _exactly_stored(source, column)
    if found is None:
        return None
    source, column = found
    stored = column.stored if not column.is_text else column.text
    exact = exactly(stored, "VARCHAR" if column.is_text else column.type)
    ((different, kept),) = source.run(
        f"SELECT count(DISTINCT v), count(DISTINCT d) FROM (SELECT {exact} AS v, {column.number} "
        f"AS d FROM {source.relation}) WHERE v IS NOT NULL"
    )
    return (int(different), int(kept)) if different > kept else None


def base_of(source: Source, column: SourceColumn) -> str:
    """What is to be taken off the values of a column, the first whole number in it that float64 is
    not sure to hold; empty where it tells all of them apart.
    """
    if column.reading is not None and not column.reading.numbers.plain:
        return ""
    if merged_numbers(source, column) is None:
        return ""
    stored = column.stored if not column.is_text else column.text
    exact = exactly(stored, "VARCHAR" if column.is_text else column.type)
    ((first,),) = source.run(
        f"SELECT v FROM (SELECT {exact} AS v FROM {source.relation}) "
        f"WHERE abs(v) >= {EXACT:.0f} LIMIT 1"
    )
    return str(int(first))


def _exactly_stored(source: Source, column: SourceColumn) -> tuple[Source, SourceColumn] | None:
    """The source in which the values of the column are as they were written; None where they are
    float64 from the start.
    """
    if column.is_text or exact_type(column.type) is not None:
        return source, column
    if source.table is None or column.kind != "number":
        return None
    plain = source.of_table(source.table.as_text([column.name]))
    return plain, replace(column, type="VARCHAR")
