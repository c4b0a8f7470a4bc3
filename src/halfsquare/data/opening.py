"""Opening rows: a file, a glob, a folder, a query, a database table or a frame, all by one door."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from halfsquare.data.columns import Reading
from halfsquare.data.dialect import Wanted
from halfsquare.data.frames import arrow_table, categories_of
from halfsquare.data.integrity import NO_FILES, Unchanged, exists
from halfsquare.data.messages import require_distinct
from halfsquare.data.parquet import as_arrow_had_it
from halfsquare.data.paths import (
    DATABASE,
    JSON,
    PARQUET,
    SHEETS,
    Located,
    is_sql,
    locate,
    refuse_foreign,
)
from halfsquare.data.source import Source, SourceColumn, duckdb_connection, spill_privately
from halfsquare.data.spec import DataSpec
from halfsquare.data.spool import PACKED, Spool, copied
from halfsquare.data.spreadsheet import sheet_table
from halfsquare.data.sql import kind_of, quote_name, quote_text
from halfsquare.data.text_file import TextTable, escaped, text_table
from halfsquare.errors import DataError


def opened(data: Any, reading: Reading | None = None) -> Source:
    """Rows as their source has them, texts still unread; see
    :func:`halfsquare.data.deciding.open_source`.

    ``reading`` is that of a model, whose columns are read from text files as they were.
    """
    spec = DataSpec.of(data)
    connection = duckdb_connection()
    if isinstance(spec.data, (str, os.PathLike)):
        text = os.fspath(spec.data)
        if is_sql(text):
            return _query(connection, spec, text, reading)
        if text == "-":
            return _standard_input(connection, spec, reading)
        return _file(connection, spec, locate(text), reading)
    return _frame(connection, spec, "the data", arrow_table(spec.data, "the data"))


def _frame(connection: Any, spec: DataSpec, name: str, frame: Any, held: Any = ()) -> Source:
    names = list(frame.column_names)
    categories = categories_of(frame.schema)
    # DuckDB does not tell large letters from small ones.
    connection.register("frame", frame.rename_columns([f"c{j}" for j in range(len(names))]))
    source = _bound(connection, name, "frame", (frame, *held), names=names)
    return replace(source, categories=categories)


def _bound(
    connection: Any,
    name: str,
    relation: str,
    held: tuple[Any, ...] = (),
    files: Unchanged = NO_FILES,
    count: str | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Source:
    """Ask DuckDB for the columns of a relation, which have ``names`` of their own; ``count`` is SQL
    for its rows, where that is quick.
    """
    with files.reading(name):
        rows = connection.sql(count).fetchall()[0][0] if count else None
        found = connection.sql(f"SELECT * FROM {relation}")
        if found is None:
            raise DataError(f"{name} returns no rows: expected a query that selects columns")
        own = list(found.columns) if names is None else list(names)
        columns = tuple(
            column
            for n, field, t in zip(own, found.columns, found.types, strict=True)
            for column in _flat(n, quote_name(field), t)
        )
    require_distinct([c.name for c in columns], name)
    # Enough for two threads' buffers, and a little for each column of a wide table: the rows
    # themselves are not kept by DuckDB. The row groups of Parquet are large: with less it gives
    # memory back and takes it again all the time.
    megabytes = (320 if relation.startswith("read_parquet(") else 160) + len(columns)
    connection.execute(f"SET memory_limit='{megabytes}MB'")
    return Source(name, columns, relation, connection, files, rows, held)


def _flat(name: str, value: str, kind: Any) -> list[SourceColumn]:
    """A column, or the columns that are nested in it: a.b is the b of a."""
    if str(kind.id) == "struct":
        return [
            column
            for inner, own in kind.children
            for column in _flat(f"{name}.{inner}", f"{value}.{quote_name(inner)}", own)
        ]
    shown = value if value != quote_name(name) else ""
    return [SourceColumn(name, kind_of(str(kind)), str(kind), shown)]


def _query(connection: Any, spec: DataSpec, text: str, reading: Reading | None) -> Source:
    """A query; text and JSON files that stand in it by name are read as they are by themselves."""
    try:
        named = sorted(n.strip("\"'") for n in connection.get_table_names(text))
    except duckdb.Error:
        named = []  # what is wrong with the query is told when it is bound
    paths = [n for n in named if exists(n) and Path(n).is_file()]
    held: list[Any] = [spill_privately(connection)]
    for path in paths:
        located = locate(path)
        if located.suffix not in PARQUET + DATABASE + SHEETS:
            inner = _file(connection, replace(spec, data=path), located, None)
            shown = ", ".join(f"{c.stored} AS {quote_name(c.name)}" for c in inner.columns)
            with inner.files.reading(path):
                connection.execute(
                    f"CREATE TEMP VIEW {quote_name(path)} AS SELECT {shown} FROM {inner.relation}"
                )
            held.append(inner)
    del reading
    return _bound(
        connection,
        "the query",
        f"({text.strip().rstrip(';')})",
        tuple(held),
        Unchanged.of(paths),
    )


def _file(connection: Any, spec: DataSpec, located: Located, reading: Reading | None) -> Source:
    refuse_foreign(located)
    text, suffix, files = located.name, located.suffix, located.files
    if suffix in DATABASE:
        return _database(connection, text, spec.table, files)
    held: tuple[Any, ...] = ()
    pattern = located.pattern and quote_text(located.pattern)
    packed = suffix in PARQUET + SHEETS and located.paths[0].lower().endswith(PACKED)
    if packed or (suffix in JSON and located.paths[0].lower().endswith((".zip", ".bz2", ".xz"))):
        held = tuple(copied(p, p) for p in located.paths)
        pattern = "[" + ", ".join(quote_text(h.path) for h in held) + "]"
    elif not pattern:
        pattern = "[" + ", ".join(quote_text(escaped(p)) for p in located.paths) + "]"
    partitions = f"hive_partitioning={str(spec.partitions).lower()}"
    if suffix in PARQUET:
        source = _bound(
            connection,
            text,
            f"read_parquet({pattern}, union_by_name=true, {partitions})",
            held,
            files,
            f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata({pattern})",
        )
        return as_arrow_had_it(source, held[0].path if held else located.paths[0])
    if suffix in JSON:
        # The whole file decides, keys that turn up late and fractions after whole numbers too.
        options = (
            "sample_size=-1, map_inference_threshold=-1, field_appearance_threshold=0, "
            f"union_by_name=true, {partitions}"
        )
        return _bound(connection, text, f"read_json({pattern}, {options})", held, files)
    if suffix in SHEETS:
        if len(located.paths) > 1:
            raise DataError(f"{text} names several spreadsheets; expected one")
        path = held[0].path if held else located.paths[0]
        frame = sheet_table(path, text, spec.sheet, spec.skip, spec.header is not False)
        return replace(_frame(connection, spec, text, frame, held), files=files)
    table = _text_table(spec, located.paths, located.pattern or None, text, reading)
    return _of_table(connection, table, files, spec)


def _text_table(
    spec: DataSpec,
    paths: Sequence[str],
    pattern: str | None,
    name: str,
    reading: Reading | None,
) -> TextTable:
    given = reading.given if reading else {}
    known = tuple(reading.columns) if reading else spec.known
    wanted = Wanted(
        spec.encoding or given.get("encoding"),
        spec.delimiter,
        spec.header if spec.header is not None else given.get("header"),
        spec.skip,
        spec.comment or given.get("comment"),
        known,
    )
    words = (*spec.missing, *given.get("missing", ()))
    forced = (*spec.category, *spec.text, *spec.number)
    return text_table(paths, pattern, name, wanted, words, reading, forced)


def _of_table(connection: Any, table: TextTable, files: Unchanged, spec: DataSpec) -> Source:
    fields = table.fields
    source = _bound(connection, table.name, table.relation, table.held, files)
    own = {c.name: c for c in source.columns}
    columns = tuple(
        replace(
            own[fields[n]],
            name=n,
            value="" if fields[n] == n else quote_name(fields[n]),
            whole=n in table.whole,
        )
        for n in table.names
    )
    remarks = []
    dialect = table.dialect
    if dialect.skipped:
        remarks.append(
            f"{dialect.skip} line{'s' if dialect.skip > 1 else ''} before the header passed over, "
            f"the first {dialect.skipped[:60]!r}"
        )
    for part, paths in table.parts[1:]:
        gone = [n for n in table.names if n not in part.names]
        if part.delimiter != dialect.delimiter:
            remarks.append(f"{paths[0]} has the delimiter {part.delimiter!r}, unlike the others")
        if gone:
            remarks.append(f"{paths[0]} has no column {', '.join(map(repr, gone[:5]))}")
    file = {
        "encoding": spec.encoding or "utf-8",
        "delimiter": dialect.delimiter,
        "decimal": "," if table.comma else ".",
        "header": dialect.header,
        "skip": dialect.skip,
    }
    return replace(
        source,
        columns=columns,
        table=table,
        reading=Reading(file=file),
        unnamed=dialect.unnamed,
        remarks=tuple(remarks),
    )


def _standard_input(connection: Any, spec: DataSpec, reading: Reading | None) -> Source:
    """A pipe can be read once and its types need a look first, so it is kept in a temporary
    file.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("standard input is closed: pipe a CSV file into it")
    if sys.stdin.isatty():
        raise DataError("standard input is a terminal: pipe a CSV file into it")
    name = "standard input"
    spool = Spool(name, lambda to: shutil.copyfileobj(sys.stdin.buffer, to))
    if not spool.size:
        raise DataError("standard input is empty: expected CSV with a header line")
    table = _text_table(spec, [spool.path], escaped(spool.path), name, reading)
    source = _of_table(connection, table, NO_FILES, spec)
    return replace(source, _held=(*source._held, spool))


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
