"""Rows that can be scanned: DuckDB reads them, in parallel and out of core, as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from halfsquare.data.batches import first_fraction, first_infinite, rows_after
from halfsquare.data.columns import NO_READING, Reading
from halfsquare.data.findings import Finding
from halfsquare.data.integrity import NO_FILES, Unchanged, require_whole_pages
from halfsquare.data.lags import lagged
from halfsquare.data.messages import BadLine, Misread, in_training, late_fraction, missing_column
from halfsquare.data.number_decision import thousands_in
from halfsquare.data.source_column import Lag, LagNames, SourceColumn
from halfsquare.data.text_file import TextTable


@dataclass(frozen=True)
class Source:
    """Rows that can be scanned, any number of times unless they come from a pipe.

    Attributes
    ----------
    name : str
        What messages call it.
    columns : tuple of SourceColumn
        In the order of the source.
    files : Unchanged
        What is read, as it was when it was opened; every pass checks that it still is.
    row_count : int or None
        Where it is known without reading the rows.
    table : TextTable or None
        The text files that it is made of.
    reading : Reading
        How its columns are read.
    findings : dict of column to Finding
        What was found of columns whose values are written as text.
    unnamed : tuple of str
        Columns that have no name in the source.
    categories : tuple of str
        Columns that are categories by their type or by request.
    mixed : frozenset of str
        Columns of texts some of which are numbers or dates.
    unsettled : frozenset of str
        Columns of texts of which the first values alone have been looked at.
    remarks : tuple of str
        What else is to be told of how it was read.
    of_model : bool
        Whether they are read as a model has it.
    met : list of str
        What passes over it have met that is to be told as well.
    words : tuple of str
        For "no value", of all its texts, where it is read as a model has it.
    """

    name: str
    columns: tuple[SourceColumn, ...]
    _relation: str
    _connection: Any = field(repr=False)
    files: Unchanged = NO_FILES
    row_count: int | None = None
    _held: tuple[Any, ...] = field(
        default=(), repr=False
    )  # frames and temporary files that must outlive the scan
    table: TextTable | None = field(default=None, repr=False)
    reading: Reading = NO_READING
    findings: Mapping[str, Finding] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    mixed: frozenset[str] = frozenset()
    unsettled: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()
    of_model: bool = False
    met: list[str] = field(default_factory=list, repr=False)
    words: tuple[str, ...] = ()

    @property
    def relation(self) -> str:
        """SQL that reads it."""
        return self._relation

    @property
    def _before(self) -> int:
        """How many lines of a text file stand before its first row."""
        return 1 if self.table is None else self.table.lines_before

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query over it, while the files are what they were."""
        with self.files.reading(self.name, self._before):
            return list(self._connection.sql(query).fetchall())

    def column(self, name: str, *, role: str = "column") -> SourceColumn:
        """The column of that name.

        Raises
        ------
        DataError
            If there is none, naming those there are and the nearest.
        """
        if name in self._by_name:
            return self._by_name[name]
        raise missing_column(name, [c.name for c in self.columns], self.name, role)

    @cached_property
    def _by_name(self) -> dict[str, SourceColumn]:
        return {column.name: column for column in self.columns}

    def scan(self, columns: Sequence[SourceColumn], batch_rows: int = 16384) -> Iterator[Any]:
        """The named columns as Arrow record batches, in the order of the source.

        Raises
        ------
        DataError
            If a value or a line cannot be read (file, column and row are named), or a file is no
            longer what it was when it was opened.
        """
        if any(c.lag is not None for c in columns):
            yield from lagged(self.scan, columns, batch_rows)
            return
        quick, seen = self._with_few_words(columns), 0
        try:
            if quick is not None:
                try:
                    for batch in quick._pass(columns, batch_rows):
                        yield batch
                        seen += batch.num_rows
                    return
                except Misread:
                    pass  # perhaps a word that it does not know: the rest is read with all of them
            for batch in rows_after(seen, self._pass(columns, batch_rows)):
                yield batch
                seen += batch.num_rows
            return
        except Misread as problem:
            again = self._read_otherwise(problem, columns)
            if again is None:
                raise self._misread(problem) from None
        yield from rows_after(seen, again[0].scan(again[1], batch_rows))

    def _read_otherwise(
        self, problem: Misread, columns: Sequence[SourceColumn]
    ) -> tuple[Source, Sequence[SourceColumn]] | None:
        """In a way that a value fits; None where there is none."""
        cut = self._without_footers()  # a text among numbers may be the last line's
        if cut is not None:
            return cut, columns
        return self._with_thousands(self._misread(problem), columns) if self.of_model else None

    def _with_thousands(
        self, problem: Misread, columns: Sequence[SourceColumn]
    ) -> tuple[Source, list[SourceColumn]] | None:
        """With a column of numbers that has thousands marks in these rows, and had none when a
        model was fitted to others; None where that is not the problem.
        """
        known = self.reading.columns.get(problem.column)
        mark = thousands_in(problem.text, known) if known is not None else ""
        if known is None or not mark:
            return None
        reading = replace(known, thousands=mark)

        def own(column: SourceColumn) -> SourceColumn:
            if column.name != problem.column or column.kind != "number":
                return column
            kind = "VARCHAR" if self.table is not None else column.type
            return replace(column, reading=reading, type=kind, words=self.words)

        self.met.append(
            f"{problem.column}: {problem.text!r} in row {problem.row} has a thousands mark "
            f"({mark!r}), which no number had in training"
        )
        source = self.as_stored([problem.column]) if self.table else self
        readings = {**self.reading.columns, problem.column: reading}
        every = tuple(own(c) for c in self.columns)
        source = replace(source, columns=every, reading=replace(self.reading, columns=readings))
        return source, [own(c) for c in columns]

    def as_stored(self, columns: Iterable[str]) -> Source:
        """With these columns of its text files as they stand there."""
        assert self.table is not None
        names = set(columns)
        shown = tuple(
            replace(c, kind="text", type="VARCHAR", whole=False) if c.name in names else c
            for c in self.columns
        )
        return replace(self.of_table(self.table.as_text(names)), columns=shown)

    def _with_few_words(self, columns: Sequence[SourceColumn]) -> Source | None:
        """With few of the words for "no value", if that can be seen to go wrong: each value is
        compared with each word, which takes nearly as long as to read the file. Where no texts are
        expected, a word that is not known is an error.
        """
        table = self.table
        if table is None or not set(table.shown) < set(table.words):
            return None
        stored = {c.name for c in columns if table.types.get(c.name, "VARCHAR") == "VARCHAR"}
        if any(c.kind == "text" or (c.name in stored and c.reading is None) for c in columns):
            return None
        return self.of_table(replace(table, words=table.shown))

    def _pass(self, columns: Sequence[SourceColumn], batch_rows: int) -> Iterator[Any]:
        """The rows as they are read from its files."""
        expressions = ", ".join(c.as_double() for c in columns)
        read = [j for j, c in enumerate(columns) if c.reading is not None and c.kind != "text"]
        whole = {j for j, c in enumerate(columns) if c.whole and c.kind == "number"}
        seen = 0
        try:
            with self.files.reading(self.name, self._before):
                if self._relation.startswith("read_parquet("):
                    require_whole_pages(self.files, [c.name for c in columns])
                query = f"SELECT {expressions} FROM {self._relation}"
                reader = self._connection.sql(query).to_arrow_reader(batch_rows)
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
                            raise late_fraction(self.name, columns[j].name, seen + at + 1)
                    yield batch
                    seen += batch.num_rows
                else:
                    odd = None
                if odd is not None:
                    reader.close()
                    raise self._unread(columns[odd], seen + 1)
        except BadLine:
            if self.table is None or self.table.alike:
                raise
            again = self._without_footers() or self.of_table(self.table.rewritten())
            yield from rows_after(seen, again._pass(columns, batch_rows))

    def _without_footers(self) -> Source | None:
        """With its packed text files cut before their footers; None if there are none."""
        without = self.table.without_footers() if self.table is not None else None
        if without is None:
            return None
        self.met.extend(f for f in without.footers if f not in self.met)
        return self.of_table(without)

    def of_table(self, table: TextTable) -> Source:
        """With its text files read in another way."""
        return replace(
            self,
            table=table,
            _relation=table.relation,
            _held=(*self._held, *table.held),
        )

    def _unread(self, column: SourceColumn, row: int) -> Misread:
        """What is told of a text that does not fit the reading of its column."""
        found = self.run(f"SELECT {column.text} FROM {self._relation} LIMIT 1 OFFSET {row - 1}")
        told = column.reading.expected if column.reading else column.kind
        return in_training(self.name, row, column.name, str(found[0][0]), told)

    def _misread(self, problem: Misread) -> Misread:
        """The same with the number of the row, which is not that of the line."""
        named = (c for c in self.columns if problem.column in (c.name, c.stored[1:-1]))
        column = next(named, None)
        if self.table is None or column is None or problem.row:
            return problem
        plain = self.of_table(self.table.as_text([column.name]))
        kind = {"boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}.get(column.kind, "DOUBLE")
        cast = column.stored if not self.table.comma else f"replace({column.stored}, ',', '.')"
        rows = plain.run(
            f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {column.stored} AS v, "
            f"TRY_CAST({cast} AS {kind}) AS d FROM {plain.relation}) "
            "WHERE v IS NOT NULL AND d IS NULL ORDER BY i LIMIT 1"
        )
        if not rows:
            return Misread(str(problem), column.name, problem.row)
        row, text = rows[0]
        if self.of_model:
            known = self.reading.columns.get(column.name)
            told = known.expected if known is not None else column.kind
            return in_training(self.name, int(row), column.name, text, told)
        wanted = {"boolean": "true or false", "timestamp": "a date"}.get(column.kind, "a number")
        return Misread(
            f"{self.name}, row {row}, column {column.name!r}: found {text!r}, expected {wanted} as "
            f"in the other rows. Correct the value, leave the column out (--exclude "
            f"{column.name}), or read it as text (--category {column.name})",
            column.name,
            int(row),
        )

    def without_bases(self, names: Iterable[str]) -> Source:
        """With these columns as float64 has their values."""
        plain = {n for n in names if n in self.reading.columns and self.reading.columns[n].base}
        if not plain:
            return self
        readings = {
            n: replace(c, base="") if n in plain else c for n, c in self.reading.columns.items()
        }
        columns = tuple(replace(c, base="") if c.name in plain else c for c in self.columns)
        reading = replace(self.reading, columns=readings)
        return replace(self, columns=columns, reading=reading)

    def row(self, number: int) -> dict[str, str | None]:
        """Row ``number`` (from 1) as text, for showing; empty if there is none."""
        listed = ", ".join(f"{c.text}::VARCHAR" for c in self.columns)
        query = f"SELECT {listed} FROM {self._relation} LIMIT 1 OFFSET {int(number) - 1}"
        found = self.run(query)
        return dict(zip([c.name for c in self.columns], found[0], strict=True)) if found else {}

    def not_a_number(self, name: str) -> tuple[int, str] | None:
        """The first row (from 1) whose text in that column is no number, and the text."""
        text = self.column(name).text
        found = self.run(
            f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {text} AS v "
            f"FROM {self._relation}) "
            "WHERE v IS NOT NULL AND TRY_CAST(v AS DOUBLE) IS NULL ORDER BY i LIMIT 1"
        )
        return (int(found[0][0]), str(found[0][1])) if found else None


def lagged_column(source: Source, name: str, lag: LagNames) -> SourceColumn:
    """The column called ``name`` of earlier values of another.

    Raises
    ------
    DataError
        If there is no such column.
    """
    by = tuple(source.column(each) for each in lag.by)
    return SourceColumn(name, "number", "DOUBLE", lag=Lag(source.column(lag.of), by, lag.steps))
