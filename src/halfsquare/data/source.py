"""Where rows come from: a file, a glob, a query, a database table or a frame, all by one door.

DuckDB reads them, in parallel and out of core, and hands on Arrow batches. What it says when a
file is bad is told again here in terms of file, column and row.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np

from halfsquare.errors import DataError, OptionError

Kind = Literal["number", "boolean", "text", "timestamp", "time", "unsupported"]

# What stands for "no value" in the text files of the world, besides an empty field.
_NULLS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "Null", "None", "#N/A", "?"]
_TEXT_FILES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".psv")
_JSON_FILES = (".json", ".jsonl", ".ndjson")
_PARQUET_FILES = (".parquet", ".pq")
_DATABASE_FILES = (".duckdb", ".db", ".ddb", ".sqlite", ".sqlite3")
_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "BIGNUM",
)


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
        if self.kind == "boolean":  # not a cast: DuckDB would push it into the reader of a text file
            return f"(CASE WHEN {quoted} THEN 1.0 WHEN NOT {quoted} THEN 0.0 END)::DOUBLE AS {quoted}"
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
    """

    name: str
    columns: tuple[SourceColumn, ...]
    _relation: str
    _connection: Any = field(repr=False)
    _held: tuple[Any, ...] = field(default=(), repr=False)  # frames and temporary files that must outlive the scan

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
            If a value or a line cannot be read: file, column and row are named.
        """
        expressions = ", ".join(c.as_double() for c in columns)
        with _translated(self.name):
            query = f"SELECT {expressions} FROM {self._relation}"
            reader = self._connection.sql(query).to_arrow_reader(batch_rows)
            yield from reader

    def row(self, number: int) -> dict[str, str | None]:
        """Row ``number`` (from 1) as text, for showing; empty if there is none."""
        with _translated(self.name):
            query = f"SELECT COLUMNS(*)::VARCHAR FROM {self._relation} LIMIT 1 OFFSET {int(number) - 1}"
            relation = self._connection.sql(query)
            return dict(zip(relation.columns, (relation.fetchall() or [()])[0], strict=False))

    def not_a_number(self, name: str) -> tuple[int, str] | None:
        """The first row (from 1) whose text in that column is no number, and the text."""
        quoted = quote_name(name)
        with _translated(self.name):
            found = self._connection.sql(
                f"SELECT i, v FROM (SELECT row_number() OVER () AS i, {quoted}::VARCHAR AS v FROM {self._relation}) "
                "WHERE v IS NOT NULL AND TRY_CAST(v AS DOUBLE) IS NULL ORDER BY i LIMIT 1"
            ).fetchall()
        return (int(found[0][0]), str(found[0][1])) if found else None


def open_source(
    data: Any, *, table: str | None = None, encoding: str | None = None, categories: Sequence[str] = ()
) -> Source:
    """Open rows for scanning.

    Parameters
    ----------
    data : path, SQL query, "-", array or frame
        A CSV, TSV, Parquet or JSON-lines file (plain or gzipped), a glob of these, a DuckDB or SQLite
        file (with ``table``), a query beginning with SELECT, WITH or FROM, ``"-"`` for CSV on
        standard input; or a NumPy array (columns x1, x2, …), a pandas, Polars or Arrow frame, or a
        mapping of names to arrays.
    table : str, optional
        Which table of a database file; needed if it has several.
    encoding : str, optional
        Of text files, if not UTF-8: ``"latin-1"``, ``"utf-16"``.
    categories : sequence of str
        Columns of a text file to read as text, whatever they look like.

    Raises
    ------
    DataError
        If there is no such file or it cannot be read; the message says what was found.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")  # times mean the same wherever this runs
    if isinstance(data, (str, os.PathLike)):
        text = os.fspath(data)
        if re.match(r"\s*(select|with|from)\s", text, re.IGNORECASE):
            return _bound(connection, "the query", f"({text.strip().rstrip(';')})")
        if text == "-":
            return _standard_input(connection, encoding, categories)
        return _file(connection, text, table, encoding, categories)
    return _frame(connection, data)


def quote_name(name: str) -> str:
    """A column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def missing_column(name: str, names: Sequence[str], source: str, role: str) -> DataError:
    """The error for a column that is not there, with the nearest names that are."""
    from difflib import get_close_matches

    shown = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    near = get_close_matches(name, names, n=1)
    hint = f". Did you mean {near[0]!r}?" if near else "."
    return DataError(f"{source} has no {role} {name!r}{hint} Its columns: {shown}")


def _kind(type_name: str) -> Kind:
    base = type_name.split("(")[0].strip()
    if base in _INTEGERS or base in ("FLOAT", "DOUBLE", "DECIMAL"):
        return "number"
    if base == "BOOLEAN":
        return "boolean"
    if base in ("VARCHAR", "ENUM", "UUID"):
        return "text"
    if base.startswith("TIMESTAMP") or base == "DATE":
        return "timestamp"
    return "time" if base in ("TIME", "INTERVAL", "TIME WITH TIME ZONE", "TIME_NS") else "unsupported"


def _bound(connection: Any, name: str, relation: str, held: tuple[Any, ...] = ()) -> Source:
    """Ask DuckDB for the columns of a relation."""
    with _translated(name):
        found = connection.sql(f"SELECT * FROM {relation}")
        if found is None:
            raise DataError(f"{name} returns no rows: expected a query that selects columns")
        columns = tuple(
            SourceColumn(n, "unsupported" if str(t).endswith("[]") else _kind(str(t)), str(t))
            for n, t in zip(found.columns, found.types, strict=True)
        )
    _require_distinct([c.name for c in columns], name)
    # Enough for two threads' buffers, and a little for each column of a wide table: the rows
    # themselves are not kept by DuckDB.
    connection.execute(f"SET memory_limit='{160 + len(columns)}MB'")
    return Source(name, columns, relation, connection, held)


def _file(connection: Any, text: str, table: str | None, encoding: str | None, categories: Sequence[str]) -> Source:
    is_glob = any(c in text for c in "*?[") and not Path(text).exists()
    if is_glob:
        import glob

        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        if not matches:
            raise DataError(f"no file matches {text}")
    else:
        if not Path(text).exists():
            raise DataError(f"there is no file {text}")
        if Path(text).is_dir():
            raise DataError(f"{text} is a folder: name a file, or the files in it as {Path(text) / '*.csv'}")
        matches = [text]
    if any(Path(m).stat().st_size == 0 for m in matches):
        empty = next(m for m in matches if Path(m).stat().st_size == 0)
        raise DataError(f"{empty} is empty: expected a header line and rows")
    suffix = _suffix(matches[0])
    if suffix in _DATABASE_FILES:
        return _database(connection, text, table)
    if suffix in _PARQUET_FILES:
        return _bound(connection, text, f"read_parquet({quote_text(text)}, union_by_name=true)")
    if suffix in _JSON_FILES:
        return _bound(connection, text, f"read_json({quote_text(text)}, union_by_name=true)")
    if suffix in (".xls", ".xlsx", ".ods", ".pdf", ".zip", ".hsq", ".pkl", ".npy", ".npz"):
        raise DataError(
            f"{text} is a {suffix} file; expected CSV, TSV, Parquet or JSON lines: export it to one of these"
        )
    return _text_file(connection, text, matches[0], encoding, categories)


def _suffix(path: str) -> str:
    suffixes = [s.lower() for s in Path(path).suffixes]
    while suffixes and suffixes[-1] in (".gz", ".zst", ".gzip"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _text_file(
    connection: Any,
    text: str,
    first: str,
    encoding: str | None,
    categories: Sequence[str],
    *,
    name: str | None = None,
    held: tuple[Any, ...] = (),
) -> Source:
    name = name or text
    # skip=0: a file whose first lines do not fit the rest is an error, not a file with fewer rows.
    base = [f"nullstr=[{', '.join(quote_text(n) for n in _NULLS)}]", "skip=0"]
    base += ["delim='\t'"] if _suffix(first) == ".tsv" else []
    base += [f"encoding={quote_text(encoding)}"] if encoding else []
    with _translated(name):
        query = connection.sql(f"FROM sniff_csv({', '.join([quote_text(first), *base])})")
        dialect = dict(zip(query.columns, query.fetchall()[0], strict=True))
    sniffed = {c["name"]: c["type"] for c in dialect["Columns"]}
    _require_table(dialect, list(sniffed), first, encoding, name)
    for category in categories:
        if category not in sniffed:
            raise missing_column(category, list(sniffed), name, "column")
        sniffed[category] = "VARCHAR"
    # A column that begins with whole numbers may go on with fractions, which an integer column
    # would round without a word: whatever looks like a number is read as float64.
    types = {n: "DOUBLE" if _kind(t) == "number" else t for n, t in sniffed.items()}
    listed = "{" + ", ".join(f"{quote_text(n)}: {quote_text(t)}" for n, t in types.items()) + "}"
    # A quote may first turn up after the lines that were looked at.
    marks = {"delim": dialect["Delimiter"], "quote": _mark(dialect["Quote"]), "escape": _mark(dialect["Escape"])}
    marks |= {"dateformat": dialect["DateFormat"], "timestampformat": dialect["TimestampFormat"]}
    base = [b for b in base if not b.startswith("delim")] + [f"{k}={quote_text(str(v))}" for k, v in marks.items() if v]
    base.append("header=true")
    schema = f"columns={listed}, auto_detect=false" if text == first else f"types={listed}, union_by_name=true"
    return _bound(connection, name, f"read_csv({', '.join([quote_text(text), *base, schema])})", held)


def _mark(sniffed: str | None) -> str:
    return '"' if not sniffed or sniffed == "(empty)" else sniffed


def _require_table(dialect: dict[str, Any], names: list[str], path: str, encoding: str | None, source: str) -> None:
    """See that the file has a header of distinct names, and a number of fields that stays the same.

    DuckDB renames columns that share a name, makes names up where there is no header, and reads
    lines that do not fit together as one wide text column: each is an error here.
    """
    import csv
    import gzip
    from itertools import islice

    opener: Any = gzip.open if path.lower().endswith((".gz", ".gzip")) else open
    lines: list[list[str]] = []
    with (
        suppress(OSError, UnicodeError, csv.Error),
        opener(path, "rt", encoding=encoding or "utf-8-sig", newline="") as file,
    ):
        sample = list(islice(file, 200))
        delimiter = dialect["Delimiter"]
        if len(names) == 1:  # no delimiter fits every line: take the one that the first line is full of
            delimiter = max(",\t;|", key=sample[0].count)
        lines = [fields for fields in csv.reader(sample, delimiter=delimiter) if fields]
    if lines:
        _require_distinct([h.strip() for h in lines[0]], source)
        for row, fields in enumerate(lines[1:-1] if len(lines) == 200 else lines[1:], 1):
            if len(fields) != len(lines[0]):
                raise DataError(
                    f"{source}, row {row}: found {len(fields)} fields, expected {len(lines[0])} as in the header. "
                    "Correct the line; a field that holds the delimiter needs quotes"
                )
    if not dialect["HasHeader"]:
        raise DataError(
            f"{source} has no header line: its first line, {','.join(lines[0])[:60] if lines else ''!r}, reads as data. "
            f"Add a first line with {len(names)} column names"
        )


def _require_distinct(names: Sequence[str], source: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if name and name in seen:
            raise DataError(f"{source} has two columns named {name!r} (column {position} is the second): rename one")
        seen.add(name)


def _standard_input(connection: Any, encoding: str | None, categories: Sequence[str]) -> Source:
    """A pipe can be read once and its types need a look first, so it is kept in a temporary file."""
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("standard input is a terminal: pipe a CSV file into it")
    spool = tempfile.NamedTemporaryFile(prefix="halfsquare-", suffix=".csv")  # noqa: SIM115 - closed with the Source
    try:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
    except OSError as problem:
        raise DataError(f"standard input could not be kept in {tempfile.gettempdir()}: {problem.strerror}") from None
    if spool.tell() == 0:
        raise DataError("standard input is empty: expected CSV with a header line")
    return _text_file(connection, spool.name, spool.name, encoding, categories, name="standard input", held=(spool,))


def _database(connection: Any, path: str, table: str | None) -> Source:
    kind = " (TYPE sqlite, READ_ONLY)" if Path(path).suffix.lower().startswith(".sqlite") else " (READ_ONLY)"
    try:
        connection.execute(f"ATTACH {quote_text(path)} AS found{kind}")
        tables = [
            str(r[0])
            for r in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'found' ORDER BY 1"
            ).fetchall()
        ]
    except duckdb.Error as problem:
        reader = "sqlite" in kind and "extension" in str(problem)
        hint = (
            ". SQLite needs a reader that DuckDB fetches from the network once; or export the table to CSV"
            if reader
            else ""
        )
        raise DataError(f"{path} could not be opened as a database: {str(problem).splitlines()[0]}{hint}") from None
    if table is None and len(tables) == 1:
        table = tables[0]
    if table not in tables:
        asked = f"has no table {table!r}" if table else "has several tables; name one with --table"
        raise DataError(f"{path} {asked}. Its tables: {', '.join(tables) or 'none'}")
    return _bound(connection, f"table {table} of {path}", f"found.{quote_name(table)}")


def _frame(connection: Any, data: Any) -> Source:
    import pyarrow as pa

    name = "the data"
    if isinstance(data, np.ndarray):
        if data.dtype.names:
            frame = pa.table({n: np.ascontiguousarray(data[n]) for n in data.dtype.names})
        elif data.ndim == 2:
            frame = pa.table({f"x{j + 1}": np.ascontiguousarray(data[:, j]) for j in range(data.shape[1])})
        else:
            raise DataError(f"the array has shape {data.shape}; expected rows and columns, (n, d)")
    elif isinstance(data, dict):
        frame = _arrow(lambda: pa.table({str(n): pa.array(np.asarray(v)) for n, v in data.items()}))
    elif isinstance(data, (pa.Table, pa.RecordBatch)):
        frame = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    elif type(data).__module__.startswith("polars"):
        frame = data.collect().to_arrow() if hasattr(data, "collect") else data.to_arrow()
    elif type(data).__module__.startswith("pandas"):
        _require_distinct([str(c) for c in data.columns], name)
        frame = _arrow(lambda: pa.Table.from_pandas(data.rename(columns=str), preserve_index=False))
    elif hasattr(data, "__arrow_c_stream__"):
        frame = pa.table(data)
    else:
        raise OptionError(f"cannot read rows from {type(data).__name__}; expected a path, a query, an array or a frame")
    _require_distinct([str(n) for n in frame.column_names], name)
    connection.register("frame", frame)
    return _bound(connection, name, "frame", (frame,))


def _arrow(make: Any) -> Any:
    import pyarrow as pa

    try:
        return make()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as problem:
        raise DataError(f"a column mixes types or lengths: {problem}") from None


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Tell what DuckDB says again. A scan under way reports through Arrow, with errors of other types."""
    try:
        yield
    except (duckdb.Error, OSError, RuntimeError) as problem:
        raise _told_again(problem, name) from None


def _told_again(problem: Exception, name: str) -> DataError:
    """DuckDB's message in terms of file, column and row, without its advice on its own options."""
    text = str(problem)
    if "interrupted" in text.lower() and not isinstance(problem, OSError):
        raise KeyboardInterrupt  # Ctrl-C in the middle of a query ends it before Python hears of it
    line = re.search(r"Line: (\d+)", text)
    where = "" if not line else f", row {int(line[1]) - 1} (line {line[1]})" if int(line[1]) > 1 else ", line 1"
    convert = re.search(r"converting column \"(.*?)\"\. Could not convert string \"(.*?)\" to '(\w+)'", text, re.DOTALL)
    if convert:
        column, value, kind = convert.groups()
        wanted = {"DOUBLE": "a number", "BOOLEAN": "true or false"}.get(kind, f"a {kind.lower()}")
        return DataError(
            f"{name}{where}, column {column!r}: found {value!r}, expected {wanted} as in the rows before. "
            f"Correct the value, leave the column out (--exclude {column}), or read it as text (--category {column})"
        )
    if "unicode" in text or "utf-8" in text.lower():
        return DataError(f"{name}{where} is not UTF-8 text. Save it as UTF-8, or say what it is: --encoding latin-1")
    if "Expected Number of Columns" in text:
        counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        detail = f": found {counts[2]} fields, expected {counts[1]}" if counts else ""
        return DataError(f"{name}{where}{detail}. Correct the line; a field that holds the delimiter needs quotes")
    if isinstance(problem, duckdb.OutOfMemoryException):
        return DataError(f"{name} needs more memory than is there: {text.splitlines()[0]}")
    first = re.sub(r"^\w[\w ]* Error: ", "", text.split("\n\n")[0].replace("\n", " ")).strip()
    return DataError(f"{name} could not be read{where}: {first[:300]}")
