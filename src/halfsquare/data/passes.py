"""A pass over the rows of a source, in batches; where a value does not fit, its file is read in the
way that it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from halfsquare.data.batches import first_fraction, first_infinite, rows_after
from halfsquare.data.integrity import require_whole_pages
from halfsquare.data.lags import lagged
from halfsquare.data.messages import BadLine, Misread, in_training, late_fraction
from halfsquare.data.number_decision import thousands_in
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn


def record_batches(
    source: Source, columns: Sequence[SourceColumn], batch_rows: int = 16384
) -> Iterator[Any]:
    """The named columns as Arrow record batches, in the order of the source.

    Raises
    ------
    DataError
        If a value or a line cannot be read (file, column and row are named), or a file is no
        longer what it was when it was opened.
    """
    if any(c.lag is not None for c in columns):
        yield from lagged(partial(record_batches, source), columns, batch_rows)
        return
    quick, seen = with_few_words(source, columns), 0
    try:
        if quick is not None:
            try:
                for batch in _pass(quick, columns, batch_rows):
                    yield batch
                    seen += batch.num_rows
                return
            except Misread:
                pass  # perhaps a word that it does not know: the rest is read with all of them
        for batch in rows_after(seen, _pass(source, columns, batch_rows)):
            yield batch
            seen += batch.num_rows
        return
    except Misread as problem:
        again = _read_otherwise(source, problem, columns)
        if again is None:
            raise _misread(source, problem) from None
    yield from rows_after(seen, record_batches(again[0], again[1], batch_rows))


def _read_otherwise(
    source: Source, problem: Misread, columns: Sequence[SourceColumn]
) -> tuple[Source, Sequence[SourceColumn]] | None:
    """In a way that a value fits; None where there is none."""
    cut = source.without_footers()  # a text among numbers may be the last line's
    if cut is not None:
        return cut, columns
    return _with_thousands(source, _misread(source, problem), columns) if source.of_model else None


def _with_thousands(
    source: Source, problem: Misread, columns: Sequence[SourceColumn]
) -> tuple[Source, list[SourceColumn]] | None:
    """With a column of numbers that has thousands marks in these rows, and had none when a model
    was fitted to others; None where that is not the problem.
    """
    known = source.reading.columns.get(problem.column)
    mark = thousands_in(problem.text, known) if known is not None else ""
    if known is None or not mark:
        return None
    reading = replace(known, thousands=mark)

    def own(column: SourceColumn) -> SourceColumn:
        if column.name != problem.column or column.kind != "number":
            return column
        kind = "VARCHAR" if source.table is not None else column.type
        return replace(column, reading=reading, type=kind, words=source.words)

    source.met.append(
        f"{problem.column}: {problem.text!r} in row {problem.row} has a thousands mark "
        f"({mark!r}), which no number had in training"
    )
    found = source.as_stored([problem.column]) if source.table else source
    readings = {**source.reading.columns, problem.column: reading}
    every = tuple(own(c) for c in source.columns)
    found = replace(found, columns=every, reading=replace(source.reading, columns=readings))
    return found, [own(c) for c in columns]


def with_few_words(source: Source, columns: Sequence[SourceColumn]) -> Source | None:
    """With few of the words for "no value", if that can be seen to go wrong: each value is compared
    with each word, which takes nearly as long as to read the file. Where no texts are expected, a
    word that is not known is an error.
    """
    table = source.table
    if table is None or not set(table.shown) < set(table.words):
        return None
    stored = {c.name for c in columns if table.types.get(c.name, "VARCHAR") == "VARCHAR"}
    if any(c.kind == "text" or (c.name in stored and c.reading is None) for c in columns):
        return None
    return source.of_table(replace(table, words=table.shown))


def _pass(source: Source, columns: Sequence[SourceColumn], batch_rows: int) -> Iterator[Any]:
    """The rows as they are read from its files."""
    expressions = ", ".join(c.as_double() for c in columns)
    read = [j for j, c in enumerate(columns) if c.reading is not None and c.kind != "text"]
    whole = {j for j, c in enumerate(columns) if c.whole and c.kind == "number"}
    seen = 0
    try:
        with source.files.reading(source.name, source.lines_before):
            if source.relation.startswith("read_parquet("):
                require_whole_pages(source.files, [c.name for c in columns])
            query = f"SELECT {expressions} FROM {source.relation}"
            reader = source.connection.sql(query).to_arrow_reader(batch_rows)
            for batch in reader:
                odd = next((j for j in read if first_infinite(batch.column(j)) >= 0), None)
                if odd is not None:
                    seen += first_infinite(batch.column(odd))
                    break
                for j in sorted(whole):
                    at = first_fraction(batch.column(j))
                    if at is not None:
                        whole.discard(j)
                    if at is not None and at >= 0:
                        reader.close()
                        raise late_fraction(source.name, columns[j].name, seen + at + 1)
                yield batch
                seen += batch.num_rows
            else:
                odd = None
            if odd is not None:
                reader.close()
                raise _unread(source, columns[odd], seen + 1)
    except BadLine:
        if source.table is None or source.table.alike:
            raise
        again = source.without_footers() or source.of_table(source.table.rewritten())
        yield from rows_after(seen, _pass(again, columns, batch_rows))


def _unread(source: Source, column: SourceColumn, row: int) -> Misread:
    """What is told of a text that does not fit the reading of its column."""
    found = source.run(f"SELECT {column.text} FROM {source.relation} LIMIT 1 OFFSET {row - 1}")
    told = column.reading.expected if column.reading else column.kind
    return in_training(source.name, row, column.name, str(found[0][0]), told)


def _misread(source: Source, problem: Misread) -> Misread:
    """The same with the number of the row, which is not that of the line."""
    named = (c for c in source.columns if problem.column in (c.name, c.stored[1:-1]))
    column = next(named, None)
    if source.table is None or column is None or problem.row:
        return problem
    plain = source.of_table(source.table.as_text([column.name]))
    kind = {"boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}.get(column.kind, "DOUBLE")
    cast = column.stored if not source.table.comma else f"replace({column.stored}, ',', '.')"
    rows = plain.run(
        f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {column.stored} AS v, "
        f"TRY_CAST({cast} AS {kind}) AS d FROM {plain.relation}) "
        "WHERE v IS NOT NULL AND d IS NULL ORDER BY i LIMIT 1"
    )
    if not rows:
        return Misread(str(problem), column.name, problem.row)
    row, text = rows[0]
    if source.of_model:
        known = source.reading.columns.get(column.name)
        told = known.expected if known is not None else column.kind
        return in_training(source.name, int(row), column.name, text, told)
    wanted = {"boolean": "true or false", "timestamp": "a date"}.get(column.kind, "a number")
    return Misread(
        f"{source.name}, row {row}, column {column.name!r}: found {text!r}, expected {wanted} as "
        f"in the other rows. Correct the value, leave the column out (--exclude "
        f"{column.name}), or read it as text (--category {column.name})",
        column.name,
        int(row),
    )
