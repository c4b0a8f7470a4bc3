"""Columns of whole numbers that float64 rounds to each other, and what is taken off them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from numpy import spacing

from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.whole_numbers import EXACT, exact_type, exactly
from halfsquare.errors import DataError

# Of the range of a column: what float64 rounds its whole numbers by is seen in no result.
_NEGLIGIBLE = 1e-9


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
    not sure to hold; empty where what float64 rounds them by is small beside their differences.
    """
    if column.reading is not None and not column.reading.numbers.plain:
        return ""
    found = _exactly_stored(source, column)
    if found is None:
        return ""
    source, column = found
    stored = column.stored if not column.is_text else column.text
    kind = "VARCHAR" if column.is_text else column.type
    exact = exactly(stored, kind)
    back = f"TRY_CAST({column.number} AS {exact_type(kind) or 'HUGEINT'})"
    ((different, kept, rounded, low, high, first),) = source.run(
        f"SELECT count(DISTINCT v), count(DISTINCT d), count(*) FILTER (v IS DISTINCT FROM b), "
        f"min(v), max(v), first(v) FILTER (abs(v) >= {EXACT:.0f}) FROM (SELECT {exact} AS v, "
        f"{column.number} AS d, {back} AS b FROM {source.relation}) WHERE v IS NOT NULL"
    )
    if first is None or not rounded:
        return ""
    coarse = spacing(float(max(abs(low), abs(high)))) > _NEGLIGIBLE * float(high - low)
    return str(int(first)) if coarse or different > kept else ""


def require_exact(
    source: Source, names: Iterable[str], use: str, targets: Iterable[str] = ()
) -> Source:
    """The source with these columns as float64 has them; ``use`` is what needs their values whole,
    not their differences from a first one.

    Raises
    ------
    DataError
        If float64 merges whole numbers in one of them, and they vary little beside what it merges.
    """
    wanted = [n for n in names if n in source.reading.columns and source.reading.columns[n].base]
    for name in wanted:
        column = source.column(name)
        ((low, high),) = source.run(
            f"SELECT min({column.number}), max({column.number}) FROM {source.relation}"
        )
        most = max(abs(float(low) + int(column.base)), abs(float(high) + int(column.base)))
        if spacing(most) > _NEGLIGIBLE * (high - low):
            codes = "" if name in targets else f"; codes are read by --category {name}"
            raise DataError(
                f"column {name!r} of {source.name}: its whole numbers, near {column.base}, differ "
                f"in digits that float64 does not hold, and {use} needs them whole. Subtract what "
                f"they have in common and fit the difference{codes}"
            )
    return source.without_bases(wanted)


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
