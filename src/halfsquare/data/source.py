"""Rows that can be scanned: DuckDB reads them, in parallel and out of core, as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np

from halfsquare.data.arrow import floats_of
from halfsquare.data.columns import NO_READING, ColumnReading, Reading
from halfsquare.data.findings import Finding
from halfsquare.data.integrity import NO_FILES, Unchanged, require_whole_pages
from halfsquare.data.messages import BadLine, Misread, in_training, missing_column
from halfsquare.data.sql import Kind, is_one_of, quote_name, quote_text
from halfsquare.data.text_file import TextTable
from halfsquare.files.private import PrivateFolder


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it: its name and what kind of values it holds.

    Attributes
    ----------
    name : str
    kind : Kind
        Of the values as they are read.
    type : str
        DuckDB's name of the type, for messages.
    value : str
        SQL for the values as they are stored; the quoted name by default.
    reading : ColumnReading or None
        How values that are stored as text are read; None for those that are what they are.
    words : tuple of str
        For "no value": all those of the source where a reading or levels need them, those that the
        user named for numbers.
    whole : bool
        Whether its first values are whole numbers of at most three digits in a text file: 1.033
        further down may be a thousand and thirty-three.
    """

    name: str
    kind: Kind
    type: str
    value: str = ""
    reading: ColumnReading | None = None
    words: tuple[str, ...] = ()
    whole: bool = False

    @property
    def stored(self) -> str:
        """SQL for the values as they are stored."""
        return self.value or quote_name(self.name)

    @property
    def text(self) -> str:
        """SQL for the values as text."""
        if self.type == "JSON":
            return f"({self.stored} ->> '$')"
        return self.stored if self.type == "VARCHAR" else f"{self.stored}::VARCHAR"

    @property
    def digits(self) -> SourceColumn:
        """The whole numbers as texts, for dates that are written as digits alone."""
        value = f"TRY_CAST({self.stored} AS BIGINT)::VARCHAR"
        return replace(self, kind="text", type="VARCHAR", value=value, whole=False)

    @property
    def is_text(self) -> bool:
        """Whether the source stores texts."""
        return self.type in ("VARCHAR", "JSON", "ENUM", "UUID") or self.type.startswith("ENUM(")

    def as_double(self) -> str:
        """SQL for the values as numbers: seconds for times, the text itself for levels."""
        return f"{self.number} AS {quote_name(self.name)}"

    @property
    def number(self) -> str:
        """The same without the name."""
        if self.kind == "text":
            if not self.words:
                return self.text
            return f"CASE WHEN {is_one_of(self.text, self.words)} THEN NULL ELSE {self.text} END"
        if self.reading is not None:
            return self.reading.sql(self.text, self.words)
        if self.type.startswith("INTERVAL"):
            return f"(epoch({self.stored}) / 86400.0)::DOUBLE"
        if self.kind in ("timestamp", "time"):
            zoned = "TIMESTAMPTZ" in self.type or "WITH TIME ZONE" in self.type
            coarse = f"::TIMESTAMP{'TZ' if zoned else ''}"  # no epoch of nanoseconds with a zone
            return f"epoch({self.stored}{coarse if 'TIMESTAMP' in self.type else ''})::DOUBLE"
        if self.kind == "boolean":
            # Not a cast: DuckDB would push it into the reader of a text file.
            return f"(CASE WHEN {self.stored} THEN 1.0 WHEN NOT {self.stored} THEN 0.0 END)::DOUBLE"
        found = f"{self.stored}::DOUBLE"
        for word in self.words:
            found = f"nullif({found}, {float(word)!r}::DOUBLE)"
        return found


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
        for column in self.columns:
            if column.name == name:
                return column
        raise missing_column(name, [c.name for c in self.columns], self.name, role)

    def scan(self, columns: Sequence[SourceColumn], batch_rows: int = 16384) -> Iterator[Any]:
        """The named columns as Arrow record batches, in the order of the source.

        Raises
        ------
        DataError
            If a value or a line cannot be read (file, column and row are named), or a file is no
            longer what it was when it was opened.
        """
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
            yield from _after(seen, self._pass(columns, batch_rows))
        except Misread as problem:
            raise self._misread(problem) from None

    def _with_few_words(self, columns: Sequence[SourceColumn]) -> Source | None:
        """With its text files read with few of the words for "no value", if that can be seen to go
        wrong.

        Each value is compared with each word, which for all the usual ones takes nearly as long as
        to read the file. Where numbers, dates and truth values are expected, a word that is not
        known is an error; of texts it would be a level.
        """
        table = self.table
        if table is None or not set(table.shown) < set(table.words):
            return None
        kinds = [(c.kind, table.types.get(c.name, "VARCHAR")) for c in columns]
        if any(kind == "text" or stored == "VARCHAR" for kind, stored in kinds):
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
                    odd = next((j for j in read if _first_infinite(batch.column(j)) >= 0), None)
                    if odd is not None:
                        seen += _first_infinite(batch.column(odd))
                        break
                    for j in sorted(whole):
                        at = _first_fraction(batch.column(j))
                        if at is not None:
                            whole.discard(j)
                        if at is not None and at >= 0:
                            raise self._late_fraction(columns[j], seen + at + 1)
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
            yield from _after(seen, self.rewritten()._pass(columns, batch_rows))

    def rewritten(self) -> Source:
        """With the lines of its text files written alike."""
        assert self.table is not None
        return self.of_table(self.table.rewritten())

    def of_table(self, table: TextTable) -> Source:
        """With its text files read in another way."""
        return replace(
            self,
            table=table,
            _relation=table.relation,
            _held=(*self._held, *table.held),
        )

    def _late_fraction(self, column: SourceColumn, row: int) -> Misread:
        """That whole numbers are followed by what has thousands marks or decimals: the whole column
        decides.
        """
        return Misread(
            f"{self.name}, row {row}, column {column.name!r}: found a fraction after whole numbers",
            column.name,
            row,
        )

    def _unread(self, column: SourceColumn, row: int) -> Misread:
        """What is told of a text that does not fit the reading of its column."""
        found = self.run(f"SELECT {column.text} FROM {self._relation} LIMIT 1 OFFSET {row - 1}")
        told = column.reading.expected if column.reading else column.kind
        return in_training(self.name, row, column.name, str(found[0][0]), told)

    def _misread(self, problem: Misread) -> Misread:
        """The same with the number of the row, which is not that of the line where texts are
        quoted over several lines.
        """
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


def _after(row: int, batches: Iterator[Any]) -> Iterator[Any]:
    """The rows after the first ``row`` of them."""
    for batch in batches:
        if row < batch.num_rows:
            yield batch.slice(row) if row else batch
        row = max(0, row - batch.num_rows)


def _first_infinite(values: Any) -> int:
    """The first infinity among them, which stands for a text that could not be read; -1 if there is
    none.
    """
    infinite = np.isinf(floats_of(values))
    return int(np.argmax(infinite)) if infinite.any() else -1


def _first_fraction(values: Any) -> int | None:
    """The first number that is no whole one, where all those have at most three decimals: their
    points may be thousands marks. -1 where one has more, which settles it; None for whole numbers.
    """
    numbers = floats_of(values)
    at = np.flatnonzero(numbers != np.floor(numbers))
    at = at[np.isfinite(numbers[at])]
    if not len(at):
        return None
    thousandths = numbers[at] * 1000.0
    short = np.abs(thousandths - np.round(thousandths)) <= 1e-9 * np.abs(thousandths)
    return int(at[0]) if short.all() else -1


def duckdb_connection() -> Any:
    """A connection of its own, in which times mean the same wherever it runs."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    without_progress_bar(connection)
    connection.execute("SET temp_directory=''")  # a scan puts nothing aside
    # Ahead of its use DuckDB copies what it reads of a file, which costs more than it saves where
    # the file is at hand.
    connection.execute("SET disable_parquet_prefetching=true")
    return connection


def without_progress_bar(connection: Any) -> None:
    """Switch off what would stand in the middle of JSON.

    In a notebook without ipywidgets it is off, and there switching it off is an error.
    """
    ((on,),) = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if on:
        connection.execute("SET enable_progress_bar=false")


def spill_privately(connection: Any) -> PrivateFolder:
    """Let a connection put aside what does not fit into its memory, as sorting and joining may
    need: in a folder that goes with the one that is returned.
    """
    folder = PrivateFolder()
    connection.execute(f"SET temp_directory={quote_text(str(folder.path / 'duckdb'))}")
    return folder
