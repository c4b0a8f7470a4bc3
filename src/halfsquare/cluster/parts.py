"""Files in parts that can be read side by side, on any machine that has them: one file, or some
rows of a Parquet file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from halfsquare.data.connection import without_progress_bar
from halfsquare.data.integrity import Unchanged
from halfsquare.data.messages import translated
from halfsquare.data.passes import record_batches
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import quote_text
from halfsquare.data.text_file import escaped
from halfsquare.errors import DataError, OptionError

# So many rows of a Parquet file are one part: some row groups of the usual size.
_PART_ROWS = 1 << 20
_FILE, _ROW = (
    "halfsquare file",
    "file_row_number",
)  # columns that DuckDB adds, the second under a name of its own


@dataclass(frozen=True)
class Part:
    """A file, or its rows ``first`` … ``stop - 1``."""

    path: str
    first: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class PartedSource:
    """A source of files, as it can be opened anywhere; its rows are those of the parts, in order.

    Attributes
    ----------
    name : str
        What messages call it.
    relation : str
        SQL that reads all files, with the types found when it was opened.
    files : dict of path to int
        Absolute paths, with their sizes in bytes.
    """

    name: str
    columns: tuple[SourceColumn, ...]
    relation: str
    parts: tuple[Part, ...]
    files: dict[str, int]

    @classmethod
    def of(cls, source: Source) -> PartedSource:
        """The parts of a source.

        Raises
        ------
        OptionError
            If it is not made of files that others could read: a frame, a query, a database, a pipe.
        """
        if source.table is not None and (source.table.held or source.table.pattern is None):
            raise OptionError(
                f"a cluster's workers read files for themselves, and {source.name} is read from a "
                "copy on this machine: it is packed, not in UTF-8, or its files are laid out "
                "differently. Write it as plain CSV files in UTF-8, or as Parquet"
            )
        reader, _, rest = source.relation.partition("(")
        own = escaped(source.name) if Path(source.name).exists() else source.name
        quoted = quote_text(own)
        if reader not in ("read_csv", "read_parquet", "read_json") or not rest.startswith(quoted):
            raise OptionError(
                "a cluster's workers read files for themselves, by their paths; "
                f"{source.name} is none. "
                "Write it to Parquet or CSV files that all workers can read, or fit without "
                "a cluster"
            )
        path = str(Path(source.name).absolute())
        pattern = escaped(path) if Path(path).exists() else path
        relation = f"{reader}({quote_text(pattern)}{rest.removeprefix(quoted)}"
        files = {str(Path(f.path).absolute()): f.size for f in source.files.files}
        with translated(source.name):
            exact = Path(path).exists()
            paths = [path] if exact else [r[0] for r in _rows(f"FROM glob({quote_text(path)})")]
            parts = tuple(Part(p) for p in paths)
            if reader == "read_parquet" and all(c.name != _ROW for c in source.columns):
                parts = tuple(_by_rows(pattern))
        return cls(source.name, source.columns, relation, parts, files)

    def read(
        self, parts: Sequence[Part], columns: Sequence[SourceColumn], batch_rows: int
    ) -> Iterator[Any]:
        """The rows of some parts, as :func:`halfsquare.data.passes.record_batches` has them."""
        connection = duckdb.connect()
        connection.execute("SET TimeZone='UTC'")
        without_progress_bar(connection)
        connection.execute(f"SET memory_limit='{160 + len(self.columns)}MB'")
        for part in parts:
            relation, files = self._relation_of(part), Unchanged.of([part.path])
            source = Source(self.name, self.columns, relation, connection, files)
            yield from record_batches(source, columns, batch_rows)

    def _relation_of(self, part: Part) -> str:
        """DuckDB skips the files and row groups that such a condition leaves out."""
        conditions, options = [], ""
        if len(self.files) > 1:
            options += f", filename={quote_text(_FILE)}"
            conditions.append(f'"{_FILE}" = {quote_text(part.path)}')
        if part.stop is not None:
            options += ", file_row_number=true"
            conditions.append(f"{_ROW} >= {part.first} AND {_ROW} < {part.stop}")
        reader = self.relation.removesuffix(")") + options + ")"
        return (
            f"(SELECT * FROM {reader} WHERE {' AND '.join(conditions)})"
            if conditions
            else self.relation
        )


def _by_rows(path: str) -> Iterator[Part]:
    for name, rows in _rows(
        f"SELECT file_name, num_rows FROM parquet_file_metadata({quote_text(path)})"
    ):
        for first in range(0, max(rows, 1), _PART_ROWS):
            yield Part(name, first, min(first + _PART_ROWS, rows))


def _rows(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def require_files(data: Any) -> None:
    """Refuse at once what no worker could read.

    Raises
    ------
    OptionError
    """
    if not isinstance(data, (str, Path)):
        raise OptionError(
            "a cluster's workers read files for themselves, and the data are a "
            f"{type(data).__name__} in memory here. "
            "Write them to Parquet files that all workers can read, or fit without a cluster"
        )
    if str(data) == "-":
        raise DataError(
            "a cluster's workers read files for themselves, and cannot read this standard input"
        )
