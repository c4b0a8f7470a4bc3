"""Where rows come from: a file, a glob, a query, a database table or a frame, all by one door.

DuckDB reads them, in parallel and out of core, and hands on Arrow batches.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from halfsquare.data.integrity import NO_FILES, Unchanged, require_whole_pages
from halfsquare.data.messages import missing_column, require_distinct
from halfsquare.data.spec import DataSpec
from halfsquare.data.sql import Kind, is_query, kind_of, quote_name, quote_text
from halfsquare.data.text_file import suffix_of, text_relation
from halfsquare.errors import DataError, OptionError
from halfsquare.files.atomic import reason
from halfsquare.files.private import PrivateFolder


def arrow_table(data: Any, name: str) -> Any:
    """The columns of an array, a frame or a mapping.

    Raises
    ------
    DataError
        If a column mixes types or lengths, or two have one name; ``name`` is what messages call the
        data.
    OptionError
        If it is none of these.
    """
    import pyarrow as pa

    if isinstance(data, np.ndarray):
        if data.dtype.names:
            frame = pa.table({n: np.ascontiguousarray(data[n]) for n in data.dtype.names})
        elif data.ndim == 2:
            frame = pa.table(
                {f"x{j + 1}": np.ascontiguousarray(data[:, j]) for j in range(data.shape[1])}
            )
        else:
            raise DataError(f"the array has shape {data.shape}; expected rows and columns, (n, d)")
    elif isinstance(data, dict):
        frame = _arrow(lambda: pa.table({str(n): pa.array(np.asarray(v)) for n, v in data.items()}))
    elif isinstance(data, (pa.Table, pa.RecordBatch)):
        frame = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    elif type(data).__module__.startswith("polars"):
        frame = data.collect().to_arrow() if hasattr(data, "collect") else data.to_arrow()
    elif type(data).__module__.startswith("pandas"):
        require_distinct([str(c) for c in data.columns], name)
        frame = _arrow(lambda: pa.Table.from_pandas(data.rename(columns=str), preserve_index=False))
    elif hasattr(data, "__arrow_c_stream__"):
        frame = pa.table(data)
    else:
        raise OptionError(
            f"cannot read rows from {type(data).__name__}; expected a path, a query, an "
            "array or a frame"
        )
    require_distinct([str(n) for n in frame.column_names], name)
    return frame


def _arrow(make: Any) -> Any:
    import pyarrow as pa

    try:
        return make()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as problem:
        raise DataError(f"a column mixes types or lengths: {problem}") from None


_JSON_FILES = (".json", ".jsonl", ".ndjson")
_PARQUET_FILES = (".parquet", ".pq")
_DATABASE_FILES = (".duckdb", ".db", ".ddb", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it: its name and what kind of values it holds."""

    name: str
    kind: Kind
    type: str  # DuckDB's name of the type, for messages

    def as_double(self) -> str:
        """SQL for the values as numbers: seconds for times, the text itself for text."""
        quoted = quote_name(self.name)
        if self.kind in ("timestamp", "time"):
            return f"epoch({quoted})::DOUBLE AS {quoted}"
        if self.kind == "text":
            return f"{quoted}::VARCHAR AS {quoted}"
        if (
            self.kind == "boolean"
        ):  # not a cast: DuckDB would push it into the reader of a text file
            return (
                f"(CASE WHEN {quoted} THEN 1.0 WHEN NOT {quoted} THEN 0.0 END)::DOUBLE AS {quoted}"
            )
        return f"{quoted}::DOUBLE AS {quoted}"


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

    @property
    def relation(self) -> str:
        """SQL that reads it."""
        return self._relation

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
        expressions = ", ".join(c.as_double() for c in columns)
        with self.files.reading(self.name):
            if self._relation.startswith("read_parquet("):
                require_whole_pages(self.files, [c.name for c in columns])
            query = f"SELECT {expressions} FROM {self._relation}"
            reader = self._connection.sql(query).to_arrow_reader(batch_rows)
            yield from reader

    def row(self, number: int) -> dict[str, str | None]:
        """Row ``number`` (from 1) as text, for showing; empty if there is none."""
        with self.files.reading(self.name):
            query = (
                f"SELECT COLUMNS(*)::VARCHAR FROM {self._relation} LIMIT 1 OFFSET {int(number) - 1}"
            )
            relation = self._connection.sql(query)
            return dict(zip(relation.columns, (relation.fetchall() or [()])[0], strict=False))

    def not_a_number(self, name: str) -> tuple[int, str] | None:
        """The first row (from 1) whose text in that column is no number, and the text."""
        quoted = quote_name(name)
        with self.files.reading(self.name):
            found = self._connection.sql(
                f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {quoted}::VARCHAR AS v "
                f"FROM {self._relation}) "
                "WHERE v IS NOT NULL AND TRY_CAST(v AS DOUBLE) IS NULL ORDER BY i LIMIT 1"
            ).fetchall()
        return (int(found[0][0]), str(found[0][1])) if found else None


def open_source(data: Any) -> Source:
    """Open rows for scanning.

    Parameters
    ----------
    data : DataSpec, or path, SQL query, "-", array or frame
        A CSV, TSV, Parquet or JSON-lines file (plain or gzipped), a glob of these, a DuckDB or
        SQLite file (with ``table``), a query beginning with SELECT, WITH or FROM, ``"-"`` for CSV
        on standard input; or a NumPy array (columns x1, x2, …), a pandas, Polars or Arrow frame, or
        a mapping of names to arrays.

    Raises
    ------
    DataError
        If there is no such file or it cannot be read; the message says what was found.
    """
    rows = DataSpec.of(data)
    data, table, encoding, categories = rows.data, rows.table, rows.encoding, rows.category
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")  # times mean the same wherever this runs
    connection.execute("SET enable_progress_bar=false")  # it would stand in the middle of JSON
    connection.execute("SET temp_directory=''")  # a scan puts nothing aside
    if isinstance(data, (str, os.PathLike)):
        text = os.fspath(data)
        if is_query(text):
            folder = spill_privately(connection)
            files = _named_in(connection, text)
            return _bound(
                connection, "the query", f"({text.strip().rstrip(';')})", (folder,), files
            )
        if text == "-":
            return _standard_input(connection, encoding, categories)
        return _file(connection, text, table, encoding, categories)
    frame = arrow_table(data, "the data")
    connection.register("frame", frame)
    return _bound(connection, "the data", "frame", (frame,))


def spill_privately(connection: Any) -> PrivateFolder:
    """Let a connection put aside what does not fit into its memory, as sorting and joining may
    need: in a folder that goes with the one that is returned.
    """
    folder = PrivateFolder()
    connection.execute(f"SET temp_directory={quote_text(str(folder.path / 'duckdb'))}")
    return folder


def _bound(
    connection: Any,
    name: str,
    relation: str,
    held: tuple[Any, ...] = (),
    files: Unchanged = NO_FILES,
    count: str | None = None,
) -> Source:
    """Ask DuckDB for the columns of a relation; ``count`` is SQL for its rows, where that is
    quick.
    """
    with files.reading(name):
        rows = connection.sql(count).fetchall()[0][0] if count else None
        found = connection.sql(f"SELECT * FROM {relation}")
        if found is None:
            raise DataError(f"{name} returns no rows: expected a query that selects columns")
        columns = tuple(
            SourceColumn(n, kind_of(str(t)), str(t))
            for n, t in zip(found.columns, found.types, strict=True)
        )
    require_distinct([c.name for c in columns], name)
    # Enough for two threads' buffers, and a little for each column of a wide table: the rows
    # themselves are not kept by DuckDB.
    connection.execute(f"SET memory_limit='{160 + len(columns)}MB'")
    return Source(name, columns, relation, connection, files, rows, held)


def _named_in(connection: Any, query: str) -> Unchanged:
    """The files that stand in a query as tables."""
    try:
        names = sorted(n.strip("\"'") for n in connection.get_table_names(query))
    except duckdb.Error:
        return NO_FILES  # what is wrong with the query is told when it is bound
    return Unchanged.of([n for n in names if Path(n).is_file()])


def _file(
    connection: Any, text: str, table: str | None, encoding: str | None, categories: Sequence[str]
) -> Source:
    files = Unchanged.at(text)
    first = files.files[0].path
    suffix = suffix_of(first)
    if suffix == ".sums":
        raise DataError(f"{text} is a file of sums, not of rows: halfsquare fit-sums {text}")
    if suffix in _DATABASE_FILES:
        return _database(connection, text, table, files)
    if suffix in _PARQUET_FILES:
        count = f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata({quote_text(text)})"
        return _bound(
            connection,
            text,
            f"read_parquet({quote_text(text)}, union_by_name=true)",
            (),
            files,
            count,
        )
    if suffix in _JSON_FILES:
        return _bound(
            connection, text, f"read_json({quote_text(text)}, union_by_name=true)", (), files
        )
    if suffix in (".xls", ".xlsx", ".ods", ".pdf", ".zip", ".hsq", ".pkl", ".npy", ".npz"):
        raise DataError(
            f"{text} is a {suffix} file; expected CSV, TSV, Parquet or JSON lines: export it "
            "to one of these"
        )
    with files.reading(text):
        relation = text_relation(connection, text, first, encoding, categories, text)
    return _bound(connection, text, relation, (), files)


def _standard_input(connection: Any, encoding: str | None, categories: Sequence[str]) -> Source:
    """A pipe can be read once and its types need a look first, so it is kept in a temporary
    file.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("standard input is closed: pipe a CSV file into it")
    if sys.stdin.isatty():
        raise DataError("standard input is a terminal: pipe a CSV file into it")
    # Where the system shows open files as paths, it needs no name and cannot be left behind.
    unnamed = Path("/proc/self/fd").is_dir()
    make: Any = tempfile.TemporaryFile if unnamed else tempfile.NamedTemporaryFile
    try:
        spool = make(prefix="halfsquare-")
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
    except OSError as problem:
        raise DataError(
            f"standard input could not be kept in {tempfile.gettempdir()}: {reason(problem)}"
        ) from None
    path = f"/proc/self/fd/{spool.fileno()}" if unnamed else spool.name
    if spool.tell() == 0:
        raise DataError("standard input is empty: expected CSV with a header line")
    name = "standard input"
    relation = text_relation(connection, path, path, encoding, categories, name)
    return _bound(connection, name, relation, (spool,))


def _database(connection: Any, path: str, table: str | None, files: Unchanged) -> Source:
    kind = (
        " (TYPE sqlite, READ_ONLY)"
        if Path(path).suffix.lower().startswith(".sqlite")
        else " (READ_ONLY)"
    )
    try:
        connection.execute(f"ATTACH {quote_text(path)} AS found{kind}")
        tables = [
            str(r[0])
            for r in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = "
                "'found' ORDER BY 1"
            ).fetchall()
        ]
    except duckdb.Error as problem:
        reader = "sqlite" in kind and "extension" in str(problem)
        hint = (
            ". SQLite needs a reader that DuckDB fetches from the network once; or export "
            "the table to CSV"
            if reader
            else ""
        )
        raise DataError(
            f"{path} could not be opened as a database: {str(problem).splitlines()[0]}{hint}"
        ) from None
    if table is None and len(tables) == 1:
        table = tables[0]
    if table not in tables:
        asked = f"has no table {table!r}" if table else "has several tables; name one with --table"
        raise DataError(f"{path} {asked}. Its tables: {', '.join(tables) or 'none'}")
    held = (spill_privately(connection),)  # what is named as a table may be a view
    return _bound(connection, f"table {table} of {path}", f"found.{quote_name(table)}", held, files)
