"""Rows that can be scanned: DuckDB reads them, in parallel and out of core, as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from halfsquare.data.columns import NO_READING, Reading
from halfsquare.data.findings import Finding
from halfsquare.data.integrity import NO_FILES, Unchanged
from halfsquare.data.messages import missing_column
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
    relation : str
        SQL that reads it.
    connection : duckdb.DuckDBPyConnection
    files : Unchanged
        What is read, as it was when it was opened; every pass checks that it still is.
    row_count : int or None
        Where it is known without reading the rows.
    held : tuple
        Frames and temporary files that must outlive the scan.
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
    relation: str
    connection: Any = field(repr=False)
    files: Unchanged = NO_FILES
    row_count: int | None = None
    held: tuple[Any, ...] = field(
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
    def lines_before(self) -> int:
        """How many lines of a text file stand before its first row."""
        return 1 if self.table is None else self.table.lines_before

    def run(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query over it, while the files are what they were."""
        with self.files.reading(self.name, self.lines_before):
            return list(self.connection.sql(query).fetchall())

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

    def as_stored(self, columns: Iterable[str]) -> Source:
        """With these columns of its text files as they stand there."""
        assert self.table is not None
        names = set(columns)
        shown = tuple(
            replace(c, kind="text", type="VARCHAR", whole=False) if c.name in names else c
            for c in self.columns
        )
        return replace(self.of_table(self.table.as_text(names)), columns=shown)

    def without_footers(self) -> Source | None:
        """With its packed text files cut before their footers; None if there are none."""
        without = self.table.without_footers() if self.table is not None else None
        if without is None:
            return None
        self.met.extend(f for f in without.footers if f not in self.met)
        return self.of_table(without)

    def of_table(self, table: TextTable) -> Source:
        """With its text files read in another way."""
        return replace(self, table=table, relation=table.relation, held=(*self.held, *table.held))

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
        # As one list: DuckDB takes the square of their number for thousands of columns of text.
        listed = ", ".join(f"{c.text}::VARCHAR" for c in self.columns)
        query = f"SELECT [{listed}] FROM {self.relation} LIMIT 1 OFFSET {int(number) - 1}"
        found = self.run(query)
        return dict(zip([c.name for c in self.columns], found[0][0], strict=True)) if found else {}

    def not_a_number(self, name: str) -> tuple[int, str] | None:
        """The first row (from 1) whose text in that column is no number, and the text."""
        text = self.column(name).text
        found = self.run(
            f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {text} AS v "
            f"FROM {self.relation}) "
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
