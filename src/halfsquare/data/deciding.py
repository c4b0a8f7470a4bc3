"""How each column of a source is read: decided from whole columns, or as a model has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from halfsquare.data.bases import base_of
from halfsquare.data.columns import NO_VALUE, ColumnReading, Reading
from halfsquare.data.date_format import ISO, asked, is_clock, of_digits, reordered
from halfsquare.data.dialect import is_number
from halfsquare.data.findings import Asked, TextColumn
from halfsquare.data.messages import Misread, missing_column
from halfsquare.data.number_decision import mark_in
from halfsquare.data.opening import opened
from halfsquare.data.profile import first_values, plain_dates, profile, suspects, unread_dates
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError

T = TypeVar("T")


class Reread(Exception):
    """What a pass found that the first look at some columns of texts did not show."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(*columns)
        self.columns = tuple(columns)


def open_source(data: Any) -> Source:
    """Open rows for scanning, and decide how their columns are read.

    Parameters
    ----------
    data : DataSpec, or path, SQL query, "-", array or frame
        A CSV, TSV, Parquet or JSON file (plain or packed: .gz, .zst, .zip of one file), a
        spreadsheet, a glob or folder of files, a DuckDB or SQLite file (with ``table``), a query
        beginning with SELECT, WITH or FROM, ``"-"`` for CSV on standard input; or a NumPy array
        (columns x1, x2, …), a pandas, Polars or Arrow frame, or a mapping of names to arrays.

    Raises
    ------
    DataError
        If there is no such file or it cannot be read; the message says what was found.
    """
    spec = DataSpec.of(data)
    return decided(opened(spec), spec)


def whole(data: Any, work: Callable[[Source], T]) -> T:
    """``work`` with a source that is read as its whole columns are.

    Where a value late in the rows shows that the first of them misled, the columns are decided
    again from all rows, and the work is begun again.
    """
    spec = DataSpec.of(data)
    source = opened(spec)
    again: set[str] = set()
    while True:
        try:
            return work(decided(source, spec, again))
        except Misread as problem:
            new = {problem.column} - again
            if source.table is not None and new & source.table.types.keys():
                source = source.as_stored(new)
            elif not any(c.name in new and c.is_text for c in source.columns):
                raise
        except Reread as late:
            new = set(late.columns) - again
            if not new:
                raise
            rounded = new & {c.name for c in source.columns if c.kind == "number"}
            if source.table is not None and rounded:
                source = source.as_stored(rounded)  # all their digits
        again |= new


def decided(source: Source, spec: DataSpec, again: Iterable[str] = ()) -> Source:
    """The source with its texts read as numbers, dates or levels; ``again``: columns to look at
    whole whatever their first values are.
    """
    names = [c.name for c in source.columns]
    for option in ("number", "category", "text"):
        for name in getattr(spec, option):
            if name not in names:
                raise missing_column(name, names, source.name, "column")
    twice = set(spec.number) & {*spec.category, *spec.text}
    if twice:
        raise OptionError(
            f"column {sorted(twice)[0]!r} is to be read as a number and as text; it can be one"
        )
    words = _words_of(source, spec)
    forced = {*spec.category, *spec.text, *source.categories}
    by_digits = [
        TextColumn(c.name, c.digits.text)
        for c in source.columns
        if c.kind == "number" and of_digits(spec.dates) and c.name not in (*forced, *spec.number)
    ]
    looked_at = [
        TextColumn(
            c.name, c.text, source.table is not None and source.table.dialect.delimiter == ","
        )
        for c in source.columns
        if c.kind == "text" and c.name not in forced
    ]
    mark = _mark(source, looked_at)
    looked_at = [replace(c, mark=mark, points=c.points and mark != ",") for c in looked_at]
    said = Asked(spec.number, spec.dates, spec.decimal, spec.thousands, spec.missing, words)
    again = set(again)
    firsts = _first_values(source, looked_at)
    settled = {
        n: f for n, f in plain_dates(firsts, said).items() if n not in (*again, *spec.number)
    }
    some = (again | suspects(firsts, said)) - settled.keys()
    found = profile(source.run, source.relation, [c for c in looked_at if c.name in some], said)
    as_dates = profile(source.run, source.relation, by_digits, said) if by_digits else {}
    found |= settled | {n: f for n, f in as_dates.items() if f.reading.dates}
    of_texts = {n: v for n, v in firsts.items() if n not in some | settled.keys()}
    columns, readings = [], {}
    for column in source.columns:
        finding = found.get(column.name)
        if column.name in forced:
            column = replace(column, kind="text", words=_level_words(column, words))
            reading = ColumnReading("text", column.type)
        elif finding is not None and finding.reading.kind != "text":
            reading = finding.reading
            column = column.digits if column.kind == "number" else column
            column = replace(column, kind=reading.kind, reading=reading, words=words)
        elif column.kind == "text":
            column = replace(column, words=_level_words(column, spec.missing))
            reading = ColumnReading("text", column.type)
        else:
            reading = _plain_reading(column)
            if column.kind == "number":
                column = replace(column, words=_numeric_words(spec.missing))
                if source.table is not None and source.table.comma:
                    reading = replace(reading, decimal=",")
        if column.kind == "number" and column.name in again:
            base = base_of(source, column)
            column, reading = replace(column, base=base), replace(reading, base=base)
        columns.append(column)
        readings[column.name] = reading
    given = {
        name: value if isinstance(value, (str, bool)) else list(value)
        for name in ("encoding", "header", "comment", "missing")
        if (value := getattr(spec, name)) not in (None, ())
    }
    return replace(
        source,
        columns=tuple(columns),
        reading=Reading(readings, source.reading.file, given),
        findings=found,
        categories=tuple(n for n in names if n in forced and n not in spec.text),
        remarks=(*source.remarks, *unread_dates(of_texts, said)),
        mixed=frozenset(some - found.keys()),
        unsettled=frozenset(c.name for c in looked_at if c.name not in some),
    )


def _first_values(
    source: Source, columns: Sequence[TextColumn]
) -> Mapping[str, Sequence[str | None]]:
    """The first values of columns of texts: those of text files have been seen already."""
    if source.table is None:
        return first_values(source.run, source.relation, columns)
    return {c.name: source.table.firsts.get(c.name, ()) for c in columns}


def _mark(source: Source, columns: Sequence[TextColumn]) -> str:
    """The decimal mark that the table shows, in a file or in columns of texts."""
    if source.table is not None or not columns:
        return source.table.mark if source.table is not None else ""
    listed = ", ".join(c.sql for c in columns)
    rows = source.run(f"SELECT {listed} FROM {source.relation} LIMIT 60")
    return mark_in([str(row[j]) for row in rows if row[j] is not None] for j in range(len(columns)))


def _level_words(column: SourceColumn, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that are no level; those of a text file are none for DuckDB already."""
    return words if column.is_text else ()


def open_as(data: Any, reading: Reading, levels: dict[str, tuple[str, ...]]) -> Source:
    """Open rows as a model reads them.

    Parameters
    ----------
    reading : Reading
        That of the model.
    levels : dict of column to its levels
        Of the model's columns of texts: a level is one, even if it is a word for "no value".

    Raises
    ------
    DataError
        If a column holds another kind of values than in training.
    """
    spec = DataSpec.of(data)
    reading = _overruled(reading, spec)
    source = opened(spec, reading)
    words = tuple(dict.fromkeys((*_words_of(source, spec), *reading.given.get("missing", ()))))
    held = {n for n, own in levels.items() if set(own) & set(NO_VALUE)}
    if source.table is not None and held & set(source.table.names):
        # The reader knows words for "no value" of a whole file alone: then nothing is left to it.
        bare = source.of_table(replace(source.table, words=("",)))
        source = bare.as_stored(source.table.names)
    reading = _ordered(source, reading, spec, words)
    columns = []
    for column in source.columns:
        known = reading.columns.get(column.name)
        if column.name in levels:
            kept = tuple(w for w in words if w not in levels[column.name])
            column = replace(column, kind="text", words=kept if column.is_text else ())
        elif known is None or column.kind == "unsupported":
            pass
        elif column.kind == "number" and known.dates:
            column = replace(column.digits, kind=known.kind, reading=known, words=words)
        elif column.is_text and known.kind != "text":
            base = known.base
            column = replace(column, kind=known.kind, reading=known, words=words, base=base)
        elif column.kind == "number":
            numeric = _numeric_words((*spec.missing, *reading.given.get("missing", ())))
            column = replace(column, words=numeric, base=known.base)
        columns.append(column)
    return replace(source, columns=tuple(columns), reading=reading, of_model=True, words=words)


def _overruled(reading: Reading, spec: DataSpec) -> Reading:
    """The reading with what is said of these rows in its place."""
    changes: dict[str, Any] = {}
    if spec.decimal is not None:
        changes["decimal"] = spec.decimal
    if spec.thousands is not None:
        changes["thousands"] = spec.thousands
    columns = dict(reading.columns)
    for name, column in columns.items():
        if column.kind == "number" and changes:
            columns[name] = replace(column, **changes)
        if column.native_dates and spec.dates is not None:
            # As text: what its order says of how it is written is seen in these rows.
            columns[name] = replace(column, dates=(asked(spec.dates)[1] or ISO,))
        elif column.dates and not is_clock(column.dates) and spec.dates is not None:
            order, form = asked(spec.dates)
            own = tuple(dict.fromkeys(reordered(f, order) for f in column.dates))
            columns[name] = replace(column, dates=(form,) if form else own)
    return replace(reading, columns=columns)


def _ordered(source: Source, reading: Reading, spec: DataSpec, words: tuple[str, ...]) -> Reading:
    """The reading with the dates that an order said of these rows, such as dmy, finds in them:
    training may have had other marks between day and month, or the year first.
    """
    if spec.dates is None or not asked(spec.dates)[0]:
        return reading
    known = {n: c for n, c in reading.columns.items() if c.kind == "timestamp"}
    listed = [TextColumn(c.name, c.text) for c in source.columns if c.is_text and c.name in known]
    found = profile(source.run, source.relation, listed, Asked(dates=spec.dates, words=words))
    own = {
        n: replace(known[n], dates=tuple(dict.fromkeys((*known[n].dates, *f.reading.dates))))
        for n, f in found.items()
        if f.reading.dates and not is_clock(f.reading.dates) and not is_clock(known[n].dates)
    }
    return replace(reading, columns={**reading.columns, **own})


def _numeric_words(words: Sequence[str]) -> tuple[str, ...]:
    """Those words for "no value" that are numbers."""
    return tuple(w for w in words if is_number(w))


def _words_of(source: Source, spec: DataSpec) -> tuple[str, ...]:
    """The words for "no value" in the texts of a source: those of text files, and those named."""
    own = NO_VALUE if source.table is not None else ()
    return tuple(dict.fromkeys((*own, *spec.missing)))


def _plain_reading(column: SourceColumn) -> ColumnReading:
    """That of a column which is what it is stored as."""
    kind = "DATE" if column.type == "DATE" else column.type
    unit = "days" if column.type.startswith("INTERVAL") else ""
    return ColumnReading(column.kind, kind, unit=unit)
